//! Specifications that the API server refuses, and those that only the operator can judge.

use anyhow::{Context, Result, ensure};
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_e2e::{Namespace, TestResult, in_namespace, sample, secs};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

/// A change of the first sample, and what the refusal must name: the field, and the rule.
type Case = (&'static str, Value, &'static [&'static str]);

#[tokio::test]
async fn the_api_server_refuses_a_wrong_specification_by_field_and_rule() -> TestResult {
    in_namespace("bad-spec", async |ns| {
        for name in ["minilm", "minilm-hub", "minimal", "gpu"] {
            let (status, message) = dry_run(ns, &serde_json::to_value(sample(name)?)?).await?;
            ensure!(status == 201, "the sample {name} is refused with {status}: {message}");
        }
        let good = serde_json::to_value(sample("minilm")?)?;
        let mut wrong = vec![];
        for (what, change, expected) in identity_cases().into_iter().chain(spec_cases()).chain(objective_cases()) {
            let mut model = good.clone();
            merge(&mut model, &change);
            let (status, message) = dry_run(ns, &model).await?;
            let is_refused = matches!(status, 400 | 422);
            if !is_refused || !expected.iter().all(|part| message.contains(part)) {
                wrong.push(format!("{what}: status {status}, wanted {expected:?} in: {message}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await
}

fn identity_cases() -> Vec<Case> {
    let source = |source: Value| json!({"spec": {"model": {"source": source}}});
    let hub = |repo: &str| json!({"pvc": null, "huggingFace": {"repo": repo, "revision": "main"}});
    vec![
        ("long name", json!({"metadata": {"name": "a".repeat(41)}}), &["metadata.name", "at most 40 characters"]),
        (
            "name with a digit first",
            json!({"metadata": {"name": "1model"}}),
            &["metadata.name", "starting with a letter"],
        ),
        (
            "two sources",
            source(json!({"huggingFace": {"repo": "o/n", "revision": "main"}})),
            &["spec.model.source", "exactly one of"],
        ),
        ("no source", source(json!({"pvc": null})), &["spec.model.source", "exactly one of"]),
        (
            "folder of the node",
            source(json!({"pvc": null, "hostPath": {"path": "/"}})),
            &["spec.model.source.hostPath", "unknown field"],
        ),
        ("path with ..", source(json!({"pvc": {"path": "a/../b"}})), &["spec.model.source.pvc.path", "no '..'"]),
        ("path from the root", source(json!({"pvc": {"path": "/a"}})), &["spec.model.source.pvc.path", "leading '/'"]),
        ("repository without an owner", source(hub("name")), &["spec.model.source.huggingFace.repo", "should match"]),
        (
            "no revision",
            source(json!({"pvc": null, "huggingFace": {"repo": "o/n"}})),
            &["huggingFace.revision", "Required"],
        ),
        ("unknown task", json!({"spec": {"task": "Poetry"}}), &["spec.task", "\"Embedding\""]),
        ("misspelled field", json!({"spec": {"replica": 2}}), &["spec.replica", "unknown field"]),
    ]
}

fn spec_cases() -> Vec<Case> {
    let runtime = |runtime: Value| json!({"spec": {"runtime": runtime}});
    let labels = |key: &str| json!({"spec": {"observability": {"monitor": {"labels": {key: "x"}}}}});
    vec![
        ("negative replicas", json!({"spec": {"replicas": -1}}), &["spec.replicas", "greater than or equal to 0"]),
        ("too many replicas", json!({"spec": {"replicas": 1001}}), &["spec.replicas", "less than or equal to 1000"]),
        ("unknown device", runtime(json!({"device": "tpu"})), &["spec.runtime.device", "\"cpu\", \"cuda\""]),
        ("half precision on a CPU", runtime(json!({"dtype": "float16"})), &["spec.runtime.dtype", "float16 needs"]),
        (
            "no queue",
            runtime(json!({"queue": {"capacity": 0}})),
            &["spec.runtime.queue.capacity", "greater than or equal to 1"],
        ),
        (
            "word as a quantity",
            json!({"spec": {"resources": {"requests": {"cpu": "lots"}}}}),
            &["spec.resources.requests", "is a quantity"],
        ),
        ("bad label key", labels("bad key!"), &["spec.observability.monitor.labels", "labels need keys"]),
        ("reserved label", labels("belfry.dev/model"), &["spec.observability.monitor.labels", "may not begin with"]),
        (
            "slow scrapes",
            json!({"spec": {"observability": {"monitor": {"interval": "1m"}}}}),
            &["spec.observability.monitor.interval", "\"5s\""],
        ),
        (
            "contact with braces",
            json!({"spec": {"observability": {"owner": {"contact": "{{ x }}"}}}}),
            &["spec.observability.owner.contact", "should match"],
        ),
        (
            "runbooks on a disk",
            json!({"spec": {"observability": {"owner": {"runbookBaseURL": "file:///x"}}}}),
            &["owner.runbookBaseURL", "should match"],
        ),
    ]
}

fn objective_cases() -> Vec<Case> {
    let slos = |slos: Value| json!({"spec": {"observability": {"slos": slos}}});
    let slo = |name: &str, indicator: &str, objective: &str| json!({"name": name, "indicator": indicator, "objective": objective});
    let latency = |threshold: &str| {
        slos(json!([{"name": "a", "indicator": "Latency", "objective": "99", "threshold": threshold}]))
    };
    let availability = |objective: &str| slos(json!([slo("a", "Availability", objective)]));
    let with_threshold =
        slos(json!([{"name": "a", "indicator": "Availability", "objective": "99", "threshold": "1s"}]));
    let two = slos(json!([slo("a", "Availability", "99"), slo("b", "Availability", "99.9")]));
    vec![
        ("threshold between two buckets", latency("240ms"), &["spec.observability.slos[0].threshold", "250ms"]),
        ("threshold of availability", with_threshold, &["spec.observability.slos[0]", "belongs to indicator Latency"]),
        (
            "latency without a threshold",
            slos(json!([slo("a", "Latency", "99")])),
            &["spec.observability.slos[0]", "add it"],
        ),
        ("two of one indicator", two, &["spec.observability.slos", "at most one objective of each indicator"]),
        ("more than everything", availability("101"), &["spec.observability.slos[0].objective", "should match"]),
        ("too little", availability("10"), &["spec.observability.slos[0].objective", "between"]),
        (
            "objective as a number",
            slos(json!([{"name": "a", "indicator": "Availability", "objective": 99}])),
            &["slos[0].objective", "string"],
        ),
        (
            "unknown indicator",
            slos(json!([slo("a", "Beauty", "99")])),
            &["slos[0].indicator", "\"Availability\", \"Latency\""],
        ),
        (
            "name for a label",
            slos(json!([slo("A b", "Availability", "99")])),
            &["spec.observability.slos[0].name", "should match"],
        ),
    ]
}

/// What `kubectl create --dry-run=server --validate=strict` does.
async fn dry_run(ns: &Namespace, model: &Value) -> Result<(u16, String)> {
    let address = format!("/apis/belfry.dev/v1alpha1/namespaces/{}/inferencemodels", ns.name);
    let answer = ns.cluster.post(&format!("{address}?dryRun=All&fieldValidation=Strict"), model).await?;
    let message = answer.json()?["message"].as_str().unwrap_or_default().to_owned();
    Ok((answer.status, message))
}

/// A JSON merge patch: `null` takes a field away.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(changes) = change else { return *target = change.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in changes {
        let fields = target.as_object_mut();
        let Some(fields) = fields else { return };
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

#[tokio::test]
async fn a_request_above_its_limit_is_explained_in_the_status_and_does_nothing() -> TestResult {
    in_namespace("request-limit", async |ns| {
        let mut value = serde_json::to_value(sample("minilm")?)?;
        merge(&mut value, &json!({"spec": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}}}));
        let model = ns.serve(&serde_json::from_value(value)?).await?;
        let invalid = (ConditionType::SpecAccepted, ConditionStatus::False, Reason::Invalid);
        let message = model.until(invalid, secs(20)).await?.message;
        ensure!(message.contains("spec.resources.requests.cpu"), "the message names no field: {message}");
        ensure!(message.contains("500m"), "the message names no limit: {message}");
        let objects = ns.objects().await?;
        ensure!(objects.is_empty(), "it was acted on: {objects:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_missing_claim_is_named() -> TestResult {
    in_namespace("no-claim", async |ns| {
        let model = ns.serve(&sample("minilm")?).await?;
        let expected = (ConditionType::ModelLoaded, ConditionStatus::False, Reason::Unschedulable);
        let message = model.until(expected, secs(30)).await?.message;
        ensure!(message.contains("\"models\""), "the message names no claim: {message}");
        let ready = model.until((ConditionType::Ready, ConditionStatus::False, Reason::Unschedulable), secs(5)).await?;
        ensure!(ready.message == message, "Ready says {}", ready.message);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_missing_key_of_a_secret_is_named() -> TestResult {
    in_namespace("no-key", async |ns| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub-token"}, "stringData": {"other": "x"},
        });
        ns.apply::<Secret>(&secret).await?;
        let model = ns.serve(&sample("minilm-hub")?).await?;
        let expected = (ConditionType::ModelLoaded, ConditionStatus::False, Reason::ContainerConfigInvalid);
        let message = model.until(expected, secs(60)).await?.message;
        for part in ["hub-token", "key token"] {
            ensure!(message.contains(part), "the message does not name {part}: {message}");
        }
        model.get().await?.status.context("no status").map(drop)
    })
    .await
}

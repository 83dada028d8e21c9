//! What is said about a failure does not change because the operator is another one: neither the reason in the status, nor
//! the series that alerts are made from.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};
use belfry_e2e::chaos::specs::{SCALED, variant};
use belfry_e2e::chaos::{FaultTest, PATIENCE, SILENCE, fault_test, list};
use belfry_e2e::proxy::{Fault, Refusal};
use belfry_e2e::{TestResult, report, wait};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::pod_status::{STARTED, crashing, running, unschedulable, waiting};

/// Names of the admission policies, which are of the whole cluster.
const POLICY: &str = "belfry-e2e-reasons";

/// Series that may differ: an operator counts from its start.
const COUNTERS: [&str; 2] = ["belfry_model_container_restarts_total", "belfry_model_load_failures_total"];

/// A model that fails, and what is said of it.
struct Failing {
    name: String,
    condition: &'static str,
    says: String,
}

impl Failing {
    fn new(name: impl Into<String>, condition: &'static str, says: impl Into<String>) -> Self {
        Self { name: name.into(), condition, says: says.into() }
    }
}

#[tokio::test]
async fn a_new_operator_says_of_every_failure_what_the_old_one_said() -> TestResult {
    fault_test("reasons", async |test| {
        test.operator.start().await?;
        let outcome = new_operators_agree(test).await;
        test.proxy.behave();
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            test.cluster.kubectl(&["delete", kind, POLICY, "--ignore-not-found"], "")?;
        }
        outcome
    })
    .await
}

async fn new_operators_agree(test: &mut FaultTest<'_>) -> Result<()> {
    let mut failing = refused_by_the_api_server(test).await?;
    failing.extend(said_by_the_specification(test).await?);
    failing.extend(said_by_scalers(test).await?);
    failing.extend(said_by_pods(test).await?);
    failing.push(pass_that_breaks_off(test).await?);
    for model in &failing {
        test.until_condition(&model.name, model.condition, &model.says, PATIENCE).await?;
    }
    report(&format!("{} failures are named", failing.len()));
    // What the controllers of Kubernetes still do to Deployments and scalers has come to its end.
    let before = wait::until("statuses that stay", PATIENCE, async || {
        let first = said(test).await?;
        wait::holds("statuses", 2 * SILENCE, async || same(&first, &said(test).await?)).await?;
        Ok(first)
    })
    .await?;
    for round in 1..=3 {
        test.operator.kill()?;
        let mark = test.proxy.mark();
        test.operator.start().await?;
        wait::holds("what was said", 4 * SILENCE, async || same(&before, &said(test).await?))
            .await
            .with_context(|| format!("in round {round}"))?;
        // What was refused is tried again, and no more than that.
        let writes = test.proxy.writes_since(mark);
        let others: Vec<_> = writes.into_iter().filter(|call| !is_hopeless(&call.name)).collect();
        ensure!(others.is_empty(), "a new operator found something to write: {}", list(&others));
    }
    Ok(())
}

/// Models of which a child is refused, whose name says so.
fn is_hopeless(child: &str) -> bool {
    child.starts_with("refused-") || child.starts_with("breaks-off")
}

/// All conditions of all models, and all series about them.
async fn said(test: &FaultTest<'_>) -> Result<BTreeSet<String>> {
    let metrics = test.operator.get("/metrics")?;
    let is_about_models =
        |line: &&str| line.starts_with("belfry_model_") && !COUNTERS.iter().any(|name| line.starts_with(name));
    let mut all: BTreeSet<_> = metrics.lines().filter(is_about_models).map(str::to_owned).collect();
    ensure!(!all.is_empty(), "no series about models");
    for model in test.models().list(&ListParams::default()).await? {
        let conditions = model.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.extend(conditions.iter().map(|condition| format!("{} {condition}", model.name_any())));
    }
    Ok(all)
}

fn same(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Result<()> {
    let gone: Vec<_> = before.difference(after).collect();
    let new: Vec<_> = after.difference(before).collect();
    ensure!(gone.is_empty() && new.is_empty(), "no longer said: {gone:#?}; newly said: {new:#?}");
    Ok(())
}

/// What a kubelet and a scheduler write, which this cluster has none of.
async fn said_by_pods(test: &FaultTest<'_>) -> Result<Vec<Failing>> {
    let mut failing = vec![];
    for (name, reason, status) in pod_faults() {
        let mut model = variant(&name, 0);
        model["spec"]["replicas"] = json!(1);
        test.apply(&model).await?;
        test.set_pod_status(&name, &status).await?;
        failing.push(Failing::new(name, "ModelLoaded", format!("False {reason}")));
    }
    Ok(failing)
}

/// Name of the model, reason, and the status of its pod.
fn pod_faults() -> Vec<(String, &'static str, Value)> {
    let later = "2026-01-01T00:05:00Z";
    let lost = json!([{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]);
    let silent =
        json!([{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": later}]);
    let mut faults = vec![
        ("unschedulable".to_owned(), "Unschedulable", unschedulable()),
        ("image".to_owned(), "ImagePullFailed", waiting("ImagePullBackOff")),
        ("config".to_owned(), "ContainerConfigInvalid", waiting("CreateContainerConfigError")),
        ("lost".to_owned(), "NodeLost", running(true, 0, lost)),
        ("silent".to_owned(), "NotAnswering", running(false, 0, silent)),
        ("crash".to_owned(), "WorkerCrashed", crashing(json!({"exitCode": 134, "message": "assertion failed"}))),
        ("memory".to_owned(), "OutOfMemoryKilled", crashing(json!({"exitCode": 137, "reason": "OOMKilled"}))),
        (
            "rejected".to_owned(),
            "RejectedByNode",
            json!({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no such device", "startTime": STARTED}),
        ),
    ];
    faults.extend(LoadFailureReason::ALL.iter().map(|&reason| {
        let message = json!(LoadFailure { reason, message: "what, where, what to do".into() }).to_string();
        let name = format!("load-{}", reason.as_str().to_lowercase());
        (name, reason.as_str(), crashing(json!({"exitCode": 1, "message": message})))
    }));
    faults
}

async fn said_by_the_specification(test: &FaultTest<'_>) -> Result<Vec<Failing>> {
    let cases = [
        ("asleep", "Available", "False ScaledToZero", json!({"replicas": 0})),
        ("suspended", "Available", "False Suspended", json!({"suspend": true})),
        (
            "invalid",
            "SpecAccepted",
            "False Invalid",
            json!({"network": {"networkPolicy": {"prometheusNamespace": "monitoring"}}}),
        ),
    ];
    let mut failing = vec![];
    for (name, condition, says, fields) in cases {
        test.apply(&with_fields(variant(name, 0), &fields)).await?;
        failing.push(Failing::new(name, condition, says));
    }
    // A change that waits.
    let mut paused = variant("paused", 0);
    test.apply(&paused).await?;
    test.until_condition("paused", "SpecAccepted", "True", PATIENCE).await?;
    paused["spec"]["rollout"] = json!({"paused": true});
    paused["spec"]["runtime"] = json!({"threads": 3});
    test.apply(&paused).await?;
    failing.push(Failing::new("paused", "Progressing", "Unknown Paused"));
    Ok(failing)
}

fn with_fields(mut model: Value, fields: &Value) -> Value {
    for (field, value) in fields.as_object().into_iter().flatten() {
        model["spec"][field] = value.clone();
    }
    model
}

async fn said_by_scalers(test: &FaultTest<'_>) -> Result<Vec<Failing>> {
    test.apply(&variant("scaled", SCALED)).await?;
    test.apply(&variant("foreign", 0)).await?;
    test.cluster.apply(&json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs", "namespace": test.namespace},
        "spec": {
            "minReplicas": 1, "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "foreign"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    }))?;
    Ok(vec![
        Failing::new("scaled", "ScalingReady", "False ExternalMetricsUnavailable"),
        Failing::new("foreign", "ScalingReady", "False ForeignScaler"),
    ])
}

async fn refused_by_the_api_server(test: &FaultTest<'_>) -> Result<Vec<Failing>> {
    test.cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "refused-name", "namespace": test.namespace},
        "spec": {"ports": [{"port": 1}]},
    }))?;
    let refused = |rule: &str, resource: &str| json!({"expression": rule, "message": format!("no {resource} here")});
    test.cluster.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods", "services"]},
            ]},
            "validations": [
                refused("object.kind != 'Service' || object.metadata.name != 'refused-service'", "Service"),
                refused("object.kind != 'Pod' || !object.metadata.name.startsWith('refused-pods')", "Pod"),
            ],
        },
    }))?;
    test.cluster.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY}, "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    }))?;
    test.until_service_is_refused("refused-service").await?;
    for name in ["refused-name", "refused-service", "refused-pods"] {
        test.apply(&variant(name, 0)).await?;
    }
    Ok(vec![
        Failing::new("refused-name", "SpecAccepted", "False NameConflict"),
        Failing::new("refused-service", "SpecAccepted", "False AdmissionRefused"),
        Failing::new("refused-pods", "ModelLoaded", "False"),
    ])
}

/// The API server fails whenever this model's Service is written.
async fn pass_that_breaks_off(test: &FaultTest<'_>) -> Result<Failing> {
    test.proxy.play(|call| {
        let is_it = call.verb.is_write() && call.resource == "services" && call.name == "breaks-off";
        is_it.then(|| Fault::Refuse(Refusal::new(500)))
    });
    test.apply(&variant("breaks-off", 0)).await?;
    Ok(Failing::new("breaks-off", "Reconciled", "False ReconcileFailed"))
}

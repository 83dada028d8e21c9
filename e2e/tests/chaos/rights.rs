//! The rights that the chart grants are those that the operator uses, as the audit log shows: no more and no less.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, anyhow, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::audit::{Audit, Entry};
use belfry_e2e::chaos::specs::{PAGED, SCALED, variant};
use belfry_e2e::chaos::{EXTERNAL_METRICS, FaultTest, PATIENCE, VALUES, fault_test, roles};
use belfry_e2e::{OPERATOR, SYSTEM_NAMESPACE, TestResult, wait};
use belfry_render::children::children;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use serde::Deserialize;
use serde_json::{Value, json};

/// Group, plural with the subresource, verb.
type Right = (String, String, String);

/// Rights that no request shows. Some clusters let only who has this one make children that block the deletion of their
/// owner.
const UNSEEN: &[(&str, &str, &str)] = &[("belfry.dev", "inferencemodels/finalizers", "update")];

/// Rights that an operator in the namespaces of others must not have.
const DANGEROUS: &[&str] = &["*", "escalate", "bind", "impersonate"];

const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";

/// The role, and all that comes with it.
const EXTERNAL_METRICS_ROLE: &str = "belfry-operator-external-metrics";

#[tokio::test]
async fn every_right_that_is_granted_is_used_and_every_right_that_is_used_is_granted() -> TestResult {
    fault_test("rights", async |test| {
        let audit = Audit::at_end(test.cluster.control_plane.audit_log())?;
        let user = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}");
        let roles = roles(SYSTEM_NAMESPACE, &format!("{VALUES},{EXTERNAL_METRICS}"))?;
        test.cluster.kubectl(&["apply", "--server-side", "--filename", "-"], &roles)?;
        let done = everything_that_it_does(test).await;
        without_external_metrics(test)?;
        done?;
        let entries = audit.of_user(&user)?;
        let refused: Vec<_> =
            entries.iter().filter(|entry| entry.response_status.code == 403).map(|e| &e.uri).collect();
        ensure!(refused.is_empty(), "a right is missing: {refused:?}");

        let used: BTreeSet<Right> = entries.iter().flat_map(rights_of).collect();
        let granted = granted(test, &roles)?;
        let more: Vec<_> = used.difference(&granted).collect();
        ensure!(more.is_empty(), "used by a right that the chart does not grant: {more:?}");
        let is_seen = |right: &&Right| !UNSEEN.contains(&(&right.0, &right.1, &right.2));
        let idle: Vec<_> = granted.difference(&used).filter(is_seen).collect();
        ensure!(idle.is_empty(), "granted and never used: {idle:?}");

        for (group, resource, verb) in &granted {
            let words = [group.as_str(), resource, verb];
            ensure!(!words.iter().any(|word| DANGEROUS.contains(word)), "{words:?}");
            ensure!(!["secrets", "pods/exec"].contains(&resource.as_str()), "{words:?}");
        }
        Ok(())
    })
    .await
}

/// All that an operator with every option does in its life.
async fn everything_that_it_does(test: &mut FaultTest<'_>) -> Result<()> {
    test.cluster.kubectl(&["delete", "lease", OPERATOR, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found"], "")?;
    let election = ["--leader-election", "--own-namespace", SYSTEM_NAMESPACE, "--identity", "one"];
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let scaling = [
        format!("--external-metrics-listen=127.0.0.1:{port}"),
        format!("--external-metrics-service={SYSTEM_NAMESPACE}/{OPERATOR}"),
        format!("--external-metrics-role={EXTERNAL_METRICS_ROLE}"),
    ];
    let scaling = scaling.each_ref().map(String::as_str);
    test.operator.with(&[&election[..], &scaling, &["--metrics-authentication"]].concat());
    test.operator.start().await?;
    let token = test.cluster.token(&test.namespace, "default")?;
    test.operator.get_with("/metrics", &format!("Authorization: Bearer {token}"))?;

    // Its certificate is put back when it is taken away.
    let bundle = || {
        let get = ["get", "apiservice", API_SERVICE, "--output=jsonpath={.spec.caBundle}"];
        test.cluster.kubectl(&get, "")
    };
    let trusted = async || {
        ensure!(!bundle()?.is_empty(), "the API server trusts no certificate");
        Ok(())
    };
    wait::until("the APIService", PATIENCE, trusted).await?;
    let untrusted = r#"{"spec": {"caBundle": null}}"#;
    test.cluster.kubectl(&["patch", "apiservice", API_SERVICE, "--type=merge", "--patch", untrusted], "")?;
    wait::until("the certificate", PATIENCE, trusted).await?;
    test.expected(&[variant("m", 1)]).await?;
    test.apply(&variant("m", PAGED)).await?;
    test.settled(PATIENCE).await?;
    // What can be switched off is deleted.
    let mut bare = variant("m", 1);
    bare["spec"]["observability"]["dashboard"] = json!({"enabled": false});
    bare["spec"]["network"] = json!({"networkPolicy": {"mode": "None"}});
    test.apply(&bare).await?;
    test.settled(PATIENCE).await?;
    // Who scales comes, changes and goes.
    let mut by_keda = variant("m", SCALED);
    by_keda["spec"]["autoscaling"]["provider"] = json!("KEDA");
    by_keda["spec"]["autoscaling"]["prometheusAddress"] = json!("http://prometheus:9090");
    for model in [&variant("m", SCALED), &by_keda, &variant("m", 1)] {
        test.apply(model).await?;
        test.settled(PATIENCE).await?;
    }
    // The same event a second time is counted and not made again.
    let mut wrong = variant("m", 1);
    wrong["spec"]["runtime"]["templateRevision"] = json!("of-another-time");
    for _ in 0..2 {
        test.apply(&wrong).await?;
        test.until_condition("m", "SpecAccepted", "False Invalid", PATIENCE).await?;
        test.apply(&variant("m", 1)).await?;
        test.settled(PATIENCE).await?;
    }
    // Whose an object is that stands where a child should, it has to ask.
    for (name, scaling) in [("scaled", variant("m", SCALED)), ("by-keda", by_keda)] {
        let mut taken = variant(name, SCALED);
        taken["spec"] = scaling["spec"].clone();
        taken["spec"]["observability"] = json!({"alertmanager": {}});
        for namesake in namesakes(&test.namespace, &taken)? {
            test.cluster.apply(&namesake)?;
        }
        test.apply(&taken).await?;
        test.until_condition(name, "SpecAccepted", "False NameConflict", PATIENCE).await?;
        test.until_condition(name, "ScalingReady", "False ForeignScaler", PATIENCE).await?;
        test.delete(name).await?;
    }
    // The lease is renewed every 5 s.
    let renewals =
        || test.proxy.since(0).iter().filter(|call| call.resource == "leases" && call.verb.is_write()).count();
    wait::until("the lease is renewed", PATIENCE, async || {
        ensure!(renewals() >= 2, "not yet");
        Ok(())
    })
    .await?;
    test.operator.terminate(PATIENCE).await.map(drop)
}

/// Leaves the cluster with the rights that the other tests expect.
fn without_external_metrics(test: &FaultTest<'_>) -> Result<()> {
    let kinds = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
    test.cluster.kubectl(&["delete", kinds, EXTERNAL_METRICS_ROLE], "")?;
    test.cluster.kubectl(&["delete", "rolebinding", EXTERNAL_METRICS_ROLE, "--namespace", "kube-system"], "").map(drop)
}

/// Objects without an owner that have the names of a model's children.
fn namesakes(namespace: &str, model: &Value) -> Result<Vec<Value>> {
    let mut model: InferenceModel = serde_json::from_value(model.clone())?;
    model.metadata.namespace = Some(namespace.to_owned());
    let valid = validate(&model, &Settings::default()).map_err(|problems| anyhow!("{problems:?}"))?;
    let objects = children(&valid)?.into_iter().filter_map(|child| child.object);
    let unowned = objects.map(|mut object| {
        object.metadata.labels = None;
        object.metadata.annotations = None;
        object.metadata.owner_references = None;
        Ok(serde_json::to_value(object)?)
    });
    unowned.collect()
}

/// The rights that a request needed.
fn rights_of(entry: &Entry) -> Vec<Right> {
    let object = &entry.object_ref;
    let resource = match object.subresource.as_str() {
        "" => object.resource.clone(),
        subresource => format!("{}/{subresource}", object.resource),
    };
    let right = |verb: &str| (object.api_group.clone(), resource.clone(), verb.to_owned());
    // An apply that makes the object is a creation, too.
    let creates = entry.verb == "patch" && entry.response_status.code == 201;
    [Some(right(&entry.verb)), creates.then(|| right("create"))].into_iter().flatten().collect()
}

/// What the roles grant that the chart binds to the operator.
fn granted(test: &FaultTest<'_>, roles: &str) -> Result<BTreeSet<Right>> {
    let objects = serde_yaml::Deserializer::from_str(roles).map(Value::deserialize).collect::<Result<Vec<_>, _>>()?;
    let mut granted = BTreeSet::new();
    for binding in objects.iter().filter(|object| is_binding(object)) {
        let reference = &binding["roleRef"];
        let is_it =
            |object: &&Value| object["kind"] == reference["kind"] && object["metadata"]["name"] == reference["name"];
        let role = match objects.iter().find(is_it) {
            Some(role) => role.clone(),
            // One of Kubernetes itself.
            None => {
                let word = |field: &str| reference[field].as_str().context("a binding of no role");
                // A ClusterRole is in no namespace.
                let namespace = binding["metadata"]["namespace"].as_str().unwrap_or_default();
                let get = ["get", word("kind")?, word("name")?, "--output=json", "--namespace", namespace];
                serde_json::from_str(&test.cluster.kubectl(&get, "")?)?
            }
        };
        for rule in role["rules"].as_array().into_iter().flatten() {
            granted.extend(product(rule));
        }
    }
    ensure!(granted.len() > 20, "the chart grants only {granted:?}");
    Ok(granted)
}

fn is_binding(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding"))
        && object["subjects"][0]["name"] == OPERATOR
}

fn product(rule: &Value) -> Vec<Right> {
    let words = |field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let mut rights = vec![];
    for group in words("apiGroups") {
        for resource in words("resources") {
            rights.extend(words("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    rights
}

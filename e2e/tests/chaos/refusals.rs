//! The API server says no, for good reasons. The condition says why, the other children go on, and when the reason is
//! gone all comes in order by itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, VALUES, dice, fault_test, roles};
use belfry_e2e::{OPERATOR, SYSTEM_NAMESPACE, TestResult, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use serde_json::json;

/// How often a refused child is tried again, and some more.
const RETRY: Duration = secs(45);

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_its_return_is_noticed() -> TestResult {
    fault_test("right-missing", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 0)]).await?;
        test.clear().await?;
        let granted = roles(SYSTEM_NAMESPACE, VALUES)?;
        let services = "resources: [services, serviceaccounts]\n    verbs: [get, list, watch, create, patch]";
        ensure!(granted.contains(services), "the Role has changed: this test has to follow");
        let reduced = granted.replace(services, &services.replace(", create, patch", ""));
        test.cluster.kubectl(&["apply", "--server-side", "--filename", "-"], &reduced)?;
        let user = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}");
        wait::until("the right is gone", PATIENCE, async || {
            let can = test.cluster.kubectl(&["auth", "can-i", "patch", "serviceaccounts", "--as", &user], "");
            ensure!(can.is_err(), "it is there");
            Ok(())
        })
        .await?;
        let seen = refused(test, "Forbidden", &["serviceaccounts", "patch"]).await;
        test.cluster.kubectl(&["apply", "--server-side", "--filename", "-"], &granted)?;
        seen?;
        test.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_quota_is_named_and_its_end_is_noticed() -> TestResult {
    fault_test("quota", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 0)]).await?;
        test.clear().await?;
        test.cluster.apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": test.namespace},
            "spec": {"hard": {"count/services": "0"}},
        }))?;
        let status =
            ["get", "resourcequota", "none", "--namespace", &test.namespace, "--output=jsonpath={.status.hard}"];
        wait::until("the quota counts", PATIENCE, async || {
            ensure!(test.cluster.kubectl(&status, "")?.contains("services"), "no status");
            Ok(())
        })
        .await?;
        refused(test, "QuotaExceeded", &["Service m", "quota"]).await?;
        all_but_the_service(test).await?;
        test.cluster.kubectl(&["delete", "resourcequota", "none", "--namespace", &test.namespace], "")?;
        test.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_is_down_keeps_back_what_it_is_asked_about_and_nothing_else() -> TestResult {
    fault_test("webhook-down", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 0)]).await?;
        test.clear().await?;
        test.cluster.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": test.namespace},
            "webhooks": [{
                "name": "services.example.com", "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 1,
                "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/no-server"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}],
            }],
        }))?;
        test.until_service_is_refused("probe").await?;
        let seen = refused(test, "AdmissionRefused", &["Service m", "services.example.com"]).await;
        let others = all_but_the_service(test).await;
        test.cluster.kubectl(&["delete", "validatingwebhookconfiguration", &test.namespace], "")?;
        seen.and(others)?;
        test.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_named_and_left_alone() -> TestResult {
    fault_test("name-taken", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 0)]).await?;
        test.clear().await?;
        let kinds = if dice::is_long() { 2 } else { 1 };
        for (kind, body) in foreign_objects(&test.namespace).into_iter().take(kinds) {
            test.cluster.apply(&body)?;
            let theirs = test.snapshot().await?;
            test.apply(&variant("m", 0)).await?;
            let message = test.until_condition("m", "SpecAccepted", "False NameConflict", PATIENCE).await?;
            ensure!(message.contains(&format!("{} m", kind.as_str())), "{message}");
            let key = format!("{} m", kind.as_str());
            let now = test.snapshot().await?;
            ensure!(now.get(&key) == theirs.get(&key), "the foreign {key} was changed");
            // Removing it lets the operator go on.
            test.children(kind).delete("m", &Default::default()).await?;
            test.until_same(&expected, RETRY).await?;
            test.clear().await?;
        }
        Ok(())
    })
    .await
}

fn foreign_objects(namespace: &str) -> Vec<(ChildKind, serde_json::Value)> {
    let metadata = json!({"name": "m", "namespace": namespace, "labels": {"theirs": "true"}});
    let labels = json!({"app": "theirs"});
    let container = json!({"name": "c", "image": "theirs"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    vec![
        (
            ChildKind::Deployment,
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
            }),
        ),
        (
            ChildKind::Service,
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 1}]},
            }),
        ),
    ]
}

/// A child that is refused keeps no other back.
async fn all_but_the_service(test: &FaultTest<'_>) -> Result<()> {
    let without = test.snapshot().await?;
    for kind in UNSCALED.iter().filter(|kind| **kind != ChildKind::Service) {
        let is_there = without.keys().any(|key| key.starts_with(&format!("{} m", kind.as_str())));
        ensure!(is_there, "the refused Service keeps the {} back", kind.as_str());
    }
    Ok(())
}

/// Applies the model, and waits for a condition with that reason, whose message holds these words.
async fn refused(test: &FaultTest<'_>, reason: &str, words: &[&str]) -> Result<()> {
    test.apply(&variant("m", 0)).await?;
    let message = test.until_condition("m", "SpecAccepted", &format!("False {reason}"), PATIENCE).await?;
    for word in words {
        ensure!(message.contains(word), "the message does not name {word}: {message}");
    }
    let ready = test.condition("m", "Ready").await.context("no condition Ready")?;
    ensure!(ready.starts_with("False"), "{ready}");
    ensure!(test.snapshot().await? != Snapshot::new(), "nothing was applied");
    Ok(())
}

//! The API server says no, for good reasons. The condition says why, the other children go on, and when the reason is
//! gone all comes in order by itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, Snapshot, VALUES, dice, on_stage, roles};
use belfry_e2e::{OPERATOR, Outcome, SYSTEM_NAMESPACE, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use serde_json::json;

/// How often a refused child is tried again, and some more.
const RETRY: Duration = secs(45);

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_its_return_is_noticed() -> Outcome {
    on_stage("right-missing", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 0)]).await?;
        act.clear().await?;
        let granted = roles(SYSTEM_NAMESPACE, VALUES)?;
        let services = "resources: [services, serviceaccounts]\n    verbs: [get, list, watch, create, patch]";
        ensure!(granted.contains(services), "the Role has changed: this test has to follow");
        let reduced = granted.replace(services, &services.replace(", create, patch", ""));
        act.stage.kubectl(&["apply", "--server-side", "--filename", "-"], &reduced)?;
        let user = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}");
        wait::until("the right is gone", PATIENCE, async || {
            let can = act.stage.kubectl(&["auth", "can-i", "patch", "serviceaccounts", "--as", &user], "");
            ensure!(can.is_err(), "it is there");
            Ok(())
        })
        .await?;
        let seen = refused(act, "Forbidden", &["serviceaccounts", "patch"]).await;
        act.stage.kubectl(&["apply", "--server-side", "--filename", "-"], &granted)?;
        seen?;
        act.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_quota_is_named_and_its_end_is_noticed() -> Outcome {
    on_stage("quota", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 0)]).await?;
        act.clear().await?;
        act.stage.apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": act.namespace},
            "spec": {"hard": {"count/services": "0"}},
        }))?;
        let status =
            ["get", "resourcequota", "none", "--namespace", &act.namespace, "--output=jsonpath={.status.hard}"];
        wait::until("the quota counts", PATIENCE, async || {
            ensure!(act.stage.kubectl(&status, "")?.contains("services"), "no status");
            Ok(())
        })
        .await?;
        refused(act, "QuotaExceeded", &["Service m", "quota"]).await?;
        all_but_the_service(act).await?;
        act.stage.kubectl(&["delete", "resourcequota", "none", "--namespace", &act.namespace], "")?;
        act.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_is_down_keeps_back_what_it_is_asked_about_and_nothing_else() -> Outcome {
    on_stage("webhook-down", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 0)]).await?;
        act.clear().await?;
        act.stage.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": act.namespace},
            "webhooks": [{
                "name": "services.example.com", "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 1,
                "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/no-server"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": act.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}],
            }],
        }))?;
        // The API server follows a new configuration with a delay.
        let probe = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe", "namespace": act.namespace},
            "spec": {"ports": [{"port": 1}]},
        });
        wait::until("the webhook is asked", PATIENCE, async || {
            let taken = act.stage.kubectl(&["create", "--dry-run=server", "--filename", "-"], &probe.to_string());
            ensure!(taken.is_err(), "it is not");
            Ok(())
        })
        .await?;
        let seen = refused(act, "AdmissionRefused", &["Service m", "services.example.com"]).await;
        let others = all_but_the_service(act).await;
        act.stage.kubectl(&["delete", "validatingwebhookconfiguration", &act.namespace], "")?;
        seen.and(others)?;
        act.until_same(&expected, RETRY).await
    })
    .await
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_named_and_left_alone() -> Outcome {
    on_stage("name-taken", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 0)]).await?;
        act.clear().await?;
        let kinds = if dice::is_long() { 2 } else { 1 };
        for (kind, body) in foreign_objects(&act.namespace).into_iter().take(kinds) {
            act.stage.apply(&body)?;
            let theirs = act.snapshot().await?;
            act.apply(&variant("m", 0)).await?;
            let message = act.until_condition("m", "SpecAccepted", "False NameConflict", PATIENCE).await?;
            ensure!(message.contains(&format!("{} m", kind.as_str())), "{message}");
            let key = format!("{} m", kind.as_str());
            let now = act.snapshot().await?;
            ensure!(now.get(&key) == theirs.get(&key), "the foreign {key} was changed");
            // Removing it lets the operator go on.
            act.children(kind).delete("m", &Default::default()).await?;
            act.until_same(&expected, RETRY).await?;
            act.clear().await?;
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
async fn all_but_the_service(act: &Act<'_>) -> Result<()> {
    let without = act.snapshot().await?;
    for kind in UNSCALED.iter().filter(|kind| **kind != ChildKind::Service) {
        let is_there = without.keys().any(|key| key.starts_with(&format!("{} m", kind.as_str())));
        ensure!(is_there, "the refused Service keeps the {} back", kind.as_str());
    }
    Ok(())
}

/// Applies the model, and waits for a condition with that reason, whose message holds these words.
async fn refused(act: &Act<'_>, reason: &str, words: &[&str]) -> Result<()> {
    act.apply(&variant("m", 0)).await?;
    let message = act.until_condition("m", "SpecAccepted", &format!("False {reason}"), PATIENCE).await?;
    for word in words {
        ensure!(message.contains(word), "the message does not name {word}: {message}");
    }
    let ready = act.condition("m", "Ready").await.context("no condition Ready")?;
    ensure!(ready.starts_with("False"), "{ready}");
    ensure!(act.snapshot().await? != Snapshot::new(), "nothing was applied");
    Ok(())
}

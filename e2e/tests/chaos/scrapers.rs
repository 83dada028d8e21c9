//! Who may read the operator's metrics, when that is asked for.

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::{Act, PATIENCE, on_stage};
use belfry_e2e::proxy::{Fault, Refusal};
use belfry_e2e::{Outcome, wait};
use serde_json::json;

#[tokio::test]
async fn metrics_are_shown_only_to_clients_that_may_read_them() -> Outcome {
    on_stage("scrapers", async |act| {
        act.operator.with(&["--metrics-authentication"]);
        act.operator.start().await?;
        for account in ["reader", "stranger", "late"] {
            act.stage.kubectl(&["create", "serviceaccount", account, "--namespace", &act.namespace], "")?;
        }
        act.stage.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": act.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "belfry-metrics-reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": act.namespace}],
        }))?;
        let token = |account: &str| act.stage.token(&act.namespace, account);
        let (reader, stranger, late) = (token("reader")?, token("stranger")?, token("late")?);
        // The right of the reader is known to the API server a moment after it is granted.
        let may = ["auth", "can-i", "get", "/metrics", "--as"];
        let reader_name = format!("system:serviceaccount:{}:reader", act.namespace);
        wait::until("the right is there", PATIENCE, async || {
            act.stage.kubectl(&[&may[..], &[reader_name.as_str()]].concat(), "")
        })
        .await?;

        ensure!(status(act, None)? == 401, "who shows nothing is answered with {}", status(act, None)?);
        ensure!(status(act, Some("nonsense"))? == 401, "nonsense is taken for a token");
        ensure!(status(act, Some(&stranger))? == 403, "who lacks the right is answered with {}", status(act, Some(&stranger))?);
        ensure!(status(act, Some(&reader))? == 200, "who has the right is answered with {}", status(act, Some(&reader))?);
        act.operator.is_ready().context("probes show no token")?;

        act.proxy.play(|call| call.resource.ends_with("reviews").then_some(Fault::Refuse(Refusal::new(503))));
        ensure!(status(act, Some(&late))? == 503, "without an API server the answer is {}", status(act, Some(&late))?);
        ensure!(status(act, Some(&reader))? == 200, "what is known is forgotten while the API server is away");
        act.proxy.behave();
        ensure!(status(act, Some(&late))? == 403, "an outage left an answer behind");
        Ok(())
    })
    .await
}

/// The status with which the operator answers who shows that token.
fn status(act: &Act<'_>, token: Option<&str>) -> Result<u16> {
    let header = token.map(|token| format!("Authorization: Bearer {token}")).unwrap_or_default();
    let answer = act.operator.get_with("/metrics", &header)?;
    let status = answer.split_whitespace().nth(1).context("no status")?.parse()?;
    ensure!((status == 200) == answer.contains("belfry_operator_"), "{status} with the wrong body");
    Ok(status)
}

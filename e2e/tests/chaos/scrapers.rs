//! Who may read the operator's metrics, when that is asked for.

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::proxy::{Fault, Refusal};
use belfry_e2e::{TestResult, wait};
use serde_json::json;

#[tokio::test]
async fn metrics_are_shown_only_to_clients_that_may_read_them() -> TestResult {
    fault_test("scrapers", async |test| {
        test.operator.with(&["--metrics-authentication"]);
        test.operator.start().await?;
        for account in ["reader", "stranger", "late"] {
            test.cluster.kubectl(&["create", "serviceaccount", account, "--namespace", &test.namespace], "")?;
        }
        test.cluster.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": test.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "belfry-metrics-reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": test.namespace}],
        }))?;
        let token = |account: &str| test.cluster.token(&test.namespace, account);
        let (reader, stranger, late) = (token("reader")?, token("stranger")?, token("late")?);
        // The right of the reader is known to the API server a moment after it is granted.
        let may = ["auth", "can-i", "get", "/metrics", "--as"];
        let reader_name = format!("system:serviceaccount:{}:reader", test.namespace);
        wait::until("the right is there", PATIENCE, async || {
            test.cluster.kubectl(&[&may[..], &[reader_name.as_str()]].concat(), "")
        })
        .await?;

        ensure!(status(test, None)? == 401, "who shows nothing is answered with {}", status(test, None)?);
        ensure!(status(test, Some("nonsense"))? == 401, "nonsense is taken for a token");
        ensure!(status(test, Some(&stranger))? == 403, "who lacks the right is answered with {}", status(test, Some(&stranger))?);
        ensure!(status(test, Some(&reader))? == 200, "who has the right is answered with {}", status(test, Some(&reader))?);
        test.operator.is_ready().context("probes show no token")?;

        test.proxy.play(|call| call.resource.ends_with("reviews").then_some(Fault::Refuse(Refusal::new(503))));
        ensure!(status(test, Some(&late))? == 503, "without an API server the answer is {}", status(test, Some(&late))?);
        ensure!(status(test, Some(&reader))? == 200, "what is known is forgotten while the API server is away");
        test.proxy.behave();
        ensure!(status(test, Some(&late))? == 403, "an outage left an answer behind");
        Ok(())
    })
    .await
}

/// The status with which the operator answers who shows that token.
fn status(test: &FaultTest<'_>, token: Option<&str>) -> Result<u16> {
    let header = token.map(|token| format!("Authorization: Bearer {token}")).unwrap_or_default();
    let answer = test.operator.get_with("/metrics", &header)?;
    let status = answer.split_whitespace().nth(1).context("no status")?.parse()?;
    ensure!((status == 200) == answer.contains("belfry_operator_"), "{status} with the wrong body");
    Ok(status)
}

//! Alerts about the operator itself, each rung by its fault: requests that get no answer, requests that are refused, watches that
//! break, and a lease that another holds. A condition must hold for seconds in place of the rule's minutes; windows are as they are.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_e2e::proxy::{Call, Fault, Refusal, Verb, WatchEnd};
use belfry_e2e::{SYSTEM_NAMESPACE, TestResult, secs, wait};
use belfry_operator::lease;
use belfry_render::monitoring;
use serde_json::json;

use crate::evaluated::{Files, in_seconds};

/// More than four times as many as the operator passes over at once: while each request takes its 30 s, the last wait for more than a minute.
const MODELS: usize = 70;

/// Such a minute, and what the rules need.
const LIMIT: Duration = secs(150);

const ALWAYS: &str = "InferenceWatchdog";

#[tokio::test]
async fn every_fault_of_the_operators_requests_watches_and_lease_rings_its_own_alert_and_no_other() -> TestResult {
    fault_test("operator-bells", async |test| {
        let folder = test.cluster.control_plane.place().0.join("operator-bells-prometheus");
        drop(fs::remove_dir_all(&folder));
        let files = Files::new(&folder)?;
        let mut watchdog = serde_json::to_value(monitoring::watchdog_rules())?;
        in_seconds(&mut watchdog);
        files.load(&watchdog["groups"], &json!([]))?;
        test.operator.start().await?;
        let config = files.config(&test.operator.address().to_string());
        let prometheus = OwnPrometheus::start(&folder.join("first"), &config).await?;
        test.apply(&variant("m0", 0)).await?;
        test.settled(PATIENCE).await?;
        only_ring(&prometheus, &[ALWAYS], PATIENCE).await?;

        test.proxy.play(|call| (call.verb == Verb::Patch).then_some(Fault::Swallow));
        for number in 0..MODELS {
            test.apply(&variant(&format!("m{number}"), 2)).await?;
        }
        let unanswered =
            ["InferenceModelStuck", "InferenceOperatorQueueStuck", "InferenceOperatorReconcileErrors", ALWAYS];
        only_ring(&prometheus, &unanswered, LIMIT).await?;
        test.clear_but("m0").await?;
        test.proxy.behave();
        test.settled(LIMIT).await?;

        is_refused_and_blind(test, &prometheus).await?;
        test.proxy.behave();
        test.settled(PATIENCE).await?;

        // Someone else's, and for longer than this test.
        test.operator.kill()?;
        test.cluster.apply(&json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": lease::NAME, "namespace": SYSTEM_NAMESPACE},
            "spec": {
                "holderIdentity": "another", "leaseDurationSeconds": 3600,
                "acquireTime": "2036-01-01T00:00:00.000000Z", "renewTime": "2036-01-01T00:00:00.000000Z",
            },
        }))?;
        test.operator.with(&["--leader-election", "--own-namespace", SYSTEM_NAMESPACE, "--identity", "waits"]);
        test.operator.spawn()?;
        until_rings(&prometheus, "InferenceOperatorNoLeader").await?;
        test.cluster.kubectl(&["delete", "lease", lease::NAME, "--namespace", SYSTEM_NAMESPACE], "")?;
        wait::until("InferenceOperatorNoLeader ends", PATIENCE, async || {
            ensure!(!ringing(&prometheus).await?.contains("InferenceOperatorNoLeader"), "it rings");
            Ok(())
        })
        .await
    })
    .await
}

/// A right that is missing, and watches that break off again and again.
async fn is_refused_and_blind(test: &FaultTest<'_>, prometheus: &OwnPrometheus) -> Result<()> {
    let is_it = |call: &Call| call.verb == Verb::Patch && call.resource == "services";
    test.proxy.play(move |call| is_it(call).then(|| Fault::Refuse(Refusal::new(403))));
    test.apply(&variant("m0", 1)).await?;
    test.cluster.kubectl(&["delete", "service", "m0", "--namespace", &test.namespace], "")?;
    let is_over = AtomicBool::new(false);
    let breaks = async {
        while !is_over.load(Ordering::Relaxed) {
            let mark = test.proxy.mark();
            // What ends regularly, or between two events, is no break.
            test.proxy.end_watches(WatchEnd::Garbage);
            wait::until("a watch runs again", PATIENCE, async || {
                test.proxy.since(mark).iter().find(|call| call.verb == Verb::Watch).map(drop).context("none")
            })
            .await?;
        }
        Ok(())
    };
    let heard = async {
        let heard = until_rings(prometheus, "InferenceOperatorWatchRestarts").await;
        let heard = heard.and(until_rings(prometheus, "InferenceOperatorRequestsRefused").await);
        is_over.store(true, Ordering::Relaxed);
        heard
    };
    tokio::try_join!(breaks, heard).map(drop)
}

/// Names of the firing alerts.
async fn ringing(prometheus: &OwnPrometheus) -> Result<BTreeSet<String>> {
    let alerts = prometheus.query(r#"ALERTS{alertstate="firing"}"#).await?;
    Ok(alerts.iter().filter_map(|alert| alert["metric"]["alertname"].as_str().map(str::to_owned)).collect())
}

async fn until_rings(prometheus: &OwnPrometheus, alert: &str) -> Result<()> {
    wait::until(&format!("{alert} rings"), LIMIT, async || {
        let ringing = ringing(prometheus).await?;
        ensure!(ringing.contains(alert), "{ringing:?}");
        Ok(())
    })
    .await
}

/// Waits until these alerts ring, and no others.
async fn only_ring(prometheus: &OwnPrometheus, alerts: &[&str], limit: Duration) -> Result<()> {
    let wanted: BTreeSet<_> = alerts.iter().map(|alert| (*alert).to_owned()).collect();
    wait::until(&format!("{alerts:?} ring, and no others"), limit, async || {
        let ringing = ringing(prometheus).await?;
        ensure!(ringing == wanted, "{ringing:?}");
        Ok(())
    })
    .await
}

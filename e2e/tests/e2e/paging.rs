//! A page that arrives: from a worker that dies, through the model's own rules, the real Prometheus, and the model's own
//! AlertmanagerConfig, to a webhook whose address stands in a Secret.

use std::time::Instant;

use anyhow::{Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_e2e::pager::Pager;
use belfry_e2e::{Namespace, TestResult, alertmanager, in_namespace, process, report, sample, secs};
use belfry_render::kind::ChildKind;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

const ALERT: &str = "InferenceModelDown";

/// The first sample with a webhook of its own.
async fn paged_model(ns: &Namespace, pager: &Pager) -> Result<InferenceModel> {
    let address = format!("http://{}:{}/", ns.cluster.node_address().await?, pager.server.port);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "paging"}, "stringData": {"address": address},
    });
    ns.apply::<Secret>(&secret).await?;
    let mut model = serde_json::to_value(sample("minilm")?)?;
    model["spec"]["observability"]["alertmanager"] = json!({
        "labels": {"release": "monitoring"},
        "groupInterval": "10s",
        "receivers": [{"name": "pager", "webhook": {"urlSecretRef": {"name": "paging", "key": "address"}}}],
    });
    Ok(serde_json::from_value(model)?)
}

#[tokio::test]
async fn a_model_that_is_down_pages_once_by_its_own_route_and_the_page_is_resolved() -> TestResult {
    in_namespace("paging", async |ns| {
        let folder = ns.volume_with_model().await?;
        let pager = Pager::start().await?;
        let model = ns.serve(&paged_model(ns, &pager).await?).await?;
        model.until_serving().await?;
        let applied = (ConditionType::MonitoringReady, ConditionStatus::True, Reason::ObjectsApplied);
        let message = model.until(applied, secs(30)).await?.message;
        ensure!(message.contains("AlertmanagerConfig"), "{message}");
        ns.children(ChildKind::AlertmanagerConfig).get(&model.name).await?;
        alertmanager::until_routed(&ns.cluster, &ns.name, &model.name, "pager", secs(240)).await?;
        model.until_rules_loaded().await?;
        model.until_scraped(1).await?;

        let fault = Instant::now();
        folder.remove("model.safetensors")?;
        process::kill_worker(&model.pod().await?)?;
        let page = pager.until("firing", ALERT, secs(120)).await?;
        report(&format!("{ALERT} paged after {:.0} s", fault.elapsed().as_secs_f64()));
        the_page_is_about_the_model(&page, &ns.name)?;
        // Alertmanager knows the consequences too, and sends no page for them.
        let down = model.until_alert(ALERT, secs(30)).await?;
        ensure!(down.labels.get("model").is_some_and(|name| *name == model.name), "{:?}", down.labels);

        folder.restore("model.safetensors")?;
        model.until(belfry_e2e::model::SERVING, secs(240)).await?;
        pager.until("resolved", ALERT, secs(180)).await?;
        consequences_were_not_paged(&pager.pages())
    })
    .await
}

fn the_page_is_about_the_model(page: &Value, namespace: &str) -> Result<()> {
    for (label, expected) in [("namespace", namespace), ("model", "minilm"), ("severity", "critical")] {
        ensure!(page["groupLabels"][label] == *expected, "group labels {}", page["groupLabels"]);
    }
    let alerts = page["alerts"].as_array().into_iter().flatten();
    let down = alerts.filter(|alert| alert["labels"]["alertname"] == *ALERT).count();
    ensure!(down == 1, "{down} times {ALERT} in {page}");
    Ok(())
}

/// An incident is one page. A warning may say why nothing answers. No page repeats in other words that nothing answers.
fn consequences_were_not_paged(pages: &[Value]) -> Result<()> {
    let critical = pages.iter().filter(|page| page["groupLabels"]["severity"] == "critical");
    let statuses: Vec<_> = critical.map(|page| page["status"].as_str().unwrap_or_default()).collect();
    ensure!(statuses == ["firing", "resolved"], "the pager rang for {statuses:?}");
    for alert in pages.iter().flat_map(|page| page["alerts"].as_array().into_iter().flatten()) {
        let (name, category) = (&alert["labels"]["alertname"], &alert["labels"]["category"]);
        let is_consequence = ["objective", "saturation"].iter().any(|one| category == one);
        ensure!(!is_consequence && *name != *"InferenceModelOutage", "{name} was paged");
    }
    Ok(())
}

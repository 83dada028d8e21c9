//! A worker that dies, and a worker that dies because its weights are gone.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_e2e::alertmanager::Alert;
use belfry_e2e::{Served, TestResult, in_namespace, operator, process, report, sample, secs, wait};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;

const FILE_MISSING: Reason = Reason::Load(LoadFailureReason::FileMissing);

#[tokio::test]
async fn a_killed_worker_comes_back_and_is_counted() -> TestResult {
    in_namespace("killed", async |ns| {
        let model = ns.serve_sample().await?;
        process::kill_worker(&model.pod().await?)?;
        let begun = Instant::now();
        wait::until("the kubelet has restarted the worker", secs(60), async || {
            let status = model.pod().await?.status.context("a pod without a status")?;
            let restarts: i32 = status.container_statuses.iter().flatten().map(|c| c.restart_count).sum();
            ensure!(restarts == 1, "{restarts} restarts");
            Ok(())
        })
        .await?;
        model.until_serving().await?;
        report(&format!("a killed worker answered again after {:.1} s", begun.elapsed().as_secs_f64()));
        model.embed(&["It answers again."]).await?;
        wait::until("the operator has counted the restart", secs(10), async || {
            let series = operator::series_about(&ns.cluster, &ns.name).await?;
            let restarts = series.iter().find(|line| line.starts_with("belfry_model_container_restarts_total"));
            ensure!(restarts.is_some_and(|line| line.ends_with(" 1")), "{restarts:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn lost_weights_are_explained_and_page_until_they_are_back() -> TestResult {
    in_namespace("weights", async |ns| {
        let folder = ns.volume_with_model().await?;
        let model = ns.serve(&sample("minilm")?).await?;
        model.until_serving().await?;
        model.until_rules_loaded().await?;
        model.until_scraped(1).await?;

        let fault = Instant::now();
        folder.remove("model.safetensors")?;
        process::kill_worker(&model.pod().await?)?;
        the_loss_is_explained(&model).await?;
        let alert = model.until_alert("InferenceModelDown", secs(90).saturating_sub(fault.elapsed())).await?;
        report(&format!("InferenceModelDown reached Alertmanager after {:.0} s", fault.elapsed().as_secs_f64()));
        the_alert_helps(&alert, &ns.name)?;

        let mended = Instant::now();
        folder.restore("model.safetensors")?;
        // The kubelet waits longer from one attempt to the next; nothing has to be restarted by hand.
        model.until(belfry_e2e::model::SERVING, secs(240)).await?;
        report(&format!("the model serves {:.0} s after the weights are back", mended.elapsed().as_secs_f64()));
        let ready = Instant::now();
        model.until_resolved("InferenceModelDown", secs(90)).await?;
        report(&format!("InferenceModelDown is resolved {:.0} s later", ready.elapsed().as_secs_f64()));
        model.embed(&["It answers again."]).await.map(drop)
    })
    .await
}

async fn the_loss_is_explained(model: &Served<'_>) -> Result<()> {
    let loaded = model.until((ConditionType::ModelLoaded, ConditionStatus::False, FILE_MISSING), secs(60)).await?;
    ensure!(loaded.message.contains("model.safetensors"), "the condition names no file: {}", loaded.message);
    ensure!(loaded.message.lines().count() == 1, "more than one line: {}", loaded.message);
    let status = model.get().await?.status.context("a model without a status")?;
    let failure = status.last_failure.context("status.lastFailure is not set")?;
    ensure!(failure.reason == FILE_MISSING.as_str(), "status.lastFailure.reason is {}", failure.reason);
    ensure!(failure.message.contains("model.safetensors"), "status.lastFailure names no file: {}", failure.message);
    wait::until("an event says so", secs(20), async || {
        let events = model.namespace.api::<Event>().list(&ListParams::default()).await?.items;
        let about_model =
            |event: &&Event| event.regarding.as_ref().is_some_and(|r| r.kind.as_deref() == Some("InferenceModel"));
        let of_reason = |event: &&Event| event.reason.as_deref() == Some(FILE_MISSING.as_str());
        let event = events.iter().filter(about_model).find(of_reason).context("there is none")?;
        ensure!(event.type_.as_deref() == Some("Warning"), "its type is {:?}", event.type_);
        let note = event.note.clone().unwrap_or_default();
        ensure!(note.contains("model.safetensors"), "it names no file: {note}");
        Ok(())
    })
    .await
}

fn the_alert_helps(alert: &Alert, namespace: &str) -> Result<()> {
    for (label, expected) in
        [("namespace", namespace), ("model", "minilm"), ("severity", "critical"), ("team", "search")]
    {
        let found = alert.labels.get(label).map(String::as_str);
        ensure!(found == Some(expected), "label {label} is {found:?}, and not {expected}");
    }
    let runbook = alert.annotations.get("runbook_url").map_or("", String::as_str);
    let page = format!("/InferenceModelDown.md?namespace={namespace}&model=minilm");
    ensure!(runbook.ends_with(&page), "runbook_url is {runbook:?}");
    let summary = alert.annotations.get("summary").map_or("", String::as_str);
    ensure!(summary.contains(namespace) && !summary.contains("{{"), "summary is {summary:?}");
    Ok(())
}

//! Invariant 2: converged means silent.

use anyhow::{Context, Result, ensure};
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_e2e::audit::{Audit, Entry};
use belfry_e2e::{Served, TestResult, UNSCALED, in_namespace, report, sample, secs, wait};
use kube::ResourceExt;
use kube::api::ListParams;

/// How long nothing may happen.
const SILENCE: std::time::Duration = secs(60);

#[tokio::test]
async fn a_converged_model_costs_the_api_server_nothing_but_watches() -> TestResult {
    in_namespace("silence", async |ns| {
        ns.volume_with_model().await?;
        let start = Audit::from_now(&ns.cluster)?;
        let model = ns.serve(&sample("minilm")?).await?;
        model.until_serving().await?;
        the_log_shows_what_the_operator_did(&start, &ns.name)?;

        // The operator asks Prometheus again and again, and writes when it says something else.
        for (type_, reason) in [
            (ConditionType::RulesEvaluating, Reason::RulesEvaluated),
            (ConditionType::TargetsUp, Reason::TargetsScraped),
        ] {
            model.until((type_, ConditionStatus::True, reason), secs(120)).await?;
        }
        // The last status and its event are written after the model is Ready.
        wait::until("the operator has finished", secs(60), async || {
            let since = Audit::from_now(&ns.cluster)?;
            wait::holds("silence", secs(5), async || silent(&since, &ns.name)).await
        })
        .await?;
        let before = versions(&model).await?;
        let since = Audit::from_now(&ns.cluster)?;
        wait::holds("silence", SILENCE, async || silent(&since, &ns.name)).await?;
        ensure!(versions(&model).await? == before, "objects changed: {before:?}");
        report(&format!("the operator was silent for {} s", SILENCE.as_secs()));
        Ok(())
    })
    .await
}

/// Without this, a log of other requests would look like silence.
fn the_log_shows_what_the_operator_did(since: &Audit, namespace: &str) -> Result<()> {
    let entries = since.of_operator()?;
    let writes = entries.iter().filter(|entry| entry.verb == "patch" && entry.object_ref.namespace == namespace);
    let written: Vec<_> = writes.map(|entry| entry.object_ref.resource.clone()).collect();
    for kind in UNSCALED {
        let plural = kind.api_resource().plural;
        ensure!(written.contains(&plural), "the audit log has no write of {plural}, only of {written:?}");
    }
    Ok(())
}

/// No request about the namespace, and none about all of them, but watches. Other tests run at the same time, and what
/// the operator does for their namespaces does not count.
fn silent(since: &Audit, namespace: &str) -> Result<()> {
    let about_it = |entry: &Entry| entry.object_ref.namespace.is_empty() || entry.object_ref.namespace == namespace;
    let noise = since.of_operator()?.into_iter().find(|entry| entry.verb != "watch" && about_it(entry));
    match noise {
        Some(entry) => anyhow::bail!("the operator asked {} {}", entry.verb, entry.uri),
        None => Ok(()),
    }
}

/// The model and its children, each with its version.
async fn versions(model: &Served<'_>) -> Result<Vec<String>> {
    let mut versions = vec![format!("InferenceModel {}", model.get().await?.resource_version().context("no version")?)];
    for kind in UNSCALED {
        for object in model.namespace.children(*kind).list(&ListParams::default()).await? {
            let version = object.resource_version().unwrap_or_default();
            versions.push(format!("{} {} {version}", kind.as_str(), object.name_any()));
        }
    }
    Ok(versions)
}

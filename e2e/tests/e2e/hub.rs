//! A model that comes from a hub, through the client that the real hub would see.

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_crds::inference_model::HuggingFaceSource;
use belfry_e2e::files::Server;
use belfry_e2e::hub::Repository;
use belfry_e2e::{Namespace, TestResult, in_namespace, report, sample, secs};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

fn source(model: &mut InferenceModel) -> Result<&mut HuggingFaceSource> {
    model.spec.model.source.hugging_face.as_deref_mut().context("the sample has no huggingFace source")
}

/// A hub with the sample's repository, the Secret with its token, and the sample with the hub's address.
async fn hub(ns: &Namespace) -> Result<(Server, InferenceModel)> {
    let mut model = sample("minilm-hub")?;
    let source = source(&mut model)?;
    let repository = Repository::of_folder(&ns.cluster.model_dir, &source.repo, &source.revision)?;
    let secret = source.token_secret_ref.clone().context("the sample has no tokenSecretRef")?;
    let object = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": secret.name}, "stringData": {secret.key: repository.token},
    });
    ns.apply::<Secret>(&object).await?;
    let hub = repository.serve().await?;
    source.endpoint = Some(format!("http://{}:{}", ns.cluster.node_address().await?, hub.port));
    Ok((hub, model))
}

#[tokio::test]
async fn a_model_is_downloaded_and_serves() -> TestResult {
    in_namespace("hub", async |ns| {
        let (_hub, model) = hub(ns).await?;
        let model = ns.serve(&model).await?;
        let took = model.until_serving().await?;
        report(&format!("a model from a hub is Ready after {:.1} s", took.as_secs_f64()));
        let vector = model.embed(&["A text."]).await?.pop().context("no vector")?;
        ensure!(vector.len() == 384, "{} dimensions", vector.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_revision_that_the_hub_does_not_know_is_named() -> TestResult {
    in_namespace("hub-revision", async |ns| {
        let (_hub, mut model) = hub(ns).await?;
        source(&mut model)?.revision = "no-such-branch".into();
        let message = load_failure(ns, &model, LoadFailureReason::RevisionNotFound).await?;
        for part in ["sentence-transformers/all-MiniLM-L6-v2", "no-such-branch"] {
            ensure!(message.contains(part), "the message does not name {part}: {message}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_hub_that_wants_a_token_is_explained() -> TestResult {
    in_namespace("hub-token", async |ns| {
        let (_hub, mut model) = hub(ns).await?;
        source(&mut model)?.token_secret_ref = None;
        let message = load_failure(ns, &model, LoadFailureReason::AuthFailed).await?;
        for part in ["401", "token"] {
            ensure!(message.contains(part), "the message does not name {part}: {message}");
        }
        Ok(())
    })
    .await
}

/// The one line with which the worker ends.
async fn load_failure(ns: &Namespace, model: &InferenceModel, reason: LoadFailureReason) -> Result<String> {
    let model = ns.serve(model).await?;
    let expected = (ConditionType::ModelLoaded, ConditionStatus::False, Reason::Load(reason));
    let message = model.until(expected, secs(60)).await?.message;
    ensure!(message.lines().count() == 1, "more than one line: {message}");
    Ok(message)
}

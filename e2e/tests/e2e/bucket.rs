//! A model that comes from a bucket, and one that is not the model that its digest names.

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_crds::inference_model::SecretKeyRef;
use belfry_e2e::bucket::Bucket;
use belfry_e2e::files::Server;
use belfry_e2e::tls::Certificate;
use belfry_e2e::{Namespace, TestResult, in_namespace, report, sample, secs, wait};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

/// A bucket with the sample's folder, the Secrets with its key and with the authority that signed its certificate, and the
/// sample with the bucket's address. One pod keeps what it downloads, because the cluster has no claim that many could write to.
async fn bucket(ns: &Namespace) -> Result<(Server, InferenceModel)> {
    let mut model = sample("minilm-s3")?;
    model.spec.replicas = Some(1);
    model.spec.model.cache = None;
    let source = model.spec.model.source.s3.as_mut().context("the sample has no s3 source")?;
    let bucket = Bucket::of_folder(&ns.cluster.model_dir, &source.uri)?;
    let secret = source.credentials_secret_ref.clone().context("the sample has no credentialsSecretRef")?;
    let id = secret.access_key_id_key.unwrap_or_else(|| "AWS_ACCESS_KEY_ID".into());
    let key = secret.secret_access_key_key.unwrap_or_else(|| "AWS_SECRET_ACCESS_KEY".into());
    let object = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": secret.name}, "stringData": {id: bucket.access_key_id, key: "secret"},
    });
    ns.apply::<Secret>(&object).await?;
    let address = ns.cluster.node_address().await?;
    let certificate = Certificate::of(&address)?;
    let server = bucket.serve(&certificate).await?;
    source.endpoint = Some(format!("https://{address}:{}", server.port));
    let authorities = model.spec.model.ca_bundle.as_ref().and_then(|bundle| bundle.secret_key_ref.as_ref());
    let SecretKeyRef { name, key } = authorities.context("the sample has no caBundle in a Secret")?;
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key.as_str(): certificate.pem},
    });
    ns.apply::<Secret>(&object).await?;
    Ok((server, model))
}

#[tokio::test]
async fn a_folder_in_a_bucket_is_downloaded_checked_and_serves() -> TestResult {
    in_namespace("bucket", async |ns| {
        let (_server, model) = bucket(ns).await?;
        ensure!(model.spec.model.sha256.is_some(), "the sample has no digest");
        let model = ns.serve(&model).await?;
        let took = model.until_serving().await?;
        report(&format!("a model from a bucket is Ready after {:.1} s", took.as_secs_f64()));
        let vector = model.embed(&["A text."]).await?.pop().context("no vector")?;
        ensure!(vector.len() == 384, "{} dimensions", vector.len());
        wait::until("the status says what the worker loaded", secs(60), async || {
            let found = model.get().await?;
            let status = found.status.and_then(|status| status.model).context("no status")?;
            let loaded = status.loaded.first().context("nothing is loaded")?;
            ensure!(found.spec.model.sha256.as_ref() == Some(&loaded.sha256), "{loaded:?}");
            ensure!((loaded.replicas, status.loaded.len()) == (1, 1), "{:?}", status.loaded);
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_bucket_of_an_unknown_authority_is_refused_with_the_field_that_names_it() -> TestResult {
    in_namespace("bucket-authority", async |ns| {
        let (_server, mut model) = bucket(ns).await?;
        model.spec.model.ca_bundle = None;
        let model = ns.serve(&model).await?;
        let reason = Reason::Load(LoadFailureReason::DownloadFailed);
        let message =
            model.until((ConditionType::ModelLoaded, ConditionStatus::False, reason), secs(60)).await?.message;
        ensure!(message.contains("spec.model.caBundle"), "the message does not name the field: {message}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_model_with_another_digest_is_refused_by_both_names() -> TestResult {
    in_namespace("bucket-digest", async |ns| {
        let (_server, mut model) = bucket(ns).await?;
        let right = model.spec.model.sha256.replace("0".repeat(64)).context("the sample has no digest")?;
        let model = ns.serve(&model).await?;
        let reason = Reason::Load(LoadFailureReason::DigestMismatch);
        let message =
            model.until((ConditionType::ModelLoaded, ConditionStatus::False, reason), secs(60)).await?.message;
        for part in [right, "0".repeat(64)] {
            ensure!(message.contains(&part), "the message does not name {part}: {message}");
        }
        ensure!(message.lines().count() == 1, "more than one line: {message}");
        Ok(())
    })
    .await
}

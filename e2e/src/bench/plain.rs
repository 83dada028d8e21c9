//! The limit: a plain client that sends what the operator would send, as fast as the API server takes it.
//!
//! The bodies come from the operator's pure half and are made before the clock starts, so that the client costs the
//! machine as little as a client can.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_operator::apply::Applied;
use belfry_operator::evaluation::Evaluated;
use belfry_operator::observe::Selection;
use belfry_operator::status::{Facts, Pass, ScalingFacts, status};
use belfry_render::children::metadata::MANAGER;
use belfry_render::settings::Settings;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::DynamicObject;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::{operator, sample};

/// Models in a namespace. Kubernetes' own controllers look at every Service and every budget of a namespace for each pod, so that ten
/// thousand in one would measure them.
pub(super) const IN_A_NAMESPACE: usize = 100;

/// Seconds.
const DAY: i32 = 24 * 60 * 60;

/// As many models as are asked for, `m-00000` and so on, from a sample, each in the namespace for its number.
pub(super) fn models(
    sample_name: &str,
    namespace: impl Fn(usize) -> String,
    count: usize,
) -> Result<Vec<InferenceModel>> {
    let mut model = sample(sample_name)?;
    // There is no node, so that no pod starts. By default each Deployment would say after 15 minutes that it makes no progress, and the
    // models would be at rest only when all had.
    model.spec.probes.get_or_insert_default().startup_budget_seconds = Some(DAY);
    let numbered = |number| {
        let mut model = model.clone();
        model.metadata.name = Some(name(number));
        model.metadata.namespace = Some(namespace(number));
        model
    };
    Ok((0..count).map(numbered).collect())
}

/// Name of a model by its number.
pub(super) fn name(number: usize) -> String {
    format!("m-{number:05}")
}

/// Namespace of a model by its number.
pub(super) fn namespace(number: usize) -> String {
    format!("models-{:03}", number / IN_A_NAMESPACE)
}

/// Creates models, and returns them as the API server did.
#[allow(clippy::disallowed_methods, reason = "users' models are created, not applied by the operator")]
pub(super) async fn create(
    client: &Client,
    models: Vec<InferenceModel>,
    at_once: usize,
) -> Result<Vec<InferenceModel>> {
    let create = |model: InferenceModel| async move {
        let api: Api<InferenceModel> = Api::namespaced(client.clone(), &model.namespace().unwrap_or_default());
        api.create(&PostParams::default(), &model).await.with_context(|| format!("can't create {}", model.name_any()))
    };
    stream::iter(models).map(create).buffer_unordered(at_once).try_collect().await
}

/// The requests that give these models their children, and the first status that the operator would write.
pub(super) fn requests(models: &[InferenceModel]) -> Result<Vec<Request<Body>>> {
    let settings = Settings::default();
    let mut requests = vec![];
    for model in models {
        let namespace = model.namespace();
        for child in operator::render(model, &settings)? {
            let resource = child.kind().api_resource();
            let Some(object) = child.object else { continue };
            let url = DynamicObject::url_path(&resource, namespace.as_deref());
            let request = kube::core::Request::new(url);
            requests.push(request.patch(&child.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))?);
        }
        requests.push(status_patch(model, &settings)?);
    }
    // A path and query that come from the API have no host; the client adds its own.
    Ok(requests.into_iter().map(|request| request.map(Body::from)).collect())
}

fn status_patch(model: &InferenceModel, settings: &Settings) -> Result<Request<Vec<u8>>> {
    let valid = operator::valid(model, settings)?;
    let pass = Pass::Applied { model: Box::new(valid), applied: Box::new(Applied::default()) };
    let scaling = ScalingFacts::default();
    let facts = Facts {
        generation: model.metadata.generation,
        pass: &pass,
        deployment: None,
        scaling: &scaling,
        pods: &[],
        selection: Selection::Unknown,
        evaluated: Evaluated::NotAsked,
        identities: None,
    };
    let body = json!({
        "apiVersion": InferenceModel::api_version(&()),
        "kind": InferenceModel::kind(&()),
        "metadata": {"name": model.name_any()},
        "status": status(&facts, None, Timestamp::now()),
    });
    let url = DynamicObject::url_path(&ApiResource::erase::<InferenceModel>(&()), model.namespace().as_deref());
    let params = PatchParams::apply(&format!("{MANAGER}-status")).force();
    Ok(kube::core::Request::new(url).patch_subresource("status", &model.name_any(), &params, &Patch::Apply(body))?)
}

/// Sends the requests, that many at once, and returns how long it took until the last was answered.
pub(super) async fn send(client: &Client, requests: Vec<Request<Body>>, at_once: usize) -> Result<Duration> {
    let begun = Instant::now();
    let sent = stream::iter(requests).map(|request| one(client.clone(), request)).buffer_unordered(at_once);
    sent.try_collect::<()>().await?;
    Ok(begun.elapsed())
}

async fn one(client: Client, request: Request<Body>) -> Result<()> {
    let what: (Method, String) = (request.method().clone(), request.uri().path().to_owned());
    let response = client.send(request).await?;
    let status = response.status();
    // Only a body that was read leaves its connection to the next request.
    let body = response.into_body().collect_bytes().await?;
    ensure!(status.is_success(), "{} {}: {status}: {}", what.0, what.1, String::from_utf8_lossy(&body));
    Ok(())
}

//! What is sent for a child that the cache does not know, to an API server with one object or none.

use std::convert::Infallible;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::apply::Disputes;
use crate::drift::Drift;
use crate::metrics::Metrics;
use crate::observe::{Cache, Cause, ModelKey};
use belfry_render::children::child;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;

fn model() -> ValidModel {
    let object = json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
        "metadata": {"name": "minilm", "namespace": "search", "uid": "ours"},
        "spec": {"task": "Embedding", "model": {"source": {"huggingFace": {"repo": "owner/name", "revision": "main"}}}},
    });
    let model: InferenceModel = serde_json::from_value(object).unwrap();
    validate(&model, &Settings::default()).unwrap()
}

/// The answer of an API server that holds an object of that owner, as a real one gives it: a version that is not the
/// object's is a conflict.
fn answer(method: &Method, sent: &Value, owner: Option<&str>) -> (u16, Value) {
    let failure = |code| (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"}));
    let has_version = sent.pointer("/metadata/resourceVersion").is_some();
    match (method, owner) {
        (&Method::GET, None) => failure(404),
        (&Method::GET, Some(uid)) => {
            let owner = json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid, "controller": true});
            let metadata = json!({"name": "minilm", "ownerReferences": [owner]});
            (200, json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}))
        }
        (_, Some(_)) if has_version => failure(409),
        _ => (200, sent.clone()),
    }
}

/// Creates a child where there is an object of that owner, and returns what was asked for.
async fn create_beside(owner: Option<&'static str>) -> (Outcome, Vec<&'static str>) {
    let asked = Arc::new(Mutex::new(vec![]));
    let log = asked.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let log = log.clone();
        async move {
            let (parts, body) = request.into_parts();
            let sent: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
            log.lock().push(match (&parts.method, sent.pointer("/metadata/resourceVersion")) {
                (&Method::PATCH, Some(_)) => "apply if new",
                (&Method::PATCH, None) => "apply",
                _ => "read",
            });
            let (code, answer) = answer(&parts.method, &sent, owner);
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    let (client, cache) = (Client::new(server, "search"), Arc::new(Cache::default()));
    let (metrics, model, key) = (Metrics::new().unwrap(), model(), ModelKey::default());
    let drift = Drift::new(Settings::default());
    let cause = Cause::Start;
    let disputes = Disputes::new(std::time::Instant::now());
    let context = Context {
        client: &client,
        cache: &cache,
        drift: &drift,
        metrics: &metrics,
        disputes: &disputes,
        key: &key,
        cause,
    };
    let shell = ChildRequests { model: &model, context: &context };
    let outcome = shell.carry_out(Plan::Create, child(Role::Address, &model).unwrap()).await;
    let asked = asked.lock().clone();
    (outcome, asked)
}

#[tokio::test]
async fn a_new_child_costs_one_request() {
    let (outcome, asked) = create_beside(None).await;
    assert!(outcome.is_ok());
    assert_eq!(asked, ["apply if new"]);
}

#[tokio::test]
async fn an_object_of_another_owner_is_never_written() {
    let (outcome, asked) = create_beside(Some("other")).await;
    assert!(matches!(outcome, Err(Failure::Refused(RefusalCause::NameConflict))));
    assert_eq!(asked, ["apply if new", "read"]);
}

#[tokio::test]
async fn a_child_that_the_cache_does_not_know_yet_is_applied() {
    let (outcome, asked) = create_beside(Some("ours")).await;
    assert!(outcome.is_ok());
    assert_eq!(asked, ["apply if new", "read", "apply"]);
}

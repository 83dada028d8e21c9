//! `external.metrics.k8s.io/v1beta1`, as far as a HorizontalPodAutoscaler asks for it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use belfry_crds::contract::MODEL_LABEL;
use belfry_crds::inference_model::ScalingMetricType;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Scaling, metric_value};
use crate::observe::ModelKey;

/// API group.
pub(super) const GROUP: &str = "external.metrics.k8s.io";

/// Version of the group.
pub(super) const VERSION: &str = "v1beta1";

/// The routes. There is no `/apis`: the API server would take it for a discovery of another shape, and asks by group
/// where it is missing.
pub(super) fn router(scaling: Arc<Scaling>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route(&format!("/apis/{GROUP}"), get(|| async { Json(group()) }))
        .route(&format!("/apis/{GROUP}/{VERSION}"), get(|| async { Json(resources()) }))
        .route(&format!("/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{{metric}}"), get(metric))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "NotFound", "there is nothing here") })
        .with_state(scaling)
}

fn group() -> Value {
    let version = json!({"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version})
}

fn resources() -> Value {
    let resource = |type_: &ScalingMetricType| {
        let name = type_.external_name();
        json!({"name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]})
    };
    let resources: Vec<_> = ScalingMetricType::ALL.iter().map(resource).collect();
    let version = format!("{GROUP}/{VERSION}");
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    #[serde(default)]
    label_selector: String,
}

/// An empty list where no value can be had: the HorizontalPodAutoscaler then keeps the number of replicas.
async fn metric(
    State(scaling): State<Arc<Scaling>>,
    Path((namespace, metric)): Path<(String, String)>,
    Query(selection): Query<Selection>,
) -> Response {
    let Some(type_) = ScalingMetricType::ALL.iter().copied().find(|type_| type_.external_name() == metric) else {
        return refused(StatusCode::NOT_FOUND, "NotFound", &format!("there is no metric {metric}"));
    };
    let Some(model) = model_of(&selection.label_selector) else {
        let text =
            format!("labelSelector: {MODEL_LABEL}=MODEL names the model, and {:?} does not", selection.label_selector);
        return refused(StatusCode::BAD_REQUEST, "BadRequest", &text);
    };
    let key = ModelKey::new(&namespace, model);
    let item = scaling.value(&key, type_).await.map(|found| {
        json!({
            "metricName": metric,
            "metricLabels": {MODEL_LABEL: model},
            "timestamp": Timestamp::now().to_string(),
            "value": metric_value::quantity(found),
        })
    });
    let items: Vec<_> = item.into_iter().collect();
    let version = format!("{GROUP}/{VERSION}");
    Json(json!({"kind": "ExternalMetricValueList", "apiVersion": version, "metadata": {}, "items": items}))
        .into_response()
}

/// The model that a selector names. The operator writes the selectors, so that other forms need not be understood.
fn model_of(selector: &str) -> Option<&str> {
    let name = selector.strip_prefix(MODEL_LABEL)?.strip_prefix('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name.then_some(name)
}

fn refused(status: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": status.as_u16(),
    });
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_one_model_or_is_refused() {
        assert_eq!(model_of("belfry.dev/model=minilm-2"), Some("minilm-2"));
        for other in
            ["", "belfry.dev/model", "belfry.dev/model=", "belfry.dev/model=a,b=c", "a=b", "belfry.dev/model!=a"]
        {
            assert_eq!(model_of(other), None, "{other}");
        }
    }

    #[test]
    fn discovery_names_every_metric() {
        let listed = resources();
        let names: Vec<_> =
            listed["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
        let expected: Vec<_> = ScalingMetricType::ALL.iter().map(|type_| type_.external_name()).collect();
        assert_eq!(names, expected);
        assert_eq!(listed["groupVersion"], json!("external.metrics.k8s.io/v1beta1"));
    }
}

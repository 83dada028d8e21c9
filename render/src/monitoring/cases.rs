//! What each alert must do: fire on its fault, stay quiet on what looks like it, and resolve.
//!
//! Four steps are a minute; see [`super::rule_test`].

use belfry_crds::contract::metrics;

use super::promql::{Level, Scope, Total};
use super::rule_test::Expected;
use crate::model::ValidModel;

pub(super) mod api_server;
pub(super) mod availability;
pub(super) mod lifecycle;
pub(super) mod objectives;
pub(super) mod operator;
pub(super) mod passes;
pub(super) mod pods;
pub(super) mod saturation;
pub(super) mod telemetry;

/// Two pods of the model.
const POD_A: &str = "minilm-a";
const POD_B: &str = "minilm-b";

fn replicas(model: &ValidModel, state: &str) -> Level {
    Scope::model(model).gauge(&metrics::MODEL_REPLICAS).eq("state", state)
}

fn waiting(model: &ValidModel, reason: &str) -> Level {
    Scope::model(model).gauge(&metrics::MODEL_WAITING).eq("reason", reason)
}

fn condition(model: &ValidModel, [type_, status, reason]: [&str; 3]) -> Level {
    Scope::model(model).gauge(&metrics::MODEL_CONDITION).eq("type", type_).eq("status", status).eq("reason", reason)
}

fn up(model: &ValidModel, pod: &str) -> Level {
    Scope::model(model).up().eq("pod", pod)
}

/// Requests that pod A answered.
fn requests(model: &ValidModel, status: &str, reason: &str) -> Total {
    let requests =
        Scope::model(model).counter(&metrics::REQUESTS).eq("pod", POD_A).eq("endpoint", metrics::ENDPOINTS[0]);
    requests.eq("status", status).eq("reason", reason)
}

fn expected(labels: &[(&'static str, &'static str)], summary: &str, description: &str) -> Expected {
    Expected { labels: labels.to_vec(), summary: summary.into(), description: description.into() }
}

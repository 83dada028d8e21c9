//! Triton Inference Server. Names: src/metric_model_reporter.cc of triton-inference-server/core; failures have a reason since
//! release 24.06, and each is there from the start, with 0. Times are counters of microseconds without buckets, so no latency
//! objective can be measured.
//!
//! A request counts once it is in a queue: one that finds the queue full, one for an unknown model and one that is not valid
//! count as nothing. A backend says itself whether a request failed, and the Python backend says so only of what is raised.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

pub(super) fn mappings() -> Vec<Mapping> {
    let failed = |cause: &str, status: &str, reason: &str| {
        Mapping::new(&metrics::REQUESTS, EngineSeries::new("nv_inference_request_failure").equal("reason", cause))
            .standing_for("status", status)
            .standing_for("reason", reason)
    };
    vec![
        Mapping::new(&metrics::REQUESTS, EngineSeries::new("nv_inference_request_success"))
            .standing_for("status", "200")
            .standing_for("reason", "ok"),
        // It waited for longer than the model's settings allow.
        failed("REJECTED", "503", "deadline_exceeded"),
        failed("CANCELED", "499", "client_closed_request"),
        failed("BACKEND", "500", "inference_failed"),
        failed("OTHER", "500", "inference_failed"),
        Mapping::new(&metrics::QUEUE_DEPTH, EngineSeries::new("nv_inference_pending_request_count")),
    ]
}

//! Triton Inference Server. Names: docs/user_guide/metrics.md of triton-inference-server/server; failures have a reason since
//! release 24.06. Times are counters of microseconds without buckets, so no latency objective can be measured.

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
        // The scheduler dropped the request: its queue was full, or the request waited for too long.
        failed("REJECTED", "503", "queue_full"),
        failed("CANCELED", "499", "client_closed_request"),
        failed("BACKEND", "500", "inference_failed"),
        failed("OTHER", "500", "inference_failed"),
        Mapping::new(&metrics::QUEUE_DEPTH, EngineSeries::new("nv_inference_pending_request_count")),
    ]
}

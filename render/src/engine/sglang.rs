//! SGLang with `--enable-metrics`. Names: srt/observability/metrics_collector.py of the package sglang. Only newer releases count
//! answers by status (`sglang:http_responses_total`), so availability is not measured: on an older one it would always read as 100 %.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

pub(super) fn mappings() -> Vec<Mapping> {
    let waiting = || EngineSeries::new("sglang:num_queue_reqs");
    vec![
        // The bucket bounds differ between releases; all of them have these two.
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("sglang:e2e_request_latency_seconds"))
            .standing_for("phase", "total")
            .thresholds(&["1s", "10s"]),
        Mapping::new(&metrics::TOKENS, EngineSeries::new("sglang:prompt_tokens_total")).standing_for("type", "input"),
        Mapping::new(&metrics::QUEUE_DEPTH, waiting()),
        Mapping::new(&metrics::ACTIVE_REQUESTS, EngineSeries::new("sglang:num_running_reqs")).and(waiting()),
    ]
}

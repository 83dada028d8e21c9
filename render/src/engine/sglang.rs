//! SGLang with `--enable-metrics`, from release 0.5.6.post2 on. Names: srt/observability/metrics_collector.py of the package sglang; answers by
//! status: `add_prometheus_track_response_middleware` of srt/utils/common.py, in older releases not there.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

/// Routes that count as inference. SGLang counts all of its routes, that of the metrics too.
const INFERENCE: &str =
    "/generate|/encode|/classify|/v1/((chat/)?completions|responses|embeddings|classify|score|rerank)";

pub(super) fn mappings() -> Vec<Mapping> {
    let answered = |class: &str, status: &str| {
        let series = EngineSeries::new("sglang:http_responses_total").like("endpoint", INFERENCE);
        Mapping::new(&metrics::REQUESTS, series.like("status_code", class)).standing_for("status", status)
    };
    let waiting = || EngineSeries::new("sglang:num_queue_reqs");
    vec![
        answered("2..", "200"),
        answered("4..", "400"),
        // A full queue is a 503.
        answered("5..", "500"),
        // The bucket bounds differ between releases; all of them have these two.
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("sglang:e2e_request_latency_seconds"))
            .standing_for("phase", "total")
            .thresholds(&["1s", "10s"]),
        Mapping::new(&metrics::TOKENS, EngineSeries::new("sglang:prompt_tokens_total")).standing_for("type", "input"),
        Mapping::new(&metrics::QUEUE_DEPTH, waiting()),
        Mapping::new(&metrics::ACTIVE_REQUESTS, EngineSeries::new("sglang:num_running_reqs")).and(waiting()),
    ]
}

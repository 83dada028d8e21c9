//! vLLM. Names: vllm/v1/metrics/loggers.py of vllm-project/vllm; `http_requests_total` comes from its instrumentation of FastAPI,
//! which counts by class of status only. What a handler raises counts there as 5xx, also where the answer is a 404 or a 400: an
//! unknown model, for one. Everything else counts texts, of which a request may have several.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

/// Routes that count as inference. The instrumentation also counts the routes for models and tokenizers.
const INFERENCE: &str =
    "/v1/(chat/)?completions|/v1/responses|/v1/embeddings|/v2/embed|/pooling|/classify|(/v1)?/score|(/v[12])?/rerank";

pub(super) fn mappings() -> Vec<Mapping> {
    let answered = |class: &str, status: &str| {
        let series = EngineSeries::new("http_requests_total").like("handler", INFERENCE).equal("status", class);
        Mapping::new(&metrics::REQUESTS, series).standing_for("status", status)
    };
    let waiting = || EngineSeries::new("vllm:num_requests_waiting");
    vec![
        answered("2xx", "200"),
        answered("4xx", "400"),
        answered("5xx", "500"),
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("vllm:e2e_request_latency_seconds"))
            .standing_for("phase", "total")
            .thresholds(&["500ms", "1s", "2500ms", "5s", "10s", "30s"]),
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("vllm:request_queue_time_seconds"))
            .standing_for("phase", "queue"),
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("vllm:request_inference_time_seconds"))
            .standing_for("phase", "inference"),
        Mapping::new(&metrics::TOKENS, EngineSeries::new("vllm:prompt_tokens_total")).standing_for("type", "input"),
        Mapping::new(&metrics::BATCH_TOKENS, EngineSeries::new("vllm:iteration_tokens_total")),
        Mapping::new(&metrics::QUEUE_DEPTH, waiting()),
        Mapping::new(&metrics::ACTIVE_REQUESTS, EngineSeries::new("vllm:num_requests_running")).and(waiting()),
    ]
}

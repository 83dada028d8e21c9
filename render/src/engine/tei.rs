//! text-embeddings-inference. Names: core/src/infer.rs, core/src/queue.rs and router/src of
//! huggingface/text-embeddings-inference. Its duration buckets are powers of 1.5 and match no threshold of the API, so
//! no latency objective can be measured.
//!
//! Failures in tokenizer, queue and model are counted by text, and so are the successes of `te_embed_success` and, for rerankers and
//! classifiers, `te_predict_success`. `te_request_success` counts requests, and no `/predict` of a single text: a share of failures of it
//! would be too large. A counter is there from its first event on.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

pub(super) fn mappings() -> Vec<Mapping> {
    let failed = |error: &str, status: &str, reason: &str| {
        Mapping::new(&metrics::REQUESTS, EngineSeries::new("te_request_failure").equal("err", error))
            .standing_for("status", status)
            .standing_for("reason", reason)
    };
    let refused = |errors: &str, status: &str, reason: &str| {
        Mapping::new(&metrics::REQUESTS, EngineSeries::new("te_request_failure").like("err", errors))
            .standing_for("status", status)
            .standing_for("reason", reason)
    };
    let time = |name: &str, phase: &str| {
        Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new(name)).standing_for("phase", phase)
    };
    vec![
        Mapping::new(&metrics::REQUESTS, EngineSeries::new("te_embed_success"))
            .and(EngineSeries::new("te_predict_success"))
            .standing_for("status", "200")
            .standing_for("reason", "ok"),
        failed("overloaded", "429", "queue_full"),
        refused("validation|model_type", "422", "invalid_input"),
        failed("tokenization", "422", "input_too_long"),
        failed("batch_size", "422", "too_many_inputs"),
        // Callers get a 424 for this, but the model is what failed.
        failed("inference", "500", "inference_failed"),
        failed("dropped", "499", "client_closed_request"),
        time("te_request_duration", "total"),
        time("te_request_tokenization_duration", "tokenize"),
        time("te_request_queue_duration", "queue"),
        time("te_request_inference_duration", "inference"),
        Mapping::new(&metrics::BATCH_SIZE, EngineSeries::new("te_batch_next_size")),
        Mapping::new(&metrics::BATCH_TOKENS, EngineSeries::new("te_batch_next_tokens")),
        Mapping::new(&metrics::QUEUE_DEPTH, EngineSeries::new("te_queue_size")),
    ]
}

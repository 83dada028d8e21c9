//! The server of llama.cpp with `--metrics`. Names: `to_metrics` in tools/server/server-task.cpp of ggml-org/llama.cpp. It counts
//! neither answers nor their time, so no objective can be measured.
//!
//! Each text of a request is a task of its own, so both gauges count texts. Numbers have six digits: of more than a million
//! tokens the counter moves in steps of ten, of more than a billion in steps of ten thousand.

use belfry_crds::contract::metrics;

use super::{EngineSeries, Mapping};

pub(super) fn mappings() -> Vec<Mapping> {
    let waiting = || EngineSeries::new("llamacpp:requests_deferred");
    vec![
        Mapping::new(&metrics::TOKENS, EngineSeries::new("llamacpp:prompt_tokens_total")).standing_for("type", "input"),
        Mapping::new(&metrics::QUEUE_DEPTH, waiting()),
        Mapping::new(&metrics::ACTIVE_REQUESTS, EngineSeries::new("llamacpp:requests_processing")).and(waiting()),
    ]
}

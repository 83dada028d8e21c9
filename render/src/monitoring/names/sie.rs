//! Names of SIE, the Superlinked inference engine.

use belfry_crds::contract::metrics;

use super::{Names, histogram, rule, without};
use crate::monitoring::promql::SeriesOf;

pub(super) fn names() -> Names {
    let all = SeriesOf::any();
    let requests = || all.counter(&metrics::REQUESTS);
    let answered = |requests| without(&["status", "reason"], requests);
    let mut rules = vec![
        rule("sie_requests_total", &[("status", "success")], answered(requests().matching("status", "2.."))),
        rule("sie_requests_total", &[("status", "error")], answered(requests().matching("status", "[345].."))),
        rule("sie_tokens_processed_total", &[], without(&["type"], all.counter(&metrics::TOKENS))),
        rule("sie_queue_depth", &[], all.gauge(&metrics::QUEUE_DEPTH)),
        rule(
            "sie_model_loaded",
            &[],
            format!(
                "{} * on (namespace, model) group_left (device) max by (namespace, model, device) ({})",
                all.gauge(&metrics::MODEL_LOADED),
                all.gauge(&metrics::MODEL_SPEC_INFO)
            ),
        ),
        rule("sie_model_memory_bytes", &[], all.gauge(&metrics::MODEL_MEMORY)),
    ];
    rules.extend(histogram("sie_request_duration_seconds", &all, &metrics::REQUEST_DURATION, |series| series.into()));
    rules.extend(histogram("sie_batch_size", &all, &metrics::BATCH_SIZE, |series| series.into()));
    Names {
        id: "sie",
        owner: "SIE",
        note: "`status` is `success` for 2xx and `error` for all others.",
        rules,
        missing: &[],
    }
}

//! Names of SMG, the gateway of SGLang's models.

use belfry_crds::contract::metrics;

use super::{Names, histogram, labelled, rule, without};
use crate::monitoring::promql::{SeriesOf, by};

pub(super) fn names() -> Names {
    let all = SeriesOf::any();
    let requests = || all.counter(&metrics::REQUESTS);
    let by_path = labelled("path", "endpoint", without(&["status", "reason"], requests()));
    let responses = labelled("status_code", "status", labelled("error_code", "reason", requests()));
    let by_worker = |aggregation, series: String| by(aggregation, &["worker"], labelled("worker", "pod", series));
    // A worker that is not scraped has no series of its own, but `up` with 0. Other engines have `up` alone.
    let health = format!("({} or {})", all.gauge(&metrics::MODEL_LOADED), SeriesOf::models().up());
    let mut rules = vec![
        rule("smg_http_requests_total", &[("method", "POST")], by_path),
        rule("smg_http_responses_total", &[], responses),
        rule("smg_http_connections_active", &[], all.gauge(&metrics::OPEN_CONNECTIONS)),
        rule(
            "smg_http_rate_limit_total",
            &[("decision", "rejected")],
            without(&["status", "reason"], requests().eq("status", "429")),
        ),
        rule(
            "smg_http_rate_limit_total",
            &[("decision", "allowed")],
            without(&["status", "reason"], requests().not("status", "429")),
        ),
        rule("smg_router_requests_total", &[("router_type", "http")], without(&["status", "reason"], requests())),
        rule("smg_router_tokens_total", &[], all.counter(&metrics::TOKENS)),
        rule("smg_worker_health", &[], by_worker("min", health)),
        rule("smg_worker_requests_active", &[], by_worker("sum", all.gauge(&metrics::ACTIVE_REQUESTS).into())),
    ];
    rules.extend(histogram("smg_http_request_duration_seconds", &all, &metrics::REQUEST_DURATION, |series| {
        without(&["phase"], series.eq("phase", "total"))
    }));
    rules.extend(histogram("smg_router_stage_duration_seconds", &all, &metrics::REQUEST_DURATION, |series| {
        labelled("stage", "phase", series.not("phase", "total"))
    }));
    Names {
        id: "smg",
        owner: "SMG",
        note: "A worker is a pod. What is said of workers has the label `worker` alone, as SMG's query about the distribution of load needs it.",
        rules,
        missing: &[
            ("smg_router_tokens_total{type=\"output\"}", "Belfry's worker generates no tokens."),
            (
                "smg_router_ttft_seconds",
                "Belfry's worker answers whole requests, and generates no tokens. vLLM exports `vllm:time_to_first_token_seconds`.",
            ),
            ("smg_router_tpot_seconds", "The same; vLLM exports `vllm:time_per_output_token_seconds`."),
            ("smg_worker_cb_state", "There is no circuit breaker: a Service sends nothing to a pod that is not ready."),
            ("smg_worker_retries_total", "There is no gateway that tries again; a caller sees each failure."),
            ("smg_mcp_tool_calls_total", "There are no tools."),
            ("smg_mcp_tool_duration_seconds", "There are no tools."),
            ("smg_mcp_servers_active", "There are no tools."),
        ],
    }
}

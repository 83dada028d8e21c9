//! Steps and causes of runbooks for a model that gets more requests than it can answer.

use belfry_crds::contract::metrics;

use super::promql::by;
use super::runbook::{self, Cause, Step, cause, query};

pub(super) fn diagnosis() -> Vec<Step> {
    vec![
        query(
            "Which pods are full? One full pod among empty ones is a matter of balancing, or of that pod",
            |series| {
                format!(
                    "{} / {}",
                    by("sum", &["pod"], series.gauge(&metrics::QUEUE_DEPTH)),
                    by("sum", &["pod"], series.gauge(&metrics::QUEUE_CAPACITY))
                )
            },
        ),
        query("Did traffic grow?", |series| by("sum", &["endpoint"], series.counter(&metrics::REQUESTS).rate("5m"))),
        query("Did each pod's throughput fall, in tokens a second?", |series| {
            by("sum", &["pod"], series.counter(&metrics::TOKENS).rate("5m"))
        }),
        query("How many replicas are ready, of how many?", |series| {
            by("max", &["state"], series.gauge(&metrics::MODEL_REPLICAS))
        }),
        runbook::pods(),
    ]
}

pub(super) fn cures() -> Vec<Cause> {
    vec![
        cause("Traffic grew.", "Raise `spec.replicas`; ask the caller whose traffic grew to slow down."),
        cause("Replicas are missing.", "Find out why: `kubectl get inferencemodel` has the reason."),
        cause("Throughput fell on one pod.", "Its node is busy or throttled: delete the pod."),
        cause(
            "One pod is full and others are empty.",
            "A caller keeps one connection open and sends everything there: let it open several, or put the gateway in front.",
        ),
        cause(
            "Bursts that a larger queue could hold.",
            "Raise `spec.runtime.queue.capacity`, as long as waiting is better for the callers than coming again.",
        ),
    ]
}

//! Cases of `InferenceQueueSaturated` and `InferenceRequestsRejected`.

use belfry_crds::contract::metrics;

use super::{POD_A, POD_B, expected, requests};
use crate::model::ValidModel;
use crate::monitoring::promql::Scope;
use crate::monitoring::rule_test::{Case, grow, hold};

pub(in crate::monitoring) fn queue_saturated(model: &ValidModel) -> Vec<Case> {
    let scope = Scope::model(model);
    let story = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        let mut case = Case::new(name);
        for (pod, depth) in [(POD_A, a), (POD_B, b)] {
            case = case
                .with(scope.gauge(&metrics::QUEUE_CAPACITY).eq("pod", pod), hold(&[("1000", 80)]))
                .with(scope.gauge(&metrics::QUEUE_DEPTH).eq("pod", pod), hold(depth));
        }
        case
    };
    let full = expected(
        &[],
        "search/minilm: its queues are 92.5% full",
        "The queues of search/minilm have been more than 80% full for 5 minutes, now 92.5%. More texts come in than go out.",
    );
    vec![
        story(
            "fires after five minutes, and resolves two minutes after the queues drain",
            &[("0", 20), ("900", 40), ("0", 20)],
            &[("10", 20), ("950", 40), ("10", 20)],
        )
        .quiet("9m45s")
        .fires("10m", std::slice::from_ref(&full))
        .fires("16m", &[full])
        .quiet("17m"),
        story("stays quiet on a burst of four minutes", &[("1000", 16), ("0", 64)], &[("1000", 16), ("0", 64)])
            .quiet("3m45s")
            .quiet("6m"),
        story("stays quiet when one replica is full and the other empty", &[("1000", 80)], &[("0", 80)]).quiet("10m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}

pub(in crate::monitoring) fn requests_rejected(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, ok: String, refused: String| {
        Case::new(name).with(requests(model, "200", "ok"), ok).with(requests(model, "429", "queue_full"), refused)
    };
    let fires = expected(
        &[],
        "search/minilm: 10% of requests are refused with 429",
        "10% of the requests to search/minilm were refused within the last 5 minutes because a queue was full, and it has been more \
         than 5% for 5 minutes.",
    );
    vec![
        story(
            "fires when a tenth is refused, and resolves",
            grow(&[(150, 20), (135, 60), (150, 60)]),
            grow(&[(0, 20), (15, 60), (0, 60)]),
        )
        .quiet("10m")
        .fires("13m", std::slice::from_ref(&fires))
        .fires("20m", &[fires])
        .quiet("25m"),
        story("stays quiet when few are refused", grow(&[(147, 80)]), grow(&[(3, 80)])).quiet("10m").quiet("19m"),
        story(
            "stays quiet when a quiet model refuses one request in two minutes",
            hold(&[("0", 80)]),
            hold(&[("0", 20), ("1", 8), ("2", 8), ("3", 8), ("4", 8), ("5", 8), ("6", 20)]),
        )
        .quiet("12m")
        .quiet("16m"),
        story("stays quiet on a burst of two minutes", grow(&[(150, 80)]), grow(&[(0, 20), (15, 8), (0, 52)]))
            .quiet("8m")
            .quiet("12m"),
        story("stays quiet on other mistakes of the callers", grow(&[(150, 80)]), grow(&[(0, 80)]))
            .with(requests(model, "413", "request_too_large"), grow(&[(150, 80)]))
            .quiet("10m")
            .quiet("19m"),
    ]
}

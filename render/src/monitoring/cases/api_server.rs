//! Cases of the alerts about what the API server does not grant.

use belfry_crds::contract::metrics;

use super::expected;
use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::promql::{Scope, Total};
use crate::monitoring::rule_test::{Case, grow, hold};

fn restarts(kind: &str) -> Total {
    Scope::job(OPERATOR_JOB).counter(&metrics::WATCH_RESTARTS).eq("kind", kind)
}

pub(in crate::monitoring) fn watch_restarts(_: &ValidModel) -> Vec<Case> {
    let storm = |times: &str| {
        expected(
            &[],
            &format!("Belfry's operator: a watch broke off {times} times in 10 minutes"),
            &format!(
                "For 15 minutes, watches of the operator have broken off more than once a minute, the worst {times} times in the last 10. It \
                 is blind in between."
            ),
        )
    };
    vec![
        Case::new("fires once for all kinds when watches go on breaking off, and resolves when they hold")
            .with(restarts("InferenceModel"), grow(&[(0, 20), (1, 100), (0, 60)]))
            .with(restarts("Pod"), grow(&[(0, 20), (2, 100), (0, 60)]))
            .quiet("20m")
            .fires("25m", &[storm("80")])
            .fires("30m", &[storm("80")])
            .quiet("40m15s"),
        Case::new("stays quiet when the API server is restarted")
            .with(restarts("InferenceModel"), hold(&[("0", 20), ("3", 100)]))
            .with(restarts("Pod"), hold(&[("0", 20), ("3", 100)]))
            .quiet("6m")
            .quiet("20m"),
        Case::new("stays quiet when the API server was away for three minutes")
            .with(restarts("InferenceModel"), grow(&[(0, 20), (2, 12), (0, 100)]))
            .quiet("12m")
            .quiet("21m"),
        Case::new("stays quiet when the operator restarts and its counters begin anew")
            .with(restarts("InferenceModel"), hold(&[("70", 20), ("0", 100)]))
            .quiet("10m")
            .quiet("25m"),
    ]
}

fn requests(code: &str) -> Total {
    let requests = Scope::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS);
    requests.eq("verb", "patch").eq("resource", "services").eq("code", code)
}

pub(in crate::monitoring) fn requests_refused(_: &ValidModel) -> Vec<Case> {
    let refused = |count: &str| {
        expected(
            &[],
            &format!("Belfry's operator: the API server refused {count} of its requests in 10 minutes"),
            &format!(
                "For 15 minutes, the API server has refused requests of the operator with 401, 403 or 429, {count} of them in the last 10."
            ),
        )
    };
    vec![
        Case::new("fires when a right is missing, and resolves ten minutes after it is granted")
            .with(requests("403"), grow(&[(0, 20), (1, 80), (0, 60)]))
            .quiet("20m")
            .fires("20m15s", &[refused("40")])
            .fires("25m", &[refused("40")])
            .quiet("35m15s"),
        Case::new("fires when the operator is held back")
            .with(requests("429"), grow(&[(2, 100)]))
            .fires("20m", &[refused("80")]),
        Case::new("stays quiet on a single refusal")
            .with(requests("403"), hold(&[("0", 20), ("1", 100)]))
            .quiet("14m")
            .quiet("25m"),
        Case::new("stays quiet on what is granted, not there, in conflict or out of order")
            .with(requests("200"), grow(&[(5, 120)]))
            .with(requests("404"), grow(&[(1, 120)]))
            .with(requests("409"), grow(&[(1, 120)]))
            .with(requests("503"), grow(&[(1, 120)]))
            .quiet("20m")
            .quiet("29m"),
    ]
}

//! Cases of the alerts about the operator.

use belfry_crds::contract::metrics;

use super::expected;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::promql::{Level, Scope, Total};
use crate::monitoring::rule_test::{Case, grow, hold};
use crate::validate::ValidModel;

fn up(pod: &str) -> Level {
    Scope::job(OPERATOR_JOB).up().eq("pod", pod)
}

pub(in crate::monitoring) fn operator_down(_: &ValidModel) -> Vec<Case> {
    let down = expected(
        &[],
        "Belfry's operator: 0 instances have answered Prometheus for 5 minutes",
        "No instance of the operator can be scraped. Models go on serving, but InferenceModelDown and every other alert that reads \
         the operator's series are blind.",
    );
    vec![
        Case::new("fires five minutes after the last target is lost, and resolves")
            .with(up("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 39), ("1", 20)]))
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&down))
            .fires("14m45s", std::slice::from_ref(&down))
            .quiet("15m"),
        Case::new("fires when the target does not answer")
            .with(up("belfry-operator-a"), hold(&[("0", 40)]))
            .fires("5m", std::slice::from_ref(&down)),
        Case::new("fires when Prometheus never saw it").quiet("4m45s").fires("5m", &[down]),
        Case::new("stays quiet when the leader is replaced")
            .with(up("belfry-operator-a"), hold(&[("1", 20), ("0", 2), ("stale", 1)]))
            .with(up("belfry-operator-b"), hold(&[("_", 24), ("1", 60)]))
            .quiet("6m")
            .quiet("15m"),
        Case::new("stays quiet when one of two is down")
            .with(up("belfry-operator-a"), hold(&[("1", 60)]))
            .with(up("belfry-operator-b"), hold(&[("0", 60)]))
            .quiet("10m"),
    ]
}

fn passes(outcome: &str) -> Total {
    Scope::job(OPERATOR_JOB).counter(&metrics::RECONCILES).eq("outcome", outcome)
}

pub(in crate::monitoring) fn reconcile_errors(_: &ValidModel) -> Vec<Case> {
    let fires = expected(
        &[],
        "Belfry's operator: 40 passes over models failed in 10 minutes",
        "Passes of the operator have been failing for 15 minutes, 40 of them in the last 10. Its log names the model and the error.",
    );
    vec![
        Case::new("fires when passes go on failing, and resolves ten minutes after the last failure")
            .with(passes("failed"), grow(&[(0, 20), (1, 80), (0, 60)]))
            .quiet("20m")
            .fires("20m15s", std::slice::from_ref(&fires))
            .fires("25m", &[fires])
            .quiet("35m15s"),
        Case::new("stays quiet on a single conflict")
            .with(passes("failed"), hold(&[("0", 20), ("1", 100)]))
            .quiet("14m")
            .quiet("25m"),
        Case::new("stays quiet on specifications that are refused")
            .with(passes("invalid"), grow(&[(1, 120)]))
            .quiet("20m")
            .quiet("29m"),
        Case::new("stays quiet when the operator restarts and its counters begin anew")
            .with(passes("failed"), hold(&[("7", 20), ("0", 100)]))
            .quiet("10m")
            .quiet("25m"),
    ]
}

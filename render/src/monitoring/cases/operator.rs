//! Cases of the alerts about the operator.

use belfry_crds::contract::metrics;

use super::expected;
use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::promql::{Level, Scope};
use crate::monitoring::rule_test::{Case, hold};

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

fn leader(pod: &str) -> Level {
    Scope::job(OPERATOR_JOB).gauge(&metrics::LEADER).eq("pod", pod)
}

pub(in crate::monitoring) fn no_leader(_: &ValidModel) -> Vec<Case> {
    let none = expected(
        &[],
        "Belfry's operator: 0 instances have worked for 3 minutes",
        "Instances of the operator answer Prometheus, and for 3 minutes none of them has worked: each waits for the Lease, or for its \
         watches. Models go on serving as they are.",
    );
    vec![
        Case::new("fires three minutes after the leader is gone and nobody follows, and resolves with the next")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 40), ("1", 40)]))
            .quiet("7m45s")
            .fires("8m", std::slice::from_ref(&none))
            .fires("9m45s", std::slice::from_ref(&none))
            .quiet("10m"),
        Case::new("fires when an operator never gets its watches")
            .with(leader("belfry-operator-a"), hold(&[("0", 40)]))
            .quiet("2m45s")
            .fires("3m", &[none]),
        Case::new("stays quiet when a leader dies and another takes over")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 22), ("1", 58)]))
            .quiet("5m15s")
            .quiet("9m"),
        Case::new("stays quiet when one works and another waits")
            .with(leader("belfry-operator-a"), hold(&[("1", 80)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when nothing answers, which is InferenceOperatorDown")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .quiet("19m"),
    ]
}

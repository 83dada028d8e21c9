//! Cases of `InferenceModelDown` and `InferenceModelOutage`.

use super::{expected, replicas, requests};
use crate::model::ValidModel;
use crate::monitoring::rule_test::{Case, Expected, grow, hold};

fn down(wanted: u32) -> Expected {
    expected(
        &[],
        &format!("search/minilm: 0 of {wanted} replicas are ready"),
        &format!(
            "No replica of search/minilm has been ready for at least 30 seconds; {wanted} wanted. Nothing answers requests."
        ),
    )
}

fn story(model: &ValidModel, name: &'static str, desired: &[(&str, u32)], ready: &[(&str, u32)]) -> Case {
    Case::new(name).with(replicas(model, "desired"), hold(desired)).with(replicas(model, "ready"), hold(ready))
}

pub(in crate::monitoring) fn model_down(model: &ValidModel) -> Vec<Case> {
    let mut cases = lost_replicas(model);
    cases.extend(wanted_replicas(model));
    cases
}

fn lost_replicas(model: &ValidModel) -> Vec<Case> {
    vec![
        story(
            model,
            "fires 30 seconds after the last replica is gone, goes on, and resolves with the first that is back",
            &[("2", 80)],
            &[("2", 20), ("0", 28), ("1", 32)],
        )
        .quiet("5m15s")
        .fires("5m30s", &[down(2)])
        .fires("11m45s", &[down(2)])
        .quiet("12m"),
        story(model, "fires for a model that was ready for long", &[("2", 140)], &[("2", 100), ("0", 40)])
            .quiet("25m15s")
            .fires("25m30s", &[down(2)])
            .fires("34m45s", &[down(2)]),
        story(model, "stays quiet while a new model loads", &[("1", 60)], &[("0", 40), ("1", 20)])
            .quiet("1m")
            .quiet("9m45s")
            .quiet("14m"),
        story(model, "fires when a new model is not ready after 15 minutes", &[("1", 80)], &[("0", 80)])
            .quiet("15m15s")
            .fires("15m30s", &[down(1)]),
        story(model, "stays quiet in a rolling update", &[("1", 60)], &[("1", 20), ("2", 4), ("1", 36)])
            .quiet("5m30s")
            .quiet("6m30s"),
        story(
            model,
            "stays quiet when the operator exports nothing",
            &[("2", 20), ("stale", 1), ("_", 19)],
            &[("2", 20), ("stale", 1), ("_", 19)],
        )
        .quiet("6m")
        .quiet("9m"),
    ]
}

/// The user changes how many replicas there should be.
fn wanted_replicas(model: &ValidModel) -> Vec<Case> {
    vec![
        story(
            model,
            "stays quiet when a model is scaled to zero, and resolves by it",
            &[("2", 20), ("0", 20), ("2", 20), ("0", 20)],
            &[("2", 22), ("0", 18), ("2", 4), ("0", 36)],
        )
        .quiet("5m45s")
        .quiet("9m")
        .fires("12m", &[down(2)])
        .quiet("15m"),
        story(
            model,
            "stays quiet while a model is suspended, and while it loads afterwards",
            &[("2", 20), ("0", 100), ("2", 40)],
            &[("2", 21), ("0", 129), ("2", 10)],
        )
        .quiet("5m30s")
        .quiet("25m")
        .quiet("37m"),
        story(
            model,
            "stays quiet while a model loads that was scaled from zero",
            &[("1", 80), ("0", 8), ("1", 40)],
            &[("1", 80), ("0", 32), ("1", 16)],
        )
        .quiet("23m")
        .quiet("27m45s"),
        story(
            model,
            "stays quiet when a model is scaled to zero and back at once, and loads again",
            &[("1", 80), ("0", 2), ("1", 40)],
            &[("1", 81), ("0", 21), ("1", 20)],
        )
        .quiet("21m15s")
        .quiet("25m15s"),
        story(
            model,
            "fires when a replica dies soon after it was scaled from zero",
            &[("0", 80), ("1", 60)],
            &[("0", 96), ("1", 4), ("0", 40)],
        )
        .quiet("24m")
        .quiet("25m15s")
        .fires("25m30s", &[down(1)])
        .fires("34m", &[down(1)]),
    ]
}

fn outage(share: &str) -> Expected {
    expected(
        &[],
        &format!("search/minilm: {share} of requests failed in the last minute"),
        &format!(
            "{share} of the requests to search/minilm were answered with a 5xx in the last minute, and it has been more than half \
             for at least 30 seconds."
        ),
    )
}

pub(in crate::monitoring) fn model_outage(model: &ValidModel) -> Vec<Case> {
    let ok = |case: Case, values: String| case.with(requests(model, "200", "ok"), values);
    let failed = |case: Case, values: String| case.with(requests(model, "500", "inference_failed"), values);
    vec![
        failed(
            ok(
                Case::new("fires 60 seconds after all requests begin to fail, and resolves"),
                grow(&[(150, 20), (0, 20), (150, 40)]),
            ),
            grow(&[(0, 20), (150, 20), (0, 40)]),
        )
        .quiet("5m45s")
        .fires("6m", &[outage("100%")])
        .fires("10m", &[outage("100%")])
        .fires("11m", &[outage("66.67%")])
        .quiet("12m30s"),
        failed(
            ok(Case::new("fires on the first failures that the process ever counted"), grow(&[(0, 40)])),
            format!("{} {}", hold(&[("_", 20)]), grow(&[(150, 20)])),
        )
        .fires("6m30s", &[outage("100%")]),
        failed(ok(Case::new("fires with the share that fails"), grow(&[(60, 40)])), grow(&[(90, 40)]))
            .fires("5m", &[outage("60%")]),
        ok(Case::new("counts 503 while loading, because the caller got no answer"), grow(&[(0, 40)]))
            .with(requests(model, "503", "model_loading"), grow(&[(30, 40)]))
            .fires("5m", &[outage("100%")]),
        failed(ok(Case::new("stays quiet when fewer than half fail"), grow(&[(90, 40)])), grow(&[(60, 40)]))
            .quiet("5m")
            .quiet("9m"),
        ok(Case::new("stays quiet on mistakes of the callers, on refusals and on callers who left"), grow(&[(0, 40)]))
            .with(requests(model, "422", "invalid_input"), grow(&[(150, 40)]))
            .with(requests(model, "429", "queue_full"), grow(&[(150, 40)]))
            .with(requests(model, "499", "client_closed_request"), grow(&[(150, 40)]))
            .quiet("5m")
            .quiet("9m"),
        failed(
            ok(Case::new("stays quiet when three of three requests fail"), grow(&[(0, 60)])),
            hold(&[("0", 20), ("1", 2), ("2", 2), ("3", 36)]),
        )
        .quiet("6m")
        .quiet("7m"),
        failed(ok(Case::new("stays quiet without traffic"), hold(&[("4000", 40)])), hold(&[("12", 40)]))
            .quiet("5m")
            .quiet("9m"),
        failed(
            ok(
                Case::new("stays quiet when a worker is restarted and its counters begin anew"),
                format!("{} {}", grow(&[(150, 20)]), grow(&[(150, 20)])),
            ),
            hold(&[("900", 20), ("0", 20)]),
        )
        .quiet("5m30s")
        .quiet("6m")
        .quiet("9m"),
        failed(
            ok(Case::new("goes on when a failing worker is restarted"), hold(&[("4000", 20), ("0", 20)])),
            format!("{} {}", grow(&[(150, 20)]), grow(&[(150, 20)])),
        )
        .fires("4m", &[outage("100%")])
        .fires("6m", &[outage("100%")]),
    ]
}

//! No replica answers. This is the only page that depends neither on traffic nor on objectives.

use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{Replace, ValidModel};
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, hold};
use crate::monitoring::example::{self, POD_A};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::{condition, replicas};

/// Time that a model may take to load for the first time before the alert pages.
const GRACE: &str = "15m";

/// Name of the alert, a constant of its own because the rule reads the alert's own series.
const DOWN: &str = "InferenceModelDown";

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: DOWN,
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "Callers get no answer at all.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

/// A model that still loads, for the first time or after it was scaled from zero, is not down: it
/// answered no requests a moment ago. So the alert fires in two cases. Either a replica was ready
/// within the last minute, and replicas were wanted all that minute; the alert then keeps firing by
/// reading its own `ALERTS`. Or replicas were wanted throughout the grace period, and the model is older than that, or was
/// ready within it.
///
/// A rollout that ends the only replica before it starts the next is planned. It is quiet for as long as it is within its own
/// deadline, unless the model was down before it began.
///
/// There is no `keep_firing_for`: one ready replica ends the outage.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let desired = replicas(&series, "desired");
    let ready = replicas(&series, "ready");
    let wanted_for = |window: &str| format!("{} > 0", all("min", desired.over_time("min", window)));
    let planned = if is_without_replicas_in_a_rollout(model) {
        format!("unless {}\n  ", rolls_out(model, &series))
    } else {
        String::new()
    };
    let loaded = all("max", series.gauge(&metrics::MODEL_LOADED));
    // Most engines do not say it.
    let says_so = model.engine.as_ref().is_none_or(|engine| engine.offers(&loaded));
    let serves = if says_so { format!(" or {loaded} == 1") } else { String::new() };
    let expr = format!(
        "{wanted} > 0 and {now} == 0 and (\n  ({was_ready} > 0 and {minute}\n  or {grace} and ({before} > 0 or {lately} > 0))\n  \
         {planned}or {ringing}\n)\nor {last} > 0 and {firing} unless ({said} or {operator} == 1{serves})",
        // One missed scrape of the operator ends no page.
        wanted = all("max", desired.over_time("last", "1m")),
        now = all("max", ready.over_time("last", "1m")),
        was_ready = all("max", ready.over_time("max", "1m")),
        minute = wanted_for("1m"),
        // Of a model that is younger, or when the operator or Prometheus was away meanwhile.
        lately = all("max", ready.over_time("max", GRACE)),
        before = all("max", desired.before(GRACE)),
        grace = wanted_for(GRACE),
        ringing = all("max", series.alerts().eq("alertname", DOWN)),
        // While the operator is away the page stays, unless a worker says that it serves.
        last = all("max", desired.over_time("last", "1h")),
        firing = all("max", series.alerts().eq("alertname", DOWN).eq("alertstate", "firing")),
        said = all("max", &desired),
        operator = all("max", SeriesOf::job(OPERATOR_JOB).up()),
    );
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr,
        for_: Some("30s"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: 0 of {{ $value | humanize }} replicas are ready".into(),
        description: None,
    }]
}

/// Whether a rollout leaves no replica for a while, as the specification asks.
fn is_without_replicas_in_a_rollout(model: &ValidModel) -> bool {
    match model.rollout.replace {
        Replace::AtOnce => true,
        // A scaler may leave one replica.
        Replace::Gradually { surge, unavailable } => {
            surge == 0 && unavailable >= model.owned_replicas().unwrap_or(1).max(1)
        }
    }
}

/// The rollout goes on, and its deadline has not passed.
fn rolls_out(model: &ValidModel, series: &SeriesOf) -> String {
    let going_on = [Reason::RollingOut.as_str(), Reason::Pending.as_str()];
    let progressing = condition(series, ConditionType::Progressing, ConditionStatus::True).one_of("reason", &going_on);
    // Kubernetes counts no deadline for pods that it is not let make, so the time without a replica is bounded here, too.
    let deadline = format!("{}s", model.rollout.progress_deadline_seconds);
    let was_ready = all("max", replicas(series, "ready").over_time("max", &deadline));
    format!("({} == 1 and {was_ready} > 0)", all("max", progressing))
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "Replicas are wanted and none is ready. A model that loads for the first time, or after it was scaled from zero, \
             has 15 minutes before this rings; one that answered a moment ago has 30 seconds. A rollout that ends its only \
             replica first, as on a single GPU, has until its own deadline. The alert reads the operator's own \
             series: while the operator is down it is silent, and InferenceOperatorDown rings instead.".into(),
        diagnosis: vec![
            runbook::conditions(),
            runbook::pods(),
            runbook::describe(),
            shell("How did the last containers end?", runbook::kubectl("logs", "--prefix --previous --tail=50")),
            query("Since when?", |series| replicas(series, "ready").to_string()),
        ],
        mitigation: vec![
            cause("There are no pods.", "`kubectl describe` of the ReplicaSet names the quota, the limit range or the admission webhook that refuses them. Raise the quota or correct the specification."),
            cause("Pods are Pending.", "Go on with [InferenceWorkerUnschedulable](InferenceWorkerUnschedulable.md)."),
            cause("Pods wait for their image.", "Go on with [InferenceImagePullFailing](InferenceImagePullFailing.md)."),
            cause("Containers end and start again.", "Go on with [InferenceWorkerCrashLooping](InferenceWorkerCrashLooping.md); if `ModelLoaded` is `False` with a reason, with [InferenceModelLoadFailed](InferenceModelLoadFailed.md)."),
            cause("It began with a change of the InferenceModel.", "Apply the previous specification again. The operator undoes `kubectl rollout undo`, because the specification is what counts."),
            cause("All pods stood on one node.", "Drain or delete that node, so that the pods are started elsewhere; then raise `spec.replicas`."),
        ],
        resolves: "As soon as one replica is ready, or when `spec.replicas` is 0. While the operator exports nothing it goes on, for an hour at most, until a worker says that it has its model.".into(),
    }
}

fn down(wanted: u32) -> Expected {
    expected(&[], &format!("search/minilm: 0 of {wanted} replicas are ready"))
}

fn story(model: &ValidModel, name: &'static str, desired: &[(&str, u32)], ready: &[(&str, u32)]) -> Case {
    Case::new(name)
        .with(example::replicas(model, "desired"), hold(desired))
        .with(example::replicas(model, "ready"), hold(ready))
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let mut cases = lost_replicas(model);
    cases.extend(wanted_replicas(model));
    cases.extend(operator_away(model));
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

/// The operator is away for a while.
fn operator_away(model: &ValidModel) -> Vec<Case> {
    let away = |name, replicas: [&[(&str, u32)]; 2]| {
        let operator = SeriesOf::job(OPERATOR_JOB).up();
        let up = hold(&[("1", 30), ("0", 20), ("1", 30)]);
        story(model, name, replicas[0], replicas[1]).with(operator, up)
    };
    let loaded = SeriesOf::model(model).gauge(&metrics::MODEL_LOADED).eq("pod", POD_A);
    vec![
        away(
            "goes on while the operator is away, of a model that is six minutes old, and resolves when it says so",
            [
                &[("_", 4), ("2", 26), ("stale", 1), ("_", 19), ("2", 30)],
                &[("_", 4), ("2", 10), ("0", 16), ("stale", 1), ("_", 19), ("0", 20), ("2", 10)],
            ],
        )
        .fires("7m", &[down(2)])
        .fires("9m", &[down(2)])
        .fires("12m15s", &[down(2)])
        .fires("13m", &[down(2)])
        .fires("17m15s", &[down(2)])
        .quiet("17m30s"),
        away(
            "resolves while the operator is away, once a worker says that it has its model",
            [&[("2", 30), ("stale", 1), ("_", 49)], &[("2", 14), ("0", 16), ("stale", 1), ("_", 49)]],
        )
        .with(loaded, hold(&[("1", 14), ("stale", 1), ("_", 25), ("1", 40)]))
        .fires("9m", &[down(2)])
        .quiet("10m15s"),
        away(
            "fires within a minute of the operator's return, when the last replica was lost meanwhile",
            [
                &[("_", 4), ("2", 26), ("stale", 1), ("_", 19), ("2", 30)],
                &[("_", 4), ("2", 26), ("stale", 1), ("_", 19), ("0", 30)],
            ],
        )
        .quiet("12m15s")
        .fires("13m15s", &[down(2)]),
        away(
            "stays quiet when a model that never rang is deleted",
            [&[("2", 30), ("stale", 1), ("_", 49)], &[("2", 30), ("stale", 1), ("_", 49)]],
        )
        .quiet("9m")
        .quiet("15m"),
    ]
}

/// Cases in which the user changes the number of replicas.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use belfry_crds::InferenceModel;
    use serde_json::{Value, json};

    fn expression(spec: Value) -> String {
        let mut whole = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let model = InferenceModel::new("m", serde_json::from_value(whole).unwrap());
        rules(&crate::validate::validate(&model, &Settings::default()).unwrap()).remove(0).expr
    }

    #[test]
    fn only_a_rollout_that_leaves_no_replica_is_planned() {
        for planned in [
            json!({"rollout": {"strategy": "Recreate"}, "replicas": 3}),
            json!({"rollout": {"strategy": "CapacityBound"}}),
            json!({"runtime": {"device": "cuda"}}),
        ] {
            assert!(expression(planned.clone()).contains("RollingOut"), "{planned}");
        }
        for kept in [json!({}), json!({"rollout": {"strategy": "CapacityBound"}, "replicas": 2})] {
            assert!(!expression(kept.clone()).contains("RollingOut"), "{kept}");
        }
    }
}

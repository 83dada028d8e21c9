//! The model does not answer.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertProfile;

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::objective::{self, LEAST_ERRORS};
use crate::monitoring::promql::{Level, Scope, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};

/// How long a model may take to load for the first time before somebody is woken.
const GRACE: &str = "15m";

/// The alert reads its own series, so that its name stands apart.
const DOWN: &str = "InferenceModelDown";

/// No replica answers. The one page that depends neither on traffic nor on objectives.
pub(super) const MODEL_DOWN: Alert = Alert {
    name: DOWN,
    category: Category::Availability,
    component: Component::Worker,
    impact: "Callers of this model get no answer at all.",
    severities: &[Severity::Critical],
    rules: Rules::Model(AlertProfile::Minimal, model_down),
    runbook: model_down_runbook,
    cases: cases::availability::model_down,
};

/// A model that is still loading, for the first time or after it was scaled from zero, is not down:
/// nobody was answered a moment ago. So the page wants either a replica that was ready within a
/// minute in which some were wanted all the time, and then goes on by reading its own `ALERTS`; or
/// a model that was wanted throughout the grace.
///
/// No `keep_firing_for`: one ready replica ends the outage.
fn model_down(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let desired = replicas(&scope, "desired");
    let ready = replicas(&scope, "ready");
    let wanted_for = |window: &str| format!("{} > 0", by_model("min", desired.over_time("min", window)));
    let expr = format!(
        "{wanted} > 0 and {now} == 0 and (\n  {was_ready} > 0 and {minute}\n  or {before} > 0 and {grace}\n  or {ringing}\n)",
        wanted = by_model("max", &desired),
        now = by_model("max", &ready),
        was_ready = by_model("max", ready.over_time("max", "1m")),
        minute = wanted_for("1m"),
        before = by_model("max", desired.before(GRACE)),
        grace = wanted_for(GRACE),
        ringing = by_model("max", scope.alerts().eq("alertname", DOWN)),
    );
    vec![Firing {
        severity: Severity::Critical,
        expr,
        for_: Some("30s"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: 0 of {{ $value | humanize }} replicas are ready".into(),
        description:
            "No replica of {{ $labels.namespace }}/{{ $labels.model }} has been ready for at least 30 seconds; \
            {{ $value | humanize }} wanted. Nothing answers requests."
                .into(),
    }]
}

pub(super) fn replicas(scope: &Scope, state: &str) -> Level {
    scope.gauge(&metrics::MODEL_REPLICAS).eq("state", state)
}

fn model_down_runbook() -> Runbook {
    Runbook {
        meaning: "Replicas are wanted and none is ready. A model that loads for the first time, or after it was scaled from zero, \
             has 15 minutes before this rings; one that answered a moment ago has 30 seconds. The alert reads the operator's own \
             series: while the operator is down it is silent, and InferenceOperatorDown rings instead.".into(),
        diagnosis: vec![
            runbook::conditions(),
            runbook::pods(),
            runbook::describe(),
            shell("How did the last containers end?", runbook::kubectl("logs", "--prefix --previous --tail=50")),
            query("Since when?", |scope| replicas(scope, "ready").to_string()),
        ],
        mitigation: vec![
            cause("There are no pods.", "`kubectl describe` of the ReplicaSet names the quota, the limit range or the admission webhook that refuses them. Raise the quota or correct the specification."),
            cause("Pods are Pending.", "Go on with [InferenceWorkerUnschedulable](InferenceWorkerUnschedulable.md)."),
            cause("Pods wait for their image.", "Go on with [InferenceImagePullFailing](InferenceImagePullFailing.md)."),
            cause("Containers end and start again.", "Go on with [InferenceWorkerCrashLooping](InferenceWorkerCrashLooping.md); if `ModelLoaded` is `False` with a reason, with [InferenceModelLoadFailed](InferenceModelLoadFailed.md)."),
            cause("It began with a change of the InferenceModel.", "Apply the previous specification again. The operator undoes `kubectl rollout undo`, because the specification is what counts."),
            cause("All pods stood on one node.", "Drain or delete that node, so that the pods are started elsewhere; then raise `spec.replicas`."),
        ],
        resolves: "As soon as one replica is ready, or when `spec.replicas` is 0. It also stops, wrongly, while the operator exports nothing.".into(),
    }
}

/// Most requests fail. Burn rates find that late for a weak objective, and never for a missing one.
pub(super) const MODEL_OUTAGE: Alert = Alert {
    name: "InferenceModelOutage",
    category: Category::Availability,
    component: Component::Worker,
    impact: "More than half of the callers of this model get a 5xx.",
    severities: &[Severity::Critical],
    rules: Rules::Model(AlertProfile::Minimal, model_outage),
    runbook: model_outage_runbook,
    cases: cases::availability::model_outage,
};

fn model_outage(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let failed = objective::failed(&scope);
    let expr = format!(
        "{} / {} > 0.5 and {} >= {LEAST_ERRORS}",
        by_model("sum", failed.rate("1m")),
        by_model("sum", scope.counter(&metrics::REQUESTS).rate("1m")),
        by_model("sum", failed.increase("2m")),
    );
    vec![Firing {
        severity: Severity::Critical,
        expr,
        for_: Some("30s"),
        // A trickle of traffic crosses the threshold in both directions; that is one incident.
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests failed in the last minute".into(),
        description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }}/{{ $labels.model }} were answered \
            with a 5xx in the last minute, and it has been more than half for at least 30 seconds."
            .into(),
    }]
}

fn model_outage_runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than half of the answers of the last minute were a 5xx, and at least {LEAST_ERRORS} within two minutes. \
             Every 5xx counts, 503 while loading or draining too: to the caller they are failures. 4xx and callers who left (499) do not count."
        ),
        diagnosis: vec![
            query(
                "Which reason, and from which pod? One reason from one pod is that pod; one reason from all is the model or its input",
                |scope| by("sum", &["pod", "status", "reason"], objective::failed(scope).rate("1m")),
            ),
            runbook::pods(),
            runbook::logs(),
            query("Do requests wait until their deadline?", |scope| {
                by("max", &["pod"], scope.gauge(&metrics::QUEUE_DEPTH))
            }),
            query("Does the worker still compute? Seconds since the last forward pass", |scope| {
                format!("time() - {}", by("max", &["pod"], scope.gauge(&metrics::LAST_PROGRESS)))
            }),
        ],
        mitigation: vec![
            cause(
                "`inference_failed` from one pod.",
                "Delete the pod; if its successor on the same node fails too, cordon the node.",
            ),
            cause(
                "`inference_failed` from all pods.",
                "If it began with a change of the InferenceModel, apply the previous specification. Else read the logs for the first error and keep the request that caused it.",
            ),
            cause(
                "`deadline_exceeded`.",
                "More comes in than goes out: raise `spec.replicas`, or shorten the queue, so that callers hear it early (429).",
            ),
            cause(
                "`model_loading` or `draining`.",
                "Pods get requests before they are ready or after they should have left. Look for callers that address pods and not the Service, and for pods that are restarted all the time.",
            ),
            cause(
                "The last forward pass is long ago and work is queued.",
                "The worker is stuck; its liveness probe restarts it. If not, delete the pod.",
            ),
        ],
        resolves: "Two minutes after fewer than half of the requests fail, or after traffic stops.".into(),
    }
}

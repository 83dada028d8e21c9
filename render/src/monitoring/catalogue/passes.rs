//! Passes of the operator over models: they fail, wait, or do not bring a model to where it should be.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metrics;

use super::condition;
use super::operator::{operator, query};
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Scope, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, shell};

/// Passes over models fail again and again.
pub(super) const RECONCILE_ERRORS: Alert = Alert {
    name: "InferenceOperatorReconcileErrors",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "Changes to some models do not arrive; models go on serving as they are.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(reconcile_errors),
    runbook: reconcile_errors_runbook,
    cases: cases::passes::reconcile_errors,
};

/// A single failure is in the window for ten minutes, which is less than `for`; one model among many that always fails is a
/// matter of `InferenceModelStuck`. A specification that is refused is its owner's: outcome `invalid`, and a condition.
fn reconcile_errors() -> Vec<Firing> {
    let passes = Scope::job(OPERATOR_JOB).counter(&metrics::RECONCILES);
    let failed = passes.clone().eq("outcome", "failed");
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("sum({}) / sum({}) > 0.05", failed.increase("10m"), passes.increase("10m")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: {{ $value | humanizePercentage }} of its passes over models failed in 10 minutes"
            .into(),
        description: "More than 5% of the passes of the operator have been failing for 15 minutes, \
            {{ $value | humanizePercentage }} in the last 10. Its log names the models and the error."
            .into(),
    }]
}

fn reconcile_errors_runbook() -> Runbook {
    let scope = Scope::job(OPERATOR_JOB);
    let failed = scope.counter(&metrics::API_WRITES).eq("result", "error").rate("10m");
    let answers = scope.counter(&metrics::API_REQUESTS).matching("code", "429|5..|error|timeout").rate("10m");
    Runbook {
        meaning: "The operator could not finish passes over models, and tries again with growing pauses. Specifications that it refuses, and \
            children that the API server refuses, are not counted: conditions tell of them."
            .into(),
        diagnosis: vec![
            operator("Which models, and which error?", "logs", "--prefix --tail=200"),
            query("What does the API server answer?", by("sum", &["verb", "resource", "code"], answers)),
            query("Which kind of object can't be written?", by("sum", &["kind"], failed)),
            shell("Which models are not as they should be?", "kubectl get inferencemodels -A -o wide"),
        ],
        mitigation: vec![
            cause("Time-outs, `429` or `5xx`.", "The API server is overloaded or gone; other controllers show it too."),
            cause("`the pass panicked`.", "A fault of the operator: the log has the place. Keep the InferenceModel and report it; other models are not touched."),
            cause("`the pass took longer`.", "Requests hang: look at the network between the operator and the API server, then restart the operator."),
            cause("`conflict`, again and again.", "Another controller writes the same object at the same time: `kubectl get -o yaml --show-managed-fields` names it."),
        ],
        resolves: "When fewer than 5 % of the passes of ten minutes have failed.".into(),
    }
}

/// Models wait for their pass.
pub(super) const QUEUE_STUCK: Alert = Alert {
    name: "InferenceOperatorQueueStuck",
    category: Category::Saturation,
    component: Component::Operator,
    impact: "Changes to models arrive late or not at all; models go on serving as they are.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(queue_stuck),
    runbook: queue_stuck_runbook,
    cases: cases::passes::queue_stuck,
};

/// The age of the head, and not the depth: a thousand new models at once are no fault as long as the queue moves.
fn queue_stuck() -> Vec<Firing> {
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("max({}) > 60", Scope::job(OPERATOR_JOB).gauge(&metrics::RECONCILE_AGE)),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "Belfry's operator: a model has waited {{ $value | humanize }}s for its pass".into(),
        description: "For 5 minutes, some model has always waited longer than a minute for its pass, now {{ $value | humanize }}s. The \
            operator has more to do than it can, or its passes hang."
            .into(),
    }]
}

fn queue_stuck_runbook() -> Runbook {
    let scope = Scope::job(OPERATOR_JOB);
    let quantile = by("sum", &["verb", "le"], scope.buckets(&metrics::API_REQUEST_DURATION).rate("5m"));
    Runbook {
        meaning: "The model at the head of the queue has waited for more than a minute. A pass that hangs is given up after a minute, so that \
            every place being taken by such passes looks the same."
            .into(),
        diagnosis: vec![
            query(
                "Are all places taken? 1 means that no pass can begin",
                format!("max({}) / max({})", scope.gauge(&metrics::RECONCILES_RUNNING), scope.gauge(&metrics::RECONCILE_CAPACITY)),
            ),
            query("How many models wait?", format!("max({})", scope.gauge(&metrics::RECONCILE_BACKLOG))),
            query("How long does the API server take, by verb?", format!("histogram_quantile(0.99, {quantile})")),
            query("How many passes end, and how?", by("sum", &["outcome"], scope.counter(&metrics::RECONCILES).rate("5m"))),
            operator("What does it say?", "logs", "--prefix --tail=100"),
        ],
        mitigation: vec![
            cause("Places are taken and the API server is slow.", "Look at the API server; a FlowSchema may hold the operator back (429)."),
            cause("Places are taken and passes end as `failed`.", "Go on with [InferenceOperatorReconcileErrors](InferenceOperatorReconcileErrors.md)."),
            cause("Places are free and models wait.", "The operator is throttled: raise its CPU limit. If it has none, restart it and report it with its log."),
            cause("Thousands of models changed at once.", "Wait: the number of passes in a second says how long."),
        ],
        resolves: "Two minutes after the longest wait is less than a minute.".into(),
    }
}

/// A model is not brought to where its specification wants it.
pub(super) const MODEL_STUCK: Alert = Alert {
    name: "InferenceModelStuck",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "The model runs as it did before, or not at all; its monitoring may be missing.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(model_stuck),
    runbook: model_stuck_runbook,
    cases: cases::passes::model_stuck,
};

/// It stands beside the operator's rules and not in the model's: those may be the very object that is refused.
fn model_stuck() -> Vec<Firing> {
    let scope = Scope::job(OPERATOR_JOB);
    let firing = |cause: &str, expr: String, for_, summary: &str, description: &str| Firing {
        severity: Severity::Warning,
        expr,
        for_: Some(for_),
        keep_firing_for: None,
        labels: vec![("cause", cause.to_owned())],
        summary: summary.into(),
        description: description.into(),
    };
    vec![
        firing(
            "not-observed",
            format!(
                "{} > {}",
                by_model("max", scope.gauge(&metrics::MODEL_GENERATION)),
                by_model("max", scope.gauge(&metrics::MODEL_OBSERVED_GENERATION))
            ),
            "10m",
            "{{ $labels.namespace }}/{{ $labels.model }}: a change has not been taken up in 10 minutes",
            "The specification of {{ $labels.namespace }}/{{ $labels.model }} has generation {{ $value | humanize }}, and for 10 minutes no pass \
             over it has ended.",
        ),
        firing(
            "objects-refused",
            format!("{} > 0", by_model("max", scope.gauge(&metrics::MODEL_OBJECTS).eq("state", "refused"))),
            "15m",
            "{{ $labels.namespace }}/{{ $labels.model }}: refused objects: {{ $value | humanize }}",
            "The API server has refused objects of {{ $labels.namespace }}/{{ $labels.model }} for 15 minutes, now {{ $value | humanize }}. Its \
             conditions name them and the reason.",
        ),
        firing(
            "undecodable",
            format!("{} > 0", by_model("max", scope.gauge(&metrics::MODEL_UNDECODABLE))),
            "5m",
            "{{ $labels.namespace }}/{{ $labels.model }}: the operator can't decode it",
            "For 5 minutes, the operator has left {{ $labels.namespace }}/{{ $labels.model }} as it is, because it can't decode what is stored. \
             Its log names the field.",
        ),
    ]
}

fn model_stuck_runbook() -> Runbook {
    Runbook {
        meaning: "The label `cause` says which: `not-observed` is a change of the specification over which no pass has ended for ten minutes; \
            `objects-refused` are objects of the model that the API server has refused for fifteen; `undecodable` is a model that the operator \
            can't read, so that nothing is done for it."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell(
                "Which objects are refused, and for which reason?",
                r#"kubectl -n "$NAMESPACE" get inferencemodel "$MODEL" \
  -o jsonpath='{range .status.children[*]}{.state} {.kind}/{.name} {.reason}{"\n"}{end}'"#,
            ),
            shell("Is it being deleted, and who holds it?", r#"kubectl -n "$NAMESPACE" get inferencemodel "$MODEL" -o jsonpath='{.metadata.deletionTimestamp} {.metadata.finalizers}'"#),
            operator("What does the operator say of it? Look for the name of the model", "logs", "--prefix --tail=500"),
            runbook::query("Since when is its specification accepted or not?", |scope| {
                condition(scope, ConditionType::SpecAccepted, ConditionStatus::True).over_time("count", "1d")
            }),
        ],
        mitigation: vec![
            cause("`QuotaExceeded`.", "Raise the ResourceQuota of the namespace, or want less."),
            cause("`NameConflict`.", "An object of the name belongs to somebody else: rename the model, or delete that object if nobody needs it."),
            cause("`AdmissionRefused`.", "The message has the words of the webhook or the policy: follow them."),
            cause("`FieldConflict`.", "Somebody else applies that field: `kubectl get -o yaml --show-managed-fields` names the manager. Make one of the two let go."),
            cause("`Forbidden`.", "The operator's Role is older than the operator: install the chart of the same version."),
            cause("No pass ends, and the log has its error.", "Go on with [InferenceOperatorReconcileErrors](InferenceOperatorReconcileErrors.md)."),
            cause("`undecodable`: the log names the field.", "The CRD and the operator are of different versions: install the charts `belfry-crds` and `belfry` of the same."),
            cause("It is being deleted.", "A finalizer holds it: its owner has to let go."),
        ],
        resolves: "When a pass over the present specification ends, and when no object is refused any more.".into(),
    }
}

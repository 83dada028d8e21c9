//! The operator does not bring a model to its specification.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{Level, SeriesOf, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, shell};
use crate::monitoring::series::condition;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelStuck",
    category: Category::Lifecycle,
    component: AlertComponent::Operator,
    impact: "The model runs as it did before, or not at all; its monitoring may be missing.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// The rules come with the operator's and not with the model's, because the model's PrometheusRule may be a refused object.
fn rules() -> Vec<Firing> {
    let series = SeriesOf::job(OPERATOR_JOB);
    let firing = |cause: &str, expr: String, for_, summary: &str, description: &str| Firing {
        severity: AlertSeverity::Warning,
        expr,
        for_: Some(for_),
        keep_firing_for: None,
        labels: vec![("cause", cause.to_owned())],
        summary: summary.into(),
        description: Some(description.into()),
    };
    vec![
        firing(
            "not-observed",
            format!(
                "{} > {}",
                by_model("max", series.gauge(&metrics::MODEL_GENERATION)),
                by_model("max", series.gauge(&metrics::MODEL_OBSERVED_GENERATION))
            ),
            "10m",
            "{{ $labels.namespace }}/{{ $labels.model }}: a change has not been taken up in 10 minutes",
            "The specification of {{ $labels.namespace }}/{{ $labels.model }} has generation {{ $value | humanize }}, and for 10 minutes no pass \
             over it has ended.",
        ),
        firing(
            "objects-refused",
            format!("{} > 0", by_model("max", series.gauge(&metrics::MODEL_OBJECTS).eq("state", "refused"))),
            "15m",
            "{{ $labels.namespace }}/{{ $labels.model }}: refused objects: {{ $value | humanize }}",
            "The API server has refused objects of {{ $labels.namespace }}/{{ $labels.model }} for 15 minutes, now {{ $value | humanize }}. Its \
             conditions name them and the reason.",
        ),
        firing(
            "contested",
            format!(
                "{} == 1",
                by_model(
                    "max",
                    condition(&series, ConditionType::Reconciled, ConditionStatus::False).eq("reason", "Contested")
                )
            ),
            "15m",
            "{{ $labels.namespace }}/{{ $labels.model }}: another manager undoes what the operator writes",
            "For 15 minutes, another manager has changed an object of {{ $labels.namespace }}/{{ $labels.model }} again and again, and the \
             operator has set it back. The condition Reconciled names both.",
        ),
        firing(
            "undecodable",
            format!("{} > 0", by_model("max", series.gauge(&metrics::MODEL_UNDECODABLE))),
            "5m",
            "{{ $labels.namespace }}/{{ $labels.model }}: the operator can't decode it",
            "For 5 minutes, the operator has left {{ $labels.namespace }}/{{ $labels.model }} as it is, because it can't decode what is stored. \
             Its log names the field.",
        ),
    ]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The label `cause` has one of four values. `not-observed`: the specification changed, and no pass over it has ended for ten minutes. \
            `objects-refused`: the API server has refused objects of the model for fifteen minutes. `contested`: another manager changes an object of the model again and again, and the \
            operator sets it back, every 15 seconds at most. `undecodable`: the operator can't read the \
            model, and does nothing for it."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell(
                "Which objects are refused, and for which reason?",
                r#"kubectl -n "$NAMESPACE" get inferencemodel "$MODEL" \
  -o jsonpath='{range .status.objects[*]}{.state} {.kind}/{.name} {.reason}{"\n"}{end}'"#,
            ),
            shell("Is it being deleted, and which finalizer holds it?", r#"kubectl -n "$NAMESPACE" get inferencemodel "$MODEL" -o jsonpath='{.metadata.deletionTimestamp} {.metadata.finalizers}'"#),
            operator::kubectl("What does the operator say about it? Look for the name of the model", "logs", "--prefix --tail=500"),
            runbook::query("Since when is its specification accepted or not?", |series| {
                condition(series, ConditionType::SpecAccepted, ConditionStatus::True).over_time("count", "1d")
            }),
        ],
        mitigation: vec![
            cause("`QuotaExceeded`.", "Raise the ResourceQuota of the namespace, or request less."),
            cause("`NameConflict`.", "An object of the same name has another owner: rename the model, or delete that object if it is not needed."),
            cause("`AdmissionRefused`.", "The message quotes the webhook or the policy: do what it says."),
            cause("`FieldConflict`.", "Another manager applies the same field: `kubectl get -o yaml --show-managed-fields` names it. Make one of the two stop."),
            cause("`Forbidden`.", "The operator's Role is older than the operator: install the chart of the same version."),
            cause("No pass ends, and the log has its error.", "Go on with [InferenceOperatorReconcileErrors](InferenceOperatorReconcileErrors.md)."),
            cause("`contested`: the condition Reconciled names the object and the other manager.", "Make one of the two stop: take the object out of the other manager (an Argo CD application, a policy that mutates, a script), or put what it wants into the InferenceModel."),
            cause("`undecodable`: the log names the field.", "The CRD and the operator have different versions: install the charts `belfry-crds` and `belfry` of the same version."),
            cause("It is being deleted.", "A finalizer holds it: the controller that set the finalizer has to remove it."),
        ],
        resolves: "When a pass over the present specification ends, when no object is refused any more, and ten minutes after another manager has left the objects alone.".into(),
    }
}

fn of_model(level: Level) -> Level {
    level.eq("namespace", "search").eq("model", "minilm")
}

fn generation(value: &[(&str, u32)], observed: &[(&str, u32)], name: &'static str) -> Case {
    let series = SeriesOf::job(OPERATOR_JOB);
    Case::new(name)
        .with(of_model(series.gauge(&metrics::MODEL_GENERATION)), hold(value))
        .with(of_model(series.gauge(&metrics::MODEL_OBSERVED_GENERATION)), hold(observed))
}

fn refused(values: &[(&str, u32)], name: &'static str) -> Case {
    let series = SeriesOf::job(OPERATOR_JOB);
    let objects = |state: &str| of_model(series.gauge(&metrics::MODEL_OBJECTS)).eq("state", state);
    Case::new(name).with(objects("refused"), hold(values)).with(objects("missing"), hold(&[("2", 120)]))
}

fn undecodable(name: &'static str, values: &[(&str, u32)]) -> Case {
    Case::new(name).with(of_model(SeriesOf::job(OPERATOR_JOB).gauge(&metrics::MODEL_UNDECODABLE)), hold(values))
}

fn contested(name: &'static str, values: &[(&str, u32)]) -> Case {
    let series = condition(&SeriesOf::job(OPERATOR_JOB), ConditionType::Reconciled, ConditionStatus::False);
    Case::new(name).with(of_model(series).eq("reason", "Contested"), hold(values))
}

fn stuck(cause: &'static str, summary: &str, description: &str) -> Expected {
    expected(&[("cause", cause), ("namespace", "search"), ("model", "minilm")], summary).described(description)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    [stuck_cases(), contested_cases(), undecodable_cases()].concat()
}

fn contested_cases() -> Vec<Case> {
    let rival = stuck(
        "contested",
        "search/minilm: another manager undoes what the operator writes",
        "For 15 minutes, another manager has changed an object of search/minilm again and again, and the operator has set it back. \
         The condition Reconciled names both.",
    );
    vec![
        contested(
            "fires for a fight of 15 minutes, and resolves with the condition",
            &[("_", 20), ("1", 80), ("stale", 1)],
        )
        .quiet("19m45s")
        .fires("20m", std::slice::from_ref(&rival))
        .fires("24m45s", &[rival])
        .quiet("25m15s"),
        contested(
            "stays quiet for a fight that a person ends within a few minutes",
            &[("_", 20), ("1", 52), ("stale", 1)],
        )
        .quiet("17m")
        .quiet("21m"),
    ]
}

fn undecodable_cases() -> Vec<Case> {
    let unreadable = stuck(
        "undecodable",
        "search/minilm: the operator can't decode it",
        "For 5 minutes, the operator has left search/minilm as it is, because it can't decode what is stored. Its log names the field.",
    );
    vec![
        undecodable(
            "fires five minutes after a model can't be decoded, and resolves when it can",
            &[("_", 20), ("1", 40), ("stale", 1)],
        )
        .quiet("9m45s")
        .fires("10m", std::slice::from_ref(&unreadable))
        .fires("14m45s", &[unreadable])
        .quiet("15m15s"),
        undecodable("stays quiet when a definition is mended within a minute", &[("_", 20), ("1", 4), ("stale", 1)])
            .quiet("12m"),
    ]
}

fn stuck_cases() -> Vec<Case> {
    let unseen = |generation: u32| {
        stuck(
            "not-observed",
            "search/minilm: a change has not been taken up in 10 minutes",
            &format!(
                "The specification of search/minilm has generation {generation}, and for 10 minutes no pass over it has ended."
            ),
        )
    };
    let refusal = stuck(
        "objects-refused",
        "search/minilm: refused objects: 1",
        "The API server has refused objects of search/minilm for 15 minutes, now 1. Its conditions name them and the reason.",
    );
    vec![
        generation(
            &[("1", 20), ("2", 100)],
            &[("1", 80), ("2", 40)],
            "fires ten minutes after a change that no pass takes up, and resolves when one does",
        )
        .quiet("14m45s")
        .fires("15m", &[unseen(2)])
        .fires("19m45s", &[unseen(2)])
        .quiet("20m"),
        generation(&[("1", 60)], &[("0", 60)], "fires for a new model that no pass ever ended for")
            .quiet("9m45s")
            .fires("10m", &[unseen(1)]),
        generation(
            &[("1", 20), ("2", 60)],
            &[("1", 22), ("2", 58)],
            "stays quiet when a change is taken up in 30 seconds",
        )
        .quiet("10m")
        .quiet("19m"),
        generation(
            &[("1", 20), ("2", 20), ("stale", 1), ("_", 60)],
            &[("1", 40), ("stale", 1), ("_", 60)],
            "stays quiet when the model is deleted and goes",
        )
        .quiet("14m")
        .quiet("20m"),
        refused(
            &[("0", 20), ("1", 80), ("0", 20)],
            "fires when an object is refused for 15 minutes, and resolves with it",
        )
        .quiet("19m45s")
        .fires("20m", std::slice::from_ref(&refusal))
        .fires("24m45s", &[refusal])
        .quiet("25m"),
        refused(&[("0", 20), ("1", 20), ("0", 60)], "stays quiet when a quota is raised within five minutes")
            .quiet("9m")
            .quiet("24m"),
        refused(&[("0", 120)], "stays quiet where the kinds of the Prometheus Operator are missing").quiet("29m"),
    ]
}

//! No Prometheus evaluates the rules of a model, so that none of the model's alerts can fire.

use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
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
    name: "InferenceRulesNotLoaded",
    category: Category::Telemetry,
    component: AlertComponent::Scrape,
    impact: "Callers may be served, but no alert of the model rings, or not the right one: an outage would go unnoticed.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// The rules come with the operator's and not with the model's, which are the ones that are missing.
fn rules() -> Vec<Firing> {
    let firing = |severity, cause: &str, expr: String, summary: &str, description: &str| Firing {
        severity,
        expr,
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![("cause", cause.to_owned())],
        summary: summary.into(),
        description: Some(description.into()),
    };
    let series = SeriesOf::job(OPERATOR_JOB);
    let evaluating = |status| condition(&series, ConditionType::RulesEvaluating, status);
    let holds = |condition: Level| format!("{} == 1", by_model("max", condition));
    let known = series.gauge(&metrics::MODEL_CONDITION);
    let known = known
        .eq("type", ConditionType::RulesEvaluating.as_str())
        .one_of("status", &[ConditionStatus::True.as_str(), ConditionStatus::False.as_str()]);
    let because = |reason: Reason| holds(evaluating(ConditionStatus::False).eq("reason", reason.as_str()));
    vec![
        firing(
            AlertSeverity::Critical,
            "not-loaded",
            because(Reason::RulesNotLoaded),
            "{{ $labels.namespace }}/{{ $labels.model }}: Prometheus has not loaded its rules for 10 minutes",
            "For 10 minutes, the Prometheus that the installation names has not had the rules of {{ $labels.namespace }}/{{ $labels.model }} \
             as they were last written. The condition RulesEvaluating names the groups.",
        ),
        firing(
            AlertSeverity::Critical,
            "failing",
            because(Reason::RuleFailing),
            "{{ $labels.namespace }}/{{ $labels.model }}: the evaluation of a rule has failed for 10 minutes",
            "For 10 minutes, Prometheus has failed to evaluate a rule of {{ $labels.namespace }}/{{ $labels.model }}. The condition \
             RulesEvaluating names the rule and repeats the error.",
        ),
        // What a Prometheus says of its rules counts for more than what its object should select.
        firing(
            AlertSeverity::Warning,
            "not-selected",
            format!(
                "{} unless on (namespace, model) {known}",
                holds(condition(&series, ConditionType::MonitorSelected, ConditionStatus::False))
            ),
            "{{ $labels.namespace }}/{{ $labels.model }}: no Prometheus object has selected its rules or targets for 10 minutes",
            "For 10 minutes, no Prometheus object has selected both the ServiceMonitor and the PrometheusRule of \
             {{ $labels.namespace }}/{{ $labels.model }}. The condition MonitorSelected names the label or field that is missing.",
        ),
        firing(
            AlertSeverity::Warning,
            "unreadable",
            format!(
                "count({}) > 0",
                holds(evaluating(ConditionStatus::Unknown).eq("reason", Reason::PrometheusUnreadable.as_str()))
            ),
            "Belfry's operator: it can't see whether the rules of {{ $value | humanize }} models are loaded",
            "For 10 minutes, the Prometheus that the installation names in monitoring.prometheusURL has given the operator no answer that it \
             can read. The condition RulesEvaluating of each model repeats the error.",
        ),
    ]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The label `cause` has one of four values. `not-loaded`: the Prometheus that the installation names does not have the rules of the \
            model, or has older ones. `failing`: it has them, and the evaluation of one fails. `not-selected`: no Prometheus object selects the \
            model's ServiceMonitor and PrometheusRule, and nothing else says that the rules are evaluated. `unreadable`: that Prometheus \
            gives the operator no answer, so that nothing is known of the rules of any model; this one has no labels `namespace` and `model`."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("Is the PrometheusRule there, and with which labels?", runbook::kubectl("get prometheusrule", "--show-labels")),
            shell(
                "Which labels and namespaces does Prometheus select?",
                r#"kubectl get prometheus -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name}: {.spec.ruleSelector} in {.spec.ruleNamespaceSelector}{"\n"}{end}'"#,
            ),
            shell(
                "Does the Prometheus Operator complain? Look for the name of the PrometheusRule",
                "kubectl logs -n monitoring -l app.kubernetes.io/name=prometheus-operator --tail=200 --prefix",
            ),
            operator::kubectl("What does the operator say about Prometheus?", "logs", "--prefix --tail=200"),
            operator::query(
                "Which models are affected, and why?",
                condition(&SeriesOf::job(OPERATOR_JOB), ConditionType::RulesEvaluating, ConditionStatus::False).to_string(),
            ),
        ],
        mitigation: vec![
            cause("`not-selected`: a label is missing.", "Add it to `spec.observability.monitor.labels`, such as `release: kube-prometheus-stack`."),
            cause("`not-selected`: Prometheus does not look into the namespace.", "Widen its `ruleNamespaceSelector` and `serviceMonitorNamespaceSelector`, or label the namespace."),
            cause("`not-loaded`, and the Prometheus Operator refuses the PrometheusRule.", "Its log has the reason. If a rule of `spec` is at fault, correct it there; else the versions of the two operators do not fit."),
            cause("`not-loaded`, and the Prometheus object is right.", "Its configuration was not reloaded: a full disk or a failed reload. Look at `prometheus_config_last_reload_successful` and at the log of its container `config-reloader`."),
            cause("`failing`: the error is a time-out or a limit.", "Prometheus is overloaded: see its memory and `prometheus_rule_group_iterations_missed_total`."),
            cause("`failing`: many-to-many matching, or duplicate series.", "Two scrapes store the same target: look for a second ServiceMonitor or a static job for the same pods."),
            cause("`unreadable`: the address is wrong, or a NetworkPolicy keeps the operator out.", "Correct `monitoring.prometheusURL` of the chart, or let the operator's namespace reach Prometheus."),
        ],
        resolves: "When Prometheus evaluates the rules as they were last written; the operator asks again every 20 seconds.".into(),
    }
}

/// A condition of the model `search/minilm`, with the values of its series.
fn with(case: Case, type_: ConditionType, (status, reason): (ConditionStatus, Reason), values: &[(&str, u32)]) -> Case {
    let series = condition(&SeriesOf::job(OPERATOR_JOB), type_, status).eq("reason", reason.as_str());
    case.with(series.eq("namespace", "search").eq("model", "minilm"), hold(values))
}

fn not_selected(name: &'static str, values: &[(&str, u32)]) -> Case {
    with(Case::new(name), ConditionType::MonitorSelected, (ConditionStatus::False, Reason::NotSelected), values)
}

fn evaluating(name: &'static str, status: ConditionStatus, reason: Reason, values: &[(&str, u32)]) -> Case {
    with(Case::new(name), ConditionType::RulesEvaluating, (status, reason), values)
}

fn of_model(cause: &'static str, summary: &str, description: &str) -> Expected {
    expected(&[("cause", cause), ("namespace", "search"), ("model", "minilm")], summary).described(description)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    [loaded_cases(), selected_cases(), unreadable_cases()].concat()
}

fn loaded_cases() -> Vec<Case> {
    let missing = of_model(
        "not-loaded",
        "search/minilm: Prometheus has not loaded its rules for 10 minutes",
        "For 10 minutes, the Prometheus that the installation names has not had the rules of search/minilm as they were last written. The \
         condition RulesEvaluating names the groups.",
    );
    let failing = of_model(
        "failing",
        "search/minilm: the evaluation of a rule has failed for 10 minutes",
        "For 10 minutes, Prometheus has failed to evaluate a rule of search/minilm. The condition RulesEvaluating names the rule and repeats \
         the error.",
    );
    let gone_after_a_quarter = [("_", 20), ("1", 60), ("stale", 1), ("_", 19)];
    vec![
        evaluating(
            "fires ten minutes after the rules are gone from Prometheus, and resolves when they are back",
            ConditionStatus::False,
            Reason::RulesNotLoaded,
            &gone_after_a_quarter,
        )
        .quiet("14m45s")
        .fires("15m", std::slice::from_ref(&missing))
        .fires("19m45s", &[missing])
        .quiet("20m15s"),
        evaluating(
            "fires when a rule fails for ten minutes",
            ConditionStatus::False,
            Reason::RuleFailing,
            &gone_after_a_quarter,
        )
        .quiet("14m45s")
        .fires("15m", &[failing])
        .quiet("20m15s"),
        evaluating(
            "stays quiet while Prometheus restarts and reads its rules within five minutes",
            ConditionStatus::False,
            Reason::RulesNotLoaded,
            &[("_", 20), ("1", 20), ("stale", 1), ("_", 59)],
        )
        .quiet("9m")
        .quiet("20m"),
        evaluating(
            "stays quiet while the rules are evaluated",
            ConditionStatus::True,
            Reason::RulesEvaluated,
            &[("1", 100)],
        )
        .quiet("20m"),
    ]
}

fn selected_cases() -> Vec<Case> {
    let unseen = of_model(
        "not-selected",
        "search/minilm: no Prometheus object has selected its rules or targets for 10 minutes",
        "For 10 minutes, no Prometheus object has selected both the ServiceMonitor and the PrometheusRule of search/minilm. The condition \
         MonitorSelected names the label or field that is missing.",
    );
    let both = |name, status, reason| {
        with(not_selected(name, &[("1", 100)]), ConditionType::RulesEvaluating, (status, reason), &[("1", 100)])
    };
    vec![
        not_selected(
            "fires when no Prometheus object selects the model for ten minutes, and resolves when one does",
            &[("1", 60), ("stale", 1), ("_", 39)],
        )
        .quiet("9m45s")
        .fires("10m", std::slice::from_ref(&unseen))
        .quiet("15m15s"),
        both(
            "is quiet about the object where Prometheus itself evaluates the rules",
            ConditionStatus::True,
            Reason::RulesEvaluated,
        )
        .quiet("20m"),
    ]
}

fn unreadable_cases() -> Vec<Case> {
    let blind = |models: u32| {
        expected(
            &[("cause", "unreadable")],
            &format!("Belfry's operator: it can't see whether the rules of {models} models are loaded"),
        )
        .described(
            "For 10 minutes, the Prometheus that the installation names in monitoring.prometheusURL has given the operator no answer that it \
             can read. The condition RulesEvaluating of each model repeats the error.",
        )
    };
    let unreadable = |model: &str| {
        let series = condition(&SeriesOf::job(OPERATOR_JOB), ConditionType::RulesEvaluating, ConditionStatus::Unknown)
            .eq("reason", Reason::PrometheusUnreadable.as_str());
        series.eq("namespace", "search").eq("model", model)
    };
    vec![
        Case::new("fires once, however many models there are, when Prometheus can't be read for ten minutes")
            .with(unreadable("minilm"), hold(&[("1", 60), ("stale", 1), ("_", 39)]))
            .with(unreadable("other"), hold(&[("1", 60), ("stale", 1), ("_", 39)]))
            .quiet("9m45s")
            .fires("10m", &[blind(2)])
            .quiet("15m15s"),
    ]
}

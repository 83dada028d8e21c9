//! The type of an alert: its rules, its runbook, and the cases that prove it.

use std::collections::BTreeMap;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};
use belfry_crds::monitoring::Rule;

use super::case::Case;
use super::dashboard_name;
use super::labels::{AlertComponent, Category};
use super::runbook::Runbook;
use crate::model::ValidModel;

/// One alert, with everything that is written from it.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Label `alertname`, and the name of the runbook.
    pub name: &'static str,
    /// Label `category`.
    pub category: Category,
    /// The part of the system that is at fault.
    pub component: AlertComponent,
    /// What callers of the model notice; also an annotation.
    pub impact: &'static str,
    /// Severities of the rules, for the index of runbooks.
    pub severities: &'static [AlertSeverity],
    /// Rules under which the alert fires.
    pub rules: AlertRules,
    /// The page that helps when the alert fires.
    pub runbook: fn() -> Runbook,
    /// Cases for the fault, for similar situations without a fault, and for the recovery. They are
    /// written for a model with one objective of each indicator: availability of 99.9 % and latency of
    /// 95 % within 250ms, at 15s.
    pub cases: fn(&ValidModel) -> Vec<Case>,
}

/// The subject of an alert, with the alert's rules.
#[derive(Clone, Copy, Debug)]
pub enum AlertRules {
    /// A model. The rules stand in the model's PrometheusRule, from this profile on.
    Model(AlertProfile, fn(&ValidModel) -> Vec<Firing>),
    /// The operator. The rules come with the chart.
    Operator(fn() -> Vec<Firing>),
    /// The way from Prometheus to the receivers. The rule always holds, and comes with the chart where it is asked for.
    Always(fn() -> Vec<Firing>),
}

/// A condition under which an alert fires. An alert has one for each severity and pair of windows.
#[derive(Clone, Debug)]
pub struct Firing {
    /// Label `severity`.
    pub severity: AlertSeverity,
    /// PromQL.
    pub expr: String,
    /// Time for which the expression must hold; `None` for one evaluation.
    pub for_: Option<&'static str>,
    /// Time for which the alert still fires after the expression no longer holds.
    pub keep_firing_for: Option<&'static str>,
    /// Labels that distinguish the conditions of one alert.
    pub labels: Vec<(&'static str, String)>,
    /// A template of one line: the model, and a number with its unit.
    pub summary: String,
    /// A template for a person: what the alert means, and since when. `None` for alerts about models, whose rules must stay small:
    /// what the summary does not say is in the runbook.
    pub description: Option<String>,
}

/// How the templates of summaries and descriptions name the model.
const SUBJECT: &str = "{{ $labels.namespace }}/{{ $labels.model }}";

impl Alert {
    /// The alert's rules for one model; empty for an alert about the operator, and for an alert that the model does not have.
    #[must_use]
    pub fn of_model(&self, model: &ValidModel) -> Vec<Rule> {
        match self.rules {
            AlertRules::Model(from, rules) if model.monitoring.alerts.has(self.name, from) => {
                rules(model).iter().map(|firing| self.rule(firing, Some(model))).collect()
            }
            AlertRules::Model(..) | AlertRules::Operator(_) | AlertRules::Always(_) => vec![],
        }
    }

    /// The alert's rules about the operator; empty for any other alert.
    #[must_use]
    pub fn of_operator(&self) -> Vec<Rule> {
        match self.rules {
            AlertRules::Operator(rules) => self.of_no_model(&rules()),
            AlertRules::Model(..) | AlertRules::Always(_) => vec![],
        }
    }

    /// The alert's rules that always hold; empty for any other alert.
    #[must_use]
    pub fn of_watchdog(&self) -> Vec<Rule> {
        match self.rules {
            AlertRules::Always(rules) => self.of_no_model(&rules()),
            AlertRules::Model(..) | AlertRules::Operator(_) => vec![],
        }
    }

    fn of_no_model(&self, firings: &[Firing]) -> Vec<Rule> {
        firings.iter().map(|firing| self.rule(firing, None)).collect()
    }

    /// Name of the runbook's file, and the end of its address.
    #[must_use]
    pub fn runbook_file(&self) -> String {
        format!("{}.md", self.name)
    }

    fn rule(&self, firing: &Firing, model: Option<&ValidModel>) -> Rule {
        let overrides = model.map(|model| &model.monitoring.alerts);
        Rule {
            record: None,
            alert: Some(self.name.into()),
            expr: firing.expr.clone(),
            for_: overrides.and_then(|alerts| alerts.duration(self.name)).or(firing.for_).map(Into::into),
            keep_firing_for: firing.keep_firing_for.map(Into::into),
            labels: self.labels(firing, model),
            annotations: self.annotations(firing, model),
        }
    }

    /// `namespace` and `model` are static: an `AlertmanagerConfig` routes by the namespace, and an
    /// expression such as `absent()` or `sum()` would lose both labels.
    fn labels(&self, firing: &Firing, model: Option<&ValidModel>) -> BTreeMap<String, String> {
        let overridden = model.and_then(|model| model.monitoring.alerts.severity(self.name));
        let severity = overridden.unwrap_or(firing.severity).as_str();
        let mut labels = BTreeMap::from([
            ("severity".to_owned(), severity.to_owned()),
            ("component".to_owned(), self.component.as_str().to_owned()),
            ("category".to_owned(), self.category.as_str().to_owned()),
        ]);
        if let Some(model) = model {
            labels.insert("namespace".into(), text(&model.namespace));
            labels.insert("model".into(), text(&model.name));
            labels.extend(model.monitoring.team.iter().map(|team| ("team".to_owned(), text(team))));
        }
        labels.extend(firing.labels.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
        labels
    }

    fn annotations(&self, firing: &Firing, model: Option<&ValidModel>) -> BTreeMap<String, String> {
        let monitoring = model.map(|model| &model.monitoring);
        let base = monitoring.map_or(defaults::RUNBOOK_BASE_URL, |m| m.runbook_base_url.as_str());
        // A rule of one model knows its name. Its expression may have lost the labels that a template would read.
        let named = |template: &str| match model {
            Some(model) => template.replace(SUBJECT, &format!("{}/{}", model.namespace, model.name)),
            None => template.to_owned(),
        };
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), named(&firing.summary)),
            ("impact".to_owned(), text(self.impact)),
            ("runbook_url".to_owned(), text(&format!("{base}/{}{}", self.runbook_file(), subject(model)))),
        ]);
        annotations.extend(firing.description.iter().map(|template| ("description".to_owned(), named(template))));
        if let Some(contact) = monitoring.and_then(|m| m.contact.as_ref()) {
            annotations.insert("contact".into(), text(contact));
        }
        if let Some(model) = model.filter(|model| model.monitoring.dashboard_labels.is_some()) {
            let grafana = model.monitoring.grafana_url.iter();
            annotations.extend(grafana.map(|grafana| {
                let address = format!("{grafana}/d/{}", dashboard_name::uid(model));
                ("dashboard_url".to_owned(), text(&address))
            }));
        }
        annotations
    }
}

/// The part of an address by which the operator's runbooks fill in the model.
fn subject(model: Option<&ValidModel>) -> String {
    model.map(|model| format!("?namespace={}&model={}", model.namespace, model.name)).unwrap_or_default()
}

/// A template that Prometheus expands to this text: labels and annotations are Go templates.
fn text(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

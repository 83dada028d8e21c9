//! What an alert is: its rules, the page that helps, and the cases that prove it.

use std::collections::BTreeMap;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};
use belfry_crds::monitoring::Rule;

use super::case::Case;
use super::dashboard_name;
use super::labels::{Category, Component, Severity};
use super::runbook::Runbook;
use crate::model::ValidModel;

/// One alert, with everything that is written from it.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Label `alertname`, and the name of the runbook.
    pub name: &'static str,
    /// What it is about.
    pub category: Category,
    /// The part of the system that is at fault.
    pub component: Component,
    /// What the callers of the model notice; also an annotation.
    pub impact: &'static str,
    /// How soon somebody must look, for the index of runbooks.
    pub severities: &'static [Severity],
    /// When it fires.
    pub rules: Rules,
    /// What to do.
    pub runbook: fn() -> Runbook,
    /// Fault, look-alike and recovery. They are written for a model with one objective of each
    /// indicator: availability of 99.9 % and latency of 95 % within 250ms, at 15s.
    pub cases: fn(&ValidModel) -> Vec<Case>,
}

/// Whom an alert is about.
#[derive(Clone, Copy, Debug)]
pub enum Rules {
    /// A model; the rules stand in the model's PrometheusRule, from that profile on.
    Model(AlertProfile, fn(&ValidModel) -> Vec<Firing>),
    /// The operator; the rules come with the chart.
    Operator(fn() -> Vec<Firing>),
}

/// A condition under which an alert fires. An alert has one for each severity and pair of windows.
#[derive(Clone, Debug)]
pub struct Firing {
    /// How soon somebody must look.
    pub severity: Severity,
    /// PromQL.
    pub expr: String,
    /// How long the expression must hold; `None` for one evaluation.
    pub for_: Option<&'static str>,
    /// How long the alert goes on after the expression no longer holds.
    pub keep_firing_for: Option<&'static str>,
    /// Labels that tell the conditions of one alert apart.
    pub labels: Vec<(&'static str, String)>,
    /// One line: the model, and a number with its unit. A template.
    pub summary: String,
    /// What it means and since when, for a person. A template.
    pub description: String,
}

impl Alert {
    /// The alert's rules for one model; none for an alert about the operator, and for one that the model does not want.
    #[must_use]
    pub fn of_model(&self, model: &ValidModel) -> Vec<Rule> {
        match self.rules {
            Rules::Model(from, rules) if model.monitoring.alerts.has(self.name, from) => {
                rules(model).iter().map(|firing| self.rule(firing, Some(model))).collect()
            }
            Rules::Model(..) | Rules::Operator(_) => vec![],
        }
    }

    /// The alert's rules about the operator; none for an alert about a model.
    #[must_use]
    pub fn of_operator(&self) -> Vec<Rule> {
        match self.rules {
            Rules::Model(..) => vec![],
            Rules::Operator(rules) => rules().iter().map(|firing| self.rule(firing, None)).collect(),
        }
    }

    /// Name of the runbook's file, and the end of its address.
    #[must_use]
    pub fn runbook_file(&self) -> String {
        format!("{}.md", self.name)
    }

    fn rule(&self, firing: &Firing, model: Option<&ValidModel>) -> Rule {
        let wishes = model.map(|model| &model.monitoring.alerts);
        Rule {
            record: None,
            alert: Some(self.name.into()),
            expr: firing.expr.clone(),
            for_: wishes.and_then(|wishes| wishes.duration(self.name)).or(firing.for_).map(Into::into),
            keep_firing_for: firing.keep_firing_for.map(Into::into),
            labels: self.labels(firing, model),
            annotations: self.annotations(firing, model),
        }
    }

    /// `namespace` and `model` are static: an `AlertmanagerConfig` routes by the namespace, and an
    /// expression such as `absent()` or `sum()` would lose it.
    fn labels(&self, firing: &Firing, model: Option<&ValidModel>) -> BTreeMap<String, String> {
        let wished = model.and_then(|model| model.monitoring.alerts.severity(self.name));
        let severity = wished.map_or(firing.severity.as_str(), AlertSeverity::as_str);
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
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), firing.summary.clone()),
            ("description".to_owned(), firing.description.clone()),
            ("impact".to_owned(), text(self.impact)),
            ("runbook_url".to_owned(), text(&format!("{base}/{}", self.runbook_file()))),
        ]);
        if let Some(contact) = monitoring.and_then(|m| m.contact.as_ref()) {
            annotations.insert("contact".into(), text(contact));
        }
        if let Some(model) = model.filter(|model| model.monitoring.dashboard_labels.is_some()) {
            annotations.insert("dashboard_uid".into(), dashboard_name::uid(model));
        }
        annotations
    }
}

/// A text that Prometheus expands to itself: labels and annotations are Go templates.
fn text(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

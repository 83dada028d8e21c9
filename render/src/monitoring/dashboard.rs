//! One Grafana dashboard for each model, and one for the operator with all of them, as classic JSON.
//!
//! Grafana's provisioning has rules that are not in the schema: a title or a uid that occurs twice stops
//! the import of every dashboard of that provider, and wrapped JSON or JSON of version 2 is refused. So
//! title and uid come from the namespace and the name, and two renderings are equal.

use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::contract::defaults;
use serde_json::{Value, json};

use self::panel::{Row, datasource, place};
use super::OPERATOR_JOB;
use super::dashboard_name::uid;
use super::labels::AlertComponent;
use super::promql::SeriesOf;
use super::series::condition;
use crate::model::ValidModel;

mod boards;
mod fleet;
mod lifecycle;
mod objectives;
mod operator;
mod overview;
mod panel;
mod quality;
mod query;
mod serving;

pub(super) use boards::boards;

pub(super) fn of_model(model: &ValidModel) -> Value {
    // The names stand in two variables and not in each query, where they would be most of a dashboard.
    let series = SeriesOf::named("$ns", "$model");
    let workers = series.clone().selected_pods();
    let mut rows = vec![overview::row(model, &series), serving::traffic(model, &workers), serving::latency(&workers)];
    rows.extend([serving::batching(&workers), serving::capacity(&series, &workers)]);
    rows.extend(quality::row(model, &workers));
    rows.extend([lifecycle::row(&series, &workers)]);
    rows.extend((!model.monitoring.objectives.is_empty()).then(|| objectives::row(model, &series)));
    rows.push(overview::alerts(&SeriesOf::model(model)));
    if let Some(engine) = &model.engine {
        rows = rows.into_iter().filter_map(|row| row.keeping(&|expr| engine.offers(expr))).collect();
    }
    let about = format!("The model {} in namespace {}.", model.name, model.namespace);
    Frame {
        title: format!("Model {}/{}", model.namespace, model.name),
        uid: uid(model),
        description: format!("{about} Written by Belfry; changes are overwritten."),
        runbooks: &model.monitoring.runbook_base_url,
        annotations: vec![firing(&series), rollouts(&series)],
        variables: vec![constant("ns", &model.namespace), constant("model", &model.name), pods(&series)],
    }
    .around(rows)
}

/// The dashboard of the operator and all its models.
pub(super) fn of_operator() -> Value {
    let series = SeriesOf::job(OPERATOR_JOB);
    let alerts = SeriesOf::component(AlertComponent::Operator);
    let rows = vec![
        operator::overview(&series, &alerts),
        fleet::models(&series),
        fleet::capacity(&series),
        operator::passes(&series),
        operator::api_server(&series),
        operator::process(&series),
        operator::alerts(&alerts),
    ];
    Frame {
        title: "Belfry: operator and fleet".into(),
        uid: OPERATOR_JOB.into(),
        description: "The operator, and all models that it serves. Installed by the chart; changes are overwritten."
            .into(),
        runbooks: defaults::RUNBOOK_BASE_URL,
        annotations: vec![firing(&alerts)],
        variables: vec![],
    }
    .around(rows)
}

/// The dashboard around its panels.
struct Frame<'a> {
    title: String,
    uid: String,
    description: String,
    runbooks: &'a str,
    annotations: Vec<Value>,
    variables: Vec<Value>,
}

impl Frame<'_> {
    fn around(self, rows: Vec<Row>) -> Value {
        let built_in = json!({
            "builtIn": 1, "datasource": { "type": "grafana", "uid": "-- Grafana --" }, "enable": true, "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
        });
        let prometheus = json!({
            "includeAll": false, "label": "Data source", "multi": false, "name": "datasource", "options": [],
            "query": "prometheus", "refresh": 1, "type": "datasource",
        });
        let after = |first: Value, rest: Vec<Value>| std::iter::once(first).chain(rest).collect::<Vec<_>>();
        json!({
            "annotations": { "list": after(built_in, self.annotations) },
            "description": self.description,
            "editable": false,
            "graphTooltip": 1,
            "id": null,
            "links": [link("Runbooks", self.runbooks)],
            "panels": place(rows),
            "refresh": "30s",
            "schemaVersion": 41,
            "tags": ["belfry", "generated", "inference"],
            "templating": { "list": after(prometheus, self.variables) },
            "time": { "from": "now-1h", "to": "now" },
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
        })
    }
}

fn annotation(name: &str, color: &str, expr: &str, text: &str) -> Value {
    json!({
        "datasource": datasource(), "enable": true, "expr": expr, "iconColor": color, "name": name, "step": "30s", "tagKeys": "severity",
        "textFormat": text, "titleFormat": name,
    })
}

fn firing(series: &SeriesOf) -> Value {
    annotation("Firing alerts", "red", &series.alerts().eq("alertstate", "firing").to_string(), "{{alertname}}")
}

fn rollouts(series: &SeriesOf) -> Value {
    let rolling_out =
        condition(series, ConditionType::Progressing, ConditionStatus::True).eq("reason", Reason::RollingOut.as_str());
    annotation("Rollouts", "blue", &format!("{rolling_out} == 1"), "new pods replace old ones")
}

/// A variable that no one sees or changes.
fn constant(name: &str, value: &str) -> Value {
    json!({
        "current": { "text": value, "value": value }, "hide": 2, "name": name, "query": value, "skipUrlSync": true, "type": "constant",
    })
}

/// The variable `pod`.
fn pods(series: &SeriesOf) -> Value {
    let pods = format!("label_values({}, pod)", series.up());
    json!({
        "allValue": ".+", "datasource": datasource(), "includeAll": true, "label": "Pod",
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "multi": true, "name": "pod", "options": [], "query": { "query": pods, "refId": "pods" }, "refresh": 2,
        "sort": 1, "type": "query",
    })
}

fn link(title: &str, url: &str) -> Value {
    json!({
        "asDropdown": false, "icon": "doc", "includeVars": false, "keepTime": false, "tags": [], "targetBlank": true,
        "title": title, "tooltip": "What to do when an alert rings", "type": "link", "url": url,
    })
}

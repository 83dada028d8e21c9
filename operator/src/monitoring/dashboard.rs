//! One Grafana dashboard for each model, as classic JSON.
//!
//! Provisioning has rules that are not in the schema: a title or a uid that is there twice stops the
//! import of every dashboard of that provider, and JSON that is wrapped or of version 2 is refused.
//! So both come from the namespace and the name, and nothing here changes between two renderings.

use std::fmt::Write as _;

use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::panel::{datasource, place};
use super::catalogue::condition;
use super::promql::Scope;
use crate::validate::ValidModel;

mod lifecycle;
mod objectives;
mod overview;
mod panel;
mod serving;

/// The dashboard's address in Grafana: at most 40 characters, unique for each model.
pub(super) fn uid(model: &ValidModel) -> String {
    let digest = Sha256::digest(format!("{}/{}", model.namespace, model.name));
    digest.iter().take(12).fold("belfry-".to_owned(), |mut uid, byte| {
        // Writing to a String can't fail.
        let _ = write!(uid, "{byte:02x}");
        uid
    })
}

pub(super) fn of_model(model: &ValidModel) -> Value {
    let scope = Scope::model(model);
    let workers = scope.clone().selected_pods();
    let mut rows = vec![overview::row(model, &scope), serving::traffic(model, &workers), serving::latency(&workers)];
    rows.extend([serving::batching(&workers), serving::capacity(&scope, &workers)]);
    rows.extend([lifecycle::row(&scope, &workers)]);
    rows.extend((!model.monitoring.objectives.is_empty()).then(|| objectives::row(model, &scope)));
    rows.push(overview::alerts(&scope));
    if let Some(engine) = &model.engine {
        rows = rows.into_iter().filter_map(|row| row.keeping(&|expr| engine.offers(expr))).collect();
    }
    json!({
        "annotations": { "list": annotations(&scope) },
        "description": format!("The model {} in namespace {}. Written by Belfry; changes are overwritten.", model.name, model.namespace),
        "editable": false,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": null,
        "links": [link("Runbooks", &model.monitoring.runbook_base_url)],
        "panels": place(rows),
        "refresh": "30s",
        "schemaVersion": 41,
        "tags": ["belfry", "generated", "inference"],
        "templating": { "list": variables(&scope) },
        "time": { "from": "now-1h", "to": "now" },
        "timepicker": {},
        "timezone": "browser",
        "title": format!("Model {}/{}", model.namespace, model.name),
        "uid": uid(model),
        "version": 1,
        "weekStart": "",
    })
}

fn annotations(scope: &Scope) -> Value {
    let rolling_out =
        condition(scope, ConditionType::Progressing, ConditionStatus::True).eq("reason", Reason::RollingOut.as_str());
    let prometheus = |name: &str, color: &str, expr: String, text: &str| {
        json!({
            "datasource": datasource(), "enable": true, "expr": expr, "hide": false, "iconColor": color, "name": name,
            "step": "30s", "tagKeys": "severity", "textFormat": text, "titleFormat": name, "useValueForTime": false,
        })
    };
    json!([
        {
            "builtIn": 1, "datasource": { "type": "grafana", "uid": "-- Grafana --" }, "enable": true, "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
        },
        prometheus("Firing alerts", "red", scope.alerts().eq("alertstate", "firing").to_string(), "{{alertname}}"),
        prometheus("Rollouts", "blue", format!("{rolling_out} == 1"), "new pods replace old ones"),
    ])
}

fn variables(scope: &Scope) -> Value {
    let pods = format!("label_values({}, pod)", scope.up());
    json!([
        {
            "hide": 0, "includeAll": false, "label": "Data source", "multi": false, "name": "datasource", "options": [],
            "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": false, "type": "datasource",
        },
        {
            "allValue": ".+", "datasource": datasource(), "definition": pods, "hide": 0, "includeAll": true, "label": "Pod",
            "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
            "multi": true, "name": "pod", "options": [], "query": { "query": pods, "refId": "pods" }, "refresh": 2, "regex": "",
            "skipUrlSync": false, "sort": 1, "type": "query",
        },
    ])
}

fn link(title: &str, url: &str) -> Value {
    json!({
        "asDropdown": false, "icon": "doc", "includeVars": false, "keepTime": false, "tags": [], "targetBlank": true,
        "title": title, "tooltip": "What to do when an alert rings", "type": "link", "url": url,
    })
}

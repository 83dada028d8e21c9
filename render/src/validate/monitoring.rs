//! `spec.observability`, with defaults applied.

use std::collections::BTreeMap;

use belfry_crds::contract::{PORT, threshold_seconds};
use belfry_crds::inference_model::{Indicator, Observability, Slo, is_free_pod_key};

use super::alerts::valid_alerts;
use super::keep;
use super::routing::routing;
use crate::model::{Objective, ValidIndicator, ValidMonitoring};
use crate::problem::Problem;
use crate::settings::Settings;

pub(super) fn monitoring(spec: Option<&Observability>, settings: &Settings) -> Result<ValidMonitoring, Vec<Problem>> {
    let spec = spec.cloned().unwrap_or_default();
    let owner = spec.owner.unwrap_or_default();
    let dashboard = spec.dashboard.unwrap_or_default();
    let monitor = spec.monitor.unwrap_or_default();
    let mut problems = vec![];
    let routing = spec.alertmanager.as_ref().and_then(|it| keep(routing(it, &monitor.labels), &mut problems));
    let alerts = keep(valid_alerts(spec.alerts.as_ref()), &mut problems).unwrap_or_default();
    let objectives: Vec<_> =
        spec.slos.iter().enumerate().filter_map(|(i, slo)| keep(objective(i, slo), &mut problems)).collect();
    problems.extend(reserved("spec.observability.monitor.annotations", &monitor.annotations));
    problems.extend(reserved("spec.observability.dashboard.annotations", &dashboard.annotations));
    problems.extend((monitor.port == Some(PORT.into())).then(|| {
        let message = format!("requests have port {PORT}: choose another, or remove it to read the metrics there");
        Problem::new("spec.observability.monitor.port", message)
    }));
    if dashboard.enabled == Some(false) {
        let fields = [("labels", dashboard.labels.is_empty()), ("annotations", dashboard.annotations.is_empty())];
        problems.extend(fields.into_iter().filter(|(_, is_empty)| !is_empty).map(|(field, _)| {
            let message = "there is no dashboard to set it on: remove it, or enabled: false";
            Problem::new(&format!("spec.observability.dashboard.{field}"), message)
        }));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let dashboard_labels = if dashboard.labels.is_empty() {
        BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())])
    } else {
        dashboard.labels
    };
    Ok(ValidMonitoring {
        labels: monitor.labels,
        annotations: monitor.annotations,
        dashboard_annotations: dashboard.annotations,
        interval: monitor.interval.unwrap_or_default(),
        port: monitor.port,
        objectives,
        alerts,
        team: owner.team,
        contact: owner.contact,
        runbook_base_url: owner
            .runbook_base_url
            .unwrap_or_else(|| settings.runbook_base_url.clone())
            .trim_end_matches('/')
            .to_owned(),
        grafana_url: settings.grafana_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        dashboard_labels: dashboard.enabled.unwrap_or(true).then_some(dashboard_labels),
        routing,
        tracing: spec.tracing,
        monthly_budget: spec.cost.map(|cost| cost.monthly_budget),
    })
}

fn reserved<'a>(field: &'a str, annotations: &'a BTreeMap<String, String>) -> impl Iterator<Item = Problem> + 'a {
    let reserved = annotations.keys().filter(|key| !is_free_pod_key(key));
    reserved
        .map(move |key| Problem::new(field, format!("{key} is reserved: remove it, or use a key of your own domain")))
}

fn objective(index: usize, slo: &Slo) -> Result<Objective, Vec<Problem>> {
    let field = |name: &str| format!("spec.observability.slos[{index}].{name}");
    let percent: f64 = slo
        .objective
        .parse()
        .map_err(|_| vec![Problem::new(&field("objective"), "write per cent as a decimal number, such as \"99.9\"")])?;
    let indicator = match slo.indicator {
        Indicator::Availability => ValidIndicator::Availability,
        Indicator::Latency => {
            let threshold = slo.threshold.clone().unwrap_or_default();
            let seconds = threshold_seconds(&threshold).ok_or_else(|| {
                vec![Problem::new(&field("threshold"), format!("{threshold:?} is not a bucket bound of the worker"))]
            })?;
            ValidIndicator::Latency { threshold, seconds }
        }
    };
    // A percentage has at most three decimals, so this rounding only removes the error of the division.
    let ratio = (percent * 1000.0).round() / 100_000.0;
    Ok(Objective { name: slo.name.clone(), percent: slo.objective.clone(), ratio, indicator })
}

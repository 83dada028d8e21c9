//! The targets that Prometheus scrapes. `model` becomes a label of the target, so `up` and `scrape_*`
//! carry it too.

use belfry_crds::contract::{METRICS_PATH, METRICS_PORT_NAME, PORT_NAME};
use belfry_crds::monitoring::{Endpoint, Relabeling, ServiceMonitor, ServiceMonitorSpec};

use super::metadata::{Component, add_annotations, monitoring_labels, object_meta, selector};
use crate::model::ValidModel;

/// Limit on the series of a scrape. A worker exposes about 200; a scrape with ten times more is a fault and is dropped.
const SAMPLE_LIMIT: u64 = 2000;

/// The limit for other engines, which expose many more series: a histogram for each of their routes.
const ENGINE_SAMPLE_LIMIT: u64 = 20_000;

/// The ServiceMonitor of a model.
#[must_use]
pub fn service_monitor(model: &ValidModel) -> ServiceMonitor {
    let (port, path, limit) = match &model.engine {
        None => (PORT_NAME, METRICS_PATH, SAMPLE_LIMIT),
        Some(engine) => {
            let port = if engine.metrics_port == engine.http_port { PORT_NAME } else { METRICS_PORT_NAME };
            (port, engine.metrics_path.as_str(), ENGINE_SAMPLE_LIMIT)
        }
    };
    let mut metadata = object_meta(model, Component::Monitoring);
    metadata.labels = Some(monitoring_labels(model));
    add_annotations(&mut metadata, &model.monitoring.annotations);
    ServiceMonitor {
        metadata,
        spec: ServiceMonitorSpec {
            selector: selector(model),
            endpoints: vec![Endpoint {
                port: port.into(),
                path: path.into(),
                interval: model.monitoring.interval.as_str().into(),
                scrape_timeout: model.monitoring.interval.as_str().into(),
                relabelings: vec![
                    Relabeling {
                        action: "replace".into(),
                        target_label: Some("model".into()),
                        replacement: Some(model.name.clone()),
                        ..Relabeling::default()
                    },
                    // The Prometheus Operator's label with the name of the port would take the place of the worker's label
                    // with the route, which would then be `exported_endpoint`.
                    Relabeling { action: "labeldrop".into(), regex: Some("endpoint".into()), ..Relabeling::default() },
                ],
            }],
            sample_limit: Some(limit),
        },
    }
}

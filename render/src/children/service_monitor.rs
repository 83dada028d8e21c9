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
    let port = if model.metrics_port().is_some() { METRICS_PORT_NAME } else { PORT_NAME };
    let (path, limit) = match &model.engine {
        None => (METRICS_PATH, SAMPLE_LIMIT),
        Some(engine) => (engine.metrics_path.as_str(), ENGINE_SAMPLE_LIMIT),
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

#[cfg(test)]
mod tests {
    use belfry_crds::InferenceModel;
    use serde_json::{Value, json};

    use super::*;
    use crate::children::deployment::deployment;
    use crate::children::network_policy::network_policy;
    use crate::children::service::service;
    use crate::settings::Settings;
    use crate::validate::validate;

    fn objects(port: Option<i32>) -> [Value; 4] {
        let spec = json!({
            "task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}},
            "network": {"port": 9090, "networkPolicy": {"allowFrom": [{"podLabels": {"app": "caller"}}]}},
            "observability": {"monitor": {"port": port}},
        });
        let model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
        let model = validate(&model, &Settings::default()).unwrap();
        let container = |deployment: Value| deployment["spec"]["template"]["spec"]["containers"][0].clone();
        [
            json!(service(&model))["spec"]["ports"].clone(),
            container(json!(deployment(&model))),
            json!(service_monitor(&model).spec.endpoints[0])["port"].clone(),
            json!(network_policy(&model))["spec"]["ingress"].clone(),
        ]
    }

    #[test]
    fn metrics_with_a_port_of_their_own_are_scraped_there_and_callers_do_not_reach_it() {
        let [service, container, monitor, ingress] = objects(Some(9090));
        let port = |name: &str, number: i32| json!({"name": name, "containerPort": number, "protocol": "TCP"});
        assert_eq!(container["ports"], json!([port("http", 8080), port("metrics", 9090)]));
        let variables = container["env"].as_array().unwrap();
        assert!(
            variables.contains(&json!({"name": "BELFRY_METRICS_LISTEN", "value": "0.0.0.0:9090"})),
            "{variables:?}"
        );
        // The Service has 9090 for requests already, and nothing asks it for metrics.
        assert_eq!((&service[1]["name"], &service[1]["targetPort"]), (&json!("metrics"), &json!("metrics")));
        assert_ne!(service[0]["port"], service[1]["port"]);
        assert_eq!(monitor, "metrics");
        let ports: Vec<_> = (0..2).map(|rule| ingress[rule]["ports"][0]["port"].clone()).collect();
        assert_eq!(ports, ["http", "metrics"]);
        assert!(ingress[1]["from"].to_string().contains("prometheus"), "{ingress}");
    }

    #[test]
    fn without_it_nothing_knows_of_a_second_port() {
        for object in objects(None) {
            let text = object.to_string();
            assert!(!text.contains("\"metrics\"") && !text.contains("METRICS_LISTEN"), "{text}");
        }
    }
}

//! What a scrape says about models that the cache holds.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::observe::{Content, ModelKey};
use belfry_render::kind::ChildKind;

fn key(name: &str) -> ModelKey {
    ModelKey { namespace: "search".into(), name: name.into() }
}

fn cache_with(name: &str, spec: &Value, status: &Value) -> Arc<Cache> {
    let cache = Arc::new(Cache::default());
    add(&cache, name, spec, status);
    cache
}

fn add(cache: &Cache, name: &str, more: &Value, status: &Value) {
    let source = json!({"huggingFace": {"repo": "owner/name", "revision": "main"}});
    let mut spec = json!({"task": "Embedding", "model": {"source": source}, "replicas": 2});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let accuracy = json!({"score": 0.86, "version": "v3", "time": "2026-11-30T22:00:00Z", "minimum": 0.8}).to_string();
    let annotations =
        json!({"accuracy.belfry.dev/stsb": accuracy, "accuracy.belfry.dev/typo": "86 %", "team": "search"});
    let metadata = json!({
        "name": name, "namespace": "search", "uid": name, "generation": 7, "resourceVersion": "1", "annotations": annotations,
    });
    let api = json!({"apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel"});
    let object = json!({
        "apiVersion": api["apiVersion"], "kind": api["kind"], "metadata": metadata, "spec": spec, "status": status,
    });
    cache.model_seen(serde_json::from_value(object).unwrap());
}

fn pod(name: &str, node: Option<&str>, more: &Value) -> Pod {
    let requests = json!({"cpu": "1500m", "memory": "2Gi", "nvidia.com/gpu": "1"});
    let containers = json!([{"name": "worker", "resources": {"requests": requests}}]);
    let spec = json!({"nodeName": node, "containers": containers});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec, "status": more})).unwrap()
}

fn node(cache: &Arc<Cache>, name: &str, labels: &Value) {
    let node: Node = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
    cache.nodes().set(name, Place::of(node.labels()));
}

fn scrape(cache: &Arc<Cache>) -> String {
    Fleet::new(cache.clone(), None).families().collect()
}

/// The value of the one series with that name and those labels.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

fn family<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect()
}

#[test]
fn a_suspended_model_wants_no_replicas_so_that_no_alert_fires() {
    let desired = r#"belfry_model_replicas{namespace="search",model="minilm",state="desired"}"#;
    let of = |spec: Value| value(&scrape(&cache_with("minilm", &spec, &Value::Null)), desired);
    assert_eq!(of(json!({})), Some(2.0));
    assert_eq!(of(json!({"suspend": true})), Some(0.0));
    assert_eq!(of(json!({"suspend": false, "replicas": null})), Some(1.0));
}

#[test]
fn a_model_whose_namespace_is_being_deleted_wants_no_replicas() {
    let refused = |message: &str| {
        let cache = cache_with("minilm", &json!({}), &Value::Null);
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "minilm", "namespace": "search", "resourceVersion": "2"},
            "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]},
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        cache.child_seen(&key("minilm"), ChildKind::Deployment, (&object, Content::Whole(&object)), |_, _, _| None);
        value(&scrape(&cache), r#"belfry_model_replicas{namespace="search",model="minilm",state="desired"}"#)
    };
    let ending = "pods \"minilm-1\" is forbidden: unable to create new content in namespace search because it is being terminated";
    assert_eq!(refused(ending), Some(0.0));
    assert_eq!(refused("exceeded quota"), Some(2.0));
}

#[test]
fn replicas_are_counted_and_paid_for_by_the_place_of_their_nodes() {
    let cache = cache_with("minilm", &json!({}), &Value::Null);
    let spot = json!({"topology.kubernetes.io/zone": "a", "karpenter.sh/capacity-type": "spot", "nvidia.com/gpu.product": "L4"});
    node(&cache, "n1", &spot);
    node(&cache, "n2", &spot);
    for (name, node) in [("p1", Some("n1")), ("p2", Some("n2")), ("p3", Some("unheard-of")), ("p4", None)] {
        cache.pod_seen(&key("minilm"), &pod(name, node, &json!({})));
    }
    cache.pod_seen(&key("minilm"), &pod("evicted", Some("n1"), &json!({"phase": "Failed"})));
    let text = scrape(&cache);
    let spot = r#"{namespace="search",model="minilm",zone="a",capacity_type="spot",gpu="L4"}"#;
    let unknown = r#"{namespace="search",model="minilm",zone="",capacity_type="unknown",gpu=""}"#;
    assert_eq!(value(&text, &format!("belfry_model_placed_replicas{spot}")), Some(2.0));
    assert_eq!(value(&text, &format!("belfry_model_placed_replicas{unknown}")), Some(1.0));
    assert_eq!(value(&text, &format!("belfry_model_requested_cpu_cores{spot}")), Some(3.0));
    assert_eq!(value(&text, &format!("belfry_model_requested_memory_bytes{spot}")), Some(4_294_967_296.0));
    assert_eq!(value(&text, &format!("belfry_model_requested_gpus{spot}")), Some(2.0));
    assert_eq!(family(&text, "belfry_model_placed_replicas").len(), 2, "{text}");
}

#[test]
fn pods_on_nodes_with_a_price_cost_what_they_request() {
    let cache = cache_with("minilm", &json!({}), &Value::Null);
    node(&cache, "n1", &json!({"nvidia.com/gpu.product": "L4"}));
    for (name, node) in [("p1", Some("n1")), ("p2", Some("n1")), ("p3", Some("without-a-price")), ("p4", None)] {
        cache.pod_seen(&key("minilm"), &pod(name, node, &json!({})));
    }
    let prices = r#"{"currency": "EUR", "rows": [{"gpu": "L4", "perGPU": 0.5, "perCore": 0.25}]}"#;
    let text: String = Fleet::new(cache.clone(), Some(prices.parse().unwrap())).families().collect();
    let of = r#"{namespace="search",model="minilm",zone="",capacity_type="unknown",gpu="L4",currency="EUR"}"#;
    assert_eq!(value(&text, &format!("belfry_model_cost_per_hour{of}")), Some(2.0 * (0.5 + 1.5 * 0.25)));
    assert_eq!(family(&text, "belfry_model_cost_per_hour").len(), 1, "{text}");
    assert!(family(&scrape(&cache), "belfry_model_cost_per_hour").is_empty(), "a cost without prices");
}

#[test]
fn what_became_of_the_objects_and_of_the_specification_has_series() {
    let child =
        |kind: &str, state: &str| json!({"group": "", "kind": kind, "name": "minilm", "hash": "h", "state": state});
    let status = json!({
        "observedGeneration": 6, "replicas": 0, "readyReplicas": 0,
        "objects": [child("Service", "Applied"), child("Deployment", "Refused"), child("ConfigMap", "Applied")],
        "runtime": {"image": "i", "defaultImage": "i", "templateRevision": "1", "availableTemplateRevision": "1"},
    });
    let text = scrape(&cache_with("minilm", &json!({"runtime": {"device": "cuda"}}), &status));
    let of =
        |name: &str, labels: &str| value(&text, &format!(r#"{name}{{namespace="search",model="minilm"{labels}}}"#));
    assert_eq!(of("belfry_model_generation", ""), Some(7.0));
    assert_eq!(of("belfry_model_observed_generation", ""), Some(6.0));
    assert_eq!(of("belfry_model_objects", r#",state="applied""#), Some(2.0));
    assert_eq!(of("belfry_model_objects", r#",state="refused""#), Some(1.0));
    assert_eq!(of("belfry_model_objects", r#",state="missing""#), Some(0.0));
    assert_eq!(of("belfry_model_info", r#",engine="Belfry",device="cuda",template_revision="1""#), Some(1.0));
}

#[test]
fn a_model_that_is_gone_leaves_no_series() {
    let cache = cache_with("stays", &json!({}), &Value::Null);
    let fleet = Fleet::new(cache.clone(), None);
    add(&cache, "goes", &json!({}), &Value::Null);
    for name in ["stays", "goes"] {
        cache.pod_seen(&key(name), &pod("p", Some("n"), &json!({})));
        fleet.restarts.observe(key(name), &cache.observed(&key(name)).unwrap().pods);
    }
    assert!(fleet.families().collect::<String>().contains(r#"model="goes""#));
    cache.model_gone(&key("goes"), u64::MAX);
    let text = fleet.families().collect::<String>();
    assert!(!text.contains(r#"model="goes""#) && text.contains(r#"model="stays""#), "{text}");
    cache.model_gone(&key("stays"), u64::MAX);
    assert_eq!(fleet.families().collect::<String>(), "");
    assert!(fleet.restarts.of(&key("goes")).is_none(), "counters are forgotten too");
}

#[test]
fn every_family_of_the_contract_about_models_is_exposed_with_its_own_labels() {
    use belfry_crds::contract::metric::Exporter;

    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({"replicas": 0, "readyReplicas": 0, "conditions": [condition]});
    let cache = cache_with("minilm", &json!({}), &status);
    let prices = r#"{"currency": "USD", "rows": [{"perCore": 0.03}]}"#.parse().unwrap();
    let fleet = Fleet::new(cache.clone(), Some(prices));
    cache.pod_seen(&key("minilm"), &pod("p", Some("n"), &json!({})));
    fleet.restarts.observe(key("minilm"), &cache.observed(&key("minilm")).unwrap().pods);
    cache.model_undecodable(&key("odd"));
    let text = fleet.families().collect::<String>();
    for metric in contract::ALL.iter().filter(|metric| metric.exporter == Exporter::OperatorAboutModels) {
        let series = family(&text, metric.name);
        assert!(!series.is_empty(), "{} is not exposed", metric.name);
        let head = format!("# TYPE {} ", metric.name);
        assert_eq!(text.matches(&head).count(), 1, "{} is exposed more than once", metric.name);
        for line in series {
            let labels = line.matches("=\"").count();
            assert_eq!(labels, metric.labels.len(), "{line}");
        }
    }
}

#[test]
fn what_an_evaluation_job_wrote_is_exported_and_what_can_not_be_read_is_counted() {
    let text = scrape(&cache_with("minilm", &json!({}), &Value::Null));
    let of = |name: &str| {
        let labels = r#"{namespace="search",model="minilm",version="v3",dataset="stsb"}"#;
        assert_eq!(family(&text, name).len(), 1, "{text}");
        value(&text, &format!("{name}{labels}"))
    };
    assert_eq!(of("belfry_model_accuracy_score"), Some(0.86));
    assert_eq!(of("belfry_model_accuracy_minimum"), Some(0.8));
    assert_eq!(of("belfry_model_accuracy_timestamp_seconds"), Some(1_796_076_000.0));
    assert_eq!(value(&text, r#"belfry_model_accuracy_unreadable{namespace="search",model="minilm"}"#), Some(1.0));
}

/// Twice the models are twice the text: no family looks at one model for the sake of another.
#[test]
fn a_scrape_grows_with_the_number_of_models() {
    let lines = |models: usize| {
        let cache = Arc::new(Cache::default());
        (0..models).for_each(|number| add(&cache, &format!("m{number:03}"), &json!({}), &Value::Null));
        scrape(&cache).lines().filter(|line| !line.starts_with('#')).count()
    };
    assert_eq!(lines(200), 2 * lines(100));
}

#[test]
fn a_model_that_can_not_be_decoded_has_its_series_until_it_can() {
    let cache = cache_with("minilm", &json!({}), &Value::Null);
    cache.model_undecodable(&key("minilm"));
    assert_eq!(value(&scrape(&cache), r#"belfry_model_undecodable{namespace="search",model="minilm"}"#), Some(1.0));
    assert!(family(&scrape(&cache), "belfry_model_replicas").is_empty());
    add(&cache, "minilm", &json!({}), &Value::Null);
    assert!(family(&scrape(&cache), "belfry_model_undecodable").is_empty());
}

#[test]
fn objects_of_a_model_that_the_cache_does_not_know_are_no_series() {
    let cache = Arc::new(Cache::default());
    cache.pod_seen(&key("orphan"), &pod("p", Some("n"), &json!({})));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "orphan", "namespace": "search"}});
    let service: kube::core::DynamicObject = serde_json::from_value(service).unwrap();
    cache.child_seen(&key("orphan"), ChildKind::Service, (&service, Content::Whole(&service)), |_, _, _| None);
    assert_eq!(scrape(&cache), "");
}

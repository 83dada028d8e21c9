//! Specifications to go between, so that every kind of child changes, comes and goes.

use belfry_crds::InferenceModel;
use serde_json::{Value, json};

/// Number of [`variant`]s.
pub const VARIANTS: usize = 7;

/// The [`variant`] with an AlertmanagerConfig.
pub const PAGED: usize = 5;

/// The [`variant`] with a HorizontalPodAutoscaler. Without metrics it keeps the number of workers.
pub const SCALED: usize = 6;

/// A model of that name with one of the specifications; `index` is below [`VARIANTS`].
pub fn variant(name: &str, index: usize) -> Value {
    let claim = json!({"pvc": {"claimName": "models"}});
    let repository = json!({"huggingFace": {"repo": "owner/name", "revision": "main"}});
    let availability = json!({"name": "availability", "indicator": "Availability", "objective": "99.9"});
    let secret = json!({"name": "paging", "key": "address"});
    let pager = json!({"receivers": [{"name": "pager", "webhook": {"urlSecretRef": secret}}]});
    let latency = json!({"name": "latency", "indicator": "Latency", "threshold": "250ms", "objective": "99"});
    let (source, more) = match index {
        0 => (claim, json!({})),
        1 => (claim, json!({"replicas": 2, "observability": {"slos": [availability, latency]}})),
        2 => (claim, json!({"replicas": 0, "observability": {"dashboard": {"enabled": false}}})),
        3 => (repository, json!({"observability": {"monitor": {"labels": {"release": "a"}, "interval": "5s"}}})),
        4 => (claim, json!({"runtime": {"threads": 2, "dtype": "float32", "batching": {"maxBatchTokens": 512}}})),
        5 => (
            repository,
            json!({
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
                "observability": {
                    "owner": {"team": "search", "contact": "#search"}, "slos": [latency], "alertmanager": pager,
                },
            }),
        ),
        _ => (claim, json!({"autoscaling": {"maxReplicas": 1}})),
    };
    let mut model = model(name, &json!({"task": "Embedding", "model": {"source": source}}));
    for (field, value) in more.as_object().into_iter().flatten() {
        model["spec"][field] = value.clone();
    }
    model
}

/// A model with that specification.
pub fn model(name: &str, spec: &Value) -> Value {
    use kube::Resource as _;
    json!({
        "apiVersion": InferenceModel::api_version(&()), "kind": InferenceModel::kind(&()),
        "metadata": {"name": name}, "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_render::settings::Settings;

    #[test]
    fn every_variant_is_valid_and_no_two_are_alike() {
        let models: Vec<_> = (0..VARIANTS).map(|index| variant("m", index)).collect();
        for (index, model) in models.iter().enumerate() {
            let model: InferenceModel = serde_json::from_value(model.clone()).unwrap();
            crate::operator::valid(&model, &Settings::default()).unwrap();
            assert!(!models[..index].contains(&models[index]));
        }
    }
}

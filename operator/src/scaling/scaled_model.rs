//! What the cache knows of a model that is scaled by external metrics.

use std::net::SocketAddr;

use belfry_crds::contract::{METRICS_PATH, PORT};
use belfry_crds::inference_model::ScalingMetricType;

use crate::drift::Drift;
use crate::observe::{Cache, ModelKey};
use belfry_render::engine::ScalingSeries;
use belfry_render::model::{Scaler, ValidAutoscaling};

/// A model whose HorizontalPodAutoscaler asks the operator.
pub(super) struct ScaledModel {
    pub(super) scaling: ValidAutoscaling,
    /// Replicas that the Deployment asks for.
    pub(super) replicas: i32,
    /// Workers that answer requests, by the name of their pod, and where their metrics are.
    pub(super) ready: Vec<(String, SocketAddr)>,
    /// Path of the metrics.
    pub(super) path: String,
    /// The series that are read.
    pub(super) series: ScalingSeries,
}

impl ScaledModel {
    /// Finds a model; `None` when it is not there, or is not scaled by the operator's metrics.
    pub(super) fn find(cache: &Cache, drift: &Drift, key: &ModelKey) -> Option<Self> {
        let observed = cache.observed(key)?;
        let model = drift.validate(&observed.model, observed.deployed()).ok()?.model;
        let scaling = model.autoscaling.filter(|scaling| scaling.scaler == Scaler::Hpa)?;
        let engine = model.engine.as_ref();
        let port = engine.map_or(Some(PORT), |engine| engine.metrics_port.try_into().ok())?;
        let pods = observed.pods.into_iter().filter(|pod| pod.is_ready && !pod.is_terminating);
        Some(Self {
            replicas: observed.deployment.and_then(|d| d.replicas).unwrap_or(scaling.min_replicas),
            ready: pods
                .filter_map(|pod| Some((pod.name, SocketAddr::new(pod.address?, pod.metrics_port.unwrap_or(port)))))
                .collect(),
            path: engine.map_or_else(|| METRICS_PATH.to_owned(), |engine| engine.metrics_path.clone()),
            series: ScalingSeries::of(engine.map(|engine| engine.mappings.as_slice())),
            scaling,
        })
    }

    /// What one worker should have of that metric; `None` when the model is not scaled by it.
    pub(super) fn average(&self, type_: ScalingMetricType) -> Option<i32> {
        self.scaling.metrics.iter().find(|metric| metric.r#type == type_).map(|metric| metric.average_value)
    }
}

//! What the cache knows of a model that is scaled by external metrics.

use std::net::SocketAddr;

use belfry_crds::inference_model::ScalingMetricType;
use kube::runtime::reflector::ObjectRef;

use crate::observe::{Cache, Guarded, observe};
use crate::status::report;
use crate::validate::{Scaler, ValidAutoscaling, autoscaling};

/// A model whose HorizontalPodAutoscaler asks the operator.
pub(super) struct Target {
    pub(super) scaling: ValidAutoscaling,
    /// Replicas that the Deployment asks for.
    pub(super) replicas: i32,
    /// Workers that answer requests, by the name of their pod.
    pub(super) ready: Vec<(String, SocketAddr)>,
}

impl Target {
    /// Finds a model; `None` when it is not there, or is not scaled by the operator's metrics.
    pub(super) fn find(cache: &Cache, namespace: &str, name: &str) -> Option<Self> {
        let model = cache.model(&ObjectRef::<Guarded>::new(name).within(namespace))?;
        let scaling = autoscaling(&model.spec).ok()??;
        let observed = observe(&model, cache);
        let pods = observed.pods.iter().map(|pod| report(pod)).filter(|pod| pod.is_ready && !pod.is_terminating);
        (scaling.scaler == Scaler::Hpa).then(|| Self {
            replicas: observed.deployment().and_then(|d| d.spec?.replicas).unwrap_or(scaling.min_replicas),
            ready: pods.filter_map(|pod| Some((pod.name, pod.metrics_address?))).collect(),
            scaling,
        })
    }

    /// What one worker should have of that metric; `None` when the model is not scaled by it.
    pub(super) fn average(&self, type_: ScalingMetricType) -> Option<i32> {
        self.scaling.metrics.iter().find(|metric| metric.r#type == type_).map(|metric| metric.average_value)
    }
}

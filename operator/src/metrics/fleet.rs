//! Series about the models, computed from the cache at every scrape. So they vanish with their
//! model, and rules need no kube-state-metrics (invariant 6).

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::InferenceModel;
use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics as contract;
use k8s_openapi::api::apps::v1::DeploymentStatus;
use kube::ResourceExt;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec};

use super::{Metrics, label_names, opts};
use crate::observe::{Cache, ModelKey};
use crate::status::PodReport;

/// The families of one scrape.
///
/// # Errors
/// A name or label that Prometheus does not take, which a test rules out.
pub fn fleet(cache: &Cache, metrics: &Metrics) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let families = Families::new()?;
    let keys: BTreeSet<_> = cache.keys().into_iter().collect();
    for observed in keys.iter().filter_map(|key| cache.observed(key)) {
        let rollout = observed.deployment.map(|deployment| deployment.status).unwrap_or_default();
        families.model(&observed.model, &rollout, &observed.pods);
    }
    for (ModelKey { namespace, name }, counts) in metrics.restarts.retain(|key| keys.contains(key)) {
        families.restarts.with_label_values(&[&namespace, &name]).inc_by(counts.restarts);
        families.load_failures.with_label_values(&[&namespace, &name]).inc_by(counts.load_failures);
    }
    Ok(families.collect())
}

struct Families {
    replicas: GaugeVec,
    conditions: GaugeVec,
    waiting: GaugeVec,
    unschedulable: GaugeVec,
    restarts: IntCounterVec,
    load_failures: IntCounterVec,
}

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = |metric: &Metric| GaugeVec::new(opts(metric), &label_names(metric));
        let counter = |metric: &Metric| IntCounterVec::new(opts(metric), &label_names(metric));
        Ok(Self {
            replicas: gauge(&contract::MODEL_REPLICAS)?,
            conditions: gauge(&contract::MODEL_CONDITION)?,
            waiting: gauge(&contract::MODEL_WAITING)?,
            unschedulable: gauge(&contract::MODEL_UNSCHEDULABLE)?,
            restarts: counter(&contract::MODEL_RESTARTS)?,
            load_failures: counter(&contract::MODEL_LOAD_FAILURES)?,
        })
    }

    fn model(&self, model: &InferenceModel, rollout: &DeploymentStatus, pods: &[PodReport]) {
        let (namespace, name) = (model.namespace().unwrap_or_default(), model.name_any());
        let desired = model.spec.replicas.unwrap_or(belfry_crds::contract::defaults::REPLICAS);
        let replicas = [
            ("desired", desired),
            ("current", rollout.replicas.unwrap_or(0)),
            ("updated", rollout.updated_replicas.unwrap_or(0)),
            ("ready", rollout.ready_replicas.unwrap_or(0)),
            ("available", rollout.available_replicas.unwrap_or(0)),
        ];
        for (state, count) in replicas {
            self.replicas.with_label_values(&[namespace.as_str(), &name, state]).set(count.into());
        }
        for condition in model.status.iter().flat_map(|status| &status.conditions) {
            let labels = [namespace.as_str(), &name, &condition.type_, &condition.status, &condition.reason];
            self.conditions.with_label_values(&labels).set(1.0);
        }
        let mut waiting = BTreeMap::from([("CrashLoopBackOff", 0_u32), ("ImagePullBackOff", 0)]);
        for reason in pods.iter().filter_map(|pod| pod.waiting) {
            *waiting.entry(reason).or_default() += 1;
        }
        for (reason, count) in waiting {
            self.waiting.with_label_values(&[namespace.as_str(), &name, reason]).set(count.into());
        }
        let unschedulable = pods.iter().filter(|pod| pod.is_unschedulable()).count();
        let unschedulable = u32::try_from(unschedulable).unwrap_or(u32::MAX);
        self.unschedulable.with_label_values(&[namespace.as_str(), &name]).set(unschedulable.into());
    }

    fn collect(self) -> Vec<MetricFamily> {
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(self.replicas),
            Box::new(self.conditions),
            Box::new(self.waiting),
            Box::new(self.unschedulable),
            Box::new(self.restarts),
            Box::new(self.load_failures),
        ];
        let families = collectors.iter().flat_map(|collector| collector.collect());
        // The encoder refuses a family without series, and a cluster without models has none.
        families.filter(|family| !family.get_metric().is_empty()).collect()
    }
}

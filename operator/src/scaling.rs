//! External metrics: what the HorizontalPodAutoscalers of models ask for.
//!
//! ```text
//! HorizontalPodAutoscaler → API server → (front proxy, TLS) → api → workers' metrics
//! ```
//!
//! The workers are read when a scaler asks, so that a model without one costs nothing. No value is ever made up: where
//! no worker answers, the list is empty, and the HorizontalPodAutoscaler keeps the number of replicas. With
//! `spec.autoscaling.fallbackReplicas`, a fleet of which nothing was heard for a minute has at least that many
//! replicas: the operator then answers with the value that leads there, and writes nothing.

mod api;
mod certificate;
mod exposition;
mod front_proxy;
mod listener;
mod options;
mod registration;
mod availability;
mod scaled_model;
mod metric_value;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use belfry_crds::inference_model::ScalingMetricType;
use kube::Client;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::drift::Drift;
use crate::observe::{Cache, Cause, ModelKey, Trigger, Triggers, Urgency};
pub use availability::MetricsAvailability;
use listener::{Identity, TlsListener};
pub use options::{ScalingArgs, ServiceName};
use registration::Registration;
use scaled_model::ScaledModel;
use workers::{Reader, Shared};

/// Why nothing is served unless the installation asks for it.
const SWITCHED_OFF: &str = "the operator serves no external metrics: install the chart with externalMetrics.enabled=true, or use provider KEDA";

/// What is known of the metrics of models.
pub struct Scaling {
    cache: Arc<Cache>,
    drift: Arc<Drift>,
    reader: Reader,
    heard: Mutex<BTreeMap<ModelKey, Shared>>,
    /// Models whose fallback counts.
    missing: RwLock<BTreeSet<ModelKey>>,
    unavailable: RwLock<Option<String>>,
    trigger: Triggers,
    /// The process is about to end.
    is_ending: Notify,
}

impl Scaling {
    /// Nothing is served yet. Models whose [`MetricsAvailability`] changes are sent to the trigger.
    #[must_use]
    pub fn new(cache: Arc<Cache>, drift: Arc<Drift>, trigger: Triggers) -> Arc<Self> {
        Arc::new(Self {
            cache,
            drift,
            reader: Reader::default(),
            heard: Mutex::default(),
            missing: RwLock::default(),
            unavailable: RwLock::new(Some(SWITCHED_OFF.into())),
            trigger,
            is_ending: Notify::new(),
        })
    }

    /// Serves the metrics, if there is an address for it. The tasks do not end by themselves.
    ///
    /// # Errors
    /// The address can't be bound, or no certificate can be made.
    pub async fn serve(self: &Arc<Self>, client: Client, args: &ScalingArgs) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let Some(address) = args.external_metrics_listen else { return Ok(tasks) };
        let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
        let identity = Identity::default();
        let registration = Registration::new(self.clone(), client, args, identity.clone())?;
        let server = axum::serve(TlsListener::new(listener, identity)?, api::router(self.clone()));
        // Until the registration has seen the cluster, conditions stay as they are.
        *self.unavailable.write() = None;
        tasks.spawn(registration.follow());
        tasks.spawn(async { drop(server.await) });
        Ok(tasks)
    }

    /// Takes the operator's place in the API server back, before the process ends. The tasks are those of [`Self::serve`];
    /// what the API server still asks for is answered.
    pub async fn withdraw(&self, tasks: &mut JoinSet<()>) {
        self.is_ending.notify_one();
        // The registration is the task that ends. Where nothing is served there is none.
        tasks.join_next().await;
    }

    /// Whether the operator has the metrics of a model.
    #[must_use]
    pub fn source(&self, key: &ModelKey) -> MetricsAvailability {
        if let Some(why) = self.unavailable.read().clone() {
            return MetricsAvailability::Unavailable(why);
        }
        if self.missing.read().contains(key) { MetricsAvailability::Missing } else { MetricsAvailability::Served }
    }

    /// The value of a metric over all workers of a model; `None` where it can't be had.
    async fn value(&self, key: &ModelKey, type_: ScalingMetricType) -> Option<f64> {
        let scaled = ScaledModel::find(&self.cache, &self.drift, key)?;
        let average = scaled.average(type_)?;
        let heard = self.heard(key);
        let mut heard = heard.lock().await;
        let workers = self.reader.read(&heard.workers, &scaled).await;
        let is_lost = heard.note(workers, scaled.ready.len(), Instant::now());
        let fallback = scaled.scaling.fallback_replicas.filter(|_| is_lost);
        let values: Vec<_> =
            scaled.ready.iter().map(|(pod, _)| heard.workers.get(pod).and_then(|worker| worker.value(type_))).collect();
        drop(heard);
        self.set_missing(key, fallback.is_some());
        match fallback {
            Some(least) => Some(metric_value::for_replicas(least.max(scaled.replicas), average)),
            None => metric_value::sum(&values, average),
        }
    }

    fn heard(&self, key: &ModelKey) -> Shared {
        let mut heard = self.heard.lock();
        if !heard.contains_key(key) {
            heard.retain(|known, _| ScaledModel::find(&self.cache, &self.drift, known).is_some());
        }
        heard.entry(key.clone()).or_default().clone()
    }

    fn set_missing(&self, key: &ModelKey, is_missing: bool) {
        let mut missing = self.missing.write();
        let has_changed = if is_missing { missing.insert(key.clone()) } else { missing.remove(key) };
        if has_changed {
            self.announce(key.clone());
        }
    }

    fn set_unavailable(&self, unavailable: Option<String>) {
        if std::mem::replace(&mut *self.unavailable.write(), unavailable.clone()) == unavailable {
            return;
        }
        for key in self.cache.keys() {
            let Some(observed) = self.cache.observed(&key) else { continue };
            if observed.model.spec.autoscaling.is_some() {
                self.announce(key);
            }
        }
    }

    fn announce(&self, key: ModelKey) {
        // The receiver is gone only when the process ends.
        let trigger = Trigger { key, urgency: Urgency::Status, cause: Cause::ScalingMetricsChanged };
        let _ = self.trigger.send(trigger);
    }
}

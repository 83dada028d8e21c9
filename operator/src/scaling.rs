//! External metrics: what the HorizontalPodAutoscalers of models ask for.
//!
//! ```text
//! HorizontalPodAutoscaler → API server → (front proxy, TLS) → api → workers' metrics
//! ```
//!
//! The workers are read when somebody asks, so that a model without a scaler costs nothing. No value is ever made up: where
//! nobody answers, the list is empty, and the HorizontalPodAutoscaler keeps the number of replicas. With
//! `spec.autoscaling.fallbackReplicas`, a fleet of which nothing was heard for [`FALLBACK_AFTER`] has at least that many
//! replicas: the operator then answers with the value that leads there, and writes nothing.

mod api;
mod certificate;
mod exposition;
mod front_proxy;
pub mod handover;
mod listener;
mod registration;
mod target;
mod value;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use belfry_crds::inference_model::ScalingMetricType;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::observe::{Cache, Guarded};
use crate::status::MetricsSource;
use listener::{Identity, TlsListener};
use registration::Registration;
use target::Target;
use workers::{Reader, Shared};

/// How long nothing must be heard of the workers before the fallback counts.
pub const FALLBACK_AFTER: Duration = Duration::from_secs(60);

/// Changes that may wait for the controller.
const CHANGES: usize = 64;

/// Where the external metrics are served.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ScalingArgs {
    /// Address of the external metrics, over TLS. Without it models are scaled by KEDA or not at all.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_LISTEN")]
    pub external_metrics_listen: Option<SocketAddr>,

    /// The Service that leads the API server there, NAMESPACE/NAME.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_SERVICE", default_value = "belfry-system/belfry-operator")]
    pub external_metrics_service: ServiceName,
}

/// Namespace and name of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceName {
    fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.into(), name: name.into() })
            }
            _ => Err("write NAMESPACE/NAME"),
        }
    }
}

type Key = (String, String);

/// What is known of the metrics of models.
pub struct Scaling {
    cache: Arc<Cache>,
    reader: Reader,
    heard: Mutex<BTreeMap<Key, Shared>>,
    /// Models whose fallback counts.
    missing: RwLock<BTreeSet<Key>>,
    unavailable: RwLock<Option<String>>,
    changes: mpsc::Sender<ObjectRef<Guarded>>,
}

impl Scaling {
    /// Nothing is served yet. Also returns the models whose [`MetricsSource`] changed.
    #[must_use]
    pub fn new(cache: Arc<Cache>) -> (Arc<Self>, mpsc::Receiver<ObjectRef<Guarded>>) {
        let (changes, changed) = mpsc::channel(CHANGES);
        let unavailable =
            "the operator was started without --external-metrics-listen: install the chart with scaling.enabled";
        let scaling = Self {
            cache,
            reader: Reader::default(),
            heard: Mutex::default(),
            missing: RwLock::default(),
            unavailable: RwLock::new(Some(unavailable.into())),
            changes,
        };
        (Arc::new(scaling), changed)
    }

    /// Serves the metrics, if there is an address for it. The tasks never end by themselves.
    ///
    /// # Errors
    /// The address can't be bound, or no certificate can be made.
    pub async fn serve(self: &Arc<Self>, client: Client, args: &ScalingArgs) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let Some(address) = args.external_metrics_listen else { return Ok(tasks) };
        let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
        let identity = Identity::default();
        let service = args.external_metrics_service.clone();
        let registration = Registration::new(self.clone(), client, service, identity.clone())?;
        let server = axum::serve(TlsListener::new(listener, identity)?, api::router(self.clone()));
        tasks.spawn(registration.follow());
        tasks.spawn(async { drop(server.await) });
        Ok(tasks)
    }

    /// Whether the operator has the metrics of a model.
    #[must_use]
    pub fn source(&self, namespace: &str, name: &str) -> MetricsSource {
        if let Some(why) = self.unavailable.read().clone() {
            return MetricsSource::Unavailable(why);
        }
        let is_missing = self.missing.read().contains(&(namespace.to_owned(), name.to_owned()));
        if is_missing { MetricsSource::Missing } else { MetricsSource::Served }
    }

    /// The value of a metric over all workers of a model; `None` where it can't be had.
    async fn value(&self, namespace: &str, name: &str, type_: ScalingMetricType) -> Option<f64> {
        let key = (namespace.to_owned(), name.to_owned());
        let target = Target::find(&self.cache, namespace, name)?;
        let average = target.average(type_)?;
        let heard = self.heard(&key);
        let mut heard = heard.lock().await;
        heard.workers = self.reader.read(&heard.workers, &target.ready).await;
        // Before a worker is ready there is nobody to ask, and more of them would not be ready any sooner.
        let is_silent = heard.workers.is_empty() && !target.ready.is_empty();
        heard.silent_since = is_silent.then(|| heard.silent_since.unwrap_or_else(Instant::now));
        let is_lost = heard.silent_since.is_some_and(|since| since.elapsed() >= FALLBACK_AFTER);
        let fallback = target.scaling.fallback_replicas.filter(|_| is_lost);
        let values: Vec<_> =
            target.ready.iter().map(|(pod, _)| heard.workers.get(pod).and_then(|worker| worker.value(type_))).collect();
        drop(heard);
        self.set_missing(key, fallback.is_some()).await;
        match fallback {
            Some(least) => Some(value::for_replicas(least.max(target.replicas), average)),
            None => value::sum(&values, average),
        }
    }

    fn heard(&self, key: &Key) -> Shared {
        let mut heard = self.heard.lock();
        if !heard.contains_key(key) {
            heard.retain(|(namespace, name), _| Target::find(&self.cache, namespace, name).is_some());
        }
        heard.entry(key.clone()).or_default().clone()
    }

    async fn set_missing(&self, key: Key, is_missing: bool) {
        let changed = {
            let mut missing = self.missing.write();
            if is_missing { missing.insert(key.clone()) } else { missing.remove(&key) }
        };
        if changed {
            self.announce(&key).await;
        }
    }

    async fn set_unavailable(&self, unavailable: Option<String>) {
        if std::mem::replace(&mut *self.unavailable.write(), unavailable.clone()) == unavailable {
            return;
        }
        for model in self.cache.models().into_iter().filter(|model| model.spec.autoscaling.is_some()) {
            self.announce(&(model.namespace().unwrap_or_default(), model.name_any())).await;
        }
    }

    /// An error means that the controller has ended, and with it the process.
    async fn announce(&self, (namespace, name): &Key) {
        drop(self.changes.send(ObjectRef::new(name).within(namespace)).await);
    }
}

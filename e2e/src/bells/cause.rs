//! Causes a fault in a model that serves, and ends it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use belfry_crds::InferenceModel;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot::{Receiver, Sender};
use tokio::time::{interval, timeout};

use super::bell::{Bell, Fault};
use super::callers::{Callers, Connection, DAMAGED, Mix};
use super::damage::Damage;
use super::starve::Limit;
use crate::process::{kill_worker, signal_worker, worker_pid};
use crate::volume::Folder;
use crate::weights::token_id;
use crate::{Served, secs};

/// The token with which each text begins.
const FIRST_TOKEN: &str = "[CLS]";

/// How often a worker that has started again meets the same fault again.
const AGAIN: Duration = Duration::from_millis(300);

/// The connections that a model takes in the fault of connections, and that someone holds.
const HELD: usize = 40;

/// Callers who come again after a second, whatever they were answered.
const FLOOD: Mix = Mix { callers: 48, pause: secs(1), texts: 8, words: 48, damaged: 0 };

/// How much more memory than it uses a container with tight memory has, in hundredths.
const SPARE: u64 = 5;

/// A model that serves, with all that a fault needs.
pub(super) struct Scene<'a> {
    /// What is done, and what is asked.
    pub(super) bell: Bell,
    /// The model.
    pub(super) served: Served<'a>,
    /// What was applied.
    pub(super) applied: Value,
    /// Its folder.
    pub(super) folder: Folder,
    /// Those who ask it.
    pub(super) callers: Callers,
    /// Address of its Service.
    pub(super) address: String,
    /// Address of this machine, for pods.
    pub(super) node: String,
}

impl Scene<'_> {
    /// Causes the fault, says when it is there, and ends it when `over` comes.
    pub(super) async fn cause(&self, begun: Sender<Instant>, over: Receiver<()>) -> Result<()> {
        // Who waits for it may have given up.
        let begins = || _ = begun.send(Instant::now());
        match self.bell.fault {
            Fault::None => drop(over.await),
            Fault::EveryText => self.damage(FIRST_TOKEN, begins, over).await?,
            Fault::SomeTexts => self.damage(DAMAGED, begins, over).await?,
            Fault::Starved(percent) => self.limit(|pid| Limit::cpu(pid, percent), begins, over).await?,
            Fault::MemoryTight => self.limit(|pid| Limit::memory(pid, SPARE), begins, over).await?,
            Fault::Hangs => self.again_and_again(Signal::STOP, begins, over).await?,
            Fault::Killed => self.again_and_again(Signal::KILL, begins, over).await?,
            Fault::WeightsGone => {
                self.folder.remove(WEIGHTS)?;
                kill_worker(&self.served.pod().await?)?;
                begins();
                drop(over.await);
                self.folder.restore(WEIGHTS)?;
                self.replace(&self.served.pod().await?).await?;
            }
            Fault::ImageGone => {
                self.while_changed(begins, over, &[("runtime", "image", json!("localhost/not-there:0"))]).await?
            }
            Fault::NoNode => {
                self.while_changed(
                    begins,
                    over,
                    &[("resources", "requests", json!({"cpu": "1000", "memory": "64Mi"}))],
                )
                .await?;
            }
            Fault::Flood => {
                self.callers.ask(FLOOD);
                begins();
                drop(over.await);
                self.callers.ask(self.bell.mix);
            }
            Fault::Connections => {
                begins();
                self.hold(over).await?;
            }
            Fault::HubSilent => {
                let hub = TcpListener::bind("0.0.0.0:0").await.context("no port for a hub")?;
                let source = silent(&format!("http://{}:{}", self.node, hub.local_addr()?.port()));
                // What is never accepted waits in the kernel, and says nothing.
                self.while_changed(begins, over, &[("model", "source", source), ("model", "cache", patient_cache())])
                    .await?;
            }
        }
        Ok(())
    }

    async fn damage(&self, token: &str, begins: impl FnOnce(), over: Receiver<()>) -> Result<()> {
        let token = token_id(&self.folder.read("tokenizer.json")?, token)?;
        let pid = worker_pid(&self.served.pod().await?)?;
        let damage = Damage::row_of(pid, &self.folder.read(WEIGHTS)?, token)?;
        begins();
        drop(over.await);
        damage.mend()
    }

    /// Limits the worker's container, and lifts the limit at the end.
    async fn limit(
        &self,
        set: impl FnOnce(i32) -> Result<Limit>,
        begins: impl FnOnce(),
        over: Receiver<()>,
    ) -> Result<()> {
        let limit = set(worker_pid(&self.served.pod().await?)?)?;
        begins();
        drop(over.await);
        limit.lift()
    }

    /// Sends the signal to the worker of one pod, whenever it may have started again, and replaces the pod at the end.
    async fn again_and_again(&self, signal: Signal, begins: impl FnOnce(), mut over: Receiver<()>) -> Result<()> {
        let pod = self.first_pod().await?;
        begins();
        while timeout(AGAIN, &mut over).await.is_err() {
            // There is no worker while the kubelet waits.
            drop(signal_worker(&pod, signal));
        }
        self.replace(&pod).await
    }

    async fn first_pod(&self) -> Result<Pod> {
        let mut pods = self.served.pods().await?;
        pods.sort_by_key(ResourceExt::name_any);
        pods.into_iter().next().context("no pod")
    }

    /// A pod whose container was ended often waits for minutes; a new one does not.
    async fn replace(&self, pod: &Pod) -> Result<()> {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let deleted = self.served.namespace.api::<Pod>().delete(&pod.name_any(), &at_once).await;
        deleted.context("can't delete the pod").map(drop)
    }

    /// Applies the model with other values of `spec.SECTION.FIELD`, and as it was at the end.
    async fn while_changed(
        &self,
        begins: impl FnOnce(),
        over: Receiver<()>,
        changes: &[(&str, &str, Value)],
    ) -> Result<()> {
        let mut changed = self.applied.clone();
        for (section, field, value) in changes {
            changed["spec"][section][field] = value.clone();
        }
        self.served.namespace.apply::<InferenceModel>(&changed).await?;
        begins();
        drop(over.await);
        self.served.namespace.apply::<InferenceModel>(&self.applied).await.map(drop)
    }

    /// Holds as many connections as the worker takes, and uses each now and then. One that is ended is opened again.
    async fn hold(&self, mut over: Receiver<()>) -> Result<()> {
        let mut held: Vec<Option<Connection>> = (0..HELD).map(|_| None).collect();
        let mut ticks = interval(secs(1));
        while timeout(AGAIN, &mut over).await.is_err() {
            for place in &mut held {
                if !self.is_used(place).await {
                    *place = Connection::open(&self.address).await.ok();
                    self.is_used(place).await;
                }
            }
            ticks.tick().await;
        }
        if held.iter().all(Option::is_none) {
            bail!("no connection was ever taken");
        }
        Ok(())
    }

    async fn is_used(&self, place: &mut Option<Connection>) -> bool {
        let Some(connection) = place else { return false };
        matches!(connection.embed(&["one".to_owned()]).await, Ok(200))
    }
}

const WEIGHTS: &str = "model.safetensors";

fn silent(endpoint: &str) -> Value {
    let revision = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf";
    json!({"huggingFace": {"repo": "sentence-transformers/all-MiniLM-L6-v2", "revision": revision, "endpoint": endpoint}})
}

fn patient_cache() -> Value {
    json!({"sizeLimit": "200Mi", "downloadTimeoutSeconds": 295, "stallTimeoutSeconds": 295})
}

//! What every request sees: settings, metrics, state, queue, and the model once it is loaded.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::args::Limits;
use crate::engine::OutputSet;
use crate::inbox::Inbox;
use crate::lifecycle::{Lifecycle, State};
use crate::metrics::Metrics;
use crate::tokenize::Tokenizer;

/// Most KiB of request bodies in memory at once, over all connections.
const BODIES_KIB: usize = 64 * 1024;

/// The worker, as its requests and its lane share it.
pub struct App {
    /// The name that requests and responses use for the model.
    pub name: String,
    /// What is accepted at once.
    pub limits: Limits,
    /// What Prometheus reads.
    pub metrics: Metrics,
    /// What probes read.
    pub lifecycle: Lifecycle,
    /// Where texts wait for the lane.
    pub inbox: Inbox,
    /// A permit for each KiB of request bodies that is in memory.
    pub bodies: Arc<Semaphore>,
    /// A permit for each request that is being tokenized.
    pub tokenizing: Semaphore,
    model: OnceLock<Model>,
}

/// What a request needs to know of the model.
pub struct Model {
    /// Text to token ids, with the length limit.
    pub tokenizer: Tokenizer,
    /// Length of a vector.
    pub dimensions: usize,
    /// What it can be asked for.
    pub outputs: OutputSet,
    /// What people are shown.
    pub about: About,
}

/// What `/info` says of the model.
#[derive(Clone, Debug, serde::Serialize)]
pub struct About {
    /// The architecture that config.json names.
    pub architecture: String,
    /// Type of weights and activations.
    pub dtype: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The commit, where there is one, or empty.
    pub revision: String,
    /// SHA-256 of the manifest of what was loaded.
    pub digest: String,
}

impl App {
    /// A worker in [`State::Loading`], with one tokenizing request a compute thread. Fails only where two metrics have
    /// one name.
    pub fn new(name: String, limits: Limits, threads: usize) -> Result<Self, prometheus::Error> {
        let app = Self {
            inbox: Inbox::new(limits.queue_capacity),
            metrics: Metrics::new()?,
            lifecycle: Lifecycle::new(Instant::now()),
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            tokenizing: Semaphore::new(threads.max(1)),
            model: OnceLock::new(),
            name,
            limits,
        };
        app.metrics.queue_capacity.set(i64::try_from(app.limits.queue_capacity).unwrap_or(i64::MAX));
        app.metrics.state(State::Loading.label(), false);
        Ok(app)
    }

    /// The model, once it is loaded.
    pub fn model(&self) -> Option<&Model> {
        self.model.get()
    }

    /// From here on requests are answered, unless the worker is already on its way out.
    pub fn ready(&self, model: Model) {
        drop(self.model.set(model));
        self.advance(State::Ready);
    }

    /// Goes to a later state, and says so in the metrics.
    pub fn advance(&self, state: State) {
        if self.lifecycle.advance(state) {
            self.metrics.state(state.label(), state.answers());
        }
    }
}

//! The state that all requests share: settings, metrics, lifecycle, queue, and the model once it is loaded.

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

/// The worker, shared by its requests and its lane.
pub struct App {
    /// The name that requests and responses use for the model.
    pub name: String,
    /// Limits of requests, batches and the queue.
    pub limits: Limits,
    /// The metrics that Prometheus reads.
    pub metrics: Metrics,
    /// The state that probes read.
    pub lifecycle: Lifecycle,
    /// Where texts wait for the lane.
    pub inbox: Inbox,
    /// A permit for each KiB of request bodies that is in memory.
    pub bodies: Arc<Semaphore>,
    /// A permit for each request that is being tokenized.
    pub tokenizing: Semaphore,
    model: OnceLock<Model>,
}

/// The part of a model that requests use.
pub struct Model {
    /// Text to token ids, with the length limit.
    pub tokenizer: Tokenizer,
    /// Length of a vector.
    pub dimensions: usize,
    /// The outputs that the model has.
    pub outputs: OutputSet,
    /// The description for `/info`.
    pub about: About,
}

/// The description of a model in `/info`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct About {
    /// The architecture that config.json names.
    pub architecture: String,
    /// Type of weights and activations.
    pub dtype: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The commit; empty if there is none.
    pub revision: String,
    /// SHA-256 of the manifest of the loaded files.
    pub digest: String,
}

impl App {
    /// A worker in [`State::Loading`], which tokenizes as many requests at once as it has compute threads. Fails only
    /// if two metrics have the same name.
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

    /// Sets the model. From now on requests are answered, unless the worker is already shutting down.
    pub fn ready(&self, model: Model) {
        drop(self.model.set(model));
        self.advance(State::Ready);
    }

    /// Moves to a later state, and records it in the metrics.
    pub fn advance(&self, state: State) {
        if self.lifecycle.advance(state) {
            self.metrics.state(state.label(), state.answers());
        }
    }
}

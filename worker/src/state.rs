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

pub struct App {
    pub name: String,
    pub limits: Limits,
    pub metrics: Metrics,
    pub lifecycle: Lifecycle,
    pub inbox: Inbox,
    /// A permit for each KiB of request bodies that is in memory.
    pub bodies: Arc<Semaphore>,
    /// A permit for each request that is being tokenized.
    pub tokenizing: Semaphore,
    model: OnceLock<Model>,
}

/// What a request needs to know of the model.
pub struct Model {
    pub tokenizer: Tokenizer,
    /// Length of a vector.
    pub dimensions: usize,
    /// What it can be asked for.
    pub outputs: OutputSet,
    pub about: About,
}

/// What `/info` says of the model.
#[derive(Clone, Debug, serde::Serialize)]
pub struct About {
    pub architecture: String,
    pub dtype: String,
    pub device: String,
    pub revision: String,
    pub digest: String,
}

impl App {
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

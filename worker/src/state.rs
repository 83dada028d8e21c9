//! The state that all requests share: settings, metrics, lifecycle, queue, and the model once it is loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use belfry_logs::Sampler;
use belfry_traces::Traces;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::args::Limits;
use crate::chat::messages;
use crate::engine::OutputSet;
use crate::inbox::Inbox;
use crate::lifecycle::{Lifecycle, State};
use crate::metrics::Metrics;
use crate::model::pipeline::Presets;
use crate::quality::Quality;
use crate::status::feed::Feed;
use crate::tokenize::{Encoded, Refused, Tokenizer};

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
    /// Where requests wait for their turn to be tokenized.
    pub tokenizing: Turns,
    /// Signals of the quality of answers.
    pub quality: Quality,
    /// What viewers of the live status see.
    pub feed: Feed,
    /// Repository of a hub that the model comes from; `None` for another source, which is what a new app has.
    pub hf_repo: Option<String>,
    /// Which answered requests have a line in the log; none, in a new app.
    pub logged: Sampler,
    /// Where spans are sent; nowhere, in a new app.
    pub traces: Option<Arc<Traces>>,
    model: OnceLock<Model>,
}

/// A bound on how many requests do something at once.
pub struct Turns {
    permits: Semaphore,
    most: usize,
}

impl Turns {
    /// Turns for this many at once, and at least for one.
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { permits: Semaphore::new(most), most }
    }

    /// Requests that have a turn at once.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Waits for a turn, which ends when the permit is dropped; `None` never comes while the worker runs.
    pub async fn take(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }
}

/// The part of a model that requests use.
pub struct Model {
    /// Text to token ids, with the length limit.
    pub tokenizer: Tokenizer,
    /// Length of a vector.
    pub dimensions: usize,
    /// The outputs that the model has.
    pub outputs: OutputSet,
    /// What a request gets that says nothing about it.
    pub presets: Presets,
    /// Tokens of each named prompt that are left out of pooling; none where prompts are pooled.
    prompt_tokens: BTreeMap<String, usize>,
    /// The description for `/info`.
    pub about: About,
}

/// A prompt that goes before a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The text of the prompt; empty for none.
    pub text: String,
    /// Its tokens that are left out of pooling.
    pub skipped: usize,
    /// Whether texts behind it are queries, in a model whose queries differ from its documents.
    pub query: bool,
}

impl Model {
    /// A model with these parts.
    pub fn new(tokenizer: Tokenizer, dimensions: usize, outputs: OutputSet, presets: Presets, about: About) -> Self {
        let counted = presets.prompts.iter().filter(|(_, text)| !presets.pool_prompt && !text.is_empty());
        let prompt_tokens = counted.map(|(name, text)| (name.clone(), tokenizer.prompt_tokens(text))).collect();
        Self { tokenizer, dimensions, outputs, presets, prompt_tokens, about }
    }

    /// The model's own prompt of this name, or `None` if it has none.
    pub fn prompt_named(&self, name: &str) -> Option<Prompt> {
        let text = self.presets.prompts.get(name)?.clone();
        let query = self.presets.max_sim.is_some() && name == "query";
        Some(Prompt { text, skipped: self.prompt_tokens.get(name).copied().unwrap_or(0), query })
    }

    /// A prompt of the caller's.
    pub fn prompt(&self, text: String) -> Prompt {
        let leaves_out = !self.presets.pool_prompt && !text.is_empty();
        let skipped = if leaves_out { self.tokenizer.prompt_tokens(&text) } else { 0 };
        Prompt { text, skipped, query: false }
    }

    /// Tokenizes a text behind a prompt.
    pub fn encode(&self, prompt: &Prompt, text: &str, truncate: bool) -> Result<Encoded, Refused> {
        if let Some(chat) = self.tokenizer.template() {
            return self.tokenizer.messages(chat, &messages(&prompt.text, text, None), truncate);
        }
        match prompt {
            Prompt { text: prefix, query: true, .. } => self.tokenizer.query(&format!("{prefix}{text}"), truncate),
            Prompt { text: none, .. } if none.is_empty() => self.tokenizer.text(text, truncate),
            Prompt { text: prefix, skipped, .. } => {
                self.tokenizer.text(&format!("{prefix}{text}"), truncate)?.skip(*skipped)
            }
        }
    }

    /// Tokenizes a short text that every model takes: alone, or twice in a model for pairs.
    pub fn encode_any(&self, text: &str) -> Result<Encoded, Refused> {
        match self.encode(&self.default_prompt(), text, true) {
            Err(Refused::NoSingle) => self.encode_pair(&self.default_prompt(), (text, text), true),
            encoded => encoded,
        }
    }

    /// Tokenizes a pair of texts; a prompt goes before the first.
    pub fn encode_pair(&self, prompt: &Prompt, pair: (&str, &str), truncate: bool) -> Result<Encoded, Refused> {
        let (first, second) = pair;
        if let Some(chat) = self.tokenizer.template() {
            return self.tokenizer.messages(chat, &messages(&prompt.text, first, Some(second)), truncate);
        }
        match prompt.text.as_str() {
            "" => self.tokenizer.pair(first, second, truncate),
            prefix => self.tokenizer.pair(&format!("{prefix}{first}"), second, truncate),
        }
    }

    /// The numbers of a head for labels, as the model's files define them (`CrossEncoder.predict`). Scores of late interaction are
    /// what they are.
    pub fn defined(&self, row: Vec<f32>) -> Vec<f32> {
        if self.presets.max_sim.is_some() { row } else { self.presets.activation.apply(row) }
    }

    /// The prompt of a request that names none.
    pub fn default_prompt(&self) -> Prompt {
        let name = self.presets.default_prompt.as_deref();
        name.and_then(|name| self.prompt_named(name)).unwrap_or_default()
    }
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
            tokenizing: Turns::new(threads),
            quality: Quality::default(),
            feed: Feed::new(),
            hf_repo: None,
            logged: Sampler::default(),
            traces: None,
            model: OnceLock::new(),
            name,
            limits,
        };
        app.metrics.queue_capacity.set(whole(app.limits.queue_capacity));
        app.metrics.batch_tokens_limit.set(whole(app.limits.max_batch_tokens));
        app.metrics.state(State::Loading.label(), false);
        Ok(app)
    }

    /// The model, once it is loaded.
    pub fn model(&self) -> Option<&Model> {
        self.model.get()
    }

    /// Sets the model. From now on requests are answered, unless the worker is already shutting down.
    pub fn ready(&self, model: Model) {
        self.quality.begin(model.outputs, model.dimensions, &self.metrics);
        drop(self.model.set(model));
        // The model has answered already, when it was warmed.
        self.metrics.probe_success.set(1);
        self.advance(State::Ready);
    }

    /// Sets the metrics of what is so at this moment, before they are read.
    pub fn measure(&self) {
        self.metrics.queue_depth.set(whole(self.inbox.depth()));
        let now = Instant::now();
        self.metrics.queue_oldest_wait.set(self.inbox.oldest_wait(now).as_secs_f64());
        self.quality.measure(&self.metrics, now);
    }

    /// Sends the last spans.
    pub fn end_traces(&self) {
        if let Some(traces) = &self.traces {
            traces.end();
        }
    }

    /// Moves to a later state, and records it in the metrics.
    pub fn advance(&self, state: State) {
        if self.lifecycle.advance(state) {
            self.metrics.state(state.label(), state.answers());
        }
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

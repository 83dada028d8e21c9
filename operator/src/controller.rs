//! The controller: which model is worked on when. A pass itself is in `pass`.

mod backoff;
mod pass;
pub mod queue;
mod report_failure;
mod upgrades;
mod write_status;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use belfry_crds::contract::outcome::Outcome;
use belfry_traces::Traces;
use futures::FutureExt;
use kube::Client;
use kube::runtime::events::Recorder;
use tokio::task::{self, JoinSet};
use tracing::{debug, info, warn};

use crate::apply::{self, Disputes};
use crate::client::message;
use crate::drift::Drift;
use crate::evaluation::{self, Evaluation};
use crate::fleet::Fleet;
use crate::loaded::Loaded;
use crate::metrics::Metrics;
use crate::observe::{Cache, Cause, ModelKey, Trigger, Urgency, Watches};
use crate::prometheus::Prometheus;
use crate::scaling::Scaling;
use crate::trace;
use crate::upgrade::Policy;
use backoff::{Backoff, Setback, jittered};
use pass::{Ended, reconcile};
use queue::{Queue, Wait};
use report_failure::report_failure;
use upgrades::Upgrades;

/// Models that are worked on at the same time. A pass waits for the API server most of its time.
const CONCURRENCY: usize = 16;

/// A pass that takes longer hangs on a connection that is only half open.
const PASS_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause between a change and the pass for it, in which the changes that follow are gathered.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// A pass with nothing to do reads the cache only, so this costs the API server nothing. It mends
/// what a lost event left.
const RESYNC: Duration = Duration::from_secs(600);

/// What every pass uses.
pub struct Context {
    /// Connection to the API server.
    pub client: Client,
    /// What the watches know.
    pub cache: Arc<Cache>,
    /// What the children should look like.
    pub drift: Arc<Drift>,
    /// Which children are changed again and again.
    pub disputes: Disputes,
    /// The series about models.
    pub fleet: Arc<Fleet>,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of models that are scaled.
    pub scaling: Arc<Scaling>,
    /// What workers say that they have loaded.
    pub loaded: Arc<Loaded>,
    /// What a Prometheus says of each model's rules and targets.
    pub evaluation: Arc<Evaluation>,
    /// Writer of events.
    pub recorder: Recorder,
    /// Where spans are sent; `None` for nowhere.
    pub traces: Option<Arc<Traces>>,
}

/// Why a pass has to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server can't be reached, or asks for patience.
    #[error("the API server did not take a request")]
    Api(#[from] kube::Error),
    /// A child could not be built.
    #[error("a child could not be applied")]
    Apply(#[from] apply::Error),
    /// The pass took too long.
    #[error("the pass took longer than {} s", PASS_TIMEOUT.as_secs())]
    Timeout,
    /// A fault of the operator itself.
    #[error("the pass panicked")]
    Panic,
}

impl Error {
    fn setback(&self) -> Setback {
        let (Self::Api(error) | Self::Apply(apply::Error::Api(error))) = self else { return Setback::Model };
        match error {
            // 401 is a token that has just ended: the client soon reads the next one.
            kube::Error::Api(status) if matches!(status.code, 401 | 429) || status.code >= 500 => {
                let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Setback::Outage(Duration::from_secs(asked.into()))
            }
            kube::Error::Api(_) => Setback::Model,
            _ => Setback::Outage(Duration::ZERO),
        }
    }
}

/// Runs until `shutdown` ends, and lets running passes finish. Without `upgrades` only users move their models to the
/// newest template. Without `prometheus` nothing is known of rules and targets.
///
/// # Errors
/// A watch ended: that leaves the operator blind, and a new process sees again.
pub async fn run(
    context: Arc<Context>,
    watches: Watches,
    upgrades: Option<Policy>,
    prometheus: Option<Arc<Prometheus>>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Watches { trigger, mut triggers, mut tasks } = watches;
    if let Some(prometheus) = prometheus.clone() {
        let known = (context.cache.clone(), context.drift.clone());
        tasks.spawn(evaluation::ask(context.evaluation.clone(), prometheus, known, trigger.clone()));
    }
    let mut passes = Passes {
        context,
        queue: Queue::default(),
        backoff: Backoff::default(),
        running: JoinSet::new(),
        models: BTreeMap::new(),
    };
    if let Some(policy) = upgrades {
        tasks.spawn(upgrades::run(passes.context.clone(), Upgrades { policy, prometheus }, trigger.clone()));
    }
    for key in passes.context.cache.keys() {
        let wait = Wait { due: Instant::now(), urgency: Urgency::Children, cause: Cause::Start };
        passes.queue.add(key, wait);
    }
    passes.context.metrics.concurrency(CONCURRENCY);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let due = passes.start_what_is_due();
        tokio::select! {
            () = &mut shutdown => break,
            Some(trigger) = triggers.recv() => {
                passes.ask(trigger);
                // All that is there at once: starting passes costs more than adding a trigger.
                while let Ok(trigger) = triggers.try_recv() {
                    passes.ask(trigger);
                }
            }
            Some(ended) = passes.running.join_next_with_id() => passes.finish(ended),
            () = sleep_until(due) => {}
            ended = tasks.join_next() => anyhow::bail!("a watch or the staged upgrade ended by itself: {ended:?}"),
        }
    }
    while passes.running.join_next().await.is_some() {}
    Ok(())
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The passes that wait and those that run.
struct Passes {
    context: Arc<Context>,
    queue: Queue,
    backoff: Backoff,
    running: JoinSet<Done>,
    /// The model of each running task, so that one is not lost with its task.
    models: BTreeMap<task::Id, ModelKey>,
}

/// A pass that came to its end, in whatever way.
type Done = (ModelKey, Result<Ended, Error>);

impl Passes {
    fn ask(&mut self, trigger: Trigger) {
        let Trigger { key, urgency, cause } = trigger;
        self.queue.add(key, Wait { due: Instant::now() + DEBOUNCE, urgency, cause });
    }

    /// Starts passes as far as there is room, and says when the next model is due; `None` when a pass has to end first.
    fn start_what_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some((key, cause)) = self.room().then(|| self.queue.take(now)).flatten() {
            let (context, failures) = (self.context.clone(), self.backoff.attempts(&key));
            let model = key.clone();
            let task = self.running.spawn(async move {
                let result = traced(&key, cause, failures, &context).await;
                (key, result)
            });
            self.models.insert(task.id(), model);
        }
        let (depth, age) = self.queue.backlog(now);
        self.context.metrics.backlog(depth, age, self.running.len());
        self.room().then(|| self.queue.next_due()).flatten()
    }

    fn room(&self) -> bool {
        self.running.len() < CONCURRENCY
    }

    fn finish(&mut self, ended: Result<(task::Id, Done), task::JoinError>) {
        let (key, result) = match ended {
            Ok((id, done)) => {
                self.models.remove(&id);
                done
            }
            // Panics are caught within the pass, so this is a fault of the runtime. The model gets another pass.
            Err(error) => match self.models.remove(&error.id()) {
                Some(key) => (key, Err(Error::Panic)),
                None => return,
            },
        };
        let Some((pause, urgency, cause)) = self.next(&key, &result) else {
            return self.queue.done(key, None);
        };
        log(&key, &result, cause, pause);
        self.queue.done(key, Some(Wait { due: Instant::now() + pause, urgency, cause }));
    }

    /// When the model needs the next pass, and why; `None` when it needs none.
    fn next(&mut self, key: &ModelKey, result: &Result<Ended, Error>) -> Option<(Duration, Urgency, Cause)> {
        let next = match result {
            Ok(Ended { outcome: Outcome::Gone, .. }) => None,
            Ok(Ended { found_out_more: true, .. }) => Some((DEBOUNCE, Urgency::Children, Cause::Discovery)),
            Ok(Ended { outcome: Outcome::Refused, .. }) => {
                return Some((self.backoff.next(key, Setback::Refusal), Urgency::Children, Cause::Refusal));
            }
            Ok(Ended { again_in: Some(pause), .. }) => Some((*pause, Urgency::Children, Cause::Dispute)),
            Ok(_) => Some((jittered(RESYNC, key, 0), Urgency::Status, Cause::Resync)),
            Err(error) => return Some((self.backoff.next(key, error.setback()), Urgency::Children, Cause::Failure)),
        };
        self.backoff.clear(key);
        next
    }
}

/// Says how a pass ended and why another one follows. The regular next look is not worth a line for each model.
fn log(key: &ModelKey, result: &Result<Ended, Error>, next: Cause, pause: Duration) {
    let next_seconds = pause.as_secs_f64();
    match result {
        Ok(Ended { outcome, .. }) if next == Cause::Resync => {
            debug!(model = %key, outcome = outcome.as_str(), %next, next_seconds, "A pass ended");
        }
        Ok(Ended { outcome, .. }) => {
            info!(model = %key, outcome = outcome.as_str(), %next, next_seconds, "A pass will be repeated");
        }
        Err(error) => {
            let (error, outcome) = (error as &dyn std::error::Error, Outcome::Failed.as_str());
            warn!(model = %key, outcome, error, %next, next_seconds, "A pass failed and will be repeated");
        }
    }
}

/// A pass with its report, as one trace.
async fn traced(key: &ModelKey, cause: Cause, failures: u32, context: &Context) -> Result<Ended, Error> {
    let how = |result: &Result<Ended, Error>| match result {
        Ok(ended) => (ended.outcome.as_str(), None),
        Err(error) => (Outcome::Failed.as_str(), Some(message(error))),
    };
    let about = (&*key.namespace, &*key.name, cause);
    trace::pass(context.traces.as_ref(), about, Box::pin(guarded(key, cause, failures, context)), how).await
}

/// Runs a pass so that neither a panic nor a hang goes further, counts it, and reports one that failed.
async fn guarded(key: &ModelKey, cause: Cause, failures: u32, context: &Context) -> Result<Ended, Error> {
    let started = Instant::now();
    let pass = AssertUnwindSafe(reconcile(key, cause, context)).catch_unwind();
    let result = match tokio::time::timeout(PASS_TIMEOUT, pass).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Error::Panic),
        Err(_elapsed) => Err(Error::Timeout),
    };
    let outcome = result.as_ref().map_or(Outcome::Failed, |ended| ended.outcome);
    context.metrics.reconciled(outcome, started.elapsed());
    debug!(model = %key, cause = %cause, outcome = outcome.as_str(), took_ms = started.elapsed().as_millis(), "A pass");
    if let Err(error) = &result
        && report_failure::is_due(error, failures)
    {
        // A hang of the API server must not hold the model's next pass back.
        let _ = tokio::time::timeout(PASS_TIMEOUT, report_failure(key, error, context)).await;
    }
    result
}

//! The controller: which model is worked on when. A pass itself is in `pass`.

mod backoff;
mod pass;
pub mod queue;
mod upgrades;
mod write_status;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::Client;
use kube::runtime::events::Recorder;
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::apply;
use crate::metrics::Metrics;
use crate::observe::{Cache, ModelKey, Urgency, Watches};
use crate::scaling::Scaling;
use backoff::{Backoff, Cause, jittered};
use pass::{Ended, reconcile};
use queue::Queue;
pub use upgrades::Upgrades;

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
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of models that are scaled.
    pub scaling: Arc<Scaling>,
    /// Writer of events.
    pub recorder: Recorder,
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
    fn cause(&self) -> Cause {
        let (Self::Api(error) | Self::Apply(apply::Error::Api(error))) = self else { return Cause::Model };
        match error {
            // 401 is a token that has just ended: the client soon reads the next one.
            kube::Error::Api(status) if matches!(status.code, 401 | 429) || status.code >= 500 => {
                let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Cause::Outage(Duration::from_secs(asked.into()))
            }
            kube::Error::Api(_) => Cause::Model,
            _ => Cause::Outage(Duration::ZERO),
        }
    }
}

/// Runs until `shutdown` ends, and lets running passes finish. Without `upgrades` only users move their models to the
/// newest template.
///
/// # Errors
/// A watch ended: that leaves the operator blind, and a new process sees again.
pub async fn run(
    context: Arc<Context>,
    watches: Watches,
    upgrades: Option<Upgrades>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Watches { trigger, mut triggers, mut tasks } = watches;
    let mut work = Work { context, queue: Queue::default(), backoff: Backoff::default(), passes: JoinSet::new() };
    if let Some(upgrades) = upgrades {
        tasks.spawn(upgrades::run(work.context.clone(), upgrades, trigger.clone()));
    }
    for key in work.context.cache.keys() {
        work.queue.add(key, Instant::now(), Urgency::Children);
    }
    work.context.metrics.concurrency(CONCURRENCY);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let due = work.start_what_is_due();
        tokio::select! {
            () = &mut shutdown => break,
            Some((key, urgency)) = triggers.recv() => {
                work.queue.add(key, Instant::now() + DEBOUNCE, urgency);
                // All that is there at once: starting passes costs more than adding a trigger.
                while let Ok((key, urgency)) = triggers.try_recv() {
                    work.queue.add(key, Instant::now() + DEBOUNCE, urgency);
                }
            }
            Some(ended) = work.passes.join_next() => work.finish(ended),
            () = sleep_until(due) => {}
            ended = tasks.join_next() => anyhow::bail!("a watch or the staged upgrade ended by itself: {ended:?}"),
        }
    }
    while work.passes.join_next().await.is_some() {}
    Ok(())
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

struct Work {
    context: Arc<Context>,
    queue: Queue,
    backoff: Backoff,
    passes: JoinSet<(ModelKey, Result<Ended, Error>)>,
}

impl Work {
    /// Starts passes as far as there is room, and says when the next model is due; `None` when a pass has to end first.
    fn start_what_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some(key) = self.room().then(|| self.queue.take(now)).flatten() {
            let context = self.context.clone();
            self.passes.spawn(async move {
                let result = guarded(&key, &context).await;
                (key, result)
            });
        }
        let (depth, age) = self.queue.backlog(now);
        self.context.metrics.backlog(depth, age, self.passes.len());
        self.room().then(|| self.queue.next_due()).flatten()
    }

    fn room(&self) -> bool {
        self.passes.len() < CONCURRENCY
    }

    fn finish(&mut self, ended: Result<(ModelKey, Result<Ended, Error>), tokio::task::JoinError>) {
        let (key, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Panics are caught within the pass, and nobody aborts one.
                error!(%error, "A pass was lost; its model is seen again by the resync of the next start");
                return;
            }
        };
        let again = match &result {
            Ok(Ended::Gone) => None,
            Ok(Ended::Converged { .. }) => Some((jittered(RESYNC, &key, 0), Urgency::Status)),
            Ok(Ended::Again) => Some((DEBOUNCE, Urgency::Children)),
            Ok(Ended::Refused) => Some((self.backoff.next(&key, Cause::Refusal), Urgency::Children)),
            Err(error) => {
                let pause = self.backoff.next(&key, error.cause());
                let seconds = pause.as_secs();
                warn!(model = %key, error = error as &dyn std::error::Error, retry_seconds = seconds, "A pass failed and will be repeated");
                Some((pause, Urgency::Children))
            }
        };
        if matches!(result, Ok(Ended::Gone | Ended::Again | Ended::Converged { .. })) {
            self.backoff.clear(&key);
        }
        self.queue.done(key, again.map(|(pause, urgency)| (Instant::now() + pause, urgency)));
    }
}

async fn guarded(key: &ModelKey, context: &Context) -> Result<Ended, Error> {
    let started = Instant::now();
    let pass = AssertUnwindSafe(reconcile(key, context)).catch_unwind();
    let result = match tokio::time::timeout(PASS_TIMEOUT, pass).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Error::Panic),
        Err(_elapsed) => Err(Error::Timeout),
    };
    let outcome = result.as_ref().map_or(Some("failed"), Ended::outcome);
    if let Some(outcome) = outcome {
        context.metrics.reconciled(outcome, started.elapsed());
    }
    result
}

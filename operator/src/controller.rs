//! The controller: which changes lead to a pass, and the pass itself.
//!
//! [`reconcile`] is the only place that sees every step:
//! `InferenceModel → observe → validate → children → apply → status`.

mod backoff;
mod write_status;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use belfry_crds::InferenceModel;
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{error, warn};

use crate::apply::{RefusalCause, apply};
use crate::children::children;
use crate::metrics::Metrics;
use crate::observe::{Cache, Guarded, Watches, observe};
use crate::scaling::Scaling;
use crate::settings::Settings;
use crate::status::{Facts, Pass, ScalingFacts, report, scaler_report, status};
use crate::validate::validate;
use backoff::Backoff;

/// Models that are worked on at the same time. A pass waits for the API server most of its time.
const CONCURRENCY: u16 = 16;

/// A pass that takes longer hangs on a connection that is only half open.
const PASS_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause before a refused child is tried again; a quota may have been raised.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// A pass with nothing to do reads the cache only, so this costs the API server nothing. It mends
/// what a lost event left.
const RESYNC: Duration = Duration::from_secs(600);

/// What every pass uses.
pub struct Context {
    /// Connection to the API server.
    pub client: Client,
    /// What the watches know.
    pub cache: Arc<Cache>,
    /// Settings that reach the children.
    pub settings: Settings,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of models that are scaled.
    pub scaling: Arc<Scaling>,
    /// Writer of events.
    pub recorder: Recorder,
    /// Failed attempts by model.
    pub backoff: Backoff,
}

/// Why a pass has to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server can't be reached, or asks for patience.
    #[error("the API server did not take a request")]
    Api(#[from] kube::Error),
    /// The pass took too long.
    #[error("the pass took longer than {} s", PASS_TIMEOUT.as_secs())]
    Timeout,
    /// A fault of the operator itself.
    #[error("the pass panicked")]
    Panic,
}

/// Runs until `shutdown` ends, and lets running passes finish.
pub async fn run(
    context: Arc<Context>,
    watches: Watches,
    scaling_changed: mpsc::Receiver<ObjectRef<Guarded>>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let models: Api<Guarded> = Api::all(context.client.clone());
    let controller = Controller::new(models, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(Duration::from_millis(50)));
    context.cache.set_models(controller.store());
    let Watches { triggers, kinds_changed, mut tasks } = watches;
    let passes = controller
        .reconcile_on(ReceiverStream::new(triggers))
        .reconcile_on(ReceiverStream::new(scaling_changed))
        .reconcile_all_on(ReceiverStream::new(kinds_changed))
        .graceful_shutdown_on(shutdown)
        .run(guarded_reconcile, on_error, context)
        .for_each(|result| async move {
            if let Err(error @ kube::runtime::controller::Error::QueueError(_)) = result {
                warn!(%error, "The watch for models broke off and is started again");
            }
        });
    tokio::select! {
        () = passes => {}
        // A watch that ends leaves the operator blind; a new process sees again.
        ended = tasks.join_next() => error!(?ended, "A watch task ended"),
    }
}

async fn guarded_reconcile(model: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let pass = AssertUnwindSafe(decoded(&model, &context)).catch_unwind();
    let result = match tokio::time::timeout(PASS_TIMEOUT, pass).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Error::Panic),
        Err(_elapsed) => Err(Error::Timeout),
    };
    let outcome = result.as_ref().map_or("failed", |(outcome, _)| *outcome);
    context.metrics.reconciled(outcome, started.elapsed());
    let (_, action) = result?;
    context.backoff.clear(&key(&*model));
    Ok(action)
}

async fn decoded(model: &Guarded, context: &Context) -> Result<(&'static str, Action), Error> {
    match &model.0 {
        Ok(model) => reconcile(model, context).await,
        Err(invalid) => {
            error!(name = model.name_any(), namespace = model.namespace(), error = %invalid.error, "Could not decode a model; a change of it is needed");
            Ok(("invalid", Action::await_change()))
        }
    }
}

/// One pass: the steps, and nothing else.
async fn reconcile(model: &InferenceModel, context: &Context) -> Result<(&'static str, Action), Error> {
    if model.metadata.deletion_timestamp.is_some() {
        // The children are owned by the model, and the garbage collector takes them.
        return Ok(("unchanged", Action::await_change()));
    }
    let observed = observe(model, &context.cache);
    let pass = match validate(model, &context.settings) {
        Ok(valid) => {
            let children = children(&valid);
            let applied = apply(&context.client, (&valid, children), &observed, &context.metrics).await?;
            Pass::Applied { model: Box::new(valid), applied: Box::new(applied) }
        }
        Err(problems) => Pass::Invalid(problems),
    };
    let pods: Vec<_> = observed.pods.iter().map(|pod| report(pod)).collect();
    context.metrics.restarts.observe(key(model), &pods);
    let deployment = pass.deployment().or_else(|| observed.deployment());
    let scaling = ScalingFacts {
        scaler: observed.scaler().map(scaler_report),
        metrics: context.scaling.source(&model.namespace().unwrap_or_default(), &model.name_any()),
    };
    let facts = Facts {
        generation: model.metadata.generation,
        pass: &pass,
        deployment: deployment.as_ref(),
        scaling: &scaling,
        pods: &pods,
    };
    let next = status(&facts, model.status.as_ref(), Timestamp::now());
    write_status::write(model, next, context).await?;
    Ok((pass.outcome(), Action::requeue(pass.requeue())))
}

impl Pass {
    fn deployment(&self) -> Option<k8s_openapi::api::apps::v1::Deployment> {
        match self {
            Self::Applied { applied, .. } => applied.deployment.clone(),
            Self::Invalid(_) => None,
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Applied { applied, .. } if applied.written.is_empty() => "unchanged",
            Self::Applied { .. } => "applied",
        }
    }

    fn requeue(&self) -> Duration {
        let refused = match self {
            Self::Invalid(_) => false,
            Self::Applied { applied, .. } => applied.refused.iter().any(|r| r.cause != RefusalCause::KindMissing),
        };
        if refused { REFUSED_RETRY } else { RESYNC }
    }
}

fn on_error(model: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let pause = context.backoff.next(&key(&*model));
    warn!(
        namespace = model.namespace(),
        name = model.name_any(),
        error = error as &dyn std::error::Error,
        retry_seconds = pause.as_secs(),
        "A pass failed and will be repeated"
    );
    Action::requeue(pause)
}

fn key(model: &impl ResourceExt) -> (String, String) {
    (model.namespace().unwrap_or_default(), model.name_any())
}

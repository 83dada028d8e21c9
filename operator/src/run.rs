//! Wiring: connects to the cluster, starts the watches, the server and the controller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::apply::Disputes;
use crate::args::Args;
use crate::client::connect;
use crate::controller::{self, Context};
use crate::drift::Drift;
use crate::evaluation::Evaluation;
use crate::fleet::Fleet;
use crate::lease::Candidate;
use crate::loaded::Loaded;
use crate::metrics::Metrics;
use crate::observe::{self, Cache};
use crate::prometheus::Prometheus;
use crate::scaling::Scaling;
use crate::server::{Authenticator, Probes, router};
use belfry_render::children::metadata::MANAGER;
use belfry_traces::Traces;

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// The cluster can't be reached, the address can't be bound, a watch ended, or the lease was lost.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let start = |settings| Traces::start(&settings, (MANAGER, env!("CARGO_PKG_VERSION"))).map(Arc::new);
    let traces = args.traces.settings().and_then(|settings| settings.map(start).transpose());
    let traces = traces.map_err(anyhow::Error::msg)?;
    let result = operate(args, traces.clone()).await;
    if let Some(traces) = traces {
        // It waits for the collector, and must not hold up the runtime that asks the collector.
        let _ = tokio::task::spawn_blocking(move || traces.end()).await;
    }
    result
}

async fn operate(args: Args, traces: Option<Arc<Traces>>) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new().context("the metrics contradict each other")?);
    let client = connect(metrics.requests()).await?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("can't listen on {}", args.listen))?;
    let (cache, drift) = (Arc::new(Cache::default()), Arc::new(Drift::new(args.settings())));
    let fleet = Fleet::new(cache.clone(), args.prices.clone());
    let probes = Arc::new(Probes {
        is_ready: AtomicBool::new(false),
        cache: cache.clone(),
        metrics: metrics.clone(),
        fleet: fleet.clone(),
        authenticator: args.metrics_authentication.then(|| Authenticator::new(client.clone())),
    });
    let server = tokio::spawn(axum::serve(listener, router(probes.clone())).into_future());
    let candidate = candidate(&args, &client)?;
    let prometheus = args.prometheus_url.clone().map(Prometheus::new).transpose()?.map(Arc::new);
    let mut stop = Stop::listen()?;

    // An operator that waits for the lease watches already, so that it can take over at once.
    let started = async {
        let watches = observe::start(&client, (&cache, drift.clone()), &metrics, args.scope()).await;
        let watches = watches.context("a watch ended before it had listed its kind")?;
        let scaling = Scaling::new(cache.clone(), drift.clone(), watches.trigger.clone());
        let scaling_tasks = scaling.serve(client.clone(), &args.scaling).await?;
        probes.is_ready.store(true, Ordering::Release);
        info!(version = env!("CARGO_PKG_VERSION"), "Watching InferenceModels");
        let term = match &candidate {
            Some(candidate) => Some((candidate, candidate.lead().await)),
            None => None,
        };
        anyhow::Ok((watches, term, scaling, scaling_tasks))
    };
    let (watches, term, scaling, mut scaling_tasks) = tokio::select! {
        started = started => started?,
        () = stop.wait() => return Ok(()),
    };
    metrics.leads(true);

    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let recorder = Recorder::new(client.clone(), Reporter { controller: MANAGER.into(), instance: None });
    let context = Arc::new(Context {
        client,
        cache,
        drift,
        disputes: Disputes::new(Instant::now()),
        fleet,
        metrics,
        scaling: scaling.clone(),
        loaded: Loaded::new(watches.trigger.clone()),
        evaluation: Arc::new(Evaluation::new(prometheus.is_some())),
        recorder,
        traces,
    });
    let ended = async { ended.await.unwrap_or(()) };
    let mut controller = tokio::spawn(controller::run(context, watches, args.upgrades(), prometheus, ended));
    tokio::select! {
        ended = &mut controller => anyhow::bail!("the controller ended by itself: {ended:?}"),
        ended = server => anyhow::bail!("the server ended by itself: {ended:?}"),
        Some(ended) = scaling_tasks.join_next() => anyhow::bail!("the external metrics ended by themselves: {ended:?}"),
        error = held(term) => return Err(error.context("this operator leads no more")),
        () = stop.wait() => {}
    }
    info!("Stopping; running passes may finish");
    let _ = end.send(());
    scaling.withdraw(&mut scaling_tasks).await;
    controller.await.context("the controller ended in a fault")??;
    if let Some(candidate) = &candidate
        && let Err(error) = candidate.release().await
    {
        warn!(%error, "Could not give up the lease; it ends by itself");
    }
    Ok(())
}

fn candidate(args: &Args, client: &Client) -> anyhow::Result<Option<Candidate>> {
    if !args.leader_election {
        return Ok(None);
    }
    let namespace = args.own_namespace.as_deref().context("--leader-election needs --own-namespace")?;
    let identity = args.identity.clone().context("--leader-election needs --identity")?;
    Ok(Some(Candidate::new(client, namespace, identity)))
}

/// Ends when the lease is lost; never where there is none.
async fn held(term: Option<(&Candidate, Instant)>) -> anyhow::Error {
    match term {
        Some((candidate, since)) => candidate.hold(since).await,
        None => std::future::pending().await,
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

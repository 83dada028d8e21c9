//! Wiring: connects to the cluster, starts the watches, the server and the controller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::args::Args;
use crate::children::meta::MANAGER;
use crate::controller::{self, Context};
use crate::metrics::Metrics;
use crate::observe::{self, Cache};
use crate::scaling::Scaling;
use crate::server::{Probes, router};

/// A plain request that takes longer hangs on a connection that is only half open. Watches are
/// idle for up to 290 s between two bookmarks, so the limit lies above that.
const READ_TIMEOUT: Duration = Duration::from_secs(295);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// The cluster can't be reached, the address can't be bound, or a watch ended.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut config = Config::infer().await.context("found neither a kubeconfig nor a service account")?;
    config.read_timeout = Some(READ_TIMEOUT);
    // The client's own retries repeat requests for minutes, unseen; the controller's are counted and spaced.
    config.default_retry = false;
    let client = Client::try_from(config).context("the cluster's address or certificates can't be used")?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("can't listen on {}", args.listen))?;

    let metrics = Arc::new(Metrics::new().context("the metrics contradict each other")?);
    let cache = Arc::new(Cache::default());
    let probes = Arc::new(Probes { is_ready: AtomicBool::new(false), cache: cache.clone(), metrics: metrics.clone() });
    let server = tokio::spawn(axum::serve(listener, router(probes.clone())).into_future());

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let watches = tokio::select! {
        watches = observe::start(&client, &cache) => watches.context("a watch ended before it had listed its kind")?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    probes.is_ready.store(true, Ordering::Release);
    info!(version = env!("CARGO_PKG_VERSION"), "Watching InferenceModels");

    let (scaling, scaling_changed) = Scaling::new(cache.clone());
    let mut scaling_tasks = scaling.serve(client.clone(), &args.scaling).await?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let reporter = Reporter { controller: MANAGER.into(), instance: None };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        cache,
        settings: args.settings(),
        metrics,
        scaling,
        backoff: Default::default(),
    });
    let mut controller = tokio::spawn(controller::run(context, watches, scaling_changed, async { stopped.await.unwrap_or(()) }));
    tokio::select! {
        ended = &mut controller => anyhow::bail!("the controller ended by itself: {ended:?}"),
        ended = server => anyhow::bail!("the server ended by itself: {ended:?}"),
        Some(ended) = scaling_tasks.join_next() => anyhow::bail!("the external metrics ended by themselves: {ended:?}"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("Stopping; running passes may finish");
    let _ = stop.send(());
    controller.await.context("the controller ended in a fault")
}

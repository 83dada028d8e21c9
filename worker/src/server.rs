//! Connections: an accept loop with a bound on everything, and a drain at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::ServiceExt;

use crate::args::LifecycleArgs;
use crate::lifecycle::State;
use crate::state::App;

/// Longest time from a connection's start, or from the end of the previous answer, to the complete head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Most headers of a request, and most bytes of its head.
const HEADERS_LIMIT: usize = 64;
const HEAD_BYTES_LIMIT: usize = 64 * 1024;

/// Most connections at once; more wait in the kernel's queue until one closes, which [`HEADER_TIMEOUT`] ensures.
const CONNECTIONS_LIMIT: usize = 1024;

/// Pause after the kernel refused a connection, usually because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a drain checks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Time for connections to close after the last answer was given.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown` ends, and then until everything that was accepted is answered or the drain's time is over.
/// The caller passes both the listener and the shutdown, so that a test can drain without a process.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    router: Router,
    times: LifecycleArgs,
    shutdown: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_LIMIT));
    let accepting = accept(&listener, &permits, &connections, &router);
    let ending = async {
        shutdown.await;
        drain(&app, &times).await;
    };
    tokio::select! {
        never = accepting => match never {},
        () = ending => {}
    }
    // Idle connections close now; one that still writes its answer gets a moment.
    drop(listener);
    drop(timeout(CLOSE_TIMEOUT, connections.shutdown()).await);
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    connections: &GracefulShutdown,
    router: &Router,
) -> Infallible {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => connection(stream, peer, permit, (connections, router)),
            Err(error) => {
                tracing::warn!(%error, "Connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    (connections, router): (&GracefulShutdown, &Router),
) {
    // Small answers would otherwise wait for the caller's delayed acknowledgement.
    drop(stream.set_nodelay(true));
    let router = router.clone();
    let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_LIMIT)
        .max_buf_size(HEAD_BYTES_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let watched = connections.watch(serving);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%peer, %error, "Connection broke");
        }
        drop(permit);
    });
}

/// Drains: not ready at once, refusing requests after the delay, done once no request is running.
async fn drain(app: &App, times: &LifecycleArgs) {
    let start = Instant::now();
    let end = start + Duration::from_secs(times.drain_timeout_seconds);
    let refuse = end.min(start + Duration::from_secs(times.drain_delay_seconds));
    tracing::info!(
        delay_seconds = times.drain_delay_seconds,
        timeout_seconds = times.drain_timeout_seconds,
        "Draining"
    );
    app.advance(State::Draining);
    // Before the model is loaded no endpoint sends requests here, so there is none to wait for.
    if app.model().is_some() {
        sleep_until(refuse).await;
    }
    app.advance(State::Refusing);
    while app.metrics.active_requests.get() > 0 && Instant::now() < end {
        sleep(DRAIN_POLL).await;
    }
    let unanswered = app.metrics.active_requests.get();
    tracing::info!(unanswered, "Drained");
}

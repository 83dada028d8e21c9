//! Connections: an accept loop with a bound on everything, room for probes whatever callers do, and a drain at the end.

mod watched;

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::ServiceExt;

use self::watched::{Patience, Phases, Watched};
use crate::args::{Connections, LifecycleArgs};
use crate::error::body;
use crate::http::only_metrics;
use crate::lifecycle::State;
use crate::state::App;

/// Most headers of a request, and most bytes of its head.
const HEADERS_LIMIT: usize = 64;
const HEAD_BYTES_LIMIT: usize = 64 * 1024;

/// Most connections at the port of the metrics, where they have one.
const METRICS_CONNECTIONS: usize = 64;

/// Longest time from the first byte of a head to its end.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections beyond the limit of callers' connections. On them only probes and scrapes are answered, and each is closed after its answer;
/// so the kubelet is answered while callers hold every other connection.
const RESERVED: usize = 64;

/// How long such a connection may take to ask.
const RESERVED_PATIENCE: Patience = Patience { idle: Duration::from_secs(1), head: Duration::from_secs(1) };

/// Pause after the kernel refused a connection, usually because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a drain checks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Time for connections to close after the last answer was given.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who asks: the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What a request may ask for, by the connection that it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everything is answered.
    Open,
    /// The connection was made after the drain's delay was over: only probes and scrapes are answered.
    Late,
    /// There are too many connections: only probes and scrapes are answered.
    Crowded,
}

/// Where connections come from.
#[derive(Debug)]
pub struct Listeners {
    /// Requests and probes, and metrics where they have no port of their own.
    pub requests: TcpListener,
    /// The metrics' own port.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(requests: TcpListener) -> Self {
        Self { requests, metrics: None }
    }
}

/// Serves until `shutdown` ends, and then until everything that was accepted is answered or the drain's time is over.
/// The caller passes both the listeners and the shutdown, so that a test can drain without a process. Scrapes are answered until the end.
pub async fn serve(
    app: Arc<App>,
    listeners: impl Into<Listeners>,
    router: Router,
    (times, limits): (LifecycleArgs, Connections),
    shutdown: impl Future<Output = ()>,
) {
    let Listeners { requests, metrics } = listeners.into();
    let patience = Patience { idle: limits.keep_alive(), head: HEAD_TIMEOUT };
    let server = Server::new(&app, router, limits.max_connections, patience);
    let scraped = Server::new(&app, only_metrics(Arc::clone(&app)), METRICS_CONNECTIONS, patience);
    let scrapes = async {
        match &metrics {
            Some(listener) => scraped.accept(listener).await,
            None => pending().await,
        }
    };
    app.metrics.connections_limit.set(i64::try_from(limits.max_connections).unwrap_or(i64::MAX));
    let ending = async {
        shutdown.await;
        drain(&app, &times).await;
    };
    tokio::select! {
        never = server.accept(&requests) => match never {},
        never = scrapes => match never {},
        () = ending => {}
    }
    // Idle connections close now; one that still writes its answer gets a moment, and so does a viewer.
    drop((requests, metrics));
    for ending in [&server.ending, &scraped.ending] {
        ending.send_replace(());
    }
    let closed = async { tokio::join!(app.feed.end(), server.ending.closed(), scraped.ending.closed()) };
    drop(timeout(CLOSE_TIMEOUT, closed).await);
}

struct Server {
    app: Arc<App>,
    router: Router,
    /// A permit for each connection of a caller.
    callers: Arc<Semaphore>,
    /// A permit for each connection beyond those.
    reserved: Arc<Semaphore>,
    patience: Patience,
    /// Changes when connections end, and is closed once they have.
    ending: watch::Sender<()>,
}

impl Server {
    fn new(app: &Arc<App>, router: Router, most: usize, patience: Patience) -> Self {
        Self {
            callers: Arc::new(Semaphore::new(most)),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            patience,
            ending: watch::Sender::new(()),
            app: Arc::clone(app),
            router,
        }
    }

    async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (admission, permit) = self.admit().await;
                    self.connection(stream, peer, admission, permit);
                }
                Err(error) => {
                    tracing::warn!(%error, "Connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&self) -> (Admission, Option<OwnedSemaphorePermit>) {
        let late = self.app.lifecycle.state() == State::Refusing;
        match Arc::clone(&self.callers).try_acquire_owned() {
            Ok(permit) if late => (Admission::Late, Some(permit)),
            Ok(permit) => (Admission::Open, Some(permit)),
            // Each of these ends within a second or after one answer.
            Err(_) => (Admission::Crowded, Arc::clone(&self.reserved).acquire_owned().await.ok()),
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        admission: Admission,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        // Small answers would otherwise wait for the caller's delayed acknowledgement.
        drop(stream.set_nodelay(true));
        let (app, router, phases) = (Arc::clone(&self.app), self.router.clone(), Arc::new(Phases::new()));
        let patience = if admission == Admission::Crowded { RESERVED_PATIENCE } else { self.patience };
        let held = Held(Arc::new((permit, OpenConnection::new(Arc::clone(&self.app)))));
        let mut ending = self.ending.subscribe();
        let watched = Watched::new(stream, Arc::clone(&phases));
        let (asked, shared) = (Arc::clone(&phases), held.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (app, router, phases) = (Arc::clone(&app), router.clone(), Arc::clone(&asked));
            request.extensions_mut().insert(shared.clone());
            request.extensions_mut().insert(Peer(peer));
            async move {
                phases.asked();
                let response = respond(&app, router, request.map(Body::new), admission).await;
                phases.answered();
                response
            }
        });
        let serving = http1::Builder::new()
            .max_headers(HEADERS_LIMIT)
            .max_buf_size(HEAD_BYTES_LIMIT)
            .serve_connection(TokioIo::new(watched), service)
            .with_upgrades();
        tokio::spawn(async move {
            let mut serving = pin!(serving);
            let mut is_ending = false;
            loop {
                tokio::select! {
                    result = &mut serving => {
                        if let Err(error) = result {
                            tracing::debug!(%peer, %error, "Connection broke");
                        }
                        break;
                    }
                    _ = ending.changed(), if !is_ending => {
                        is_ending = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    // Dropping the connection closes it.
                    () = phases.expired(patience) => break,
                }
            }
            drop(held);
        });
    }
}

/// A connection's place among those that are open. A WebSocket lives on when the connection's requests have ended, and holds it.
#[derive(Clone)]
pub(crate) struct Held(
    #[expect(dead_code, reason = "what it holds counts until it is dropped")]
    Arc<(Option<OwnedSemaphorePermit>, OpenConnection)>,
);

/// Counts a connection while it is open.
struct OpenConnection(Arc<App>);

impl OpenConnection {
    fn new(app: Arc<App>) -> Self {
        app.metrics.connections.inc();
        Self(app)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

async fn respond(
    app: &App,
    router: Router,
    mut request: Request,
    admission: Admission,
) -> Result<Response, Infallible> {
    let about_worker = [LIVENESS_PATH, READINESS_PATH, METRICS_PATH].contains(&request.uri().path());
    let mut response = match admission {
        Admission::Crowded if !about_worker => too_many(app),
        _ => {
            request.extensions_mut().insert(admission);
            router.oneshot(request).await?
        }
    };
    // A caller of a worker that ends connects again, and then to another one. A WebSocket has an end of its own.
    let is_socket = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let is_ending = matches!(app.lifecycle.state(), State::Draining | State::Refusing);
    if !is_socket && (admission != Admission::Open || is_ending) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn too_many(app: &App) -> Response {
    app.metrics.connections_refused.inc();
    let message = "the worker has as many connections as it takes; retry, and share connections between requests";
    let mut response = body(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message, None);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Drains: not ready at once, refusing new connections' requests after the delay, done once no request is running.
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

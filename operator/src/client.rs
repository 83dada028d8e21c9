//! The connection to the API server: every request is counted, and none hangs for ever.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service, ServiceBuilder};

use crate::metrics::RequestCounts;
use crate::observe::WATCH_SECONDS;
use crate::trace;

/// A watch may be silent until its end.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// A request that is not answered within this hangs on a connection that is only half open.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a connection reads at once. In a burst the library would let it grow to 400 kB, and keeps what has grown: the buffers of
/// twenty watches and a few requests were as large as all that is known of 200 models.
const MOST_READ: usize = 64 * 1024;

/// The connections of a burst are closed when nothing has used them for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Connects with what the environment offers: a kubeconfig, or the pod's service account.
///
/// # Errors
/// Neither is there, or the certificates can't be used.
pub async fn connect(requests: RequestCounts) -> anyhow::Result<Client> {
    use anyhow::Context as _;
    let mut config = Config::infer().await.context("found neither a kubeconfig nor a service account")?;
    config.read_timeout = Some(READ_TIMEOUT);
    // The client's own retries repeat requests for minutes, unseen; the controller's are counted and spaced.
    config.default_retry = false;
    client(config, requests).context("the cluster's address or certificates can't be used")
}

/// The client as `ClientBuilder::try_from` builds it, but for the size of its buffers, the repeats and the spans of its log.
fn client(config: Config, requests: RequestCounts) -> kube::Result<Client> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http = HttpClient::builder(TokioExecutor::new())
        .http1_max_buf_size(MOST_READ)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(Watched { requests })
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// Longest [`message`]. An error may repeat what a server said, and that may be long.
pub(crate) const MOST_CHARACTERS: usize = 500;

/// An error with its causes, on one line, for a condition.
pub(crate) fn message(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let words = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    let line = words.collect::<Vec<_>>().join(": ").replace(['\n', '\r'], " ");
    line.chars().take(MOST_CHARACTERS).collect()
}

/// Counts requests, and limits the time that each may take.
#[derive(Clone)]
struct Watched {
    requests: RequestCounts,
}

impl<S> Layer<S> for Watched {
    type Service = WatchedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchedService { inner, requests: self.requests.clone() }
    }
}

#[derive(Clone)]
struct WatchedService<S> {
    inner: S,
    requests: RequestCounts,
}

impl<S, B> Service<Request<Body>> for WatchedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (requests, what) = (self.requests.clone(), What::of(&request));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let asked = Instant::now();
            // Here and not before: only now this is a part of the pass that asked.
            let span = trace::request(what.verb, &what.resource);
            let answer = tokio::time::timeout(REQUEST_TIMEOUT, answer).await;
            let code = match &answer {
                Ok(Ok(response)) => response.status().as_u16().to_string(),
                Ok(Err(_)) => "error".to_owned(),
                Err(_) => "timeout".to_owned(),
            };
            requests.count(what.verb, &what.resource, &code, asked.elapsed());
            trace::answered(span, &code);
            match answer {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()).into()),
            }
        })
    }
}

/// What a request is about, as the API server's own metrics would say.
#[derive(Debug, PartialEq, Eq)]
struct What {
    verb: &'static str,
    resource: String,
}

impl What {
    fn of<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        let (resource, has_name) = resource(uri.path());
        let is_watch =
            uri.query().is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
        let verb = match request.method().as_str() {
            "GET" if is_watch => "watch",
            "GET" if has_name => "get",
            "GET" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "other",
        };
        Self { verb, resource }
    }
}

/// The plural, with the subresource, and whether the path names an object: `/api/V/…` or `/apis/G/V/…`, then
/// `namespaces/N/` for an object of a namespace, then `PLURAL[/NAME[/SUBRESOURCE]]`.
fn resource(path: &str) -> (String, bool) {
    let mut parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let prefix = match parts.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => return ("other".into(), false),
    };
    parts.drain(..prefix.min(parts.len()));
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    match parts.as_slice() {
        [] => ("other".into(), false),
        [plural] => ((*plural).to_owned(), false),
        [plural, _name] => ((*plural).to_owned(), true),
        [plural, _name, subresource, ..] => (format!("{plural}/{subresource}"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(method: &str, uri: &str) -> (&'static str, String) {
        let What { verb, resource } = What::of(&Request::builder().method(method).uri(uri).body(()).unwrap());
        (verb, resource)
    }

    #[test]
    fn requests_are_named_as_the_api_server_names_them() {
        let deployments = "/apis/apps/v1/namespaces/a/deployments";
        assert_eq!(what("GET", &format!("{deployments}?watch=true&limit=5")), ("watch", "deployments".into()));
        assert_eq!(what("GET", "/api/v1/pods?labelSelector=a"), ("list", "pods".into()));
        assert_eq!(what("GET", &format!("{deployments}/b")), ("get", "deployments".into()));
        assert_eq!(what("PATCH", &format!("{deployments}/b/status?x=1")), ("patch", "deployments/status".into()));
        assert_eq!(what("POST", "/api/v1/namespaces/a/events"), ("create", "events".into()));
        assert_eq!(what("GET", "/version"), ("list", "other".into()));
    }
}

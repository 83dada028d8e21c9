//! The proxy's server: one request in, one out, and the fault in between.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::body::{Body, Bytes, to_bytes};
use http::request::Parts;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::fault::Fault;
use super::{Call, Shared, Verb, watch};

/// No object is larger, and no page of a list in a test.
const BODY_LIMIT: usize = 64 << 20;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, so that the connections end with the proxy.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request| handle(&shared, request));
            // An error is a connection that broke, often on purpose.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// An error breaks the connection without an answer.
async fn handle(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), BODY_LIMIT).await?;
    let call = Call::parse(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default());
    let call = shared.journal.lock().enter(call);
    let fault = (shared.script.lock())(&call);
    if fault.is_some() {
        shared.journal.lock().injected += 1;
    }
    match fault {
        Some(Fault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            pass(shared, &call, parts, body, None).await
        }
        Some(Fault::Refuse(refusal)) => Ok(refusal.response()?),
        Some(Fault::LoseAnswer(refusal)) => {
            take_effect(shared, &call, parts, body).await?;
            Ok(refusal.response()?)
        }
        Some(Fault::LateAnswer(pause)) => {
            let answer = pass(shared, &call, parts, body, None).await?;
            tokio::time::sleep(pause).await;
            Ok(answer)
        }
        Some(Fault::BreakBefore) => bail!("broken before {call}"),
        Some(Fault::BreakAfter) => {
            take_effect(shared, &call, parts, body).await?;
            bail!("broken after {call}")
        }
        Some(Fault::Swallow) => {
            shared.thaw.notified().await;
            bail!("swallowed {call}")
        }
        Some(Fault::Freeze) => {
            take_effect(shared, &call, parts, body).await?;
            let thaw = shared.thaw.notified();
            shared.frozen.notify_one();
            thaw.await;
            bail!("frozen after {call}")
        }
        Some(Fault::StaleList) => match stale_list(shared, &parts) {
            Some(stale) => Ok(Response::builder().header(header::CONTENT_TYPE, "application/json").body(stale)?),
            None => pass(shared, &call, parts, body, None).await,
        },
        fault => pass(shared, &call, parts, body, fault).await,
    }
}

fn stale_list(shared: &Shared, parts: &Parts) -> Option<Body> {
    shared.lists.lock().remembered.get(&parts.uri.to_string()).cloned().map(Body::from)
}

/// Passes a request on, waits for the answer and drops it.
async fn take_effect(shared: &Shared, call: &Call, parts: Parts, body: Bytes) -> Result<()> {
    let response = pass(shared, call, parts, body, None).await?;
    to_bytes(response.into_body(), BODY_LIMIT).await.map(drop).context("the answer broke off")
}

async fn pass(
    shared: &Shared,
    call: &Call,
    mut parts: Parts,
    body: Bytes,
    fault: Option<Fault>,
) -> Result<Response<Body>> {
    let uri = parts.uri.to_string();
    without_what_is_of_the_connection(&mut parts);
    let ends = shared.watch_ends.subscribe();
    let response = shared.upstream.send(Request::from_parts(parts, body.into())).await?;
    let (mut parts, body) = response.into_parts();
    // The proxy frames the answer anew.
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.remove(header::CONNECTION);
    let body = Body::new(body);
    let body = match call.verb {
        Verb::Watch if parts.status.is_success() => watch::relay(body, fault, ends),
        Verb::List if parts.status.is_success() => {
            let list = to_bytes(body, BODY_LIMIT).await?;
            shared.lists.lock().latest.insert(uri, list.clone());
            Body::from(list)
        }
        _ => body,
    };
    Ok(Response::from_parts(parts, body))
}

/// The connection to the API server has a host and a token of its own, and the proxy reads what comes.
fn without_what_is_of_the_connection(parts: &mut Parts) {
    for name in [header::HOST, header::CONNECTION, header::AUTHORIZATION, header::ACCEPT_ENCODING] {
        parts.headers.remove(name);
    }
}

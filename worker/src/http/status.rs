//! `/ws/status`, `/status` and the page that shows it: the live status for people and programs that watch this worker. It counts as no inference, and waits
//! for no viewer: one that reads too slowly misses snapshots, and one that reads nothing is dropped.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::{page, probes};
use crate::error::{Reason, body};
use crate::server::Held;
use crate::state::App;
use crate::status::encoded;
use crate::status::feed::{NoPlace, Viewer};

/// Longest time for one snapshot on its way to a viewer. It is small, so that this long a time means that nothing is read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest wait for a viewer's answer to the end of the socket.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// Most bytes of what a viewer sends, and of the buffer for it: viewers have nothing to say but pings.
const MESSAGE_LIMIT: usize = 4096;

/// Seconds after which a viewer may ask again for a place.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// `GET /status`: one snapshot. For scripts, and for pages: a page can't send its key with a WebSocket.
pub(super) async fn snapshot(State(app): State<Arc<App>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    match encoded(&app) {
        Ok(text) => (headers, text).into_response(),
        Err(error) => body(StatusCode::INTERNAL_SERVER_ERROR, Reason::InferenceFailed.code(), &error.to_string(), None),
    }
}

/// The page that shows the live status to browsers. A test looks into it.
pub const PAGE: &str = include_str!("status.html");

static POLICY: LazyLock<String> = LazyLock::new(|| page::policy(PAGE));

/// `GET /`: the page for a browser, which needs no key, for it shows nothing by itself; for others what `/readyz` answers.
pub(super) async fn root(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let mut response =
        if page::is_wanted(&method, &headers) { page::answer(PAGE, &POLICY) } else { probes::ready(State(app)).await };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET /ws/status`: a snapshot each 200 ms.
pub(super) async fn socket(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    let held = head.extensions.get::<Held>().cloned();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut head, &app).await else { return no_socket() };
    let viewer = match Viewer::join(&app) {
        Ok(viewer) => viewer,
        Err(why) => return no_place(why),
    };
    let upgrade = upgrade.read_buffer_size(MESSAGE_LIMIT).max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT);
    // Each snapshot is written at once.
    upgrade.write_buffer_size(0).on_upgrade(async move |socket| {
        show(socket, viewer).await;
        // The connection counts as open until here.
        drop(held);
    })
}

/// Sends snapshots until the viewer leaves, stops reading or says something, or the worker ends.
async fn show(mut socket: WebSocket, mut viewer: Viewer) {
    let ending = loop {
        tokio::select! {
            next = viewer.next() => match next {
                Some(text) => match timeout(PATIENCE, socket.send(Message::Text(text))).await {
                    Ok(Ok(())) => {}
                    // Dropping the socket closes the connection.
                    Ok(Err(_)) | Err(_) => return,
                },
                None => break Some((close_code::AWAY, "the worker ends")),
            },
            said = socket.recv() => match said {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                    break Some((close_code::UNSUPPORTED, "this socket only sends; it takes no messages"));
                }
                Some(Ok(Message::Close(_))) => break None,
                Some(Err(_)) | None => return,
            },
        }
    };
    let goodbye = async {
        if let Some((code, reason)) = ending {
            drop(socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await);
        }
        // Reading on writes the answer to the viewer's own end, or waits for the answer to ours.
        while let Some(Ok(_)) = socket.recv().await {}
    };
    // After the time is over the connection is closed without it.
    drop(timeout(CLOSE_PATIENCE, goodbye).await);
}

fn no_socket() -> Response {
    let message = "this route is a WebSocket (RFC 6455, version 13); GET /status answers one snapshot as JSON";
    let mut response = body(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message, None);
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn no_place(why: NoPlace) -> Response {
    let (code, message) = match why {
        NoPlace::Full => {
            ("too_many_viewers", "as many viewers watch as this worker takes; ask again later, or ask GET /status")
        }
        NoPlace::Ending => (Reason::Draining.code(), "this worker is shutting down"),
    };
    let mut response = body(StatusCode::SERVICE_UNAVAILABLE, code, message, None);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

//! The live status: what viewers get, how many there may be, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/listening.rs"]
mod listening;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_crds::contract::metrics;
use belfry_crds::contract::status::{MOST_VIEWERS, STATUS_PATH, STATUS_SOCKET_PATH, Snapshot};
use belfry_worker::engine::Output;
use belfry_worker::gpu::{Gpu, Reading, STALE_AFTER};
use belfry_worker::http::{Access, guarded};
use client::send;
use http_body_util::BodyExt;
use listening::{Connection, EMBED, Server};
use serde_json::Value;
use support::{Fake, PATIENCE, args, eventually, request};
use tower::ServiceExt;
use tungstenite::error::Error;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket, client as handshake};

/// A viewer of `/ws/status`.
struct Viewer(WebSocket<TcpStream>);

impl Viewer {
    fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|answer| panic!("refused: {answer:?}"))
    }

    /// Status and body of a refusal.
    fn try_open(address: SocketAddr) -> Result<Self, (u16, Value)> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match handshake(format!("ws://{address}{STATUS_SOCKET_PATH}"), stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err((answer.status().as_u16(), serde_json::from_slice(body).unwrap_or_default()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next snapshot, or how the socket ended.
    fn next(&mut self) -> Result<String, Option<CloseFrame>> {
        match self.0.read() {
            Ok(Message::Text(text)) => Ok(text.to_string()),
            Ok(Message::Close(frame)) => Err(frame),
            Ok(other) => panic!("{other:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        serde_json::from_str(&self.next().expect("a snapshot")).unwrap()
    }

    /// Waits for the end, and reads the snapshots before it.
    fn ended(&mut self) -> (Vec<Snapshot>, CloseFrame) {
        let mut before = Vec::new();
        loop {
            match self.next() {
                Ok(text) => before.push(serde_json::from_str(&text).unwrap()),
                Err(frame) => {
                    // Reading on answers the end.
                    assert!(matches!(self.0.read(), Err(Error::ConnectionClosed)));
                    return (before, frame.expect("a reason"));
                }
            }
        }
    }
}

fn viewers(fake: &Fake) -> usize {
    fake.app.feed.viewers()
}

#[test]
fn a_snapshot_comes_every_200_ms_with_what_was_counted_and_counts_as_no_inference() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut viewer = Viewer::open(server.address);
    let began = Instant::now();
    let snapshots: Vec<_> = (0..6).map(|_| viewer.snapshot()).collect();
    let took = began.elapsed().as_secs_f64();
    assert!((0.8..5.0).contains(&took), "{took}");
    for pair in snapshots.windows(2) {
        let between = pair[1].elapsed_seconds - pair[0].elapsed_seconds;
        assert!(between > 0.1 && pair[1].timestamp > pair[0].timestamp, "{between}");
    }
    let idle = &snapshots[5];
    assert_eq!((&idle.loaded_models[..], idle.ready, idle.viewers), (&["tiny".to_owned()][..], true, 1));
    assert_eq!((&idle.gpu, idle.gpus.len(), idle.server.pid), (&None, 0, std::process::id()));
    let model = &idle.models[0];
    assert_eq!((model.name.as_str(), model.state.as_str(), model.device.as_deref()), ("tiny", "loaded", Some("fake")));
    assert_eq!(
        (&model.config.inputs[..], &model.config.outputs[..]),
        (&["text".to_owned()][..], &["dense".to_owned()][..])
    );
    assert_eq!((model.queue_depth, model.queue_pending_items), (0, 0));
    for metric in [&*metrics::ACTIVE_REQUESTS, &*metrics::REQUESTS, &*metrics::TOKENS] {
        assert!(idle.sum(metric, |_| true).abs() < f64::EPSILON, "{}", metric.name);
    }
    assert!(
        (idle.sum(&metrics::QUEUE_CAPACITY, |_| true) - fake.app.limits.queue_capacity as f64).abs() < f64::EPSILON
    );
    assert!((idle.sum(&metrics::OPEN_CONNECTIONS, |_| true) - 1.0).abs() < f64::EPSILON, "the viewer's own");

    assert_eq!(request(server.address, "POST /embed", EMBED).map(|(status, _)| status), Some(200));
    let one = |labels: &std::collections::BTreeMap<String, String>| {
        labels["endpoint"] == "/embed" && labels["reason"] == "ok"
    };
    eventually("the request is seen", || {
        let seen = viewer.snapshot();
        let total = seen.distribution(&metrics::REQUEST_DURATION, Some(("phase", "total")))?;
        assert!(total.bounds.len() == total.cumulative.len() && total.bounds.iter().all(|bound| bound.is_finite()));
        (seen.sum(&metrics::REQUESTS, one) > 0.5 && total.count == 1 && seen.sum(&metrics::TOKENS, |_| true) > 0.5)
            .then_some(())
    });
    drop(viewer);
    eventually("the viewer is gone", || {
        (viewers(&fake) == 0 && fake.metric("inference_open_connections")? == 0.0).then_some(())
    });
}

#[test]
fn many_viewers_see_one_snapshot_each_time() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut open: Vec<_> = (0..20).map(|_| Viewer::open(server.address)).collect();
    let mut times = BTreeSet::new();
    for viewer in &mut open {
        for _ in 0..3 {
            times.insert(viewer.snapshot().timestamp.to_bits());
        }
    }
    // Opening them all may take a few ticks; each alone would have had three of its own.
    assert!(times.len() < 20, "{} snapshots for 20 viewers", times.len());
    assert_eq!(viewers(&fake), 20);
}

#[test]
fn one_viewer_more_than_the_worker_takes_is_refused_until_another_leaves() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut open: Vec<_> = (0..MOST_VIEWERS).map(|_| Viewer::open(server.address)).collect();
    let (status, body) = Viewer::try_open(server.address).err().expect("a refusal");
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("too_many_viewers")), "{body}");
    assert_eq!(
        request(server.address, "POST /embed", EMBED).map(|(status, _)| status),
        Some(200),
        "callers are served"
    );
    open.pop();
    eventually("there is a place", || Viewer::try_open(server.address).ok());
}

#[test]
fn a_viewer_that_reads_nothing_is_dropped() {
    // Large snapshots fill the buffers of the system soon.
    let fake = Fake::ready(&format!("--served-name {}", "n".repeat(1 << 20)));
    let server = Server::start(&fake, "");
    let silent = Viewer::open(server.address);
    eventually("it watches", || (viewers(&fake) == 1).then_some(()));
    eventually("it is dropped", || (viewers(&fake) == 0).then_some(()));
    assert!(fake.metric("inference_open_connections").unwrap() < 0.5);
    drop(silent);
}

#[test]
fn viewers_see_the_drain_and_its_end() {
    let fake = Fake::ready("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 1");
    let mut viewer = Viewer::open(server.address);
    assert!(viewer.snapshot().ready);
    server.stop();
    let (before, frame) = viewer.ended();
    let last = before.last().expect("a snapshot of the drain");
    assert_eq!((last.models[0].state.as_str(), last.ready), ("unloading", false));
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "the worker ends"));
    let began = Instant::now();
    server.ended();
    assert!(began.elapsed() < Duration::from_millis(900), "no viewer is waited for: {:?}", began.elapsed());
}

#[test]
fn a_viewer_that_speaks_is_sent_away() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut viewer = Viewer::open(server.address);
    viewer.0.send(Message::Ping("x".into())).unwrap();
    while !matches!(viewer.0.read().unwrap(), Message::Pong(_)) {}
    viewer.0.send(Message::text("hello")).unwrap();
    let (_, frame) = viewer.ended();
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1003, "this socket only sends; it takes no messages"));
    eventually("it is gone", || (viewers(&fake) == 0).then_some(()));
}

#[test]
fn a_viewer_that_leaves_is_answered() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut viewer = Viewer::open(server.address);
    viewer.snapshot();
    viewer.0.close(None).unwrap();
    let end = loop {
        match viewer.0.read() {
            Ok(Message::Text(_) | Message::Close(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Err(Error::ConnectionClosed)), "{end:?}");
}

#[test]
fn a_plain_request_is_answered_with_one_snapshot_at_its_own_path_only() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut connection = Connection::open(server.address);
    let (status, body, _) = connection.get(STATUS_SOCKET_PATH);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["error"]["code"].as_str()), (426, Some("upgrade_required")), "{body}");
    let (status, body, _) = connection.get(STATUS_PATH);
    let snapshot: Snapshot = serde_json::from_str(&body).unwrap();
    assert_eq!((status, snapshot.viewers, snapshot.ready), (200, 0, true));
}

#[tokio::test]
async fn before_the_model_is_loaded_the_status_says_so() {
    let (status, head, body) = send(&Fake::loading(), Request::get(STATUS_PATH).body(Body::empty()).unwrap()).await;
    assert_eq!((status, &head.headers()["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
    let model = &body["models"][0];
    assert_eq!(
        (model["state"].as_str(), &model["device"], &body["loaded_models"]),
        (Some("loading"), &Value::Null, &serde_json::json!([]))
    );
    assert_eq!((&model["config"]["outputs"], &model["config"]["hf_id"]), (&serde_json::json!([]), &Value::Null));
    assert_eq!(model["memory_bytes"].as_u64(), Some(0));
}

#[tokio::test]
async fn a_worker_on_cuda_shows_its_gpus_while_their_numbers_are_fresh() {
    let fake = Fake::ready("");
    let gpu = |device: &str, utilization| Gpu {
        device: device.to_owned(),
        name: "NVIDIA L4".to_owned(),
        utilization,
        memory_used: Some(8 << 30),
        memory_total: Some(22 << 30),
        ..Gpu::default()
    };
    let gpus = vec![gpu("cuda:0", Some(0.45)), gpu("cuda:1", None), Gpu { memory_used: None, ..gpu("cuda:2", None) }];
    let status = async |holds_model, began| {
        let (at, driver, gpus) = (SystemTime::now(), String::new(), gpus.clone());
        fake.app.metrics.gpus.publish(Reading { began, at, driver, holds_model, gpus });
        send(&fake, Request::get(STATUS_PATH).body(Body::empty()).unwrap()).await.2
    };
    let now = Instant::now();
    let body = status(true, now).await;
    let first = serde_json::json!({
        "device": "cuda:0", "name": "NVIDIA L4", "gpu_type": "l4", "utilization_pct": 45, "memory_used_bytes": 8_u64 << 30,
        "memory_total_bytes": 22_u64 << 30, "memory_threshold_pct": 85.0
    });
    assert_eq!((&body["gpu"], &body["gpus"][0]), (&Value::from("l4"), &first));
    assert_eq!((&body["gpus"][1]["utilization_pct"], body["gpus"].as_array().unwrap().len()), (&Value::Null, 2));
    let old = now.checked_sub(STALE_AFTER).expect("a machine that runs for some seconds");
    let body = status(true, old).await;
    assert_eq!((&body["gpu"], &body["gpus"]), (&Value::from("l4"), &serde_json::json!([])));
    let body = status(false, now).await;
    assert_eq!((&body["gpu"], &body["gpus"]), (&Value::Null, &serde_json::json!([])), "its model is on the CPU");
}

#[tokio::test]
async fn outputs_have_the_words_of_sie() {
    let fake = Fake::giving([Output::Dense, Output::MultiVector, Output::TokenClasses], "");
    let (_, _, body) = send(&fake, Request::get(STATUS_PATH).body(Body::empty()).unwrap()).await;
    assert_eq!(body["models"][0]["config"]["outputs"], serde_json::json!(["dense", "multivector", "token-classes"]));
}

#[tokio::test]
async fn a_page_of_another_origin_watches_only_by_choice() {
    let fake = Fake::ready("");
    let ask = async |flags: &str, origin: Option<&str>| {
        let access = Access::read(&args(&format!("--model /models/tiny {flags}")).access).unwrap();
        let mut request = Request::get(STATUS_SOCKET_PATH).header("host", "minilm:8080");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer =
            guarded(Arc::clone(&fake.app), access).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        (status, body["error"]["code"].as_str().unwrap().to_owned())
    };
    let listed = "--cors-allow-origin https://a.example";
    for (flags, origin) in [
        ("", None),
        ("", Some("http://minilm:8080")),
        ("", Some("https://MINILM:8080")),
        (listed, Some("https://a.example")),
        (listed, Some("http://minilm:8080")),
        ("--cors-allow-origin *", Some("https://b.example")),
    ] {
        // Without a socket below the request it comes no further.
        assert_eq!(ask(flags, origin).await, (426, "upgrade_required".to_owned()), "{flags} {origin:?}");
    }
    for (flags, origin) in [
        ("", "https://a.example"),
        ("", "http://minilm"),
        ("", "http://minilm:8080.b.example"),
        ("", "null"),
        (listed, "https://b.example"),
    ] {
        assert_eq!(ask(flags, Some(origin)).await, (403, "origin_not_allowed".to_owned()), "{flags} {origin}");
    }
    assert_eq!(ask("--api-keys sk-one", None).await.0, 401);
}

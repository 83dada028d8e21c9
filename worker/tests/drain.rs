//! The end of a server, without a process: what is open, in flight or new while it drains.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use belfry_worker::http::router;
use belfry_worker::lifecycle::State;
use belfry_worker::server::serve;
use support::{Fake, Next, PATIENCE, args, eventually, request};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task;

const EMBED: &str = r#"{"inputs": ["w1 w2"]}"#;

/// A server on a port of its own, until it is stopped.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<task::JoinHandle<()>>,
}

impl Server {
    fn start(fake: &Fake, flags: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let times = args(&format!("--model /models/tiny {flags}")).lifecycle;
        let (app, router) = (Arc::clone(&fake.app), router(Arc::clone(&fake.app)));
        let serving = runtime.spawn(serve(app, listener, router, times, async { drop(stopped.await) }));
        Self { runtime, address, stop: Some(stop), serving: Some(serving) }
    }

    fn stop(&mut self) {
        self.stop.take().expect("it was not stopped before").send(()).unwrap();
    }

    fn serves(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.is_finished())
    }

    /// Waits for the end of the drain.
    fn ended(&mut self) {
        let serving = self.serving.take().expect("it did not end before");
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, serving).await }).expect("it ends").unwrap();
    }

    /// Sends a request that is in the model's hands when this returns.
    fn in_flight(&self, fake: &Fake) -> JoinHandle<Option<u16>> {
        let address = self.address;
        let call = std::thread::spawn(move || request(address, "POST /embed", EMBED).map(|(status, _)| status));
        eventually("the request is computed", || (fake.app.inbox.busy() && fake.app.inbox.depth() == 0).then_some(()));
        call
    }
}

/// A connection that stays open between requests.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status and body of an answer.
    fn get(&mut self, path: &str) -> (u16, String) {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the connection ended after {lines:?}");
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.to_ascii_lowercase());
        }
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.expect("a length")];
        self.0.read_exact(&mut body).unwrap();
        (lines[0].split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
    }

    /// Waits until the other side closes.
    fn closed(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0, "nothing was asked for");
    }
}

#[test]
fn a_drain_answers_what_is_in_flight_refuses_what_is_new_and_closes_what_is_idle() {
    let fake = Fake::held("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 0 --drain-timeout-seconds 600");
    let mut open = Connection::open(server.address);
    assert_eq!(open.get("/readyz").0, 200);
    let call = server.in_flight(&fake);

    server.stop();
    let body = eventually("an open connection hears that it is not ready", || {
        Some(open.get("/readyz")).filter(|(status, _)| *status == 503).map(|(_, body)| body)
    });
    assert!(body.contains(r#""state":"draining""#), "{body}");
    eventually("the delay is over", || (fake.app.lifecycle.state() == State::Refusing).then_some(()));
    assert_eq!(open.get("/healthz").0, 200, "it is alive");
    let (status, body) = request(server.address, "POST /embed", EMBED).expect("an answer to a new request");
    assert_eq!(status, 503);
    assert!(body.contains(r#""code":"draining""#), "{body}");
    assert!(server.serves(), "a request is in flight");

    fake.permit(Next::Answer);
    assert_eq!(call.join().unwrap(), Some(200));
    server.ended();
    open.closed();
    assert_eq!(request(server.address, "GET /readyz", ""), None, "the port is free");
}

#[test]
fn requests_are_answered_until_the_delay_is_over() {
    let fake = Fake::ready("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 600 --drain-timeout-seconds 600");
    let mut open = Connection::open(server.address);
    server.stop();
    eventually("it is not ready", || (open.get("/readyz").0 == 503).then_some(()));
    assert_eq!(request(server.address, "POST /embed", EMBED).map(|(status, _)| status), Some(200));
    assert!(server.serves());
}

#[test]
fn a_drain_ends_at_its_time_limit_whatever_is_in_flight() {
    let fake = Fake::held("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 0 --drain-timeout-seconds 1");
    let call = server.in_flight(&fake);
    server.stop();
    server.ended();
    assert_eq!(fake.metric("inference_active_requests"), Some(1.0));
    server.runtime.shutdown_timeout(Duration::ZERO);
    assert_eq!(call.join().unwrap(), None);
}

#[test]
fn a_worker_that_has_no_model_yet_does_not_wait_for_callers() {
    let fake = Fake::loading();
    let mut server = Server::start(&fake, "--drain-delay-seconds 600 --drain-timeout-seconds 600");
    assert_eq!(request(server.address, "GET /readyz", "").map(|(status, _)| status), Some(503));
    server.stop();
    server.ended();
}

//! Callers that hold connections, stall or leave: probes are answered whatever they do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/listening.rs"]
mod listening;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use listening::{Connection, EMBED, Server};
use support::{Fake, Next, PATIENCE, eventually, request};

const HALF: &str =
    "POST /embed HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"inputs\"";

#[test]
fn probes_and_scrapes_are_answered_while_callers_hold_every_connection() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "--max-connections 8");
    let mut open: Vec<_> = (0..8).map(|_| Connection::open(server.address)).collect();
    for connection in &mut open {
        assert_eq!(connection.ask("POST /embed", EMBED).0, 200);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(request(server.address, &format!("GET {path}"), "").map(|(status, _)| status), Some(200), "{path}");
    }
    let (status, body) = request(server.address, "POST /embed", EMBED).expect("an answer");
    assert_eq!(status, 503);
    assert!(body.contains(r#""code":"too_many_connections""#), "{body}");
    assert_eq!(fake.metric("inference_connections_refused_total"), Some(1.0));
    assert_eq!(fake.metric("inference_connections_limit"), Some(8.0));
    for connection in &mut open {
        assert_eq!(connection.ask("POST /embed", EMBED).0, 200, "those who were first are served");
    }
    drop(open);
    eventually("the connections end", || (fake.metric("inference_open_connections")? == 0.0).then_some(()));
    assert_eq!(request(server.address, "POST /embed", EMBED).map(|(status, _)| status), Some(200));
}

#[test]
fn callers_that_say_nothing_do_not_keep_a_probe_waiting() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "--max-connections 4");
    // Four hold the callers' connections; the others hold those for probes, for a second at most.
    let _silent: Vec<_> = (0..60).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(request(server.address, "GET /healthz", "").map(|(status, _)| status), Some(200));
    assert!(began.elapsed().as_secs() < 3, "{:?}", began.elapsed());
}

#[test]
fn a_body_that_stalls_is_the_callers_fault_and_not_the_models() {
    let fake = Fake::ready("--request-timeout-ms 300");
    let server = Server::start(&fake, "");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(HALF.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
    let series = r#"inference_requests_total{endpoint="/embed",reason="body_timeout",status="408"}"#;
    assert_eq!(fake.metric(series), Some(1.0));
}

#[test]
fn a_caller_that_leaves_within_its_body_is_counted_as_one_that_left() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(HALF.as_bytes()).unwrap();
    eventually("the request is seen", || (fake.metric("inference_active_requests")? == 1.0).then_some(()));
    drop(stream);
    let series = r#"inference_requests_total{endpoint="/embed",reason="client_closed_request",status="499"}"#;
    eventually("the request is counted", || fake.metric(series).filter(|count| *count == 1.0));
}

#[test]
fn a_connection_waits_for_its_next_request_as_long_as_the_setting_says() {
    let fake = Fake::ready("");
    let server = Server::start(&fake, "--keep-alive-seconds 2");
    let mut open = Connection::open(server.address);
    for _ in 0..2 {
        assert_eq!(open.ask("POST /embed", EMBED).0, 200);
    }
    let began = Instant::now();
    open.closed();
    assert!((1.5..6.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
}

#[test]
fn a_request_that_computes_for_longer_than_a_connection_may_wait_is_answered() {
    let fake = Fake::held("");
    let server = Server::start(&fake, "--keep-alive-seconds 1");
    let call = server.in_flight(&fake);
    // The connection may wait for a second; another one that does so ends meanwhile.
    Connection::open(server.address).closed();
    fake.permit(Next::Answer);
    assert_eq!(call.join().unwrap(), Some(200));
}

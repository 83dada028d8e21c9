//! The end of a server, without a process: what is open, in flight or new while it drains.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/listening.rs"]
mod listening;

use std::time::Duration;

use belfry_worker::lifecycle::State;
use listening::{Connection, EMBED, Server};
use support::{Fake, Next, eventually, request};

#[test]
fn after_the_delay_open_connections_are_served_and_new_ones_only_probed() {
    let fake = Fake::held("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 0 --drain-timeout-seconds 600");
    let mut open = [Connection::open(server.address), Connection::open(server.address)];
    for connection in &mut open {
        let (status, _, ends) = connection.get("/readyz");
        assert_eq!((status, ends), (200, false));
    }
    let call = server.in_flight(&fake);
    server.stop();
    eventually("the delay is over", || (fake.app.lifecycle.state() == State::Refusing).then_some(()));

    let (status, body, ends) = open[0].get("/readyz");
    assert_eq!((status, ends), (503, true));
    assert!(body.contains(r#""state":"draining""#), "{body}");
    open[0].closed();
    let [_, mut last] = open;
    let late = std::thread::spawn(move || last.ask("POST /embed", EMBED));
    eventually("the late request waits", || (fake.app.inbox.depth() == 1).then_some(()));

    let (status, body) = request(server.address, "POST /embed", EMBED).expect("an answer to a new caller");
    assert_eq!(status, 503);
    assert!(body.contains(r#""code":"draining""#), "{body}");
    assert_eq!(request(server.address, "GET /healthz", "").map(|(status, _)| status), Some(200));
    assert_eq!(request(server.address, "GET /metrics", "").map(|(status, _)| status), Some(200));
    assert!(server.serves(), "two requests are in flight");

    fake.permit(Next::Answer);
    fake.permit(Next::Answer);
    assert_eq!(call.join().unwrap(), Some(200));
    let (status, _, ends) = late.join().unwrap();
    assert_eq!((status, ends), (200, true));
    server.ended();
    assert_eq!(request(server.address, "GET /readyz", ""), None, "the port is free");
}

#[test]
fn within_the_delay_every_request_is_answered_and_its_connection_closed() {
    let fake = Fake::ready("");
    let mut server = Server::start(&fake, "--drain-delay-seconds 600 --drain-timeout-seconds 600");
    let mut open = Connection::open(server.address);
    assert_eq!(open.ask("POST /embed", EMBED).0, 200);
    server.stop();
    eventually("it is not ready", || (request(server.address, "GET /readyz", "")?.0 == 503).then_some(()));
    let (status, _, ends) = open.ask("POST /embed", EMBED);
    assert_eq!((status, ends), (200, true));
    open.closed();
    assert_eq!(request(server.address, "POST /embed", EMBED).map(|(status, _)| status), Some(200), "a new caller");
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

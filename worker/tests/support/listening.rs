//! A server on a socket, with a fake engine, and connections to it.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use belfry_worker::http::router;
use belfry_worker::server::serve;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task;

use crate::support::{Fake, PATIENCE, args, eventually, request};

/// A request that the model answers.
pub const EMBED: &str = r#"{"inputs": ["w1 w2"]}"#;

/// A server on a port of its own, until it is stopped.
pub struct Server {
    pub runtime: Runtime,
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<task::JoinHandle<()>>,
}

impl Server {
    pub fn start(fake: &Fake, flags: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let args = args(&format!("--model /models/tiny {flags}"));
        let times = (args.lifecycle, args.connections);
        let (app, router) = (Arc::clone(&fake.app), router(Arc::clone(&fake.app)));
        let serving = runtime.spawn(serve(app, listener, router, times, async { drop(stopped.await) }));
        Self { runtime, address, stop: Some(stop), serving: Some(serving) }
    }

    pub fn stop(&mut self) {
        self.stop.take().expect("it was not stopped before").send(()).unwrap();
    }

    pub fn serves(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.is_finished())
    }

    /// Waits for the end of the drain.
    pub fn ended(&mut self) {
        let serving = self.serving.take().expect("it did not end before");
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, serving).await }).expect("it ends").unwrap();
    }

    /// Sends a request that is in the model's hands when this returns.
    pub fn in_flight(&self, fake: &Fake) -> JoinHandle<Option<u16>> {
        let address = self.address;
        let call = std::thread::spawn(move || request(address, "POST /embed", EMBED).map(|(status, _)| status));
        eventually("the request is computed", || (fake.app.inbox.busy() && fake.app.inbox.depth() == 0).then_some(()));
        call
    }
}

/// A connection that stays open between requests.
pub struct Connection(pub BufReader<TcpStream>);

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status and body of an answer, and whether it ends the connection.
    pub fn get(&mut self, path: &str) -> (u16, String, bool) {
        self.ask(&format!("GET {path}"), "")
    }

    pub fn ask(&mut self, head: &str, body: &str) -> (u16, String, bool) {
        let length = body.len();
        write!(
            self.0.get_mut(),
            "{head} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
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
        let ends = lines.iter().any(|line| line.trim() == "connection: close");
        (lines[0].split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap(), ends)
    }

    /// Waits until the other side closes.
    pub fn closed(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0, "nothing was asked for");
    }
}

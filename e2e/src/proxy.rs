//! A proxy between the operator and the API server, which counts requests and does to them what a test wants.
//!
//! The operator speaks plain HTTP with it, on the loopback device. What goes on to the API server shows the token of the
//! operator's service account, so that it has the rights of its roles and no others, and the audit log names it.

mod call;
mod fault;
mod serve;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Bytes;
use kube::{Client, Config};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, broadcast};

pub use call::{Call, Verb};
pub use fault::{Fault, Refusal, Script, WatchEnd};

/// A running proxy. Dropping it ends it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Of its own, so that a test that waits for another process does not hold requests up.
    runtime: Option<Runtime>,
}

struct Shared {
    upstream: Client,
    script: Mutex<Script>,
    journal: Mutex<Journal>,
    /// Answers to lists, by path and query.
    lists: Mutex<Lists>,
    frozen: Notify,
    /// Breaks the connections that hang.
    thaw: Notify,
    watch_ends: broadcast::Sender<WatchEnd>,
}

/// Everything that was asked since the start.
#[derive(Default)]
struct Journal {
    calls: Vec<Call>,
    repetitions: BTreeMap<String, u64>,
    writes: u64,
    injected: u64,
    /// When the last request came that was [work](Call::is_work).
    busy: Option<Instant>,
}

#[derive(Default)]
struct Lists {
    latest: BTreeMap<String, Bytes>,
    remembered: BTreeMap<String, Bytes>,
}

impl Journal {
    fn enter(&mut self, mut call: Call) -> Call {
        let repetition = self.repetitions.entry(call.target()).or_default();
        *repetition += 1;
        call.repetition = *repetition;
        if call.verb.is_write() {
            self.writes += 1;
            call.write = Some(self.writes);
        }
        if call.is_work() {
            self.busy = Some(Instant::now());
        }
        self.calls.push(call.clone());
        call
    }
}

impl Proxy {
    /// Starts to listen, in front of the API server that the operator would reach in that way.
    pub fn start(upstream: Config) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let entered = runtime.enter();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port for the proxy")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Client::try_from(upstream)?,
            script: Mutex::new(Box::new(|_| None)),
            journal: Mutex::default(),
            lists: Mutex::default(),
            frozen: Notify::new(),
            thaw: Notify::new(),
            watch_ends: broadcast::channel(16).0,
        });
        runtime.spawn(serve::serve(listener, shared.clone()));
        drop(entered);
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on that script decides.
    pub fn play(&self, script: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.script.lock() = Box::new(script);
    }

    /// From now on nothing happens to requests, and those that hang break.
    pub fn behave(&self) {
        self.play(|_| None);
        self.shared.thaw.notify_waiters();
    }

    /// Ends all watches that run now.
    pub fn end_watches(&self, end: WatchEnd) {
        // An error means that no watch runs.
        drop(self.shared.watch_ends.send(end));
    }

    /// Keeps the latest answer to each list, for [`Fault::StaleList`].
    pub fn remember_lists(&self) {
        let mut lists = self.shared.lists.lock();
        lists.remembered = lists.latest.clone();
    }

    /// Waits until a request met [`Fault::Freeze`].
    pub async fn frozen(&self) {
        self.shared.frozen.notified().await;
    }

    /// Requests up to now.
    pub fn mark(&self) -> usize {
        self.shared.journal.lock().calls.len()
    }

    /// Requests after a mark.
    pub fn since(&self, mark: usize) -> Vec<Call> {
        self.shared.journal.lock().calls.get(mark..).unwrap_or_default().to_vec()
    }

    /// Writes after a mark, as far as they are [work](Call::is_work).
    pub fn writes_since(&self, mark: usize) -> Vec<Call> {
        self.since(mark).into_iter().filter(|call| call.verb.is_write() && call.is_work()).collect()
    }

    /// Number of the last write.
    pub fn writes(&self) -> u64 {
        self.shared.journal.lock().writes
    }

    /// Time since the last request that was [work](Call::is_work).
    pub fn idle(&self) -> Duration {
        self.shared.journal.lock().busy.map_or(Duration::MAX, |busy| busy.elapsed())
    }

    /// The last request that was [work](Call::is_work), for people.
    pub fn last(&self) -> String {
        let journal = self.shared.journal.lock();
        let last = journal.calls.iter().rfind(|call| call.is_work());
        last.map(ToString::to_string).unwrap_or_default()
    }

    /// Faults that were put in up to now.
    pub fn injected(&self) -> u64 {
        self.shared.journal.lock().injected
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

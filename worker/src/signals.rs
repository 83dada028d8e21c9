//! SIGTERM, and SIGINT for people.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The signals that end a process. Once this exists, they no longer end it by themselves.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Passes the first signal on, and ends at the second.
    pub(crate) async fn second(mut self, first: oneshot::Sender<()>) {
        self.next().await;
        let _ = first.send(());
        self.next().await;
    }
}

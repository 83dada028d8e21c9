//! What a connection waits for, and how long it may: the next request, or the rest of a head.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long a connection may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the connection's start or the last byte of an answer to the first byte of a request.
    pub(super) idle: Duration,
    /// From the first byte of a head to its end.
    pub(super) head: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request, or an answer that is being written; since the last byte.
    Idle(Instant),
    /// Part of a head, since its first byte.
    Head(Instant),
    /// A request. Its body and its answer have limits of their own.
    Asked,
}

/// The phase of a connection.
#[derive(Debug)]
pub(super) struct Phases {
    phase: Mutex<Phase>,
    /// Woken when the phase gets another limit.
    changed: Notify,
}

impl Phases {
    pub(super) fn new() -> Self {
        Self { phase: Mutex::new(Phase::Idle(Instant::now())), changed: Notify::new() }
    }

    fn get(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.changed.notify_one();
    }

    /// A head is complete.
    pub(super) fn asked(&self) {
        self.set(Phase::Asked);
    }

    /// The head of an answer is there.
    pub(super) fn answered(&self) {
        self.set(Phase::Idle(Instant::now()));
    }

    fn read(&self) {
        if matches!(self.get(), Phase::Idle(_)) {
            self.set(Phase::Head(Instant::now()));
        }
    }

    /// A large answer goes on.
    fn wrote(&self) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Idle(since) = &mut *phase {
            *since = Instant::now();
        }
    }

    /// Ends when the connection has waited for too long.
    pub(super) async fn expired(&self, patience: Patience) {
        loop {
            let end = match self.get() {
                Phase::Idle(since) => since + patience.idle,
                Phase::Head(since) => since + patience.head,
                Phase::Asked => {
                    self.changed.notified().await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep_until(end) => {
                    // A byte that was written meanwhile gives more time.
                    let late = match self.get() {
                        Phase::Idle(since) => since + patience.idle <= Instant::now(),
                        Phase::Head(since) => since + patience.head <= Instant::now(),
                        Phase::Asked => false,
                    };
                    if late {
                        return;
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }
}

/// A stream that reports to the phases what passes through it.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    phases: Arc<Phases>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, phases: Arc<Phases>) -> Self {
        Self { stream, phases }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.phases.read();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(polled, Poll::Ready(Ok(count)) if count > 0) {
            self.phases.wrote();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        if matches!(polled, Poll::Ready(Ok(count)) if count > 0) {
            self.phases.wrote();
        }
        polled
    }
}

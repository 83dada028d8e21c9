//! Counts the spans that wait, and drops those for which there is no room: the library would drop them without a word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use crate::saying::Saying;

/// Spans that have ended, and whose fate is open.
static WAITING: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Spans for which there was no room.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The fate of some spans is known.
pub(crate) fn leave(spans: u64) {
    WAITING.fetch_sub(spans, Ordering::Relaxed);
}

#[derive(Debug)]
pub(crate) struct Gate {
    inner: BatchSpanProcessor,
    /// As many fit into the queue of the library, so that it drops none itself.
    room: u64,
    saying: Saying,
}

impl Gate {
    pub(crate) const fn new(inner: BatchSpanProcessor, room: usize) -> Self {
        Self { inner, room: room as u64, saying: Saying::new() }
    }
}

impl SpanProcessor for Gate {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if WAITING.fetch_add(1, Ordering::Relaxed) < self.room {
            self.inner.on_end(span);
            return;
        }
        leave(1);
        DROPPED.fetch_add(1, Ordering::Relaxed);
        if self.saying.is_due() {
            tracing::warn!(waiting = self.room, "Spans are lost: more end than the collector takes; requests go on");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

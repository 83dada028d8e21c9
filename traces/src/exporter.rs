//! An exporter that counts what it could send, and says once a minute what it could not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;

use crate::gate;
use crate::saying::Saying;

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Spans of this process by what became of them: those that a collector took, those that it could not be given, and those for which there
/// was no room meanwhile.
#[must_use]
pub fn spans() -> [(&'static str, u64); 3] {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    [("exported", of(&EXPORTED)), ("failed", of(&FAILED)), ("dropped", gate::dropped())]
}

/// Why the last request by HTTP got no answer: the library says only that it got none.
pub(crate) type Cause = Arc<Mutex<Option<String>>>;

#[derive(Debug)]
pub(crate) struct Watched<E> {
    inner: E,
    endpoint: String,
    cause: Cause,
    failing: Saying,
}

impl<E> Watched<E> {
    pub(crate) const fn new(inner: E, endpoint: String, cause: Cause) -> Self {
        Self { inner, endpoint, cause, failing: Saying::new() }
    }

    fn taken(&self, spans: u64) {
        EXPORTED.fetch_add(spans, Ordering::Relaxed);
        if self.failing.ends() {
            tracing::info!(endpoint = self.endpoint, "The collector takes spans again");
        }
    }

    fn refused(&self, spans: u64, error: &dyn std::error::Error) {
        FAILED.fetch_add(spans, Ordering::Relaxed);
        let cause = self.cause.lock().take();
        if self.failing.is_due() {
            tracing::warn!(endpoint = self.endpoint, spans, %error, cause, "Spans were not sent; requests go on");
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => self.taken(spans),
            Err(error) => self.refused(spans, error),
        }
        gate::leave(spans);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

//! An exporter that counts what it could send, and says once a minute what it could not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;

/// Least time between two log lines about a collector.
const QUIET: Duration = Duration::from_secs(60);

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Spans of this process by what became of them: those that a collector took, and those that it could not be given.
#[must_use]
pub fn spans() -> [(&'static str, u64); 2] {
    [("exported", EXPORTED.load(Ordering::Relaxed)), ("failed", FAILED.load(Ordering::Relaxed))]
}

#[derive(Debug)]
pub(crate) struct Watched<E> {
    inner: E,
    endpoint: String,
    /// When a failure was last said; none since spans were last taken.
    said: Mutex<Option<Instant>>,
}

impl<E> Watched<E> {
    pub(crate) const fn new(inner: E, endpoint: String) -> Self {
        Self { inner, endpoint, said: Mutex::new(None) }
    }

    fn taken(&self, spans: u64) {
        EXPORTED.fetch_add(spans, Ordering::Relaxed);
        if self.said.lock().take().is_some() {
            tracing::info!(endpoint = self.endpoint, "The collector takes spans again");
        }
    }

    fn refused(&self, spans: u64, error: &dyn std::error::Error) {
        FAILED.fetch_add(spans, Ordering::Relaxed);
        let mut said = self.said.lock();
        if said.is_none_or(|at| at.elapsed() >= QUIET) {
            *said = Some(Instant::now());
            tracing::warn!(endpoint = self.endpoint, spans, %error, "Spans were not sent; requests go on");
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

//! Reads the metrics of workers and of engines, with bounds on time, bytes and the number of readings at once.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

/// Workers that are read at the same time, of all models together.
pub const CONCURRENCY: usize = 64;

/// A worker that takes longer counts as one that does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Largest exposition, in bytes. A worker's own has about 30 kB.
pub const MOST_BYTES: usize = 1 << 20;

/// Reads expositions.
pub struct Scraper {
    client: Client<HttpConnector, Empty<Bytes>>,
    permits: Semaphore,
}

impl Default for Scraper {
    fn default() -> Self {
        // Between two readings a worker may be gone; an idle connection to it would only fail.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, permits: Semaphore::new(CONCURRENCY) }
    }
}

impl Scraper {
    /// The exposition at that path; `None` when it can't be read, which the log says at the level debug.
    pub async fn read(&self, address: SocketAddr, path: &str) -> Option<String> {
        let _permit = self.permits.acquire().await.ok()?;
        match timeout(TIMEOUT, self.exposition(address, path)).await {
            Ok(Ok(text)) => Some(text),
            Ok(Err(error)) => {
                debug!(%address, %error, "Could not read a worker's metrics");
                None
            }
            Err(_elapsed) => None,
        }
    }

    async fn exposition(&self, address: SocketAddr, path: &str) -> anyhow::Result<String> {
        let uri: Uri = format!("http://{address}{path}").parse()?;
        let answer = self.client.get(uri).await?;
        anyhow::ensure!(answer.status() == StatusCode::OK, "status {}", answer.status());
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(String::from_utf8(body.to_bytes().to_vec())?)
    }
}

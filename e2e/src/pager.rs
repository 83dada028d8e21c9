//! A pager: a webhook that keeps what Alertmanager sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::Value;

use crate::files::Server;
use crate::wait;

/// A webhook that pods reach.
pub struct Pager {
    /// Where it listens.
    pub server: Server,
    pages: Arc<Mutex<Vec<Delivery>>>,
}

/// A message of Alertmanager's, and when it came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When it came.
    pub at: Instant,
    /// The body of the webhook.
    pub body: Value,
}

/// Path of a pager's address that answers and keeps nothing.
pub const NOT_KEPT: &str = "/not-kept";

impl Pager {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let pages = Arc::new(Mutex::new(vec![]));
        let router = Router::new().route("/", post(keep)).route(NOT_KEPT, post(async || {})).with_state(pages.clone());
        Ok(Self { server: Server::start(router).await?, pages })
    }

    /// Every message until now.
    pub fn pages(&self) -> Vec<Value> {
        self.pages.lock().iter().map(|delivery| delivery.body.clone()).collect()
    }

    /// The same, with their times.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.pages.lock().clone()
    }

    /// Waits for a message with that status, `firing` or `resolved`, in which the alert is.
    pub async fn until(&self, status: &str, alert: &str, limit: Duration) -> Result<Value> {
        let is_it = |page: &&Value| {
            let mut alerts = page["alerts"].as_array().into_iter().flatten();
            page["status"] == status && alerts.any(|one| one["labels"]["alertname"] == alert)
        };
        wait::until(&format!("a page that {alert} is {status}"), limit, async || {
            let pages = self.pages();
            pages.iter().find(is_it).cloned().with_context(|| format!("{pages:?}"))
        })
        .await
    }
}

async fn keep(State(pages): State<Arc<Mutex<Vec<Delivery>>>>, Json(body): Json<Value>) {
    pages.lock().push(Delivery { at: Instant::now(), body });
}

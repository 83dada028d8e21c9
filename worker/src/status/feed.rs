//! The feed of snapshots. However many viewers there are, one snapshot is made and encoded each 200 ms; with no viewer, none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use belfry_crds::contract::status::{MOST_VIEWERS, STATUS_INTERVAL};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::encoded;
use crate::state::App;

/// What viewers see.
#[derive(Clone, Debug)]
enum Latest {
    /// There was no viewer so far.
    Nothing,
    /// The snapshot as JSON. A clone shares its text.
    Snapshot(Utf8Bytes),
    /// The worker ends.
    End,
}

/// The feed of a worker.
#[derive(Debug)]
pub struct Feed {
    latest: watch::Sender<Latest>,
    /// Whether snapshots are being made. The lock makes joining, counting and stopping one step each.
    is_running: Mutex<bool>,
}

/// Why there is no place for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// There are as many as a worker takes.
    Full,
    /// The worker ends.
    Ending,
}

impl Feed {
    /// A feed without viewers.
    pub fn new() -> Self {
        Self { latest: watch::Sender::new(Latest::Nothing), is_running: Mutex::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Viewers at this moment.
    pub fn viewers(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Ends the feed, and returns once every viewer has left. Its caller waits for so long as it likes.
    pub async fn end(&self) {
        {
            let _joining = self.lock();
            self.latest.send_replace(Latest::End);
        }
        self.latest.closed().await;
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

/// A place at the feed, until it is dropped.
#[derive(Debug)]
pub struct Viewer(watch::Receiver<Latest>);

impl Viewer {
    /// Takes a place at an app's feed. The first viewer starts it. Must be called within a tokio runtime.
    pub fn join(app: &Arc<App>) -> Result<Self, NoPlace> {
        let feed = &app.feed;
        let mut is_running = feed.lock();
        if matches!(*feed.latest.borrow(), Latest::End) {
            return Err(NoPlace::Ending);
        }
        if feed.viewers() >= MOST_VIEWERS {
            return Err(NoPlace::Full);
        }
        let viewer = Self(feed.latest.subscribe());
        if !*is_running {
            *is_running = true;
            tokio::spawn(run(Arc::clone(app)));
        }
        Ok(viewer)
    }

    /// The next snapshot as JSON; `None` once the worker ends. A viewer that was away gets the newest, and none of those between.
    pub async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            self.0.changed().await.ok()?;
            match &*self.0.borrow_and_update() {
                Latest::Snapshot(text) => return Some(text.clone()),
                Latest::End => return None,
                Latest::Nothing => {}
            }
        }
    }
}

/// Makes snapshots for as long as there are viewers.
async fn run(app: Arc<App>) {
    let mut ticks = interval(STATUS_INTERVAL);
    // A machine that was busy for a while does not make up for it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        {
            let mut is_running = app.feed.lock();
            if app.feed.viewers() == 0 || matches!(*app.feed.latest.borrow(), Latest::End) {
                *is_running = false;
                return;
            }
        }
        let text = match encoded(&app) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "No snapshot");
                continue;
            }
        };
        app.feed.latest.send_if_modified(|latest| {
            let goes_on = !matches!(latest, Latest::End);
            if goes_on {
                *latest = Latest::Snapshot(text.into());
            }
            goes_on
        });
    }
}

//! The watches: models first, then worker pods and each kind of child, in every namespace or in
//! listed ones.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::feed::{Feed, WatchScope};
use super::optional::OptionalKinds;
use super::{Cache, Compare, Trigger, Triggers};
use crate::metrics::Metrics;
use belfry_render::kind::ChildKind;

/// The running watches. Dropping them ends the tasks.
pub struct Watches {
    /// Where others than the watches say which models changed.
    pub trigger: Triggers,
    /// Models of which something changed.
    pub triggers: mpsc::UnboundedReceiver<Trigger>,
    /// The tasks. None of them ends by itself; one that does is a fault of the process.
    pub tasks: JoinSet<()>,
}

/// Starts the watches and returns once the cache holds what exists.
///
/// # Errors
/// A watch task ended before it had listed its kind.
pub async fn start(
    client: &Client,
    (cache, compare): (&Arc<Cache>, Arc<dyn Compare>),
    metrics: &Arc<Metrics>,
    scope: WatchScope,
) -> Result<Watches, oneshot::error::RecvError> {
    let (trigger, triggers) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let feed = Feed {
        client: client.clone(),
        cache: cache.clone(),
        compare,
        metrics: metrics.clone(),
        trigger: trigger.clone(),
        scope: scope.clone(),
    };
    // Children are compared with what their model wants as they are listed, so models come first.
    for listed in feed.models(&mut tasks) {
        listed.await?;
    }
    if scope == WatchScope::Cluster {
        // A Role in a namespace can't grant reading nodes. The start does not wait for them: only series use their labels.
        tasks.spawn(feed.clone().nodes());
    }
    let mut listing = feed.pods(&mut tasks);
    // A pass that knew of no scaler of others would take the number of workers back.
    listing.extend(feed.foreign_scalers(&mut tasks));
    for kind in ChildKind::ALL.iter().copied().filter(|kind| !kind.is_optional()) {
        listing.extend(feed.children(kind, &mut tasks));
    }
    listing.push(OptionalKinds::follow(feed, &mut tasks));
    for listed in listing {
        listed.await?;
    }
    Ok(Watches { trigger, triggers, tasks })
}

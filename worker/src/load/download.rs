//! Downloads from an origin into the cache: one driver for all origins.
//!
//! An [`Origin`] lists files and opens them. The driver does the rest: the cache, the lease, resuming a part, retries,
//! time-outs and progress.

mod file;
mod files;
mod http;
mod progress;
mod retry;

use std::thread;
use std::time::{Duration, Instant};

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};

pub(crate) use self::http::{Client, Method, Response, accepted, header, retryable};
use self::progress::Progress;
use self::retry::Tries;
use super::cache::lease::{Lease, Leases, Turn};
use super::cache::{Blob, Store};
use super::trouble::Trouble;
use crate::args::Source;
use crate::failure::{Result, failure};
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::model::m3;

/// Pause between two checks of another worker's download.
const POLL: Duration = Duration::from_millis(200);

/// Time limits and pauses of a download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// End of the whole download.
    pub(crate) deadline: Instant,
    /// How long a connection may deliver no byte.
    pub(crate) stall: Duration,
    /// Pause before the first retry; it doubles with each.
    pub(crate) pause: Duration,
}

impl Policy {
    /// The policy of the arguments, for a download that starts at this time.
    pub(crate) fn starting_at(now: Instant, source: &Source) -> Self {
        Self {
            deadline: now + Duration::from_secs(source.download_timeout_seconds),
            stall: Duration::from_secs(source.stall_timeout_seconds),
            pause: Duration::from_millis(source.download_pause_ms),
        }
    }
}

/// The current content of an origin.
pub(crate) struct Listing {
    /// Names the content: a commit, or a digest of the list. A name always stands for the same content.
    pub(crate) revision: String,
    /// Paths of all files.
    pub(crate) names: Vec<String>,
}

/// A place that models are downloaded from.
pub(crate) trait Origin {
    /// The model, for messages.
    fn shown(&self) -> String;
    /// The reference that the user asked for: a branch or a commit.
    fn reference(&self) -> &str;
    /// True if the reference is immutable, such as a commit.
    fn pinned(&self) -> bool;
    /// The revision that the reference means now, and its files.
    fn list(&self) -> std::result::Result<Listing, Trouble>;
    /// Size and identity of a file.
    fn describe(&self, revision: &str, name: &str) -> std::result::Result<Blob, Trouble>;
    /// A file's bytes from an offset on: status 206, or 200 with the whole file.
    fn open(&self, revision: &str, name: &str, blob: &Blob, from: u64) -> std::result::Result<Response, Trouble>;
    /// The failure for a trouble, in one line that says what to do; the file is empty for the list.
    fn explain(&self, file: &str, trouble: &Trouble) -> LoadFailure;
}

/// Downloads a model into the cache, unless it is there.
pub(crate) fn fetch(origin: &dyn Origin, store: &Store, policy: Policy, metrics: &Metrics) -> Result<Folder> {
    // A pinned reference never changes, so a complete snapshot of it needs no network.
    if origin.pinned()
        && let Some(folder) = store.complete(origin.reference())
    {
        return Folder::open(&folder);
    }
    let download = Download { origin, store, policy, progress: Progress::new(metrics) };
    let listing = match download.retry("", || origin.list()) {
        Ok(listing) => listing,
        Err(trouble) => return download.without_network(&trouble),
    };
    let names = needed(origin, &listing.names)?;
    if let Some(folder) = store.complete(&listing.revision).or_else(|| store.holds(&listing.revision, &names)) {
        return Folder::open(&folder);
    }
    tracing::info!(source = origin.shown(), revision = listing.revision, "Downloading model");
    download.run(&listing.revision, &names)
}

struct Download<'a> {
    origin: &'a dyn Origin,
    store: &'a Store,
    policy: Policy,
    progress: Progress<'a>,
}

impl Download<'_> {
    /// Runs a step until it succeeds, or fails for good.
    fn retry<T>(
        &self,
        file: &str,
        mut step: impl FnMut() -> std::result::Result<T, Trouble>,
    ) -> std::result::Result<T, Trouble> {
        let mut tries = Tries::new(self.policy, &self.progress);
        loop {
            match step() {
                Ok(value) => return Ok(value),
                Err(trouble) => tries.again(file, trouble, false)?,
            }
        }
    }

    /// Uses the last downloaded revision if the origin can't be reached, but not if the origin refused.
    fn without_network(&self, trouble: &Trouble) -> Result<Folder> {
        let explained = self.origin.explain("", trouble);
        let unreachable = matches!(trouble, Trouble::Connection(_) | Trouble::Stalled) || retryable(trouble);
        let revision = if self.origin.pinned() {
            Some(self.origin.reference().to_owned())
        } else {
            self.store.remembered(self.origin.reference())
        };
        let cached = revision.filter(|_| unreachable).and_then(|revision| self.store.usable(&revision));
        let Some(folder) = cached else { return Err(explained) };
        tracing::warn!(why = explained.message, folder = %folder.display(), "Origin can't be reached; the model is taken from the cache");
        Folder::open(&folder)
    }

    fn run(&self, revision: &str, names: &[String]) -> Result<Folder> {
        let explain = |file: &str, trouble: &Trouble| self.origin.explain(file, trouble);
        self.store.create().map_err(|trouble| explain("", &trouble))?;
        let Some(_lease) = self.turn(revision).map_err(|trouble| explain("", &trouble))? else {
            return Folder::open(&self.store.snapshot(revision));
        };
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let blob = self.retry(name, || self.origin.describe(revision, name)).map_err(|t| explain(name, &t))?;
            files.push((name, blob));
        }
        self.progress.expect(files.iter().map(|(_, blob)| blob.size).sum());
        for (name, blob) in &files {
            self.file(revision, name, blob).map_err(|trouble| explain(name, &trouble))?;
        }
        self.store.finish(revision, self.origin.reference(), self.origin.pinned());
        Folder::open(&self.store.snapshot(revision))
    }

    /// Waits until it is this worker's turn to download; `None` if another worker has downloaded the model meanwhile.
    fn turn(&self, revision: &str) -> std::result::Result<Option<Lease>, Trouble> {
        let mut leases = Leases::new(self.store.lease(), self.policy.stall);
        let mut said = false;
        loop {
            match leases.try_take().map_err(|error| Trouble::Disk(error.to_string()))? {
                // Another worker may have finished between the last check and the turn.
                Turn::Ours(lease) => return Ok(self.store.complete(revision).is_none().then_some(lease)),
                Turn::Others if self.store.complete(revision).is_some() => return Ok(None),
                Turn::Others if Instant::now() >= self.policy.deadline => return Err(Trouble::Timeout),
                Turn::Others if said => {}
                Turn::Others => tracing::info!("Another worker downloads the model; waiting for it"),
            }
            said = true;
            thread::sleep(POLL);
        }
    }
}

/// The files that are loaded, the weights last.
fn needed(origin: &dyn Origin, names: &[String]) -> Result<Vec<String>> {
    let missing = |why: &str| Err(failure(Reason::FileMissing, format!("{}: {why}", origin.shown())));
    let weights = files::weights(names);
    if weights.is_empty() {
        return missing(
            "has no model.safetensors, and pickled weights are never loaded because unpickling runs code; choose a source with safetensors",
        );
    }
    m3::warn_of_pickles(&origin.shown(), |name| names.iter().any(|own| own == name));
    let others: Vec<String> = names.iter().filter(|name| files::is_setting(name)).cloned().collect();
    if !others.iter().any(|name| name.ends_with("config.json") || name == "modules.json") {
        return missing("has neither config.json nor modules.json, so it is not a model that can be served");
    }
    let heads = names.iter().filter(|name| files::is_head(name)).cloned();
    Ok(others.into_iter().chain(heads).chain(weights).collect())
}

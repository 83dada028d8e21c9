//! A lease decides which worker downloads into a cache that several workers share.
//!
//! A lease is a file that its holder rewrites all the time. It is stale if its content has not changed for a while on
//! the clock of the worker that checks, so the clocks of two nodes are never compared. The lease saves work, and
//! correctness does not depend on it: two workers that both hold it download the same bytes twice, and both end with a
//! complete model.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Number of rewrites of a lease within the time that makes it stale.
const BEATS: u32 = 6;

/// Asks for a lease.
pub(crate) struct Leases {
    path: PathBuf,
    stale_after: Duration,
    /// Content of another worker's lease, and since when it has that content.
    seen: Option<(String, Instant)>,
}

/// The answer to a request for the lease.
pub(crate) enum Turn {
    /// This worker's turn, until the lease is dropped.
    Ours(Lease),
    /// Another worker's turn.
    Others,
}

impl Leases {
    /// Asks for the lease in this file. Its holder counts as dead if it does not rewrite the file for this long.
    pub(crate) fn new(path: PathBuf, stale_after: Duration) -> Self {
        Self { path, stale_after, seen: None }
    }

    /// Takes the lease if it is free, or if its holder is dead.
    pub(crate) fn try_take(&mut self) -> io::Result<Turn> {
        let id = RandomState::new().build_hasher().finish();
        match OpenOptions::new().write(true).create_new(true).open(&self.path) {
            Ok(mut file) => {
                write!(file, "{id:016x} 0")?;
                return Lease::keep(self.path.clone(), id, self.stale_after / BEATS).map(Turn::Ours);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))),
        }
        // The file is gone: its holder has finished.
        let Ok(content) = fs::read_to_string(&self.path) else { return Ok(Turn::Others) };
        match &self.seen {
            Some((seen, since)) if *seen == content => {
                if since.elapsed() >= self.stale_after {
                    self.remove(&content, id);
                    self.seen = None;
                }
            }
            _ => self.seen = Some((content, Instant::now())),
        }
        Ok(Turn::Others)
    }

    /// Moves a stale lease away, which only one of several workers can do, and puts it back if it was not stale.
    fn remove(&self, stale: &str, id: u64) {
        let mine = self.path.with_extension(format!("{id:016x}"));
        if fs::rename(&self.path, &mine).is_ok() {
            if fs::read_to_string(&mine).is_ok_and(|content| content != stale) {
                drop(fs::hard_link(&mine, &self.path));
            } else {
                tracing::warn!("Another worker ended during its download; this worker resumes the download");
            }
            drop(fs::remove_file(&mine));
        }
    }
}

/// A turn to download; it ends when this is dropped.
pub(crate) struct Lease {
    path: PathBuf,
    id: u64,
    beat: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Lease {
    fn keep(path: PathBuf, id: u64, every: Duration) -> io::Result<Self> {
        let (alive, ended) = channel();
        let file = path.clone();
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let mut count = 0_u64;
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && is_of(&file, id) {
                count += 1;
                // The next beat makes up for a lost one.
                drop(fs::write(&file, format!("{id:016x} {count}")));
            }
        })?;
        Ok(Self { path, id, beat: Some((alive, thread)) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((alive, thread)) = self.beat.take() {
            drop(alive);
            drop(thread.join());
        }
        if is_of(&self.path, self.id) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn is_of(path: &Path, id: u64) -> bool {
    fs::read_to_string(path).is_ok_and(|content| content.starts_with(&format!("{id:016x} ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const STALE: Duration = Duration::from_millis(300);

    fn ours(leases: &mut Leases) -> Option<Lease> {
        match leases.try_take().unwrap() {
            Turn::Ours(lease) => Some(lease),
            Turn::Others => None,
        }
    }

    #[test]
    fn one_worker_has_it_and_the_next_gets_it_afterwards() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("lease");
        let first = ours(&mut Leases::new(path.clone(), STALE)).unwrap();
        let mut second = Leases::new(path.clone(), STALE);
        assert!(ours(&mut second).is_none());
        drop(first);
        assert!(ours(&mut second).is_some());
        assert!(!path.exists(), "nothing is left behind");
    }

    #[test]
    fn a_holder_that_lives_keeps_it_and_a_dead_one_loses_it_in_time() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("lease");
        let holder = ours(&mut Leases::new(path.clone(), STALE)).unwrap();
        let mut other = Leases::new(path.clone(), STALE);
        let began = Instant::now();
        while began.elapsed() < 4 * STALE {
            assert!(ours(&mut other).is_none(), "its holder lives");
            thread::yield_now();
        }
        drop(holder);
        // The state that a killed process leaves.
        fs::write(&path, "dead 7").unwrap();
        let began = Instant::now();
        let lease = loop {
            if let Some(lease) = ours(&mut other) {
                break lease;
            }
            assert!(began.elapsed() < 10 * STALE);
            thread::yield_now();
        };
        assert!(began.elapsed() >= STALE);
        drop(lease);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_living_lease_that_was_moved_by_mistake_is_put_back() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("lease");
        fs::write(&path, "new 1").unwrap();
        Leases::new(path.clone(), STALE).remove("old 9", 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new 1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

//! The workers of a cluster, which come and go while they are watched.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::kubectl::{Kubectl, Pod};
use super::link::{self, Said};
use super::place::Place;

/// Most workers at once: each has a kubectl of its own.
pub(super) const MOST: usize = 32;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Watches every worker that kubectl finds, for as long as the receiver lives.
pub(super) fn spawn(kubectl: Kubectl, first: Vec<Pod>, key: Option<String>, say: Sender<Said>) -> io::Result<()> {
    let mut fleet = Fleet { kubectl, key, say, watched: BTreeMap::new(), next: 0 };
    let run = move || {
        let mut found = Ok(first);
        while fleet.take(found) {
            std::thread::sleep(PAUSE);
            found = fleet.kubectl.workers();
        }
    };
    std::thread::Builder::new().name("fleet".into()).spawn(run).map(drop)
}

struct Fleet {
    kubectl: Kubectl,
    key: Option<String>,
    say: Sender<Said>,
    /// The number of each worker, and whether its link is still wanted.
    watched: BTreeMap<Pod, (usize, Arc<AtomicBool>)>,
    next: usize,
}

impl Fleet {
    /// Links to what is new, and ends the links to what is gone. Returns whether the receiver lives.
    fn take(&mut self, found: anyhow::Result<Vec<Pod>>) -> bool {
        let trouble = match found.map(|found| self.follow(&found)) {
            Ok(Ok(0)) => None,
            Ok(Ok(left)) => Some(format!("{left} more workers run: choose some with -n or by the names of models")),
            Ok(Err(error)) => Some(format!("no thread for a link: {error}")),
            // What is known may be there still; its links say whether it is.
            Err(error) => Some(format!("{error:#}")),
        };
        self.say.send(Said::Looked(trouble)).is_ok()
    }

    /// Returns how many are left out.
    fn follow(&mut self, found: &[Pod]) -> io::Result<usize> {
        let Self { watched, say, .. } = self;
        watched.retain(|pod, (worker, is_wanted)| {
            let stays = found.contains(pod);
            if !stays {
                is_wanted.store(false, Ordering::Relaxed);
                drop(say.send(Said::Gone(*worker)));
            }
            stays
        });
        for pod in found {
            if self.watched.contains_key(pod) || self.watched.len() >= MOST {
                continue;
            }
            let (worker, is_wanted) = (self.next, Arc::new(AtomicBool::new(true)));
            let place = Place::Pod(self.kubectl.clone(), pod.clone());
            drop(self.say.send(Said::Came(worker, place.label())));
            link::spawn((worker, place, None), self.key.clone(), is_wanted.clone(), self.say.clone())?;
            self.watched.insert(pod.clone(), (worker, is_wanted));
            self.next += 1;
        }
        Ok(found.len().saturating_sub(self.watched.len()))
    }
}

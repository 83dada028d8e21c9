//! The workers of a cluster, which come and go while they are watched.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::link::{self, Said, Subject};
use super::place::Place;
use super::search::{Pod, Search};
use crate::alertmanagers;
use crate::kubectl::Kubectl;

/// Most workers at once: each has a kubectl of its own.
pub(super) const MOST: usize = 32;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Pause between two questions for alerts; Prometheus itself looks no more often.
const ALERTS_PAUSE: Duration = Duration::from_secs(15);

/// The alerts that fire and are neither silenced nor inhibited, by their model: name and severity. None where no Alertmanager can be asked.
fn firing(kubectl: &Kubectl) -> BTreeMap<Subject, Vec<String>> {
    let mut firing = BTreeMap::<Subject, Vec<String>>::new();
    for alert in alertmanagers::alerts(kubectl, &[]).alerts.into_iter().flatten() {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        if alert["status"]["state"] == "active" && !label("model").is_empty() {
            let words = format!("{} ({})", label("alertname"), label("severity"));
            firing.entry((label("namespace"), label("model"))).or_default().push(words);
        }
    }
    firing.values_mut().for_each(|alerts| {
        alerts.sort();
        alerts.dedup();
    });
    firing
}

/// Watches every worker that a search finds, for as long as the receiver lives.
pub(super) fn spawn(search: Search, first: Vec<Pod>, key: Option<String>, say: Sender<Said>) -> io::Result<()> {
    let mut fleet = Fleet { search, key, say, watched: BTreeMap::new(), next: 0 };
    let alarms = (fleet.search.kubectl.clone(), fleet.say.clone());
    let run = move || {
        let mut found = Ok(first);
        while fleet.take(found) {
            std::thread::sleep(PAUSE);
            found = fleet.search.workers();
        }
    };
    // On a thread of its own: an Alertmanager that does not answer keeps no worker from the screen.
    let hear = move || {
        while alarms.1.send(Said::Alerts(firing(&alarms.0))).is_ok() {
            std::thread::sleep(ALERTS_PAUSE);
        }
    };
    std::thread::Builder::new().name("alerts".into()).spawn(hear)?;
    std::thread::Builder::new().name("fleet".into()).spawn(run).map(drop)
}

struct Fleet {
    search: Search,
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
            let place = Place::Pod(self.search.clone(), pod.clone());
            let subject = (pod.namespace.clone(), pod.model.clone());
            drop(self.say.send(Said::Came(worker, place.label(), subject)));
            link::spawn((worker, place, None), self.key.clone(), is_wanted.clone(), self.say.clone())?;
            self.watched.insert(pod.clone(), (worker, is_wanted));
            self.next += 1;
        }
        Ok(found.len().saturating_sub(self.watched.len()))
    }
}

//! What workers say that they have loaded.
//!
//! A worker never changes its model, so each is asked once, after it became ready. The answer leads to another pass, which
//! finds it here. A worker that can't be reached is asked again in a later pass, and until then nothing is known of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use belfry_crds::contract::{METRICS_PATH, PORT, metrics};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::observe::{Cause, ModelKey, PodReport, Trigger, Triggers, Urgency};
use crate::scrape::Scraper;

/// Pauses between the tries of one question: a NetworkPolicy may take a moment to let the operator in.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A worker that gave no answer is left alone for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model in the memory of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// SHA-256 of the manifest of its files, 64 hexadecimal digits.
    pub digest: String,
    /// The commit; empty if its source has none.
    pub revision: String,
}

/// What is known of the workers of one model, by the name of their pod.
pub type Identities = BTreeMap<String, Identity>;

/// What workers said.
pub struct Loaded {
    scraper: Scraper,
    trigger: Triggers,
    models: Mutex<BTreeMap<ModelKey, BTreeMap<Container, Answer>>>,
}

/// A container of a worker: the pod's name, and how often it was started again. After that it may have loaded another model.
type Container = (String, i32);

enum Answer {
    Asked,
    Said(Identity),
    Silent(Instant),
}

impl Loaded {
    /// Knows nothing yet. Answers ask for a pass by the trigger.
    #[must_use]
    pub fn new(trigger: Triggers) -> Arc<Self> {
        Arc::new(Self { scraper: Scraper::default(), trigger, models: Mutex::default() })
    }

    /// What the model's pods said; `None` while an answer is awaited. Asks those that are ready and were not asked yet. One
    /// that can't be reached is left out.
    pub fn of(self: &Arc<Self>, key: &ModelKey, pods: &[PodReport]) -> Option<Identities> {
        let now = Instant::now();
        let mut models = self.models.lock();
        let answers = models.entry(key.clone()).or_default();
        let is_there = |(name, restarts): &Container| {
            pods.iter().any(|pod| pod.name == *name && pod.restarts == *restarts && pod.is_here_to_stay())
        };
        answers.retain(|container, _| is_there(container));
        let (mut known, mut is_complete) = (Identities::new(), true);
        for pod in pods.iter().filter(|pod| pod.is_ready && pod.is_here_to_stay()) {
            let Some(address) = pod.address else { continue };
            let container = (pod.name.clone(), pod.restarts);
            match answers.get(&container) {
                Some(Answer::Said(identity)) => drop(known.insert(pod.name.clone(), identity.clone())),
                Some(Answer::Asked) => is_complete = false,
                Some(Answer::Silent(since)) if now.duration_since(*since) < PATIENCE => {}
                Some(Answer::Silent(_)) | None => {
                    answers.insert(container.clone(), Answer::Asked);
                    let address = SocketAddr::new(address, pod.metrics_port.unwrap_or(PORT));
                    let question = Arc::clone(self).ask(key.clone(), container, address);
                    drop(tokio::spawn(question));
                    is_complete = false;
                }
            }
        }
        is_complete.then_some(known)
    }

    /// Forgets a model that is gone.
    pub fn forget(&self, key: &ModelKey) {
        self.models.lock().remove(key);
    }

    async fn ask(self: Arc<Self>, key: ModelKey, container: Container, address: SocketAddr) {
        let next = self.identity(address).await.map_or_else(|| Answer::Silent(Instant::now()), Answer::Said);
        {
            let mut models = self.models.lock();
            // The pod or the model may be gone by now.
            let Some(answer) = models.get_mut(&key).and_then(|answers| answers.get_mut(&container)) else { return };
            *answer = next;
        }
        // Without a receiver the operator ends.
        let _ = self.trigger.send(Trigger { key, urgency: Urgency::Status, cause: Cause::WorkerAnswered });
    }

    async fn identity(&self, address: SocketAddr) -> Option<Identity> {
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            match (self.scraper.read(address, METRICS_PATH).await, pause) {
                (Some(exposition), _) => return parse(&exposition),
                (None, Some(pause)) => sleep(pause).await,
                (None, None) => {}
            }
        }
        None
    }
}

/// The model that a worker's exposition names.
fn parse(exposition: &str) -> Option<Identity> {
    let of_line = |line: &str| {
        let labels = line.strip_prefix(metrics::MODEL_INFO.name)?.strip_prefix('{')?;
        let digest = label(labels, "digest").filter(|digest| !digest.is_empty())?;
        Some(Identity { digest, revision: label(labels, "revision").unwrap_or_default() })
    };
    exposition.lines().find_map(of_line)
}

/// The value of a label. One that needs an escape is no digest and no commit.
fn label(labels: &str, name: &str) -> Option<String> {
    let start = format!("{name}=\"");
    let starts_a_label = |(at, _): &(usize, &str)| *at == 0 || labels[..*at].ends_with(',');
    let (at, _) = labels.match_indices(&start).find(starts_a_label)?;
    let value = labels[at + start.len()..].split('"').next()?;
    (!value.contains('\\')).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    const LINE: &str =
        "inference_model_info{architecture=\"BertModel\",digest=\"ab\",dtype=\"float32\",revision=\"c9\"} 1\n";

    async fn serve(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route(METRICS_PATH, get(async move || answer));
        tokio::spawn(axum::serve(listener, router).into_future());
        port
    }

    fn pod(name: &str, restarts: i32, port: u16) -> PodReport {
        let address = Some("127.0.0.1".parse().unwrap());
        PodReport { restarts, address, metrics_port: Some(port), ..PodReport::ready(name) }
    }

    fn key() -> ModelKey {
        ModelKey { namespace: "search".into(), name: "minilm".into() }
    }

    fn asking() -> (Arc<Loaded>, mpsc::UnboundedReceiver<Trigger>) {
        let (trigger, triggers) = mpsc::unbounded_channel();
        let loaded = Loaded { scraper: Scraper::default(), trigger, models: Mutex::default() };
        (Arc::new(loaded), triggers)
    }

    #[tokio::test]
    async fn a_ready_worker_is_asked_once_and_its_answer_leads_to_a_pass() {
        let (port, (loaded, mut triggers)) = (serve(LINE).await, asking());
        assert_eq!(loaded.of(&key(), &[pod("a", 0, port)]), None);
        assert_eq!(loaded.of(&key(), &[pod("a", 0, port)]), None, "the answer is awaited");
        assert_eq!(triggers.recv().await.unwrap().cause, Cause::WorkerAnswered);
        let identity = Identity { digest: "ab".into(), revision: "c9".into() };
        assert_eq!(loaded.of(&key(), &[pod("a", 0, port)]), Some(Identities::from([("a".into(), identity)])));
        assert!(triggers.try_recv().is_err(), "one question, one answer");
    }

    #[tokio::test]
    async fn a_worker_that_was_started_again_is_asked_again_and_one_that_is_gone_is_forgotten() {
        let (port, (loaded, mut triggers)) = (serve(LINE).await, asking());
        loaded.of(&key(), &[pod("a", 0, port)]);
        triggers.recv().await.unwrap();
        assert_eq!(loaded.of(&key(), &[pod("a", 1, port)]), None);
        triggers.recv().await.unwrap();
        assert_eq!(loaded.of(&key(), &[pod("a", 1, port)]).unwrap().len(), 1);
        assert_eq!(loaded.of(&key(), &[]), Some(Identities::new()));
        loaded.forget(&key());
        assert!(loaded.models.lock().is_empty());
    }

    #[tokio::test]
    async fn a_pod_that_is_not_ready_is_not_asked() {
        let (port, (loaded, mut triggers)) = (serve(LINE).await, asking());
        let loading = PodReport { is_ready: false, ..pod("a", 0, port) };
        assert_eq!(loaded.of(&key(), &[loading]), Some(Identities::new()));
        assert!(loaded.models.lock()[&key()].is_empty() && triggers.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_worker_that_says_nothing_of_its_model_is_left_out_and_not_asked_at_every_pass() {
        let (port, (loaded, mut triggers)) = (serve("up 1\n").await, asking());
        assert_eq!(loaded.of(&key(), &[pod("a", 0, port)]), None);
        triggers.recv().await.unwrap();
        assert_eq!(loaded.of(&key(), &[pod("a", 0, port)]), Some(Identities::new()));
        assert!(triggers.try_recv().is_err());
    }

    #[test]
    fn only_a_digest_names_a_model() {
        assert_eq!(parse(LINE).unwrap().revision, "c9");
        for nothing in ["", "inference_model_info{digest=\"\"} 1", "inference_model_info{old_digest=\"a\"} 1", "up 1"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}

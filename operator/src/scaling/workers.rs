//! The readings of workers: made when a scaler asks, and at no other time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;

use super::exposition::{Reading, Worker};
use super::scaled_model::ScaledModel;
use crate::scrape::{CONCURRENCY, Scraper};

/// Readings younger than this are used again: a HorizontalPodAutoscaler asks for each of its metrics in turn.
const FRESH: Duration = Duration::from_secs(1);

/// How long nothing must be heard of a model's workers before its fallback counts.
const FALLBACK_AFTER: Duration = Duration::from_secs(60);

/// The workers of one model, by the name of their pod, as they were read last.
pub(super) type Workers = BTreeMap<String, Worker>;

/// Reads workers.
#[derive(Default)]
pub(super) struct Reader(Scraper);

impl Reader {
    /// Reads those pods that were not read a moment ago, and forgets all others. A pod that does not answer is missing
    /// from the result: what it said before may no longer be true.
    pub(super) async fn read(&self, known: &Workers, scaled: &ScaledModel) -> Workers {
        let now = Instant::now();
        let readings = stream::iter(scaled.ready.clone()).map(|(pod, address)| async move {
            let before = known.get(&pod).copied();
            let fresh = before.filter(|worker| now.checked_sub(FRESH).is_some_and(|then| worker.is_read_since(then)));
            let worker = match fresh {
                Some(worker) => worker,
                None => Worker::read(before, self.read_one(address, scaled).await?),
            };
            Some((pod, worker))
        });
        readings.buffer_unordered(CONCURRENCY).filter_map(std::future::ready).collect().await
    }

    async fn read_one(&self, address: SocketAddr, scaled: &ScaledModel) -> Option<Reading> {
        Reading::parse(&self.0.read(address, &scaled.path).await?, &scaled.series, Instant::now())
    }
}

/// The workers of one model, and how long nothing was heard of them. Locked while they are read, so that two questions at
/// the same time make one reading.
pub(super) type Shared = Arc<tokio::sync::Mutex<Heard>>;

/// What was heard of the workers of one model.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) workers: Workers,
    silent_since: Option<Instant>,
}

impl Heard {
    /// Notes a reading of that many workers, and returns whether nothing was heard of any of them for so long that the
    /// fallback counts. Before a worker is ready there is no worker to ask, and more of them would not be ready any sooner.
    pub(super) fn note(&mut self, workers: Workers, ready: usize, now: Instant) -> bool {
        let is_silent = workers.is_empty() && ready > 0;
        self.workers = workers;
        self.silent_since = is_silent.then(|| self.silent_since.unwrap_or(now));
        self.silent_since.is_some_and(|since| now.duration_since(since) >= FALLBACK_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::MOST_BYTES;
    use axum::Router;
    use axum::routing::get;
    use belfry_crds::inference_model::ScalingMetricType;
    use belfry_render::engine::ScalingSeries;
    use belfry_render::model::{Scaler, ValidAutoscaling};
    use tokio::net::TcpListener;

    const WORKER: &str = "inference_queue_depth 7\ninference_active_requests 1\n";

    async fn serve(answer: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/metrics", get(|| async { answer }));
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }

    async fn unbound() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    fn scaled(pods: &[(&str, SocketAddr)]) -> ScaledModel {
        let scaling = ValidAutoscaling {
            scaler: Scaler::Hpa,
            min_replicas: 1,
            max_replicas: 2,
            metrics: vec![],
            behavior: None,
            fallback_replicas: None,
        };
        let ready = pods.iter().map(|(pod, address)| ((*pod).to_owned(), *address)).collect();
        ScaledModel { scaling, replicas: 1, ready, path: "/metrics".into(), series: ScalingSeries::of(None) }
    }

    #[tokio::test]
    async fn workers_that_answer_are_read_and_the_others_are_missing() {
        let pods = [
            ("a", serve(WORKER.into()).await),
            ("silent", unbound().await),
            ("nonsense", serve("hello".into()).await),
            ("endless", serve("x".repeat(MOST_BYTES + 1)).await),
        ];
        let read = Reader::default().read(&Workers::new(), &scaled(&pods)).await;
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(read["a"].value(ScalingMetricType::QueueDepth), Some(7.0));
    }

    #[test]
    fn the_fallback_counts_after_a_minute_of_silence_and_until_one_worker_answers() {
        let (mut heard, begun) = (Heard::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert!(!heard.note(Workers::new(), 0, begun), "no worker was there to answer");
        assert!(!heard.note(Workers::new(), 2, after(100)));
        assert!(!heard.note(Workers::new(), 2, after(159)));
        assert!(heard.note(Workers::new(), 2, after(160)));
        let reading = Reading::parse(WORKER, &ScalingSeries::of(None), after(161)).unwrap();
        let one = Workers::from([("a".to_owned(), Worker::read(None, reading))]);
        assert!(!heard.note(one, 2, after(161)));
        assert!(!heard.note(Workers::new(), 2, after(170)), "the silence begins anew");
    }

    #[tokio::test]
    async fn a_reading_of_a_moment_ago_is_used_again_and_a_pod_that_is_gone_is_forgotten() {
        let reader = Reader::default();
        let (a, b) = (serve(WORKER.into()).await, serve(WORKER.into()).await);
        let first = reader.read(&Workers::new(), &scaled(&[("a", a), ("b", b)])).await;
        let second = reader.read(&first, &scaled(&[("a", unbound().await)])).await;
        assert_eq!(second.keys().collect::<Vec<_>>(), ["a"]);
    }
}

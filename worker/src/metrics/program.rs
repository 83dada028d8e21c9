//! The series about this program itself: its threads for HTTP, its log, and its traces.

use std::time::Duration;

use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics as contract;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use tokio::runtime::Handle;

use super::family::{description, family};

/// How the values are read, each with that of its label; none where there are none.
type Read = fn() -> Vec<(&'static str, f64)>;

/// Each metric, and how its value is read. On a thread that is none of the runtime's, the runtime has no series.
const READ: &[(&Metric, Read)] = &[
    (&contract::HTTP_THREADS.0, || of_runtime(|runtime| runtime.metrics().num_workers() as f64)),
    (&contract::HTTP_BUSY.0, || of_runtime(|runtime| busy(runtime).as_secs_f64())),
    (&contract::HTTP_TASKS.0, || of_runtime(|runtime| runtime.metrics().num_alive_tasks() as f64)),
    (&contract::LOG_LINES_DROPPED.0, || vec![("", belfry_logs::dropped_lines() as f64)]),
    (&contract::TRACE_SPANS.0, || belfry_traces::spans().map(|(outcome, spans)| (outcome, spans as f64)).into()),
];

/// Reads them when it is asked.
pub(super) struct ProgramCollector {
    descriptions: Vec<Desc>,
}

impl ProgramCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let descriptions = READ.iter().map(|(metric, _)| description(metric)).collect::<Result<_, _>>()?;
        Ok(Self { descriptions })
    }
}

impl Collector for ProgramCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let read = READ.iter().map(|(metric, read)| (metric, read()));
        read.filter(|(_, series)| !series.is_empty()).map(|(metric, series)| family(metric, series)).collect()
    }
}

fn of_runtime(read: fn(&Handle) -> f64) -> Vec<(&'static str, f64)> {
    Handle::try_current().ok().map(|runtime| ("", read(&runtime))).into_iter().collect()
}

fn busy(runtime: &Handle) -> Duration {
    let metrics = runtime.metrics();
    (0..metrics.num_workers()).map(|thread| metrics.worker_total_busy_duration(thread)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<(String, f64)> {
        let families = ProgramCollector::new().unwrap().collect();
        let value = |family: &MetricFamily| {
            let metric = &family.get_metric()[0];
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        families.iter().map(|family| (family.name().to_owned(), value(family))).collect()
    }

    #[test]
    fn a_runtime_says_how_many_threads_it_has_and_how_long_they_worked() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let work = async {
            tokio::spawn(async {
                let mut sum = 0_u64;
                let end = std::time::Instant::now() + Duration::from_millis(20);
                while std::time::Instant::now() < end {
                    sum = sum.wrapping_add(1);
                }
                // The thread counts when it rests.
                tokio::time::sleep(Duration::from_millis(1)).await;
                sum
            })
            .await
        };
        assert!(runtime.block_on(work).unwrap() > 0);
        let _context = runtime.enter();
        let values = values();
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["inference_http_threads", "inference_http_busy_seconds_total", "inference_http_tasks"];
        assert_eq!(names[..3], expected);
        assert_eq!(values[0].1, 2.0);
        assert!(values[1].1 >= 0.015, "{} s of work", values[1].1);
    }

    #[test]
    fn without_a_runtime_only_log_and_traces_are_counted() {
        let names: Vec<_> = values().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["inference_log_lines_dropped_total", "inference_trace_spans_total"]);
    }
}

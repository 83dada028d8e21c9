//! The series about the container, read from the kernel at each scrape. What the kernel does not say has no series: a 0 would look like
//! a measurement.

use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics as contract;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::{description, family};
use crate::container::Container;

/// Reads the container when it is asked for its series.
pub(super) struct ContainerCollector {
    descriptions: Vec<Desc>,
}

/// The metrics about the container.
pub(super) const METRICS: &[&Metric] = &[
    &contract::CONTAINER_MEMORY.0,
    &contract::CONTAINER_MEMORY_LIMIT.0,
    &contract::CONTAINER_MEMORY_EVENTS.0,
    &contract::CONTAINER_CPU_LIMIT.0,
    &contract::CONTAINER_CPU_PERIODS.0,
    &contract::CONTAINER_CPU_THROTTLED_PERIODS.0,
    &contract::CONTAINER_CPU_THROTTLED.0,
];

impl ContainerCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self { descriptions: METRICS.iter().map(|metric| description(metric)).collect::<Result<_, _>>()? })
    }
}

impl Collector for ContainerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&Container::now())
    }
}

/// The families that have a series.
fn families(container: &Container) -> Vec<MetricFamily> {
    let whole = |number: Option<u64>| number.map(|number| number as f64);
    let single = |value: Option<f64>| value.map(|value| ("", value)).into_iter().collect::<Vec<_>>();
    let events = [("limit_reached", container.limit_reached), ("oom_kill", container.oom_kills)];
    let values = [
        single(whole(container.working_set)),
        single(whole(container.memory_limit)),
        events.into_iter().filter_map(|(event, count)| Some((event, whole(count)?))).collect(),
        single(container.cpu_limit),
        single(whole(container.periods)),
        single(whole(container.throttled_periods)),
        single(container.throttled_seconds),
    ];
    let with_series = METRICS.iter().zip(values).filter(|(_, series)| !series.is_empty());
    with_series.map(|(metric, series)| family(metric, series)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Encoder, TextEncoder};

    fn text(container: &Container) -> String {
        let mut text = vec![];
        TextEncoder::new().encode(&families(container), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_limited_container_has_every_series() {
        let container = Container {
            working_set: Some(900),
            memory_limit: Some(1000),
            limit_reached: Some(7),
            oom_kills: Some(2),
            cpu_limit: Some(1.5),
            periods: Some(100),
            throttled_periods: Some(25),
            throttled_seconds: Some(2.5),
        };
        let text = text(&container);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "inference_container_memory_working_set_bytes 900",
                "inference_container_memory_limit_bytes 1000",
                r#"inference_container_memory_events_total{event="limit_reached"} 7"#,
                r#"inference_container_memory_events_total{event="oom_kill"} 2"#,
                "inference_container_cpu_limit_cores 1.5",
                "inference_container_cpu_periods_total 100",
                "inference_container_cpu_throttled_periods_total 25",
                "inference_container_cpu_throttled_seconds_total 2.5",
            ]
        );
        for metric in METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{}", metric.name);
        }
    }

    #[test]
    fn what_the_kernel_does_not_say_has_no_series() {
        assert_eq!(text(&Container::default()), "");
    }
}

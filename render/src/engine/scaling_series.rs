//! Where a worker, or an engine in its place, says what it has to do: the series that a scaler goes by.

use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::ScalingMetricType;

use super::{Mapping, Source};

/// The series of one process. What has no series is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingSeries {
    /// Texts or requests that wait.
    pub queue_depth: Vec<Source>,
    /// Requests that are not answered yet.
    pub in_flight: Vec<Source>,
    /// The histogram of the seconds that answered requests have waited.
    pub queue_time: Vec<Source>,
    /// The seconds in which the device worked.
    pub busy: Vec<Source>,
}

impl ScalingSeries {
    /// The series of an engine with these mappings; of Belfry's own worker where there is none.
    #[must_use]
    pub fn of(engine: Option<&[Mapping]>) -> Self {
        let Some(mappings) = engine else {
            return Self {
                queue_depth: vec![Source::new(metrics::QUEUE_DEPTH.name)],
                in_flight: vec![Source::new(metrics::ACTIVE_REQUESTS.name)],
                queue_time: vec![Source::new(metrics::REQUEST_DURATION.name).equal("phase", "queue")],
                busy: vec![Source::new(metrics::DEVICE_BUSY.name)],
            };
        };
        let mapped = |ours: &Metric, phase: Option<&str>| {
            let found = mappings.iter().find(|mapping| {
                mapping.ours.name == ours.name && mapping.labels.get("phase").map(String::as_str) == phase
            });
            found.map(|mapping| mapping.sources.clone()).unwrap_or_default()
        };
        Self {
            queue_depth: mapped(&metrics::QUEUE_DEPTH, None),
            in_flight: mapped(&metrics::ACTIVE_REQUESTS, None),
            queue_time: mapped(&metrics::REQUEST_DURATION, Some("queue")),
            busy: mapped(&metrics::DEVICE_BUSY, None),
        }
    }

    /// Whether a metric of a scaler has something to read. A delay needs the depth too: where nobody was answered, only an
    /// empty queue means that nobody waits.
    #[must_use]
    pub fn offers(&self, type_: ScalingMetricType) -> bool {
        match type_ {
            ScalingMetricType::QueueDepth => !self.queue_depth.is_empty(),
            ScalingMetricType::InFlightRequests => !self.in_flight.is_empty(),
            ScalingMetricType::QueueDelayMilliseconds => !self.queue_time.is_empty() && !self.queue_depth.is_empty(),
            ScalingMetricType::DeviceBusyPercent => !self.busy.is_empty(),
        }
    }
}

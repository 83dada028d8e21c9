//! The series that a scaler follows: the load of a worker, or of an engine in its place.

use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::ScalingMetricType;

use super::{EngineSeries, Mapping};

/// The series of one process. An empty list means that the quantity is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingSeries {
    /// Number of texts or requests in the queue.
    pub queue_depth: Vec<EngineSeries>,
    /// Number of requests that are not answered yet.
    pub in_flight: Vec<EngineSeries>,
    /// Histogram of the seconds that answered requests spent in the queue.
    pub queue_time: Vec<EngineSeries>,
    /// Seconds in which the device was busy.
    pub busy: Vec<EngineSeries>,
}

impl ScalingSeries {
    /// The series of an engine with these mappings; of Belfry's own worker if `engine` is `None`.
    #[must_use]
    pub fn of(engine: Option<&[Mapping]>) -> Self {
        let Some(mappings) = engine else {
            return Self {
                queue_depth: vec![EngineSeries::new(metrics::QUEUE_DEPTH.name)],
                in_flight: vec![EngineSeries::new(metrics::ACTIVE_REQUESTS.name)],
                queue_time: vec![EngineSeries::new(metrics::REQUEST_DURATION.name).equal("phase", "queue")],
                busy: vec![EngineSeries::new(metrics::DEVICE_BUSY.name)],
            };
        };
        let mapped = |ours: &Metric, phase: Option<&str>| {
            let found = mappings.iter().find(|mapping| {
                mapping.ours.name == ours.name && mapping.labels.get("phase").map(String::as_str) == phase
            });
            found.map(|mapping| mapping.series.clone()).unwrap_or_default()
        };
        Self {
            queue_depth: mapped(&metrics::QUEUE_DEPTH, None),
            in_flight: mapped(&metrics::ACTIVE_REQUESTS, None),
            queue_time: mapped(&metrics::REQUEST_DURATION, Some("queue")),
            busy: mapped(&metrics::DEVICE_BUSY, None),
        }
    }

    /// Whether a scaler's metric can be computed. A delay needs the queue depth too: if no request was answered, only an empty
    /// queue shows that no request waits.
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

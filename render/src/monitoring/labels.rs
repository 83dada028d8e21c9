//! The labels that every alert has beside its severity, each with a closed set of values.

use strum::IntoStaticStr;

/// The kind of fault that an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Category {
    /// The model does not answer.
    Availability,
    /// The model breaks an objective.
    Objective,
    /// The model or its pods do not start.
    Lifecycle,
    /// The model gets more requests than it can answer.
    Saturation,
    /// The model answers, and its answers may be worse.
    Quality,
    /// Prometheus does not get the series that it should.
    Telemetry,
    /// The model costs more than it may.
    Cost,
}

impl Category {
    /// Label `category`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The part of the system that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AlertComponent {
    /// The model's pods.
    Worker,
    /// The way from the pods to Prometheus.
    Scrape,
    /// The operator.
    Operator,
}

impl AlertComponent {
    /// Label `component`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

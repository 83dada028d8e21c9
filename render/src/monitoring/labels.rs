//! The labels that every alert has, each with a closed set of values.

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Act now: users are affected, or a fault that affects them would go unnoticed.
    Critical,
    /// Act within the working day.
    Warning,
}

impl Severity {
    /// Label `severity`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// The kind of fault that an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The model does not answer.
    Availability,
    /// The model breaks an objective.
    Objective,
    /// The model or its pods do not start.
    Lifecycle,
    /// The model gets more requests than it can answer.
    Saturation,
    /// Prometheus does not get the series that it should.
    Telemetry,
}

impl Category {
    /// Label `category`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Objective => "objective",
            Self::Lifecycle => "lifecycle",
            Self::Saturation => "saturation",
            Self::Telemetry => "telemetry",
        }
    }
}

/// The part of the system that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Scrape => "scrape",
            Self::Operator => "operator",
        }
    }
}

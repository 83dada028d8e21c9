//! Closed sets of values of the labels that every alert has.

/// How soon somebody must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Now: users are hurt, or nobody would notice if they were.
    Critical,
    /// Within the working day.
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

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The model does not answer.
    Availability,
    /// The model breaks an objective.
    Objective,
    /// The model or its pods do not start.
    Lifecycle,
    /// The model has more to do than it can.
    Saturation,
    /// Prometheus does not see what it should.
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
pub enum Component {
    /// The model's pods.
    Worker,
    /// The way from the pods to Prometheus.
    Scrape,
    /// The operator.
    Operator,
}

impl Component {
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

//! Names of the series that a model's recording rules write.

use std::fmt;

/// The series that recording rules write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Requests within a window that count for an objective of latency.
    Total(&'static str),
    /// Share of requests that broke the objective within a window.
    ErrorRatio(&'static str),
    /// Requests within a window that broke an objective of latency.
    Errors(&'static str),
    /// The objective itself.
    Objective,
    /// Requests within a window.
    Requests(&'static str),
    /// Requests that failed their callers within a window.
    Failures(&'static str),
    /// Requests that were refused with 429 within a window.
    Refused(&'static str),
    /// The share of requests that failed their callers, where enough did.
    FailedShare,
    /// The share of requests that were refused with 429, where enough were.
    RefusedShare,
    /// Requests within a window whose time counts: those that were served, and those that were given up late.
    Timed(&'static str),
    /// Those of them that took long.
    Slow(&'static str),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total(window) => write!(f, "slo:requests:increase{window}"),
            Self::ErrorRatio(window) => write!(f, "slo:errors:ratio_rate{window}"),
            Self::Errors(window) => write!(f, "slo:errors:increase{window}"),
            Self::Objective => f.write_str("slo:objective:ratio"),
            Self::Requests(window) => write!(f, "inference:requests:increase{window}"),
            Self::Failures(window) => write!(f, "inference:failures:increase{window}"),
            Self::Refused(window) => write!(f, "inference:refused:increase{window}"),
            Self::FailedShare => f.write_str("inference:failures:ratio"),
            Self::RefusedShare => f.write_str("inference:refused:ratio"),
            Self::Timed(window) => write!(f, "inference:timed:increase{window}"),
            Self::Slow(window) => write!(f, "inference:slow:increase{window}"),
        }
    }
}

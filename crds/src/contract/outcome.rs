//! How a pass over a model ends: one word for the metric, the log line and the event.

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it should be.
    Unchanged,
    /// Children were written.
    Applied,
    /// The specification has problems, and the children were left as they are.
    Invalid,
    /// The API server refused a child, or an object of another owner has its name.
    Refused,
    /// The pass broke off: the API server did not answer, or the operator has a fault. It is repeated.
    Failed,
    /// There is no such model any more, or it is being deleted.
    Gone,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [Self::Unchanged, Self::Applied, Self::Invalid, Self::Refused, Self::Failed, Self::Gone];

    /// The value of the label `outcome`, and of the log's field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Applied => "applied",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// The label set of the metric.
pub const OUTCOMES: &[&str] = &{
    let mut labels = [""; Outcome::ALL.len()];
    let mut at = 0;
    while at < labels.len() {
        labels[at] = Outcome::ALL[at].as_str();
        at += 1;
    }
    labels
};

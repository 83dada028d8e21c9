//! How a pass over a model ends: one word for the metric, the log line and the event.

use strum::{IntoStaticStr, VariantArray, VariantNames};

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
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
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// The value of the label `outcome`, and of the log's field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The label set of the metric.
pub const OUTCOMES: &[&str] = <Outcome as VariantNames>::VARIANTS;

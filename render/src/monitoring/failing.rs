//! Steps and causes of runbooks for a model that answers requests with errors.

use super::objective;
use super::promql::by;
use super::runbook::{Cause, Step, cause, query};

/// Which reason, and from which pod.
pub(super) fn by_reason() -> Step {
    query("Which reason, and from which pod?", |series| {
        by("sum", &["pod", "status", "reason"], objective::failed(series).rate("5m"))
    })
}

/// Causes that need no look at the reason.
pub(super) fn causes() -> [Cause; 3] {
    [
        cause("Most requests fail.", "Go on with [InferenceModelOutage](InferenceModelOutage.md)."),
        cause(
            "One pod carries the failures.",
            "Delete it; if its successor on the same node fails too, cordon the node.",
        ),
        cause("It began with a change of the InferenceModel.", "Apply the previous specification."),
    ]
}

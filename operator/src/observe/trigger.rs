//! What tells the controller that a model should be looked at.

use tokio::sync::mpsc;

use super::ModelKey;

/// What a change may lead to, the more urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Children that are not as they should be: a new or edited model, an edited or deleted child.
    Children,
    /// Another status, such as that of a Deployment or of a pod that came up.
    Status,
}

/// A model of which something changed.
pub type Trigger = (ModelKey, Urgency);

/// Where triggers go.
// Unbounded, and bounded all the same: whoever reads it merges the triggers of a model, and never waits.
pub type Triggers = mpsc::UnboundedSender<Trigger>;

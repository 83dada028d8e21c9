//! What asks the controller for a pass, and why.

use std::fmt;

use belfry_render::kind::ChildKind;
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

/// Why a model needs a pass. The log line of a pass names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator started, or began to lead.
    Start,
    /// The model is new, or was edited.
    ModelChanged,
    /// The model was deleted, or can't be decoded any more.
    ModelGone,
    /// A child of this kind is new or was edited, or its status changed.
    ChildChanged(ChildKind),
    /// A child of this kind was deleted.
    ChildGone(ChildKind),
    /// A worker pod is new, changed or is gone.
    PodChanged,
    /// The cluster learned or forgot this kind.
    KindChanged(ChildKind),
    /// A scaler of others came, went, or scales another model.
    ForeignScaler,
    /// The metrics of a model that is scaled came or went.
    ScalingMetricsChanged,
    /// A Prometheus selects other objects than before, or a namespace has other labels.
    PrometheusChanged,
    /// A Prometheus says something else of the model's rules or targets.
    PrometheusAnswered,
    /// A worker said what it has loaded.
    WorkerAnswered,
    /// A staged upgrade moves the model.
    Upgrade,
    /// The pass before found out something that children depend on.
    Discovery,
    /// The API server refused a child in the pass before.
    Refusal,
    /// A child in dispute may be set back again, or is in dispute no more.
    Dispute,
    /// The pass before failed.
    Failure,
    /// The regular look at every model.
    Resync,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Start => "start",
            Self::ModelChanged => "model changed",
            Self::ModelGone => "model gone",
            Self::ChildChanged(kind) => return write!(f, "{} changed", kind.as_str()),
            Self::ChildGone(kind) => return write!(f, "{} gone", kind.as_str()),
            Self::PodChanged => "pod changed",
            Self::KindChanged(kind) => return write!(f, "kind {} changed", kind.as_str()),
            Self::ForeignScaler => "scaler of others changed",
            Self::ScalingMetricsChanged => "scaling metrics changed",
            Self::PrometheusChanged => "a Prometheus or a namespace changed",
            Self::PrometheusAnswered => "Prometheus answered",
            Self::WorkerAnswered => "worker answered",
            Self::Upgrade => "staged upgrade",
            Self::Discovery => "the pass before found out more",
            Self::Refusal => "a child was refused",
            Self::Dispute => "a child in dispute",
            Self::Failure => "the pass before failed",
            Self::Resync => "resync",
        };
        f.write_str(text)
    }
}

/// A model that needs a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Namespace and name.
    pub key: ModelKey,
    /// What the pass may have to do.
    pub urgency: Urgency,
    /// Why.
    pub cause: Cause,
}

/// Where triggers go.
// Unbounded, and bounded all the same: the reader merges the triggers of a model, and never waits.
pub type Triggers = mpsc::UnboundedSender<Trigger>;

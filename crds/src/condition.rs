//! Condition types and reasons, each declared once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::contract::load_failure::LoadFailureReason;

/// What a condition is about. `True` is always the good state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// All replicas of the present specification answer requests.
    Ready,
    /// The specification passed the checks that the API server can't make.
    SpecAccepted,
    /// Every replica loaded its model.
    ModelLoaded,
    /// At least one replica answers requests.
    Available,
    /// The rollout goes on, or is complete.
    Progressing,
    /// The scaler reads its metrics and may move the number of replicas. Only with `spec.autoscaling`.
    ScalingReady,
    /// ServiceMonitor, PrometheusRule, dashboard and AlertmanagerConfig are in the cluster, as far as they are asked for.
    MonitoringReady,
    /// The operator's passes over the model end. Only there while they don't.
    Reconciled,
}

impl ConditionType {
    /// Every type, in the order of the status.
    pub const ALL: &[Self] = &[
        Self::Ready,
        Self::SpecAccepted,
        Self::ModelLoaded,
        Self::Available,
        Self::Progressing,
        Self::ScalingReady,
        Self::MonitoringReady,
        Self::Reconciled,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::SpecAccepted => "SpecAccepted",
            Self::ModelLoaded => "ModelLoaded",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::ScalingReady => "ScalingReady",
            Self::MonitoringReady => "MonitoringReady",
            Self::Reconciled => "Reconciled",
        }
    }
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not.
    False,
    /// It can't be told.
    Unknown,
}

impl ConditionStatus {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident;)*) => {
        /// Why a condition is as it is. The list is closed: alerts, runbooks and users rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)*
            /// The worker said why it could not load the model.
            Load(LoadFailureReason),
        }

        impl Reason {
            /// Every reason, with what it means.
            #[must_use]
            pub fn all() -> Vec<(Self, &'static str)> {
                let mut all = vec![$((Self::$name, concat!($($doc),+))),*];
                all.extend(LoadFailureReason::ALL.iter().map(|r| (Self::Load(*r), "The worker could not load the model.")));
                all
            }

            /// The name in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Load(reason) => reason.as_str(),
                }
            }
        }
    };
}

reasons! {
    /// All replicas answer requests.
    Serving;
    /// The specification is complete and consistent.
    Valid;
    /// The specification contradicts itself or the cluster; the message names the field.
    Invalid;
    /// The cluster has no image volumes, which `spec.model.source.oci` asks for, and without a `path` nothing can be copied.
    ImageVolumesMissing;
    /// Every replica has the model in memory.
    Loaded;
    /// Containers are being created, or the worker reads the model.
    Loading;
    /// `spec.replicas` is 0.
    ScaledToZero;
    /// `spec.suspend` is true: there are no pods, and everything else stays.
    Suspended;
    /// `spec.rollout.paused` is true: the present pods stay, and a changed specification waits.
    Paused;
    /// No node takes the pod: capacity, taints, a missing claim.
    Unschedulable;
    /// The image can't be pulled.
    ImagePullFailed;
    /// The container can't be created: a missing Secret or key, a bad mount.
    ContainerConfigInvalid;
    /// The worker ended, and not because of its model.
    WorkerCrashed;
    /// The kernel ended the worker for want of memory.
    OutOfMemoryKilled;
    /// The API server refuses the pods: quota, limit range or Pod Security.
    PodsRefused;
    /// The Deployment is new, or its controller has not seen it yet.
    Pending;
    /// New pods replace old ones.
    RollingOut;
    /// All pods are of the present specification.
    RolloutComplete;
    /// No progress within the Deployment's deadline.
    ProgressDeadlineExceeded;
    /// Fewer replicas answer than the specification asks for.
    ReplicasUnavailable;
    /// No replica answers.
    NoReplicaReady;
    /// At least one replica answers.
    ReplicasAvailable;
    /// All monitoring objects are in the cluster.
    ObjectsApplied;
    /// The scaler reads its metrics, and it alone owns the number of replicas.
    ScalerActive;
    /// No metric can be had: the number of replicas stays, or is raised to `spec.autoscaling.fallbackReplicas`.
    MetricsMissing;
    /// The operator serves no external metrics: it was installed without them, or another adapter does.
    ExternalMetricsUnavailable;
    /// Another scaler is set on the same Deployment; the message names it.
    ForeignScaler;
    /// The scaler can't read or write the number of replicas; the message has its words.
    ScalerFailed;
    /// The cluster lacks a kind of a child: ServiceMonitor, PrometheusRule, AlertmanagerConfig or ScaledObject; the model serves without it.
    CustomResourceDefinitionMissing;
    /// The API server refused a child; the message names it.
    ApplyFailed;
    /// A ResourceQuota of the namespace leaves no room.
    QuotaExceeded;
    /// An admission webhook, an admission policy or Pod Security refused a child or its pods.
    AdmissionRefused;
    /// Another field manager owns a field of a child.
    FieldConflict;
    /// The operator lacks a right that the chart grants.
    Forbidden;
    /// An object of the same name belongs to somebody else.
    NameConflict;
    /// The operator's pass over the model broke off again and again; the message has the error. It is repeated.
    ReconcileFailed;
}

/// The condition of that type, if it is there.
#[must_use]
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_camel_case_and_unique() {
        let mut names: Vec<_> = Reason::all().iter().map(|(reason, _)| reason.as_str()).collect();
        assert!(names.iter().all(|n| n.chars().all(char::is_alphanumeric) && n.starts_with(char::is_uppercase)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

//! Condition types and reasons, each declared once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use strum::{IntoStaticStr, VariantArray};

use crate::contract::load_failure::LoadFailureReason;

/// The type of a condition. `True` is always the good state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
pub enum ConditionType {
    /// All replicas of the current specification answer requests.
    Ready,
    /// The specification passed the checks that the API server can't make.
    SpecAccepted,
    /// Every replica loaded its model.
    ModelLoaded,
    /// At least one replica answers requests.
    Available,
    /// The rollout makes progress, or is complete.
    Progressing,
    /// The scaler reads its metrics and may change the number of replicas. Only with `spec.autoscaling`, or with a scaler
    /// of others.
    ScalingReady,
    /// Every ServiceMonitor, PrometheusRule, dashboard and AlertmanagerConfig that the specification asks for is in the
    /// cluster.
    MonitoringReady,
    /// A Prometheus of the Prometheus Operator selects the ServiceMonitor and the PrometheusRule. Only where the cluster knows
    /// these kinds.
    MonitorSelected,
    /// Prometheus has loaded the model's rules as they were last written, and evaluates them without an error. Only where the
    /// installation names a Prometheus (`monitoring.prometheusURL` of the chart).
    RulesEvaluating,
    /// Prometheus scrapes the model's workers, and each answers. Only where the installation names a Prometheus.
    TargetsUp,
    /// The operator's passes over the model end, and what they write stays. Only there while that is not so.
    Reconciled,
}

impl ConditionType {
    /// Every type, in the order of the status.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// The operator can't determine it.
    Unknown,
}

impl ConditionStatus {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident;)*) => {
        /// The reason of a condition's status. The list is closed: alerts, runbooks and users rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)*
            /// The worker reported why it could not load the model.
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
            pub fn as_str(self) -> &'static str {
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
    /// `spec.model.source.oci` needs image volumes, which the cluster lacks, and without a `path` the files can't be
    /// copied.
    ImageVolumesMissing;
    /// Every replica has the model in memory.
    Loaded;
    /// The replicas answer, and have different models in memory: a branch, a tag or a folder changed under them. The message
    /// names the models.
    ReplicasDiffer;
    /// Containers are being created, or the worker reads the model.
    Loading;
    /// `spec.replicas` is 0.
    ScaledToZero;
    /// `spec.suspend` is true: there are no pods, and everything else stays.
    Suspended;
    /// `spec.rollout.paused` is true: the current pods stay, and a changed specification waits.
    Paused;
    /// No node can run the pod: capacity, taints, a missing claim.
    Unschedulable;
    /// The image can't be pulled.
    ImagePullFailed;
    /// The container can't be created: a missing Secret or key, a bad mount.
    ContainerConfigInvalid;
    /// The node of a worker says nothing any more. Kubernetes replaces the pod after five minutes.
    NodeLost;
    /// The node's kubelet refused the pod before it started; the message quotes it.
    RejectedByNode;
    /// A worker that had its model in memory does not answer its readiness probe.
    NotAnswering;
    /// A container that is not the worker's keeps the pod from being ready; the message names it.
    SidecarFailed;
    /// The worker ended for a reason other than its model.
    WorkerCrashed;
    /// The kernel ended the worker because memory ran out.
    OutOfMemoryKilled;
    /// The API server refuses the pods: quota, limit range or Pod Security.
    PodsRefused;
    /// The Deployment is new, or its controller has not seen it yet. Of rules and targets: Prometheus has not read or evaluated them yet.
    Pending;
    /// New pods replace old ones.
    RollingOut;
    /// All pods run the current specification.
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
    /// A Prometheus object selects the ServiceMonitor and the PrometheusRule; the message names it.
    Selected;
    /// No Prometheus object selects the ServiceMonitor or the PrometheusRule, so that nothing is scraped and no alert can
    /// ring; the message names what is missing.
    NotSelected;
    /// There is no Prometheus object that the operator may read: whether anything reads the monitoring objects is not known.
    PrometheusUnknown;
    /// Prometheus evaluates every rule.
    RulesEvaluated;
    /// Prometheus has not loaded the rules, or has loaded older ones: no alert of the model can ring, or not the right one; the
    /// message names the groups.
    RulesNotLoaded;
    /// The evaluation of a rule fails; the message has the words of Prometheus.
    RuleFailing;
    /// Every worker is scraped and answers.
    TargetsScraped;
    /// Some workers do not answer when they are scraped.
    TargetsDown;
    /// Workers run, and Prometheus scrapes none of them.
    TargetsMissing;
    /// The Prometheus that the installation names gives no answer that can be read; the message has the error.
    PrometheusUnreadable;
    /// The scaler reads its metrics, and it alone owns the number of replicas.
    ScalerActive;
    /// No metric is available: the number of replicas stays, or is raised to `spec.autoscaling.fallbackReplicas`.
    MetricsMissing;
    /// The operator serves no external metrics: it was installed without them, or another adapter serves them.
    ExternalMetricsUnavailable;
    /// A scaler that is not the operator's targets the Deployment, and decides the number of replicas; the message names
    /// it.
    ForeignScaler;
    /// The scaler can't read or write the number of replicas; the message quotes it.
    ScalerFailed;
    /// The cluster lacks the kind of a child: ServiceMonitor, PrometheusRule, AlertmanagerConfig or ScaledObject; the
    /// model serves without it.
    CustomResourceDefinitionMissing;
    /// The API server refused a child; the message names it.
    ApplyFailed;
    /// A ResourceQuota of the namespace leaves no room.
    QuotaExceeded;
    /// An admission webhook, an admission policy or Pod Security refused a child or its pods.
    AdmissionRefused;
    /// Another field manager owns a field of a child.
    FieldConflict;
    /// The operator lacks a permission that the chart grants.
    Forbidden;
    /// An object of the same name has another owner.
    NameConflict;
    /// The operator's pass over the model broke off again and again; the message has the error. It is repeated.
    ReconcileFailed;
    /// Another manager changes a child again and again, and the operator sets it back, every 15 s at most; the message names
    /// both.
    Contested;
}

/// The condition of this type, if it exists.
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

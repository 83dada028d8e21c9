//! Series that several alerts and the dashboards read.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metrics;

use super::promql::{Level, Scope};

/// Series with the value 1, one for each reason with which a condition has this status.
pub(super) fn condition(scope: &Scope, type_: ConditionType, status: ConditionStatus) -> Level {
    scope.gauge(&metrics::MODEL_CONDITION).eq("type", type_.as_str()).eq("status", status.as_str())
}

/// Number of replicas in this state.
pub(super) fn replicas(scope: &Scope, state: &str) -> Level {
    scope.gauge(&metrics::MODEL_REPLICAS).eq("state", state)
}

/// Number of containers that wait, by the kubelet's reason.
pub(super) fn waiting(scope: &Scope) -> Level {
    scope.gauge(&metrics::MODEL_WAITING)
}

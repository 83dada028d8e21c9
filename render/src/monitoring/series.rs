//! Series that several alerts and the dashboards read.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metrics;

use super::promql::{Level, SeriesOf};

/// Series with the value 1, one for each reason with which a condition has this status.
pub(super) fn condition(series: &SeriesOf, type_: ConditionType, status: ConditionStatus) -> Level {
    series.gauge(&metrics::MODEL_CONDITION).eq("type", type_.as_str()).eq("status", status.as_str())
}

/// Number of replicas in this state.
pub(super) fn replicas(series: &SeriesOf, state: &str) -> Level {
    series.gauge(&metrics::MODEL_REPLICAS).eq("state", state)
}

/// Number of containers that wait, by the kubelet's reason.
pub(super) fn waiting(series: &SeriesOf) -> Level {
    series.gauge(&metrics::MODEL_WAITING)
}

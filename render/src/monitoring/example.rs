//! The model that the cases of alerts are about: its pods, and its series.

use belfry_crds::contract::metric::Gauge;
use belfry_crds::contract::metrics;

use super::case::{Case, hold};
use super::promql::{Level, SeriesOf, Total};
use super::series;
use crate::model::ValidModel;

/// Two pods of the model.
pub(super) const POD_A: &str = "minilm-a";
pub(super) const POD_B: &str = "minilm-b";

pub(super) fn replicas(model: &ValidModel, state: &str) -> Level {
    series::replicas(&SeriesOf::model(model), state)
}

pub(super) fn waiting(model: &ValidModel, reason: &str) -> Level {
    series::waiting(&SeriesOf::model(model)).eq("reason", reason)
}

pub(super) fn condition(model: &ValidModel, [type_, status, reason]: [&str; 3]) -> Level {
    SeriesOf::model(model).gauge(&metrics::MODEL_CONDITION).eq("type", type_).eq("status", status).eq("reason", reason)
}

pub(super) fn up(model: &ValidModel, pod: &str) -> Level {
    SeriesOf::model(model).up().eq("pod", pod)
}

/// Adds what is used of both pods, and what each has.
pub(super) fn filled(
    case: Case,
    model: &ValidModel,
    (used, of_pods): (&Gauge, [&[(&str, u32)]; 2]),
    (capacity, most): (&Gauge, &[(&str, u32)]),
) -> Case {
    let of = |gauge: &Gauge, pod| SeriesOf::model(model).gauge(gauge).eq("pod", pod);
    [POD_A, POD_B]
        .into_iter()
        .zip(of_pods)
        .fold(case, |case, (pod, values)| case.with(of(capacity, pod), hold(most)).with(of(used, pod), hold(values)))
}

/// Requests that pod A answered.
pub(super) fn requests(model: &ValidModel, status: &str, reason: &str) -> Total {
    let requests =
        SeriesOf::model(model).counter(&metrics::REQUESTS).eq("pod", POD_A).eq("endpoint", metrics::ENDPOINTS[0]);
    requests.eq("status", status).eq("reason", reason)
}

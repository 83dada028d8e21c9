//! The table of alerts, nearest to the user first.

use super::alert::Alert;

mod api_server;
mod availability;
mod lifecycle;
mod objectives;
mod operator;
mod passes;
mod pods;
mod saturation;
mod telemetry;

pub(super) use lifecycle::condition;

/// Every alert.
#[must_use]
pub const fn alerts() -> &'static [Alert] {
    &[
        availability::MODEL_DOWN,
        availability::MODEL_OUTAGE,
        objectives::ERROR_BUDGET_BURN,
        objectives::LATENCY_BUDGET_BURN,
        telemetry::TARGETS_ABSENT,
        telemetry::WORKER_DOWN,
        lifecycle::MODEL_LOAD_FAILED,
        lifecycle::MODEL_NOT_LOADED,
        lifecycle::ROLLOUT_STUCK,
        pods::WORKER_CRASH_LOOPING,
        pods::WORKER_UNSCHEDULABLE,
        pods::IMAGE_PULL_FAILING,
        saturation::QUEUE_SATURATED,
        saturation::REQUESTS_REJECTED,
        operator::OPERATOR_DOWN,
        operator::NO_LEADER,
        passes::MODEL_STUCK,
        passes::RECONCILE_ERRORS,
        passes::QUEUE_STUCK,
        api_server::WATCH_RESTARTS,
        api_server::REQUESTS_REFUSED,
    ]
}

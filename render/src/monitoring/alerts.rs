//! The list of alerts, those nearest to the user first. Each alert has a file of its own with the rule, the runbook, and the
//! cases in which it fires, stays quiet and resolves.

use super::alert::Alert;

pub(super) mod accuracy_drop;
pub(super) mod autoscaler_blind;
pub(super) mod autoscaler_maxed_out;
pub(super) mod capacity_degraded;
pub(super) mod confidence_drop;
pub(super) mod connections_saturated;
pub(super) mod cost_budget_burn;
pub(super) mod drift_detected;
pub(super) mod empty_outputs;
pub(super) mod error_budget_burn;
pub(super) mod gpu_failed;
pub(super) mod gpu_memory_near_limit;
pub(super) mod gpu_throttled;
pub(super) mod gpu_xid_error;
pub(super) mod high_error_rate;
pub(super) mod high_latency;
pub(super) mod image_pull_failing;
pub(super) mod latency_budget_burn;
pub(super) mod memory_near_limit;
pub(super) mod model_down;
pub(super) mod model_load_failed;
pub(super) mod model_load_slow;
pub(super) mod model_not_loaded;
pub(super) mod model_outage;
pub(super) mod model_stuck;
pub(super) mod no_traffic;
pub(super) mod operator_down;
pub(super) mod operator_no_leader;
pub(super) mod operator_queue_stuck;
pub(super) mod operator_reconcile_errors;
pub(super) mod operator_requests_refused;
pub(super) mod operator_watch_restarts;
pub(super) mod probe_failing;
pub(super) mod quality_signal_stale;
pub(super) mod queue_saturated;
pub(super) mod requests_rejected;
pub(super) mod rollout_stuck;
pub(super) mod rules_not_loaded;
pub(super) mod targets_absent;
pub(super) mod user_satisfaction_low;
pub(super) mod watchdog;
pub(super) mod worker_crash_looping;
pub(super) mod worker_down;
pub(super) mod worker_restarts;
pub(super) mod worker_throttled;
pub(super) mod worker_unschedulable;

/// Every alert.
#[must_use]
pub const fn alerts() -> &'static [Alert] {
    &[
        model_down::ALERT,
        model_outage::ALERT,
        probe_failing::ALERT,
        high_error_rate::ALERT,
        high_latency::ALERT,
        error_budget_burn::ALERT,
        latency_budget_burn::ALERT,
        targets_absent::ALERT,
        worker_down::ALERT,
        capacity_degraded::ALERT,
        no_traffic::ALERT,
        model_load_failed::ALERT,
        model_not_loaded::ALERT,
        model_load_slow::ALERT,
        rollout_stuck::ALERT,
        worker_crash_looping::ALERT,
        worker_restarts::ALERT,
        worker_unschedulable::ALERT,
        image_pull_failing::ALERT,
        gpu_failed::ALERT,
        gpu_xid_error::ALERT,
        queue_saturated::ALERT,
        requests_rejected::ALERT,
        connections_saturated::ALERT,
        memory_near_limit::ALERT,
        worker_throttled::ALERT,
        gpu_throttled::ALERT,
        gpu_memory_near_limit::ALERT,
        empty_outputs::ALERT,
        drift_detected::ALERT,
        accuracy_drop::ALERT,
        confidence_drop::ALERT,
        user_satisfaction_low::ALERT,
        quality_signal_stale::ALERT,
        autoscaler_blind::ALERT,
        autoscaler_maxed_out::ALERT,
        cost_budget_burn::ALERT,
        rules_not_loaded::ALERT,
        operator_down::ALERT,
        operator_no_leader::ALERT,
        model_stuck::ALERT,
        operator_reconcile_errors::ALERT,
        operator_queue_stuck::ALERT,
        operator_watch_restarts::ALERT,
        operator_requests_refused::ALERT,
        watchdog::ALERT,
    ]
}

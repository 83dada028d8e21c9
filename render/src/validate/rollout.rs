//! `spec.rollout`, with defaults applied.

use crate::model::{Replace, ValidRollout};
use crate::problem::Problem;
use belfry_crds::contract::DRAIN_TIMEOUT_SECONDS;
use belfry_crds::inference_model::{AccessMode, Model, Rollout, RolloutStrategy};
use k8s_openapi::api::core::v1::ResourceRequirements;

pub(super) fn rollout(
    spec: Option<&Rollout>,
    resources: &ResourceRequirements,
    access_mode: Option<AccessMode>,
    startup_budget_seconds: i32,
) -> Result<ValidRollout, Vec<Problem>> {
    let spec = spec.cloned().unwrap_or_default();
    let is_exclusive = access_mode.is_some_and(is_exclusive);
    let replace = replace(&spec, !is_exclusive && !wants_device(resources));
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
    let rollout = ValidRollout {
        replace,
        min_ready_seconds,
        progress_deadline_seconds: spec
            .progress_deadline_seconds
            .unwrap_or_else(|| startup_budget_seconds.saturating_add(min_ready_seconds)),
        drain_seconds: spec.drain_seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(DRAIN_TIMEOUT_SECONDS),
        is_paused: spec.paused.unwrap_or(false),
    };
    // The CRD refuses two zeros too, but a file that is only rendered is not checked against the CRD.
    if (rollout.replace == Replace::Gradually { surge: 0, unavailable: 0 }) {
        let message =
            "maxSurge and maxUnavailable can't both be 0, since no pod could ever be replaced: raise one of them";
        return Err(vec![Problem::new("spec.rollout", message)]);
    }
    if is_exclusive && matches!(rollout.replace, Replace::Gradually { surge: 1.., .. }) {
        let message = "a new pod would wait for the claim of an old one for ever, since its accessMode allows one pod or one node: use strategy CapacityBound or Recreate, and remove maxSurge";
        return Err(vec![Problem::new("spec.rollout", message)]);
    }
    Ok(rollout)
}

/// How many pods may use the claim that the model or its cache is on; `None` for no claim, or where it is not said.
pub(super) fn access_mode(model: &Model) -> Option<AccessMode> {
    let of_cache = model.cache.as_ref().and_then(|cache| cache.access_mode);
    model.source.pvc.as_ref().map_or(of_cache, |pvc| pvc.access_mode)
}

/// A second pod, or one on another node, can't have the claim.
const fn is_exclusive(mode: AccessMode) -> bool {
    matches!(mode, AccessMode::ReadWriteOncePod | AccessMode::ReadWriteOnce)
}

/// More replicas than the claim has pods for.
pub(super) fn crowded(model: &Model, replicas: Option<i32>, most_replicas: Option<i32>) -> Option<Problem> {
    let is_for_one = access_mode(model) == Some(AccessMode::ReadWriteOncePod);
    let message =
        "the claim is for one pod (accessMode ReadWriteOncePod): set 1, or use a claim that many pods may use";
    let too_many = |number: Option<i32>| is_for_one && number.is_some_and(|number| number > 1);
    if too_many(replicas) {
        return Some(Problem::new("spec.replicas", message));
    }
    too_many(most_replicas).then(|| Problem::new("spec.autoscaling.maxReplicas", message))
}

/// The strategy decides what the specification leaves open, unless one number is 0: then the other must be 1.
fn replace(spec: &Rollout, can_surge: bool) -> Replace {
    let surges = match spec.strategy.unwrap_or_default() {
        RolloutStrategy::Recreate => return Replace::AtOnce,
        RolloutStrategy::Auto => can_surge,
        RolloutStrategy::SurgeFirst => true,
        RolloutStrategy::CapacityBound => false,
    };
    let (surge, unavailable) = match (spec.max_surge, spec.max_unavailable) {
        (Some(surge), Some(unavailable)) => (surge, unavailable),
        (Some(0), None) => (0, 1),
        (None, Some(0)) => (1, 0),
        (Some(surge), None) => (surge, i32::from(!surges)),
        (None, Some(unavailable)) => (i32::from(surges), unavailable),
        (None, None) if surges => (1, 0),
        (None, None) => (0, 1),
    };
    Replace::Gradually { surge, unavailable }
}

/// Whether a pod holds a device of its node. There may be no free device for a second pod. Every extended resource counts
/// as a device; its name has a domain.
fn wants_device(resources: &ResourceRequirements) -> bool {
    let wanted = resources.limits.iter().chain(&resources.requests).flatten();
    wanted.into_iter().any(|(name, amount)| name.contains('/') && amount.0 != "0")
}

#[cfg(test)]
mod tests {
    use belfry_crds::contract::defaults;

    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    fn gpu(count: &str) -> ResourceRequirements {
        let limits = [("nvidia.com/gpu".to_owned(), Quantity(count.into())), ("cpu".to_owned(), Quantity("1".into()))];
        ResourceRequirements { limits: Some(limits.into()), ..Default::default() }
    }

    fn of(spec: Rollout, resources: &ResourceRequirements) -> Replace {
        rollout(Some(&spec), resources, None, defaults::STARTUP_BUDGET_SECONDS).unwrap().replace
    }

    #[test]
    fn auto_surges_unless_a_pod_holds_a_device() {
        let surge = Replace::Gradually { surge: 1, unavailable: 0 };
        let in_place = Replace::Gradually { surge: 0, unavailable: 1 };
        assert_eq!(of(Rollout::default(), &ResourceRequirements::default()), surge);
        assert_eq!(of(Rollout::default(), &gpu("0")), surge);
        assert_eq!(of(Rollout::default(), &gpu("1")), in_place);
        let first = Rollout { strategy: Some(RolloutStrategy::SurgeFirst), ..Default::default() };
        assert_eq!(of(first, &gpu("1")), surge);
        let bound = Rollout { strategy: Some(RolloutStrategy::CapacityBound), ..Default::default() };
        assert_eq!(of(bound, &ResourceRequirements::default()), in_place);
    }

    #[test]
    fn pods_whose_claim_one_pod_or_one_node_may_use_never_surge() {
        let with = |spec: Rollout, mode| rollout(Some(&spec), &ResourceRequirements::default(), Some(mode), 900);
        let in_place = Replace::Gradually { surge: 0, unavailable: 1 };
        for mode in [AccessMode::ReadWriteOncePod, AccessMode::ReadWriteOnce] {
            assert_eq!(with(Rollout::default(), mode).unwrap().replace, in_place);
            for spec in [
                Rollout { strategy: Some(RolloutStrategy::SurgeFirst), ..Default::default() },
                Rollout { max_surge: Some(1), ..Default::default() },
            ] {
                let problems = with(spec, mode).unwrap_err();
                assert_eq!(problems[0].field, "spec.rollout");
                assert!(problems[0].message.contains("CapacityBound"), "{}", problems[0].message);
            }
        }
        let surge = Replace::Gradually { surge: 1, unavailable: 0 };
        for mode in [AccessMode::ReadOnlyMany, AccessMode::ReadWriteMany] {
            assert_eq!(with(Rollout::default(), mode).unwrap().replace, surge);
        }
    }

    #[test]
    fn a_claim_for_one_pod_has_one_replica() {
        let model = |mode: &str| -> Model {
            let source = serde_json::json!({"source": {"pvc": {"claimName": "c", "accessMode": mode}}});
            serde_json::from_value(source).unwrap()
        };
        let field = |mode: &str, replicas, most| crowded(&model(mode), replicas, most).map(|problem| problem.field);
        assert_eq!(field("ReadWriteOncePod", Some(2), None).as_deref(), Some("spec.replicas"));
        assert_eq!(field("ReadWriteOncePod", None, Some(3)).as_deref(), Some("spec.autoscaling.maxReplicas"));
        assert_eq!(field("ReadWriteOncePod", Some(1), None), None);
        assert_eq!(field("ReadWriteOnce", Some(2), None), None, "they share a node");
    }

    #[test]
    fn one_number_alone_never_leads_to_a_rollout_that_can_t_move() {
        for (max_surge, max_unavailable, expected) in
            [(Some(0), None, (0, 1)), (None, Some(0), (1, 0)), (Some(3), None, (3, 0)), (None, Some(2), (1, 2))]
        {
            let spec = Rollout { max_surge, max_unavailable, ..Default::default() };
            let (surge, unavailable) = expected;
            assert_eq!(of(spec, &ResourceRequirements::default()), Replace::Gradually { surge, unavailable });
        }
        let both = Rollout { max_surge: Some(0), max_unavailable: Some(0), ..Default::default() };
        let problems = rollout(Some(&both), &ResourceRequirements::default(), None, 900).unwrap_err();
        assert_eq!(problems[0].field, "spec.rollout");
    }

    #[test]
    fn the_deadline_leaves_room_for_the_start_and_the_pause_after_it() {
        let spec = Rollout { min_ready_seconds: Some(60), ..Default::default() };
        let valid = rollout(Some(&spec), &ResourceRequirements::default(), None, 1800).unwrap();
        assert_eq!((valid.progress_deadline_seconds, valid.drain_seconds), (1860, 30));
    }
}

//! Counters that have to remember what they saw: restarts and failed loads of worker containers.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use belfry_crds::condition::Reason;

use crate::observe::{Few, ModelKey, PodReport};

/// Counts since the operator started, by model.
#[derive(Default)]
pub struct Restarts {
    models: Mutex<BTreeMap<ModelKey, Seen>>,
}

/// What is counted for one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Restarts of worker containers.
    pub restarts: u64,
    /// Containers that ended with a failed load.
    pub load_failures: u64,
}

#[derive(Default)]
struct Seen {
    counts: Counts,
    /// Restarts of each pod at the last look, and whether its present failure is counted.
    pods: Few<String, (i32, bool)>,
}

impl Restarts {
    /// Adds what is new in the reports of a model's pods.
    pub fn observe(&self, model: ModelKey, pods: &[PodReport]) {
        let mut models = self.models.lock();
        let Seen { counts, pods: seen } = models.entry(model).or_default();
        for pod in pods {
            let is_load_failure = pod.failure.as_ref().is_some_and(|f| matches!(f.reason, Reason::Load(_)));
            // A pod that is seen for the first time brings restarts from before the operator started.
            let (before, counted) = seen.get(&pod.name).copied().unwrap_or((pod.restarts, false));
            let new = pod.restarts.saturating_sub(before).max(0);
            counts.restarts += u64::from(new.unsigned_abs());
            if is_load_failure && (!counted || new > 0) {
                counts.load_failures += 1;
            }
            seen.insert(pod.name.clone(), (pod.restarts, is_load_failure));
        }
        seen.retain(|name| pods.iter().any(|pod| pod.name == *name));
    }

    /// Forgets models that no longer exist.
    pub fn retain(&self, exists: impl Fn(&ModelKey) -> bool) {
        self.models.lock().retain(|key, _| exists(key));
    }

    /// The counts of a model; `None` before its first pass.
    #[must_use]
    pub fn of(&self, model: &ModelKey) -> Option<Counts> {
        self.models.lock().get(model).map(|seen| seen.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::report;

    fn pod(name: &str, restarts: i32, ended_with: &str) -> PodReport {
        let state = match ended_with {
            "" => serde_json::json!({}),
            message => serde_json::json!({"terminated": {"exitCode": 3, "message": message}}),
        };
        let env = serde_json::json!([{"name": "BELFRY_TERMINATION_LOG", "value": "/dev/termination-log"}]);
        let spec = serde_json::json!({"containers": [{"name": "worker", "env": env}]});
        let pod = serde_json::json!({"metadata": {"name": name}, "spec": spec, "status": {"containerStatuses": [{
            "name": "worker", "image": "i", "imageID": "i", "ready": false, "restartCount": restarts, "lastState": state,
        }]}});
        report(&serde_json::from_value(pod).unwrap())
    }

    fn counts(restarts: &Restarts) -> (u64, u64) {
        let counts = restarts.of(&ModelKey::default()).unwrap();
        (counts.restarts, counts.load_failures)
    }

    #[test]
    fn each_restart_and_each_failed_load_is_counted_once() {
        let (restarts, key) = (Restarts::default(), ModelKey::default());
        let failed = r#"{"reason":"FileMissing","message":"x"}"#;
        restarts.observe(key.clone(), &[pod("a", 4, "")]);
        assert_eq!(counts(&restarts), (0, 0), "what was before does not count");
        restarts.observe(key.clone(), &[pod("a", 5, failed)]);
        restarts.observe(key.clone(), &[pod("a", 5, failed)]);
        assert_eq!(counts(&restarts), (1, 1));
        restarts.observe(key.clone(), &[pod("a", 6, failed)]);
        assert_eq!(counts(&restarts), (2, 2));
        restarts.observe(key, &[pod("b", 0, "")]);
        assert_eq!(counts(&restarts), (2, 2), "a new pod takes nothing away");
    }

    #[test]
    fn a_model_that_is_gone_is_forgotten() {
        let restarts = Restarts::default();
        restarts.observe(ModelKey::default(), &[]);
        assert!(restarts.of(&ModelKey::default()).is_some());
        restarts.retain(|_| false);
        assert!(restarts.of(&ModelKey::default()).is_none());
    }
}

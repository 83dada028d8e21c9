//! Asks Prometheus, for some models at a time, for as long as the operator runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use belfry_render::monitoring::rules;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::answer::{AllTargets, Expected, LoadedGroups};
use super::{Evaluated, Evaluation, Report};
use crate::client::message;
use crate::drift::Drift;
use crate::observe::{Cache, Cause, ModelKey, Trigger, Triggers, Urgency};
use crate::prometheus::{Prometheus, PrometheusError};

/// Time between two rounds. Each asks about every model.
const PERIOD: Duration = Duration::from_secs(20);

/// Models of one request about rules: about 20 rules each, and 1 kB a rule.
const AT_ONCE: usize = 20;

/// Asks until it is dropped. A model of which something else counts gets a pass by the trigger.
pub async fn ask(
    evaluation: Arc<Evaluation>,
    prometheus: Arc<Prometheus>,
    (cache, drift): (Arc<Cache>, Arc<Drift>),
    trigger: Triggers,
) {
    let mut rounds = tokio::time::interval(PERIOD);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wanted = BTreeMap::new();
    // What is said once is not said again in every round.
    let mut is_readable = true;
    loop {
        rounds.tick().await;
        wanted = wanted_now(wanted, &cache, &drift);
        let answers = match answers(&prometheus, &wanted).await {
            Ok(answers) => {
                if !std::mem::replace(&mut is_readable, true) {
                    info!("Prometheus answers again");
                }
                answers
            }
            Err(error) => {
                if std::mem::replace(&mut is_readable, false) {
                    warn!(error = &error as &dyn std::error::Error, "Prometheus does not say what it evaluates");
                }
                let said = Evaluated::Unreadable(message(&error));
                wanted.keys().map(|key| (key.clone(), said.clone())).collect()
            }
        };
        let now = Instant::now();
        for (key, said) in answers {
            if evaluation.learn(&key, said, now) {
                // The receiver is gone only when the process ends.
                let _ = trigger.send(Trigger { key, urgency: Urgency::Status, cause: Cause::PrometheusAnswered });
            }
        }
    }
}

async fn answers(
    prometheus: &Prometheus,
    wanted: &BTreeMap<ModelKey, Wanted>,
) -> Result<Vec<(ModelKey, Evaluated)>, PrometheusError> {
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let targets: AllTargets = prometheus.targets().await?.into();
    let mut answers = vec![];
    let mut left: Vec<_> = wanted.iter().collect();
    while !left.is_empty() {
        let mut some = left.split_off(left.len().saturating_sub(AT_ONCE));
        let groups: BTreeSet<_> = some.iter().flat_map(|(_, wanted)| wanted.expected.groups()).collect();
        let loaded: LoadedGroups = prometheus.rules(groups.iter().copied()).await?.into();
        // An old Prometheus names all groups, also when it is asked for some.
        if loaded.has_others_than(&groups) {
            some.append(&mut left);
        }
        answers.extend(some.into_iter().map(|(key, wanted)| {
            let targets = targets.of(key, wanted.has_pods);
            let report = Report { rules: wanted.expected.found_in(&loaded), targets };
            (key.clone(), Evaluated::Said(report))
        }));
    }
    Ok(answers)
}

/// What is wanted for a model.
struct Wanted {
    /// Of the specification that was rendered.
    generation: Option<i64>,
    expected: Expected,
    /// Pods run that could be scraped.
    has_pods: bool,
}

/// What is wanted for the models that are accepted. Rules are rendered once for each generation.
fn wanted_now(mut before: BTreeMap<ModelKey, Wanted>, cache: &Cache, drift: &Drift) -> BTreeMap<ModelKey, Wanted> {
    let (mut wanted, mut changed) = (BTreeMap::new(), vec![]);
    cache.each(|view| {
        let generation = view.model.metadata.generation;
        let has_pods = view.pods.iter().any(|pod| pod.is_here_to_stay() && pod.address.is_some());
        match before.remove(view.key).filter(|known| known.generation == generation) {
            Some(known) => drop(wanted.insert(view.key.clone(), Wanted { has_pods, ..known })),
            None => changed.push((view.key.clone(), has_pods)),
        }
    });
    wanted.extend(changed.into_iter().filter_map(|(key, has_pods)| {
        let observed = cache.observed(&key)?;
        let generation = observed.model.metadata.generation;
        let expected = Expected::of(&rules(&drift.validate(&observed.model, observed.deployed()).ok()?.model));
        Some((key, Wanted { generation, expected, has_pods }))
    }));
    wanted
}

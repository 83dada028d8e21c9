//! Series about the models, computed from the cache at every scrape. So they vanish with their
//! model, and rules need no kube-state-metrics (invariant 6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belfry_crds::accuracy::{self, Accuracy};
use belfry_crds::contract::metric::Metric;
use belfry_crds::contract::metrics as contract;
use belfry_crds::status::ChildState;

mod prices;
mod restarts;
mod text;

use crate::observe::{Cache, Place, PodRequests, View};
pub use prices::Prices;
use restarts::Restarts;
use text::Family;

#[cfg(test)]
mod tests;

/// What series are computed from, beside the models.
struct Sources<'a> {
    places: &'a BTreeMap<String, Place>,
    restarts: &'a Restarts,
    prices: Option<&'a Prices>,
}

type Write = fn(&mut Family, &View<'_>, &Sources<'_>);

/// Every family, and the series that one model adds to it. Each scrape looks at each model once for each.
const FAMILIES: &[(&Metric, Write)] = &[
    (&contract::MODEL_REPLICAS.0, replicas),
    (&contract::MODEL_CONDITION.0, conditions),
    (&contract::MODEL_WAITING.0, waiting),
    (&contract::MODEL_UNSCHEDULABLE.0, unschedulable),
    (&contract::MODEL_RESTARTS.0, |family, view, sources| {
        let counts = sources.restarts.of(view.key);
        counts.into_iter().for_each(|counts| family.add(&labels(view), whole(counts.restarts)));
    }),
    (&contract::MODEL_LOAD_FAILURES.0, |family, view, sources| {
        let counts = sources.restarts.of(view.key);
        counts.into_iter().for_each(|counts| family.add(&labels(view), whole(counts.load_failures)));
    }),
    (&contract::MODEL_GENERATION.0, |family, view, _| {
        family.add(&labels(view), generation(view.model.metadata.generation));
    }),
    (&contract::MODEL_OBSERVED_GENERATION.0, |family, view, _| {
        family.add(&labels(view), generation(view.model.observed_generation()));
    }),
    (&contract::MODEL_OBJECTS.0, objects),
    (&contract::MODEL_SPEC_INFO.0, info),
    (&contract::MODEL_PLACED.0, |family, view, sources| by_place(family, view, sources, |_| 1.0)),
    (&contract::MODEL_REQUESTED_CPU.0, |family, view, sources| {
        by_place(family, view, sources, |requests| whole(requests.cpu_millis) / 1000.0);
    }),
    (&contract::MODEL_REQUESTED_MEMORY.0, |family, view, sources| {
        by_place(family, view, sources, |requests| whole(requests.memory));
    }),
    (&contract::MODEL_REQUESTED_GPUS.0, |family, view, sources| {
        by_place(family, view, sources, |requests| whole(requests.gpus));
    }),
    (&contract::MODEL_COST.0, cost),
    (&contract::MODEL_ACCURACY.0, |family, view, _| by_dataset(family, view, |one| Some(one.score))),
    (&contract::MODEL_ACCURACY_MINIMUM.0, |family, view, _| by_dataset(family, view, |one| one.minimum)),
    (&contract::MODEL_ACCURACY_TIME.0, |family, view, _| by_dataset(family, view, |one| Some(seconds(one)))),
    (&contract::MODEL_ACCURACY_UNREADABLE.0, unreadable),
];

/// The series about the models, and the counters that outlive a scrape.
pub struct Fleet {
    cache: Arc<Cache>,
    /// Restarts and failed loads, which only grow.
    pub restarts: Restarts,
    prices: Option<Prices>,
}

impl Fleet {
    /// Series about the models of that cache; about their cost only with prices.
    #[must_use]
    pub fn new(cache: Arc<Cache>, prices: Option<Prices>) -> Arc<Self> {
        Arc::new(Self { cache, restarts: Restarts::default(), prices })
    }

    /// The exposition, one family after the other. Each is computed when it is asked for, so that what a slow reader has
    /// not taken yet weighs nothing.
    pub fn families(self: &Arc<Self>) -> impl Iterator<Item = String> + Send + 'static {
        // The keys are copied first: no thread may wait for the cache's lock while it holds that of the counters, which
        // the families take the other way round.
        let known: BTreeSet<_> = self.cache.keys().into_iter().collect();
        self.restarts.retain(|key| known.contains(key));
        let mut undecodable = Family::new(*contract::MODEL_UNDECODABLE);
        self.cache.undecodable().iter().for_each(|key| undecodable.add(&[&key.namespace, &key.name], 1.0));
        let fleet = self.clone();
        let families = FAMILIES.iter().map(move |(metric, write)| {
            let mut family = Family::new(**metric);
            let places = fleet.cache.nodes().places();
            let sources = Sources { places: &places, restarts: &fleet.restarts, prices: fleet.prices.as_ref() };
            fleet.cache.each(|view| write(&mut family, view, &sources));
            family.finish()
        });
        families.chain([undecodable.finish()])
    }
}

fn labels<'a>(view: &'a View<'_>) -> [&'a str; 2] {
    [&view.key.namespace, &view.key.name]
}

fn replicas(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let [namespace, name] = labels(view);
    let status = view.deployment.map(|deployment| &deployment.status);
    let reported =
        |of: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| status.and_then(of).unwrap_or(0);
    let states = [
        // What is being deleted is not down.
        ("desired", if is_ending(view) { 0 } else { view.model.wanted_replicas() }),
        ("current", reported(|status| status.replicas)),
        ("updated", reported(|status| status.updated_replicas)),
        ("ready", reported(|status| status.ready_replicas)),
        ("available", reported(|status| status.available_replicas)),
    ];
    for (state, count) in states {
        family.add(&[namespace, name, state], count.into());
    }
}

/// The model is being deleted, or its namespace is. Kubernetes ends the pods of a namespace first, so that a model may be there
/// for a while whose pods can't be made again.
fn is_ending(view: &View<'_>) -> bool {
    let conditions = view.deployment.iter().flat_map(|deployment| deployment.status.conditions.iter().flatten());
    let mut refused = conditions.filter(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    let is_terminating = |message: &String| message.contains("because it is being terminated");
    view.model.metadata.deletion_timestamp.is_some()
        || refused.any(|condition| condition.message.as_ref().is_some_and(is_terminating))
}

fn conditions(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let [namespace, name] = labels(view);
    for [type_, status, reason] in view.model.conditions() {
        family.add(&[namespace, name, type_, status, reason], 1.0);
    }
}

/// The two reasons that alerts wait for are born at 0.
fn waiting(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let [namespace, name] = labels(view);
    let mut waiting = BTreeMap::from([("CrashLoopBackOff", 0), ("ImagePullBackOff", 0)]);
    for reason in view.pods.iter().filter_map(|pod| pod.waiting) {
        *waiting.entry(reason).or_default() += 1;
    }
    for (reason, pods) in waiting {
        family.add(&[namespace, name, reason], count(pods));
    }
}

fn unschedulable(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    family.add(&labels(view), count(view.pods.iter().filter(|pod| pod.is_unschedulable()).count()));
}

fn objects(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let [namespace, name] = labels(view);
    let Some(children) = view.model.child_states() else { return };
    let states = [ChildState::Applied, ChildState::Refused, ChildState::Missing];
    for (state, word) in states.into_iter().zip(contract::OBJECT_STATES) {
        let objects = children.clone().filter(|child| *child == state).count();
        family.add(&[namespace, name, word], count(objects));
    }
}

fn info(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let [namespace, name] = labels(view);
    let spec = &view.model.spec;
    let engine = spec.engine.as_ref().map_or_else(|| "Belfry".to_owned(), |engine| format!("{:?}", engine.type_));
    let device = spec.runtime.as_ref().and_then(|runtime| runtime.device).unwrap_or_default();
    let revision = view.model.runtime().map_or("", |runtime| runtime.template_revision.as_str());
    family.add(&[namespace, name, &engine, device.as_str(), revision], 1.0);
}

/// One series for each place where pods of the model run.
fn by_place(family: &mut Family, view: &View<'_>, sources: &Sources<'_>, of: fn(&PodRequests) -> f64) {
    let [namespace, name] = labels(view);
    let unknown = Place::default();
    for (place, sum) in sums(view, sources, &unknown, |_, requests| Some(of(requests))) {
        family.add(&[namespace, name, &place.zone, place.capacity.as_str(), &place.gpu], sum);
    }
}

/// One series for each place that has a price.
fn cost(family: &mut Family, view: &View<'_>, sources: &Sources<'_>) {
    let [namespace, name] = labels(view);
    let Some(prices) = sources.prices else { return };
    let unknown = Place::default();
    for (place, sum) in sums(view, sources, &unknown, |place, requests| prices.of(place, requests)) {
        family.add(&[namespace, name, &place.zone, place.capacity.as_str(), &place.gpu, prices.currency()], sum);
    }
}

/// A sum over the scheduled pods of each place; a node that is not known has the place `unknown`.
fn sums<'a>(
    view: &View<'_>,
    sources: &Sources<'a>,
    unknown: &'a Place,
    of: impl Fn(&Place, &PodRequests) -> Option<f64>,
) -> BTreeMap<&'a Place, f64> {
    let mut sums = BTreeMap::new();
    for (node, pod) in view.pods.iter().filter_map(|pod| Some((pod.node.as_ref()?, pod))) {
        let place = sources.places.get(&**node).unwrap_or(unknown);
        if let Some(value) = of(place, &pod.requests) {
            *sums.entry(place).or_default() += value;
        }
    }
    sums
}

/// One series for each data set that an evaluation job measured the model on.
fn by_dataset(family: &mut Family, view: &View<'_>, of: fn(&Accuracy) -> Option<f64>) {
    let [namespace, name] = labels(view);
    for (dataset, accuracy) in view.model.metadata.annotations.iter().flat_map(accuracy::of) {
        if let Ok(accuracy) = accuracy
            && let Some(value) = of(&accuracy)
        {
            family.add(&[namespace, name, &accuracy.version, dataset], value);
        }
    }
}

/// Exact for every year that Kubernetes can write.
#[allow(clippy::cast_precision_loss, reason = "what is exported is a float")]
fn seconds(accuracy: &Accuracy) -> f64 {
    accuracy.time.0.as_second() as f64
}

fn unreadable(family: &mut Family, view: &View<'_>, _: &Sources<'_>) {
    let found: Vec<_> = view.model.metadata.annotations.iter().flat_map(accuracy::of).collect();
    if !found.is_empty() {
        family.add(&labels(view), count(found.iter().filter(|(_, accuracy)| accuracy.is_err()).count()));
    }
}

fn generation(number: Option<i64>) -> f64 {
    whole(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}

/// Exact up to 2^53, which is eight petabytes.
#[allow(clippy::cast_precision_loss, reason = "what is exported is a float")]
const fn whole(number: u64) -> f64 {
    number as f64
}

/// Exact up to four billion, which no cluster holds.
fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}

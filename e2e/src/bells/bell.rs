//! The faults, and what should be heard of each.

use std::time::Duration;

use serde_json::{Value, json};

use super::callers::Mix;
use super::incident::Expected;

/// A model, what is done to it, and what should be heard.
#[derive(Clone)]
pub struct Bell {
    /// Name of the model.
    pub name: &'static str,
    /// What is done to it.
    pub fault: Fault,
    /// What is asked of it before, during and after the fault.
    pub mix: Mix,
    /// What its specification has beside the others'.
    pub spec: fn(&mut Value),
    /// What should be heard.
    pub expected: Expected,
}

/// What is done to a model. Each is caused for real, in a pod that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// A memory cell of the worker goes bad; every text needs it.
    EveryText,
    /// The same, for a word that only some of the texts have.
    SomeTexts,
    /// The node gives the container so many hundredths of a core.
    Starved(u64),
    /// The worker of one pod hangs.
    Hangs,
    /// The worker of one pod is killed as soon as it runs.
    Killed,
    /// The weights are gone when the worker starts again.
    WeightsGone,
    /// A new image that is not there.
    ImageGone,
    /// More cores than any node has.
    NoNode,
    /// More callers than it can serve, who come again at once.
    Flood,
    /// Someone holds nearly all connections.
    Connections,
    /// The container's memory limit is close above what it uses.
    MemoryTight,
    /// A new model, whose hub takes the connection and says nothing.
    HubSilent,
}

const NOTHING: Expected = Expected { pages: &[], notes: &[], also: &[] };

fn page(pages: &'static [&'static str], also: &'static [&'static str]) -> Expected {
    Expected { pages, also, ..NOTHING }
}

fn note(notes: &'static [&'static str], also: &'static [&'static str]) -> Expected {
    Expected { notes, also, ..NOTHING }
}

/// Requests of a hundred that fail in a fault of some.
const SOME_FAIL: Mix = Mix { damaged: 14, ..Mix::SOME };

/// Texts that take their time.
const LONG: Mix = Mix { callers: 3, texts: 16, words: 48, ..Mix::SOME };

/// Texts of which one request takes some 40 ms.
const MIDDLE: Mix = Mix { texts: 4, words: 32, pause: Duration::from_secs(1), ..Mix::SOME };

/// One request every so many milliseconds.
const fn every(milliseconds: u64) -> Mix {
    Mix { callers: 1, pause: Duration::from_millis(milliseconds), ..Mix::NONE }
}

fn plain(_: &mut Value) {}

fn two(spec: &mut Value) {
    spec["replicas"] = json!(2);
}

fn two_with_every_alert(spec: &mut Value) {
    two(spec);
    every_alert(spec);
}

/// A rollout is late after a minute, which is not compressed.
fn impatient(spec: &mut Value) {
    spec["rollout"] = json!({"progressDeadlineSeconds": 60});
    spec["probes"] = json!({"startupBudgetSeconds": 50});
}

/// A load is slow after 240 s, which are not compressed, and its download fails after 295 s. A message that follows another waits for
/// `groupInterval`, so that there has to be time between the two.
fn short_start(spec: &mut Value) {
    every_alert(spec);
    spec["probes"] = json!({"startupBudgetSeconds": 300});
}

fn availability(spec: &mut Value) {
    spec["observability"]["slos"] = json!([{"name": "availability", "indicator": "Availability", "objective": "99.9"}]);
}

fn latency(spec: &mut Value) {
    spec["observability"]["slos"] =
        json!([{"name": "latency", "indicator": "Latency", "threshold": "250ms", "objective": "99"}]);
}

fn every_alert(spec: &mut Value) {
    spec["observability"]["alerts"] = json!({"profile": "Full"});
    spec["observability"]["alertmanager"]["receivers"][0]["severities"] = json!(["critical", "warning", "info"]);
}

fn small_queue(spec: &mut Value) {
    spec["runtime"]["queue"] = json!({"capacity": 8});
    spec["resources"]["limits"]["cpu"] = json!("200m");
}

fn few_connections(spec: &mut Value) {
    spec["podTemplate"] = json!({"extraArgs": ["--max-connections=40"]});
}

fn latency_wide(spec: &mut Value) {
    spec["observability"]["slos"] =
        json!([{"name": "latency", "indicator": "Latency", "threshold": "2500ms", "objective": "99"}]);
}

/// All of them.
pub fn bells() -> Vec<Bell> {
    [healthy(), of_the_worker(), of_the_cluster(), of_the_callers()].concat()
}

fn bell(name: &'static str, fault: Fault, mix: Mix, spec: fn(&mut Value), expected: Expected) -> Bell {
    Bell { name, fault, mix, spec, expected }
}

/// About 1, 10, 60 and 600 requests an hour where time is ten times as fast.
fn healthy() -> Vec<Bell> {
    vec![
        bell("well-1", Fault::None, every(360_000), plain, NOTHING),
        bell("well-10", Fault::None, every(36_000), plain, NOTHING),
        bell("well-60", Fault::None, every(6_000), availability, NOTHING),
        bell("well-600", Fault::None, every(600), latency_wide, NOTHING),
    ]
}

/// What arises in the worker: its memory, its process, its files.
fn of_the_worker() -> Vec<Bell> {
    let outage = |also| page(&["InferenceModelOutage"], also);
    let down = page(&["InferenceModelDown"], &["InferenceWorkerCrashLooping"]);
    let hangs = &["InferenceWorkerDown", "InferenceCapacityDegraded"];
    let ends = &["InferenceWorkerCrashLooping", "InferenceWorkerRestarts"];
    let looping = note(&["InferenceWorkerCrashLooping"], &["InferenceWorkerDown"]);
    vec![
        bell("outage", Fault::EveryText, Mix::SOME, plain, outage(&["InferenceHighErrorRate"])),
        bell("outage-slo", Fault::EveryText, Mix::SOME, availability, outage(&["InferenceErrorBudgetBurn"])),
        bell("idle", Fault::EveryText, Mix::NONE, plain, page(&["InferenceProbeFailing"], &[])),
        bell("errors", Fault::SomeTexts, SOME_FAIL, plain, note(&["InferenceHighErrorRate"], &[])),
        bell("budget", Fault::SomeTexts, SOME_FAIL, availability, page(&["InferenceErrorBudgetBurn"], &[])),
        bell("down", Fault::WeightsGone, Mix::SOME, plain, Expected { notes: &["InferenceModelLoadFailed"], ..down }),
        bell("hangs", Fault::Hangs, Mix::SOME, two_with_every_alert, note(hangs, ends)),
        bell("crashes", Fault::Killed, Mix::SOME, two, looping),
    ]
}

/// What arises around it: on the node, in the specification, at the hub.
fn of_the_cluster() -> Vec<Bell> {
    let late = note(&["InferenceHighLatency"], &["InferenceWorkerDown"]);
    let no_image = note(&["InferenceImagePullFailing", "InferenceRolloutStuck"], &[]);
    let loading = note(&["InferenceModelNotLoaded", "InferenceModelLoadSlow"], &["InferenceModelLoadFailed"]);
    vec![
        bell("slow", Fault::Starved(10), MIDDLE, latency, page(&["InferenceLatencyBudgetBurn"], &[])),
        bell("late", Fault::Starved(4), LONG, plain, late),
        bell("throttled", Fault::Starved(10), every(100), every_alert, note(&["InferenceWorkerThrottled"], &[])),
        bell("memory", Fault::MemoryTight, Mix::SOME, plain, note(&["InferenceMemoryNearLimit"], &[])),
        bell("no-image", Fault::ImageGone, Mix::SOME, impatient, no_image),
        bell("no-node", Fault::NoNode, Mix::SOME, plain, note(&["InferenceWorkerUnschedulable"], &[])),
        bell("loading", Fault::HubSilent, Mix::NONE, short_start, loading),
    ]
}

/// What its callers do.
fn of_the_callers() -> Vec<Bell> {
    let flood = page(&["InferenceRequestsRejected"], &["InferenceQueueSaturated", "InferenceHighLatency"]);
    let connections = page(&["InferenceConnectionsSaturated"], &[]);
    vec![
        bell("flood", Fault::Flood, Mix::SOME, small_queue, flood),
        bell("connections", Fault::Connections, Mix::SOME, few_connections, connections),
    ]
}

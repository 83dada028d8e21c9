//! The live status: a snapshot of the worker, and the feed that sends one to every viewer.

pub mod feed;
mod gpus;
mod process;

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use belfry_crds::contract::metrics as contract;
use belfry_crds::contract::status::{Distribution, Model, ModelConfig, Sample, Server, Snapshot};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use crate::engine::Output;
use crate::metrics::unix;
use crate::state::App;

/// The worker at this moment. Nothing here waits for the model: it reads counters, and `/proc`.
pub fn snapshot(app: &App) -> Snapshot {
    let (now, identity) = (Instant::now(), process::identity());
    app.measure();
    let families = app.metrics.families();
    let (elapsed, gauges) = (app.lifecycle.elapsed(now), samples(&families, MetricType::GAUGE));
    let memory_limit = gauges.get(contract::CONTAINER_MEMORY_LIMIT.name).and_then(|series| series.first());
    let memory_limit = memory_limit.map(|sample| sample.value as u64);
    let mut snapshot = Snapshot {
        timestamp: unix(SystemTime::now()),
        gpu: gpus::type_of_first(&app.metrics.gpus),
        loaded_models: Vec::new(),
        server: Server {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: elapsed.as_secs(),
            user: identity.user.clone(),
            working_dir: identity.folder.clone(),
            pid: std::process::id(),
        },
        gpus: gpus::all(&app.metrics.gpus, now),
        models: Vec::new(),
        counters: samples(&families, MetricType::COUNTER),
        histograms: distributions(&families),
        gauges,
        ready: app.lifecycle.state() == crate::lifecycle::State::Ready,
        name: identity.host.clone(),
        elapsed_seconds: elapsed.as_secs_f64(),
        process: process::uses(memory_limit),
        viewers: app.feed.viewers(),
    };
    let model = model(app, snapshot.sum(&contract::MODEL_MEMORY, |_| true) as u64);
    if model.device.is_some() && app.lifecycle.state().answers() {
        snapshot.loaded_models.push(model.name.clone());
    }
    snapshot.models.push(model);
    snapshot
}

/// The same as JSON. It fails only if a map of ours had other keys than texts.
pub fn encoded(app: &App) -> Result<String, serde_json::Error> {
    serde_json::to_string(&snapshot(app))
}

fn model(app: &App, memory: u64) -> Model {
    let (depth, loaded) = (app.inbox.depth() as u64, app.model());
    let config = ModelConfig {
        hf_id: app.hf_repo.clone(),
        adapter: loaded.map(|model| model.about.architecture.clone()),
        inputs: vec!["text".to_owned()],
        outputs: loaded.map(|model| model.outputs.iter().map(word).map(str::to_owned).collect()).unwrap_or_default(),
    };
    Model {
        name: app.name.clone(),
        state: app.lifecycle.state().label().to_owned(),
        device: loaded.map(|model| match model.about.device.as_str() {
            "cuda" => "cuda:0".to_owned(),
            other => other.to_owned(),
        }),
        memory_bytes: memory,
        queue_depth: depth,
        queue_pending_items: depth,
        config,
    }
}

/// The word of SIE's clients for an output, which is that of `output_types` in `/v1/encode`.
fn word(output: Output) -> &'static str {
    match output {
        Output::MultiVector => "multivector",
        other => other.name(),
    }
}

/// Counters or gauges. Of counters only series that have counted: most pairs of status and reason never happen.
fn samples(families: &[MetricFamily], kind: MetricType) -> BTreeMap<String, Vec<Sample>> {
    let is_counter = kind == MetricType::COUNTER;
    let sample = |metric: &Metric| {
        let value = if is_counter { metric.get_counter().get_value() } else { metric.get_gauge().get_value() };
        (!is_counter || value > 0.0).then(|| Sample { labels: labels(metric.get_label()), value })
    };
    let families = families.iter().filter(|family| family.get_field_type() == kind);
    families.map(|family| (family.name().to_owned(), family.get_metric().iter().filter_map(sample).collect())).collect()
}

fn distributions(families: &[MetricFamily]) -> BTreeMap<String, Vec<Distribution>> {
    let one = |metric: &Metric| {
        let histogram = metric.get_histogram();
        // Where a metric has the bucket without a bound, it holds what `count` says.
        let buckets = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let (bounds, cumulative) = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).unzip();
        let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
        Distribution { labels: labels(metric.get_label()), bounds, cumulative, count, sum }
    };
    let families = families.iter().filter(|family| family.get_field_type() == MetricType::HISTOGRAM);
    families.map(|family| (family.name().to_owned(), family.get_metric().iter().map(one).collect())).collect()
}

fn labels(pairs: &[LabelPair]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect()
}

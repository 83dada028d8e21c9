//! The benchmark of the operator: what many models cost, beside what they cost a client that does nothing but send.
//!
//! Each side gets a new control plane without a node: etcd, API server and controller manager, with their default limits.
//! Pods are created and stay pending, by both sides alike. The reference is a plain client with the operator's rights
//! that creates the models, and then applies the same bodies with the same verb, and one status for each model. It
//! reads nothing, so that its time is the API server's. The operator runs as a process of its own,
//! from its release build, and finds out everything by itself. What it asked for is read from the audit log.

pub mod measurement;
pub mod process;

mod burst;
mod change;
mod log;
mod plain;
mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use burst::{Cost, Load};
use cluster::BenchCluster;
use log::{Log, LoggedCall, by_kind};
use measurement::{Bound, Measurement, percentile};
use process::{MeasuredOperator, Program};

use crate::{UNSCALED, report, secs};

/// How often an edit is made.
const EDITS: usize = 50;

/// How often a child is deleted.
const DELETIONS: usize = 20;

/// Who renews its Lease says that it is alive; that is no work of a model's.
const HEARTBEAT: &str = "leases";

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The operator's executable and arguments.
    pub operator: Program,
    /// The sample of `config/samples` that all models are made from.
    pub sample: String,
    /// Models, for one measurement each.
    pub models: Vec<usize>,
    /// Requests of the plain client at once; `None` tries what is fastest here.
    pub at_once: Option<usize>,
}

/// Measures everything, one size after the other.
pub async fn run(options: &Options) -> Result<Vec<Measurement>> {
    let at_once = match options.at_once {
        Some(at_once) => at_once,
        None => best_concurrency(options).await?,
    };
    let mut measurements = vec![];
    for &models in &options.models {
        ensure!(models > 0, "no models to measure with");
        let load = Load { sample: options.sample.clone(), models, at_once };
        let mut of_size = one_size(&options.operator, &load).await?;
        of_size.insert(0, Measurement::reference(models, "requests at once", "requests", count(at_once)));
        measurements.append(&mut of_size);
    }
    Ok(measurements)
}

async fn best_concurrency(options: &Options) -> Result<usize> {
    let smallest = options.models.iter().copied().min().unwrap_or_default();
    let (at_once, tried) = cluster::best_concurrency(&options.sample, smallest.clamp(10, 60)).await?;
    for (at_once, time) in &tried {
        report(&format!("plain client, {at_once} requests at once: {:.2} s", time.as_secs_f64()));
    }
    Ok(at_once)
}

async fn one_size(program: &Program, load: &Load) -> Result<Vec<Measurement>> {
    let models = load.models;
    let plain = burst::by_plain_client(load).await?;
    report(&format!("{models} models by the plain client: {:.2} s", plain.seconds));

    let cluster = BenchCluster::new("operator", &load.sample, models).await?;
    let mut log = Log::follow(cluster.control_plane.audit_log(), &BenchCluster::user())?;
    let mut operator = MeasuredOperator::start(program, &cluster.operator_kubeconfig())?;
    operator.until_ready(secs(30)).await?;
    log.until_silent(secs(3), secs(30)).await?;
    let bench = Bench { cluster, load, idle_memory: operator.memory("VmRSS")? };

    let mut measurements = bench.burst(&operator, &mut log, plain).await?;
    measurements.extend(bench.rest(&operator, &mut log).await?);
    measurements.extend(bench.changes(&mut log).await?);
    measurements.extend(bench.restart(program, operator, &mut log).await?);
    Ok(measurements)
}

/// One size on one cluster.
struct Bench<'a> {
    cluster: BenchCluster,
    load: &'a Load,
    /// Of the operator without models, in MB.
    idle_memory: f64,
}

impl Bench<'_> {
    async fn burst(&self, operator: &MeasuredOperator, log: &mut Log, plain: Cost) -> Result<Vec<Measurement>> {
        let models = self.load.models;
        let before = operator.cpu_seconds()?;
        let (ours, mut calls) = burst::by_operator(self.load, &self.cluster, log).await?;
        let cpu = operator.cpu_seconds()? - before;
        report(&format!("{models} models by the operator: {:.2} s", ours.seconds));
        let in_passes = operator.seconds_in_passes().await?;
        let passes = operator.passes().await?;
        let peak = operator.memory("VmHWM")?;
        self.cluster.hurry_controllers()?;
        self.cluster.until_every_pod_is_made(models).await?;
        calls.extend(self.until_silent(log).await?);

        let by_model = |count: usize| count as f64 / models as f64;
        let writes = calls.iter().filter(|call| call.is_write() && call.what != HEARTBEAT).count();
        let plain_writes = UNSCALED.len() + 1;
        let is_judged = models >= 1000;
        let mut measurements = vec![
            Measurement::ours(models, "first model created to last child and status", "s", ours.seconds)
                .beside(plain.seconds)
                .should_if(is_judged, Bound::TimesReference(1.25)),
            Measurement::ours(models, "CPU of the API server in the burst", "s", ours.api_server)
                .beside(plain.api_server),
            Measurement::ours(models, "CPU of the operator in the burst", "s", cpu),
            Measurement::ours(models, "passes of the operator in the burst", "passes", passes),
            Measurement::ours(models, "time of a pass in the burst, mean", "ms", in_passes / passes * 1000.0),
            Measurement::ours(models, "writes for a new model, until silence", "requests", by_model(writes))
                .beside(count(plain_writes))
                .should(Bound::AtMost(12.0)),
            Measurement::ours(
                models,
                "requests but watches for a new model, until silence",
                "requests",
                by_model(calls.len()),
            )
            .beside(count(plain_writes)),
        ];
        for (kind, requests) in by_kind(&calls) {
            measurements.push(Measurement::ours(models, format!("· {kind}"), "requests", by_model(requests)));
        }
        measurements.extend([
            Measurement::ours(models, "RSS without models", "MB", self.idle_memory).should(Bound::AtMost(25.0)),
            Measurement::ours(models, "RSS at its highest in the burst", "MB", peak),
        ]);
        Ok(measurements)
    }

    async fn rest(&self, operator: &MeasuredOperator, log: &mut Log) -> Result<Vec<Measurement>> {
        let models = self.load.models;
        let window = if models >= 1000 { secs(30) } else { secs(10) };
        let before = operator.cpu_seconds()?;
        let calls = log.during(window).await?;
        let cpu = (operator.cpu_seconds()? - before) / window.as_secs_f64() * 100.0;
        let heartbeats = calls.iter().filter(|call| call.what == HEARTBEAT).count();
        let writes = calls.iter().filter(|call| call.is_write() && call.what != HEARTBEAT).count();
        let memory = operator.memory("VmRSS")?;
        let growth = (memory - self.idle_memory) / models as f64 * 1000.0;
        let measurement = |what: &str, unit, value| {
            Measurement::ours(models, format!("{what} in {} s at rest", window.as_secs()), unit, value)
        };
        Ok(vec![
            measurement("writes", "requests", count(writes)).should(Bound::Exactly(0.0)),
            measurement("reads but watches", "requests", count(calls.len() - writes - heartbeats))
                .should(Bound::Exactly(0.0)),
            measurement("requests about the leader's Lease", "requests", count(heartbeats)),
            measurement("CPU of the operator", "% of a core", cpu),
            Measurement::ours(models, "RSS at rest", "MB", memory),
            Measurement::ours(models, "RSS for each 1,000 models", "MB", growth)
                .should_if(models >= 1000, Bound::AtMost(15.0)),
        ])
    }

    async fn changes(&self, log: &mut Log) -> Result<Vec<Measurement>> {
        let models = self.load.models;
        let milliseconds = |seconds: &[f64], percent| percentile(seconds, percent) * 1000.0;
        log.look()?;
        let edits = change::edits(&self.cluster.admin, models, EDITS).await?;
        let calls = self.until_silent(log).await?;
        let of = |is_it: &dyn Fn(&&LoggedCall) -> bool| calls.iter().filter(is_it).count() as f64 / EDITS as f64;
        let is_status = |call: &&LoggedCall| matches!(call.what.as_str(), "inferencemodels/status" | "events");
        let mut measurements = vec![
            Measurement::ours(models, "edit to applied, p50", "ms", milliseconds(&edits, 50)),
            Measurement::ours(models, "edit to applied, p99", "ms", milliseconds(&edits, 99))
                .should(Bound::AtMost(500.0)),
            Measurement::ours(
                models,
                "writes of children for an edit",
                "requests",
                of(&|call| call.is_write() && call.what != HEARTBEAT && !is_status(call)),
            )
            .should(Bound::Exactly(1.0)),
            Measurement::ours(
                models,
                "writes of status that follow an edit",
                "requests",
                of(&|call| call.is_write() && is_status(call)),
            ),
            Measurement::ours(models, "reads but watches for an edit", "requests", of(&|call| !call.is_write())),
        ];
        let deletions = change::deletions(&self.cluster.admin, models, DELETIONS).await?;
        self.until_silent(log).await?;
        measurements.extend([
            Measurement::ours(models, "deleted child back, p50", "ms", milliseconds(&deletions, 50)),
            Measurement::ours(models, "deleted child back, p99", "ms", milliseconds(&deletions, 99))
                .should(Bound::AtMost(2000.0)),
        ]);
        Ok(measurements)
    }

    async fn restart(&self, program: &Program, operator: MeasuredOperator, log: &mut Log) -> Result<Vec<Measurement>> {
        let models = self.load.models;
        let stopped = operator.stop().await?;
        log.look()?;
        let mut operator = MeasuredOperator::start(program, &self.cluster.operator_kubeconfig())?;
        operator.until_ready(secs(300)).await?;
        let ready = operator.begun.elapsed();
        let processed = until_processed(&operator, models).await?;
        let calls = self.until_silent(log).await?;
        let writes = calls.iter().filter(|call| call.is_write() && call.what != HEARTBEAT).count();
        let reads = calls.iter().filter(|call| !call.is_write()).count();
        let is_judged = models == 1000;
        Ok(vec![
            Measurement::ours(models, "stop", "s", stopped.as_secs_f64()),
            Measurement::ours(models, "warm restart, until ready", "s", ready.as_secs_f64()),
            Measurement::ours(models, "warm restart, until every model was seen to", "s", processed.as_secs_f64())
                .should_if(is_judged, Bound::AtMost(5.0)),
            Measurement::ours(models, "writes in a warm restart", "requests", count(writes))
                .should(Bound::Exactly(0.0)),
            Measurement::ours(models, "reads in a warm restart", "requests", count(reads)),
            Measurement::ours(models, "CPU of the operator in a warm restart", "s", operator.cpu_seconds()?),
            Measurement::ours(models, "RSS after a warm restart", "MB", operator.memory("VmRSS")?),
        ])
    }

    /// What the operator asked for until it had nothing more to do.
    async fn until_silent(&self, log: &mut Log) -> Result<Vec<LoggedCall>> {
        log.until_silent(secs(5), secs(120) + Duration::from_millis(200) * u32::try_from(self.load.models)?).await
    }
}

/// Waits until the operator has seen to every model. A look computes the series of all models, so that the pause
/// between two looks grows with their cost.
async fn until_processed(operator: &MeasuredOperator, models: usize) -> Result<Duration> {
    loop {
        let begun = Instant::now();
        if operator.passes().await? >= count(models) {
            return Ok(operator.begun.elapsed());
        }
        ensure!(operator.begun.elapsed() < secs(600), "the operator has not seen to every model within 600 s");
        tokio::time::sleep(begun.elapsed().max(Duration::from_millis(50))).await;
    }
}

fn count(requests: usize) -> f64 {
    requests as f64
}

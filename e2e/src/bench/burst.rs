//! Many new models at once: by the plain client, and by the operator.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;

use super::cluster::BenchCluster;
use super::log::{Log, LoggedCall};
use super::plain;
use crate::{UNSCALED, wait};

/// What a burst cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// From the first request for a model until every child and every status was written, in seconds.
    pub(super) seconds: f64,
    /// Processor time of the API server, in seconds.
    pub(super) api_server: f64,
}

/// Models, and how they come.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// The sample that they are made from.
    pub(super) sample: String,
    /// How many.
    pub(super) models: usize,
    /// Requests at once.
    pub(super) at_once: usize,
}

/// The plain client: the models, then their children and their statuses. The bodies are made in between, off the
/// clock.
pub(super) async fn by_plain_client(load: &Load) -> Result<Cost> {
    let cluster = BenchCluster::new("plain", &load.sample, load.models).await?;
    let models = plain::models(&load.sample, plain::namespace, load.models)?;
    let (before, begun) = (cluster.api_server_seconds()?, Instant::now());
    let created = plain::create(&cluster.admin, models, load.at_once).await?;
    let owners = begun.elapsed();
    let requests = plain::requests(&created)?;
    let children = plain::send(&cluster.as_operator, requests, load.at_once).await?;
    let cost = Cost { seconds: (owners + children).as_secs_f64(), api_server: cluster.api_server_seconds()? - before };
    everything_exists(&cluster, load.models).await?;
    Ok(cost)
}

/// The operator, while a client creates the models. Returns what the operator asked for, too.
pub(super) async fn by_operator(load: &Load, cluster: &BenchCluster, log: &mut Log) -> Result<(Cost, Vec<LoggedCall>)> {
    let models = plain::models(&load.sample, plain::namespace, load.models)?;
    let before = cluster.api_server_seconds()?;
    let begun = Timestamp::now();
    let limit = Duration::from_secs(60 + u64::try_from(load.models)? / 3);
    plain::create(&cluster.admin, models, load.at_once).await?;
    let (mut calls, mut seen) = (vec![], Seen::default());
    let finished = wait::until("every child of every model, and its status", limit, async || {
        let new = log.look()?;
        seen.add(&new);
        calls.extend(new);
        let (children, statuses) = (load.models * UNSCALED.len(), load.models);
        ensure!(seen.children.len() == children, "{} of {children} children", seen.children.len());
        ensure!(seen.statuses.len() == statuses, "{} of {statuses} statuses", seen.statuses.len());
        seen.last.context("nothing was written")
    })
    .await?;
    let api_server = cluster.api_server_seconds()? - before;
    everything_exists(cluster, load.models).await?;
    Ok((Cost { seconds: finished.duration_since(begun).as_secs_f64(), api_server }, calls))
}

/// What the operator has written, by the log.
#[derive(Default)]
struct Seen {
    children: BTreeSet<(String, String)>,
    statuses: BTreeSet<String>,
    last: Option<Timestamp>,
}

impl Seen {
    /// The first time of each object counts.
    fn add(&mut self, calls: &[LoggedCall]) {
        for call in calls.iter().filter(|call| call.is_write()) {
            let is_new = match call.what.as_str() {
                "events" => false,
                "inferencemodels/status" => call.code < 300 && self.statuses.insert(call.name.clone()),
                _ => call.has_created() && self.children.insert((call.what.clone(), call.name.clone())),
            };
            if is_new {
                self.last = self.last.max(Some(call.answered));
            }
        }
    }
}

/// As many children of each kind as there are models, and none besides. Asked as an administrator, off the clock.
async fn everything_exists(cluster: &BenchCluster, models: usize) -> Result<()> {
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=belfry-operator");
    for kind in UNSCALED {
        let api: Api<DynamicObject> = Api::all_with(cluster.admin.clone(), &kind.api_resource());
        let found = api.list_metadata(&ours).await?.items.len();
        ensure!(found == models, "{found} objects of kind {}, and not {models}", kind.as_str());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(verb: &str, what: &str, code: u16, second: i64) -> LoggedCall {
        let answered = Timestamp::from_second(second).unwrap();
        LoggedCall { verb: verb.into(), what: what.into(), name: "m".into(), code, answered }
    }

    #[test]
    fn the_time_ends_with_the_last_new_child_or_first_status() {
        let mut seen = Seen::default();
        seen.add(&[
            call("patch", "deployments", 201, 1),
            call("patch", "services", 409, 2),
            call("patch", "inferencemodels/status", 200, 3),
            call("patch", "inferencemodels/status", 200, 4),
            call("patch", "deployments", 200, 5),
            call("create", "events", 201, 6),
            call("get", "services", 404, 7),
        ]);
        assert_eq!((seen.children.len(), seen.statuses.len()), (1, 1));
        assert_eq!(seen.last, Some(Timestamp::from_second(3).unwrap()));
    }
}

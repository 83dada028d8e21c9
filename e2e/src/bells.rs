//! The bench of the bells: real faults in real pods, and what a person hears of them.
//!
//! Every model serves in a pod of the local cluster, with rules and routes as the installed operator wrote them, and is asked by callers through its
//! Service. A fault is caused where it would arise: in the worker's memory, in its process, in its control group, in its files, in its
//! specification, or by its callers. A Prometheus and an Alertmanager run with what the Prometheus Operator has made of the operator's
//! objects, in compressed time, and a webhook keeps the messages.

pub mod bell;
pub mod callers;
pub mod compress;
pub mod incident;
pub mod report;

mod cause;
mod damage;
mod monitoring;
mod starve;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use futures::future::{Either, select, try_join_all};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use bell::{Bell, Fault};
use callers::Callers;
use cause::Scene;
use compress::Factor;
use incident::{Expected, Incident, Message, messages};
use monitoring::{AlertOf, Monitoring, Settings};
use report::Played;

use crate::bench::measurement::Measurement;
use crate::chaos::dice::Dice;
use crate::pager::{NOT_KEPT, Pager};
use crate::{Namespace, report, sample, secs, wait};

/// Bound of the wait for messages, in the rules' own time.
const LIMIT: Duration = secs(60 * 60);

/// How long a fault goes on after its alerts came, and how long all is well before it, in the rules' own time.
const SETTLE: Duration = secs(150);

/// What to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds; every fault is played once for each.
    pub seeds: Vec<u64>,
    /// By how much time is compressed.
    pub factor: Factor,
    /// Names of the models to play; all where there is none.
    pub only: Vec<String>,
    /// Folder for Prometheus and Alertmanager.
    pub folder: PathBuf,
}

/// Plays the faults in a namespace of its own.
pub async fn run(namespace: &Namespace, options: &Options) -> Result<Vec<Measurement>> {
    let bells: Vec<_> = bell::bells().into_iter().filter(|bell| options.wants(bell.name)).collect();
    ensure!(!bells.is_empty(), "no such bell: {:?}", options.only);
    let pager = Pager::start().await?;
    let scenes = Box::pin(scenes(namespace, bells, &pager, options)).await?;
    let settings = Settings {
        factor: options.factor,
        folder: options.folder.clone(),
        pager: format!("http://127.0.0.1:{}/", pager.server.port),
    };
    let mut monitoring = Monitoring::start(namespace.cluster.clone(), settings).await?;
    all_watched(&monitoring, namespace, scenes.len()).await?;
    let waits = monitoring.waits()?;
    let play = play_all(&scenes, &pager, options, &waits);
    match select(Box::pin(play), Box::pin(monitoring.follow())).await {
        Either::Left((played, _)) => played,
        Either::Right((ended, _)) => ended.and(Err(anyhow::anyhow!("the monitoring ended"))),
    }
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// A stretch of the rules' own time.
    fn compressed(&self, time: Duration) -> Duration {
        time / self.factor.0
    }
}

/// Applies every model, and waits until it serves.
async fn scenes<'a>(ns: &'a Namespace, bells: Vec<Bell>, pager: &Pager, options: &Options) -> Result<Vec<Scene<'a>>> {
    let node = ns.cluster.node_address().await?;
    let address = format!("http://{node}:{}{NOT_KEPT}", pager.server.port);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "paging"}, "stringData": {"address": address},
    });
    ns.apply::<Secret>(&secret).await?;
    let volume = ns.volume().await?;
    let mut applied = vec![];
    for bell in bells {
        let (folder, model) = (volume.add(bell.name)?, model(&bell)?);
        let served = ns.serve(&serde_json::from_value::<InferenceModel>(model.clone())?).await?;
        applied.push((bell, folder, model, served));
    }
    let mut scenes = vec![];
    for (bell, folder, applied, served) in applied {
        served.until_serving().await?;
        let service = Api::<Service>::namespaced(ns.cluster.client.clone(), &ns.name).get(bell.name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("a Service without an address")?;
        let address = format!("{address}:80");
        let callers = Callers::new(&address, options.seeds.first().copied().unwrap_or_default(), bell.name);
        scenes.push(Scene { bell, served, applied, folder, callers, address, node: node.clone() });
    }
    Ok(scenes)
}

/// The first sample, small, with a folder and a pager of its own.
fn model(bell: &Bell) -> Result<Value> {
    let mut model = serde_json::to_value(sample("minilm")?)?;
    model["metadata"]["name"] = json!(bell.name);
    let spec = &mut model["spec"];
    spec["model"]["source"]["pvc"]["path"] = json!(bell.name);
    spec["resources"] = json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}});
    // As in the file of weights, so that a row is found in memory.
    spec["runtime"] = json!({"device": "cpu", "dtype": "float32"});
    spec["observability"] = json!({
        "monitor": {"labels": {"release": "monitoring"}},
        "alertmanager": {
            "labels": {"release": "monitoring"},
            "receivers": [{"name": "pager", "webhook": {"urlSecretRef": {"name": "paging", "key": "address"}}}],
        },
    });
    (bell.spec)(spec);
    Ok(model)
}

/// Waits until every model's rules are evaluated, its workers scraped and its readiness known.
async fn all_watched(monitoring: &Monitoring, ns: &Namespace, models: usize) -> Result<()> {
    wait::until("every model is watched", secs(240), async || {
        for series in ["up == 1", r#"belfry_model_replicas{state="ready"} > 0"#, "inference:requests:increase10m"] {
            let of_models = format!(
                r#"count(count by (model) ({series} and on (namespace, model) {{__name__="up",namespace="{}"}}))"#,
                ns.name
            );
            let seen = monitoring.prometheus.query(&of_models).await?;
            let seen = seen.first().and_then(|one| one["value"][1].as_str()).unwrap_or("0").to_owned();
            ensure!(seen == models.to_string(), "{series} for {seen} of {models} models");
        }
        Ok(())
    })
    .await
}

async fn play_all(
    scenes: &[Scene<'_>],
    pager: &Pager,
    options: &Options,
    waits: &BTreeMap<AlertOf, f64>,
) -> Result<Vec<Measurement>> {
    for scene in scenes {
        scene.callers.ask(scene.bell.mix);
    }
    let (healthy, faults): (Vec<_>, Vec<_>) = scenes.iter().partition(|scene| scene.bell.fault == Fault::None);
    let mut played = vec![];
    for seed in &options.seeds {
        let of_seed = faults.iter().map(|scene| play(scene, pager, *seed, options));
        played.extend(try_join_all(of_seed).await?);
    }
    for scene in scenes {
        report(&format!("{}: {:?}", scene.bell.name, scene.callers.tally()));
    }
    let heard = healthy.iter().flat_map(|scene| messages(&pager.deliveries(), scene.bell.name));
    let wrong: Vec<_> = heard.flat_map(|message| message.firing).collect();
    if !wrong.is_empty() {
        report(&format!("about healthy models: {wrong:?}"));
    }
    let wait = |bell: &str, alert: &str, is_urgent| waits.get(&(bell.to_owned(), alert.to_owned(), is_urgent)).copied();
    Ok(report::measurements(&played, &wrong, wait, scenes.len(), options.factor))
}

/// Plays one fault once: all is well, the fault, its messages, the end, and quiet.
async fn play(scene: &Scene<'_>, pager: &Pager, seed: u64, options: &Options) -> Result<Played> {
    let name = scene.bell.name;
    let (settle, limit) = (options.compressed(SETTLE), options.compressed(LIMIT));
    let (heard, expected) = (|| messages(&pager.deliveries(), name), &scene.bell.expected);
    // Faults begin at different times in each run.
    let pause = settle * u32::try_from(100 + Dice::named(seed, name).below(100))? / 100;
    tokio::time::sleep(pause).await;
    ensure!(expected.is_over(&heard()), "{name}: something rings before the fault: {:?}", heard().last());
    let ((begins, begun), (end, over)) = (oneshot::channel(), oneshot::channel());
    let watch = async {
        let fault = begun.await.context("it never began")?;
        drop(wait::until("its alerts", limit, async || all_came(&heard(), fault, expected)).await);
        tokio::time::sleep(settle).await;
        let mended = Instant::now();
        // The fault waits for nothing else.
        let _ = end.send(());
        let quiet = wait::until("quiet", limit, async || expected.is_over(&heard()).then_some(()).context("it rings"));
        drop(quiet.await);
        scene.served.until_serving().await?;
        Ok((fault, mended))
    };
    let ((fault, mended), ()) = tokio::try_join!(watch, async {
        scene.cause(begins, over).await.with_context(|| format!("{name}: {:?}", scene.bell.fault))
    })?;
    let incident = Incident::of(expected, &heard(), fault, mended);
    say(name, seed, &incident);
    Ok(Played { bell: name, incident })
}

fn all_came(messages: &[Message], fault: Instant, expected: &Expected) -> Result<()> {
    let heard = Incident::of(expected, messages, fault, fault).heard;
    let missing: Vec<_> = heard.into_iter().filter(|(_, heard)| heard.is_none()).map(|(alert, _)| alert).collect();
    ensure!(missing.is_empty(), "{missing:?} have not come");
    Ok(())
}

fn say(name: &str, seed: u64, incident: &Incident) {
    let seconds =
        |time: &Option<Duration>| time.map_or_else(|| "NOT".into(), |time| format!("{:.1} s", time.as_secs_f64()));
    let heard: Vec<_> = incident.heard.iter().map(|(alert, time)| format!("{alert} {}", seconds(time))).collect();
    let wrong = if incident.wrong.is_empty() { String::new() } else { format!(", WRONG {:?}", incident.wrong) };
    report(&format!(
        "{name}, seed {seed}: {}; {} of {} pages, quiet {}{wrong}",
        heard.join(", "),
        incident.pages,
        incident.expected.wakes(),
        seconds(&incident.quiet)
    ));
}

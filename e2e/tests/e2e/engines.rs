//! Other engines as they are: their own servers in pods, under our arguments, probes, mappings and rules.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::inference_model::EngineType;
use belfry_e2e::embed::cosine;
use belfry_e2e::exposition::Exposition;
use belfry_e2e::{
    Answer, Cluster, Namespace, Served, TestResult, in_namespace, operator, prometheus, sample, secs, wait,
};
use belfry_render::engine::{coverage, profile};
use belfry_render::monitoring;
use futures::future::join_all;
use kube::ResourceExt;
use promql_parser::parser::{self, VectorSelector};
use serde_json::{Value, json};

#[tokio::test]
async fn llama_cpp_embeds_and_ranks_and_exports_what_is_read_of_it() -> TestResult {
    in_namespace("llama-cpp", async |ns| {
        let models = ns.cluster.model_dir.with_file_name("all-MiniLM-L6-v2-gguf");
        ns.volume().await?.add_from(&models, "gguf")?;
        let engine = json!({"type": "LlamaCpp", "image": image(&ns.cluster, "llama-cpp")?});
        let [embedding, rerank] = [("embedding", "Embedding"), ("rerank", "Rerank")]
            .map(|(name, task)| described(name, task, &format!("gguf/{name}.gguf"), &engine));
        let (embedding, rerank) = (ns.serve(&embedding?).await?, ns.serve(&rerank?).await?);
        for model in [&embedding, &rerank] {
            model.until_serving().await?;
        }
        let vectors = embedding.embed(&[CAT, KITTEN, BANK]).await?;
        let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
        ensure!(near > 0.5 && far < 0.2, "cosine of similar sentences {near:.3}, of unlike ones {far:.3}");
        let scores = rerank.post("/v1/rerank", &json!({"query": CAT, "documents": [KITTEN, BANK]})).await?;
        let scores = scores.ok()?.json()?;
        ensure!(scores["results"].as_array().is_some_and(|scores| scores.len() == 2), "{scores}");

        let recorded = include_str!("../../../render/tests/engines/llamacpp.txt");
        for model in [&embedding, &rerank] {
            exposes_what_was_recorded(model, EngineType::LlamaCpp, recorded).await?;
            prometheus_has_all_that_is_read_of_it(model).await?;
            let tokens = value(&ns.cluster, &format!("inference_tokens_total{{{}}}", of(model))).await?;
            ensure!(tokens >= 20.0, "{}: {tokens} tokens after a request", model.name);
        }
        rings_for_nothing(ns).await
    })
    .await
}

/// `docs/engines.md` says what of this Triton counts.
#[tokio::test]
async fn triton_answers_and_counts_what_we_say_that_it_counts() -> TestResult {
    in_namespace("triton", async |ns| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/repository");
        ns.volume().await?.add_from(&repository, "repository")?;
        let engine = json!({"type": "Triton", "image": image(&ns.cluster, "triton")?});
        let model = ns.serve(&described("letters", "Embedding", "repository", &engine)?).await?;
        model.until_serving().await?;
        model.until_scraped(1).await?;

        let vector = ask(&model, "Abba").await?.ok()?.json()?["outputs"][0]["data"].take();
        let vector: Vec<f32> = serde_json::from_value(vector)?;
        ensure!(vector.len() == 26 && vector[..3] == [2.0, 2.0, 0.0], "{vector:?}");
        let statuses = [ask(&model, "raise").await?.status, ask(&model, "refuse").await?.status];
        ensure!(statuses == [500, 500], "statuses {statuses:?} of failures");
        // One is in the model, two wait for more than 200 ms, and the rest find the queue full.
        let crowd = join_all((0..6).map(|_| ask(&model, "wait"))).await.into_iter().collect::<Result<Vec<_>>>()?;
        let refused = crowd.iter().filter(|answer| answer.status == 503).count();
        let late = crowd.iter().filter(|answer| answer.body.contains("timeout expired")).count();
        ensure!(refused > late && late > 0, "{crowd:?}");

        exposes_what_was_recorded(&model, EngineType::Triton, include_str!("../../../render/tests/engines/triton.txt"))
            .await?;
        prometheus_has_all_that_is_read_of_it(&model).await?;
        let answered = (7 - refused) as f64;
        for (labels, wanted) in [
            (r#"status="200""#, answered + 1.0),
            (r#"reason="inference_failed""#, 1.0),
            (r#"reason="deadline_exceeded""#, late as f64),
        ] {
            let series = format!("inference_requests_total{{{}{labels}}}", of(&model));
            wait::until(&series, secs(30), async || {
                let found = value(&ns.cluster, &series).await?;
                ensure!((found - wanted).abs() < 0.5, "{found}, and not {wanted}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

async fn ask(model: &Served<'_>, text: &str) -> Result<Answer> {
    let input = json!({"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]});
    model.post("/v2/models/letters/infer", &json!({"inputs": [input]})).await
}

const CAT: &str = "A cat sits on the mat.";
const KITTEN: &str = "A kitten is sitting on a rug.";
const BANK: &str = "The central bank raised interest rates.";

/// The image that `e2e/engines/images.sh` built.
fn image(cluster: &Cluster, engine: &str) -> Result<String> {
    let path = cluster.state.join("images").join(format!("{engine}.name"));
    let name = std::fs::read_to_string(&path);
    Ok(name.with_context(|| format!("{} can't be read: run make engine-images", path.display()))?.trim().to_owned())
}

fn described(name: &str, task: &str, path: &str, engine: &Value) -> Result<InferenceModel> {
    // What the local Prometheus selects by.
    let monitor = sample("minilm")?.spec.observability.context("a sample without monitoring")?.monitor;
    Ok(serde_json::from_value(json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel", "metadata": {"name": name},
        "spec": {
            "task": task,
            "model": {"source": {"pvc": {"claimName": "models", "path": path}}},
            "engine": engine,
            "observability": {"monitor": monitor},
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        },
    }))?)
}

/// Names, types and labels, there and here. A rule that is tested against the recorded exposition is then right for the engine.
async fn exposes_what_was_recorded(model: &Served<'_>, engine: EngineType, recorded: &str) -> Result<()> {
    let (cluster, pod) = (&model.namespace.cluster, model.pod().await?.name_any());
    let port = profile(engine).metrics_port;
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/metrics", model.namespace.name);
    let (live, recorded) = (Exposition::read(&cluster.get(&path).await?.ok()?.body)?, Exposition::read(recorded)?);
    let (new, gone) = (live.beyond(&recorded), recorded.beyond(&live));
    ensure!(new.is_empty() && gone.is_empty(), "{engine:?} exposes {new:?} that was not recorded, and not {gone:?}");
    Ok(())
}

/// Every series of the engine that a rule or a panel reads: those of the engine, and those that are recorded from them.
async fn prometheus_has_all_that_is_read_of_it(model: &Served<'_>) -> Result<()> {
    model.until_scraped(1).await?;
    model.until_rules_loaded().await?;
    let cluster = &model.namespace.cluster;
    let valid = operator::valid(&model.get().await?, &operator::settings(cluster).await?)?;
    let rules = monitoring::rules(&valid).groups.into_iter().flat_map(|group| group.rules);
    let (records, alerts): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.record.is_some());
    let dashboard = monitoring::dashboard(&valid);
    let panels = dashboard["panels"].as_array().context("a dashboard without panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.filter_map(|target| target["expr"].as_str().map(str::to_owned));
    let mut read = BTreeSet::new();
    for expression in records.into_iter().chain(alerts).map(|rule| rule.expr).chain(queries) {
        // What Grafana puts in place of its variables.
        let variables =
            [("$__rate_interval", "1m"), ("$pod", ".*"), ("$ns", &model.namespace.name), ("$model", &model.name)];
        let tree =
            parser::parse(&variables.iter().fold(expression.clone(), |text, (name, value)| text.replace(name, value)));
        let tree = tree.map_err(anyhow::Error::msg).with_context(|| expression.clone())?;
        read.extend(coverage::selectors(&tree).into_iter().filter_map(of_engine));
    }
    let mapped = profile(engine_of(model).await?).mappings.len();
    ensure!(read.len() >= mapped, "{mapped} mappings, and only {read:?} are read");
    for selector in &read {
        wait::until(&format!("Prometheus has {selector}"), secs(30), async || {
            ensure!(!prometheus::query(cluster, selector).await?.is_empty(), "no such series");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn engine_of(model: &Served<'_>) -> Result<EngineType> {
    Ok(model.get().await?.spec.engine.context("a model without an engine")?.type_)
}

/// Shares that are recorded only where enough requests failed or were refused.
const SHARES: [&str; 2] = ["inference:failures:ratio", "inference:refused:ratio"];

/// The selector, without the time that it looks back, unless the operator or Prometheus itself makes the series, or it is there
/// only in a fault.
fn of_engine(selector: &VectorSelector) -> Option<String> {
    let name = selector.name.as_deref()?;
    let is_of_others = name.starts_with("belfry_") || ["ALERTS", "up"].contains(&name);
    (!is_of_others && !SHARES.contains(&name))
        .then(|| VectorSelector { offset: None, at: None, ..selector.clone() }.to_string())
}

/// Labels of the model, for a selector.
fn of(model: &Served<'_>) -> String {
    format!(r#"namespace="{}",model="{}","#, model.namespace.name, model.name)
}

async fn value(cluster: &Cluster, series: &str) -> Result<f64> {
    let found = prometheus::query(cluster, &format!("sum({series})")).await?;
    let Some(value) = found.first().and_then(|one| one["value"][1].as_str()) else { bail!("no {series}") };
    Ok(value.parse()?)
}

async fn rings_for_nothing(ns: &Namespace) -> Result<()> {
    let firing = prometheus::firing(&ns.cluster, &ns.name).await?;
    ensure!(firing.is_empty(), "firing: {firing:?}");
    Ok(())
}

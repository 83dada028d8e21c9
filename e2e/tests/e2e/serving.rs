//! From `kubectl apply` to answers, and from `kubectl delete` to nothing.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use belfry_e2e::embed::cosine;
use belfry_e2e::model::SERVING;
use belfry_e2e::{Namespace, Served, TestResult, UNSCALED, in_namespace, operator, report, sample, secs, wait};
use belfry_render::children::metadata::{HASH_ANNOTATION, MANAGER};
use http::{Request, header};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

#[tokio::test]
async fn a_model_is_ready_within_20_seconds_and_its_vectors_mean_something() -> TestResult {
    in_namespace("ready", async |ns| {
        ns.volume_with_model().await?;
        let begun = Instant::now();
        let model = ns.serve(&sample("minilm")?).await?;
        model.until(SERVING, secs(60)).await?;
        let took = begun.elapsed();
        report(&format!("apply to Ready took {:.1} s", took.as_secs_f64()));
        ensure!(took < secs(20), "apply to Ready took {:.1} s, and not under 20 s", took.as_secs_f64());
        similar_sentences_are_near(&model).await?;
        pods_run_restricted(ns, &model).await?;
        the_list_of_models_shows_that_it_serves(ns).await
    })
    .await
}

async fn similar_sentences_are_near(model: &Served<'_>) -> Result<()> {
    let vectors = model
        .embed(&["A cat sits on the mat.", "A kitten is sitting on a rug.", "The central bank raised interest rates."])
        .await?;
    let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
    report(&format!("cosine of similar sentences {near:.3}, of unlike ones {far:.3}"));
    ensure!(near > 0.5 && far < 0.2, "cosine of similar sentences {near:.3}, of unlike ones {far:.3}");
    Ok(())
}

/// The namespace enforces the level, so that a pod that exists was admitted by it.
async fn pods_run_restricted(ns: &Namespace, model: &Served<'_>) -> Result<()> {
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(ns.cluster.client.clone());
    let enforced = namespaces.get(&ns.name).await?.labels().get("pod-security.kubernetes.io/enforce").cloned();
    ensure!(enforced.as_deref() == Some("restricted"), "the namespace enforces {enforced:?}");
    let phase = model.pod().await?.status.and_then(|status| status.phase);
    ensure!(phase.as_deref() == Some("Running"), "the pod is {phase:?}");
    Ok(())
}

async fn the_list_of_models_shows_that_it_serves(ns: &Namespace) -> Result<()> {
    let request = Request::get(format!("/apis/belfry.dev/v1alpha1/namespaces/{}/inferencemodels", ns.name))
        .header(header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table = ns.cluster.send(request.body(vec![])?).await?.ok()?.json()?;
    let cell = |column: &str| -> Result<&Value> {
        let columns = table["columnDefinitions"].as_array().context("no columns")?;
        let index = columns.iter().position(|c| c["name"] == column).with_context(|| format!("no column {column}"))?;
        Ok(&table["rows"][0]["cells"][index])
    };
    for (column, expected) in
        [("Name", "minilm"), ("Task", "Embedding"), ("Ready", "True"), ("Reason", "Serving"), ("Loaded", "1/1")]
    {
        ensure!(*cell(column)? == *expected, "column {column} shows {}, and not {expected}", cell(column)?);
    }
    ensure!(*cell("Replicas")? == json!(1), "column Replicas shows {}", cell("Replicas")?);
    ensure!(*cell("Monitored")? == *"True", "column Monitored shows {}", cell("Monitored")?);
    Ok(())
}

/// Invariant 1.
#[tokio::test]
async fn what_is_rendered_is_what_is_applied() -> TestResult {
    in_namespace("render", async |ns| {
        let model = ns.serve_sample().await?.get().await?;
        let uid = model.uid().context("a model without a UID")?;
        let children = operator::render(&model, &operator::settings(&ns.cluster).await?)?;
        let rendered: Vec<_> =
            children.iter().filter(|child| child.object.is_some()).map(|child| child.kind()).collect();
        ensure!(UNSCALED.iter().all(|kind| rendered.contains(kind)), "only {rendered:?} are rendered for the sample");
        for child in children {
            let (api, kind) = (ns.children(child.kind()), child.kind().as_str());
            let Some(wanted) = child.object else { continue };
            let live = api.get(&child.name).await.with_context(|| format!("{kind} {} is missing", child.name))?;
            let owned = live.owner_references().iter().any(|o| o.uid == uid && o.controller == Some(true));
            ensure!(owned, "{kind} is not controlled by the model: {:?}", live.owner_references());
            let hash = |object: &kube::api::DynamicObject| object.annotations().get(HASH_ANNOTATION).cloned();
            ensure!(hash(&live) == hash(&wanted), "{kind}: applied {:?}, rendered {:?}", hash(&live), hash(&wanted));
            // Nothing would change if the rendered object were applied in the operator's name.
            let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
            let after = api.patch(&child.name, &params, &Patch::Apply(&wanted)).await?;
            ensure!(
                after.resource_version() == live.resource_version() || content(&after)? == content(&live)?,
                "{kind}: applying what is rendered would change it:\n{}\n{}",
                content(&live)?,
                content(&after)?
            );
        }
        Ok(())
    })
    .await
}

fn content(object: &kube::api::DynamicObject) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    for field in ["managedFields", "resourceVersion"] {
        value["metadata"].as_object_mut().context("an object without metadata")?.remove(field);
    }
    value.as_object_mut().context("not an object")?.remove("status");
    Ok(value)
}

#[tokio::test]
async fn prometheus_scrapes_the_model_and_has_loaded_its_rules() -> TestResult {
    in_namespace("monitored", async |ns| {
        let model = ns.serve_sample().await?;
        for target in model.until_scraped(1).await? {
            ensure!(target["labels"]["job"] == *"minilm", "job is {}", target["labels"]["job"]);
        }
        let rules = model.until_rules_loaded().await?;
        let names: Vec<_> = rules.iter().filter_map(|rule| rule["name"].as_str()).collect();
        for name in ["InferenceModelDown", "InferenceModelOutage", "InferenceModelLoadFailed"] {
            ensure!(names.contains(&name), "no rule {name} among {names:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_model_leaves_nothing() -> TestResult {
    in_namespace("deletion", async |ns| {
        let model = ns.serve_sample().await?;
        wait::until("the operator exports series about the model", secs(10), async || {
            ensure!(!operator::series_about(&ns.cluster, &ns.name).await?.is_empty(), "none");
            Ok(())
        })
        .await?;
        let begun = Instant::now();
        model.delete().await?;
        wait::until("nothing is left", secs(60), async || {
            let left = ns.objects().await?;
            ensure!(left.is_empty(), "{left:?}");
            let series = operator::series_about(&ns.cluster, &ns.name).await?;
            ensure!(series.is_empty(), "{series:?}");
            Ok(())
        })
        .await?;
        report(&format!("nothing is left {:.1} s after the deletion", begun.elapsed().as_secs_f64()));
        Ok(())
    })
    .await
}

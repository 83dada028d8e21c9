//! Dashboards that were written for another server go on: its names have data, where the chart was asked for them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use belfry_crds::contract::metrics;
use belfry_crds::monitoring::Rule;
use belfry_e2e::{Served, TestResult, in_namespace, prometheus, secs, wait};
use belfry_render::monitoring::names;
use kube::ResourceExt;

#[tokio::test]
async fn every_name_of_another_server_has_data_of_a_model() -> TestResult {
    in_namespace("names", async |ns| {
        let model = ns.serve_sample().await?;
        model.embed(&["a text"]).await?;
        ensure!(model.embed(&[]).await.is_err(), "an empty list of texts is answered");
        let pod = model.pod().await?.name_any();
        let rules = names().into_iter().flat_map(|set| set.rules).filter(|rule| !lacks_its_source(rule));
        let mut missing: BTreeSet<String> = rules.map(|rule| selector(&rule, &ns.name, &pod)).collect();
        wait::until("Prometheus has recorded the names", secs(240), async || {
            for name in missing.clone() {
                if !prometheus::query(&ns.cluster, &name).await?.is_empty() {
                    missing.remove(&name);
                }
            }
            ensure!(missing.is_empty(), "no data of {missing:?}");
            Ok(())
        })
        .await?;
        they_count_what_belfry_counts(&model).await
    })
    .await
}

/// The model of the test runs on a CPU, and no job has evaluated it.
fn lacks_its_source(rule: &Rule) -> bool {
    let gpus = [&*metrics::GPU_UTILIZATION, &metrics::GPU_MEMORY_USED, &metrics::GPU_MEMORY_TOTAL, &metrics::GPU_POWER];
    gpus.into_iter().chain([&*metrics::MODEL_ACCURACY]).any(|metric| rule.expr.contains(metric.name))
}

/// The series of a rule that are about the model; what is said of workers has no label but the pod's name.
fn selector(rule: &Rule, namespace: &str, pod: &str) -> String {
    let of_model = match rule.expr.contains("by (worker)") {
        true => format!("worker=\"{pod}\""),
        false => format!("namespace=\"{namespace}\""),
    };
    let labels: Vec<_> = rule.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    format!("{}{{{}}}", rule.record.as_deref().unwrap_or_default(), [labels, vec![of_model]].concat().join(","))
}

async fn they_count_what_belfry_counts(model: &Served<'_>) -> Result<()> {
    let namespace = &model.namespace.name;
    let same = [
        ("sum(sie_requests_total{N,status=\"success\"})", "sum(inference_requests_total{N,status=\"200\"})"),
        ("sum(smg_http_responses_total{N,status_code=\"200\"})", "sum(inference_requests_total{N,status=\"200\"})"),
        ("sum(matrixinfer_inference_requests_total{N,model_id=\"minilm\"})", "sum(inference_requests_total{N})"),
        ("sum(skyserve_replicas_total{N,status=\"READY\"})", "max(belfry_model_replicas{N,state=\"ready\"})"),
        ("sum(te_request_success{N})", "sum(inference_requests_total{N,status=\"200\"})"),
        (
            "sum(vllm:e2e_request_latency_seconds_bucket{N,le=\"+Inf\",model_name=\"minilm\"})",
            "sum(inference_request_duration_seconds_count{N,phase=\"total\"})",
        ),
        ("sum(nv_inference_count{N})", "sum(inference_batch_size_sum{N})"),
    ];
    // A record is up to one interval of 30 s behind.
    wait::until("records are as Belfry's own series", secs(90), async || {
        for (theirs, ours) in same {
            let [theirs_now, ours_now] = [value(model, namespace, theirs).await?, value(model, namespace, ours).await?];
            ensure!(theirs_now == ours_now && ours_now != "0", "{theirs} is {theirs_now}, and {ours} {ours_now}");
        }
        Ok(())
    })
    .await
}

async fn value(model: &Served<'_>, namespace: &str, expression: &str) -> Result<String> {
    let expression = expression.replace("{N", &format!("{{namespace=\"{namespace}\""));
    let series = prometheus::query(&model.namespace.cluster, &expression).await?;
    let one = series.first().with_context(|| format!("no data of {expression}"))?;
    Ok(one["value"][1].as_str().unwrap_or_default().to_owned())
}

//! The definitions of the kinds come, go and differ from what the operator was built with.

use std::panic::{AssertUnwindSafe, resume_unwind};

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::{PAGED, variant};
use belfry_e2e::chaos::{FaultTest, MONITORING_KINDS, PATIENCE, definition, definition_name, dice, fault_test};
use belfry_e2e::{TestResult, report, secs, wait};
use belfry_render::kind::ChildKind;
use futures::FutureExt;
use serde_json::{Value, json};

const MODELS: &str = "customresourcedefinition/inferencemodels.belfry.dev";

/// Runs a test that changes definitions, and puts them back whatever happens.
async fn with_definitions(name: &str, body: impl AsyncFnOnce(&mut FaultTest<'_>) -> Result<()>) -> TestResult {
    fault_test(name, async |test| {
        let outcome = AssertUnwindSafe(body(test)).catch_unwind().await;
        test.cluster.define_models()?;
        for kind in MONITORING_KINDS {
            test.cluster.apply(&definition(kind))?;
        }
        let prometheuses = "prometheuses.monitoring.coreos.com";
        test.cluster.kubectl(&["delete", prometheuses, "--all", "--namespace", "default"], "")?;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
    .await
}

/// Changes the schema of the model's definition.
fn change_schema(test: &FaultTest<'_>, change: &Value) -> Result<()> {
    test.cluster.kubectl(&["patch", MODELS, "--type=json", "--patch", &change.to_string()], "").map(drop)
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

#[tokio::test]
async fn a_model_that_can_not_be_decoded_harms_no_other() -> TestResult {
    with_definitions("undecodable", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("good", 1)]).await?;
        let task = format!("{SCHEMA}/spec/properties/task/enum");
        change_schema(test, &json!([{"op": "add", "path": format!("{task}/-"), "value": "Divination"}]))?;
        let mut odd = variant("odd", 0);
        odd["spec"]["task"] = json!("Divination");
        wait::until("the API server takes it", PATIENCE, async || test.apply(&odd).await).await?;
        // It is stored, and stays so when the definition is as it should be.
        test.cluster.define_models()?;
        wait::until("models can be listed again", PATIENCE, async || test.clear_but("odd").await).await?;
        test.operator.kill()?;
        test.operator.start().await?;
        test.apply(&variant("good", 1)).await?;
        test.until_condition("good", "SpecAccepted", "True", PATIENCE).await?;
        wait::until("the state without the odd one", PATIENCE, async || {
            belfry_e2e::chaos::snapshot::same(&test.snapshot().await?, &expected)
        })
        .await?;
        let logged = test.operator.log_text().matches("Could not decode").count();
        report(&format!("the log names an undecodable model {logged} times"));
        let series = format!("belfry_model_undecodable{{namespace=\"{}\",model=\"odd\"}} 1", test.namespace);
        ensure!(test.operator.get("/metrics")?.contains(&series), "no series {series}");
        ensure!((1..=6).contains(&logged), "the log names the model {logged} times");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_without_the_definition_of_its_models_waits_for_it() -> TestResult {
    with_definitions("models-undefined", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        test.operator.kill()?;
        test.cluster.kubectl(&["delete", MODELS, "--wait=true", "--timeout=60s"], "")?;
        test.operator.spawn()?;
        wait::until("the operator runs", PATIENCE, async || test.operator.get("/livez")).await?;
        let operator = &mut test.operator;
        wait::holds("it waits", secs(5), async || {
            ensure!(operator.ended()?.is_none(), "it ended");
            Ok(())
        })
        .await?;
        for round in ["after the start", "again"] {
            test.cluster.define_models()?;
            let begun = std::time::Instant::now();
            test.apply(&variant("m", 1)).await?;
            test.until_same(&expected, PATIENCE).await.context(round)?;
            report(&format!("{round}: in order {:.1} s after the definition came", begun.elapsed().as_secs_f64()));
            test.cluster.kubectl(&["delete", MODELS, "--wait=true", "--timeout=60s"], "")?;
        }
        ensure!(test.operator.ended()?.is_none(), "the operator ended");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn monitoring_kinds_may_be_absent_come_and_go() -> TestResult {
    with_definitions("monitoring-undefined", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", PAGED)]).await?;
        test.clear().await?;
        let missing = "False CustomResourceDefinitionMissing";
        for _ in 0..if dice::is_long() { 3 } else { 1 } {
            for kind in MONITORING_KINDS {
                let name = format!("customresourcedefinition/{}", definition_name(kind));
                test.cluster.kubectl(&["delete", &name, "--wait=true", "--timeout=60s"], "")?;
            }
            test.apply(&variant("m", PAGED)).await?;
            test.until_condition("m", "MonitoringReady", missing, PATIENCE).await?;
            let accepted = test.condition("m", "SpecAccepted").await?;
            ensure!(accepted.starts_with("True"), "{accepted}");
            for kind in MONITORING_KINDS {
                test.cluster.apply(&definition(kind))?;
            }
            test.until_condition("m", "MonitoringReady", "True", PATIENCE).await?;
            test.until_same(&expected, PATIENCE).await?;
        }
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_model_says_which_prometheus_selects_it_as_they_come_change_and_go() -> TestResult {
    with_definitions("selected", async |test| {
        test.operator.start().await?;
        test.expected(&[variant("m", 1)]).await?;
        test.until_condition("m", "MonitorSelected", "Unknown PrometheusUnknown", PATIENCE).await?;
        let prometheus = |selector: Value| {
            let spec = json!({
                "serviceMonitorSelector": selector, "serviceMonitorNamespaceSelector": {},
                "ruleSelector": selector, "ruleNamespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "selected"}},
            });
            let metadata = json!({"name": "k8s", "namespace": "default"});
            json!({
                "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": metadata, "spec": spec,
            })
        };
        test.cluster.apply(&prometheus(json!({"matchLabels": {"release": "prom"}})))?;
        let missing = test.until_condition("m", "MonitorSelected", "False NotSelected", PATIENCE).await?;
        ensure!(missing.contains("default/k8s") && missing.contains("release=prom"), "{missing}");
        test.until_condition("m", "MonitoringReady", "False NotSelected", PATIENCE).await?;
        test.cluster.apply(&prometheus(json!({"matchLabels": {"app.kubernetes.io/managed-by": "belfry-operator"}})))?;
        test.until_condition("m", "MonitorSelected", "True Selected", PATIENCE).await?;
        test.until_condition("m", "MonitoringReady", "True", PATIENCE).await?;
        // A new operator finds the same.
        let mark = test.proxy.mark();
        test.restart().await?;
        test.settled(PATIENCE).await?;
        let writes = test.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "a restart wrote {}", belfry_e2e::chaos::list(&writes));
        test.cluster.kubectl(&["delete", "prometheuses.monitoring.coreos.com", "k8s", "--namespace", "default"], "")?;
        test.until_condition("m", "MonitorSelected", "Unknown PrometheusUnknown", PATIENCE).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_definition_that_knows_more_restarts_no_worker_and_loses_nothing() -> TestResult {
    with_definitions("newer-definition", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        let before = test.children(ChildKind::Deployment).get("m").await?.metadata.generation;
        let mark = test.proxy.mark();
        let field = json!({"type": "string", "maxLength": 20});
        change_schema(
            test,
            &json!([{"op": "add", "path": format!("{SCHEMA}/spec/properties/future"), "value": field}]),
        )?;
        let mut model = variant("m", 1);
        model["spec"]["future"] = json!("kept");
        wait::until("the API server keeps the new field", PATIENCE, async || {
            let applied = test.apply(&model).await?;
            ensure!(applied.data["spec"]["future"] == "kept", "it is pruned");
            Ok(())
        })
        .await?;
        test.until_same(&expected, PATIENCE).await?;
        let writes = test.proxy.writes_since(mark);
        let children: Vec<_> = writes.into_iter().filter(|call| !call.resource.ends_with("/status")).collect();
        ensure!(children.is_empty(), "written: {}", belfry_e2e::chaos::list(&children));
        ensure!(test.children(ChildKind::Deployment).get("m").await?.metadata.generation == before, "a rollout");
        ensure!(test.models().get("m").await?.data["spec"]["future"] == "kept", "the operator lost the new field");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_definition_that_knows_less_keeps_no_child_back_and_no_condition() -> TestResult {
    with_definitions("older-definition", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        test.clear().await?;
        change_schema(test, &json!([{"op": "remove", "path": format!("{SCHEMA}/status/properties/loaded")}]))?;
        test.apply(&variant("m", 1)).await?;
        test.until_same(&expected, PATIENCE).await?;
        ensure!(
            test.operator.log_text().contains("older than this operator"),
            "the log does not name the older definition"
        );
        ensure!(test.models().get("m").await?.data["status"]["loaded"].is_null(), "the definition was not changed");
        test.cluster.define_models()?;
        test.restart().await?;
        wait::until("the field that was left out", PATIENCE, async || {
            ensure!(test.models().get("m").await?.data["status"]["loaded"].is_string(), "it is not there");
            Ok(())
        })
        .await?;
        test.until_same(&expected, PATIENCE).await
    })
    .await
}

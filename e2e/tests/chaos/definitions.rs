//! The definitions of the kinds come, go and differ from what the operator was built with.

use std::panic::{AssertUnwindSafe, resume_unwind};

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::{PAGED, variant};
use belfry_e2e::chaos::{Act, MONITORING_KINDS, PATIENCE, definition, definition_name, dice, on_stage};
use belfry_e2e::{Outcome, report, secs, wait};
use belfry_render::kind::ChildKind;
use futures::FutureExt;
use serde_json::{Value, json};

const MODELS: &str = "customresourcedefinition/inferencemodels.belfry.dev";

/// Runs a test that changes definitions, and puts them back whatever happens.
async fn with_definitions(test: &str, body: impl AsyncFnOnce(&mut Act<'_>) -> Result<()>) -> Outcome {
    on_stage(test, async |act| {
        let outcome = AssertUnwindSafe(body(act)).catch_unwind().await;
        act.stage.define_models()?;
        for kind in MONITORING_KINDS {
            act.stage.apply(&definition(kind))?;
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
    .await
}

/// Changes the schema of the model's definition.
fn change_schema(act: &Act<'_>, change: &Value) -> Result<()> {
    act.stage.kubectl(&["patch", MODELS, "--type=json", "--patch", &change.to_string()], "").map(drop)
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

#[tokio::test]
async fn a_model_that_can_not_be_decoded_harms_no_other() -> Outcome {
    with_definitions("undecodable", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("good", 1)]).await?;
        let task = format!("{SCHEMA}/spec/properties/task/enum");
        change_schema(act, &json!([{"op": "add", "path": format!("{task}/-"), "value": "Divination"}]))?;
        let mut odd = variant("odd", 0);
        odd["spec"]["task"] = json!("Divination");
        wait::until("the API server takes it", PATIENCE, async || act.apply(&odd).await).await?;
        // It is stored, and stays so when the definition is as it should be.
        act.stage.define_models()?;
        wait::until("models can be listed again", PATIENCE, async || act.clear_but("odd").await).await?;
        act.operator.kill()?;
        act.operator.start().await?;
        act.apply(&variant("good", 1)).await?;
        act.until_condition("good", "SpecAccepted", "True", PATIENCE).await?;
        wait::until("the state without the odd one", PATIENCE, async || {
            belfry_e2e::chaos::snapshot::same(&act.snapshot().await?, &expected)
        })
        .await?;
        let logged = act.operator.log_text().matches("Could not decode").count();
        report(&format!("the log names an undecodable model {logged} times"));
        let series = format!("belfry_model_undecodable{{namespace=\"{}\",model=\"odd\"}} 1", act.namespace);
        ensure!(act.operator.get("/metrics")?.contains(&series), "no series {series}");
        ensure!((1..=6).contains(&logged), "the log names the model {logged} times");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_without_the_definition_of_its_models_waits_for_it() -> Outcome {
    with_definitions("models-undefined", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        act.operator.kill()?;
        act.stage.kubectl(&["delete", MODELS, "--wait=true", "--timeout=60s"], "")?;
        act.operator.spawn()?;
        wait::until("the operator runs", PATIENCE, async || act.operator.get("/livez")).await?;
        let operator = &mut act.operator;
        wait::holds("it waits", secs(5), async || {
            ensure!(operator.ended()?.is_none(), "it ended");
            Ok(())
        })
        .await?;
        for round in ["after the start", "again"] {
            act.stage.define_models()?;
            let begun = std::time::Instant::now();
            act.apply(&variant("m", 1)).await?;
            act.until_same(&expected, PATIENCE).await.context(round)?;
            report(&format!("{round}: in order {:.1} s after the definition came", begun.elapsed().as_secs_f64()));
            act.stage.kubectl(&["delete", MODELS, "--wait=true", "--timeout=60s"], "")?;
        }
        ensure!(act.operator.ended()?.is_none(), "the operator ended");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn monitoring_kinds_may_be_absent_come_and_go() -> Outcome {
    with_definitions("monitoring-undefined", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", PAGED)]).await?;
        act.clear().await?;
        let missing = "False CustomResourceDefinitionMissing";
        for _ in 0..if dice::is_long() { 3 } else { 1 } {
            for kind in MONITORING_KINDS {
                let name = format!("customresourcedefinition/{}", definition_name(kind));
                act.stage.kubectl(&["delete", &name, "--wait=true", "--timeout=60s"], "")?;
            }
            act.apply(&variant("m", PAGED)).await?;
            act.until_condition("m", "MonitoringReady", missing, PATIENCE).await?;
            let accepted = act.condition("m", "SpecAccepted").await?;
            ensure!(accepted.starts_with("True"), "{accepted}");
            for kind in MONITORING_KINDS {
                act.stage.apply(&definition(kind))?;
            }
            act.until_condition("m", "MonitoringReady", "True", PATIENCE).await?;
            act.until_same(&expected, PATIENCE).await?;
        }
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_definition_that_knows_more_restarts_no_worker_and_loses_nothing() -> Outcome {
    with_definitions("newer-definition", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        let before = act.children(ChildKind::Deployment).get("m").await?.metadata.generation;
        let mark = act.proxy.mark();
        let field = json!({"type": "string", "maxLength": 20});
        change_schema(
            act,
            &json!([{"op": "add", "path": format!("{SCHEMA}/spec/properties/future"), "value": field}]),
        )?;
        let mut model = variant("m", 1);
        model["spec"]["future"] = json!("kept");
        wait::until("the API server keeps the new field", PATIENCE, async || {
            let applied = act.apply(&model).await?;
            ensure!(applied.data["spec"]["future"] == "kept", "it is pruned");
            Ok(())
        })
        .await?;
        act.until_same(&expected, PATIENCE).await?;
        let writes = act.proxy.writes_since(mark);
        let children: Vec<_> = writes.into_iter().filter(|call| !call.resource.ends_with("/status")).collect();
        ensure!(children.is_empty(), "written: {}", belfry_e2e::chaos::list(&children));
        ensure!(act.children(ChildKind::Deployment).get("m").await?.metadata.generation == before, "a rollout");
        ensure!(act.models().get("m").await?.data["spec"]["future"] == "kept", "the operator lost the new field");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_definition_that_knows_less_keeps_no_child_back_and_no_condition() -> Outcome {
    with_definitions("older-definition", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        act.clear().await?;
        change_schema(act, &json!([{"op": "remove", "path": format!("{SCHEMA}/status/properties/loaded")}]))?;
        act.apply(&variant("m", 1)).await?;
        act.until_same(&expected, PATIENCE).await?;
        ensure!(
            act.operator.log_text().contains("older than this operator"),
            "the log does not name the older definition"
        );
        ensure!(act.models().get("m").await?.data["status"]["loaded"].is_null(), "the definition was not changed");
        act.stage.define_models()?;
        act.restart().await?;
        wait::until("the field that was left out", PATIENCE, async || {
            ensure!(act.models().get("m").await?.data["status"]["loaded"].is_string(), "it is not there");
            Ok(())
        })
        .await?;
        act.until_same(&expected, PATIENCE).await
    })
    .await
}

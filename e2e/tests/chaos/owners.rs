//! Models that go and come again under the same name: what is there belongs to the one that lives.

use anyhow::{Context, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{PATIENCE, on_stage};
use belfry_e2e::{Outcome, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use kube::ResourceExt;
use kube::api::DeleteParams;

#[tokio::test]
async fn a_model_that_is_deleted_and_made_again_gets_children_of_its_own() -> Outcome {
    on_stage("recreated", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        for how in [DeleteParams::background(), DeleteParams::foreground()] {
            let old = act.models().get("m").await?.uid().context("no UID")?;
            act.models().delete("m", &how).await?;
            // With foreground deletion the model stays until its children are gone.
            wait::until("the model is gone", PATIENCE, async || {
                ensure!(act.models().get_opt("m").await?.is_none(), "it is there");
                Ok(())
            })
            .await?;
            act.apply(&variant("m", 1)).await?;
            act.until_same(&expected, PATIENCE).await?;
            for kind in UNSCALED.iter().filter(|kind| **kind != ChildKind::ConfigMap) {
                let child = act.children(*kind).get("m").await?;
                let is_old = child.owner_references().iter().any(|owner| owner.uid == old);
                ensure!(!is_old, "the {} is the old model's", kind.as_str());
            }
        }
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_made_again_while_the_operator_is_down_gets_children_of_its_own() -> Outcome {
    on_stage("recreated-unseen", async |act| {
        act.operator.start().await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        act.operator.kill()?;
        act.delete("m").await?;
        act.apply(&variant("m", 1)).await?;
        act.operator.start().await?;
        act.until_same(&expected, PATIENCE).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn children_that_were_left_behind_on_purpose_are_not_adopted() -> Outcome {
    on_stage("orphaned", async |act| {
        act.operator.start().await?;
        act.expected(&[variant("m", 1)]).await?;
        act.models().delete("m", &DeleteParams::orphan()).await?;
        wait::until("the model is gone", PATIENCE, async || {
            ensure!(act.models().get_opt("m").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        let left = act.snapshot().await?;
        ensure!(left.contains_key("Deployment m"), "nothing was left behind: {:?}", left.keys());
        act.apply(&variant("m", 1)).await?;
        act.until_condition("m", "SpecAccepted", "False NameConflict", secs(15)).await?;
        ensure!(act.snapshot().await? == left, "what was left behind was changed");
        Ok(())
    })
    .await
}

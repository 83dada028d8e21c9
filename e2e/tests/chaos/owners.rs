//! Models that go and come again under the same name: what is there belongs to the one that lives.

use anyhow::{Context, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{PATIENCE, fault_test};
use belfry_e2e::{TestResult, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use kube::ResourceExt;
use kube::api::DeleteParams;

#[tokio::test]
async fn a_model_that_is_deleted_and_made_again_gets_children_of_its_own() -> TestResult {
    fault_test("recreated", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        for how in [DeleteParams::background(), DeleteParams::foreground()] {
            let old = test.models().get("m").await?.uid().context("no UID")?;
            test.models().delete("m", &how).await?;
            // With foreground deletion the model stays until its children are gone.
            wait::until("the model is gone", PATIENCE, async || {
                ensure!(test.models().get_opt("m").await?.is_none(), "it is there");
                Ok(())
            })
            .await?;
            test.apply(&variant("m", 1)).await?;
            test.until_same(&expected, PATIENCE).await?;
            for kind in UNSCALED.iter().filter(|kind| **kind != ChildKind::ConfigMap) {
                let child = test.children(*kind).get("m").await?;
                let is_old = child.owner_references().iter().any(|owner| owner.uid == old);
                ensure!(!is_old, "the {} is the old model's", kind.as_str());
            }
        }
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_made_again_while_the_operator_is_down_gets_children_of_its_own() -> TestResult {
    fault_test("recreated-unseen", async |test| {
        test.operator.start().await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        test.operator.kill()?;
        test.delete("m").await?;
        test.apply(&variant("m", 1)).await?;
        test.operator.start().await?;
        test.until_same(&expected, PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn children_that_were_left_behind_on_purpose_are_not_adopted() -> TestResult {
    fault_test("orphaned", async |test| {
        test.operator.start().await?;
        test.expected(&[variant("m", 1)]).await?;
        test.models().delete("m", &DeleteParams::orphan()).await?;
        wait::until("the model is gone", PATIENCE, async || {
            ensure!(test.models().get_opt("m").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        let left = test.snapshot().await?;
        ensure!(left.contains_key("Deployment m"), "nothing was left behind: {:?}", left.keys());
        test.apply(&variant("m", 1)).await?;
        test.until_condition("m", "SpecAccepted", "False NameConflict", secs(15)).await?;
        ensure!(test.snapshot().await? == left, "what was left behind was changed");
        Ok(())
    })
    .await
}

//! Random walks through the specifications that the definition allows, and through many that it does not.

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::dice::{self, Dice};
use belfry_e2e::chaos::schema::Schema;
use belfry_e2e::chaos::specs::{model, variant};
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::{TestResult, report, secs, wait};
use serde_json::Value;

/// Changes to try until one is taken by the API server.
const TRIES: usize = 200;

#[tokio::test]
async fn a_walk_through_specifications_leads_where_the_last_one_leads_alone() -> TestResult {
    fault_test("walk", async |test| {
        let seed = dice::seed()?;
        let (walks, steps) = if dice::is_long() { (12, 25) } else { (2, 7) };
        report(&format!("CHAOS_SEED={seed} for {walks} walks of {steps} steps"));
        test.operator.start().await?;
        let mut walk = Walk { schema: Schema::released()?, dice: Dice::new(seed), refused: 0, bad: 0, good: 0 };
        for number in 1..=walks {
            walk.go(test, steps).await.with_context(|| format!("CHAOS_SEED={seed}, walk {number}"))?;
        }
        let Walk { refused, bad, good, .. } = walk;
        report(&format!("{good} good steps, {bad} that were undone, {refused} refused by the API server"));
        ensure!(good > walks && refused > 0, "the walk did not get anywhere");
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

struct Walk {
    schema: Schema,
    dice: Dice,
    /// Specifications that the API server refused.
    refused: usize,
    /// Specifications that the operator, or the API server in a child, did not accept.
    bad: usize,
    /// Specifications that were acted on.
    good: usize,
}

impl Walk {
    async fn go(&mut self, test: &mut FaultTest<'_>, steps: usize) -> Result<()> {
        let mut spec = variant("m", self.dice.below(2))["spec"].take();
        let mut reached = test.expected(&[model("m", &spec)]).await?;
        for _ in 0..steps {
            let (next, step) = self.next_accepted(test, &spec).await?;
            let what = || format!("after {step}: {next}");
            let verdict = verdict(test).await.with_context(what)?;
            if verdict.starts_with("True") {
                self.good += 1;
                spec = next;
                reached = test.settled(PATIENCE).await.with_context(|| format!("after {step}: {spec}"))?;
            } else {
                self.bad += 1;
                test.apply(&model("m", &spec)).await?;
                test.until_same(&reached, secs(30)).await.with_context(|| format!("{step}, undone: {verdict}"))?;
            }
        }
        test.clear().await?;
        let alone = test.expected(&[model("m", &spec)]).await?;
        belfry_e2e::chaos::snapshot::same(&reached, &alone).with_context(|| format!("on the way to {spec}"))?;
        test.clear().await
    }

    /// Changes the specification until the API server takes it.
    async fn next_accepted(&mut self, test: &FaultTest<'_>, spec: &Value) -> Result<(Value, String)> {
        for _ in 0..TRIES {
            let mut next = spec.clone();
            let step = self.schema.mutate(&mut next, &mut self.dice);
            match test.apply(&model("m", &next)).await {
                Ok(_) => return Ok((next, step)),
                Err(_) => self.refused += 1,
            }
        }
        anyhow::bail!("the API server took none of {TRIES} changes of {spec}")
    }
}

/// What the operator says of the model as it now is.
async fn verdict(test: &FaultTest<'_>) -> Result<String> {
    wait::until("a verdict", PATIENCE, async || test.condition("m", "SpecAccepted").await).await
}

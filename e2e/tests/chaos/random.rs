//! Random faults during random work. The seed is printed; `CHAOS_SEED` repeats it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::dice::{self, Dice};
use belfry_e2e::chaos::specs::{VARIANTS, variant};
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, fault_test, snapshot};
use belfry_e2e::proxy::{Call, Fault, Refusal, Verb, WatchEnd};
use belfry_e2e::{TestResult, report, secs, wait};
use belfry_render::kind::ChildKind;
use kube::api::DeleteParams;
use serde_json::json;

/// Models that are worked on.
const MODELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Faults to put in before faults end and everything has to be in order.
const FAULTS_A_ROUND: u64 = 60;

/// Bound of one round with faults. The operator's pauses grow with its failures, so that faults get rarer.
const ROUND: Duration = secs(40);

#[tokio::test]
async fn random_faults_lose_duplicate_and_orphan_nothing() -> TestResult {
    fault_test("random", async |test| {
        let seed = dice::seed()?;
        let faults = if dice::is_long() { 2_000 } else { 200 };
        report(&format!("CHAOS_SEED={seed} for {faults} faults"));
        let mut run = Run { seed, dice: Dice::new(seed), wanted: BTreeMap::new(), kills: 0 };
        run.faults(test, faults).await.with_context(|| format!("CHAOS_SEED={seed}"))
    })
    .await
}

/// What a run without faults makes of each model with each specification.
type Expectations = BTreeMap<(&'static str, usize), Snapshot>;

struct Run {
    seed: u64,
    dice: Dice,
    /// The specification that each model has now; none for a model that was deleted.
    wanted: BTreeMap<&'static str, usize>,
    kills: u32,
}

impl Run {
    async fn faults(&mut self, test: &mut FaultTest<'_>, faults: u64) -> Result<()> {
        test.operator.start().await?;
        let expectations = expectations(test).await?;
        let mut rounds = 0;
        while test.proxy.injected() < faults {
            rounds += 1;
            ensure!(rounds <= faults / 5, "faults do not come up: {} in {rounds} rounds", test.proxy.injected());
            self.round(test).await?;
            self.recover(test, &expectations).await.with_context(|| format!("round {rounds}"))?;
        }
        report(&format!("{} faults, {} of them kills, in {rounds} rounds", test.proxy.injected(), self.kills));
        test.a_fresh_operator_writes_nothing().await
    }

    /// Works on the models while faults befall the operator.
    async fn round(&mut self, test: &mut FaultTest<'_>) -> Result<()> {
        let (seed, before) = (self.seed, test.proxy.injected());
        test.proxy.play(move |call| fault(&mut Dice::named(seed, &call.to_string()), call));
        test.proxy.end_watches(*self.dice.one_of(&[WatchEnd::Close, WatchEnd::Cut, WatchEnd::Gone]));
        let begun = std::time::Instant::now();
        while test.proxy.injected() < before + FAULTS_A_ROUND && begun.elapsed() < ROUND {
            for _ in 0..3 {
                self.work(test).await?;
            }
            let more = test.proxy.injected() + 6;
            let struck = wait::until("some faults", secs(2), async || {
                ensure!(test.proxy.injected() >= more, "too few");
                Ok(())
            });
            let froze = tokio::select! {
                biased;
                () = test.proxy.frozen() => true,
                // When there is nothing left to strike, the next work brings more.
                _ = struck => false,
            };
            if froze {
                self.kills += 1;
                test.operator.kill()?;
                test.operator.spawn()?;
            }
            let ended = test.operator.ended()?;
            ensure!(ended.is_none(), "the operator ended by itself: {ended:?}");
        }
        Ok(())
    }

    /// A user changes or deletes a model or one of its children.
    async fn work(&mut self, test: &FaultTest<'_>) -> Result<()> {
        let name = *self.dice.one_of(&MODELS);
        if !self.wanted.contains_key(name) || self.dice.percent(40) {
            return self.specify(test, name).await;
        }
        match self.dice.below(4) {
            0 => {
                self.wanted.remove(name);
                test.delete(name).await
            }
            1 => {
                let kind = *self.dice.one_of(ChildKind::ALL);
                // The operator may not have made it yet, or may not make it at all.
                drop(test.children(kind).delete(name, &DeleteParams::background()).await);
                Ok(())
            }
            2 => {
                let change = json!({"spec": {"replicas": 7}});
                drop(test.edit(ChildKind::Deployment, name, &change).await);
                Ok(())
            }
            _ => self.delete_around_a_write(test, name).await,
        }
    }

    /// Changes a model or a child, so that the operator writes, and deletes it a moment later.
    async fn delete_around_a_write(&mut self, test: &FaultTest<'_>, name: &'static str) -> Result<()> {
        let pause = Duration::from_millis(self.dice.below(200) as u64);
        if self.dice.percent(50) {
            self.specify(test, name).await?;
            tokio::time::sleep(pause).await;
            self.wanted.remove(name);
            return test.delete(name).await;
        }
        let kind = *self.dice.one_of(ChildKind::ALL);
        let change = json!({"metadata": {"labels": {"app.kubernetes.io/name": "other"}}});
        // The operator may not have made the child yet, or may not make it at all.
        drop(test.edit(kind, name, &change).await);
        tokio::time::sleep(pause).await;
        drop(test.children(kind).delete(name, &DeleteParams::background()).await);
        Ok(())
    }

    async fn specify(&mut self, test: &FaultTest<'_>, name: &'static str) -> Result<()> {
        let index = self.dice.below(VARIANTS);
        self.wanted.insert(name, index);
        test.apply(&variant(name, index)).await.map(drop)
    }

    /// The faults end, and everything has to come in order.
    async fn recover(&mut self, test: &mut FaultTest<'_>, expectations: &Expectations) -> Result<()> {
        test.proxy.behave();
        if self.dice.percent(50) {
            test.restart().await?;
        }
        let expected = self.wanted.iter().filter_map(|wanted| expectations.get(&(*wanted.0, *wanted.1)));
        let expected: Snapshot = expected.flat_map(Clone::clone).collect();
        test.until_same(&expected, PATIENCE).await
    }
}

async fn expectations(test: &FaultTest<'_>) -> Result<Expectations> {
    let mut found = Expectations::new();
    for index in 0..VARIANTS {
        let models: Vec<_> = MODELS.iter().map(|name| variant(name, index)).collect();
        let all = test.expected(&models).await?;
        found.extend(MODELS.iter().map(|name| ((*name, index), snapshot::of_model(&all, name))));
    }
    test.clear().await?;
    Ok(found)
}

/// The fault that befalls a request, if any.
fn fault(dice: &mut Dice, call: &Call) -> Option<Fault> {
    let share = if call.verb == Verb::Watch { 30 } else { 20 };
    if !dice.percent(share) {
        return None;
    }
    let pause = Duration::from_millis(dice.below(400) as u64);
    let refusal = Refusal::new(*dice.one_of(&[500, 503, 504]));
    let patience = Refusal { code: 429, retry_after: Some(1) };
    Some(match call.verb {
        Verb::Watch => {
            let ends = [WatchEnd::Close, WatchEnd::Cut, WatchEnd::Garbage, WatchEnd::Gone];
            Fault::EndWatch(dice.below(6), *dice.one_of(&ends))
        }
        Verb::List | Verb::Get => dice
            .one_of(&[Fault::Delay(pause), Fault::Refuse(refusal), Fault::Refuse(patience), Fault::BreakBefore])
            .clone(),
        _ if dice.percent(4) => Fault::Freeze,
        _ => dice
            .one_of(&[
                Fault::Delay(pause),
                Fault::Refuse(refusal),
                Fault::Refuse(patience),
                Fault::Refuse(Refusal::new(409)),
                Fault::LoseAnswer(refusal),
                Fault::LateAnswer(pause),
                Fault::BreakBefore,
                Fault::BreakAfter,
            ])
            .clone(),
    })
}

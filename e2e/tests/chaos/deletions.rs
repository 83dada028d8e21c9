//! Models and children are deleted while the operator writes them. An answer to a write may then arrive after the watch
//! has shown the deletion.
//!
//! Each test runs in two forms. In the plain form the API server answers at its own speed. In the other form the proxy
//! holds answers back, so that almost every deletion is seen before the answer.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use belfry_e2e::chaos::dice::{self, Dice};
use belfry_e2e::chaos::specs::{VARIANTS, variant};
use belfry_e2e::chaos::{FaultTest, PATIENCE, SILENCE, Snapshot, fault_test, list};
use belfry_e2e::proxy::{Call, Fault};
use belfry_e2e::{TestResult, UNSCALED, report, secs, wait};
use belfry_render::kind::ChildKind;
use futures::future::{join_all, try_join_all};
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

/// Models that are created and deleted at the same time.
const LANES: usize = 2;

/// Models that one lane creates and deletes before the operator must come to rest.
const TRIES_A_LANE: usize = 20;

/// At least nine of ten children are back within this time.
const REPAIR: Duration = secs(2);

/// Each child is back within this time. It is long because the machine may be busy and answers may be late: a pass waits
/// for up to eight answers, one after the other. A lost child does not come back at all.
const LONGEST_REPAIR: Duration = secs(10);

/// How long a test waits for a child that is late, to say how late it is.
const MUCH_LATER: Duration = secs(20);

/// Labels that the operator sets on each child. `belfry.dev/model` names the model.
const LABELS: [&str; 2] = ["app.kubernetes.io/name", "belfry.dev/model"];

#[tokio::test]
async fn a_model_that_is_deleted_around_a_write_leaves_nothing() -> TestResult {
    fault_test("model-deleted-early", async |test| models_come_and_go(test, At::AnyTime).await).await
}

#[tokio::test]
async fn a_model_that_is_deleted_before_an_answer_arrives_leaves_nothing() -> TestResult {
    fault_test("model-deleted-late", async |test| {
        hold_answers_back(test, dice::seed()?, &(400..800), is_status);
        models_come_and_go(test, At::StatusWrite).await
    })
    .await
}

#[tokio::test]
async fn a_child_that_is_deleted_around_a_write_comes_back() -> TestResult {
    fault_test("child-deleted-early", async |test| children_come_back(test, Some(REPAIR)).await).await
}

#[tokio::test]
async fn a_child_that_is_deleted_before_an_answer_arrives_comes_back() -> TestResult {
    fault_test("child-deleted-late", async |test| {
        hold_answers_back(test, dice::seed()?, &(50..200), |call| call.verb.is_write());
        children_come_back(test, None).await
    })
    .await
}

/// When a model is deleted.
#[derive(Clone, Copy)]
enum At {
    /// 60 to 260 ms after its creation.
    AnyTime,
    /// After the API server has the operator's write to the status, and before the operator has the answer.
    StatusWrite,
}

fn is_status(call: &Call) -> bool {
    call.resource == "inferencemodels/status"
}

/// From now on the answers to these requests arrive late, by a time out of a range of milliseconds.
fn hold_answers_back(test: &FaultTest<'_>, seed: u64, late: &Range<usize>, which: fn(&Call) -> bool) {
    let late = late.clone();
    test.proxy.play(move |call| {
        let mut dice = Dice::named(seed, &call.to_string());
        which(call).then(|| Fault::LateAnswer(millis(&mut dice, &late)))
    });
}

/// A random time out of a range of milliseconds.
fn millis(dice: &mut Dice, range: &Range<usize>) -> Duration {
    Duration::from_millis((range.start + dice.below(range.len())) as u64)
}

async fn models_come_and_go(test: &mut FaultTest<'_>, at: At) -> Result<()> {
    let seed = dice::seed()?;
    let rounds = if dice::is_long() { 25 } else { 1 };
    report(&format!("CHAOS_SEED={seed} for {rounds} rounds of {} models", LANES * TRIES_A_LANE));
    test.operator.start().await?;
    for round in 0..rounds {
        let test = &*test;
        let lanes = (0..LANES).map(|lane| {
            let dice = Dice::named(seed, &format!("{round} {lane}"));
            models_of_a_lane(test, dice, lane, at)
        });
        try_join_all(lanes).await?;
        nothing_is_left(test).await.with_context(|| format!("CHAOS_SEED={seed}, round {round}"))?;
    }
    test.a_fresh_operator_writes_nothing().await
}

/// Creates models and deletes each of them a moment later. About half of them have the same name.
async fn models_of_a_lane(test: &FaultTest<'_>, mut dice: Dice, lane: usize, at: At) -> Result<()> {
    for number in 0..TRIES_A_LANE {
        let name = if dice.percent(50) { format!("again-{lane}") } else { format!("once-{lane}-{number}") };
        let mark = test.proxy.mark();
        test.apply(&variant(&name, dice.below(VARIANTS))).await?;
        match at {
            At::AnyTime => tokio::time::sleep(millis(&mut dice, &(60..260))).await,
            At::StatusWrite => {
                wait::until("a write to the status", PATIENCE, async || {
                    let calls = test.proxy.since(mark);
                    ensure!(calls.iter().any(|call| is_status(call) && call.name == name), "none yet");
                    Ok(())
                })
                .await?;
            }
        }
        test.delete(&name).await?;
    }
    Ok(())
}

/// Waits until all children are gone and the operator is silent. Then it must know no model and stay silent.
async fn nothing_is_left(test: &FaultTest<'_>) -> Result<()> {
    test.until_same(&Snapshot::new(), PATIENCE).await?;
    let mark = test.proxy.mark();
    wait::holds("silence", SILENCE, async || {
        let writes = test.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "the operator writes without a model: {}", list(&writes));
        Ok(())
    })
    .await?;
    let known = models_in_the_cache(test)?;
    ensure!(known == 0, "the operator's cache holds {known} models, and the API server none");
    Ok(())
}

fn models_in_the_cache(test: &FaultTest<'_>) -> Result<u64> {
    let series = "belfry_operator_cache_objects{kind=\"models\"} ";
    let exposition = test.operator.get("/metrics")?;
    let value = exposition.lines().find_map(|line| line.strip_prefix(series)).context("no size of the cache")?;
    value.parse().with_context(|| format!("the size of the cache is {value}"))
}

/// Each child comes back within [`LONGEST_REPAIR`], and almost all of them within `most`.
async fn children_come_back(test: &mut FaultTest<'_>, most: Option<Duration>) -> Result<()> {
    let seed = dice::seed()?;
    let rounds = if dice::is_long() { 125 } else { 10 };
    report(&format!("CHAOS_SEED={seed} for {rounds} rounds of {} children", UNSCALED.len()));
    test.operator.start().await?;
    let expected = test.expected(&[variant("m", 1)]).await?;
    let mut times = vec![];
    let mut late = vec![];
    for round in 0..rounds {
        // Ten changes of one child are a fight, which is answered slowly; so the children are those of a new model.
        if round > 0 && round % 4 == 0 {
            test.clear().await?;
            ensure!(test.expected(&[variant("m", 1)]).await? == expected, "a model that is made again looks different");
        }
        let all = UNSCALED.iter().map(|kind| {
            let dice = Dice::named(seed, &format!("{round} {}", kind.as_str()));
            change_and_delete(test, *kind, dice)
        });
        for (kind, result) in UNSCALED.iter().zip(join_all(all).await) {
            match result.with_context(|| format!("CHAOS_SEED={seed}, round {round}, {}", kind.as_str()))? {
                Some(time) if time <= LONGEST_REPAIR => times.push(time),
                Some(time) => late.push(format!("{} of round {round} took {} ms", kind.as_str(), time.as_millis())),
                None => late.push(format!("{} of round {round} did not come back", kind.as_str())),
            }
        }
        if !late.is_empty() {
            break;
        }
    }
    times.sort_unstable();
    let [median, p90, p99, longest] = [50, 90, 99, 100].map(|percent| percentile(&times, percent));
    report(&format!(
        "{} children are back; ms: median {}, p90 {}, p99 {}, longest {}",
        times.len(),
        median.as_millis(),
        p90.as_millis(),
        p99.as_millis(),
        longest.as_millis()
    ));
    ensure!(late.is_empty(), "CHAOS_SEED={seed}: not back within {} s: {}", LONGEST_REPAIR.as_secs(), late.join(", "));
    ensure!(most.is_none_or(|most| p90 <= most), "CHAOS_SEED={seed}: the repair takes {} ms (p90)", p90.as_millis());
    test.proxy.behave();
    test.until_same(&expected, PATIENCE).await?;
    test.a_fresh_operator_writes_nothing().await
}

/// The value that the share `percent` of the sorted times does not exceed.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Changes a label of a child, and deletes the child a moment later. Returns how long the child was missing, or `None`
/// if it was missing for longer than [`MUCH_LATER`].
async fn change_and_delete(test: &FaultTest<'_>, kind: ChildKind, mut dice: Dice) -> Result<Option<Duration>> {
    let (api, name) = (test.children(kind), name(kind));
    let old = api.get(name).await?.uid();
    let mut change: Value = json!({"metadata": {"labels": {}}});
    change["metadata"]["labels"][*dice.one_of(&LABELS)] = json!("other");
    test.edit(kind, name, &change).await?;
    tokio::time::sleep(millis(&mut dice, &(40..120))).await;
    api.delete(name, &DeleteParams::background()).await?;
    let deleted = Instant::now();
    let is_new = |object: Option<&DynamicObject>| object.is_some_and(|object| object.uid() != old);
    match tokio::time::timeout(MUCH_LATER, await_condition(api, name, is_new)).await {
        Ok(Ok(_)) => Ok(Some(deleted.elapsed())),
        Ok(Err(error)) => bail!("can't watch {}: {error}", kind.as_str()),
        Err(_) => Ok(None),
    }
}

const fn name(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::ConfigMap => "m-dashboard",
        _ => "m",
    }
}

//! An upgrade of the operator on a control plane without a node: it moves no pod, and a staged upgrade moves the models one
//! after the other.
//!
//! By default both versions are the present one, with another worker image. `make upgrade-test PREVIOUS=COMMIT` takes the
//! operator, the definition and the samples of another commit for the version before.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use belfry_crds::contract::metrics::API_WRITES;
use belfry_crds::status::{RuntimeStatus, Upgrade};
use belfry_e2e::chaos::{self, Operator};
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{TestResult, report, secs, wait};
use belfry_render::kind::ChildKind;

mod alert_source;
mod fleet;

use alert_source::AlertSource;
use fleet::Fleet;

const OLD: &str = "belfry-worker:old";
const NEW: &str = "belfry-worker:new";

/// A version of the operator.
struct Version {
    /// Checkout of its sources.
    sources: PathBuf,
    program: PathBuf,
}

impl Version {
    fn present() -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate has no parent")?.to_owned();
        Ok(Self { sources, program: chaos::present()? })
    }

    /// The one that runs before the upgrade: `BELFRY_PREVIOUS_SOURCES` and `BELFRY_PREVIOUS_OPERATOR`.
    fn previous() -> Result<Option<Self>> {
        let Some(sources) = std::env::var_os("BELFRY_PREVIOUS_SOURCES") else { return Ok(None) };
        let program = std::env::var_os("BELFRY_PREVIOUS_OPERATOR").context("BELFRY_PREVIOUS_OPERATOR is not set")?;
        Ok(Some(Self { sources: sources.into(), program: program.into() }))
    }

    /// Its operator, which sees everything already.
    async fn start(&self, control_plane: &ControlPlane, args: &[&str]) -> Result<Operator> {
        let mut operator = Operator::of_version(self.program.clone(), control_plane.kubeconfig())?;
        operator.with(args);
        let started = operator.start().await;
        started.with_context(|| operator.last_lines())?;
        Ok(operator)
    }
}

#[tokio::test]
async fn an_upgrade_moves_no_pod_and_a_staged_one_moves_them_one_after_the_other() -> TestResult {
    Ok(upgrade().await?)
}

async fn upgrade() -> Result<()> {
    let (present, other) = (Version::present()?, Version::previous()?);
    let previous = other.as_ref().unwrap_or(&present);
    let control_plane = ControlPlane::start("upgrade")?;
    let fleet = Fleet::new(&control_plane).await?;
    fleet.define(&previous.sources).await?;
    let count = fleet.create_samples(&previous.sources).await?;
    let mut operator = previous.start(&control_plane, &["--worker-image", OLD]).await?;
    fleet.until_all("the models run on the old image", count, |runtime| runtime.default_image == OLD).await?;
    for name in ["minimal", "minilm"] {
        fleet.until_ready(name).await?;
    }
    end(&mut operator).await?;
    let before = fleet.templates().await?;
    ensure!(before.len() == count, "{} Deployments of {count} models", before.len());

    fleet.define(&present.sources).await?;
    let mut operator = present.start(&control_plane, &["--worker-image", NEW]).await?;
    let is_seen = |runtime: &RuntimeStatus| runtime.available_default_image == NEW;
    fleet.until_all("the new operator has seen every model", count, is_seen).await?;
    let writes = silent(&operator).await?;
    report(&format!("{count} models, writes of the new operator: {writes:?}"));
    let of_children = ChildKind::ALL.iter().map(|kind| of(&writes, kind.as_str())).sum::<u64>();
    let models = u64::try_from(count)?;
    let limit = if other.is_some() { models * u64::try_from(ChildKind::ALL.len())? } else { 0 };
    ensure!(
        of_children <= limit,
        "{of_children} writes of children, and not at most {limit}: {}",
        operator.last_lines()
    );
    ensure!(of(&writes, "InferenceModel") <= 2 * models, "too many writes of statuses: {writes:?}");
    ensure!(fleet.templates().await? == before, "the new operator changed a pod template");
    ensure!(fleet.runtime("minimal").await?.upgrade == Upgrade::Available, "the status names no upgrade");
    end(&mut operator).await?;

    fleet.lose_statuses().await?;
    let mut operator = present.start(&control_plane, &["--worker-image", NEW]).await?;
    fleet.until_all("the statuses are back", count, |runtime| runtime.default_image == OLD).await?;
    let writes = silent(&operator).await?;
    ensure!(fleet.templates().await? == before, "a lost status changed a pod template: {writes:?}");
    end(&mut operator).await?;

    staged(&fleet, &present, &control_plane).await
}

/// Two models are well. One moves, the other when the first is ready again and none of its alerts fires.
async fn staged(fleet: &Fleet, present: &Version, control_plane: &ControlPlane) -> Result<()> {
    let (first, second) = ("minilm", "minimal");
    let alerts = AlertSource::start(control_plane.place().0).await?;
    let prometheus = format!("--prometheus-url={}", alerts.url());
    let staged = ["--template-upgrades=Staged", "--template-upgrades-soak-seconds=0"];
    let args = ["--worker-image", NEW, staged[0], staged[1], &prometheus];
    let mut operator = present.start(control_plane, &args).await?;
    wait::until("the first model moves", secs(30), async || is_on(fleet, first, NEW).await).await?;
    let waits = async || is_on(fleet, second, OLD).await;
    wait::holds("the second waits for the first", secs(12), waits).await?;
    alerts.ring(&[first]).await?;
    fleet.until_ready(first).await?;
    wait::holds("the second waits while the first burns", secs(12), waits).await?;
    alerts.ring(&[]).await?;
    wait::until("the second model moves", secs(30), async || is_on(fleet, second, NEW).await).await?;
    fleet.until_ready(second).await?;
    let from = fleet.runtime(second).await?.moved_from.context("the status does not say where it came from")?;
    ensure!(from.default_image == OLD, "{from:?}");
    // Models that were not ready before stay where they were.
    let ill = fleet.runtime("minilm-hub").await?;
    ensure!((ill.default_image.as_str(), ill.upgrade) == (OLD, Upgrade::Available), "{ill:?}");
    end(&mut operator).await
}

async fn is_on(fleet: &Fleet, name: &str, image: &str) -> Result<()> {
    let present = fleet.image(name).await?;
    ensure!(present == image, "{name} runs {present}");
    Ok(())
}

/// Asks an operator to end, and waits for that.
async fn end(operator: &mut Operator) -> Result<()> {
    let status = operator.terminate(secs(30)).await?;
    ensure!(status.success(), "it ended with {status}: {}", operator.last_lines());
    Ok(())
}

/// Waits until the operator has written nothing for a while. Returns what it wrote until then.
async fn silent(operator: &Operator) -> Result<Vec<(String, u64)>> {
    let (mut last, mut looks) = (writes(operator)?, 0);
    wait::until("the operator is silent", secs(60), async || {
        let now = writes(operator)?;
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        ensure!(looks >= 12, "it wrote {last:?}");
        Ok(last.clone())
    })
    .await
}

/// Requests with which an operator wrote, by kind.
fn writes(operator: &Operator) -> Result<Vec<(String, u64)>> {
    let of_line = |line: &str| {
        let (labels, count) = line.strip_prefix(API_WRITES.name)?.rsplit_once(' ')?;
        let kind = labels.split_once("kind=\"")?.1.split_once('"')?.0;
        Some((kind.to_owned(), count.parse().ok().filter(|count| *count > 0)?))
    };
    Ok(operator.get("/metrics")?.lines().filter_map(of_line).collect())
}

fn of(writes: &[(String, u64)], kind: &str) -> u64 {
    writes.iter().filter(|(of, _)| of == kind).map(|(_, count)| count).sum()
}

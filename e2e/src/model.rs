//! An `InferenceModel` in a test's namespace.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason, find};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};

use crate::{Namespace, wait};

/// What a condition should say.
pub type Expected = (ConditionType, ConditionStatus, Reason);

/// All replicas answer.
pub const SERVING: Expected = (ConditionType::Ready, ConditionStatus::True, Reason::Serving);

/// A model that was applied.
pub struct Served<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// What it is called.
    pub name: String,
}

/// A model of `config/samples`.
pub fn sample(name: &str) -> Result<InferenceModel> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples");
    let path = samples.join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("{} is no InferenceModel", path.display()))
}

impl Namespace {
    /// Applies a model.
    pub async fn serve(&self, model: &InferenceModel) -> Result<Served<'_>> {
        self.apply::<InferenceModel>(&serde_json::to_value(model)?).await?;
        Ok(Served { namespace: self, name: model.name_any() })
    }

    /// The first sample, with its folder in the claim, serving.
    pub async fn serve_sample(&self) -> Result<Served<'_>> {
        self.volume_with_model().await?;
        let served = self.serve(&sample("minilm")?).await?;
        served.until_serving().await?;
        Ok(served)
    }
}

impl Served<'_> {
    /// The object as it is now.
    pub async fn get(&self) -> Result<InferenceModel> {
        Ok(self.namespace.api::<InferenceModel>().get(&self.name).await?)
    }

    /// Waits until all replicas answer. Tests run beside each other, so that this bound is wide; how long it may
    /// take is a test of its own.
    pub async fn until_serving(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.until(SERVING, crate::secs(120)).await?;
        Ok(begun.elapsed())
    }

    /// Waits until a condition of the present specification says what is expected.
    pub async fn until(&self, expected: Expected, limit: Duration) -> Result<Condition> {
        let (type_, status, reason) = expected;
        let wanted = format!("{} {}={} {}", self.name, type_.as_str(), status.as_str(), reason.as_str());
        wait::until(&wanted, limit, async || {
            let model = self.get().await?;
            let conditions = model.status.map(|status| status.conditions).unwrap_or_default();
            let Some(condition) = find(&conditions, type_) else { bail!("no condition {}", type_.as_str()) };
            let seen = (condition.status.as_str(), condition.reason.as_str());
            ensure!(seen == (status.as_str(), reason.as_str()), "{} {}: {}", seen.0, seen.1, condition.message);
            let (observed, generation) = (condition.observed_generation, model.metadata.generation);
            ensure!(observed == generation, "of generation {observed:?}, and not {generation:?}");
            Ok(condition.clone())
        })
        .await
    }

    /// The pods that are not on their way out.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let of_model = ListParams::default().labels(&format!("{}={}", belfry_crds::contract::MODEL_LABEL, self.name));
        let pods = self.namespace.api::<Pod>().list(&of_model).await?.items;
        Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// The one pod.
    pub async fn pod(&self) -> Result<Pod> {
        let mut pods = self.pods().await?;
        ensure!(pods.len() == 1, "{} pods, and not one", pods.len());
        pods.pop().context("no pod")
    }

    /// Deletes the model.
    pub async fn delete(&self) -> Result<()> {
        self.namespace.api::<InferenceModel>().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

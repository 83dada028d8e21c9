//! A namespace for one test. Whatever happens in the test, the namespace and all that belongs to it
//! are gone afterwards.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace as Object, PersistentVolume};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster_lock::{self, Use};
use crate::{Cluster, FIELD_MANAGER, describe, report, secs, wait};

/// A namespace of one test.
pub struct Namespace {
    /// The cluster.
    pub cluster: Cluster,
    /// `e2e-TEST-RANDOM`.
    pub name: String,
}

/// How a test ended.
pub type TestResult = std::result::Result<(), Failure>;

/// What a failed test shows: the line with its causes, and no backtrace through a runtime.
pub struct Failure(String);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs a test in a namespace of its own. When it fails, what was in there is written out first.
pub async fn in_namespace(test: &str, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> TestResult {
    run(test, Use::Shared, body).await
}

/// The same for a test that changes the cluster for all: no other test of a namespace runs meanwhile, in any program.
pub async fn alone_in_the_cluster(test: &str, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> TestResult {
    run(test, Use::Alone, body).await
}

async fn run(test: &str, how: Use, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> TestResult {
    let cluster = Cluster::connect().await?;
    let _lock = cluster_lock::lock(&cluster.state, how).await?;
    let namespace = Namespace::create(cluster, test).await?;
    let begun = Instant::now();
    let outcome = AssertUnwindSafe(body(&namespace)).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(()))) {
        report(&format!("{} failed; this is in it:\n{}", namespace.name, describe::namespace(&namespace).await));
    }
    let removed = namespace.remove().await;
    report(&format!("{test} took {} s", begun.elapsed().as_secs()));
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) => removed.map_err(Into::into),
    }
}

impl Namespace {
    async fn create(cluster: Cluster, test: &str) -> Result<Self> {
        let random = RandomState::new().hash_one(test) % 0x10_0000;
        let name = format!("e2e-{test}-{random:05x}");
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        let params = PatchParams::apply(FIELD_MANAGER);
        let api = Api::<Object>::all(cluster.client.clone());
        api.patch(&name, &params, &Patch::Apply(object)).await.context("can't make a namespace: run make e2e")?;
        Ok(Self { cluster, name })
    }

    /// Objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Creates or changes an object, as `kubectl apply --server-side` does.
    pub async fn apply<K>(&self, object: &Value) -> Result<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api::<K>().patch(name, &params, &Patch::Apply(object)).await;
        applied.with_context(|| format!("can't apply {} {name}", object["kind"]))
    }

    /// Folder on the node for this namespace's volumes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.cluster.state.join("e2e").join(&self.name)
    }

    /// Name of this namespace's volume, which is in no namespace.
    pub(crate) fn volume_name(&self) -> String {
        self.name.clone()
    }

    async fn remove(&self) -> Result<()> {
        let namespaces = Api::<Object>::all(self.cluster.client.clone());
        namespaces.delete(&self.name, &DeleteParams::default()).await.context("can't delete the namespace")?;
        wait::until(&format!("{} is gone", self.name), secs(120), async || {
            match namespaces.get_opt(&self.name).await? {
                Some(namespace) => bail!("{}", json!(namespace.status)),
                None => Ok(()),
            }
        })
        .await?;
        let volumes = Api::<PersistentVolume>::all(self.cluster.client.clone());
        if volumes.get_opt(&self.volume_name()).await?.is_some() {
            volumes.delete(&self.volume_name(), &DeleteParams::default()).await.context("can't delete the volume")?;
        }
        match std::fs::remove_dir_all(self.folder()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove {}", self.folder().display()))
            }
            _ => Ok(()),
        }
    }
}

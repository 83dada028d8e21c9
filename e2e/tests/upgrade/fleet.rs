//! The models of a control plane without a node, and what is known of their pods.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::status::RuntimeStatus;
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{FIELD_MANAGER, secs, wait};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferencemodels.belfry.dev";
const MODELS: &str = "/apis/belfry.dev/v1alpha1/namespaces/default/inferencemodels";

/// What has to stay as it is: the pod template of each Deployment, by name. The generation may grow: it counts new
/// annotations of the Deployment, too.
pub(crate) type Templates = BTreeMap<String, Value>;

/// The models in the namespace `default`.
pub(crate) struct Fleet {
    client: Client,
    pub(crate) models: Api<InferenceModel>,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
}

impl Fleet {
    pub(crate) async fn new(control_plane: &ControlPlane) -> Result<Self> {
        let client = control_plane.client().await?;
        Ok(Self {
            models: Api::default_namespaced(client.clone()),
            deployments: Api::default_namespaced(client.clone()),
            pods: Api::default_namespaced(client.clone()),
            client,
        })
    }

    /// Defines `InferenceModel` as the version in that folder does.
    pub(crate) async fn define(&self, version: &Path) -> Result<()> {
        self.apply(CRD, &yaml(&version.join("crds/inferencemodels.yaml"))?).await?;
        // The kind is served a moment after its definition is there.
        let list = async || self.models.list(&ListParams::default()).await.map(drop).context("not yet");
        wait::until("the kind is served", secs(30), list).await
    }

    /// Creates a model of every sample in that folder.
    pub(crate) async fn create_samples(&self, version: &Path) -> Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(version.join("config/samples"))? {
            let model = yaml(&entry?.path())?;
            let name = model["metadata"]["name"].as_str().context("a sample without a name")?;
            self.apply(&format!("{MODELS}/{name}"), &model).await?;
            count += 1;
        }
        Ok(count)
    }

    async fn apply(&self, path: &str, object: &Value) -> Result<()> {
        let request = Request::patch(format!("{path}?fieldManager={FIELD_MANAGER}&force=true"))
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string().into_bytes())?;
        self.client.request_text(request).await.with_context(|| path.to_owned()).map(drop)
    }

    /// Waits until the status of each of so many models says of its runtime what is asked for.
    pub(crate) async fn until_all(
        &self,
        what: &str,
        count: usize,
        is_so: impl Fn(&RuntimeStatus) -> bool,
    ) -> Result<()> {
        wait::until(what, secs(60), async || {
            let models = self.models.list(&ListParams::default()).await?.items;
            let runtimes = models.iter().filter_map(|model| model.status.as_ref()?.runtime.as_ref());
            let found = runtimes.filter(|runtime| is_so(runtime)).count();
            ensure!(found == count, "{found} of {count} models");
            Ok(())
        })
        .await
    }

    pub(crate) async fn runtime(&self, name: &str) -> Result<RuntimeStatus> {
        let status = self.models.get(name).await?.status.and_then(|status| status.runtime);
        status.with_context(|| format!("{name} has no status"))
    }

    /// Takes the status of every model away, as a restored backup does.
    pub(crate) async fn lose_statuses(&self) -> Result<()> {
        for model in self.models.list(&ListParams::default()).await?.items {
            let nothing = Patch::Merge(json!({"status": null}));
            let model = self.models.patch_status(&model.name_any(), &PatchParams::default(), &nothing).await?;
            let left = model.status.and_then(|status| status.runtime);
            ensure!(left.is_none(), "{left:?} was kept");
        }
        Ok(())
    }

    pub(crate) async fn templates(&self) -> Result<Templates> {
        let deployments = self.deployments.list(&ListParams::default()).await?.items;
        let template = |deployment: Deployment| {
            let template = serde_json::to_value(deployment.spec.as_ref().map(|spec| &spec.template))?;
            anyhow::Ok((deployment.name_any(), template))
        };
        deployments.into_iter().map(template).collect()
    }

    pub(crate) async fn image(&self, name: &str) -> Result<String> {
        let template = self.templates().await?.remove(name).with_context(|| format!("no Deployment {name}"))?;
        Ok(template["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned())
    }

    /// Does what a kubelet would: the pods of a model answer. Those of a template that is on its way come one by one.
    pub(crate) async fn until_ready(&self, name: &str) -> Result<()> {
        let of_model = ListParams::default().labels(&format!("belfry.dev/model={name}"));
        wait::until(&format!("{name} is ready"), secs(60), async || {
            for pod in self.pods.list(&of_model).await? {
                self.answer(&pod).await?;
            }
            let conditions = self.models.get(name).await?.status.map(|status| status.conditions).unwrap_or_default();
            let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").context("no status")?;
            ensure!(ready.status == "True", "{}: {}", ready.reason, ready.message);
            Ok(())
        })
        .await
    }

    async fn answer(&self, pod: &Pod) -> Result<()> {
        let known = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        if known.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
        {
            return Ok(());
        }
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"});
        let status = Patch::Merge(json!({"status": {"phase": "Running", "conditions": [ready]}}));
        match self.pods.patch_status(&pod.name_any(), &PatchParams::default(), &status).await {
            // It was replaced meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }
}

fn yaml(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_yaml::from_str(&text).with_context(|| path.display().to_string())
}

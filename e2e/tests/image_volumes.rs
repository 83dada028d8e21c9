//! An API server without image volumes takes a pod with one and forgets the image without a word.

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::chaos::specs::model;
use belfry_e2e::chaos::{Operator, PATIENCE, SILENCE, list};
use belfry_e2e::control_plane::{ControlPlane, connect};
use belfry_e2e::proxy::Proxy;
use belfry_e2e::{FIELD_MANAGER, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

struct Setting {
    client: Client,
    proxy: Proxy,
    operator: Operator,
    // The last to go.
    _control_plane: ControlPlane,
}

impl Setting {
    async fn start() -> Result<Self> {
        let control_plane = ControlPlane::start_with("images", "--feature-gates=ImageVolume=false")?;
        let client = connect(&control_plane.kubeconfig()).await?;
        let definition = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/inferencemodels.yaml"))?;
        let definition: Value = serde_yaml::from_str(&definition)?;
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        let params = PatchParams::apply(FIELD_MANAGER);
        definitions.patch("inferencemodels.belfry.dev", &params, &Patch::Apply(&definition)).await?;
        let proxy = Proxy::start(control_plane.config().await?)?;
        let operator = Operator::new(control_plane.place().0.join("operator"), &proxy.address())?;
        Ok(Self { client, proxy, operator, _control_plane: control_plane })
    }

    fn models(&self) -> Api<InferenceModel> {
        Api::default_namespaced(self.client.clone())
    }

    /// The kind is served a moment after its definition is there.
    async fn apply(&self, name: &str, oci: &Value) -> Result<()> {
        let model = model(name, &json!({"task": "Embedding", "model": {"source": {"oci": oci}}}));
        wait::until("the model is applied", PATIENCE, async || {
            let params = PatchParams::apply("a-user").force();
            Ok(self.models().patch(name, &params, &Patch::Apply(&model)).await.map(drop)?)
        })
        .await
    }

    /// Waits until SpecAccepted begins with that text and nothing goes on.
    async fn until_accepted(&self, name: &str, text: &str) -> Result<()> {
        wait::until(&format!("{name} is {text}"), PATIENCE, async || {
            let status = self.models().get(name).await?.status.context("no status")?;
            let accepted = status.conditions.iter().find(|c| c.type_ == "SpecAccepted").context("no condition")?;
            let condition = format!("{} {}: {}", accepted.status, accepted.reason, accepted.message);
            ensure!(condition.starts_with(text), "{condition}");
            ensure!(self.proxy.idle() >= SILENCE, "requests go on, the last one: {}", self.proxy.last());
            Ok(())
        })
        .await
    }

    /// Waits until the cluster has done its part, whose steps the operator repeats in the status, and nothing goes on.
    async fn until_quiet(&self, name: &str) -> Result<()> {
        let deployments = Api::<Deployment>::default_namespaced(self.client.clone());
        wait::until(&format!("the pods of {name} are made"), PATIENCE, async || {
            let deployment = deployments.get(name).await?;
            let status = deployment.status.context("no status")?;
            ensure!(status.observed_generation == deployment.metadata.generation, "{status:?}");
            // Without a node no pod gets further.
            ensure!(status.updated_replicas == Some(1) && status.unavailable_replicas == Some(1), "{status:?}");
            ensure!(self.proxy.idle() >= SILENCE, "requests go on, the last one: {}", self.proxy.last());
            Ok(())
        })
        .await
    }

    /// The pods of the model.
    async fn pod(&self, name: &str) -> Result<PodSpec> {
        let deployment = Api::<Deployment>::default_namespaced(self.client.clone()).get(name).await?;
        deployment.spec.and_then(|spec| spec.template.spec).context("no pod template")
    }
}

#[tokio::test]
async fn a_folder_of_an_image_is_copied_where_it_can_not_be_mounted() -> Result<()> {
    let mut setting = Setting::start().await?;
    setting.operator.start().await?;

    let folder = json!({"image": "registry.example.com/m:1", "path": "model"});
    setting.apply("folder", &folder).await?;
    setting.until_accepted("folder", "True").await?;
    let pod = setting.pod("folder").await?;
    let copies = pod.init_containers.as_ref().is_some_and(|containers| containers.len() == 1);
    ensure!(copies, "nothing copies the model into {:?}", pod.volumes);
    let writes = setting.proxy.writes_since(0);
    let deployments = writes.iter().filter(|call| call.resource == "deployments").count();
    ensure!(deployments == 2, "one write to find out and one that copies, and not {deployments}: {}", list(&writes));

    // What was found out is not forgotten.
    setting.until_quiet("folder").await?;
    setting.operator.kill()?;
    let mark = setting.proxy.mark();
    setting.operator.start().await?;
    setting.until_accepted("folder", "True").await?;
    setting.until_quiet("folder").await?;
    let writes = setting.proxy.writes_since(mark);
    ensure!(writes.is_empty(), "a restart wrote {}", list(&writes));

    // A root can't be copied, and a wish is not overruled.
    setting.apply("root", &json!({"image": "registry.example.com/m:1"})).await?;
    setting.until_accepted("root", "False ImageVolumesMissing").await?;
    let mut wish = folder;
    wish["mount"] = json!("ImageVolume");
    setting.apply("wish", &wish).await?;
    setting.until_accepted("wish", "False ImageVolumesMissing").await?;
    Ok(())
}

//! The Prometheus Operator's own definition of AlertmanagerConfig takes what Belfry writes, with no field that it does not
//! know.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::rig::Rig;
use belfry_e2e::{secs, wait};
use belfry_render::children::child;
use belfry_render::kind::ChildKind;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use serde_json::Value;

use super::{CRDS, post, root, yaml};

const OBJECTS: &str = "/apis/monitoring.coreos.com/v1alpha1/namespaces/default/alertmanagerconfigs";

/// The definition of the version that e2e/tools pins.
fn definition() -> Result<Value> {
    const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
    let tools = root().join("e2e/tools/prometheus-operator");
    let output = Command::new("go")
        .arg("-C")
        .arg(tools)
        .args(["mod", "download", "-json", MODULE])
        .env("GOWORK", "off")
        .output()
        .context("no go")?;
    let module: Value = serde_json::from_slice(&output.stdout).context("go names no folder of the module")?;
    let folder = module["Dir"].as_str().context("the module has no folder")?;
    let file = Path::new(folder).join("example/prometheus-operator-crd/monitoring.coreos.com_alertmanagerconfigs.yaml");
    yaml(&file)
}

#[tokio::test]
async fn the_definition_of_the_prometheus_operator_takes_the_routing_of_the_sample() -> Result<()> {
    let rig = Rig::start("routing")?;
    let client = rig.client().await?;
    let (status, message) = post(&client, CRDS, &definition()?).await?;
    ensure!(status == 201, "the API server refuses the definition with {status}: {message}");
    let mut model: InferenceModel = serde_json::from_value(yaml(&root().join("config/samples/paging.yaml"))?)?;
    model.metadata.namespace = Some("default".into());
    let valid = validate(&model, &Settings::default()).map_err(|problems| anyhow!("{problems:?}"))?;
    let object =
        child(ChildKind::AlertmanagerConfig, &valid)?.object.context("the sample has no AlertmanagerConfig")?;
    let object = serde_json::to_value(object)?;
    // The kind is served a moment after its definition is there.
    wait::until("the object is taken", secs(30), async || {
        let (status, message) = post(&client, &format!("{OBJECTS}?dryRun=All&fieldValidation=Strict"), &object).await?;
        ensure!(status == 201, "{status}: {message}");
        Ok(())
    })
    .await
}

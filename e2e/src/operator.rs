//! The operator that is installed: its settings, its pod, its metrics, and what it would render.

use anyhow::{Context, Result, anyhow, ensure};
use belfry_crds::InferenceModel;
use belfry_operator::args::Args;
use belfry_render::children::{Child, children};
use belfry_render::model::ValidModel;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use clap::Parser as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::{Cluster, OPERATOR, SYSTEM_NAMESPACE, cluster};

/// The settings that the installed operator was started with.
pub async fn settings(cluster: &Cluster) -> Result<Settings> {
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), SYSTEM_NAMESPACE);
    let deployment = deployments.get(OPERATOR).await.context("the chart is not installed: run make e2e")?;
    let pod = deployment.spec.and_then(|spec| spec.template.spec).context("the operator has no pod template")?;
    let container = pod.containers.into_iter().next().context("the operator has no container")?;
    let args = [OPERATOR.to_owned()].into_iter().chain(container.args.into_iter().flatten());
    Ok(Args::try_parse_from(args).context("the installed operator is of another version")?.settings())
}

/// The model as the operator understands it.
pub fn valid(model: &InferenceModel, settings: &Settings) -> Result<ValidModel> {
    validate(model, settings).map_err(|problems| anyhow!("the model is not valid: {problems:?}"))
}

/// The children that the operator's own code renders for a model.
pub fn render(model: &InferenceModel, settings: &Settings) -> Result<Vec<Child>> {
    let valid = valid(model, settings)?;
    Ok(children(&valid)?)
}

/// The operator's pod.
pub async fn pod(cluster: &Cluster) -> Result<Pod> {
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), SYSTEM_NAMESPACE);
    let own = ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR}"));
    let mut pods = pods.list(&own).await?.items;
    ensure!(pods.len() == 1, "{} pods of the operator, and not one", pods.len());
    pods.pop().context("no pod of the operator")
}

/// The lines of the operator's `/metrics` about a namespace.
pub async fn series_about(cluster: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let address = format!("{}/metrics", cluster::service(SYSTEM_NAMESPACE, OPERATOR, "http"));
    let exposition = cluster.get(&address).await?.ok()?.body;
    let of_namespace = format!("namespace=\"{namespace}\"");
    let lines = exposition.lines().filter(|line| line.contains(&of_namespace));
    Ok(lines.map(str::to_owned).collect())
}

//! Scaling with the HorizontalPodAutoscaler's own controller: it reads the operator's external metrics through the API
//! server, and the number of replicas changes hands without a reset.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionType, find};
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{FIELD_MANAGER, secs, wait};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

mod setting;
use setting::{Operator, Workers, install};

const NAME: &str = "scaled";

/// Texts that should wait for each worker.
const WANTED_DEPTH: i64 = 5;

struct Model {
    client: Client,
    workers: Arc<Workers>,
    models: Api<InferenceModel>,
    deployments: Api<Deployment>,
}

impl Model {
    async fn create(client: &Client, workers: Arc<Workers>) -> Result<Self> {
        let models = Api::default_namespaced(client.clone());
        let engine = json!({
            "type": "Custom", "image": "engine:1", "ports": {"http": workers.port},
            "metrics": [{"name": "inference_queue_depth", "from": "jobs_waiting"}],
        });
        let spec = json!({
            "task": "Embedding", "model": {"source": {"pvc": {"claimName": "models"}}}, "engine": engine, "replicas": 2,
        });
        let model = InferenceModel::new(NAME, serde_json::from_value(spec)?);
        models.patch(NAME, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&model)).await?;
        Ok(Self { client: client.clone(), workers, models, deployments: Api::default_namespaced(client.clone()) })
    }

    async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.models.patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn replicas(&self) -> Result<i32> {
        let deployment = self.deployments.get(NAME).await?;
        deployment.spec.and_then(|spec| spec.replicas).context("a Deployment without replicas")
    }

    /// Waits until the Deployment asks for that many, and all of them are ready.
    async fn has(&self, replicas: i32) -> Result<()> {
        wait::until(&format!("{replicas} replicas"), secs(60), async || {
            self.workers.make_ready(&self.client).await?;
            let deployment = self.deployments.get(NAME).await?;
            let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(0);
            ensure!((wanted, ready) == (replicas, replicas), "{wanted} wanted, {ready} ready");
            Ok(())
        })
        .await
    }

    async fn scaling_is(&self, status: &str, reason: &str) -> Result<()> {
        wait::until(&format!("ScalingReady {status} {reason}"), secs(60), async || {
            let model = self.models.get(NAME).await?;
            let conditions = model.status.map(|status| status.conditions).unwrap_or_default();
            let found = find(&conditions, ConditionType::ScalingReady).context("no ScalingReady")?;
            let seen = format!("{} {}: {}", found.status, found.reason, found.message);
            ensure!(found.status == status && found.reason == reason, "{seen}");
            Ok(())
        })
        .await
    }

    /// The managers of the number of replicas.
    async fn owners(&self) -> Result<Vec<String>> {
        let deployment = self.deployments.get(NAME).await?;
        let entries = deployment.metadata.managed_fields.unwrap_or_default();
        let owns = |fields: &Value| fields.pointer("/f:spec/f:replicas").is_some();
        let owners = entries.into_iter().filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
        Ok(owners.filter_map(|entry| entry.manager).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_scaler_takes_the_number_over_raises_it_and_gives_it_back_without_a_reset() -> Result<()> {
    let control_plane = ControlPlane::start("scaling")?;
    let client = control_plane.client().await?;
    let operator_port = install(&client).await?;
    let operator = Operator::start(&client, operator_port).await?;
    let workers = Workers::start(WANTED_DEPTH).await?;
    let model = Model::create(&client, workers.clone()).await?;
    model.has(2).await?;
    let scalers = Api::<HorizontalPodAutoscaler>::default_namespaced(client.clone());
    let history = setting::history(&client, NAME).await?;

    // On: two workers that have exactly what they should have stay two.
    let autoscaling = json!({"maxReplicas": 4, "metrics": [{"type": "QueueDepth", "averageValue": WANTED_DEPTH}]});
    model.change(json!({"replicas": null, "autoscaling": autoscaling})).await?;
    model.scaling_is("True", "ScalerActive").await?;
    ensure!(model.replicas().await? == 2);
    ensure!(
        !model.owners().await?.contains(&"belfry-operator".to_owned()),
        "the operator owns the number beside a scaler"
    );

    // Twice the work makes twice the workers, and no more than the most.
    workers.depth.store(2 * WANTED_DEPTH, Ordering::Relaxed);
    model.has(4).await?;
    served_through_the_api_server(&client, &format!("{}", 8 * WANTED_DEPTH)).await?;
    the_port_is_shut_for_everybody_else(operator_port).await?;

    // A suspended model has no scaler. Afterwards it has as many workers as before.
    model.change(json!({"suspend": true})).await?;
    wait::until("the model sleeps", secs(15), async || {
        ensure!(model.replicas().await? == 0 && scalers.get_opt(NAME).await?.is_none());
        Ok(())
    })
    .await?;
    model.change(json!({"suspend": null})).await?;
    model.has(4).await?;
    model.scaling_is("True", "ScalerActive").await?;

    // An operator that starts again finds every child as it should be.
    operator.stop().await?;
    ensure!(setting::api_service(&client).await?.is_none(), "the APIService leads to an operator that has ended");
    a_namespace_can_be_deleted(&client).await?;
    let operator = Operator::start(&client, operator_port).await?;
    operator.has_passed_over_the_model().await?;
    ensure!(operator.writes()?.is_empty(), "it wrote: {:?}", operator.writes()?);

    // Workers that say nothing are no workers without work.
    workers.is_silent.store(true, Ordering::Relaxed);
    model.scaling_is("False", "MetricsMissing").await?;
    ensure!(model.replicas().await? == 4);

    // Off: the number stays, and is the operator's again.
    model.change(json!({"autoscaling": null})).await?;
    wait::until("the scaler is gone", secs(15), async || {
        ensure!(scalers.get_opt(NAME).await?.is_none(), "it is there");
        let owners = model.owners().await?;
        ensure!(owners.contains(&"belfry-operator".to_owned()), "{owners:?} own the number");
        Ok(())
    })
    .await?;
    ensure!(model.replicas().await? == 4);
    let seen = history.lock().clone();
    ensure!(seen == [2, 4, 0, 4], "the number was {seen:?} in turn");

    // An uninstallation leaves no APIService, whatever becomes of the operator.
    ensure!(setting::api_service(&client).await?.is_some(), "there is no APIService");
    setting::uninstall(&client).await?;
    wait::until("the APIService is gone with its role", secs(30), async || {
        ensure!(setting::api_service(&client).await?.is_none(), "it is there");
        Ok(())
    })
    .await?;
    operator.stop().await
}

/// While an APIService leads to a Service without a server, it can't.
async fn a_namespace_can_be_deleted(client: &Client) -> Result<()> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short"}});
    namespaces.patch("short", &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(namespace)).await?;
    wait::until("the API server forgets the group", secs(30), async || {
        let all = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let groups = client.request_text(Request::get("/apis").header("accept", all).body(vec![])?).await?;
        ensure!(groups.contains("autoscaling") && !groups.contains("external.metrics.k8s.io"), "{groups}");
        Ok(())
    })
    .await?;
    namespaces.delete("short", &DeleteParams::default()).await?;
    wait::until("the namespace is gone", secs(30), async || {
        let left = namespaces.get_opt("short").await?;
        ensure!(left.is_none(), "{:?}", left.and_then(|left| left.status));
        Ok(())
    })
    .await
}

/// Asks as `kubectl get --raw` does.
async fn served_through_the_api_server(client: &Client, expected: &str) -> Result<()> {
    let group = "/apis/external.metrics.k8s.io/v1beta1";
    let resources: Value = client.request(Request::get(group).body(vec![])?).await?;
    ensure!(resources["resources"][0]["name"] == "belfry_model_queue_depth", "{resources}");
    let path = format!("{group}/namespaces/default/belfry_model_queue_depth?labelSelector=belfry.dev%2Fmodel%3D{NAME}");
    let list: Value = client.request(Request::get(path).body(vec![])?).await?;
    ensure!(list["items"][0]["value"] == expected, "{list}");
    Ok(())
}

/// A client without the certificate of the front proxy gets no answer.
async fn the_port_is_shut_for_everybody_else(port: u16) -> Result<()> {
    let mut config = kube::Config::new(format!("https://127.0.0.1:{port}").parse()?);
    config.accept_invalid_certs = true;
    let stranger = Client::try_from(config)?;
    let answer = stranger.request_text(Request::get("/apis/external.metrics.k8s.io/v1beta1").body(vec![])?).await;
    ensure!(answer.is_err(), "a stranger was answered: {answer:?}");
    Ok(())
}

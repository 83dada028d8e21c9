//! What stands around the scaler: the operator in this process, its way into the API server, and workers that only say how
//! much they have to do.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use axum::routing::get;
use belfry_crds::InferenceModel;
use belfry_e2e::{FIELD_MANAGER, secs, wait};
use belfry_operator::apply::Disputes;
use belfry_operator::controller;
use belfry_operator::drift::Drift;
use belfry_operator::evaluation::Evaluation;
use belfry_operator::fleet::Fleet;
use belfry_operator::loaded::Loaded;
use belfry_operator::metrics::Metrics;
use belfry_operator::observe::{self, Cache, WatchScope};
use belfry_operator::scaling::{Scaling, ScalingArgs};
use belfry_render::settings::Settings;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

const NAMESPACE: &str = "belfry-system";
const SERVICE: &str = "belfry-operator";
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
const ROLE: &str = "belfry-operator-external-metrics";

/// The APIService of external metrics, if there is one.
pub(crate) async fn api_service(client: &Client) -> Result<Option<APIService>> {
    Ok(Api::<APIService>::all(client.clone()).get_opt(API_SERVICE).await?)
}

/// Takes the role away with which the chart makes the APIService possible, as an uninstallation does.
pub(crate) async fn uninstall(client: &Client) -> Result<()> {
    Api::<ClusterRole>::all(client.clone()).delete(ROLE, &DeleteParams::default()).await?;
    Ok(())
}

async fn create<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object)?;
    let params = PatchParams::apply(FIELD_MANAGER);
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.with_context(|| object.name_any())?;
    Ok(())
}

/// Creates the CRD, and of what the chart creates for external metrics the Service and the role. The Service leads to this machine, where the operator
/// is to listen on the port that is returned.
pub(crate) async fn install(client: &Client) -> Result<u16> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let definition = std::fs::read_to_string(root.join("crds/inferencemodels.yaml"))?;
    create::<CustomResourceDefinition>(Api::all(client.clone()), serde_yaml::from_str(&definition)?).await?;
    let models = Api::<InferenceModel>::all(client.clone());
    wait::until("the kind is served", secs(30), async || Ok(models.list(&ListParams::default()).await.map(drop)?))
        .await?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
    create::<Namespace>(Api::all(client.clone()), json!({"metadata": {"name": NAMESPACE}})).await?;
    let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    let spec = json!({"type": "ExternalName", "externalName": "localhost"});
    create(services, json!({"metadata": {"name": SERVICE}, "spec": spec})).await?;
    let rules = json!([{"apiGroups": ["apiregistration.k8s.io"], "resources": ["apiservices"], "verbs": ["create"]}]);
    create::<ClusterRole>(Api::all(client.clone()), json!({"metadata": {"name": ROLE}, "rules": rules})).await?;
    Ok(port)
}

/// The operator, as its own process runs it.
pub(crate) struct Operator {
    end: oneshot::Sender<()>,
    controller: JoinHandle<Result<()>>,
    metrics: Arc<Metrics>,
    scaling: Arc<Scaling>,
    served: JoinSet<()>,
}

impl Operator {
    pub(crate) async fn start(client: &Client, port: u16) -> Result<Self> {
        let metrics = Arc::new(Metrics::new()?);
        let (cache, drift) = (Arc::new(Cache::default()), Arc::new(Drift::new(Settings::default())));
        let watches = observe::start(client, (&cache, drift.clone()), &metrics, WatchScope::Cluster).await?;
        let scaling = Scaling::new(cache.clone(), drift.clone(), watches.trigger.clone());
        let args = ScalingArgs {
            external_metrics_listen: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
            external_metrics_service: format!("{NAMESPACE}/{SERVICE}:{port}").parse().map_err(anyhow::Error::msg)?,
            external_metrics_role: Some(ROLE.into()),
        };
        let served = scaling.serve(client.clone(), &args).await?;
        let reporter = Reporter { controller: SERVICE.into(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let context = Arc::new(controller::Context {
            client: client.clone(),
            fleet: Fleet::new(cache.clone(), None),
            cache,
            drift,
            disputes: Disputes::new(std::time::Instant::now()),
            metrics: metrics.clone(),
            scaling: scaling.clone(),
            loaded: Loaded::new(watches.trigger.clone()),
            evaluation: Arc::new(Evaluation::new(false)),
            recorder,
            traces: None,
        });
        let (end, ended) = oneshot::channel();
        let ended = async { ended.await.unwrap_or(()) };
        let controller = tokio::spawn(controller::run(context, watches, None, None, ended));
        Ok(Self { end, controller, metrics, scaling, served })
    }

    /// Waits for the first pass. A pass is counted when it has ended.
    pub(crate) async fn has_passed_over_the_model(&self) -> Result<()> {
        wait::until("a pass", secs(30), async || {
            ensure!(
                self.series("belfry_operator_reconcile_total")?.iter().any(|line| !line.ends_with(" 0")),
                "none yet"
            );
            Ok(())
        })
        .await
    }

    /// Series of writes that were made to children. The status may say meanwhile that the scaler missed a reading.
    pub(crate) fn writes(&self) -> Result<Vec<String>> {
        let of_status = ["kind=\"InferenceModel\"", "kind=\"Event\""];
        let written = |line: &String| !line.ends_with(" 0") && !of_status.iter().any(|kind| line.contains(kind));
        Ok(self.series("belfry_operator_api_writes_total")?.into_iter().filter(written).collect())
    }

    fn series(&self, name: &str) -> Result<Vec<String>> {
        let exposition = self.metrics.expose()?;
        Ok(exposition.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect())
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        ensure!(self.end.send(()).is_ok(), "the operator ended by itself");
        self.scaling.withdraw(&mut self.served).await;
        // Its port is free again for the next one.
        self.served.shutdown().await;
        self.controller.await?
    }
}

/// What all workers say. They share an address, since the control_plane has no node.
pub(crate) struct Workers {
    pub(crate) port: u16,
    pub(crate) depth: AtomicI64,
    pub(crate) is_silent: AtomicBool,
}

impl Workers {
    pub(crate) async fn start(depth: i64) -> Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let workers = Arc::new(Self { port, depth: AtomicI64::new(depth), is_silent: AtomicBool::new(false) });
        let said = workers.clone();
        let metrics = get(async move || {
            if said.is_silent.load(Ordering::Relaxed) {
                return (StatusCode::SERVICE_UNAVAILABLE, String::new());
            }
            (StatusCode::OK, format!("jobs_waiting {}\n", said.depth.load(Ordering::Relaxed)))
        });
        tokio::spawn(axum::serve(listener, axum::Router::new().route("/metrics", metrics)).into_future());
        Ok(workers)
    }

    /// Does what a kubelet would: every pod runs and is ready.
    pub(crate) async fn make_ready(&self, client: &Client) -> Result<()> {
        let pods = Api::<Pod>::default_namespaced(client.clone());
        for pod in pods.list(&ListParams::default()).await? {
            if pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some()) {
                continue;
            }
            let now = Timestamp::now().to_string();
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": now});
            let address = Ipv4Addr::LOCALHOST.to_string();
            let status = json!({
                "phase": "Running", "conditions": [ready], "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
            });
            let patch = Patch::Merge(json!({"status": status}));
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }
}

/// Every number of replicas that a Deployment asks for from now on, in turn.
pub(crate) async fn history(client: &Client, name: &str) -> Result<Arc<Mutex<Vec<i32>>>> {
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let seen = Arc::new(Mutex::new(vec![]));
    let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(290);
    let mut events = deployments.watch(&params, "0").await?.boxed();
    let written = seen.clone();
    tokio::spawn(async move {
        while let Ok(Some(event)) = events.try_next().await {
            let (WatchEvent::Added(deployment) | WatchEvent::Modified(deployment)) = event else { continue };
            let replicas = deployment.spec.and_then(|spec| spec.replicas);
            let mut seen = written.lock();
            if seen.last().copied() != replicas {
                seen.extend(replicas);
            }
        }
    });
    Ok(seen)
}

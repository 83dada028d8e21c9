//! Series about models, from the watches of a real API server: where pods run, what they request, and how long the series last.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::routing::get;
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_e2e::{secs, tool, wait};
use belfry_operator::drift::Drift;
use belfry_operator::fleet::Fleet;
use belfry_operator::metrics::Metrics;
use belfry_operator::observe::{self, Cache, WatchScope, Watches};
use belfry_render::settings::Settings;
use http::Request;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const MODELS: &str = "/apis/belfry.dev/v1alpha1/namespaces/default/inferencemodels";
const PODS: &str = "/api/v1/namespaces/default/pods";
const NODES: &str = "/api/v1/nodes";

async fn send(client: &Client, method: &str, path: &str, content: &str, body: &Value) -> Result<()> {
    let request = Request::builder().method(method).uri(path).header("content-type", content);
    client
        .request_text(request.body(body.to_string().into_bytes())?)
        .await
        .with_context(|| format!("{method} {path}"))?;
    Ok(())
}

async fn create(client: &Client, path: &str, body: &Value) -> Result<()> {
    // Kinds, and the service account that admission wants for a pod, are there a moment after what brings them.
    wait::until(path, secs(30), async || send(client, "POST", path, "application/json", body).await).await
}

fn manifest(path: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    Ok(serde_yaml::from_str(&std::fs::read_to_string(&path).with_context(|| path.display().to_string())?)?)
}

fn node(name: &str, zone: &str) -> Value {
    let labels = json!({
        "topology.kubernetes.io/zone": zone, "karpenter.sh/capacity-type": "spot", "nvidia.com/gpu.product": "NVIDIA-L4",
    });
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// A worker's pod as the scheduler leaves it.
fn pod(model: &str, node: &str) -> Value {
    let labels = json!({"app.kubernetes.io/managed-by": "belfry-operator", "belfry.dev/model": model});
    let resources = json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    let container = json!({"name": "worker", "image": "belfry-worker:1", "resources": resources});
    let metadata = json!({"name": format!("{model}-1"), "labels": labels});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node, "containers": [container]}})
}

/// The reading half of an operator.
struct Reader {
    cache: Arc<Cache>,
    fleet: Arc<Fleet>,
    /// Dropping them ends the watches.
    _watches: Watches,
}

impl Reader {
    async fn start(client: &Client, scope: WatchScope) -> Result<Self> {
        let (cache, metrics) = (Arc::new(Cache::default()), Arc::new(Metrics::new()?));
        let drift = Arc::new(Drift::new(Settings::default()));
        let watches = observe::start(client, (&cache, drift), &metrics, scope).await?;
        Ok(Self { fleet: Fleet::new(cache.clone(), None), cache, _watches: watches })
    }

    fn scrape(&self) -> String {
        self.fleet.families().collect()
    }

    async fn shows(&self, series: &str) -> Result<()> {
        wait::until(series, secs(20), async || {
            let text = self.scrape();
            ensure!(text.lines().any(|line| line == series), "{text}");
            Ok(())
        })
        .await
    }
}

/// The series of models as two Prometheus store them: one that leaves them their labels, as the chart asks, and one with
/// `overrideHonorLabels`, which does not.
async fn one_shape_for_every_prometheus(control_plane: &ControlPlane, exposition: String) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = listener.local_addr()?.to_string();
    let router = axum::Router::new().route("/metrics", get(async move || exposition));
    tokio::spawn(axum::serve(listener, router).into_future());
    let relabelings = metric_relabelings()?;
    let mut shapes = vec![];
    for honors in [true, false] {
        let own = json!({"namespace": "belfry-system", "pod": "belfry-operator-1"});
        let scrape = json!({
            "job_name": "belfry-operator", "scrape_interval": "1s", "honor_labels": honors,
            "metric_relabel_configs": relabelings, "static_configs": [{"targets": [target], "labels": own}],
        });
        let folder = control_plane.place().0.join(format!("prometheus-{honors}"));
        let prometheus = OwnPrometheus::start(&folder, &json!({"scrape_configs": [scrape]})).await?;
        let stored = wait::until("the series are stored", secs(30), async || {
            let stored = prometheus.query(r#"{model="minilm"}"#).await?;
            ensure!(!stored.is_empty(), "none yet");
            Ok(stored)
        })
        .await?;
        let labels = stored.iter().map(|series| series["metric"].to_string());
        shapes.push(labels.collect::<BTreeSet<_>>());
    }
    ensure!(shapes[0] == shapes[1], "{shapes:#?}");
    ensure!(shapes[0].iter().all(|labels| labels.contains(r#""namespace":"default""#)), "{:#?}", shapes[0]);
    Ok(())
}

/// What the chart's ServiceMonitor does to series, as Prometheus writes it.
fn metric_relabelings() -> Result<Value> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/belfry");
    let mut helm = Command::new(tool("helm"));
    helm.args(["template", "belfry", "--show-only", "templates/monitoring.yaml", "--set", "monitoring.enabled=true"]);
    let output = helm.arg(chart).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let objects = serde_yaml::Deserializer::from_slice(&output.stdout).map(Value::deserialize);
    let objects = objects.collect::<Result<Vec<_>, _>>()?;
    let monitor = objects.iter().find(|object| object["kind"] == "ServiceMonitor").context("no ServiceMonitor")?;
    let endpoint = &monitor["spec"]["endpoints"][0];
    ensure!(endpoint["honorLabels"] == true, "{endpoint}");
    Ok(endpoint["metricRelabelings"].clone())
}

#[tokio::test]
async fn a_scrape_shows_where_pods_run_and_forgets_models_that_are_gone() -> Result<()> {
    let control_plane = ControlPlane::start("fleet")?;
    let client = control_plane.client().await?;
    create(&client, CRDS, &manifest("crds/inferencemodels.yaml")?).await?;
    let mut model = manifest("config/samples/minimal.yaml")?;
    model["metadata"]["name"] = json!("minilm");
    create(&client, MODELS, &model).await?;
    create(&client, NODES, &node("n1", "zone-a")).await?;

    let whole = Reader::start(&client, WatchScope::Cluster).await?;
    ensure!(whole.cache.sizes().contains(&("nodes", 0)), "nodes are read although there is no pod");
    create(&client, PODS, &pod("minilm", "n1")).await?;
    let place = |zone: &str| {
        format!(r#"{{namespace="default",model="minilm",zone="{zone}",capacity_type="spot",gpu="NVIDIA-L4"}}"#)
    };
    whole.shows(&format!("belfry_model_placed_replicas{} 1", place("zone-a"))).await?;
    whole.shows(&format!("belfry_model_requested_cpu_cores{} 0.5", place("zone-a"))).await?;
    whole.shows(&format!("belfry_model_requested_memory_bytes{} 1073741824", place("zone-a"))).await?;

    one_shape_for_every_prometheus(&control_plane, whole.scrape()).await?;

    let moved = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "zone-b"}}});
    send(&client, "PATCH", &format!("{NODES}/n1"), "application/merge-patch+json", &moved).await?;
    whole.shows(&format!("belfry_model_placed_replicas{} 1", place("zone-b"))).await?;

    // Where a Role is all, nodes are not asked for, and nothing else is missing.
    let listed = Reader::start(&client, WatchScope::Namespaces(["default".to_owned()].into())).await?;
    let unknown = r#"{namespace="default",model="minilm",zone="",capacity_type="unknown",gpu=""}"#;
    listed.shows(&format!("belfry_model_placed_replicas{unknown} 1")).await?;
    wait::holds("nodes are not read", secs(3), async || {
        ensure!(listed.cache.sizes().contains(&("nodes", 0)), "{:?}", listed.cache.sizes());
        Ok(())
    })
    .await?;

    send(&client, "DELETE", &format!("{MODELS}/minilm"), "application/json", &json!({})).await?;
    for reader in [&whole, &listed] {
        wait::until("no series is left", secs(20), async || {
            let text = reader.scrape();
            ensure!(text.is_empty(), "{text}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

//! The control planes that the fault tests of a program share, one test at a time on each.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use belfry_operator::observe::prometheus_resource;
use belfry_render::kind::ChildKind;
use kube::Config;
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::control_plane::ControlPlane;
use crate::{OPERATOR, SYSTEM_NAMESPACE, secs, tool};

/// A control plane that knows the kinds of Belfry, of the Prometheus Operator and of KEDA, and the operator's roles.
pub struct FaultCluster {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Shown for the operator.
    token: String,
}

/// The kinds of the Prometheus Operator.
pub const MONITORING_KINDS: [ChildKind; 3] =
    [ChildKind::ServiceMonitor, ChildKind::PrometheusRule, ChildKind::AlertmanagerConfig];

/// As many tests as run at once have a cluster of their own: most want all models of a cluster for themselves.
const CLUSTERS: usize = 3;

static FREE: Semaphore = Semaphore::const_new(CLUSTERS);
static POOL: [Mutex<Option<FaultCluster>>; CLUSTERS] = [const { Mutex::const_new(None) }; CLUSTERS];

/// A cluster that one test has to itself.
pub(super) struct Taken {
    cluster: MutexGuard<'static, Option<FaultCluster>>,
    _permit: SemaphorePermit<'static>,
}

impl Taken {
    /// Waits until a cluster is free. The first test on each starts it.
    pub(super) async fn take() -> Result<Self> {
        let permit = FREE.acquire().await?;
        let free = POOL.iter().enumerate().find_map(|(number, cluster)| Some((number, cluster.try_lock().ok()?)));
        let (number, mut cluster) = free.context("more tests than clusters")?;
        if cluster.is_none() {
            *cluster = Some(FaultCluster::start(number)?);
        }
        Ok(Self { cluster, _permit: permit })
    }

    pub(super) fn cluster(&self) -> Result<&FaultCluster> {
        self.cluster.as_ref().context("no cluster")
    }
}

impl FaultCluster {
    fn start(number: usize) -> Result<Self> {
        let mut cluster =
            Self { control_plane: ControlPlane::start(&format!("chaos-{number}"))?, token: String::new() };
        // Statics are never dropped. Another process ends the control plane when this process ends.
        cluster.end_with_this_process()?;
        cluster.define_models()?;
        for kind in ChildKind::ALL.iter().filter(|kind| kind.is_optional()) {
            cluster.apply(&definition(*kind))?;
        }
        cluster.apply(&definition_of(&prometheus_resource()))?;
        cluster.token = cluster.install_roles(SYSTEM_NAMESPACE, VALUES)?;
        Ok(cluster)
    }

    /// How the operator of the chart reaches the API server.
    pub async fn access(&self) -> Result<Config> {
        self.control_plane.config_with(&self.token).await
    }

    /// Makes a namespace with the service account and the roles of a chart of its own, and gives a token of the account.
    pub fn install_roles(&self, namespace: &str, values: &str) -> Result<String> {
        self.kubectl(&["create", "namespace", namespace], "")?;
        self.kubectl(&["apply", "--server-side", "--filename", "-"], &roles(namespace, values)?)?;
        self.token(namespace, OPERATOR)
    }

    /// A token of a service account, for longer than any test.
    pub fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let token = self.at_last(&["create", "token", account, "--namespace", namespace, "--duration=24h"])?;
        Ok(token.trim().to_owned())
    }

    fn end_with_this_process(&self) -> Result<()> {
        let script = manifest("e2e/cluster/without_node.sh");
        let (folder, port) = self.control_plane.place();
        Command::new("bash")
            .args(["-c", r#"tail --pid="$0" --follow /dev/null; exec "$@""#, &std::process::id().to_string()])
            .args([script.as_os_str(), "down".as_ref(), folder.as_os_str(), port.to_string().as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the keyboard ends the tests and not this process.
            .process_group(0)
            .spawn()
            .context("no bash")?;
        Ok(())
    }

    /// Defines `InferenceModel` as it is released.
    pub fn define_models(&self) -> Result<()> {
        let path = manifest("crds/inferencemodels.yaml");
        let path = path.to_str().context("a path that is no text")?;
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", path], "")?;
        // Before a new definition has a status at all, kubectl does not wait for one.
        self.at_last(&["wait", "--for=condition=Established", "--timeout=30s", "--filename", path]).map(drop)
    }

    /// Runs kubectl until it succeeds, for what controllers of Kubernetes make a moment later.
    fn at_last(&self, arguments: &[&str]) -> Result<String> {
        let begun = Instant::now();
        loop {
            match self.kubectl(arguments, "") {
                Err(_) if begun.elapsed() < secs(30) => {}
                result => return result,
            }
        }
    }

    /// Applies an object as an administrator.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        self.kubectl(&arguments, &object.to_string()).map(drop)
    }

    /// An error holds what promtool finds wrong with the spec of a PrometheusRule.
    pub fn check_rules(&self, spec: &Value) -> Result<()> {
        let mut promtool = Command::new(tool("promtool"));
        promtool.args(["check", "rules"]);
        // JSON is YAML.
        run(promtool, &spec.to_string()).map(drop)
    }

    /// Runs kubectl as an administrator; gives its output.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut kubectl = Command::new(tool("kubectl"));
        kubectl.arg("--kubeconfig").arg(self.control_plane.kubeconfig()).args(arguments);
        run(kubectl, input)
    }
}

/// Name of the definition of a kind.
pub fn definition_name(kind: ChildKind) -> String {
    let ApiResource { group, plural, .. } = kind.api_resource();
    format!("{plural}.{group}")
}

/// A definition of an optional kind that takes every object.
pub fn definition(kind: ChildKind) -> Value {
    definition_of(&kind.api_resource())
}

fn definition_of(resource: &ApiResource) -> Value {
    let ApiResource { group, version, plural, kind: name, .. } = resource;
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": name, "plural": plural, "singular": name.to_lowercase(), "listKind": format!("{name}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

/// Values with which the chart grants all that the operator may need.
pub const VALUES: &str = "replicas=2,monitoring.authentication=true";

/// With this, too, what the operator needs to serve external metrics. A cluster has one place for them.
pub const EXTERNAL_METRICS: &str = "externalMetrics.enabled=true";

/// The operator's roles, as the chart grants them with these values.
pub fn roles(namespace: &str, values: &str) -> Result<String> {
    let mut helm = Command::new(tool("helm"));
    helm.args(["template", OPERATOR, "--namespace", namespace, "--show-only", "templates/rbac.yaml", "--set", values]);
    // Helm does not show a template that renders nothing.
    if values.contains(EXTERNAL_METRICS) {
        helm.args(["--show-only", "templates/external-metrics.yaml"]);
    }
    helm.arg(manifest("charts/belfry"));
    run(helm, "")
}

fn run(mut command: Command, input: &str) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A file of the project.
fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

//! The chart on a control plane of its own: from its default shape to each other and back, by upgrade and by rollback.
//!
//! No pod runs, so that each step also has to do without an operator: what it leaves must keep no namespace. The APIService of
//! an operator that runs: `e2e/tests/scaling/main.rs`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::{MONITORING_KINDS, definition};
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{secs, tool, wait};
use serde_json::json;

const NAMESPACE: &str = "belfry-system";

/// Values that change the shape of what is installed, the defaults first.
const SHAPES: &[&str] = &[
    "replicas=1",
    "replicas=2",
    "externalMetrics.enabled=true",
    "replicas=2,externalMetrics.enabled=true,monitoring.authentication=true",
    "namespaces={a,b}",
    "replicas=2,namespaces={b},monitoring.enabled=false",
    "templateUpgrades.mode=Staged,monitoring.prometheusURL=http://prometheus.monitoring:9090",
];

/// Kinds of which the chart has objects.
const KINDS: &str = "deployments,services,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,\
    poddisruptionbudgets,servicemonitors,prometheusrules,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// The one APIService that the operator may make.
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";

#[tokio::test]
async fn every_change_of_values_goes_up_down_and_back_and_an_uninstall_leaves_nothing() -> Result<()> {
    let control_plane = ControlPlane::start("chart")?;
    let chart = Chart { control_plane: &control_plane };
    for namespace in [NAMESPACE, "a", "b"] {
        chart.kubectl(&["create", "namespace", namespace])?;
    }
    for kind in MONITORING_KINDS {
        chart.create(&definition(kind).to_string(), &[])?;
    }
    // Helm has two ways to change objects.
    for server_side in ["true", "false"] {
        chart.walk(server_side).with_context(|| format!("--server-side={server_side}"))?;
        chart.the_operator_makes_one_api_service_and_no_other().await?;
        chart.a_namespace_goes().await?;
        chart.the_budget_is_about_the_operators(server_side).await?;
        chart.helm(&["uninstall", "belfry", "--namespace", NAMESPACE])?;
        let label = "app.kubernetes.io/name=belfry-operator";
        let left = chart.kubectl(&["get", KINDS, "--all-namespaces", "--selector", label, "--output=name"])?;
        ensure!(left.trim().is_empty(), "the uninstallation leaves {left}");
    }
    Ok(())
}

struct Chart<'a> {
    control_plane: &'a ControlPlane,
}

impl Chart<'_> {
    /// From the first shape to each other: up, down, and up again by a rollback.
    fn walk(&self, server_side: &str) -> Result<()> {
        for shape in &SHAPES[1..] {
            for values in [SHAPES[0], shape, SHAPES[0]] {
                self.upgrade(values, server_side)?;
            }
            self.helm(&["rollback", "belfry", "--namespace", NAMESPACE]).with_context(|| format!("back to {shape}"))?;
        }
        // One with external metrics.
        self.upgrade(SHAPES[2], server_side)
    }

    fn upgrade(&self, values: &str, server_side: &str) -> Result<()> {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/belfry");
        let chart = chart.to_str().context("a path that is no text")?;
        let server_side = format!("--server-side={server_side}");
        let arguments = ["upgrade", "--install", "belfry", chart, "--namespace", NAMESPACE, "--set", values];
        self.helm(&[arguments.as_slice(), &[&server_side]].concat()).with_context(|| format!("to {values}"))?;
        Ok(())
    }

    /// The role can't say it, and a policy does.
    async fn the_operator_makes_one_api_service_and_no_other(&self) -> Result<()> {
        let account = format!("--as=system:serviceaccount:{NAMESPACE}:belfry-operator");
        let create = |group: &str| {
            let spec = json!({"group": group, "version": "v1beta1", "groupPriorityMinimum": 1, "versionPriority": 1});
            let object = json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("v1beta1.{group}")}, "spec": spec,
            });
            self.create(&object.to_string(), &["--dry-run=server", &account])
        };
        // A policy takes effect a moment after it is made.
        wait::until("the policy", secs(30), async || {
            let refused = create("other.example.com").err().context("another APIService is let pass")?;
            ensure!(format!("{refused:#}").contains(&format!("no APIService but {API_SERVICE}")), "{refused:#}");
            Ok(())
        })
        .await?;
        create("external.metrics.k8s.io").map(drop)
    }

    /// Two operators have a budget that counts both, and one has none.
    async fn the_budget_is_about_the_operators(&self, server_side: &str) -> Result<()> {
        let budget = || {
            let get = ["get", "poddisruptionbudget", "belfry-operator", "--namespace", NAMESPACE, "--ignore-not-found"];
            self.kubectl(
                &[get.as_slice(), &["--output=jsonpath={.status.expectedPods} {.status.desiredHealthy}"]].concat(),
            )
        };
        self.upgrade(SHAPES[1], server_side)?;
        wait::until("the budget", secs(30), async || {
            let budget = budget()?;
            ensure!(budget == "2 1", "{budget:?}");
            Ok(())
        })
        .await?;
        self.upgrade(SHAPES[0], server_side)?;
        let left = budget()?;
        ensure!(left.is_empty(), "a single operator has a budget: {left}");
        Ok(())
    }

    async fn a_namespace_goes(&self) -> Result<()> {
        self.kubectl(&["create", "namespace", "short"])?;
        self.kubectl(&["delete", "namespace", "short", "--wait=false"])?;
        wait::until("the namespace is gone", secs(30), async || {
            let left = self.kubectl(&["get", "namespace", "short", "--ignore-not-found", "--output=yaml"])?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
        .await
    }

    fn create(&self, object: &str, more: &[&str]) -> Result<String> {
        let file = self.control_plane.kubeconfig().with_file_name("object.json");
        std::fs::write(&file, object)?;
        let file = file.to_str().context("a path that is no text")?;
        self.kubectl(&[&["create", "--filename", file], more].concat())
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments)
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run("helm", arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tool(program));
        command.env("KUBECONFIG", self.control_plane.kubeconfig()).args(arguments);
        let output = command.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

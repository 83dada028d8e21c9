//! A control plane that is ready for either side of the comparison. Both get a new one, prepared in the same way, because the
//! size of what is stored and what the API server did before change its speed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};

use super::plain;
use super::process::cpu_seconds;
use crate::control_plane::{ControlPlane, Part, connect};
use crate::{OPERATOR, SYSTEM_NAMESPACE, secs, wait};

/// Models of the warm-up.
const WARM_UP: usize = 8;

/// A control plane with the kinds and the rights that the operator needs, and empty namespaces.
pub(super) struct BenchCluster {
    /// The control plane.
    pub(super) control_plane: ControlPlane,
    /// An administrator, whose requests the audit log leaves out.
    pub(super) admin: Client,
    /// A client with the operator's rights, and the same checks on each request.
    pub(super) as_operator: Client,
}

impl BenchCluster {
    /// Starts a control plane for so many models, and warms it up.
    pub(super) async fn new(name: &str, sample: &str, models: usize) -> Result<Self> {
        let control_plane = ControlPlane::start(name)?;
        prepare(&control_plane.kubeconfig(), &operator_kubeconfig(&control_plane))?;
        let cluster = Self {
            admin: control_plane.client().await?,
            as_operator: connect(&operator_kubeconfig(&control_plane)).await?,
            control_plane,
        };
        cluster.warm_up(sample).await?;
        for number in (0..models).step_by(plain::IN_A_NAMESPACE) {
            cluster.create_namespace(&plain::namespace(number)).await?;
        }
        Ok(cluster)
    }

    /// Kubeconfig of the operator's service account.
    pub(super) fn operator_kubeconfig(&self) -> PathBuf {
        operator_kubeconfig(&self.control_plane)
    }

    /// User name of the operator, in the audit log.
    pub(super) fn user() -> String {
        format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}")
    }

    /// Processor time that the API server has used, in seconds.
    pub(super) fn api_server_seconds(&self) -> Result<f64> {
        cpu_seconds(self.control_plane.pid(Part::ApiServer)?)
    }

    /// Makes a namespace.
    #[allow(clippy::disallowed_methods, reason = "nothing is applied twice here")]
    pub(super) async fn create_namespace(&self, name: &str) -> Result<()> {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::all(self.admin.clone()).create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    /// The first requests of a kind are slow: the API server builds its schema. Nothing of the warm-up stays.
    async fn warm_up(&self, sample: &str) -> Result<()> {
        const NAME: &str = "warm-up";
        self.create_namespace(NAME).await?;
        let round = async |number: usize| {
            let models = plain::models(sample, |_| NAME.into(), WARM_UP * (number + 1))?.split_off(WARM_UP * number);
            let models = plain::create(&self.admin, models, 8).await?;
            for _ in 0..2 {
                plain::send(&self.as_operator, plain::requests(&models)?, 8).await?;
            }
            anyhow::Ok(())
        };
        // The API server serves a new kind a moment after it is established.
        let mut number = 0;
        wait::until("the new kinds are served", secs(30), async || {
            number += 1;
            round(number).await
        })
        .await?;
        let namespaces = Api::<Namespace>::all(self.admin.clone());
        namespaces.delete(NAME, &DeleteParams::default()).await?;
        wait::until("the warm-up is gone", secs(60), async || match namespaces.get_opt(NAME).await? {
            Some(namespace) => bail!("{:?}", namespace.status),
            None => Ok(()),
        })
        .await
    }

    /// Waits until the controllers have made a pod for each model.
    pub(super) async fn until_every_pod_is_made(&self, models: usize) -> Result<()> {
        let pods = Api::<Pod>::all(self.admin.clone());
        let limit = secs(120) + Duration::from_millis(200) * u32::try_from(models)?;
        wait::until("a pod for each model", limit, async || {
            let first = pods.list_metadata(&ListParams::default().limit(1)).await?;
            let more = first.metadata.remaining_item_count.unwrap_or_default();
            let made = first.items.len() + usize::try_from(more)?;
            ensure!(made >= models, "{made} of {models} pods");
            Ok(())
        })
        .await
    }

    /// Lets the controllers of Kubernetes, which allow themselves 20 requests a second, do in minutes what would take
    /// an hour: only what comes after a measured burst may be hurried.
    pub(super) fn hurry_controllers(&self) -> Result<()> {
        self.control_plane.restart_controller_manager(&["--kube-api-qps=2000", "--kube-api-burst=2000"])
    }
}

/// The number of requests at once with which a plain client is fastest here, and the seconds of each that was tried.
pub(super) async fn best_concurrency(sample: &str, models: usize) -> Result<(usize, Vec<(usize, Duration)>)> {
    let cluster = BenchCluster::new("trial", sample, 0).await?;
    let mut tried = vec![];
    for at_once in [8, 16, 32, 64] {
        let namespace = format!("trial-{at_once}");
        cluster.create_namespace(&namespace).await?;
        let models =
            plain::create(&cluster.admin, plain::models(sample, |_| namespace.clone(), models)?, at_once).await?;
        let requests = plain::requests(&models)?;
        tried.push((at_once, plain::send(&cluster.as_operator, requests, at_once).await?));
    }
    let best = tried.iter().min_by_key(|(_, time)| *time).context("nothing was tried")?.0;
    Ok((best, tried))
}

fn operator_kubeconfig(control_plane: &ControlPlane) -> PathBuf {
    control_plane.kubeconfig().with_file_name("operator.kubeconfig")
}

fn prepare(kubeconfig: &Path, operator_kubeconfig: &Path) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/prepare.sh");
    let output = Command::new(script).arg(kubeconfig).arg(operator_kubeconfig).output()?;
    ensure!(output.status.success(), "prepare.sh: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

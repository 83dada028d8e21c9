//! A control plane of a test's own: etcd, API server and controller manager, without a node.
//!
//! Tests slow it down, kill it and fill it. Dropping it ends its processes and deletes its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// A running control plane.
pub struct ControlPlane {
    folder: PathBuf,
    port: u16,
}

/// A process of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Kubernetes itself, among them the garbage collector.
    ControllerManager,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
        }
    }
}

impl ControlPlane {
    /// Starts a control plane in a new folder of the name, on free ports.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, "")
    }

    /// The same, with more flags of the API server. [`Self::start_part`] would start it without them.
    pub fn start_with(name: &str, api_server_flags: &str) -> Result<Self> {
        // Ports that were found free are taken only when the parts listen: two control planes at once might find the same.
        static STARTS: Mutex<()> = Mutex::new(());
        let _turn = STARTS.lock();
        let folder = std::env::temp_dir().join(format!("belfry-control-plane-{name}-{}", std::process::id()));
        let control_plane = Self { folder, port: three_free_ports()? };
        control_plane.run(control_plane.command("up").env("EXTRA_API_SERVER_FLAGS", api_server_flags))?;
        Ok(control_plane)
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Log of the requests; see the audit policy for those that it leaves out.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Address of the API server.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port + 2)
    }

    /// Folder and first port, as `without_node.sh` wants them.
    pub fn place(&self) -> (&Path, u16) {
        (&self.folder, self.port)
    }

    /// Connects as an administrator.
    pub async fn client(&self) -> Result<Client> {
        connect(&self.kubeconfig()).await
    }

    /// How an administrator connects.
    pub async fn config(&self) -> Result<Config> {
        config(Kubeconfig::read_from(self.kubeconfig())?).await
    }

    /// How a client connects that shows this token and nothing else.
    pub async fn config_with(&self, token: &str) -> Result<Config> {
        let mut kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let token: AuthInfo = serde_json::from_value(json!({"token": token}))?;
        kubeconfig.auth_infos.iter_mut().for_each(|user| user.auth_info = Some(token.clone()));
        config(kubeconfig).await
    }

    /// Process of a part.
    pub fn pid(&self, part: Part) -> Result<Pid> {
        let file = self.folder.join("run").join(part.as_str());
        let line = fs::read_to_string(&file).with_context(|| format!("{} does not run", part.as_str()))?;
        let pid = line.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        pid.with_context(|| format!("{} names no process: {line:?}", file.display()))
    }

    /// Sends a signal to a part: `STOP` makes its connections hang half open, `KILL` breaks them.
    pub fn signal(&self, part: Part, signal: Signal) -> Result<()> {
        kill_process(self.pid(part)?, signal).with_context(|| format!("can't signal {}", part.as_str()))
    }

    /// Starts a part that was killed, and waits until it answers.
    pub fn start_part(&self, part: Part) -> Result<()> {
        self.script("start", &[part.as_str()])
    }

    /// Ends the controller manager, and starts one with more flags.
    pub fn restart_controller_manager(&self, flags: &[&str]) -> Result<()> {
        let more: Vec<_> = [Part::ControllerManager.as_str()].into_iter().chain(flags.iter().copied()).collect();
        self.script("restart", &more)
    }

    fn script(&self, verb: &str, more: &[&str]) -> Result<()> {
        self.run(self.command(verb).args(more))
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/without_node.sh"));
        command.arg(verb).arg(&self.folder).arg(self.port.to_string());
        command
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // A part that a test left stopped can't end.
        for part in [Part::Etcd, Part::ApiServer, Part::ControllerManager] {
            drop(self.signal(part, Signal::CONT));
        }
        if let Err(error) = self.script("down", &[]) {
            crate::report(&format!("a control plane was left behind: {error:#}"));
        }
    }
}

/// Connects as the user of a kubeconfig. A request that fails is not repeated.
pub async fn connect(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config(Kubeconfig::read_from(kubeconfig)?).await?)?)
}

async fn config(kubeconfig: Kubeconfig) -> Result<Config> {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(config)
}

/// The first of three free ports in a row.
fn three_free_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let is_free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first < u16::MAX - 2 && (first..=first + 2).all(is_free) {
            return Ok(first);
        }
    }
    anyhow::bail!("found no three free ports in a row")
}

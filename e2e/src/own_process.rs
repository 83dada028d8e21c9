//! A server of a test's own, as a process on this machine: Prometheus, or Alertmanager.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use http::Request;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{secs, tool, wait};

/// A running server that answers on `/-/ready`. Dropping it ends it.
pub struct OwnProcess {
    child: Running,
    address: SocketAddr,
}

/// A process of a test's own. Dropping it ends it.
pub(crate) struct Running(pub(crate) Child);

impl OwnProcess {
    /// Starts a program of `e2e/tools` with this configuration and these arguments; its data and its log are in the folder, which
    /// is new or empty.
    pub async fn start(program: &str, folder: &Path, config: &Value, args: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        write_config(folder, config)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(tool(program))
            .arg(format!("--config.file={}", folder.join(CONFIG).display()))
            .arg(format!("--web.listen-address={address}"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("can't run {program}"))?;
        let process = Self { child: Running(child), address };
        wait::until(&format!("{program} is ready"), secs(30), async || process.get("/-/ready").await.map(drop)).await?;
        Ok(process)
    }

    /// `HOST:PORT`.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it read its files again.
    pub fn reload(&self) -> Result<()> {
        let pid = i32::try_from(self.child.0.id()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        Ok(kill_process(pid, Signal::HUP)?)
    }

    /// The body of an answer that is a success.
    pub async fn get(&self, path: &str) -> Result<String> {
        let client = Client::try_from(Config::new(format!("http://{}", self.address).parse()?))?;
        Ok(client.request_text(Request::get(path).body(vec![])?).await?)
    }
}

const CONFIG: &str = "config.yaml";

/// Writes the configuration of a server whose folder this is.
pub fn write_config(folder: &Path, config: &Value) -> Result<()> {
    // JSON is YAML.
    Ok(fs::write(folder.join(CONFIG), config.to_string())?)
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

//! A Prometheus of a test's own, as a process on this machine.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use http::Request;
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{secs, tool, wait};

/// A running Prometheus. Dropping it ends it.
pub struct OwnPrometheus {
    child: Child,
    address: SocketAddr,
}

impl OwnPrometheus {
    /// Starts it with this configuration; its data and its log are in the folder, which is new or empty.
    pub async fn start(folder: &Path, config: &Value) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file: PathBuf = folder.join("prometheus.yaml");
        // JSON is YAML.
        fs::write(&file, config.to_string())?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("can't run Prometheus")?;
        let prometheus = Self { child, address };
        wait::until("Prometheus is ready", secs(30), async || prometheus.get("/-/ready").await.map(drop)).await?;
        Ok(prometheus)
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has it read its files again.
    pub fn reload(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        Ok(kill_process(pid, Signal::HUP)?)
    }

    /// The series that an expression gives now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let answer: Value = serde_json::from_str(&self.get(&format!("/api/v1/query?query={expression}")).await?)?;
        answer["data"]["result"].as_array().cloned().with_context(|| format!("no vector: {answer}"))
    }

    async fn get(&self, path: &str) -> Result<String> {
        let client = Client::try_from(Config::new(self.url().parse()?))?;
        Ok(client.request_text(Request::get(path).body(vec![])?).await?)
    }
}

impl Drop for OwnPrometheus {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

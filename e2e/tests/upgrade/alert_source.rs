//! A Prometheus of the test's own, in which an alert of one model fires or does not.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use belfry_e2e::{secs, tool, wait};
use http::Request;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A running Prometheus. Dropping it ends it.
pub(crate) struct AlertSource {
    child: Child,
    rules: PathBuf,
    address: SocketAddr,
}

impl AlertSource {
    /// Starts it with a new folder in that one. Nothing fires.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("prometheus");
        fs::create_dir_all(&folder)?;
        let (config, rules) = (folder.join("prometheus.yaml"), folder.join("rules.yaml"));
        let global = json!({"evaluation_interval": "1s"});
        fs::write(&config, json!({"global": global, "rule_files": [rules]}).to_string())?;
        fs::write(&rules, rule_file(&[]))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("can't run Prometheus")?;
        let alerts = Self { child, rules, address };
        wait::until("Prometheus is ready", secs(30), async || alerts.get("/-/ready").await.map(drop)).await?;
        Ok(alerts)
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets an alert about availability fire for these models of the namespace `default`, and no other; waits until it does.
    pub(crate) async fn ring(&self, models: &[&str]) -> Result<()> {
        fs::write(&self.rules, rule_file(models))?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        kill_process(pid, Signal::HUP)?;
        wait::until("the alerts fire", secs(30), async || {
            let answer = self.get("/api/v1/query?query=ALERTS%7Balertstate%3D%22firing%22%7D").await?;
            let answer: Value = serde_json::from_str(&answer)?;
            let firing = answer["data"]["result"].as_array().context("no vector")?.len();
            ensure!(firing == models.len(), "{answer}");
            Ok(())
        })
        .await
    }

    async fn get(&self, path: &str) -> Result<String> {
        let client = Client::try_from(Config::new(self.url().parse()?))?;
        Ok(client.request_text(Request::get(path).body(vec![])?).await?)
    }
}

impl Drop for AlertSource {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn rule_file(models: &[&str]) -> String {
    let alert = |model: &&str| {
        let labels =
            json!({"namespace": "default", "model": model, "category": "availability", "severity": "critical"});
        json!({"alert": "InferenceModelOutage", "expr": "vector(1)", "labels": labels})
    };
    let rules: Vec<_> = models.iter().map(alert).collect();
    json!({"groups": [{"name": "test", "rules": rules}]}).to_string()
}

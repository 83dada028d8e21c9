//! A Prometheus of the test's own, in which an alert of one model fires or does not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_e2e::{secs, wait};
use serde_json::json;

/// A running Prometheus. Dropping it ends it.
pub(crate) struct AlertSource {
    prometheus: OwnPrometheus,
    rules: PathBuf,
}

impl AlertSource {
    /// Starts it with a new folder in that one. Nothing fires.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("prometheus");
        fs::create_dir_all(&folder)?;
        let rules = folder.join("rules.yaml");
        fs::write(&rules, rule_file(&[]))?;
        let config = json!({"global": {"evaluation_interval": "1s"}, "rule_files": [rules]});
        Ok(Self { prometheus: OwnPrometheus::start(&folder, &config).await?, rules })
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> String {
        self.prometheus.url()
    }

    /// Lets an alert about availability fire for these models of the namespace `default`, and no other; waits until it does.
    pub(crate) async fn ring(&self, models: &[&str]) -> Result<()> {
        fs::write(&self.rules, rule_file(models))?;
        self.prometheus.reload()?;
        wait::until("the alerts fire", secs(30), async || {
            let firing = self.prometheus.query(r#"ALERTS{alertstate="firing"}"#).await?;
            ensure!(firing.len() == models.len(), "{firing:?}");
            Ok(())
        })
        .await
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

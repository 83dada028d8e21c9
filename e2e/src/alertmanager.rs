//! The alerts that Alertmanager holds.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{Cluster, Served, cluster, prometheus, wait};

/// An alert that rings.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    /// Who, what and how bad.
    pub labels: BTreeMap<String, String>,
    /// What to read.
    pub annotations: BTreeMap<String, String>,
}

/// The alerts that ring now.
pub async fn active(cluster: &Cluster) -> Result<Vec<Alert>> {
    let address = cluster::service(prometheus::NAMESPACE, "alertmanager", "9093");
    let answer = cluster.get(&format!("{address}/api/v2/alerts?active=true")).await?.ok()?;
    serde_json::from_str(&answer.body).context("Alertmanager's answer is no list of alerts")
}

/// Waits until the running Alertmanager has the receiver of a model. The Prometheus Operator names it after the object,
/// and the kubelet brings the file up to date once a minute.
pub async fn until_routed(
    cluster: &Cluster,
    namespace: &str,
    model: &str,
    receiver: &str,
    limit: Duration,
) -> Result<()> {
    let name = format!("{namespace}/{model}/{receiver}");
    wait::until(&format!("Alertmanager knows {name}"), limit, async || {
        let address = cluster::service(prometheus::NAMESPACE, "alertmanager", "9093");
        let status = cluster.get(&format!("{address}/api/v2/status")).await?.ok()?.json()?;
        let text = status["config"]["original"].as_str().context("no configuration")?;
        ensure!(text.contains(&name), "it does not");
        Ok(())
    })
    .await
}

impl Served<'_> {
    /// The alerts about this model that ring now.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let mut alerts = active(&self.namespace.cluster).await?;
        let has = |alert: &Alert, label: &str, value: &str| alert.labels.get(label).is_some_and(|found| found == value);
        alerts.retain(|alert| has(alert, "namespace", &self.namespace.name) && has(alert, "model", &self.name));
        Ok(alerts)
    }

    /// Waits until an alert about this model rings.
    pub async fn until_alert(&self, name: &str, limit: Duration) -> Result<Alert> {
        wait::until(&format!("{name} rings"), limit, async || {
            let alerts = self.alerts().await?;
            let names: Vec<_> = alerts.iter().filter_map(|alert| alert.labels.get("alertname")).cloned().collect();
            let found = alerts.into_iter().find(|alert| alert.labels.get("alertname").is_some_and(|n| n == name));
            found.with_context(|| format!("{names:?} ring"))
        })
        .await
    }

    /// Waits until an alert about this model rings no more.
    pub async fn until_resolved(&self, name: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("{name} is resolved"), limit, async || {
            let alerts = self.alerts().await?;
            let rings = alerts.iter().any(|alert| alert.labels.get("alertname").is_some_and(|n| n == name));
            ensure!(!rings, "it rings");
            Ok(())
        })
        .await
    }
}

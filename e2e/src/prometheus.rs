//! What Prometheus knows.

use std::time::Duration;

use anyhow::{Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{Cluster, Served, cluster, secs, wait};

/// Where Prometheus and Alertmanager run.
pub(crate) const NAMESPACE: &str = "monitoring";

/// The Prometheus Operator writes the rules into a volume, which the kubelet brings up to date once a minute.
const RULES_LIMIT: Duration = secs(180);

async fn ask(cluster: &Cluster, path: &str) -> Result<Value> {
    let address = format!("{}/api/v1/{path}", cluster::service(NAMESPACE, "prometheus", "9090"));
    Ok(cluster.get(&address).await?.ok()?.json()?["data"].take())
}

/// Series that an expression gives now.
pub async fn query(cluster: &Cluster, expression: &str) -> Result<Vec<Value>> {
    let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
    Ok(list(ask(cluster, &format!("query?query={expression}")).await?["result"].take()))
}

/// Labels of the alerts about a namespace that fire in Prometheus.
pub async fn firing(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let series = query(cluster, &format!(r#"ALERTS{{namespace="{namespace}",alertstate="firing"}}"#)).await?;
    Ok(series.into_iter().map(|mut series| series["metric"].take()).collect())
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        _ => vec![],
    }
}

impl Served<'_> {
    /// Waits until Prometheus scrapes every replica, and has seen them ready in the operator's series: only what was ready
    /// can be down. Gives the targets.
    pub async fn until_scraped(&self, replicas: usize) -> Result<Vec<Value>> {
        let (cluster, namespace) = (&self.namespace.cluster, &self.namespace.name);
        wait::until("Prometheus scrapes the model", RULES_LIMIT, async || {
            let targets = list(ask(cluster, "targets?state=active").await?["activeTargets"].take());
            let own = |target: &Value| {
                target["labels"]["namespace"] == **namespace && target["labels"]["model"] == *self.name
            };
            let targets: Vec<_> = targets.into_iter().filter(own).collect();
            ensure!(targets.len() == replicas, "{} targets: {targets:?}", targets.len());
            for target in &targets {
                ensure!(target["health"] == "up", "{target}");
            }
            let labels = format!(r#"namespace="{namespace}",model="{}",state="ready""#, self.name);
            let ready = query(cluster, &format!("belfry_model_replicas{{{labels}}} == {replicas}")).await?;
            ensure!(!ready.is_empty(), "Prometheus has not seen {replicas} replicas ready");
            Ok(targets)
        })
        .await
    }

    /// Waits until Prometheus has evaluated every rule of the model, and gives the rules.
    pub async fn until_rules_loaded(&self) -> Result<Vec<Value>> {
        let prefix = format!("inference.{}.{}.", self.namespace.name, self.name);
        wait::until("Prometheus has evaluated the model's rules", RULES_LIMIT, async || {
            let groups = list(ask(&self.namespace.cluster, "rules").await?["groups"].take());
            let own = groups.into_iter().filter(|group| group["name"].as_str().is_some_and(|n| n.starts_with(&prefix)));
            let rules: Vec<_> = own.flat_map(|mut group| list(group["rules"].take())).collect();
            ensure!(!rules.is_empty(), "no group {prefix}*");
            for rule in &rules {
                ensure!(rule["health"] == "ok", "{} is {}: {}", rule["name"], rule["health"], rule["lastError"]);
            }
            Ok(rules)
        })
        .await
    }
}

//! The cluster's own monitoring, in compressed time: what the Prometheus Operator has made of monitors, rules and routes is fetched,
//! compressed, and run by a Prometheus and an Alertmanager beside the cluster, which see the same pods.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::compress::{Factor, list, seconds};
use crate::own_process::{OwnProcess, write_config};
use crate::own_prometheus::OwnPrometheus;
use crate::prometheus::NAMESPACE;
use crate::{Cluster, secs};

/// Name of the Prometheus and of the Alertmanager in `config/monitoring`.
const NAME: &str = "monitoring";

/// Pause between two looks for changes.
const PAUSE: std::time::Duration = secs(2);

/// The running pair.
pub(super) struct Monitoring {
    cluster: Cluster,
    settings: Settings,
    seen: Generated,
    /// The Prometheus that evaluates the rules.
    pub(super) prometheus: OwnPrometheus,
    alertmanager: OwnProcess,
}

/// Where the pair lives, and whom it rings.
pub(super) struct Settings {
    /// How much shorter time is.
    pub(super) factor: Factor,
    /// Folder for data, logs and configuration; what is in it goes.
    pub(super) folder: PathBuf,
    /// Where every webhook's messages go.
    pub(super) pager: String,
}

/// What the Prometheus Operator made.
#[derive(PartialEq)]
struct Generated {
    prometheus: Value,
    alertmanager: Value,
    rules: BTreeMap<String, String>,
}

impl Monitoring {
    /// Starts the pair with what is there now.
    pub(super) async fn start(cluster: Cluster, settings: Settings) -> Result<Self> {
        drop(fs::remove_dir_all(&settings.folder));
        let seen = Generated::fetch(&cluster).await?;
        let folder = settings.alertmanager();
        let config = seen.alertmanager(&settings)?;
        let data = format!("--storage.path={}", folder.join("data").display());
        let alone = "--cluster.listen-address=";
        let alertmanager = OwnProcess::start("alertmanager", &folder, &config, &[&data, alone]).await?;
        let config = seen.prometheus(&settings, &alertmanager)?;
        seen.write_rules(&settings)?;
        let prometheus = OwnPrometheus::start(&settings.prometheus(), &config).await?;
        Ok(Self { cluster, settings, seen, prometheus, alertmanager })
    }

    /// Follows what the Prometheus Operator makes, without end.
    pub(super) async fn follow(&mut self) -> Result<()> {
        loop {
            tokio::time::sleep(PAUSE).await;
            // A request to the cluster may fail while a fault is at it.
            let Ok(new) = Generated::fetch(&self.cluster).await else { continue };
            if new != self.seen {
                write_config(&self.settings.alertmanager(), &new.alertmanager(&self.settings)?)?;
                write_config(&self.settings.prometheus(), &new.prometheus(&self.settings, &self.alertmanager)?)?;
                new.write_rules(&self.settings)?;
                self.alertmanager.reload()?;
                self.prometheus.reload()?;
                self.seen = new;
            }
        }
    }
}

/// An alert of a model, and whether it is urgent.
pub(super) type AlertOf = (String, String, bool);

impl Monitoring {
    /// What rule and route wait by themselves before an alert is heard, in seconds of the rules' own time: `for` and `group_wait`.
    pub(super) fn waits(&self) -> Result<BTreeMap<AlertOf, f64>> {
        let group_wait = self.seen.alertmanager["route"]["routes"].as_array().into_iter().flatten();
        let group_wait = group_wait.filter_map(|route| route["group_wait"].as_str()).map(seconds);
        let group_wait = group_wait.collect::<Result<Vec<_>>>()?.into_iter().fold(0.0, f64::max);
        let mut waits = BTreeMap::new();
        for text in self.seen.rules.values() {
            let mut file: Value = serde_yaml::from_str(text)?;
            let groups = list(&mut file, "groups").iter_mut();
            for rule in groups.flat_map(|group| list(group, "rules")) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let alert =
                    (text(&rule["labels"]["model"]), text(&rule["alert"]), rule["labels"]["severity"] == "critical");
                let holds = rule["for"].as_str().map(seconds).transpose()?.unwrap_or(0.0);
                waits.insert(alert, holds + group_wait);
            }
        }
        Ok(waits)
    }
}

impl Settings {
    fn prometheus(&self) -> PathBuf {
        self.folder.join("prometheus")
    }

    fn alertmanager(&self) -> PathBuf {
        self.folder.join("alertmanager")
    }

    fn rules(&self) -> PathBuf {
        self.folder.join("rules")
    }
}

impl Generated {
    async fn fetch(cluster: &Cluster) -> Result<Self> {
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), NAMESPACE);
        let of_prometheus = ListParams::default().labels(&format!("prometheus-name={NAME}"));
        let rules: BTreeMap<_, _> =
            maps.list(&of_prometheus).await?.items.into_iter().flat_map(|map| map.data.unwrap_or_default()).collect();
        ensure!(!rules.is_empty(), "the Prometheus Operator has made no rule files");
        Ok(Self {
            prometheus: unpack(cluster, &format!("prometheus-{NAME}"), "prometheus.yaml.gz").await?,
            alertmanager: unpack(cluster, &format!("alertmanager-{NAME}-generated"), "alertmanager.yaml.gz").await?,
            rules,
        })
    }

    /// Its targets are found through the API server, as an administrator.
    fn prometheus(&self, settings: &Settings, alertmanager: &OwnProcess) -> Result<Value> {
        let mut config = self.prometheus.clone();
        settings.factor.prometheus(&mut config)?;
        let kubeconfig = std::env::var("KUBECONFIG").context("KUBECONFIG is not set")?;
        for scrape in list(&mut config, "scrape_configs") {
            for discovery in list(scrape, "kubernetes_sd_configs") {
                discovery["kubeconfig_file"] = json!(kubeconfig);
            }
        }
        config["rule_files"] = json!([settings.rules().join("*.yaml")]);
        let target = json!({"static_configs": [{"targets": [alertmanager.address().to_string()]}]});
        config["alerting"]["alertmanagers"] = json!([target]);
        Ok(config)
    }

    fn alertmanager(&self, settings: &Settings) -> Result<Value> {
        let mut config = self.alertmanager.clone();
        settings.factor.alertmanager(&mut config)?;
        for receiver in list(&mut config, "receivers") {
            for webhook in list(receiver, "webhook_configs") {
                webhook["url"] = json!(settings.pager);
            }
        }
        Ok(config)
    }

    fn write_rules(&self, settings: &Settings) -> Result<()> {
        let folder = settings.rules();
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder)?;
        self.rules.iter().try_for_each(|(name, text)| write_rules(&folder, name, text, settings.factor))
    }
}

fn write_rules(folder: &Path, name: &str, text: &str, factor: Factor) -> Result<()> {
    let mut file: Value = serde_yaml::from_str(text).with_context(|| format!("{name} is no file of rules"))?;
    factor.rules(&mut file).with_context(|| name.to_owned())?;
    Ok(fs::write(folder.join(name), file.to_string())?)
}

async fn unpack(cluster: &Cluster, secret: &str, key: &str) -> Result<Value> {
    let secret = Api::<Secret>::namespaced(cluster.client.clone(), NAMESPACE).get(secret).await?;
    let missing = || format!("{} has no {key}", secret.name_any());
    let packed = secret.data.as_ref().and_then(|data| data.get(key)).with_context(missing)?;
    let mut text = String::new();
    GzDecoder::new(packed.0.as_slice()).read_to_string(&mut text)?;
    // The config reloader in the pod fills these in.
    let text = text.replace("$(SHARD)", "0").replace("$(POD_NAME)", "bells");
    Ok(serde_yaml::from_str(&text)?)
}

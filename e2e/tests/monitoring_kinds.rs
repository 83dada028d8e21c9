//! Invariant 5: without the kinds of the Prometheus Operator a model serves, and once they are there it is monitored.
//!
//! The kinds are taken from the whole cluster, so this test holds the cluster's lock alone. Whatever happens in it, they
//! are put back, with the objects of others. Tests may run before it and after it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use anyhow::{Context, Result, ensure};
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_crds::inference_model::Alertmanager;
use belfry_e2e::{Cluster, Namespace, TestResult, alone_in_the_cluster, operator, report, sample, secs, wait};
use belfry_render::kind::ChildKind;
use belfry_render::role::Role;
use futures::FutureExt;
use http::Request;
use kube::ResourceExt;
use serde_json::{Value, json};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test]
async fn a_model_serves_without_the_monitoring_kinds_and_is_monitored_once_they_are_there() -> TestResult {
    alone_in_the_cluster("crds", async |ns| {
        let mut kinds = vec![];
        let monitoring = Role::ALL.iter().filter(|role| role.is_monitoring()).map(|role| role.kind());
        for kind in monitoring.filter(|kind| kind.is_optional()) {
            kinds.push(Kind::save(&ns.cluster, kind).await?);
        }
        let outcome = AssertUnwindSafe(scenario(ns, &kinds)).catch_unwind().await;
        let restored = put_back(&ns.cluster, &kinds).await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic)).and(restored)
    })
    .await
}

async fn scenario(ns: &Namespace, kinds: &[Kind]) -> Result<()> {
    ns.volume_with_model().await?;
    let before = identity(&ns.cluster).await?;
    for kind in kinds {
        kind.take_away(&ns.cluster).await?;
    }
    let mut wanted = sample("minilm")?;
    wanted.spec.observability.get_or_insert_default().alertmanager = Some(Alertmanager::default());
    let model = ns.serve(&wanted).await?;
    model.until_serving().await?;
    model.embed(&["It answers without monitoring."]).await?;
    let missing = (ConditionType::MonitoringReady, ConditionStatus::False, Reason::CustomResourceDefinitionMissing);
    let message = model.until(missing, secs(30)).await?.message;
    for kind in ["ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"] {
        ensure!(message.contains(kind), "the message does not name {kind}: {message}");
    }

    let begun = std::time::Instant::now();
    put_back(&ns.cluster, kinds).await?;
    model.until((ConditionType::MonitoringReady, ConditionStatus::True, Reason::ObjectsApplied), secs(60)).await?;
    report(&format!("monitored {:.0} s after the kinds are back", begun.elapsed().as_secs_f64()));
    for kind in kinds {
        ns.children(kind.kind).get(&model.name).await.with_context(|| format!("no {}", kind.kind.as_str()))?;
    }
    let after = identity(&ns.cluster).await?;
    ensure!(after == before, "the operator was restarted: {before:?}, then {after:?}");
    model.until_rules_loaded().await?;

    // The cluster's Prometheus selects by a label, and without it reads nothing.
    let selected = (ConditionType::MonitorSelected, ConditionStatus::True, Reason::Selected);
    let message = model.until(selected, secs(10)).await?.message;
    ensure!(message.contains("monitoring/monitoring"), "the message does not name the Prometheus: {message}");
    let mut passed_over = wanted.clone();
    let monitor = &mut passed_over.spec.observability.get_or_insert_default().monitor;
    monitor.as_mut().context("the sample sets no label")?.labels.clear();
    ns.serve(&passed_over).await?;
    for type_ in [ConditionType::MonitorSelected, ConditionType::MonitoringReady] {
        let message = model.until((type_, ConditionStatus::False, Reason::NotSelected), secs(10)).await?.message;
        ensure!(message.contains("release=monitoring"), "the message does not name the label: {message}");
    }
    ns.serve(&wanted).await?;
    model.until(selected, secs(10)).await.map(drop)
}

/// UID and restarts of the operator's pod.
async fn identity(cluster: &Cluster) -> Result<(Option<String>, i32)> {
    let pod = operator::pod(cluster).await?;
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    Ok((pod.uid(), statuses.map(|status| status.restart_count).sum()))
}

/// A kind that can be taken away and put back.
struct Kind {
    kind: ChildKind,
    name: String,
    definition: Value,
    /// Objects that the operator will not write again, each with the name under which its owner applied it. Under another
    /// name the owner's next apply would be a conflict.
    objects: Vec<(String, Value)>,
}

impl Kind {
    async fn save(cluster: &Cluster, kind: ChildKind) -> Result<Self> {
        let resource = kind.api_resource();
        let name = format!("{}.{}", resource.plural, resource.group);
        let definition = portable(&cluster.get(&format!("{CRDS}/{name}")).await?.ok()?.json()?)?;
        let list = cluster.get(&collection(kind, None)).await?.ok()?.json()?;
        let objects = list["items"].as_array().cloned().unwrap_or_default();
        let others = objects.iter().filter(|object| object["metadata"]["ownerReferences"].is_null());
        let objects = others.map(|object| {
            let manager = manager(object).context("no one applied the object")?;
            let mut object = portable(object)?;
            // Items of a list do not name their kind.
            object["apiVersion"] = json!(resource.api_version);
            object["kind"] = json!(resource.kind);
            Ok((manager, object))
        });
        Ok(Self { kind, name, definition, objects: objects.collect::<Result<_>>()? })
    }

    async fn take_away(&self, cluster: &Cluster) -> Result<()> {
        let address = format!("{CRDS}/{}", self.name);
        cluster.send(Request::delete(&address).body(vec![])?).await?.ok()?;
        wait::until(&format!("{} is gone", self.name), secs(60), async || {
            let status = cluster.get(&address).await?.status;
            ensure!(status == 404, "status {status}");
            Ok(())
        })
        .await
    }

    async fn put_back(&self, cluster: &Cluster) -> Result<()> {
        let address = format!("{CRDS}/{}", self.name);
        // A definition that is still on its way out takes no objects, and none of its name can be made.
        wait::until(&format!("{} is there", self.name), secs(60), async || {
            create(cluster, CRDS, &self.definition).await?;
            let now = cluster.get(&address).await?.ok()?.json()?;
            ensure!(now["metadata"]["deletionTimestamp"].is_null(), "it is still on its way out");
            let conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let is_established = conditions.iter().any(|c| c["type"] == *"Established" && c["status"] == *"True");
            ensure!(is_established, "{conditions:?}");
            Ok(())
        })
        .await?;
        for (manager, object) in &self.objects {
            let (namespace, name) = (object["metadata"]["namespace"].as_str(), object["metadata"]["name"].as_str());
            let name = name.context("an object without a name")?;
            let address = format!("{}/{name}?fieldManager={manager}&force=true", collection(self.kind, namespace));
            // The API server learns of a kind a moment after it is established.
            wait::until(&format!("{} {name}", self.name), secs(30), async || {
                let apply = Request::patch(&address).header("content-type", "application/apply-patch+yaml");
                cluster.send(apply.body(serde_json::to_vec(object)?)?).await?.ok().map(drop)
            })
            .await?;
        }
        Ok(())
    }
}

async fn put_back(cluster: &Cluster, kinds: &[Kind]) -> Result<()> {
    for kind in kinds {
        kind.put_back(cluster).await?;
    }
    Ok(())
}

/// Creates an object; one that is there already is as good.
async fn create(cluster: &Cluster, address: &str, object: &Value) -> Result<()> {
    let answer = cluster.post(address, object).await?;
    if answer.status == 409 { Ok(()) } else { answer.ok().map(drop) }
}

fn collection(kind: ChildKind, namespace: Option<&str>) -> String {
    let resource = kind.api_resource();
    let scope = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    format!("/apis/{}{scope}/{}", resource.api_version, resource.plural)
}

/// The name under which an object was applied last.
fn manager(object: &Value) -> Option<String> {
    let fields = object["metadata"]["managedFields"].as_array()?;
    let mut applied = fields.iter().filter(|entry| entry["operation"] == *"Apply" && entry["subresource"].is_null());
    applied.next_back().and_then(|entry| entry["manager"].as_str()).map(str::to_owned)
}

/// An object without what the API server adds.
fn portable(object: &Value) -> Result<Value> {
    let mut object = object.clone();
    object.as_object_mut().context("not an object")?.remove("status");
    let metadata = object["metadata"].as_object_mut().context("an object without metadata")?;
    metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    Ok(object)
}

//! What another manager changes is set back, and what is the user's stays the user's.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use belfry_e2e::model::SERVING;
use belfry_e2e::{
    Namespace, Served, TestResult, UNSCALED, in_namespace, operator, prometheus, report, sample, secs, wait,
};
use belfry_render::kind::ChildKind;
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

/// How long the operator may take to undo a change.
const REPAIR: std::time::Duration = secs(10);

#[tokio::test]
async fn a_deleted_child_comes_back() -> TestResult {
    in_namespace("delete-child", async |ns| {
        let model = ns.serve_sample().await?;
        let children = operator::render(&model.get().await?, &operator::settings(&ns.cluster).await?)?;
        let wanted: Vec<_> = children.into_iter().filter(|child| child.object.is_some()).collect();
        ensure!(wanted.len() == UNSCALED.len(), "the sample has {} children", wanted.len());
        for child in wanted {
            let (api, kind) = (ns.children(child.kind()), child.kind().as_str());
            let before = api.get(&child.name).await?.uid();
            let begun = Instant::now();
            api.delete(&child.name, &DeleteParams::background()).await?;
            wait::until(&format!("a new {kind}"), REPAIR, async || {
                let after = api.get(&child.name).await?.uid();
                ensure!(after != before, "it is still the old one");
                Ok(())
            })
            .await?;
            report(&format!("a deleted {kind} came back after {:.1} s", begun.elapsed().as_secs_f64()));
        }
        model.until_serving().await?;
        model.embed(&["It answers again."]).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn an_edited_field_is_set_back_and_a_foreign_one_stays() -> TestResult {
    in_namespace("edit-child", async |ns| {
        let model = ns.serve_sample().await?;
        let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
        edit(ns, ChildKind::Deployment, &note).await?;

        let replicas = json!({"spec": {"replicas": 3}});
        edit_comes_back(ns, ChildKind::Deployment, "/spec/replicas", &replicas).await?;
        let image = ns.children(ChildKind::Deployment).get(&model.name).await?.data;
        let mut containers = image["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"] = json!("example.com/other:1");
        let image = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        edit_comes_back(ns, ChildKind::Deployment, "/spec/template/spec/containers/0/image", &image).await?;
        let target = json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 81}]);
        edit_comes_back(ns, ChildKind::Service, "/spec/ports/0/targetPort", &json!({"spec": {"ports": target}}))
            .await?;
        let port = json!([{"name": "http", "port": 81, "protocol": "TCP", "targetPort": "http"}]);
        edit_comes_back(ns, ChildKind::Service, "/spec/ports/0/port", &json!({"spec": {"ports": port}})).await?;
        let mut groups = ns.children(ChildKind::PrometheusRule).get(&model.name).await?.data["spec"]["groups"].clone();
        groups[0]["rules"][0]["expr"] = json!("vector(0) > 1");
        let groups = json!({"spec": {"groups": groups}});
        edit_comes_back(ns, ChildKind::PrometheusRule, "/spec/groups/0/rules/0/expr", &groups).await?;

        let deployment = ns.children(ChildKind::Deployment).get(&model.name).await?;
        let kept = deployment.annotations().get("example.com/note").map(String::as_str);
        ensure!(kept == Some("mine"), "the foreign annotation is {kept:?}");
        model.until_serving().await.map(drop)
    })
    .await
}

async fn edit(ns: &Namespace, kind: ChildKind, patch: &Value) -> Result<DynamicObject> {
    let params = PatchParams { field_manager: Some("another-manager".into()), ..Default::default() };
    let edited = ns.children(kind).patch("minilm", &params, &Patch::Merge(patch)).await;
    edited.with_context(|| format!("can't edit {}: {patch}", kind.as_str()))
}

/// Edits an object, sees that the edit took, and waits until the field is as before.
async fn edit_comes_back(ns: &Namespace, kind: ChildKind, field: &str, patch: &Value) -> Result<()> {
    let at = |object: &DynamicObject| object.data.pointer(field).cloned();
    let before = at(&ns.children(kind).get("minilm").await?);
    let edited = at(&edit(ns, kind, patch).await?);
    ensure!(edited != before, "the edit of {field} changes nothing: {before:?}");
    wait::until(&format!("{} {field} is set back", kind.as_str()), REPAIR, async || {
        let now = at(&ns.children(kind).get("minilm").await?);
        ensure!(now == before, "{now:?}, and not {before:?}");
        Ok(())
    })
    .await
}

/// Invariant 3.
#[tokio::test]
async fn the_users_object_is_the_users() -> TestResult {
    in_namespace("users-object", async |ns| {
        ns.volume_with_model().await?;
        let mut wanted = sample("minilm")?;
        wanted.metadata.labels = Some([("example.com/mark".to_owned(), "label".to_owned())].into());
        wanted.metadata.annotations = Some([("example.com/mark".to_owned(), "annotation".to_owned())].into());
        let model = ns.serve(&wanted).await?;
        model.until_serving().await?;

        let live = model.get().await?;
        ensure!(json!(live.spec) == json!(wanted.spec), "the specification changed: {}", json!(live.spec));
        for entry in live.managed_fields() {
            let manager = entry.manager.as_deref().unwrap_or_default();
            let on_status = entry.subresource.as_deref() == Some("status");
            ensure!(
                !manager.starts_with("belfry-operator") || on_status,
                "the operator wrote more than the status: {}",
                json!(entry)
            );
        }
        for kind in UNSCALED {
            for child in ns.children(*kind).list(&ListParams::default()).await? {
                let copied = child.labels().contains_key("example.com/mark")
                    || child.annotations().contains_key("example.com/mark");
                ensure!(!copied, "{} {} has the user's label or annotation", kind.as_str(), child.name_any());
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_model_is_scaled_to_2_to_0_and_back_and_zero_raises_no_alert() -> TestResult {
    in_namespace("scale", async |ns| {
        let model = ns.serve_sample().await?;
        model.until_rules_loaded().await?;
        scale(&model, 2).await?;
        model.until(SERVING, secs(120)).await?;
        status_shows(&model, 2, "2/2").await?;

        scale(&model, 0).await?;
        model.until((ConditionType::Ready, ConditionStatus::False, Reason::ScaledToZero), secs(30)).await?;
        status_shows(&model, 0, "0/0").await?;
        // Longer than any rule about replicas waits, beginning when the pods are gone.
        wait::holds("no alert about a model without replicas", secs(60), async || {
            let firing = prometheus::firing(&ns.cluster, &ns.name).await?;
            ensure!(firing.is_empty(), "{firing:?}");
            Ok(())
        })
        .await?;

        scale(&model, 1).await?;
        model.until(SERVING, secs(120)).await?;
        status_shows(&model, 1, "1/1").await?;
        model.embed(&["It answers again."]).await.map(drop)
    })
    .await
}

/// What `kubectl scale` does.
async fn scale(model: &Served<'_>, replicas: i32) -> Result<()> {
    let params = PatchParams { field_manager: Some("kubectl".into()), ..Default::default() };
    let patch = json!({"spec": {"replicas": replicas}});
    let api = model.namespace.api::<InferenceModel>();
    api.patch_scale(&model.name, &params, &Patch::Merge(patch)).await.context("can't scale")?;
    Ok(())
}

/// The scale subresource, which autoscalers read, and the column `Loaded`.
async fn status_shows(model: &Served<'_>, replicas: i32, loaded: &str) -> Result<()> {
    wait::until(&format!("the status shows {loaded}"), secs(90), async || {
        let scale = model.namespace.api::<InferenceModel>().get_scale(&model.name).await?;
        let status = scale.status.context("a scale without a status")?;
        ensure!(status.replicas == replicas, "{} replicas", status.replicas);
        let selector = status.selector.unwrap_or_default();
        ensure!(selector.contains("app.kubernetes.io/instance=minilm"), "selector {selector:?}");
        let shown = model.get().await?.status.and_then(|status| status.loaded);
        ensure!(shown.as_deref() == Some(loaded), "loaded {shown:?}");
        Ok(())
    })
    .await
}

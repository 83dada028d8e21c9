//! Another manager changes children, or marks the model.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, fault_test};
use belfry_e2e::{TestResult, UNSCALED, report, secs, wait};
use belfry_render::kind::ChildKind;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// How long a deleted child may be away.
const REPAIR: Duration = secs(2);

#[tokio::test]
async fn a_deleted_child_of_any_kind_is_back_within_two_seconds() -> TestResult {
    fault_test("child-deleted", async |test| {
        let expected = one_model(test).await?;
        let mut longest = Duration::ZERO;
        for kind in UNSCALED {
            let (api, name) = (test.children(*kind), name(*kind));
            let before = api.get(name).await?.uid();
            let begun = Instant::now();
            api.delete(name, &DeleteParams::background()).await?;
            wait::until(&format!("a new {}", kind.as_str()), REPAIR, async || {
                ensure!(api.get(name).await?.uid() != before, "it is the old one");
                Ok(())
            })
            .await?;
            longest = longest.max(begun.elapsed());
        }
        report(&format!("deleted children are back within {:.1} s", longest.as_secs_f64()));
        test.until_same(&expected, PATIENCE).await
    })
    .await
}

#[tokio::test]
async fn an_edited_child_of_any_kind_is_set_back_once_and_what_is_foreign_stays() -> TestResult {
    fault_test("child-edited", async |test| {
        let expected = one_model(test).await?;
        for (kind, change) in edits(&expected) {
            let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
            test.edit(kind, name(kind), &note).await?;
            test.settled(PATIENCE).await?;
            let mark = test.proxy.mark();
            test.edit(kind, name(kind), &change).await.with_context(|| kind.as_str())?;
            wait::until(&format!("the {} is as before", kind.as_str()), secs(10), async || {
                let found = test.snapshot().await?;
                let key = format!("{} {}", kind.as_str(), name(kind));
                let mut found = found.get(&key).cloned().context("it is gone")?;
                let kept = found["metadata"]["annotations"]["example.com/note"].take();
                ensure!(kept == "mine", "the foreign annotation is {kept}");
                remove_note(&mut found);
                ensure!(Some(&found) == expected.get(&key), "not yet");
                Ok(())
            })
            .await?;
            test.settled(PATIENCE).await?;
            let writes = test.proxy.writes_since(mark);
            let own = writes.iter().filter(|call| call.resource == kind.api_resource().plural).count();
            // One more when the edit is seen a second time, before the change that mends it.
            ensure!(own <= 2, "{own} writes to set one {} back", kind.as_str());
            test.edit(kind, name(kind), &json!({"metadata": {"annotations": {"example.com/note": null}}})).await?;
        }
        test.until_same(&expected, PATIENCE).await
    })
    .await
}

/// For each kind changes of fields that are the operator's, also of those where it owns a map or a list as a whole.
fn edits(present: &Snapshot) -> Vec<(ChildKind, Value)> {
    let mut dashboard = present["ConfigMap m-dashboard"]["data"].clone();
    for (_, text) in dashboard.as_object_mut().into_iter().flatten() {
        *text = json!("{}");
    }
    let label = json!({"metadata": {"labels": {"app.kubernetes.io/name": "other"}}});
    let green = json!({"version": "green"});
    let mut endpoints = present["ServiceMonitor m"]["spec"]["endpoints"].clone();
    endpoints.as_array_mut().into_iter().for_each(|endpoints| endpoints.push(json!({"port": "other"})));
    vec![
        (ChildKind::Service, json!({"spec": {"selector": green}})),
        (ChildKind::NetworkPolicy, json!({"spec": {"podSelector": {"matchLabels": green}}})),
        (ChildKind::PodDisruptionBudget, json!({"spec": {"selector": {"matchLabels": green}}})),
        (ChildKind::ServiceMonitor, json!({"spec": {"endpoints": endpoints}})),
        (ChildKind::ServiceAccount, json!({"automountServiceAccountToken": true})),
        (ChildKind::NetworkPolicy, json!({"spec": {"policyTypes": ["Ingress"]}})),
        (ChildKind::Deployment, json!({"spec": {"replicas": 9, "template": {"spec": {"enableServiceLinks": true}}}})),
        (ChildKind::Service, json!({"spec": {"selector": {"app.kubernetes.io/instance": "other"}}})),
        (ChildKind::PodDisruptionBudget, json!({"metadata": {"labels": {"belfry.dev/model": "other"}}})),
        (ChildKind::ConfigMap, json!({"data": dashboard, "metadata": {"labels": {"belfry.dev/model": "x"}}})),
        (ChildKind::ServiceMonitor, json!({"spec": {"endpoints": []}})),
        (ChildKind::PrometheusRule, json!({"spec": {"groups": []}, "metadata": label["metadata"]})),
    ]
}

fn remove_note(object: &mut Value) {
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove("example.com/note");
    }
}

#[tokio::test]
async fn a_rollout_that_is_restarted_by_hand_goes_on() -> TestResult {
    fault_test("rollout-restart", async |test| {
        one_model(test).await?;
        test.cluster.kubectl(&["rollout", "restart", "deployment/m", "--namespace", &test.namespace], "")?;
        let annotation = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
        let read = async |test: &FaultTest<'_>| -> Result<Value> {
            let data = test.children(ChildKind::Deployment).get("m").await?.data;
            data.pointer(annotation).cloned().context("the annotation is gone")
        };
        let set = read(test).await?;
        test.settled(PATIENCE).await?;
        // A pass that writes the Deployment does not take it away either.
        let mut scaled = variant("m", 1);
        scaled["spec"]["replicas"] = json!(3);
        test.apply(&scaled).await?;
        test.settled(PATIENCE).await?;
        ensure!(test.children(ChildKind::Deployment).get("m").await?.data["spec"]["replicas"] == 3, "not scaled");
        ensure!(read(test).await? == set, "the annotation was changed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn labels_and_annotations_of_a_model_are_not_copied() -> TestResult {
    fault_test("marks", async |test| {
        let expected = one_model(test).await?;
        let mark = test.proxy.mark();
        let marks = json!({"argocd.argoproj.io/instance": "app", "applyset.kubernetes.io/part-of": "x"});
        let mut model = variant("m", 1);
        model["metadata"]["labels"] = marks.clone();
        model["metadata"]["annotations"] = marks;
        test.apply(&model).await?;
        test.until_same(&expected, PATIENCE).await?;
        let writes = test.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "marks led to writes: {}", belfry_e2e::chaos::list(&writes));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_fight_with_another_manager_slows_down_is_named_and_keeps_no_other_model_back() -> TestResult {
    fault_test("fight", async |test| {
        let expected = one_model(test).await?;
        let other = async |test: &FaultTest<'_>| -> Result<()> {
            test.apply(&variant("other", 0)).await?;
            test.until_condition("other", "SpecAccepted", "True", secs(5)).await?;
            test.delete("other").await?;
            let named = "False Contested: another-manager changes Deployment m again and again";
            test.until_condition("m", "Reconciled", named, secs(30)).await?;
            set_back(test).await?;
            let begun = Instant::now();
            set_back(test).await?;
            ensure!(
                begun.elapsed() >= secs(12),
                "a fight of one round a second is set back after {:?}",
                begun.elapsed()
            );
            Ok(())
        };
        tokio::select! {
            ended = fight(test) => ended?,
            done = other(test) => done?,
        }
        // The fight ends, and what is wanted is there. A new operator has not seen it, and does not take back what was said.
        test.until_same(&expected, PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await?;
        let said = test.condition("m", "Reconciled").await?;
        ensure!(said.starts_with("False Contested: another-manager"), "{said}");
        Ok(())
    })
    .await
}

/// Waits until the operator sets the Deployment back once more.
async fn set_back(test: &FaultTest<'_>) -> Result<()> {
    let mark = test.proxy.mark();
    wait::until("a set-back", secs(30), async || {
        ensure!(test.proxy.writes_since(mark).iter().any(|call| call.resource == "deployments"), "not yet");
        Ok(())
    })
    .await
}

/// Another manager sets another number of replicas, each second.
async fn fight(test: &FaultTest<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(secs(1));
    loop {
        ticks.tick().await;
        test.edit(ChildKind::Deployment, "m", &json!({"spec": {"replicas": 9}})).await?;
    }
}

async fn one_model(test: &mut FaultTest<'_>) -> Result<Snapshot> {
    test.operator.start().await?;
    test.expected(&[variant("m", 1)]).await
}

const fn name(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::ConfigMap => "m-dashboard",
        _ => "m",
    }
}

/// As the HorizontalPodAutoscaler's controller writes it.
async fn scale(test: &FaultTest<'_>, replicas: i32) -> Result<()> {
    let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": replicas}}));
    test.children(ChildKind::Deployment).patch_scale("m", &kube::api::PatchParams::default(), &patch).await?;
    Ok(())
}

async fn until_replicas(test: &FaultTest<'_>, replicas: i32) -> Result<()> {
    wait::until(&format!("{replicas} replicas"), secs(10), async || {
        let live = test.children(ChildKind::Deployment).get("m").await?.data["spec"]["replicas"].clone();
        ensure!(live == replicas, "there are {live}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_scaler_of_others_gets_the_number_of_workers_and_a_condition_names_it() -> TestResult {
    fault_test("foreign-scaler", async |test| {
        one_model(test).await?;
        scale(test, 5).await?;
        until_replicas(test, 2).await?;
        let namespace = test.namespace.clone();
        let scaler = |target: Value| {
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "team", "namespace": namespace},
                "spec": {"maxReplicas": 9, "scaleTargetRef": target},
            })
        };
        test.cluster.apply(&scaler(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "m"})))?;
        test.until_condition("m", "ScalingReady", "False ForeignScaler", secs(10)).await?;
        until_replicas(test, 2).await.context("it is handed over as it is")?;
        let mark = test.proxy.mark();
        scale(test, 7).await?;
        test.settled(PATIENCE).await?;
        until_replicas(test, 7).await?;
        let writes = test.proxy.writes_since(mark);
        let own = writes.iter().filter(|call| call.resource == "deployments").count();
        ensure!(own == 0, "the operator wrote the Deployment {own} times");
        // A new operator finds the same owner.
        test.restart().await?;
        test.settled(PATIENCE).await?;
        until_replicas(test, 7).await?;
        let model = json!({"apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel", "name": "m"});
        test.cluster.apply(&scaler(model))?;
        until_replicas(test, 2).await.context("the number of the specification is back")?;
        test.apply(&variant("m", 0)).await?;
        test.until_condition("m", "ScalingReady", "False ScalerFailed", secs(10)).await.map(drop)
    })
    .await
}

//! Another manager changes children, or marks the model.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, Snapshot, on_stage};
use belfry_e2e::{Outcome, UNSCALED, report, secs, wait};
use belfry_render::kind::ChildKind;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// How long a deleted child may be away.
const REPAIR: Duration = secs(2);

#[tokio::test]
async fn a_deleted_child_of_any_kind_is_back_within_two_seconds() -> Outcome {
    on_stage("child-deleted", async |act| {
        let expected = one_model(act).await?;
        let mut longest = Duration::ZERO;
        for kind in UNSCALED {
            let (api, name) = (act.children(*kind), name(*kind));
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
        act.until_same(&expected, PATIENCE).await
    })
    .await
}

#[tokio::test]
async fn an_edited_child_of_any_kind_is_set_back_once_and_what_is_foreign_stays() -> Outcome {
    on_stage("child-edited", async |act| {
        let expected = one_model(act).await?;
        for (kind, change) in edits(&expected) {
            let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
            act.edit(kind, name(kind), &note).await?;
            act.settled(PATIENCE).await?;
            let mark = act.proxy.mark();
            act.edit(kind, name(kind), &change).await.with_context(|| kind.as_str())?;
            wait::until(&format!("the {} is as before", kind.as_str()), secs(10), async || {
                let found = act.snapshot().await?;
                let key = format!("{} {}", kind.as_str(), name(kind));
                let mut found = found.get(&key).cloned().context("it is gone")?;
                let kept = found["metadata"]["annotations"]["example.com/note"].take();
                ensure!(kept == "mine", "the foreign annotation is {kept}");
                remove_note(&mut found);
                ensure!(Some(&found) == expected.get(&key), "not yet");
                Ok(())
            })
            .await?;
            act.settled(PATIENCE).await?;
            let writes = act.proxy.writes_since(mark);
            let own = writes.iter().filter(|call| call.resource == kind.api_resource().plural).count();
            // One more when the edit is seen a second time, before the change that mends it.
            ensure!(own <= 2, "{own} writes to set one {} back", kind.as_str());
            act.edit(kind, name(kind), &json!({"metadata": {"annotations": {"example.com/note": null}}})).await?;
        }
        act.until_same(&expected, PATIENCE).await
    })
    .await
}

/// For each kind a change of a field that is the operator's.
fn edits(present: &Snapshot) -> Vec<(ChildKind, Value)> {
    let mut dashboard = present["ConfigMap m-dashboard"]["data"].clone();
    for (_, text) in dashboard.as_object_mut().into_iter().flatten() {
        *text = json!("{}");
    }
    let label = json!({"metadata": {"labels": {"app.kubernetes.io/name": "other"}}});
    vec![
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
async fn a_rollout_that_is_restarted_by_hand_goes_on() -> Outcome {
    on_stage("rollout-restart", async |act| {
        one_model(act).await?;
        act.stage.kubectl(&["rollout", "restart", "deployment/m", "--namespace", &act.namespace], "")?;
        let annotation = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
        let read = async |act: &Act<'_>| -> Result<Value> {
            let data = act.children(ChildKind::Deployment).get("m").await?.data;
            data.pointer(annotation).cloned().context("the annotation is gone")
        };
        let set = read(act).await?;
        act.settled(PATIENCE).await?;
        // A pass that writes the Deployment does not take it away either.
        let mut scaled = variant("m", 1);
        scaled["spec"]["replicas"] = json!(3);
        act.apply(&scaled).await?;
        act.settled(PATIENCE).await?;
        ensure!(act.children(ChildKind::Deployment).get("m").await?.data["spec"]["replicas"] == 3, "not scaled");
        ensure!(read(act).await? == set, "the annotation was changed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn labels_and_annotations_of_a_model_are_not_copied() -> Outcome {
    on_stage("marks", async |act| {
        let expected = one_model(act).await?;
        let mark = act.proxy.mark();
        let marks = json!({"argocd.argoproj.io/instance": "app", "applyset.kubernetes.io/part-of": "x"});
        let mut model = variant("m", 1);
        model["metadata"]["labels"] = marks.clone();
        model["metadata"]["annotations"] = marks;
        act.apply(&model).await?;
        act.until_same(&expected, PATIENCE).await?;
        let writes = act.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "marks led to writes: {}", belfry_e2e::chaos::list(&writes));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_fight_with_another_manager_does_not_keep_other_models_back() -> Outcome {
    on_stage("fight", async |act| {
        let expected = one_model(act).await?;
        let begun = Instant::now();
        let other = async |act: &Act<'_>| -> Result<()> {
            act.apply(&variant("other", 0)).await?;
            act.until_condition("other", "SpecAccepted", "True", secs(5)).await?;
            act.delete("other").await
        };
        tokio::select! {
            ended = fight(act) => ended?,
            done = other(act) => done?,
        }
        report(&format!("a model beside a fight is accepted after {:.1} s", begun.elapsed().as_secs_f64()));
        // The fight ends, and what is wanted is there.
        act.until_same(&expected, PATIENCE).await
    })
    .await
}

/// Another manager sets another number of replicas, each second.
async fn fight(act: &Act<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(secs(1));
    loop {
        ticks.tick().await;
        act.edit(ChildKind::Deployment, "m", &json!({"spec": {"replicas": 9}})).await?;
    }
}

async fn one_model(act: &mut Act<'_>) -> Result<Snapshot> {
    act.operator.start().await?;
    act.expected(&[variant("m", 1)]).await
}

const fn name(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::ConfigMap => "m-dashboard",
        _ => "m",
    }
}

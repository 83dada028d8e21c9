//! Alerts about pods, scalers and the operator, each rung by its fault. The operator, its rules and Prometheus are real; what a kubelet
//! would say of a pod is written by the test. A condition must hold for seconds in place of the rule's minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};
use belfry_e2e::chaos::specs::{SCALED, variant};
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_e2e::{TestResult, report, secs, wait};
use belfry_render::kind::ChildKind;
use serde_json::{Value, json};

use crate::evaluated::{Files, in_seconds};
use crate::pod_status::{crashing, running, unschedulable, waiting};

/// The windows of some rules reach back a minute and a half; more is a fault.
const LIMIT: Duration = secs(120);

/// How long nothing else may ring.
const QUIET: Duration = secs(10);

/// A model with its fault, and the alerts that have to ring for it, and no others.
struct Bell {
    model: &'static str,
    /// Its pod serves before the fault.
    serves: bool,
    /// Prometheus scrapes it.
    scraped: bool,
    /// The pod's status with the fault; `None` where the fault is not one of a pod.
    status: Option<Value>,
    rings: &'static [&'static str],
}

fn bells() -> Vec<Bell> {
    let bell = |model, status, rings| Bell { model, serves: false, scraped: false, status: Some(status), rings };
    let load = LoadFailure { reason: LoadFailureReason::FileMissing, message: "what, where, what to do".into() };
    let failed = json!({"exitCode": 3, "message": json!(load).to_string()});
    vec![
        Bell { serves: true, scraped: true, status: None, ..bell("well", json!({}), &[]) },
        bell("crashes", crashing(json!({"exitCode": 134})), &["InferenceWorkerCrashLooping"]),
        bell("broken", crashing(failed), &["InferenceModelLoadFailed", "InferenceWorkerCrashLooping"]),
        bell("no-image", waiting("ImagePullBackOff"), &["InferenceImagePullFailing"]),
        bell("no-node", unschedulable(), &["InferenceWorkerUnschedulable"]),
        Bell { serves: true, scraped: true, ..bell("down", pod(false, 0), &["InferenceModelDown"]) },
        Bell { serves: true, scraped: true, ..bell("restarts", pod(true, 5), &["InferenceWorkerRestarts"]) },
        // It serves from now on, and nothing scrapes it.
        bell("unseen", pod(true, 0), &["InferenceTargetsAbsent"]),
        Bell { status: None, ..bell("unscaled", json!({}), &["InferenceAutoscalerBlind"]) },
        Bell { status: None, ..bell("refused", json!({}), &["InferenceModelStuck"]) },
    ]
}

/// The pod runs, serves or not, and was started again so often.
fn pod(serves: bool, restarts: u32) -> Value {
    let word = if serves { "True" } else { "False" };
    let conditions = json!([{"type": "ContainersReady", "status": word}, {"type": "Ready", "status": word}]);
    let mut status = running(serves, restarts, conditions);
    status["podIP"] = json!("192.0.2.1");
    status["podIPs"] = json!([{"ip": "192.0.2.1"}]);
    status
}

/// What is applied for a bell: with every alert that there is.
fn model(bell: &Bell) -> Value {
    let mut model = variant(bell.model, if bell.model == "unscaled" { SCALED } else { 0 });
    model["spec"]["observability"] = json!({"alerts": {"profile": "Full"}});
    model
}

/// The firing alerts of each model.
type Ringing = BTreeMap<String, BTreeSet<String>>;

async fn ringing(prometheus: &OwnPrometheus, matchers: &str) -> Result<Ringing> {
    let mut all = Ringing::new();
    for alert in prometheus.query(&format!(r#"ALERTS{{alertstate="firing",{matchers}}}"#)).await? {
        let label = |name: &str| alert["metric"][name].as_str().unwrap_or_default().to_owned();
        all.entry(label("model")).or_default().insert(label("alertname"));
    }
    Ok(all)
}

#[tokio::test]
async fn every_fault_of_a_pod_a_scaler_or_the_operator_rings_its_own_alert_and_no_other() -> TestResult {
    fault_test("bells", async |test| {
        let folder = test.cluster.control_plane.place().0.join("bells-prometheus");
        drop(fs::remove_dir_all(&folder));
        let files = Files::new(&folder)?;
        test.operator.start().await?;
        let config = files.config(&test.operator.address().to_string());
        let prometheus = OwnPrometheus::start(&folder.join("first"), &config).await?;
        let bells = bells();
        before(test, &bells).await?;
        let of_models = format!(r#"namespace="{}""#, test.namespace);
        // It has none of the operator's series, and none of a worker's: only `up` matters.
        let target = |bell: &Bell| {
            let labels = json!({"namespace": test.namespace, "model": bell.model});
            json!({"targets": [prometheus.url().trim_start_matches("http://")], "labels": labels})
        };
        let targets: Vec<_> = bells.iter().filter(|bell| bell.scraped).map(target).collect();
        files.load(&json!([]), &json!(targets))?;
        wait::until("the workers are scraped", PATIENCE, async || {
            let up = prometheus.query(&format!("up{{{of_models}}} == 1")).await?;
            ensure!(up.len() == targets.len(), "{} of {}", up.len(), targets.len());
            Ok(())
        })
        .await?;
        files.load(&rules(test, &bells).await?, &json!(targets))?;
        prometheus.reload()?;
        // What is there from the start rings already; nothing else may.
        let quiet: BTreeSet<_> = ["unscaled", "refused"].into();
        wait::holds("nothing rings while all is well", QUIET, async || {
            let mut early = ringing(&prometheus, &of_models).await?;
            early.retain(|model, _| !quiet.contains(model.as_str()));
            ensure!(early.is_empty(), "{early:?} ring");
            Ok(())
        })
        .await?;
        for bell in &bells {
            if let Some(status) = &bell.status {
                test.set_pod_status(bell.model, status).await?;
            }
        }
        all_ring(&prometheus, &of_models, &bells).await?;
        test.operator.kill()?;
        wait::until("InferenceOperatorDown", LIMIT, async || {
            let firing = prometheus.query(r#"ALERTS{alertname="InferenceOperatorDown",alertstate="firing"}"#).await?;
            ensure!(!firing.is_empty(), "it does not ring");
            Ok(())
        })
        .await?;
        let still = ringing(&prometheus, &of_models).await?;
        ensure!(still.contains_key("down"), "the page of a model that is down ends with the operator: {still:?}");
        test.operator.start().await?;
        for bell in bells.iter().filter(|bell| bell.status.is_some()) {
            test.set_pod_status(bell.model, &pod(true, 0)).await?;
        }
        let well: Vec<_> = bells.iter().map(target).collect();
        files.load(&rules(test, &bells).await?, &json!(well))?;
        wait::until("what is mended rings no more", LIMIT, async || {
            let left: Vec<_> = ringing(&prometheus, &of_models).await?.into_keys().collect();
            ensure!(left.iter().all(|model| quiet.contains(model.as_str()) || model == "restarts"), "{left:?} ring");
            Ok(())
        })
        .await
    })
    .await
}

/// Brings every model to where its fault begins.
async fn before(test: &FaultTest<'_>, bells: &[Bell]) -> Result<()> {
    test.cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "refused", "namespace": test.namespace},
        "spec": {"ports": [{"port": 1}]},
    }))?;
    for bell in bells {
        test.apply(&model(bell)).await?;
    }
    for bell in bells.iter().filter(|bell| bell.serves) {
        test.set_pod_status(bell.model, &pod(true, 0)).await?;
        test.until_condition(bell.model, "Available", "True", PATIENCE).await?;
    }
    test.until_condition("refused", "SpecAccepted", "False NameConflict", PATIENCE).await?;
    test.until_condition("unscaled", "ScalingReady", "False", PATIENCE).await.map(drop)
}

/// Waits until exactly the alerts ring that should, and says how long each took.
async fn all_ring(prometheus: &OwnPrometheus, of_models: &str, bells: &[Bell]) -> Result<()> {
    let wanted: Ringing = bells
        .iter()
        .filter(|bell| !bell.rings.is_empty())
        .map(|bell| (bell.model.to_owned(), bell.rings.iter().map(|alert| (*alert).to_owned()).collect()))
        .collect();
    let (began, mut heard) = (Instant::now(), BTreeSet::new());
    wait::until("every alert rings, and no other", LIMIT, async || {
        let now = ringing(prometheus, of_models).await?;
        for (model, alert) in now.iter().flat_map(|(model, alerts)| alerts.iter().map(move |alert| (model, alert))) {
            if heard.insert((model.clone(), alert.clone())) {
                report(&format!("{model}: {alert} rings after {:.1} s", began.elapsed().as_secs_f64()));
            }
        }
        ensure!(now == wanted, "{now:?}");
        Ok(())
    })
    .await?;
    wait::holds("no other alert", QUIET, async || {
        let now = ringing(prometheus, of_models).await?;
        ensure!(now == wanted, "{now:?}");
        Ok(())
    })
    .await
}

/// The rules that the operator wrote for the models.
async fn rules(test: &FaultTest<'_>, bells: &[Bell]) -> Result<Value> {
    let mut all = vec![];
    for bell in bells {
        let mut rule = wait::until(&format!("rules of {}", bell.model), PATIENCE, async || {
            test.children(ChildKind::PrometheusRule).get_opt(bell.model).await?.context("none yet")
        })
        .await?;
        all.extend(rule.data["spec"]["groups"].as_array_mut().map(std::mem::take).unwrap_or_default());
    }
    let mut groups = json!({"groups": all});
    in_seconds(&mut groups);
    Ok(groups["groups"].take())
}

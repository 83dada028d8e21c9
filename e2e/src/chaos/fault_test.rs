//! One fault test: a namespace, a proxy and an operator of its own.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use belfry_crds::InferenceModel;
use belfry_render::kind::ChildKind;
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Operator;
use super::cluster::{FaultCluster, Taken};
use super::snapshot::{self, Snapshot, models};
use crate::control_plane::Part;
use crate::proxy::{Call, Proxy};
use crate::{FIELD_MANAGER, TestResult, report, secs, wait};

/// The operator is silent when it has sent no request but watches for this time. After a first failure it pauses for up
/// to 1.2 s.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// Bound of a wait whose length a test does not judge.
pub const PATIENCE: Duration = secs(60);

/// The namespace, proxy and operator of one test.
pub struct FaultTest<'a> {
    /// The control plane.
    pub cluster: &'a FaultCluster,
    /// An administrator, past the proxy.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// What the operator takes for the API server.
    pub proxy: Proxy,
    /// The operator; the test starts it.
    pub operator: Operator,
}

/// Runs a test on a control plane that it has to itself, and leaves the control plane as it was.
pub async fn fault_test(name: &str, body: impl AsyncFnOnce(&mut FaultTest<'_>) -> Result<()>) -> TestResult {
    let taken = Taken::take().await?;
    let cluster = taken.cluster()?;
    let mut test = FaultTest::new(cluster, name).await?;
    let begun = Instant::now();
    let outcome = AssertUnwindSafe(body(&mut test)).catch_unwind().await;
    let outcome = outcome.map(|outcome| outcome.and_then(|()| test.wrote_in_its_namespace_only()));
    report(&format!("{name} took {} s, {} faults", begun.elapsed().as_secs(), test.proxy.injected()));
    if !matches!(outcome, Ok(Ok(()))) {
        let why = match &outcome {
            Ok(result) => result.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default(),
            Err(_) => "a panic".to_owned(),
        };
        report(&format!("{name} failed: {why}; the operator's last lines:\n{}", test.operator.last_lines()));
        test.heal()?;
    }
    let left = test.leave().await;
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) => left.map_err(Into::into),
    }
}

impl<'a> FaultTest<'a> {
    async fn new(cluster: &'a FaultCluster, name: &str) -> Result<Self> {
        let client = cluster.control_plane.client().await?;
        cluster.kubectl(&["create", "namespace", name], "")?;
        let proxy = Proxy::start(cluster.access().await?)?;
        let operator = Operator::new(cluster.control_plane.place().0.join(name), &proxy.address())?;
        Ok(Self { cluster, client, namespace: name.to_owned(), proxy, operator })
    }

    /// The models of this namespace.
    pub fn models(&self) -> Api<DynamicObject> {
        self.api(&ApiResource::erase::<InferenceModel>(&()))
    }

    /// Children of a kind in this namespace.
    pub fn children(&self, kind: ChildKind) -> Api<DynamicObject> {
        self.api(&kind.api_resource())
    }

    /// Objects of a kind in this namespace.
    pub fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Creates or changes a model, as `kubectl apply --server-side` does.
    pub async fn apply(&self, model: &Value) -> Result<DynamicObject> {
        let name = model["metadata"]["name"].as_str().context("a model without a name")?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.models().patch(name, &params, &Patch::Apply(model)).await.with_context(|| format!("can't apply {model}"))
    }

    /// Deletes a model, and lets the garbage collector take its children.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.models()
            .delete(name, &DeleteParams::background())
            .await
            .with_context(|| format!("can't delete {name}"))?;
        Ok(())
    }

    /// Changes an object of this namespace, under another field manager.
    pub async fn edit(&self, kind: ChildKind, name: &str, change: &Value) -> Result<DynamicObject> {
        let params = PatchParams { field_manager: Some("another-manager".into()), ..Default::default() };
        let edited = self.children(kind).patch(name, &params, &Patch::Merge(change)).await;
        edited.with_context(|| format!("can't edit {} {name}", kind.as_str()))
    }

    /// What is in this namespace.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        snapshot::children(&self.client, &self.namespace).await
    }

    /// A condition of a model, as `STATUS Reason: message`, once it is about the present generation.
    pub async fn condition(&self, model: &str, type_: &str) -> Result<String> {
        condition(&self.models().get(model).await?, type_)
    }

    /// Waits until a condition begins with that text.
    pub async fn until_condition(&self, model: &str, type_: &str, text: &str, limit: Duration) -> Result<String> {
        wait::until(&format!("{model} {type_} {text}"), limit, async || {
            let condition = self.condition(model, type_).await?;
            ensure!(condition.starts_with(text), "{condition}");
            Ok(condition)
        })
        .await
    }

    /// Waits until every model is accepted as it now is, and the operator has fallen silent. Gives what is there.
    pub async fn settled(&self, limit: Duration) -> Result<Snapshot> {
        wait::until("the operator settles", limit, async || {
            for model in models(&self.client, &self.namespace).await? {
                let condition = condition(&model, "SpecAccepted").with_context(|| model.name_any())?;
                ensure!(condition.starts_with("True"), "{} {condition}", model.name_any());
            }
            ensure!(self.proxy.idle() >= SILENCE, "requests go on, the last one: {}", self.proxy.last());
            Ok(())
        })
        .await?;
        self.snapshot().await
    }

    /// Waits until there is what is expected and nothing else, and the operator has fallen silent.
    pub async fn until_same(&self, expected: &Snapshot, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        wait::until("the state of a run without faults", limit, async || {
            snapshot::same(&self.snapshot().await?, expected)
        })
        .await?;
        let settled = self.settled(limit.saturating_sub(begun.elapsed()).max(SILENCE * 3)).await?;
        snapshot::same(&settled, expected)
    }

    /// What a run without faults makes of these models. The operator has to run.
    pub async fn expected(&self, models: &[Value]) -> Result<Snapshot> {
        for model in models {
            self.apply(model).await?;
        }
        let snapshot = self.settled(PATIENCE).await?;
        ensure!(snapshot.len() >= models.len() * 5, "too few objects to prove anything: {:?}", snapshot.keys());
        Ok(snapshot)
    }

    /// Deletes all models, and waits until their children are gone.
    pub async fn clear(&self) -> Result<()> {
        self.models().delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
        // Kubernetes' garbage collector takes them, which pauses for up to half a minute after a kind was defined.
        self.until_same(&Snapshot::new(), 2 * PATIENCE).await
    }

    /// Deletes all models but one.
    pub async fn clear_but(&self, kept: &str) -> Result<()> {
        for model in models(&self.client, &self.namespace).await? {
            if model.name_any() != kept {
                self.delete(&model.name_any()).await?;
            }
        }
        wait::until("the other children are gone", PATIENCE, async || {
            let left = self.snapshot().await?;
            ensure!(left.keys().all(|key| key.contains(kept)), "{:?}", left.keys());
            Ok(())
        })
        .await
    }

    /// Waits until the status of each model repeats what Kubernetes' controllers have made of its Deployment. Else an operator
    /// that is ended now leaves that to the next one.
    async fn until_repeated(&self) -> Result<()> {
        let deployments = self.children(ChildKind::Deployment);
        wait::until("the status repeats the Deployment's", 2 * PATIENCE, async || {
            for model in models(&self.client, &self.namespace).await? {
                let name = model.name_any();
                let Some(deployment) = deployments.get_opt(&name).await? else { continue };
                let live = &deployment.data["status"];
                let seen = live["observedGeneration"].as_i64();
                ensure!(seen == deployment.metadata.generation, "Deployment {name} is seen at {seen:?}");
                let pending = condition(&model, "Progressing")?;
                ensure!(!pending.starts_with("True Pending"), "{name}: {pending}");
                let replicas = |status: &Value| status["replicas"].as_i64().unwrap_or(0);
                let said = replicas(&model.data["status"]);
                ensure!(said == replicas(live), "{name} says {said} replicas, and there are {}", replicas(live));
                // Its pods are made one step later, unless they are refused or not to be made. A rollout stays at the first of
                // them, since none becomes ready.
                let spec = &deployment.data["spec"];
                let conditions = live["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
                let is_held =
                    spec["paused"] == true || conditions.iter().any(|found| found["type"] == "ReplicaFailure");
                let made = live["updatedReplicas"].as_i64().unwrap_or(0);
                ensure!(is_held || made > 0 || replicas(spec) == 0, "Deployment {name} has made no pods yet");
            }
            Ok(())
        })
        .await
    }

    /// Writes the status of a model's pod, as a kubelet would.
    pub async fn set_pod_status(&self, model: &str, status: &Value) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pod = wait::until(&format!("a pod of {model}"), PATIENCE, async || {
            let of_model = ListParams::default().labels(&format!("belfry.dev/model={model}"));
            pods.list(&of_model).await?.items.pop().context("none yet")
        })
        .await?;
        let patch = Patch::Merge(json!({"status": status}));
        let set = pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await;
        set.with_context(|| format!("can't set the status of the pod of {model}")).map(drop)
    }

    /// Waits until the API server refuses to create a Service of this name: it follows a new webhook or policy with a delay.
    pub async fn until_service_is_refused(&self, name: &str) -> Result<()> {
        let probe = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"ports": [{"port": 1}]},
        });
        wait::until("the admission of Services is asked", PATIENCE, async || {
            let taken = self.cluster.kubectl(&["create", "--dry-run=server", "--filename", "-"], &probe.to_string());
            ensure!(taken.is_err(), "it is not");
            Ok(())
        })
        .await
    }

    /// A new process of the operator that finds nothing to do: what the old one left is complete, status included.
    pub async fn a_fresh_operator_writes_nothing(&mut self) -> Result<()> {
        self.proxy.behave();
        self.until_repeated().await?;
        self.operator.kill()?;
        let mark = self.proxy.mark();
        self.operator.start().await?;
        self.settled(PATIENCE).await?;
        let writes = self.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "a fresh operator found something to write: {}", list(&writes));
        Ok(())
    }

    /// Kills the operator and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.operator.kill()?;
        self.operator.start().await
    }

    fn wrote_in_its_namespace_only(&self) -> Result<()> {
        let calls = self.proxy.since(0);
        let mut writes = calls.iter().filter(|call| call.verb.is_write() && call.is_work());
        // External metrics have one place in a cluster.
        let foreign = writes.find(|call| call.namespace != self.namespace && call.resource != "apiservices");
        match foreign {
            Some(call) => bail!("a write outside the model's namespace: {call}"),
            None => Ok(()),
        }
    }

    async fn leave(mut self) -> Result<()> {
        self.operator.kill()?;
        let everything = ListParams::default();
        // An object that is gone already is no failure.
        drop(self.models().delete_collection(&DeleteParams::background(), &everything).await);
        let namespaces = Api::<Namespace>::all(self.client.clone());
        drop(namespaces.delete(&self.namespace, &DeleteParams::background()).await);
        wait::until("the models are gone", PATIENCE, async || {
            let left = models(&self.client, &self.namespace).await?;
            ensure!(left.is_empty(), "{} models", left.len());
            Ok(())
        })
        .await
    }

    /// Starts parts of the control plane that were killed, and lets those go on that were stopped.
    pub fn heal(&self) -> Result<()> {
        for part in [Part::Etcd, Part::ApiServer, Part::ControllerManager] {
            // A part that does not run gets no signal.
            drop(self.cluster.control_plane.signal(part, Signal::CONT));
            self.cluster.control_plane.start_part(part)?;
        }
        Ok(())
    }
}

/// The targets of some requests.
pub fn list(calls: &[Call]) -> String {
    calls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn condition(model: &DynamicObject, type_: &str) -> Result<String> {
    let conditions = model.data["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition["type"] == *type_);
    let condition = condition.with_context(|| format!("no condition {type_}"))?;
    let (observed, generation) = (condition["observedGeneration"].as_i64(), model.metadata.generation);
    ensure!(observed == generation, "{type_} is of generation {observed:?}, and not {generation:?}");
    let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Ok(format!("{} {}: {}", word("status"), word("reason"), word("message")))
}

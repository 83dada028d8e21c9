//! Another manager changes, removes and adds every field, key and element of every child. Each edit is set back by one
//! pass, or is foreign by design: then docs/ownership.md lists it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{FIELD_MANAGER, report};
use belfry_operator::apply::{self, Disputes, apply};
use belfry_operator::drift::Drift;
use belfry_operator::evaluation::Evaluated;
use belfry_operator::metrics::Metrics;
use belfry_operator::observe::{Cache, Cause, Compare as _, Content, ModelKey, Selection};
use belfry_operator::scaling::MetricsAvailability;
use belfry_operator::status::{Facts, Pass, ScalingFacts, status};
use belfry_render::kind::ChildKind;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::children::{self, NAMESPACE};
use super::fields::{Edit, End, edits};
use super::structure::{Schemas, merge_of};
use super::{install, root, yaml};

/// Samples that have an object of every kind between them, and the kinds that are edited in each.
const SAMPLES: &[(&str, &[ChildKind])] = &[
    (
        "full",
        &[
            ChildKind::ServiceAccount,
            ChildKind::NetworkPolicy,
            ChildKind::Deployment,
            ChildKind::Service,
            ChildKind::PodDisruptionBudget,
            ChildKind::ConfigMap,
            ChildKind::ServiceMonitor,
            ChildKind::PrometheusRule,
        ],
    ),
    ("minilm-oci-copy", &[ChildKind::Deployment]),
    ("vllm", &[ChildKind::Deployment, ChildKind::ServiceMonitor]),
    ("autoscaling", &[ChildKind::HorizontalPodAutoscaler]),
    ("keda", &[ChildKind::ScaledObject]),
    ("paging", &[ChildKind::AlertmanagerConfig]),
];

#[tokio::test]
async fn every_edit_of_a_child_is_set_back_or_is_listed_as_foreign() -> Result<()> {
    let control_plane = ControlPlane::start("edits")?;
    let client = control_plane.client().await?;
    children::define(&client).await?;
    install(&client).await?;
    // Each kind has a model of its own, so that all are edited at once.
    let kinds = SAMPLES.iter().flat_map(|(sample, kinds)| kinds.iter().map(move |kind| (*sample, *kind)));
    let edited = futures::future::try_join_all(kinds.map(async |(sample, kind)| {
        let what = || format!("{} of {sample}", kind.as_str());
        let mut counts = Counts::default();
        let scene = Scene::of(&client, sample, kind).await.with_context(what)?;
        scene.edit_all(kind, &mut counts).await.with_context(what)?;
        anyhow::Ok(counts)
    }));
    let Counts { set_back, stayed, impossible, foreign, wrong } =
        edited.await?.into_iter().fold(Counts::default(), Counts::and);
    report(&format!("{set_back} edits were set back, {stayed} stayed, {impossible} were impossible"));
    ensure!(wrong.is_empty(), "{} edits were not set back:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(set_back > 1000 && stayed > 100, "the test has tried too little");
    let listed = listed()?;
    let difference: Vec<_> = listed.symmetric_difference(&foreign).collect();
    ensure!(difference.is_empty(), "docs/ownership.md lists not what others may add to: {difference:?}");
    Ok(())
}

/// Maps and lists that docs/ownership.md opens to others, as `Kind path`.
fn listed() -> Result<BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("docs/ownership.md"))?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let mut listed = BTreeSet::new();
    for (kind, paths) in rows.filter(|(_, paths)| paths.starts_with('`')) {
        let kinds =
            ChildKind::ALL.iter().map(|kind| kind.as_str()).filter(|name| kind == "every kind" || *name == kind);
        for kind in kinds {
            let paths = paths.split(", ").map(|path| path.trim_matches(['`', '/']).replace('/', "."));
            listed.extend(paths.map(|path| format!("{kind} {path}")));
        }
    }
    Ok(listed)
}

/// What became of the edits.
#[derive(Debug, Default)]
struct Counts {
    set_back: usize,
    stayed: usize,
    /// The API server refused the edit, or made nothing of it.
    impossible: usize,
    /// Maps and lists to which others could add.
    foreign: BTreeSet<String>,
    /// Edits that were to be set back, or that led to writes without end.
    wrong: Vec<String>,
}

impl Counts {
    fn and(mut self, other: Self) -> Self {
        self.foreign.extend(other.foreign);
        self.wrong.extend(other.wrong);
        Self {
            set_back: self.set_back + other.set_back,
            stayed: self.stayed + other.stayed,
            impossible: self.impossible + other.impossible,
            ..self
        }
    }
}

/// A model with its children, and the parts of the operator that compare and write.
struct Scene {
    client: Client,
    key: ModelKey,
    cache: Arc<Cache>,
    drift: Drift,
    metrics: Metrics,
}

impl Scene {
    /// A model of a sample, named for the kind that is edited.
    async fn of(client: &Client, sample: &str, kind: ChildKind) -> Result<Self> {
        let mut model: InferenceModel =
            serde_json::from_value(yaml(&root().join(format!("config/samples/{sample}.yaml")))?)?;
        model.metadata.namespace = Some(NAMESPACE.into());
        model.metadata.name = Some(format!("{sample}-{}", kind.as_str().to_lowercase()));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let models = Api::<InferenceModel>::namespaced(client.clone(), NAMESPACE);
        let model = models.patch(&model.name_any(), &params, &Patch::Apply(&model)).await?;
        let mut scene = Self {
            client: client.clone(),
            key: ModelKey::of(&model),
            cache: Arc::default(),
            drift: Drift::new(Settings::default()),
            metrics: Metrics::new()?,
        };
        scene.cache.model_seen(model);
        scene.pass().await?;
        scene.pin(&models).await?;
        // A new operator knows no answers, and compares every object.
        scene.cache = Arc::default();
        scene.cache.model_seen(models.get(&scene.key.name).await?);
        for role in Role::ALL {
            if let Some(object) = scene.api(role.kind()).get_opt(&role.name(&scene.key.name)).await? {
                scene.see(role.kind(), &object);
            }
        }
        let written = scene.pass().await?;
        ensure!(written.is_empty(), "a new operator writes {written:?}");
        Ok(scene)
    }

    /// Notes in the status what the pods were made with, as the first pass does.
    async fn pin(&self, models: &Api<InferenceModel>) -> Result<()> {
        let observed = self.cache.observed(&self.key).context("no model")?;
        let desired = self.drift.validate(&observed.model, observed.deployed());
        let desired = desired.map_err(|problems| anyhow!("{problems:?}"))?;
        let pass = Pass::Applied { model: Box::new(desired.model), applied: Box::default() };
        let scaling = ScalingFacts { metrics: MetricsAvailability::Served, ..ScalingFacts::default() };
        let facts = Facts {
            generation: Some(1),
            pass: &pass,
            deployment: None,
            scaling: &scaling,
            pods: &[],
            selection: Selection::Unknown,
            evaluated: Evaluated::NotAsked,
            identities: None,
        };
        let status = status(&facts, None, Timestamp::now());
        let patch = Patch::Merge(json!({"status": status}));
        let model = models.patch_status(&self.key.name, &PatchParams::default(), &patch).await?;
        self.cache.model_seen(model);
        Ok(())
    }

    fn api(&self, kind: ChildKind) -> Api<DynamicObject> {
        let resource: ApiResource = kind.api_resource();
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }

    /// Shows the operator an object, as a watch does.
    fn see(&self, kind: ChildKind, object: &DynamicObject) {
        self.cache.child_seen(&self.key, kind, (object, Content::Whole(object)), |model, object, deployed| {
            self.drift.holds(&self.key, (kind, object), model, deployed)
        });
    }

    /// One pass over the children. Gives what was written.
    async fn pass(&self) -> Result<Vec<Role>> {
        let observed = self.cache.observed(&self.key).context("no model")?;
        let desired = self.drift.validate(&observed.model, observed.deployed());
        let desired = desired.map_err(|problems| anyhow!("{problems:?}"))?;
        let (client, cache, drift, metrics) = (&self.client, &self.cache, &self.drift, &self.metrics);
        // A new one, so that no edit waits.
        let disputes = &Disputes::new(std::time::Instant::now());
        let cause = Cause::Resync;
        let context = apply::Context { client, cache, drift, metrics, disputes, cause, key: &self.key };
        let applied = apply(&desired, &observed, &context).await?;
        ensure!(applied.refused.is_empty(), "refused: {:?}", applied.refused);
        Ok(applied.written)
    }

    async fn edit_all(&self, kind: ChildKind, counts: &mut Counts) -> Result<()> {
        let role = role_of(kind)?;
        let name = role.name(&self.key.name);
        let observed = self.cache.observed(&self.key).context("no model")?;
        let desired = self.drift.validate(&observed.model, observed.deployed());
        let desired = desired.map_err(|problems| anyhow!("{problems:?}"))?;
        let desired = self.drift.render(role, &desired)?.object.context("the sample has no such child")?;
        let schemas = Schemas::published(&self.client, kind).await?;
        let live = self.api(kind).get(&name).await?;
        let objects = (&serde_json::to_value(&live)?, &serde_json::to_value(&desired)?);
        for edit in edits(&schemas, &schemas.root(kind)?, objects, &merge_of(kind)?)? {
            if let Err(error) = self.try_out(kind, &live, &edit, counts).await {
                counts.wrong.push(format!("{} {edit}: {error}", kind.as_str()));
                self.undo((kind, &name), &live).await.with_context(|| edit.to_string())?;
            }
        }
        Ok(())
    }

    /// Makes an edit of an object, and sees to it that the object is as before in the end.
    async fn try_out(&self, kind: ChildKind, before: &DynamicObject, edit: &Edit, counts: &mut Counts) -> Result<()> {
        let name = &before.name_any();
        let edited = edited(&self.client, (kind, name), edit).await?;
        let Some(edited) = edited.filter(|edited| content(edited) != content(before)) else {
            counts.impossible += 1;
            return Ok(());
        };
        self.see(kind, &edited);
        let written = self.pass().await?;
        let after = if written.is_empty() { edited } else { self.api(kind).get(name).await? };
        self.see(kind, &after);
        if content(&after) == content(before) {
            counts.set_back += 1;
            return Ok(());
        }
        match &edit.end {
            End::SetBack => bail!("written {written:?}, and not set back: {}", content(&after)),
            End::Stays(shared) => {
                ensure!(written.is_empty(), "written {written:?}, although it is another's");
                counts.foreign.extend(shared.as_ref().map(|path| format!("{} {path}", kind.as_str())));
            }
            End::Beside => ensure!(written == [role_of(kind)?], "written {written:?}"),
        }
        let written = self.pass().await?;
        ensure!(written.is_empty(), "written again: {written:?}");
        counts.stayed += 1;
        self.undo((kind, name), before).await
    }

    /// Puts an object back as it was, by the manager that edited it.
    #[allow(clippy::disallowed_methods, reason = "the other manager does not apply")]
    async fn undo(&self, (kind, name): (ChildKind, &str), before: &DynamicObject) -> Result<()> {
        let api = self.api(kind);
        loop {
            let (mut object, now) = (before.clone(), api.get(name).await?);
            (object.metadata.resource_version, object.metadata.uid) = (now.resource_version(), now.uid());
            let params = PostParams { field_manager: Some(EDITOR.into()), ..Default::default() };
            match api.replace(name, &params, &object).await {
                // A controller wrote its status meanwhile.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                // Some fields are never taken back, such as `immutable` of a ConfigMap.
                Err(kube::Error::Api(status)) if status.code == 422 => return self.make_anew(kind, name).await,
                Err(error) => return Err(error.into()),
                Ok(object) => {
                    self.see(kind, &object);
                    let written = self.pass().await?;
                    ensure!(written.is_empty(), "the end of a foreign edit leads to writes: {written:?}");
                    return Ok(());
                }
            }
        }
    }

    async fn make_anew(&self, kind: ChildKind, name: &str) -> Result<()> {
        let api = self.api(kind);
        let version = api.get(name).await?.resource_version().context("no version")?.parse()?;
        api.delete(name, &DeleteParams::background()).await?;
        self.cache.child_gone(&self.key, kind, name, version);
        self.pass().await?;
        self.see(kind, &api.get(name).await?);
        Ok(())
    }
}

/// The one role of a kind.
fn role_of(kind: ChildKind) -> Result<Role> {
    Role::ALL.iter().copied().find(|role| role.kind() == kind).context("no role")
}

/// Field manager of the edits.
const EDITOR: &str = "another-manager";

/// Makes an edit with the first value that the API server takes; `None` where it takes none.
async fn edited(client: &Client, (kind, name): (ChildKind, &str), edit: &Edit) -> Result<Option<DynamicObject>> {
    let path = DynamicObject::url_path(&kind.api_resource(), Some(NAMESPACE));
    for step in &edit.steps {
        let request = Request::patch(format!("{path}/{name}?fieldManager={EDITOR}"));
        let request = request.header("content-type", "application/json-patch+json");
        match client.request(request.body(json!([step]).to_string().into_bytes())?).await {
            Ok(object) => return Ok(Some(object)),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422 | 500) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// What an object is, without what the API server and the controllers of Kubernetes write.
fn content(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    let Some(root) = value.as_object_mut() else { return value };
    root.remove("status");
    if let Some(metadata) = root.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "labels" | "annotations" | "ownerReferences"));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
        }
    }
    value
}

//! An API server takes every object that Belfry writes, and knows every field of it.
//!
//! Nothing is stored: each object is a dry run with strict validation, which refuses a field that is unknown or there twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{secs, wait};
use belfry_render::children::children;
use belfry_render::kind::ChildKind;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use kube::core::DynamicObject;
use kube::{Client, Resource};
use serde_json::{Value, json};

use super::{CRDS, create, post, root, yaml};

/// Namespace of the golden files.
pub(crate) const NAMESPACE: &str = "search";

/// The model that `render/tests/golden` has whole, and the folder of its files.
const WHOLE: (&str, &str) = ("minimal", "render/tests/golden/minimal");

/// An object as it is sent.
pub(crate) struct Object {
    pub(crate) kind: ChildKind,
    /// Where it comes from, for messages.
    pub(crate) from: String,
    pub(crate) yaml: String,
}

#[tokio::test]
async fn an_api_server_knows_every_field_of_every_object_that_is_written_for_the_samples() -> Result<()> {
    let (golden, rendered) = (golden()?, rendered()?);
    let whole: BTreeSet<_> = golden.iter().map(|object| object.kind).collect();
    let expected: BTreeSet<_> =
        rendered.iter().filter(|object| object.from == WHOLE.0).map(|object| object.kind).collect();
    ensure!(whole == expected && whole.len() >= 8, "{} has {whole:?}, and not {expected:?}", WHOLE.1);
    let kinds: BTreeSet<_> = rendered.iter().map(|object| object.kind).collect();
    ensure!(kinds.iter().eq(ChildKind::ALL.iter().collect::<BTreeSet<_>>()), "the samples have only {kinds:?}");

    let control_plane = ControlPlane::start("children")?;
    let client = control_plane.client().await?;
    define(&client).await?;
    let mut wrong = vec![];
    for object in golden.iter().chain(&rendered) {
        let (status, message) = dry_run(&client, object.kind, object.yaml.clone()).await?;
        if status != 201 {
            wrong.push(format!("{} {}: {status}: {message}", object.from, object.kind.as_str()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    for kind in kinds {
        let object = rendered.iter().find(|object| object.kind == kind).context("no object")?;
        mistakes_are_refused(&client, object).await.with_context(|| kind.as_str())?;
    }
    Ok(())
}

/// Without this the test would pass on an API server that takes everything.
async fn mistakes_are_refused(client: &Client, Object { kind, yaml, .. }: &Object) -> Result<()> {
    let more = |line: &str| format!("{yaml}{line}\n");
    let mut mistakes = vec![(more("surprise: 1"), "unknown field \"surprise\""), (more("data: null"), "\"data\"")];
    mistakes.push((more(&format!("kind: {}", kind.as_str())), "\"kind\" already set"));
    if yaml.contains("\nspec:\n") {
        mistakes.push((yaml.replacen("\nspec:\n", "\nspec:\n  surprise: 1\n", 1), "unknown field \"spec.surprise\""));
    }
    for (text, expected) in mistakes {
        let (status, message) = dry_run(client, *kind, text).await?;
        ensure!(status == 400 && message.contains(expected), "{status} in place of {expected}: {message}");
    }
    Ok(())
}

/// The golden files, as they are.
fn golden() -> Result<Vec<Object>> {
    let mut objects = vec![];
    for entry in std::fs::read_dir(root().join(WHOLE.1))? {
        let path = entry?.path();
        let name = yaml(&path)?["kind"].as_str().context("an object without a kind")?.to_owned();
        let kind = ChildKind::ALL.iter().find(|kind| kind.as_str() == name).context(name)?;
        objects.push(Object { kind: *kind, from: path.display().to_string(), yaml: std::fs::read_to_string(&path)? });
    }
    Ok(objects)
}

/// Every object of every sample, as `belfry render` prints it.
pub(crate) fn rendered() -> Result<Vec<Object>> {
    let mut objects = vec![];
    for entry in std::fs::read_dir(root().join("config/samples"))? {
        let path = entry?.path();
        let from = path.file_stem().context("no name")?.to_string_lossy().into_owned();
        let mut model: InferenceModel = serde_json::from_value(yaml(&path)?)?;
        model.metadata.namespace = Some(NAMESPACE.into());
        model.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
        let valid = validate(&model, &Settings::default()).map_err(|problems| anyhow!("{from}: {problems:?}"))?;
        for child in children(&valid)? {
            let kind = child.kind();
            let Some(object) = child.object else { continue };
            objects.push(Object { kind, from: from.clone(), yaml: serde_yaml::to_string(&object)? });
        }
    }
    Ok(objects)
}

async fn dry_run(client: &Client, kind: ChildKind, yaml: String) -> Result<(u16, String)> {
    let path = DynamicObject::url_path(&kind.api_resource(), Some(NAMESPACE));
    create(client, &format!("{path}?dryRun=All&fieldValidation=Strict"), "application/yaml", yaml).await
}

/// Defines the kinds that Kubernetes does not bring, and waits until they are served.
pub(crate) async fn define(client: &Client) -> Result<()> {
    let (status, message) = post(client, "/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}})).await?;
    ensure!(status == 201, "no namespace: {status}: {message}");
    for kind in ChildKind::ALL.iter().copied().filter(|kind| kind.is_optional()) {
        let (status, message) = post(client, CRDS, &definition(kind)?).await?;
        ensure!(status == 201, "the definition of {} is refused with {status}: {message}", kind.as_str());
        let path = DynamicObject::url_path(&kind.api_resource(), Some(NAMESPACE));
        wait::until(&format!("{} is served", kind.as_str()), secs(30), async || {
            let request = http::Request::get(&path).body(vec![])?;
            client.request_text(request).await.map(drop).map_err(Into::into)
        })
        .await?;
    }
    Ok(())
}

/// The definition that the kind's own project ships.
fn definition(kind: ChildKind) -> Result<Value> {
    let plural = kind.api_resource().plural;
    let file = match kind.api_resource().group.as_str() {
        "monitoring.coreos.com" => {
            let folder = module("github.com/prometheus-operator/prometheus-operator", None)?;
            folder.join(format!("example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"))
        }
        "keda.sh" => {
            let folder = module("github.com/kedacore/keda/v2@v2.18.3", Some(KEDA))?;
            folder.join(format!("config/crd/bases/keda.sh_{plural}.yaml"))
        }
        group => bail!("no definition of a kind of {group} is known"),
    };
    yaml(&file)
}

/// What Go says of KEDA's module at that version. No program of it is built, so that no go.mod pins it.
const KEDA: &str = "h1:PY3o80tzBAzCffS8J6eBZctT4B+g/r26zErNSMleC50=";

/// Folder of a Go module, at the version of e2e/tools unless it names one.
fn module(name: &str, sum: Option<&str>) -> Result<PathBuf> {
    let output = Command::new("go")
        .arg("-C")
        .arg(root().join("e2e/tools/prometheus-operator"))
        .args(["mod", "download", "-json", name])
        .env("GOWORK", "off")
        .output()
        .context("no go")?;
    let module: Value = serde_json::from_slice(&output.stdout).context("go names no folder of the module")?;
    ensure!(sum.is_none_or(|sum| module["Sum"] == sum), "{name} is another one: {}", module["Sum"]);
    Ok(Path::new(module["Dir"].as_str().context("the module has no folder")?).to_owned())
}

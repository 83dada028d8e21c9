//! The CRD on a real API server, without a node: it is accepted, its rules admit every sample, and each refusal names
//! field and cure.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use belfry_e2e::control_plane::ControlPlane;
use belfry_e2e::{secs, wait};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

mod cases;
mod children;
mod edits;
mod fields;
mod sources;
mod structure;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn yaml(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_yaml::from_str(&text).with_context(|| path.display().to_string())
}

/// The status and, of a refusal, the message.
async fn post(client: &Client, path: &str, body: &Value) -> Result<(u16, String)> {
    create(client, path, "application/json", body.to_string()).await
}

/// The same with a text of any kind.
async fn create(client: &Client, path: &str, kind: &str, text: String) -> Result<(u16, String)> {
    let request = Request::post(path).header("content-type", kind).body(text.into_bytes())?;
    match client.request_text(request).await {
        Ok(_) => Ok((201, String::new())),
        Err(kube::Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// What `kubectl create --dry-run=server --validate=strict` does.
async fn dry_run(client: &Client, model: &Value) -> Result<(u16, String)> {
    let models = "/apis/belfry.dev/v1alpha1/namespaces/default/inferencemodels";
    post(client, &format!("{models}?dryRun=All&fieldValidation=Strict"), model).await
}

async fn install(client: &Client) -> Result<()> {
    let definition = yaml(&root().join("crds/inferencemodels.yaml"))?;
    let (status, message) = post(client, CRDS, &definition).await?;
    ensure!(status == 201, "the API server refuses the CRD with {status}: {message}");
    let model = yaml(&root().join("config/samples/minimal.yaml"))?;
    // The kind is served a moment after its definition is there.
    wait::until("the kind is served", secs(30), async || {
        let (status, message) = dry_run(client, &model).await?;
        ensure!(status == 201, "{status}: {message}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_api_server_takes_the_crd_admits_what_is_right_and_names_what_is_wrong() -> Result<()> {
    let control_plane = ControlPlane::start("crd")?;
    let client = control_plane.client().await?;
    install(&client).await?;
    let mut wrong = vec![];
    for entry in std::fs::read_dir(root().join("config/samples"))? {
        let path = entry?.path();
        let (status, message) = dry_run(&client, &yaml(&path)?).await?;
        if status != 201 {
            wrong.push(format!("{}: {status}: {message}", path.display()));
        }
    }
    for (what, spec) in [cases::right(), sources::right()].concat() {
        let (status, message) = dry_run(&client, &with(&spec)?).await?;
        if status != 201 {
            wrong.push(format!("{what}: refused with {status}: {message}"));
        }
    }
    for (what, spec, expected) in [cases::wrong(), sources::wrong()].concat() {
        let (status, message) = dry_run(&client, &with(&spec)?).await?;
        let is_refused = matches!(status, 400 | 422);
        if !is_refused || !expected.iter().all(|part| message.contains(part)) {
            wrong.push(format!("{what}: status {status}, wanted {expected:?} in: {message}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The smallest sample with more in its specification.
fn with(spec: &Value) -> Result<Value> {
    let mut model = yaml(&root().join("config/samples/minimal.yaml"))?;
    merge(&mut model["spec"], spec);
    Ok(model)
}

/// A JSON merge patch.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(changes) = change else { return *target = change.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

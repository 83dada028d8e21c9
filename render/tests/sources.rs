//! How each source reaches a worker's pod.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;

use belfry_crds::InferenceModel;
use belfry_render::children::child;
use belfry_render::children::deployment::deployment;
use belfry_render::deployed::{Deployed, FromImage};
use belfry_render::model::ValidModel;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::{validate, validate_running};
use serde_json::{Value, json};

use support::sample;

/// The smallest sample with this `spec.model`.
fn model(source: &Value) -> InferenceModel {
    let mut object = serde_json::to_value(sample("minimal")).unwrap();
    object["spec"]["model"] = source.clone();
    serde_json::from_value(object).unwrap()
}

fn valid(model: &InferenceModel) -> ValidModel {
    validate(model, &Settings::default()).unwrap()
}

/// Its pod.
fn pod(source: &Value) -> Value {
    let valid = valid(&model(source));
    serde_json::to_value(deployment(&valid)).unwrap()["spec"]["template"]["spec"].clone()
}

fn hub(more: &Value) -> Value {
    let mut model = json!({"source": {"huggingFace": {"repo": "o/n", "revision": "main"}}});
    model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    model
}

fn env<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let vars = pod["containers"][0]["env"].as_array().unwrap();
    vars.iter().find(|var| var["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn a_download_without_settings_has_the_pod_that_it_always_had() {
    let pod = pod(&hub(&json!({})));
    assert_eq!(pod["volumes"], json!([{"name": "cache", "emptyDir": {}}]));
    for name in ["BELFRY_DOWNLOAD_TIMEOUT_SECONDS", "BELFRY_STALL_TIMEOUT_SECONDS", "BELFRY_MODEL_SHA256"] {
        assert_eq!(env(&pod, name), &Value::Null, "{name}");
    }
    assert_eq!(pod["securityContext"]["fsGroup"], Value::Null);
}

#[test]
fn a_pods_own_cache_has_its_size_and_its_waits() {
    let pod = pod(&hub(&json!({"sha256": "a".repeat(64), "cache": {"sizeLimit": "1024Mi", "stallTimeoutSeconds": 9}})));
    assert_eq!(pod["volumes"], json!([{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}]));
    assert_eq!(env(&pod, "BELFRY_DOWNLOAD_TIMEOUT_SECONDS")["value"], "840");
    assert_eq!(env(&pod, "BELFRY_STALL_TIMEOUT_SECONDS")["value"], "9");
    assert_eq!(env(&pod, "BELFRY_MODEL_SHA256")["value"], "a".repeat(64));
}

#[test]
fn a_shared_cache_is_a_claim_that_the_workers_group_may_write_to() {
    let pod = pod(&hub(&json!({"cache": {"mode": "SharedPVC", "claimName": "c"}})));
    assert_eq!(pod["volumes"], json!([{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}]));
    assert_eq!(pod["containers"][0]["volumeMounts"], json!([{"name": "cache", "mountPath": "/cache"}]));
    assert_eq!(pod["securityContext"]["fsGroup"], 65532);
    assert_eq!(pod["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch");
}

#[test]
fn the_key_of_a_bucket_comes_from_the_secret_and_only_its_token_is_optional() {
    let secret = json!({"name": "s", "accessKeyIdKey": "id"});
    let pod = pod(&json!({"source": {"s3": {"uri": "s3://bucket/m", "credentialsSecretRef": secret}}}));
    let reference = |name| env(&pod, name)["valueFrom"]["secretKeyRef"].clone();
    assert_eq!(reference("AWS_ACCESS_KEY_ID"), json!({"name": "s", "key": "id"}));
    assert_eq!(reference("AWS_SECRET_ACCESS_KEY"), json!({"name": "s", "key": "AWS_SECRET_ACCESS_KEY"}));
    assert_eq!(reference("AWS_SESSION_TOKEN"), json!({"name": "s", "key": "AWS_SESSION_TOKEN", "optional": true}));
    assert_eq!(env(&pod, "BELFRY_S3_REGION")["value"], "us-east-1");
    assert_eq!(env(&pod, "BELFRY_DOWNLOAD_TIMEOUT_SECONDS")["value"], "840");
}

#[test]
fn an_image_is_mounted_unless_the_cluster_has_shown_that_it_can_not_be_and_a_pod_keeps_what_it_has() {
    let found = |source: Value, from_image| {
        let model = model(&json!({"source": {"oci": source}}));
        let deployed = Deployed { from_image, running: None };
        let valid = validate_running(&model, Some(&deployed), &Settings::default()).unwrap();
        if valid.source.is_image_volume() { FromImage::Mounted } else { FromImage::Copied }
    };
    let folder = json!({"image": "r/m:1", "path": "a"});
    assert_eq!(found(folder.clone(), FromImage::Not), FromImage::Mounted);
    assert_eq!(found(folder.clone(), FromImage::Mounted), FromImage::Mounted);
    assert_eq!(found(folder.clone(), FromImage::Forgotten), FromImage::Copied);
    assert_eq!(found(folder, FromImage::Copied), FromImage::Copied);
    // A root can't be copied, and the user's choice of mount counts.
    assert_eq!(found(json!({"image": "r/m:1"}), FromImage::Forgotten), FromImage::Mounted);
    let asked = json!({"image": "r/m:1", "path": "a", "mount": "ImageVolume"});
    assert_eq!(found(asked, FromImage::Forgotten), FromImage::Mounted);
}

#[test]
fn a_rendered_deployment_leads_to_the_same_deployment_again() {
    for mount in ["ImageVolume", "InitContainerCopy"] {
        let asked = model(&json!({"source": {"oci": {"image": "r/m:1", "path": "a", "mount": mount}}}));
        let rendered = child(Role::Workers, &valid(&asked)).unwrap();
        let silent = model(&json!({"source": {"oci": {"image": "r/m:1", "path": "a"}}}));
        let deployed = Deployed::of(rendered.object.as_ref().unwrap());
        let again = validate_running(&silent, Some(&deployed), &Settings::default()).unwrap();
        assert_eq!(child(Role::Workers, &again).unwrap(), rendered, "{mount}");
    }
}

#[test]
fn an_image_is_mounted_or_copied() {
    let oci = |mount: &str| json!({"source": {"oci": {"image": "r/m:1", "path": "a/b/", "mount": mount}}});
    let mounted = pod(&oci("ImageVolume"));
    let image = json!({"reference": "r/m:1", "pullPolicy": "IfNotPresent"});
    assert_eq!(mounted["volumes"], json!([{"name": "model", "image": image}]));
    assert_eq!(mounted["initContainers"], Value::Null);
    assert_eq!(env(&mounted, "BELFRY_MODEL")["value"], "/models/a/b");
    let copied = pod(&oci("InitContainerCopy"));
    assert_eq!(copied["volumes"], json!([{"name": "model", "emptyDir": {}}]));
    assert_eq!(copied["initContainers"][0]["image"], "r/m:1");
    assert_eq!(copied["initContainers"][0]["command"], json!(["cp", "-RL", "/a/b/.", "/models/"]));
    assert_eq!(env(&copied, "BELFRY_MODEL")["value"], "/models");
    for pod in [mounted, copied] {
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([{"name": "model", "mountPath": "/models", "readOnly": true}])
        );
    }
}

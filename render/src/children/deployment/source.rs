//! How a pod gets its model: settings, volumes, and an init container if the files are copied.

use belfry_crds::contract::{CA_FILE_NAME, CA_MOUNT, CACHE_MOUNT, MODEL_MOUNT, defaults, env};
use belfry_crds::inference_model::{CaBundle, HuggingFaceSource, OciMount, PullPolicy, S3Source, SecretKeyRef};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, ImageVolumeSource, KeyToPath,
    PersistentVolumeClaimVolumeSource, ResourceRequirements, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};

use super::confinement::confined;
use super::variable::{from_secret, plain};
use crate::deployed::{COPY, MODEL_VOLUME};
use crate::model::{Download, ValidModel, ValidSource};
use crate::quantity::GPU;

/// The variables that name the model.
pub(super) fn environment(model: &ValidModel) -> Vec<EnvVar> {
    let mut vars = match &model.source {
        ValidSource::Pvc { .. } | ValidSource::Oci { .. } => vec![plain(env::MODEL, model.source.location())],
        ValidSource::HuggingFace(hub, download) => downloaded(hub_environment(hub), download),
        ValidSource::S3(bucket, download) => downloaded(s3_environment(bucket), download),
    };
    vars.extend(model.sha256.as_ref().map(|sha256| plain(env::MODEL_SHA256, sha256)));
    vars
}

fn downloaded(mut vars: Vec<EnvVar>, download: &Download) -> Vec<EnvVar> {
    if let Some(timeouts) = download.timeouts {
        vars.push(plain(env::DOWNLOAD_TIMEOUT_SECONDS, timeouts.download));
        vars.push(plain(env::STALL_TIMEOUT_SECONDS, timeouts.stall));
    }
    vars.extend(download.authorities.iter().map(|_| plain(env::CA_FILE, ca_file())));
    vars
}

fn hub_environment(hub: &HuggingFaceSource) -> Vec<EnvVar> {
    let mut vars =
        vec![plain(env::HF_REPO, &hub.repo), plain(env::HF_REVISION, &hub.revision), plain(env::CACHE, CACHE_MOUNT)];
    vars.extend(hub.endpoint.as_ref().map(|endpoint| plain(env::HF_ENDPOINT, endpoint)));
    vars.extend(hub.token_secret_ref.as_ref().map(|secret| from_secret(env::HF_TOKEN, secret)));
    vars
}

fn s3_environment(bucket: &S3Source) -> Vec<EnvVar> {
    let region = bucket.region.as_deref().unwrap_or(defaults::S3_REGION);
    let mut vars = vec![plain(env::S3_URI, &bucket.uri), plain(env::S3_REGION, region), plain(env::CACHE, CACHE_MOUNT)];
    vars.extend(bucket.endpoint.as_ref().map(|endpoint| plain(env::S3_ENDPOINT, endpoint)));
    if let Some(secret) = &bucket.credentials_secret_ref {
        let var = |name: &str, key: &Option<String>| {
            let key = key.as_deref().unwrap_or(name).to_owned();
            from_secret(name, &SecretKeyRef { name: secret.name.clone(), key })
        };
        vars.push(var(env::AWS_ACCESS_KEY_ID, &secret.access_key_id_key));
        vars.push(var(env::AWS_SECRET_ACCESS_KEY, &secret.secret_access_key_key));
        // Only temporary credentials have a session token.
        vars.push(optional(var(env::AWS_SESSION_TOKEN, &secret.session_token_key)));
    }
    vars
}

fn optional(mut var: EnvVar) -> EnvVar {
    if let Some(key) = var.value_from.as_mut().and_then(|from| from.secret_key_ref.as_mut()) {
        key.optional = Some(true);
    }
    var
}

/// The volume that the model is read from.
pub(super) fn volume(source: &ValidSource) -> Volume {
    let (model, cache) = (|| MODEL_VOLUME.to_owned(), || "cache".to_owned());
    match source {
        ValidSource::Pvc { claim_name, .. } => {
            Volume { name: model(), persistent_volume_claim: Some(claim(claim_name, Some(true))), ..Default::default() }
        }
        ValidSource::Oci { image, pull_policy, mount: OciMount::ImageVolume, .. } => {
            Volume { name: model(), image: Some(image_volume(image, *pull_policy)), ..Default::default() }
        }
        ValidSource::Oci { mount: OciMount::InitContainerCopy, .. } => {
            Volume { name: model(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Default::default() }
        }
        ValidSource::HuggingFace(_, Download { claim_name: Some(name), .. })
        | ValidSource::S3(_, Download { claim_name: Some(name), .. }) => {
            Volume { name: cache(), persistent_volume_claim: Some(claim(name, None)), ..Default::default() }
        }
        ValidSource::HuggingFace(_, download) | ValidSource::S3(_, download) => Volume {
            name: cache(),
            empty_dir: Some(EmptyDirVolumeSource { size_limit: download.size_limit.clone(), ..Default::default() }),
            ..Default::default()
        },
    }
}

fn claim(name: &str, read_only: Option<bool>) -> PersistentVolumeClaimVolumeSource {
    PersistentVolumeClaimVolumeSource { claim_name: name.into(), read_only }
}

/// The volume and the mount of the certificates of a download's authorities.
pub(super) fn authorities(source: &ValidSource) -> Option<(Volume, VolumeMount)> {
    let CaBundle { config_map_key_ref, secret_key_ref } = source.download()?.authorities.as_ref()?;
    let item =
        |key: &String| Some(vec![KeyToPath { key: key.clone(), path: CA_FILE_NAME.into(), ..Default::default() }]);
    let volume = Volume {
        name: "ca".into(),
        config_map: config_map_key_ref.as_ref().map(|map| ConfigMapVolumeSource {
            name: map.name.clone(),
            items: item(&map.key),
            ..Default::default()
        }),
        secret: secret_key_ref.as_ref().map(|secret| SecretVolumeSource {
            secret_name: Some(secret.name.clone()),
            items: item(&secret.key),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mount =
        VolumeMount { name: "ca".into(), mount_path: CA_MOUNT.into(), read_only: Some(true), ..Default::default() };
    Some((volume, mount))
}

/// Path of the certificates in a container.
pub(super) fn ca_file() -> String {
    format!("{CA_MOUNT}/{CA_FILE_NAME}")
}

fn image_volume(image: &str, pull_policy: PullPolicy) -> ImageVolumeSource {
    ImageVolumeSource { reference: Some(image.into()), pull_policy: Some(pull_policy.as_str().into()) }
}

/// The mount of that volume in the worker's container.
pub(super) fn mount(source: &ValidSource) -> VolumeMount {
    match source.download() {
        Some(_) => VolumeMount { name: "cache".into(), mount_path: CACHE_MOUNT.into(), ..Default::default() },
        None => VolumeMount {
            name: MODEL_VOLUME.into(),
            mount_path: MODEL_MOUNT.into(),
            read_only: Some(true),
            ..Default::default()
        },
    }
}

/// The container that copies the model from its image, if the image is not mounted.
pub(super) fn init_containers(model: &ValidModel) -> Option<Vec<Container>> {
    let ValidSource::Oci { image, path, pull_policy, mount: OciMount::InitContainerCopy } = &model.source else {
        return None;
    };
    Some(vec![Container {
        name: COPY.into(),
        image: Some(image.clone()),
        image_pull_policy: Some(pull_policy.as_str().into()),
        // Without a shell, since an image may have `cp` and no shell. Links are followed, since they may lead out of the folder.
        command: Some(vec!["cp".into(), "-RL".into(), format!("/{path}/."), format!("{MODEL_MOUNT}/")]),
        // A pod requests the larger of its init containers and its other containers, so this adds nothing.
        resources: Some(without_devices(&model.resources)),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(SecurityContext { read_only_root_filesystem: Some(true), ..confined() }),
        volume_mounts: Some(vec![VolumeMount {
            name: MODEL_VOLUME.into(),
            mount_path: MODEL_MOUNT.into(),
            ..Default::default()
        }]),
        ..Default::default()
    }])
}

fn without_devices(resources: &ResourceRequirements) -> ResourceRequirements {
    let mut resources = resources.clone();
    for amounts in [&mut resources.requests, &mut resources.limits].into_iter().flatten() {
        amounts.remove(GPU);
    }
    resources
}

/// Whether workers write to a claim, which then has to belong to their group.
pub(super) fn writes_to_a_claim(source: &ValidSource) -> bool {
    source.download().is_some_and(|download| download.claim_name.is_some())
}

//! How a worker gets the baseline that its texts are compared with.

use belfry_crds::contract::{QUALITY_FILE_NAME, QUALITY_MOUNT, env};
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EnvVar, KeyToPath, Volume, VolumeMount};

use super::variable::plain;
use crate::model::ValidModel;

const NAME: &str = "quality";

/// The volume and its mount; none without a baseline. A pod starts without the ConfigMap, and without the key in it. It is no
/// mount of a single file, which the kubelet would never update.
pub(super) fn volume(model: &ValidModel) -> Option<(Volume, VolumeMount)> {
    let baseline = model.baseline.as_ref()?;
    let item = KeyToPath { key: baseline.key.clone(), path: QUALITY_FILE_NAME.into(), ..Default::default() };
    let map = ConfigMapVolumeSource {
        name: baseline.name.clone(),
        items: Some(vec![item]),
        optional: Some(true),
        ..Default::default()
    };
    let volume = Volume { name: NAME.into(), config_map: Some(map), ..Default::default() };
    let mount = VolumeMount {
        name: NAME.into(),
        mount_path: QUALITY_MOUNT.into(),
        read_only: Some(true),
        ..Default::default()
    };
    Some((volume, mount))
}

/// The variable that names the file; none without a baseline.
pub(super) fn environment(model: &ValidModel) -> Option<EnvVar> {
    model.baseline.as_ref().map(|_| plain(env::QUALITY_BASELINE, format!("{QUALITY_MOUNT}/{QUALITY_FILE_NAME}")))
}

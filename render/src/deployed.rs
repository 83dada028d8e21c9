//! The choices that an existing Deployment was made with. They stay the same while the Deployment exists, so that no pod
//! restarts by itself (invariant 4).

use belfry_crds::contract::MODEL_MOUNT;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::template::Running;

/// Name of the worker's container.
pub const WORKER: &str = "worker";

/// Name of the init container that copies the model.
pub const COPY: &str = "copy-model";

/// Name of the volume that holds a model that is not downloaded.
pub(crate) const MODEL_VOLUME: &str = "model";

/// The choices of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Template and image that its pods run on, if its annotations record them.
    pub running: Option<Running>,
    /// How a model from an image gets into the pods.
    pub from_image: FromImage,
}

/// How a model from an image gets into a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FromImage {
    /// The model does not come from an image.
    #[default]
    Not,
    /// The image is mounted.
    Mounted,
    /// An init container copies it.
    Copied,
    /// The image was meant to be mounted, but an API server without image volumes dropped the volume silently.
    Forgotten,
}

impl Deployed {
    /// Reads a Deployment as the API server sends it.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let pod = object.data.pointer("/spec/template/spec").unwrap_or(&Value::Null);
        Self { running: Running::of_deployment(&object.metadata), from_image: FromImage::of(pod) }
    }
}

impl FromImage {
    fn of(pod: &Value) -> Self {
        let named = |list: &str, name: &str| pod[list].as_array()?.iter().find(|element| element["name"] == name);
        let Some(volume) = named("volumes", MODEL_VOLUME) else {
            return if names_the_model_folder(pod) { Self::Forgotten } else { Self::Not };
        };
        match (volume.get("image").is_some(), named("initContainers", COPY).is_some()) {
            (true, _) => Self::Mounted,
            (false, true) => Self::Copied,
            (false, false) => Self::Not,
        }
    }
}

/// Whether the settings of a container name the folder of the model's volume.
fn names_the_model_folder(pod: &Value) -> bool {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    list(pod, "containers").iter().any(|container| {
        let env = list(container, "env").into_iter().map(|var| var["value"].clone());
        let words = list(container, "command").into_iter().chain(list(container, "args")).chain(env);
        words.into_iter().any(|word| word.as_str().is_some_and(|word| word.starts_with(MODEL_MOUNT)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_shows_how_its_model_got_there() {
        let of = |volume: Value, containers: Value| {
            let volumes = [json!({"name": "cache", "emptyDir": {}}), volume];
            FromImage::of(&json!({"volumes": volumes, "initContainers": containers}))
        };
        let (copy, empty) = (json!([{"name": "copy-model"}]), json!({"name": "model", "emptyDir": {}}));
        assert_eq!(of(json!({"name": "model", "image": {"reference": "a"}}), json!(null)), FromImage::Mounted);
        assert_eq!(of(empty, copy), FromImage::Copied);
        assert_eq!(
            of(json!({"name": "model", "persistentVolumeClaim": {"claimName": "c"}}), json!(null)),
            FromImage::Not
        );
        let without = |container: Value| FromImage::of(&json!({"containers": [container]}));
        assert_eq!(without(json!({"env": [{"name": "BELFRY_MODEL", "value": "/models/a"}]})), FromImage::Forgotten);
        assert_eq!(without(json!({"args": ["--model-id", "/models"]})), FromImage::Forgotten);
        assert_eq!(
            without(json!({"env": [{"name": "BELFRY_HF_REPO", "value": "a/b"}], "args": ["a/b"]})),
            FromImage::Not
        );
        assert_eq!(FromImage::of(&Value::Null), FromImage::Not);
    }
}

//! What the operator reports about an `InferenceModel`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Status of an `InferenceModel`, computed in every pass. A value that can't be observed any more, such as `movedFrom`,
/// is kept from the last status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InferenceModelStatus {
    /// Generation of the specification that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, SpecAccepted, ModelLoaded, Available, Progressing, ScalingReady and MonitoringReady; True is the good state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Worker pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Worker pods that answer requests.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Replicas with the model in memory, out of the desired replicas: "1/2". If the specification names a digest, only
    /// replicas with that digest count: while the digest changes, old replicas do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
    /// Number of worker pods that a scaler last asked for. It is kept when spec.autoscaling is removed and
    /// spec.replicas is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_replicas: Option<i32>,
    /// HorizontalPodAutoscaler of others that scales the Deployment. While it is there, it decides the number of worker
    /// pods, and spec.replicas is not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_by: Option<String>,
    /// Label selector of the worker pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Address of the model inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The model that the specification asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// What runs the model. Kept when the operator is upgraded, so that an upgrade restarts no worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeStatus>,
    /// The last failed load or crash of a worker that still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// The objects of the model, each with the hash of its content.
    // `kubectl describe` sorts by name, and conditions are what a reader looks for first.
    #[serde(rename = "objects", default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub children: Vec<ChildStatus>,
}

/// The model that the specification asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// The source in one line: `owner/name@revision`, `s3://BUCKET/FOLDER`, `pvc/CLAIM/PATH` or `IMAGE:/PATH`.
    pub requested: String,
    /// The digest that the specification names; each replica in `loaded` checked it before it became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What the replicas that answer say that they have in memory, most replicas first, at most 8. Normally one entry;
    /// more during a rollout, or when a branch moved. Empty until a worker was asked, and for other engines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<LoadedModel>,
}

/// A model that replicas have in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadedModel {
    /// SHA-256 of the manifest of its files, as `belfry-worker digest` prints it.
    pub sha256: String,
    /// The commit that a branch or tag led to. Only for huggingFace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Replicas that have it.
    pub replicas: i32,
}

/// One object of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildStatus {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// First 16 digits of the SHA-256 of the desired content; the object carries them in the annotation
    /// `belfry.dev/applied-hash`.
    pub hash: String,
    /// State of the object.
    pub state: ChildState,
    /// Why it is not applied: a reason of the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// State of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ChildState {
    /// The cluster holds the desired object.
    Applied,
    /// The API server refused the object, or an object of the same name has another owner.
    Refused,
    /// The cluster does not know the object's kind.
    Missing,
}

/// Image and template of the worker pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeStatus {
    /// Image of the worker.
    pub image: String,
    /// Default image of the template revision; `spec.runtime.image` overrides it.
    pub default_image: String,
    /// Revision of the pod template that is in use.
    pub template_revision: String,
    /// Newest revision that this operator knows; set `spec.runtime.templateRevision` to it to move the model.
    pub available_template_revision: String,
    /// Image that this operator gives to new models.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub available_default_image: String,
    /// Whether this operator has a newer template or default image than the pods run on.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Template and image of the model before a staged upgrade moved it to the current template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<MovedFrom>,
}

/// Whether the operator has a newer template or image for a model's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Upgrade {
    /// The pods are the same as those of a new model.
    #[default]
    UpToDate,
    /// A newer template revision or another default image is available. The pods stay until a user or a staged upgrade
    /// moves the model.
    Available,
}

/// A template and an image that a model ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovedFrom {
    /// Revision of the pod template.
    pub template_revision: String,
    /// Image that belonged to it.
    pub default_image: String,
}

/// Why a worker's container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// A reason of the condition ModelLoaded.
    pub reason: String,
    /// The worker's own message, in one line.
    pub message: String,
    /// Name of the pod.
    pub pod: String,
    /// Exit status of the container.
    pub exit_code: i32,
}

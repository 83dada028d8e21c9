//! Where a model comes from, and where its download is stored.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Where a model comes from: exactly one of the fields. A folder of the node is never a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("[has(self.huggingFace), has(self.s3), has(self.pvc), has(self.oci)].filter(set, set).size() == 1")
    .message("spec.model.source: set exactly one of huggingFace, s3, pvc and oci"))]
pub struct Source {
    /// A repository on the Hugging Face hub, or on a mirror of it. Pods download it when they start; see `model.cache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugging_face: Option<Box<HuggingFaceSource>>,
    /// A folder in a bucket that supports the S3 protocol. Pods download it when they start; see `model.cache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Box<S3Source>>,
    /// A folder of a PersistentVolumeClaim in the model's namespace, mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcSource>,
    /// A folder of an image, pulled by the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
}

/// A repository on the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HuggingFaceSource {
    /// `owner/name`, as on the hub.
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub repo: String,
    /// A commit (40 hexadecimal digits), tag or branch. Use a commit: a branch can move under running replicas.
    /// llama.cpp loads `main` and no other, and a custom engine needs the revision in its arguments.
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"))]
    pub revision: String,
    /// Base address of a mirror, `https://host[:port]`. Default: the public hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$"))]
    pub endpoint: Option<String>,
    /// Key of a Secret in the model's namespace that holds an access token. Default: no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
}

/// One key of a Secret in the model's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A folder in a bucket. S3 has versions of objects and not of folders: set `model.sha256` to pin the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Source {
    /// `s3://bucket/folder`: the folder holds config.json. Without a folder it is the bucket's root.
    #[schemars(
        length(max = 500),
        regex(pattern = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=/-]*)?/?$")
    )]
    pub uri: String,
    /// Base address of the service, `https://host[:port]`; the bucket is then the first part of the path. Default: Amazon
    /// S3 in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$"))]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9][a-z0-9-]*$"))]
    pub region: Option<String>,
    /// A Secret in the model's namespace with an access key. Default: requests are not signed, as for a public bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<S3Credentials>,
}

/// A Secret that holds an access key of S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Credentials {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Secret with the id of the access key. Default `AWS_ACCESS_KEY_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub access_key_id_key: Option<String>,
    /// Key of the Secret with the secret access key. Default `AWS_SECRET_ACCESS_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_access_key_key: Option<String>,
    /// Key of the Secret with the token of temporary credentials; the Secret may lack it. Default `AWS_SESSION_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub session_token_key: Option<String>,
}

/// A folder of a PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PvcSource {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// Folder within the claim that holds config.json, relative, without `..`. Default: the claim's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    #[x_kube(validation = kube::core::Rule::new("!self.startsWith('/') && !self.split('/').exists(part, part == '..')")
        .message("path is relative to the claim's root and has no '..': remove the leading '/' or the '..'"))]
    pub path: Option<String>,
    /// How many pods may use the claim, as its `spec.accessModes` says. With ReadWriteOnce and ReadWriteOncePod a pod ends
    /// before its successor starts, because the successor would wait for the claim for ever. Default: any number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
}

/// How many pods may use a claim at the same time, as Kubernetes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum AccessMode {
    /// One pod.
    ReadWriteOncePod,
    /// The pods of one node.
    ReadWriteOnce,
    /// Any number of pods, which only read.
    ReadOnlyMany,
    /// Any number of pods.
    ReadWriteMany,
}

/// A folder of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.mount) || self.mount != 'InitContainerCopy' || has(self.path)")
    .message("spec.model.source.oci.path: a copy needs a folder of the image: put the model into one, or set mount: ImageVolume"))]
pub struct OciSource {
    /// Reference of the image. Use a digest, `registry/name@sha256:…`: a tag can move under running replicas.
    #[schemars(
        length(max = 500),
        regex(
            pattern = r"^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$"
        )
    )]
    pub image: String,
    /// Folder within the image that holds config.json, relative, without `..`. Default: the image's root, which only
    /// ImageVolume supports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^[A-Za-z0-9._][A-Za-z0-9._/-]*$"))]
    #[x_kube(validation = kube::core::Rule::new("!self.split('/').exists(part, part == '..')")
        .message("path is relative to the image's root and has no '..': remove the '..'"))]
    pub path: Option<String>,
    /// When the kubelet pulls the image. Default `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// How the folder gets into the pod. Default: ImageVolume if the cluster has image volumes, else InitContainerCopy
    /// if `path` names a folder. A Deployment keeps the mount that it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<OciMount>,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr)]
pub enum PullPolicy {
    /// At every start of a pod.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Never: the node has it already.
    Never,
}

impl PullPolicy {
    /// The name in the API, here and in Kubernetes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a folder of an image gets into a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OciMount {
    /// The image is mounted read-only, and nothing is copied. The image needs only the files. The cluster must have
    /// image volumes (Kubernetes 1.35, or 1.33 with the feature gate ImageVolume, and a runtime that has them too).
    ImageVolume,
    /// An init container runs the image and copies the folder into a volume of the pod. This works in any cluster. The
    /// image must have a `cp`, and the pod needs disk space for a second copy of the model.
    InitContainerCopy,
}

/// The certificates of the authorities that a download is trusted by, in PEM: exactly one of the fields. They take the
/// place of the public authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)")
    .message("spec.model.caBundle: set exactly one of configMapKeyRef and secretKeyRef"))]
pub struct CaBundle {
    /// Key of a ConfigMap in the model's namespace, as trust-manager or `kubectl create configmap --from-file` makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// Key of a Secret in the model's namespace, such as `ca.crt` of a Secret of cert-manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// One key of a ConfigMap in the model's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Where a pod stores a download, and how long it waits for one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("(has(self.mode) && self.mode == 'SharedPVC') == has(self.claimName)")
    .message("spec.model.cache.claimName: set it with mode: SharedPVC, and only then"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.sizeLimit) || !has(self.claimName)")
    .message("spec.model.cache.sizeLimit is for mode: PerPod: remove it, and give the claim its size"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.accessMode) || (has(self.claimName) && self.accessMode != 'ReadOnlyMany')")
    .message("spec.model.cache.accessMode is that of the claim in claimName, which pods write to: set claimName and another mode, or remove it"))]
pub struct Cache {
    /// Which pods share a download. Default `PerPod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CacheMode>,
    /// A PersistentVolumeClaim in the model's namespace that all replicas can write to (`ReadWriteMany`, or
    /// `ReadWriteOnce` if they share a node). Only with `mode: SharedPVC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// How many pods may use the claim, as its `spec.accessModes` says; see source.pvc.accessMode. Only with
    /// `mode: SharedPVC`. Default: any number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// Most bytes that a pod's own cache may hold; a pod that exceeds it is evicted. Use the model's size plus a tenth.
    /// Only with `mode: PerPod`. Default: only the node's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-int-or-string" = true, "maxLength" = 32))]
    #[x_kube(validation = kube::core::Rule::new("type(self) == int ? self > 0 : isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))")
        .message("spec.model.cache.sizeLimit is a quantity above 0, as \"20Gi\""))]
    pub size_limit: Option<IntOrString>,
    /// Seconds that the whole download may take, 10 to 86400, and less than the pod may take to start. Time spent
    /// waiting for another replica's download counts. Afterwards the load fails with DownloadTimeout, and the next
    /// start resumes the download. Default: a minute less than probes.startupBudgetSeconds, or half of it if that is
    /// more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86_400))]
    pub download_timeout_seconds: Option<i32>,
    /// Seconds without a byte after which a connection is dropped and opened again, 1 to 3600. After four connections
    /// in a row without a byte, the load fails with DownloadStalled. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub stall_timeout_seconds: Option<i32>,
}

/// Which pods share a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum CacheMode {
    /// Every pod downloads for itself, into a volume that is deleted with the pod.
    #[default]
    PerPod,
    /// All replicas use one claim: one of them downloads, and the others wait for it.
    SharedPVC,
}

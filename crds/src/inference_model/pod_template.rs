//! `spec.podTemplate`: settings of the pods that only the user can know.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretKeyRef;
use super::labels::{
    IDENTITY_KEYS_MESSAGE, IDENTITY_KEYS_RULE, POD_KEYS_MESSAGE, POD_KEYS_RULE, annotation_value, label_value,
};

/// Settings of the pods that only the user can know. There is no serviceAccountName: with it, the permission to write
/// models would include the permission to act as any service account of the namespace. There are no volumes and no
/// security context, so that every pod passes the Pod Security level `restricted`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels of the pods in addition to Belfry's, at most 8. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(POD_KEYS_RULE).message(POD_KEYS_MESSAGE))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods, at most 8 of 1000 characters. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = annotation_value()))]
    #[x_kube(validation = kube::core::Rule::new(POD_KEYS_RULE).message(POD_KEYS_MESSAGE))]
    pub annotations: BTreeMap<String, String>,
    /// Annotations of the pods' ServiceAccount, at most 8 of 1000 characters: those by which a cloud gives pods an identity,
    /// so that an engine reads its storage without a key. Keys of `eks.amazonaws.com/`, `iam.gke.io/` and
    /// `azure.workload.identity/`. Running pods keep the identity that they began with. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = annotation_value()))]
    #[x_kube(validation = kube::core::Rule::new(IDENTITY_KEYS_RULE).message(IDENTITY_KEYS_MESSAGE))]
    pub service_account_annotations: BTreeMap<String, String>,
    /// Who decides the user of the pods. Default Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<RunAsUser>,
    /// Secrets of the model's namespace with the logins of image registries, at most 8. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<PullSecret>,
    /// Environment of the container in addition to Belfry's, at most 32. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Arguments of Belfry's own worker, at most 64, such as `--log=debug`. Flags that the operator sets from
    /// a field are refused;
    /// arguments of another engine belong in engine.args. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("items" = serde_json::json!({"type": "string", "maxLength": 1000})))]
    #[x_kube(validation = kube::core::Rule::new("!self.exists(argument, ['--listen', '--model', '--hf-repo', '--hf-revision', '--hf-endpoint', '--hf-token', '--s3-uri', '--s3-endpoint', '--s3-region', '--s3-access-key-id', '--s3-secret-access-key', '--s3-session-token', '--model-sha256', '--download-timeout-seconds', '--stall-timeout-seconds', '--cache', '--served-name', '--termination-log', '--drain-delay-seconds', '--drain-timeout-seconds'].exists(flag, argument == flag || argument.startsWith(flag + '=')))")
        .message("extraArgs can't hold a flag that the operator sets: use the field of the specification (model, rollout.drainSeconds)"))]
    pub extra_args: Vec<String>,
}

/// Who decides the user and the groups of the pods. Both ways pass the Pod Security level `restricted`: no pod runs as root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RunAsUser {
    /// Belfry: user and group 65532, as in the image of its worker.
    #[default]
    Fixed,
    /// The cluster, as OpenShift gives each namespace a range of user ids and refuses others. Where a cluster gives none,
    /// the image's own user counts, which then must be a number other than 0.
    Assigned,
}

/// A Secret with the login of an image registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A variable of the environment: a value, or a key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.value) != has(self.secretKeyRef)")
    .message("set exactly one of value and secretKeyRef"))]
#[x_kube(validation = kube::core::Rule::new("!self.name.startsWith('BELFRY_') && !(self.name in ['HOME', 'HF_HOME', 'HF_ENDPOINT', 'HF_TOKEN', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'])")
    .message("the operator sets BELFRY_*, HOME, HF_HOME, HF_ENDPOINT, HF_TOKEN, OMP_WAIT_POLICY and GOMP_SPINCOUNT: use the field of the specification (model.source, runtime)"))]
pub struct EnvVar {
    /// Name of the variable. Variables that the operator sets, and all that begin with BELFRY_, are refused.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Value, at most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Key of a Secret in the model's namespace that holds the value. The permission to write models therefore includes
    /// the use of every Secret of the namespace, as the permission to create pods does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

//! Rules for labels, selectors and annotations, with the bounds that Kubernetes itself sets.

/// Labels that Kubernetes accepts; checked here so that a bad label is refused when it is written. The pattern is
/// coarse, because the API server weighs a rule by its longest input, and bounds the length of no key.
pub(super) const LABELS_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$') && !key.startsWith('app.kubernetes.io/') && !key.startsWith('belfry.dev/'))";
pub(super) const LABELS_MESSAGE: &str =
    "labels need keys that Kubernetes accepts, and may not begin with app.kubernetes.io/ or belfry.dev/";

/// Keys of a selector may be anything that a label's key may be.
pub(super) const SELECTOR_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$'))";
pub(super) const SELECTOR_MESSAGE: &str =
    "keys must be label keys that Kubernetes accepts, such as kubernetes.io/arch: correct the key";

/// Keys that users may set on pods: none that a controller or an admission plugin acts on.
/// `cluster-autoscaler.kubernetes.io/` is the exception, because only the pod's user can know whether it may be moved.
pub(super) const POD_KEYS_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$') && !key.startsWith('belfry.dev/') && (key.startsWith('cluster-autoscaler.kubernetes.io/') || (!key.contains('kubernetes.io/') && !key.contains('k8s.io/'))) && key != 'pod-template-hash')";
pub(super) const POD_KEYS_MESSAGE: &str = "keys of kubernetes.io, k8s.io and belfry.dev, and pod-template-hash, are reserved (only cluster-autoscaler.kubernetes.io/ is not): remove the key, or use one of your own domain";

/// Whether users may set this key on pods: the same as the rule of the CRD, for models that no API server checked.
#[must_use]
pub fn is_free_pod_key(key: &str) -> bool {
    let is_kubernetes = key.contains("kubernetes.io/") || key.contains("k8s.io/");
    !key.starts_with("belfry.dev/")
        && key != "pod-template-hash"
        && (!is_kubernetes || key.starts_with("cluster-autoscaler.kubernetes.io/"))
}

/// Keys by which clouds give the pods of a ServiceAccount an identity.
pub(super) const IDENTITY_KEYS_RULE: &str = "self.all(key, key.startsWith('eks.amazonaws.com/') || key.startsWith('iam.gke.io/') || key.startsWith('azure.workload.identity/'))";
pub(super) const IDENTITY_KEYS_MESSAGE: &str =
    "only keys of eks.amazonaws.com/, iam.gke.io/ and azure.workload.identity/ are allowed: remove the key";

/// Whether users may set this key on the pods' ServiceAccount: the same as the rule of the CRD, for models that no API
/// server checked.
#[must_use]
pub fn is_identity_key(key: &str) -> bool {
    ["eks.amazonaws.com/", "iam.gke.io/", "azure.workload.identity/"].iter().any(|domain| key.starts_with(domain))
}

/// Values of labels that Kubernetes accepts.
pub(super) fn label_value() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"})
}

/// Values of annotations: bounded free text.
pub(super) fn annotation_value() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 1000})
}

//! Maps of labels and selectors, with the bounds that Kubernetes itself puts on them.

/// Labels that Kubernetes will take; checked here so that a bad one is refused when it is written. The pattern is
/// coarse, because the API server weighs a rule by its longest input, and bounds the length of no key.
pub(super) const LABELS_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$') && !key.startsWith('app.kubernetes.io/') && !key.startsWith('belfry.dev/'))";
pub(super) const LABELS_MESSAGE: &str =
    "labels need keys as Kubernetes takes them, and may not begin with app.kubernetes.io/ or belfry.dev/";

/// Keys of a selector may be anything that a label's key may be.
pub(super) const SELECTOR_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$'))";
pub(super) const SELECTOR_MESSAGE: &str =
    "keys are label keys as Kubernetes takes them, such as kubernetes.io/arch: correct the key";

/// Keys that a pod may carry for its user: none that a controller or an admission plugin reads as an order.
/// `cluster-autoscaler.kubernetes.io/` is the exception, because only the pod's user can know whether it may be moved.
pub(super) const POD_KEYS_RULE: &str = "self.all(key, key.matches('^[A-Za-z0-9][-A-Za-z0-9_./]*$') && !key.startsWith('belfry.dev/') && (key.startsWith('cluster-autoscaler.kubernetes.io/') || (!key.contains('kubernetes.io/') && !key.contains('k8s.io/'))) && key != 'pod-template-hash')";
pub(super) const POD_KEYS_MESSAGE: &str = "keys of kubernetes.io, k8s.io and belfry.dev, and pod-template-hash, are reserved (only cluster-autoscaler.kubernetes.io/ is not): remove the key, or use one of your own domain";

/// Whether a pod may carry that key for its user: the same as the rule of the CRD, for models that no API server checked.
#[must_use]
pub fn is_free_pod_key(key: &str) -> bool {
    let is_kubernetes = key.contains("kubernetes.io/") || key.contains("k8s.io/");
    !key.starts_with("belfry.dev/")
        && key != "pod-template-hash"
        && (!is_kubernetes || key.starts_with("cluster-autoscaler.kubernetes.io/"))
}

/// Values of labels, as Kubernetes takes them.
pub(super) fn label_value() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"})
}

/// Values of annotations: bounded free text.
pub(super) fn annotation_value() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 1000})
}

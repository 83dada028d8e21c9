//! `spec.podTemplate`, and what pods need of `spec.model`.

use serde_json::{Value, json};

use super::Wrong;

pub(super) fn right() -> Vec<(&'static str, Value)> {
    vec![
        ("claim of one pod", json!({"model": {"source": {"pvc": {"accessMode": "ReadWriteOncePod"}}}})),
        ("user of the cluster", json!({"podTemplate": {"runAsUser": "Assigned"}})),
        (
            "identities of three clouds",
            json!({"podTemplate": {"serviceAccountAnnotations": {
                "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a",
                "iam.gke.io/gcp-service-account": "a@b.iam.gserviceaccount.com",
                "azure.workload.identity/client-id": "11111111-2222-3333-4444-555555555555",
            }}}),
        ),
        (
            "own authorities",
            json!({"model": {
                "source": {"pvc": null, "huggingFace": {"repo": "a/b", "revision": "main"}},
                "caBundle": {"configMapKeyRef": {"name": "a", "key": "ca.crt"}},
            }}),
        ),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn wrong() -> Vec<Wrong> {
    let template = |template: Value| json!({"podTemplate": template});
    let env = |env: Value| json!({"podTemplate": {"env": [env]}});
    vec![
        (
            "our label",
            template(json!({"labels": {"app.kubernetes.io/name": "x"}})),
            &["spec.podTemplate.labels", "reserved", "remove the key"],
        ),
        (
            "the controller's label",
            template(json!({"labels": {"pod-template-hash": "x"}})),
            &["spec.podTemplate.labels", "reserved", "remove the key"],
        ),
        (
            "confinement by annotation",
            template(json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"}})),
            &["spec.podTemplate.annotations", "reserved", "remove the key"],
        ),
        (
            "a service account",
            template(json!({"serviceAccountName": "admin"})),
            &["spec.podTemplate.serviceAccountName", "unknown field"],
        ),
        (
            "a security context",
            template(json!({"securityContext": {"privileged": true}})),
            &["spec.podTemplate.securityContext", "unknown field"],
        ),
        (
            "an annotation that gives rights in the cluster",
            template(json!({"serviceAccountAnnotations": {"kubernetes.io/enforce-mountable-secrets": "true"}})),
            &["spec.podTemplate.serviceAccountAnnotations", "eks.amazonaws.com/", "remove the key"],
        ),
        (
            "access mode that Kubernetes does not have",
            json!({"model": {"source": {"pvc": {"accessMode": "Once"}}}}),
            &["spec.model.source.pvc.accessMode", "\"ReadWriteOncePod\""],
        ),
        (
            "access mode of no claim",
            json!({"model": {
                "source": {"pvc": null, "huggingFace": {"repo": "a/b", "revision": "main"}},
                "cache": {"accessMode": "ReadWriteOnce"},
            }}),
            &["spec.model.cache.accessMode", "set claimName", "remove it"],
        ),
        ("a user by number", template(json!({"runAsUser": 1000})), &["spec.podTemplate.runAsUser"]),
        (
            "authorities of a claim",
            json!({"model": {"caBundle": {"configMapKeyRef": {"name": "a", "key": "b"}}}}),
            &["spec.model.caBundle", "only for downloads", "remove it"],
        ),
        (
            "authorities from nowhere",
            json!({"model": {"source": {"pvc": null, "huggingFace": {"repo": "a/b", "revision": "main"}}, "caBundle": {}}}),
            &["spec.model.caBundle", "exactly one of"],
        ),
        (
            "a baseline for another engine",
            json!({"engine": {"type": "VLLM", "image": "a"}, "quality": {"baseline": {"name": "a", "key": "b"}}}),
            &["spec.quality", "Belfry's own worker", "remove it"],
        ),
        ("a baseline without a key", json!({"quality": {"baseline": {"name": "a"}}}), &["spec.quality.baseline.key"]),
        ("volumes", template(json!({"volumes": []})), &["spec.podTemplate.volumes", "unknown field"]),
        (
            "our variable",
            env(json!({"name": "BELFRY_MODEL", "value": "/"})),
            &["podTemplate.env[0]", "BELFRY_*", "use the field"],
        ),
        (
            "our token",
            env(json!({"name": "HF_TOKEN", "value": "x"})),
            &["podTemplate.env[0]", "HF_TOKEN", "use the field"],
        ),
        ("no value", env(json!({"name": "A"})), &["podTemplate.env[0]", "exactly one of value and secretKeyRef"]),
        (
            "two values",
            env(json!({"name": "A", "value": "x", "secretKeyRef": {"name": "s", "key": "k"}})),
            &["podTemplate.env[0]", "exactly one of value and secretKeyRef"],
        ),
        (
            "no name of a variable",
            env(json!({"name": "A=B", "value": ""})),
            &["podTemplate.env[0].name", "should match"],
        ),
        (
            "a variable twice",
            template(json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})),
            &["spec.podTemplate.env[1]", "Duplicate"],
        ),
        (
            "our flag",
            template(json!({"extraArgs": ["--listen=0.0.0.0:1"]})),
            &["spec.podTemplate.extraArgs", "flag that the operator sets", "use the field"],
        ),
        (
            "our flag as a word",
            template(json!({"extraArgs": ["--model", "/etc"]})),
            &["spec.podTemplate.extraArgs", "flag that the operator sets", "use the field"],
        ),
        (
            "two names for one worker",
            json!({"model": {"servedNames": ["a", "b"]}}),
            &["spec.model.servedNames", "only engine VLLM", "keep one"],
        ),
        (
            "a name with blanks",
            json!({"model": {"servedNames": ["a b"]}}),
            &["spec.model.servedNames[0]", "should match"],
        ),
    ]
}

//! Specifications on both sides of each rule of `spec.model`.

use serde_json::{Value, json};

use super::cases::Wrong;

fn model(model: &Value) -> Value {
    json!({"model": model})
}

fn s3(s3: &Value) -> Value {
    model(&json!({"source": {"pvc": null, "huggingFace": null, "s3": s3}}))
}

fn oci(oci: &Value) -> Value {
    model(&json!({"source": {"pvc": null, "huggingFace": null, "oci": oci}}))
}

fn cache(cache: &Value) -> Value {
    let hub = json!({"pvc": null, "huggingFace": {"repo": "o/n", "revision": "main"}});
    model(&json!({"source": hub, "cache": cache}))
}

/// What the API server has to admit.
pub(crate) fn right() -> Vec<(&'static str, Value)> {
    vec![
        ("a bucket's root", s3(&json!({"uri": "s3://bucket"}))),
        ("a folder in a bucket", s3(&json!({"uri": "s3://my.bucket-1/a/b=c/", "endpoint": "http://10.0.0.1:9000"}))),
        ("an image by tag", oci(&json!({"image": "registry:5000/team/model:v1.2"}))),
        ("a folder of an image", oci(&json!({"image": "m", "path": "a/b", "mount": "InitContainerCopy"}))),
        ("a shared cache", cache(&json!({"mode": "SharedPVC", "claimName": "c"}))),
        ("a bounded cache", cache(&json!({"sizeLimit": 1_000_000, "stallTimeoutSeconds": 1}))),
        ("a digest", model(&json!({"sha256": "0".repeat(64)}))),
        (
            "a shared cache for another engine",
            json!({
                "engine": {"type": "VLLM", "image": "v:1"},
                "model": cache(&json!({"mode": "SharedPVC", "claimName": "c"}))["model"],
            }),
        ),
        ("a key for something else", json!({"podTemplate": {"env": [{"name": "AWS_ACCESS_KEY_ID", "value": "a"}]}})),
    ]
}

/// What it has to refuse.
pub(crate) fn wrong() -> Vec<Wrong> {
    [of_source(), of_cache(), of_worker()].concat()
}

fn of_source() -> Vec<Wrong> {
    vec![
        (
            "three sources",
            model(&json!({"source": {"s3": {"uri": "s3://bucket"}, "oci": {"image": "a"}}})),
            &["exactly one of"],
        ),
        (
            "bucket by another protocol",
            s3(&json!({"uri": "https://bucket"})),
            &["spec.model.source.s3.uri", "should match"],
        ),
        ("image by address", oci(&json!({"image": "https://r/m"})), &["spec.model.source.oci.image", "should match"]),
        ("image path with ..", oci(&json!({"image": "a", "path": "b/../c"})), &["spec.model.source.oci", "no '..'"]),
        ("copy of a root", oci(&json!({"image": "a", "mount": "InitContainerCopy"})), &["oci.path", "ImageVolume"]),
        ("half a digest", model(&json!({"sha256": "abc"})), &["spec.model.sha256", "should match"]),
    ]
}

fn of_cache() -> Vec<Wrong> {
    vec![
        (
            "cache of an image",
            json!({"model": {"source": {"pvc": null, "huggingFace": null, "oci": {"image": "a"}}, "cache": {}}}),
            &["spec.model.cache", "only for downloads"],
        ),
        ("shared cache without a claim", cache(&json!({"mode": "SharedPVC"})), &["cache.claimName", "SharedPVC"]),
        ("claim without sharing", cache(&json!({"claimName": "c"})), &["cache.claimName", "SharedPVC"]),
        (
            "size of a claim",
            cache(&json!({"mode": "SharedPVC", "claimName": "c", "sizeLimit": "1Gi"})),
            &["cache.sizeLimit", "give the claim its size"],
        ),
        ("no size", cache(&json!({"sizeLimit": "many"})), &["cache.sizeLimit", "quantity above 0"]),
        ("no room", cache(&json!({"sizeLimit": 0})), &["cache.sizeLimit", "quantity above 0"]),
        (
            "short download",
            cache(&json!({"downloadTimeoutSeconds": 9})),
            &["downloadTimeoutSeconds", "greater than or equal to 10"],
        ),
        (
            "long stall",
            cache(&json!({"stallTimeoutSeconds": 3601})),
            &["stallTimeoutSeconds", "less than or equal to 3600"],
        ),
    ]
}

fn of_worker() -> Vec<Wrong> {
    let engine = json!({"type": "VLLM", "image": "v:1"});
    vec![
        (
            "a digest that this engine does not check",
            json!({"engine": engine, "model": {"sha256": "0".repeat(64)}}),
            &["spec.model", "sha256", "Belfry's own worker"],
        ),
        (
            "a time-out that this engine does not keep",
            json!({"engine": engine, "model": cache(&json!({"downloadTimeoutSeconds": 60}))["model"]}),
            &["spec.model", "downloadTimeoutSeconds", "Belfry's own worker"],
        ),
        (
            "two keys for one bucket",
            json!({
                "podTemplate": {"env": [{"name": "AWS_ACCESS_KEY_ID", "value": "a"}]},
                "model": s3(&json!({"uri": "s3://bucket"}))["model"],
            }),
            &["spec.podTemplate.env", "credentialsSecretRef"],
        ),
        (
            "flag of the operator",
            json!({"podTemplate": {"extraArgs": ["--s3-endpoint=http://evil"]}}),
            &["extraArgs", "that the operator sets"],
        ),
    ]
}

//! Invariants of the design that hold for every model.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;

use belfry_crds::InferenceModel;
use belfry_render::children::deployment::deployment;
use belfry_render::children::metadata::{ContentHash, selector_labels};
use belfry_render::children::{child, children};
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::{validate, validate_running};
use expect_test::expect;
use serde_json::{Value, json};

use support::{root, sample, samples, valid};

/// Fields that samples have got since revision 1 was released.
const ADDED: &[&str] = &[
    "/model/caBundle",
    "/model/cache/accessMode",
    "/model/source/pvc/accessMode",
    "/podTemplate/serviceAccountAnnotations",
    "/podTemplate/runAsUser",
    "/observability/tracing",
    "/quality",
    "/observability/monitor/port",
];

/// The pod template of a model under a revision, without the fields that came later.
fn pod_template(model: &InferenceModel, revision: &str) -> Value {
    let mut spec = serde_json::to_value(&model.spec).unwrap();
    for field in ADDED {
        let (parent, name) = field.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|parent| parent.remove(name));
    }
    let mut model = model.clone();
    model.spec = serde_json::from_value(spec).unwrap();
    model.spec.runtime.get_or_insert_default().template_revision = Some(revision.into());
    serde_json::to_value(deployment(&valid(&model))).unwrap()["spec"]["template"].clone()
}

/// Invariant 4. A released template never changes: if this test fails, add a new `TemplateRevision` and
/// leave the hash as it is.
#[test]
fn the_pod_template_of_revision_1_is_frozen() {
    let of =
        |(name, model): &(String, InferenceModel)| format!("{name} {}", ContentHash::of(&pod_template(model, "1")));
    let hashes: Vec<_> = samples().iter().map(of).collect();
    expect![[r#"
        autoscaling 57bab5ed83ceeddf
        engine ffe0792eac8168c3
        full f342d3df82e952e1
        gpu 85da99baa6e7b908
        keda 096fe88a23dff3ab
        minilm e01bbfbc835717a8
        minilm-hub 6b8d9f13f884ed02
        minilm-oci 59a315dc0efc684b
        minilm-oci-copy 248200c9aa3048dc
        minilm-s3 d0bc77e627dc31f3
        minimal f9467f651d8ab162
        paging 02c90dd15aa0a3a4
        reranker fb6c01b1aeb80dc5
        vllm 7ad55f9c1afacf78"#]]
    .assert_eq(&hashes.join("\n"));
}

/// Invariant 4, as for revision 1.
#[test]
fn the_pod_template_of_revision_2_is_frozen_and_changed_that_of_other_engines_only() {
    let has_changed = |model: &InferenceModel| pod_template(model, "1") != pod_template(model, "2");
    let changed: Vec<_> = samples().into_iter().filter(|(_, model)| has_changed(model)).collect();
    assert!(changed.iter().all(|(_, model)| model.spec.engine.is_some()));
    let hashes: Vec<_> =
        changed.iter().map(|(name, model)| format!("{name} {}", ContentHash::of(&pod_template(model, "2")))).collect();
    expect![[r#"
        engine dbea47a9016e427d
        vllm d4c94ec1a39c4a47"#]]
    .assert_eq(&hashes.join("\n"));
}

/// An engine's user has a name, and every cache that it has is writable; a value of the specification wins.
#[test]
fn an_engine_of_revision_2_finds_its_user_and_its_caches() {
    for (engine, cache) in [
        ("VLLM", "VLLM_CACHE_ROOT"),
        ("SGLang", "TRITON_CACHE_DIR"),
        ("TEI", "HUGGINGFACE_HUB_CACHE"),
        ("LlamaCpp", "LLAMA_CACHE"),
        ("Custom", "XDG_CACHE_HOME"),
        ("Triton", "HF_HOME"),
    ] {
        let mut model = sample("minimal");
        model.spec.engine = Some(serde_json::from_value(json!({"type": engine, "image": "e:1"})).unwrap());
        model.spec.model.source = serde_json::from_value(json!({"pvc": {"claimName": "c"}})).unwrap();
        let env = json!([{"name": "LOGNAME", "value": "mine"}]);
        model.spec.pod_template = Some(serde_json::from_value(json!({"env": env})).unwrap());
        let container = &pod_template(&model, "2")["spec"]["containers"][0];
        let values = |name: &str| -> Vec<&str> {
            let named = |var: &&Value| var["name"] == name;
            container["env"].as_array().unwrap().iter().filter(named).filter_map(|var| var["value"].as_str()).collect()
        };
        assert_eq!((values("USER"), values("LOGNAME")), (vec!["belfry"], vec!["mine"]), "{engine}");
        assert!(values(cache)[0].starts_with("/cache/"), "{engine}");
        assert!(container["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["mountPath"] == "/cache"));
    }
}

/// Invariant 4.
#[test]
fn an_operator_with_a_newer_worker_image_leaves_a_running_model_alone() {
    let mut model = sample("minilm");
    let before = valid(&model);
    model.status = Some(belfry_crds::InferenceModelStatus {
        runtime: Some(belfry_crds::status::RuntimeStatus {
            image: before.runtime.image.clone(),
            default_image: before.runtime.default_image.clone(),
            template_revision: before.runtime.template_revision.as_str().into(),
            ..Default::default()
        }),
        ..Default::default()
    });
    let newer = Settings { worker_image: "belfry-worker:99".into(), ..Settings::default() };
    let after = validate(&model, &newer).unwrap();
    assert_eq!(deployment(&before), deployment(&after));
}

/// Invariant 4. Backups omit a status, and any client may replace it.
#[test]
fn a_model_whose_status_was_lost_keeps_the_template_of_its_deployment() {
    let newer = Settings { worker_image: "belfry-worker:99".into(), ..Settings::default() };
    for (name, model) in samples() {
        let before = valid(&model);
        let live = child(Role::Workers, &before).unwrap().object.unwrap();
        let after = validate_running(&model, Some(&Deployed::of(&live)), &newer).unwrap();
        assert_eq!(deployment(&before), deployment(&after), "{name}");
        // No other child depends on the template and the image.
        for role in Role::ALL.iter().copied().filter(|role| *role != Role::Workers) {
            let newest = child(role, &validate(&model, &newer).unwrap()).unwrap();
            assert_eq!(child(role, &before).unwrap(), newest, "{name} {}", role.kind().as_str());
        }
    }
}

/// Invariant 3.
#[test]
fn labels_and_annotations_of_the_user_are_not_copied_to_children() {
    let plain = sample("minilm");
    let mut marked = plain.clone();
    marked.metadata.labels = Some([("argocd.argoproj.io/instance".to_owned(), "app".to_owned())].into());
    marked.metadata.annotations = Some([("kubectl.kubernetes.io/restartedAt".to_owned(), "now".to_owned())].into());
    assert_eq!(children(&valid(&plain)).unwrap(), children(&valid(&marked)).unwrap());
}

/// Invariant 3.
#[test]
fn every_child_is_in_the_models_namespace_and_owned_by_the_model() {
    for (name, model) in samples() {
        let model = valid(&model);
        for child in children(&model).unwrap() {
            let kind = child.kind().as_str();
            let Some(object) = child.object else { continue };
            let metadata = object.metadata;
            assert_eq!(metadata.namespace.as_deref(), Some("search"), "{name} {kind}");
            let owner = &metadata.owner_references.unwrap()[0];
            assert_eq!((owner.uid.as_str(), owner.controller), (model.uid.as_str(), Some(true)));
            for (key, value) in selector_labels(&model) {
                assert_eq!(metadata.labels.as_ref().unwrap()[&key], value, "{name} {kind}");
            }
        }
    }
}

#[test]
fn selectors_are_the_two_frozen_labels() {
    let selector = serde_json::to_value(selector_labels(&valid(&sample("minilm")))).unwrap();
    assert_eq!(selector, json!({"app.kubernetes.io/name": "belfry-worker", "app.kubernetes.io/instance": "minilm"}));
}

/// Server-side apply writes an empty map or list of a custom resource again and again.
#[test]
fn no_child_holds_an_empty_map_or_list() {
    // Here an empty object has a meaning: a folder without settings, or every namespace.
    fn may_be_empty(path: &str) -> bool {
        path.ends_with("emptyDir") || path.ends_with("namespaceSelector")
    }
    fn empty(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) if map.is_empty() && !may_be_empty(path) => found.push(path.into()),
            Value::Array(list) if list.is_empty() => found.push(path.into()),
            Value::Object(map) => map.iter().for_each(|(key, value)| empty(&format!("{path}.{key}"), value, found)),
            Value::Array(list) => list.iter().for_each(|value| empty(path, value, found)),
            Value::Null => found.push(path.into()),
            _ => {}
        }
    }
    for (name, model) in samples() {
        let model = valid(&model);
        for child in children(&model).unwrap() {
            let mut found = vec![];
            let kind = child.kind().as_str();
            let Some(object) = child.object else { continue };
            empty(kind, &serde_json::to_value(object).unwrap(), &mut found);
            // A NetworkPolicy is a built-in kind, where the API server sees no difference. The empty list keeps
            // other clients from filling it.
            found.retain(|path| path != "NetworkPolicy.spec.egress");
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
    }
}

/// The level `restricted` of the Pod Security Standards, as far as a template can break it.
#[test]
fn every_pod_is_restricted() {
    for (name, model) in samples() {
        let template = serde_json::to_value(deployment(&valid(&model))).unwrap()["spec"]["template"].clone();
        let pod = &template["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"), "{name}");
        for container in ["containers", "initContainers"].iter().filter_map(|kind| pod[kind].as_array()).flatten() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], json!(false), "{name}");
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        }
        assert_eq!(pod["automountServiceAccountToken"], json!(false), "{name}");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[field], Value::Null, "{name}");
        }
        for volume in pod["volumes"].as_array().unwrap() {
            let kinds: Vec<_> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
            assert!(
                kinds == ["persistentVolumeClaim"]
                    || kinds == ["emptyDir"]
                    || kinds == ["image"]
                    || kinds == ["configMap"]
                    || kinds == ["secret"],
                "{name}: {kinds:?}"
            );
        }
    }
}

/// A missing right would show only when the operator needs it.
#[test]
fn the_charts_role_allows_each_kind_of_child_and_no_wildcard() {
    let role = std::fs::read_to_string(root().join("charts/belfry/templates/rbac.yaml")).unwrap();
    for kind in ChildKind::ALL {
        assert!(role.contains(&kind.api_resource().plural), "{} is not in rbac.yaml", kind.as_str());
    }
    for forbidden in ["\"*\"", "'*'", "[*]", "secrets", "escalate", "impersonate", "pods/exec"] {
        assert!(!role.contains(forbidden), "rbac.yaml grants {forbidden}");
    }
}

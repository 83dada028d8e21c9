//! Every sample of `config/samples`, rendered. The files are what the operator applies, so a change
//! of them is a change of clusters.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;

use std::collections::BTreeSet;

use belfry_crds::InferenceModel;
use belfry_render::children::children;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use expect_test::expect_file;
use kube::CustomResourceExt;
use serde_json::Value;

use support::{sample, samples, valid};

#[test]
fn every_sample_renders_as_its_golden_file() {
    for (name, model) in samples() {
        let path = format!("{}/tests/golden/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        expect_file![path].assert_eq(&readable(&valid(&model)));
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for (_, model) in samples() {
        assert_eq!(readable(&valid(&model)), readable(&valid(&model)));
    }
}

/// Somebody who looks for a field finds an example of it.
#[test]
fn the_samples_show_every_field_of_the_specification() {
    fn of_schema(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            found.insert(format!("{path}.{name}"));
            of_schema(&format!("{path}.{name}"), field, found);
        }
        if schema["items"].is_object() {
            of_schema(path, &schema["items"], found);
        }
    }
    fn of_value(path: &str, value: &Value, missing: &mut BTreeSet<String>) {
        for (name, field) in value.as_object().into_iter().flatten() {
            missing.remove(&format!("{path}.{name}"));
            of_value(&format!("{path}.{name}"), field, missing);
        }
        value.as_array().into_iter().flatten().for_each(|item| of_value(path, item, missing));
    }
    let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut missing = BTreeSet::new();
    of_schema("spec", schema, &mut missing);
    for (_, model) in samples() {
        of_value("spec", &serde_json::to_value(model.spec).unwrap(), &mut missing);
    }
    assert!(missing.is_empty(), "no sample shows {missing:?}");
}

/// Fields of those samples that say what holds anyway.
const REDUNDANT: &[&str] = &[
    "/suspend",
    "/runtime/device",
    "/runtime/templateRevision",
    "/rollout/strategy",
    "/scheduling/tolerations/0/operator",
    "/network/networkPolicy/mode",
    // The operator answers for it: a HorizontalPodAutoscaler has no such field.
    "/autoscaling/fallbackReplicas",
    "/observability/dashboard/enabled",
    "/observability/dashboard/labels/grafana_dashboard",
    // Bounds that an objective could take, and here none does.
    "/engine/metrics/2/thresholds/0",
    "/engine/metrics/2/thresholds/2",
];

/// A field that is taken away changes an object: none is accepted and then forgotten.
#[test]
fn every_field_of_the_specification_reaches_a_child() {
    let whole =
        ["full", "engine", "vllm", "minilm-s3", "minilm-oci", "minilm-oci-copy", "autoscaling", "keda", "paging"];
    for name in whole {
        let model = serde_json::to_value(sample(name)).unwrap();
        let whole = readable(&valid(&sample(name)));
        let mut leaves = vec![];
        collect_leaves("", &model["spec"], &mut leaves);
        for leaf in leaves.iter().filter(|leaf| !REDUNDANT.contains(&leaf.as_str())) {
            let mut without = model.clone();
            remove(&mut without["spec"], leaf);
            // Without a field that is required there is no specification to render.
            let Ok(without) = serde_json::from_value::<InferenceModel>(without) else { continue };
            let Ok(valid) = validate(&without, &Settings::default()) else { continue };
            assert!(readable(&valid) != whole, "{name}: {leaf} changes nothing");
        }
    }
}

fn collect_leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
            fields.iter().for_each(|(name, field)| collect_leaves(&format!("{path}/{}", escaped(name)), field, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect_leaves(&format!("{path}/{i}"), item, found));
        }
        _ => found.push(path.to_owned()),
    }
}

fn remove(spec: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        parent => drop(parent.as_object_mut().unwrap().remove(&name)),
    }
}

/// The children as YAML, with the dashboard's minified JSON spread over lines for the reader.
fn readable(model: &belfry_render::model::ValidModel) -> String {
    let mut output = String::from("# Generated from config/samples. Update it with `make golden`.\n");
    for child in children(model).unwrap() {
        let Some(object) = child.object else { continue };
        let mut value = serde_json::to_value(object).unwrap();
        for file in value["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
            let json: Value = serde_json::from_str(file.as_str().unwrap()).unwrap();
            *file = Value::String(serde_json::to_string_pretty(&json).unwrap());
        }
        output += "---\n";
        output += &serde_yaml::to_string(&value).unwrap();
    }
    output
}

//! Every sample of `config/samples`, rendered. The operator applies the content of these files, so a change of them is a
//! change of clusters. `golden/minimal` has every object of the smallest sample; each other sample has a file with its
//! difference from it.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

#[path = "golden/diff.rs"]
mod diff;
#[path = "golden/files.rs"]
mod files;
#[path = "golden/json.rs"]
mod json;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use belfry_crds::InferenceModel;
use belfry_render::children::children;
use belfry_render::model::ValidModel;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use expect_test::expect_file;
use kube::CustomResourceExt;
use serde_json::Value;

use support::{root, sample, samples, valid};

/// The folder of golden files.
fn folder() -> PathBuf {
    root().join("render/tests/golden")
}

/// The sample that is written whole: a file for each of its objects.
const WHOLE: &str = "minimal";

/// Content of the files, by their path in the folder: one sample's objects whole, every other sample as its difference.
fn golden() -> BTreeMap<String, String> {
    let mut golden: BTreeMap<_, _> = files::of(&valid(&sample(WHOLE)))
        .into_iter()
        .map(|file| {
            let header = format!("# Generated from config/samples/{WHOLE}.yaml. Update it with `make golden`.\n");
            (format!("{WHOLE}/{}.yaml", file.name), header + &file.whole)
        })
        .collect();
    for (name, _) in samples().iter().filter(|(name, _)| name != WHOLE) {
        golden.insert(
            format!("{name}.diff"),
            diff::of(name, &[&sample(WHOLE), &named_like_the_whole(name)].map(objects)),
        );
    }
    golden
}

/// A sample under the name of the whole one: the name is in every query, and would hide the differences.
fn named_like_the_whole(name: &str) -> InferenceModel {
    let mut model = sample(name);
    model.metadata.name = sample(WHOLE).metadata.name;
    model
}

fn objects(model: &InferenceModel) -> Vec<files::File> {
    files::of(&valid(model))
}

#[test]
fn every_sample_renders_as_its_golden_files() {
    fs::create_dir_all(folder().join(WHOLE)).unwrap();
    for (path, text) in golden() {
        expect_file![folder().join(path)].assert_eq(&text);
    }
}

#[test]
fn no_golden_file_is_left_that_no_sample_makes() {
    let golden = golden();
    for path in [folder(), folder().join(WHOLE)].iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = path.unwrap().path();
        let name = path.strip_prefix(folder()).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") || golden.contains_key(&name) {
            continue;
        }
        assert!(std::env::var_os("UPDATE_EXPECT").is_some(), "{name}: no sample makes it; `make golden` deletes it");
        fs::remove_file(path).unwrap();
    }
}

/// `make golden` runs those tests that write files, and finds them by words in their names.
#[test]
fn make_golden_runs_every_test_that_writes_a_file() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let words = makefile.lines().find_map(|line| line.strip_prefix("WRITERS := ")).unwrap();
    let mut writers = vec![];
    for folder in ["render/tests", "render/tests/monitoring", "crds/tests"] {
        for path in fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            let source =
                if path.extension().is_some_and(|e| e == "rs") { fs::read_to_string(path).unwrap() } else { continue };
            let tests = source.split("#[test]\nfn ").skip(1).filter(|test| test.contains(concat!("expect_", "file![")));
            writers.extend(tests.map(|test| test.split('(').next().unwrap().to_owned()));
        }
    }
    let is_left_out = |name: &&String| !words.split(' ').any(|word| name.contains(word));
    assert!(writers.len() >= 8, "{writers:?}");
    assert_eq!(writers.iter().filter(is_left_out).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(golden(), golden());
    for (name, model) in samples() {
        assert_eq!(rendered(&valid(&model)), rendered(&valid(&model)), "{name}");
    }
}

/// A reader who looks for a field finds an example of it.
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

/// Fields of those samples that only repeat a default.
const REDUNDANT: &[&str] = &[
    "/suspend",
    "/runtime/device",
    "/runtime/templateRevision",
    // Any number of pods, as without it.
    "/model/cache/accessMode",
    "/rollout/strategy",
    "/scheduling/tolerations/0/operator",
    "/network/networkPolicy/mode",
    // The operator implements this field: a HorizontalPodAutoscaler has no such field.
    "/autoscaling/fallbackReplicas",
    "/observability/dashboard/enabled",
    "/observability/dashboard/labels/grafana_dashboard",
    // Bounds that an objective could take, and here none does.
    "/engine/metrics/2/thresholds/0",
    "/engine/metrics/2/thresholds/2",
];

/// Removing a field changes an object: no field is accepted and then ignored.
#[test]
fn every_field_of_the_specification_reaches_a_child() {
    let whole =
        ["full", "engine", "vllm", "minilm-s3", "minilm-oci", "minilm-oci-copy", "autoscaling", "keda", "paging"];
    for name in whole {
        let model = serde_json::to_value(sample(name)).unwrap();
        let whole = rendered(&valid(&sample(name)));
        let mut leaves = vec![];
        collect_leaves("", &model["spec"], &mut leaves);
        for leaf in leaves.iter().filter(|leaf| !REDUNDANT.contains(&leaf.as_str())) {
            let mut without = model.clone();
            remove(&mut without["spec"], leaf);
            // Without a required field there is no specification to render.
            let Ok(without) = serde_json::from_value::<InferenceModel>(without) else { continue };
            let Ok(valid) = validate(&without, &Settings::default()) else { continue };
            assert!(rendered(&valid) != whole, "{name}: {leaf} changes nothing");
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

/// The objects of a model, as `belfry render` prints them.
fn rendered(model: &ValidModel) -> String {
    let objects = children(model).unwrap().into_iter().filter_map(|child| child.object);
    objects.map(|object| format!("---\n{}", serde_yaml::to_string(&object).unwrap())).collect()
}

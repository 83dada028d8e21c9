//! Every sample of `config/samples`, rendered. The files are what the operator applies, so a change
//! of them is a change of clusters.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;

use belfry_operator::children::children;
use expect_test::expect_file;
use serde_json::Value;

use support::{samples, valid};

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

/// The children as YAML, with the dashboard's minified JSON spread over lines for the reader.
fn readable(model: &belfry_operator::validate::ValidModel) -> String {
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

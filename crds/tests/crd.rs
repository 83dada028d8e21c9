//! The CRD in the repository is the one that the types describe, and stays small.

#![allow(clippy::unwrap_used, reason = "a missing value fails the test")]

use belfry_crds::InferenceModel;
use expect_test::expect_file;
use kube::CustomResourceExt;

fn crd_yaml() -> String {
    let crd = serde_yaml::to_string(&InferenceModel::crd()).unwrap();
    format!("# Generated from crds/src. Update it with `make golden`.\n{crd}")
}

#[test]
fn the_committed_crd_is_current() {
    expect_file!["../inferencemodels.yaml"].assert_eq(&crd_yaml());
}

#[test]
fn the_chart_ships_the_same_crd() {
    // `keep` lets models survive an uninstall of the chart; an upgrade still updates the CRD.
    let annotated =
        crd_yaml().replacen("metadata:\n", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n", 1);
    expect_file!["../../charts/belfry-crds/templates/inferencemodels.yaml"].assert_eq(&annotated);
}

#[test]
fn the_crd_stays_under_100_kb() {
    let size = serde_json::to_vec(&InferenceModel::crd()).unwrap().len();
    assert!(size < 100_000, "{size} bytes");
}

#[test]
fn every_field_of_the_crd_is_described() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().unwrap_or_default().is_empty() {
                missing.push(path.clone());
            }
            walk(&path, field, missing);
            walk(&path, &field["items"], missing);
        }
    }
    let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
    let mut missing = vec![];
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    for part in ["spec", "status"] {
        walk(part, &schema[part], &mut missing);
    }
    assert_eq!(missing, Vec::<String>::new(), "fields without a description");
}

#[test]
fn the_spec_has_no_schema_defaults() {
    let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert!(!spec.to_string().contains("\"default\":"), "a default in the schema drifts under GitOps");
}

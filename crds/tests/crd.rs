//! The CRD in the repository is the one that the types describe, and stays small.

#![allow(clippy::unwrap_used, reason = "a missing value fails the test")]

use belfry_crds::InferenceModel;
use belfry_crds::contract::load_failure::LoadFailureReason;
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

/// Columns that stand three spaces apart, as kubectl prints them, with the longest reason of a failed load.
#[test]
fn a_list_of_models_of_all_namespaces_fits_into_80_columns() {
    let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().clone();
    let shown = columns.iter().filter(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    let longest = LoadFailureReason::ALL.iter().map(|reason| reason.as_str().len()).max().unwrap();
    let cell = |name: &str| match name {
        "Ready" | "Monitored" => "False".len(),
        "Reason" => longest,
        "Loaded" => "10/10".len(),
        "Age" => "100d".len(),
        other => panic!("a new column {other}: how wide is it?"),
    };
    let names: Vec<_> = shown.map(|column| column["name"].as_str().unwrap()).collect();
    let widths = names.iter().map(|name| name.len().max(cell(name)));
    let all: Vec<_> = ["NAMESPACE".len(), "minilm".len()].into_iter().chain(widths).collect();
    let width = all.iter().sum::<usize>() + 3 * (all.len() - 1);
    assert!(width <= 80, "{width} columns: {names:?}");
}

/// `kubectl describe` sorts the fields of a status by their names.
#[test]
fn nothing_long_stands_before_the_conditions() {
    let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
    let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    let mut lists: Vec<_> = status.as_object().unwrap().iter().filter(|(_, field)| field["type"] == "array").collect();
    lists.sort_by_key(|(name, _)| name.to_lowercase());
    assert_eq!(lists[0].0, "conditions");
}

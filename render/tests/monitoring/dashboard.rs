//! The dashboard: golden file, and the requirements of Grafana's provisioning.

use std::collections::BTreeSet;

use belfry_crds::contract::metric::Exporter;
use belfry_render::monitoring;
use expect_test::expect_file;
use serde_json::Value;

use crate::models;
use crate::promql::{self, Sources};

/// Units of Grafana that this project uses.
const UNITS: &[&str] = &["none", "short", "reqps", "cps", "s", "bytes", "percentunit", "celsius", "watt"];

/// Every query of the panels and annotations, with Grafana's variables filled in.
pub(crate) fn queries() -> Vec<String> {
    let of = |dashboard: Value| {
        let targets = panels(&dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().unwrap().clone());
        let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter().skip(1).cloned();
        targets
            .chain(annotations)
            .map(|query| query["expr"].as_str().unwrap().replace("$__rate_interval", "1m"))
            .collect::<Vec<_>>()
    };
    every().into_iter().flat_map(of).collect()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap()
}

fn all() -> [Value; 2] {
    [monitoring::dashboard(&models::small()), monitoring::dashboard(&models::objectives())]
}

fn boards() -> impl Iterator<Item = Value> {
    monitoring::boards().into_iter().map(|(_, board)| board)
}

/// The dashboards of models, the operator's, and those of many models.
fn every() -> Vec<Value> {
    all().into_iter().chain([monitoring::operator_dashboard()]).chain(boards()).collect()
}

#[test]
fn the_dashboard_is_as_it_was_reviewed() {
    let dashboard = monitoring::dashboard(&models::objectives());
    expect_file!["objectives.dashboard.json"].assert_eq(&(serde_json::to_string_pretty(&dashboard).unwrap() + "\n"));
}

#[test]
fn the_chart_carries_the_dashboard_of_the_operator() {
    let dashboard = monitoring::operator_dashboard();
    let file = expect_file!["../../../charts/belfry/files/operator-dashboard.json"];
    file.assert_eq(&(serde_json::to_string_pretty(&dashboard).unwrap() + "\n"));
}

#[test]
fn the_chart_carries_the_boards_of_all_models() {
    for (name, board) in monitoring::boards() {
        let file = expect_file![format!("../../../charts/belfry/files/boards/{name}.json")];
        file.assert_eq(&(serde_json::to_string_pretty(&board).unwrap() + "\n"));
    }
}

#[test]
fn a_board_shows_the_models_that_the_reader_chose() {
    let recorded = monitoring::rules(&models::objectives()).groups.into_iter().flat_map(|group| group.rules);
    let sources = Sources::contract().prometheus().recorded(recorded.filter_map(|rule| rule.record));
    let mut addresses = BTreeSet::new();
    for board in boards() {
        assert!(addresses.insert(board["uid"].to_string()), "{} is there twice", board["uid"]);
        check_queries(&board, &sources);
        for target in panels(&board).iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
            let expression = target["expr"].as_str().unwrap();
            for selector in promql::selectors(&expression.replace("$__rate_interval", "1m")) {
                let chosen = |name: &str, variable: &str| {
                    selector.matchers.matchers.iter().any(|matcher| matcher.name == name && matcher.value == variable)
                };
                assert!(chosen("namespace", "$namespace") && chosen("model", "$model"), "{expression}");
            }
        }
        for variable in &board["templating"]["list"].as_array().unwrap()[1..] {
            let query = variable["query"]["query"].as_str().unwrap();
            let (series, _) = query.strip_prefix("label_values(").unwrap().rsplit_once(", ").unwrap();
            check(series, &sources);
        }
    }
}

#[test]
fn its_name_title_and_address_belong_to_one_model() {
    let name = |namespace: &str, name: &str| {
        let mut model = models::small();
        (model.namespace, model.name) = (namespace.into(), name.into());
        model
    };
    let mut seen = BTreeSet::new();
    for model in [name("a", "b"), name("a", "c"), name("b", "c"), name("a-b", "c"), name("a", "b-c")] {
        let dashboard = monitoring::dashboard(&model);
        let uid = dashboard["uid"].as_str().unwrap();
        assert!(uid.len() <= 40 && uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{uid}");
        assert!(seen.insert(uid.to_owned()) && seen.insert(dashboard["title"].to_string()), "{dashboard}");
        assert!(title(&dashboard).contains(&format!("{}/{}", model.namespace, model.name)));
    }
    assert_eq!(monitoring::dashboard_file_name(&models::objectives()), "search.minilm.model.json");
}

#[test]
fn grafana_provisions_it() {
    for dashboard in every() {
        assert!((39..=42).contains(&dashboard["schemaVersion"].as_u64().unwrap()));
        assert!(dashboard["id"].is_null() && dashboard["editable"] == false && dashboard.get("__inputs").is_none());
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
        assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
        let size = serde_json::to_string(&dashboard).unwrap().len();
        assert!(size < 200_000, "{size} bytes");
    }
}

#[test]
fn panels_have_their_own_identifier_and_place() {
    for dashboard in every() {
        let mut identifiers = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(identifiers.insert(panel["id"].as_u64().unwrap()), "{}", title(panel));
            let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{}", title(panel));
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{} overlaps another panel", title(panel));
                }
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for dashboard in every() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            assert!(titles.insert(title(panel).to_owned()), "{} is there twice", title(panel));
            let description = panel["description"].as_str().unwrap();
            assert!(description.ends_with('.'), "{}: {description}", title(panel));
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(UNITS.contains(&defaults["unit"].as_str().unwrap()), "{}", title(panel));
            let kind = panel["type"].as_str().unwrap();
            let steps = defaults["thresholds"]["steps"].as_array().cloned().unwrap_or_default();
            // Grafana's own thresholds of a number are red from 80 on.
            assert!(!steps.is_empty() || kind != "stat", "{}", title(panel));
            assert!(steps.first().is_none_or(|step| step["value"].is_null()), "{}", title(panel));
            let values: Vec<_> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
            assert!(values.is_sorted(), "{}: {values:?}", title(panel));
            assert!(
                ["timeseries", "stat", "table", "heatmap", "state-timeline", "alertlist"].contains(&kind),
                "{kind}"
            );
        }
    }
}

#[test]
fn every_query_goes_through_the_variable_and_reads_only_series_that_exist() {
    for (model, dashboard) in [models::small(), models::objectives()].iter().zip(all()) {
        let recorded =
            monitoring::rules(model).groups.into_iter().flat_map(|group| group.rules).filter_map(|rule| rule.record);
        let sources = Sources::contract().prometheus().recorded(recorded);
        check_queries(&dashboard, &sources);
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let pods =
            variables.iter().find(|variable| variable["name"] == "pod").unwrap()["query"]["query"].as_str().unwrap();
        check(pods.strip_prefix("label_values(").unwrap().strip_suffix(", pod)").unwrap(), &sources);
    }
}

#[test]
fn the_operators_dashboard_reads_only_the_operators_series() {
    let sources = Sources::of(Exporter::Operator).and(Exporter::OperatorAboutModels).prometheus();
    let dashboard = monitoring::operator_dashboard();
    check_queries(&dashboard, &sources);
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            for selector in promql::selectors(&expression.replace("$__rate_interval", "1m")) {
                let named = |name: &str| selector.matchers.matchers.iter().any(|matcher| matcher.name == name);
                assert!(
                    named("job") || named("component"),
                    "{expression}: another operator's series would be read too"
                );
            }
        }
    }
}

/// Every query of a dashboard reads these sources, through the variable.
fn check_queries(dashboard: &Value, sources: &Sources) {
    for panel in panels(dashboard) {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", title(panel));
        let targets = panel["targets"].as_array().unwrap();
        assert_eq!(targets.is_empty(), panel["type"] == "alertlist", "{}", title(panel));
        let mut references = BTreeSet::new();
        for target in targets {
            assert!(target.get("datasource").is_none(), "{}: its panel's is meant", title(panel));
            assert!(references.insert(target["refId"].as_str().unwrap()), "{}", title(panel));
            check(target["expr"].as_str().unwrap(), sources);
            let present = target["instant"].as_bool().unwrap_or(false);
            assert!(present || panel["type"] != "table", "{}: a table of the present", title(panel));
        }
    }
    for annotation in &dashboard["annotations"]["list"].as_array().unwrap()[1..] {
        check(annotation["expr"].as_str().unwrap(), sources);
    }
}

/// A rate over a window that is shorter than four scrapes has holes, so that Grafana has to choose it.
fn check(expression: &str, sources: &Sources) {
    for window in expression.split("rate(").skip(1).filter_map(|rest| rest.split("}[").nth(1)) {
        assert!(window.starts_with("$__rate_interval]"), "{expression}");
    }
    promql::check(&expression.replace("$__rate_interval", "1m"), sources);
}

#[test]
fn objectives_have_a_row_only_where_there_are_objectives() {
    let has_row =
        |dashboard: &Value| dashboard["panels"].as_array().unwrap().iter().any(|panel| title(panel) == "Objectives");
    let [small, objectives] = all();
    assert!(!has_row(&small) && has_row(&objectives));
    // Every other panel is there for both, but for the four about quality: the small model has no labels and no baseline.
    assert_eq!(panels(&small).len() + 6 + 4, panels(&objectives).len());
}

//! Runbooks and references are as current as the code.

use std::collections::BTreeSet;
use std::path::Path;

use belfry_render::monitoring::runbook::Tool;
use belfry_render::monitoring::{self, reference, runbook_pages};
use expect_test::expect_file;

use crate::models;
use crate::promql::{self, Sources};

#[test]
fn runbooks_are_current() {
    for alert in monitoring::alerts() {
        expect_file![format!("../../../docs/runbooks/{}", alert.runbook_file())].assert_eq(&runbook_pages::page(alert));
    }
    expect_file!["../../../docs/runbooks/README.md"].assert_eq(&runbook_pages::index());
}

#[test]
fn references_are_current() {
    expect_file!["../../../docs/metrics.md"].assert_eq(&reference::metrics_page());
    expect_file!["../../../docs/conditions.md"].assert_eq(&reference::conditions_page());
}

#[test]
fn every_runbook_that_an_alert_links_is_a_page_and_every_page_belongs_to_an_alert() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/../../docs/runbooks");
    let mut linked = BTreeSet::from(["README.md".to_owned()]);
    for model in [models::small(), models::objectives()] {
        let specs = [monitoring::rules(&model), monitoring::operator_rules()];
        for rule in specs
            .iter()
            .flat_map(|spec| &spec.groups)
            .flat_map(|group| &group.rules)
            .filter(|rule| rule.alert.is_some())
        {
            let url = &rule.annotations["runbook_url"];
            let (base, page) = url.rsplit_once('/').unwrap();
            assert!(base.starts_with("https://") && !base.ends_with('/'), "{url}");
            assert!(folder.join(page).is_file(), "{url}: there is no docs/runbooks/{page}");
            linked.insert(page.to_owned());
        }
    }
    let pages = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(pages.collect::<BTreeSet<_>>(), linked);
}

#[test]
fn every_link_between_runbooks_leads_somewhere() {
    let pages: Vec<_> = monitoring::alerts().iter().map(monitoring::Alert::runbook_file).collect();
    for text in monitoring::alerts().iter().map(runbook_pages::page).chain([runbook_pages::index()]) {
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(pages.iter().any(|page| page == target), "{target} is no runbook");
        }
    }
}

#[test]
fn every_query_of_a_runbook_reads_only_what_somebody_exports() {
    let sources = Sources::contract().prometheus();
    for expression in queries() {
        promql::check(&expression, &sources);
    }
    assert!(queries().len() > monitoring::alerts().len(), "runbooks ask Prometheus");
}

/// Every query of the runbooks.
pub(crate) fn queries() -> Vec<String> {
    let steps = monitoring::alerts().iter().flat_map(|alert| (alert.runbook)().diagnosis);
    steps
        .filter_map(|step| match step.with {
            Tool::Query(expression) => Some(expression),
            Tool::Shell(_) => None,
        })
        .collect()
}

//! Runbooks and references are as current as the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use belfry_render::monitoring::runbook::Tool;
use belfry_render::monitoring::{self, inhibition, reference, runbook_pages};
use expect_test::expect_file;

use crate::models;
use crate::promql::{self, Sources};

/// A folder of the repository.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)
}

#[test]
fn runbooks_are_current() {
    for alert in monitoring::alerts() {
        expect_file![format!("../../../docs/runbooks/{}", alert.runbook_file())].assert_eq(&runbook_pages::page(alert));
    }
    expect_file!["../../../docs/runbooks/README.md"].assert_eq(&runbook_pages::index());
}

#[test]
fn the_table_of_inhibition_in_the_page_about_paging_is_current() {
    const BEGIN: &str = "<!-- begin: the table of render/src/monitoring/inhibition.rs -->\n";
    const END: &str = "<!-- end -->";
    let page = std::fs::read_to_string(folder("docs").join("paging.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark at which the table begins");
    let (_, after) = rest.split_once(END).expect("the mark at which it ends");
    let table = inhibition::table(inhibition::TABLE.iter().filter(|row| row.is_about_models()));
    expect_file!["../../../docs/paging.md"].assert_eq(&format!("{before}{BEGIN}{table}{END}{after}"));
}

#[test]
fn the_page_of_names_is_current() {
    expect_file!["../../../docs/names.md"].assert_eq(&monitoring::names_page());
}

#[test]
fn references_are_current() {
    expect_file!["../../../docs/metrics.md"].assert_eq(&reference::metrics_page());
    expect_file!["../../../docs/conditions.md"].assert_eq(&reference::conditions_page());
}

#[test]
fn every_runbook_that_an_alert_links_is_a_page_and_every_page_belongs_to_an_alert() {
    let folder = folder("docs/runbooks");
    let mut linked = BTreeSet::from(["README.md".to_owned()]);
    for model in [models::small(), models::objectives()] {
        let specs = [monitoring::rules(&model), monitoring::operator_rules(), monitoring::watchdog_rules()];
        for rule in specs
            .iter()
            .flat_map(|spec| &spec.groups)
            .flat_map(|group| &group.rules)
            .filter(|rule| rule.alert.is_some())
        {
            let url = &rule.annotations["runbook_url"];
            let (base, page) = url.split('?').next().unwrap().rsplit_once('/').unwrap();
            assert!(base.starts_with("http") && !base.ends_with('/'), "{url}");
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
fn every_query_of_a_runbook_reads_only_series_that_exist() {
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

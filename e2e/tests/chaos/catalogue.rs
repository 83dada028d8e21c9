//! The list of faults in `docs/faults.md` is complete, and names every test there is and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Faults of the catalogue.
const FAULTS: usize = 44;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn list() -> Result<String> {
    std::fs::read_to_string(root().join("docs/faults.md")).context("no docs/faults.md")
}

/// Number and rest of each row of the catalogue.
fn rows(list: &str) -> Vec<(&str, &str)> {
    list.lines().filter_map(|line| line.strip_prefix("| O")?.split_once(" | ")).collect()
}

/// What stands between backticks.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `module::test` of every test of this program that puts in a fault.
fn tests() -> Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("e2e/tests/chaos"))? {
        let path = entry?.path();
        let module = path.file_stem().and_then(|stem| stem.to_str()).context("a file without a name")?.to_owned();
        let source = std::fs::read_to_string(&path)?;
        let functions = source.split("#[tokio::test]\nasync fn ").skip(1);
        tests.extend(functions.filter_map(|function| Some(format!("{module}::{}", function.split_once("()")?.0))));
    }
    Ok(tests)
}

#[test]
fn every_fault_is_in_the_list_once_and_in_order_with_a_test_or_a_reason() -> Result<()> {
    let list = list()?;
    let numbers: Vec<_> = rows(&list).into_iter().map(|(number, _)| number.to_owned()).collect();
    let expected: Vec<_> = (1..=FAULTS).map(|number| number.to_string()).collect();
    ensure!(numbers == expected, "{numbers:?}");
    for (number, row) in rows(&list) {
        let reason = row.split(" | ").nth(1).unwrap_or_default();
        let is_explained = reason.contains("::") || reason.split_whitespace().count() >= 5;
        ensure!(is_explained, "O{number} has neither a test nor a reason: {row}");
    }
    Ok(())
}

#[test]
fn the_list_names_every_test_and_no_other() -> Result<()> {
    let list = list()?;
    let named: BTreeSet<_> = names(&list).filter(|name| name.contains("::")).map(str::to_owned).collect();
    let tests = tests()?;
    let missing: Vec<_> = named.difference(&tests).collect();
    ensure!(missing.is_empty(), "the list names tests that are not there: {missing:?}");
    let unnamed: Vec<_> = tests.difference(&named).collect();
    ensure!(unnamed.is_empty(), "the list lacks {unnamed:?}");
    Ok(())
}

#[test]
fn every_file_that_the_list_names_is_there() -> Result<()> {
    let list = list()?;
    for file in names(&list).filter(|name| name.ends_with(".rs")) {
        ensure!(root().join(file).is_file(), "there is no {file}");
    }
    Ok(())
}

/// A file that rings an alert names it.
#[test]
fn the_page_of_proofs_has_every_alert_and_files_that_name_it() -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/proofs.md")).context("no docs/proofs.md")?;
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| [")?.split_once(']')).collect();
    let listed: Vec<_> = rows.iter().map(|(alert, _)| *alert).collect();
    let every: Vec<_> = belfry_render::monitoring::alerts().iter().map(|alert| alert.name).collect();
    ensure!(listed == every, "{listed:?}");
    for (alert, proof) in rows {
        let files: Vec<_> = names(proof).filter(|name| name.ends_with(".rs")).collect();
        ensure!(!files.is_empty() || proof.contains("promtool alone"), "{alert}: {proof}");
        for file in files {
            let source = std::fs::read_to_string(root().join(file)).with_context(|| format!("there is no {file}"))?;
            ensure!(source.contains(alert), "{file} does not name {alert}");
        }
    }
    Ok(())
}

//! Rules about the code itself that a reader relies on.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;

use std::path::{Path, PathBuf};

use support::root;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn crates() -> Vec<PathBuf> {
    let crates: Vec<_> = ["cli", "crds", "e2e", "operator", "worker"].iter().map(|name| root().join(name)).collect();
    assert!(crates.iter().all(|path| path.join("Cargo.toml").exists()));
    crates
}

#[test]
fn the_pure_half_of_the_operator_reaches_for_nothing_outside() {
    let source = root().join("operator/src");
    let mut files = vec![];
    for module in [
        "validate",
        "children",
        "monitoring",
        "routing",
        "status",
        "template",
        "upgrade",
        "resources",
        "events",
        "kind",
        "engine",
    ] {
        files.push(source.join(format!("{module}.rs")));
        let folder = source.join(module);
        if folder.is_dir() {
            files.extend(rust_files(&folder));
        }
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for outside in
            ["kube::Client", "kube::Api", "tokio", "std::env::var", "std::fs", "SystemTime", "::now()", "Instant"]
        {
            assert!(!code.contains(outside), "{} names {outside}", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for file in crates().iter().flat_map(|path| rust_files(path)) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines: split it", file.display());
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for path in crates() {
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", path.display());
    }
}

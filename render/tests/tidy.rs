//! Rules about the code itself, on which readers rely.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/order.rs"]
mod order;
#[path = "tidy/words.rs"]
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use circles::circles;
use modules::Crate;
use support::root;
use words::unplain;

const CRATES: [&str; 8] = ["cli", "crds", "e2e", "logs", "operator", "render", "traces", "worker"];

/// Names that the pure half must not use: their results differ between machines, or over time.
const OUTSIDE: &[&str] = &[
    "kube::Api",
    "kube::Client",
    "kube::api",
    "kube::client",
    "kube::runtime",
    "tokio",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// Circles that are still there. None may be added.
const CIRCLES: &[&str] = &[];

/// Crates whose sources have only plain words.
const PLAIN: &[&str] = &["cli", "crds", "e2e", "logs", "operator", "render", "traces", "worker"];

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
    let crates: Vec<_> = CRATES.iter().map(|name| root().join(name)).collect();
    assert!(crates.iter().all(|path| path.join("Cargo.toml").exists()));
    crates
}

/// Arrows between top modules that climb, or that lead to a module without a place.
fn climbing(found: &Crate, order: &[&str]) -> Vec<String> {
    let place = |name: &String| order.iter().position(|known| known == name);
    let arrows = found.arrows().into_iter().filter(|(parent, ..)| parent.is_empty());
    arrows
        .filter(|(_, from, to)| place(from).is_none() || place(to).is_none() || place(from) < place(to))
        .map(|(_, from, to)| format!("{from} uses {to}"))
        .collect()
}

/// Names that a crate uses although the pure half must not.
fn outside(found: &Crate) -> Vec<String> {
    let is_outside = |name: &str| {
        OUTSIDE.iter().any(|outside| name == *outside || name.starts_with(&format!("{outside}::")))
            || name.ends_with("::now")
    };
    found.foreign.iter().filter(|(_, name)| is_outside(name)).map(|(at, name)| format!("{at} names {name}")).collect()
}

fn of_sources(sources: &[(&str, &str)]) -> Crate {
    let mut found = Crate::default();
    for (module, text) in sources {
        found.source(module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect(), text);
    }
    found
}

#[test]
fn the_modules_of_the_pure_half_use_only_those_before_them() {
    let found = Crate::read(&root().join("render/src"));
    assert!(found.arrows().len() > 20, "the sources were not read");
    assert_eq!(climbing(&found, order::RENDER), Vec::<String>::new());
}

#[test]
fn the_modules_of_the_operator_use_only_those_before_them() {
    let found = Crate::read(&root().join("operator/src"));
    assert!(found.arrows().len() > 20, "the sources were not read");
    assert_eq!(climbing(&found, order::OPERATOR), Vec::<String>::new());
}

/// Only one module renders and validates.
#[test]
fn only_drift_renders_and_validates() {
    let found = Crate::read(&root().join("operator/src"));
    let doors = ["belfry_render::validate::validate", "belfry_render::children::child"];
    let uses: Vec<_> =
        found.foreign.iter().filter(|(_, name)| doors.iter().any(|door| name.starts_with(door))).collect();
    assert!(uses.iter().any(|(module, _)| module == "drift"), "the sources were not read");
    let elsewhere: Vec<_> = uses.iter().filter(|(module, _)| module != "drift").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn the_pure_half_reaches_for_nothing_outside() {
    assert_eq!(outside(&Crate::read(&root().join("render/src"))), Vec::<String>::new());
}

#[test]
fn modules_beside_each_other_use_each_other_in_no_circle() {
    assert_eq!(circles(&Crate::read(&root().join("render/src"))), CIRCLES);
}

#[test]
fn a_circle_is_found_at_every_level_and_through_a_third_module() {
    let planted = [
        ("", ""),
        ("a", "use crate::b::B;"),
        ("b", ""),
        ("a::low", ""),
        ("a::one", "use super::{low::A, two::B};"),
        ("a::two", "use crate::a::three::part::C;"),
        ("a::three", "pub mod part;"),
        ("a::three::part", "fn f() { crate::a::one::D::new() }"),
        ("a::high", "use super::one::D;"),
    ];
    assert_eq!(circles(&of_sources(&planted)), ["in a: one, three, two"]);
    let through = [("", ""), ("a", "pub use one::A;"), ("a::one", "use super::two::B;"), ("a::two", "use super::A;")];
    assert_eq!(circles(&of_sources(&through)), ["in a: one, two"], "a re-export hides it");
    let (high, low) = (("high", "use crate::low::A;"), ("low", "#[cfg(test)] mod tests { use crate::high::A; }"));
    assert_eq!(circles(&of_sources(&[("", ""), high, low])), Vec::<String>::new());
}

#[test]
fn an_arrow_that_climbs_is_found_however_it_is_written() {
    let low = |text: &str| {
        climbing(&of_sources(&[("low", text), ("high", "pub struct A;"), ("high::part", "")]), &["low", "high"])
    };
    for text in [
        "use crate::high::A;",
        "use crate::{high::A, low::B};",
        "use crate::{high as other};",
        "pub use crate::high::part;",
        "use super::high;",
        "fn f() { crate::high::A; }",
        "mod inner { use super::super::high::A; }",
        "fn f() -> crate::high::A { todo!() }",
    ] {
        assert_eq!(low(text), ["low uses high"], "{text}");
    }
    for text in ["use crate::low::A;", "#[cfg(test)] mod tests { use crate::high::A; }", "use high::A;"] {
        assert_eq!(low(text), Vec::<String>::new(), "{text}");
    }
    let through = of_sources(&[("", "pub use high::A;"), ("low", "use crate::A;"), ("high", "pub struct A;")]);
    assert_eq!(climbing(&through, &["low", "high"]), ["low uses high"], "a re-export hides where it comes from");
}

#[test]
fn what_lies_outside_is_found_however_it_is_written() {
    for text in [
        "use kube::{Api, Client};",
        "use kube::{core::DynamicObject, Client as C};",
        "pub use tokio::time::sleep;",
        "fn f() { std::env::var(\"A\"); }",
        "use std::{fs, collections::BTreeMap};",
        "fn f() { jiff::Timestamp::now(); }",
        "use std::time::*; fn f() { Instant::now(); }",
    ] {
        assert!(!outside(&of_sources(&[("children", text)])).is_empty(), "{text}");
    }
    assert!(outside(&of_sources(&[("children", "use kube::core::DynamicObject;")])).is_empty());
}

#[test]
fn the_command_line_and_the_pure_half_link_no_server_and_no_tls() {
    for package in ["belfry-render", "belfry-cli"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "-p", package]);
        let output = cargo.current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(names.contains(&"belfry-crds"), "{tree}");
        for name in ["axum", "hyper", "rustls", "rcgen", "tokio", "reqwest", "ureq", "native-tls", "openssl"] {
            assert!(!names.contains(&name), "{package} links {name}");
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

#[test]
fn sources_have_plain_words() {
    let mut found = vec![];
    for file in PLAIN.iter().flat_map(|name| rust_files(&root().join(name).join("src"))) {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        found.extend(unplain(&text).into_iter().map(|(line, word)| format!("{path}:{line}: {word}")));
    }
    assert_eq!(found, Vec::<String>::new(), "name the subject of the sentence instead");
}

#[test]
fn a_word_that_is_not_plain_is_found_wherever_it_stands() {
    for (text, word) in [
        ("/// Somebody who reads.", "somebody"),
        ("// The status tells it.", "tells"),
        ("let message = \"ask whoever runs it\";", "whoever"),
        ("fn a_pod_told_it() {}", "told"),
        ("const NOBODY: u8 = 0;", "nobody"),
        ("struct TellLater;", "tell"),
        ("enum Who { Anybody }", "anybody"),
        ("// An echo is no news.", "no news"),
        ("/// This is no\n/// news.", "no news"),
    ] {
        let found: Vec<_> = unplain(text).into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, [word], "{text}");
    }
    assert_eq!(unplain("// One\n// tells, two told"), [(2, "tells".to_owned()), (2, "told".to_owned())]);
    for text in ["/// It is telling that a teller knows news.", "let folder = whosoever;", "// a body of no.newsletter"]
    {
        assert!(unplain(text).is_empty(), "{text}");
    }
}

//! The names that exist, read from files and from the contract.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use belfry_crds::contract::metric::{Kind as MetricKind, Values};
use belfry_crds::contract::metrics;
use regex::Regex;

use crate::mentions::{Kind, Mention};
use crate::schema::Fields;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Folders of the root.
pub(crate) fn top_folders() -> &'static [String] {
    static FOLDERS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
        let folders = entries.filter(|path| path.is_dir() && !is_skipped(path));
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    });
    &FOLDERS
}

/// Folders that belong to tools and not to the project.
fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name == "target" || name == "node_modules" || name.starts_with('.') && name != ".ci"
}

/// Long flags of other projects' programs that the pages use.
const FOREIGN: &[(&str, &[&str])] = &[
    ("cargo", &["--release", "--test", "--workspace", "--locked"]),
    ("curl", &["--json"]),
    ("helm", &["--set"]),
    ("prometheus", &["--enable-feature"]),
    (
        "kubectl",
        &[
            "--as",
            "--field-selector",
            "--list",
            "--overwrite",
            "--prefix",
            "--previous",
            "--raw",
            "--show-labels",
            "--show-managed-fields",
            "--tail",
        ],
    ),
];

/// The names that exist.
pub(crate) struct Facts {
    /// The text of each page, by its path.
    pub(crate) pages: BTreeMap<String, String>,
    /// Every file and folder.
    paths: BTreeSet<String>,
    targets: BTreeSet<String>,
    /// Long flags by program.
    flags: BTreeMap<String, BTreeSet<String>>,
    metrics: BTreeSet<String>,
    alerts: BTreeSet<String>,
    fields: Fields,
    values: Fields,
    attributes: BTreeSet<String>,
}

impl Facts {
    pub(crate) fn read() -> Self {
        let mut paths = BTreeSet::new();
        list(root(), &mut paths);
        let is_page = |path: &&String| path.ends_with(".md");
        let pages: BTreeMap<_, _> = paths.iter().filter(is_page).map(|path| (path.clone(), text(path))).collect();
        let runbook = |page: &String| Some(page.strip_prefix("docs/runbooks/")?.strip_suffix(".md")?.to_owned());
        let mut fields = Fields::default();
        fields.add_definition(&yaml("crds/inferencemodels.yaml"));
        let mut values = Fields::default();
        values.add_values("", &yaml("charts/belfry/values.yaml"));
        Self {
            targets: targets(&text("Makefile")),
            flags: flags(&paths),
            metrics: series(),
            // A test of the operator has one page for each alert.
            alerts: pages.keys().filter_map(runbook).collect(),
            pages,
            paths,
            fields,
            values,
            attributes: attributes(),
        }
    }

    /// Whether a name that a page mentions exists.
    pub(crate) fn know(&self, page: &str, Mention { kind, name, program, .. }: &Mention) -> bool {
        match kind {
            Kind::Path => self.has_path(page, name),
            Kind::Link => self.has_link(page, name),
            Kind::Target => self.targets.contains(name),
            Kind::Flag => self.has_flag(program.as_deref(), name),
            Kind::Metric => self.has_metric(name),
            Kind::Alert => self.alerts.contains(name) || matches!(name.as_str(), "InferenceModel" | "InferenceModels"),
            Kind::Field if name.starts_with("spec.") || name.starts_with("status.") => self.fields.has(name),
            Kind::Field => self.fields.has_end(name) || self.values.has(name) || self.attributes.contains(name),
        }
    }

    /// From the root, from the page, or as ARCHITECTURE.md says it: from the sources of a crate.
    fn has_path(&self, page: &str, name: &str) -> bool {
        braces(name).iter().all(|name| {
            let sources = top_folders().iter().map(|name| format!("{name}/src"));
            let bases = [String::new(), folder(page)].into_iter().chain(sources);
            bases.into_iter().any(|base| normal(&base, name).is_some_and(|path| self.has_glob(&path)))
        })
    }

    fn has_glob(&self, path: &str) -> bool {
        if !path.contains('*') {
            return self.paths.contains(path);
        }
        let pattern = Regex::new(&format!("^{}$", regex::escape(path).replace(r"\*", "[^/]*"))).unwrap();
        self.paths.iter().any(|path| pattern.is_match(path))
    }

    fn has_link(&self, page: &str, link: &str) -> bool {
        let (target, part) = link.split_once('#').map_or((link, None), |(target, part)| (target, Some(part)));
        let path = if target.is_empty() { Some(page.to_owned()) } else { normal(&folder(page), target) };
        let Some(path) = path.filter(|path| self.paths.contains(path)) else { return false };
        part.is_none_or(|part| {
            let lines = self.pages.get(&path).map_or("", String::as_str).lines();
            lines.filter(|line| line.starts_with('#')).any(|line| slug(line) == part)
        })
    }

    fn has_flag(&self, program: Option<&str>, flag: &str) -> bool {
        let foreign = FOREIGN.iter().find(|(name, _)| Some(*name) == program);
        match (foreign, program.and_then(|program| self.flags.get(program))) {
            (Some((_, flags)), _) => flags.contains(&flag),
            (None, Some(flags)) => flags.contains(flag),
            (None, None) => program.is_none() && self.flags.values().any(|flags| flags.contains(flag)),
        }
    }

    fn has_metric(&self, name: &str) -> bool {
        self.metrics.contains(name) || name.ends_with('_') && self.metrics.iter().any(|metric| metric.starts_with(name))
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(path: &str) -> serde_json::Value {
    serde_yaml::from_str(&text(path)).unwrap()
}

fn list(folder: &Path, found: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if is_skipped(&path) && path.is_dir() {
            continue;
        }
        found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        if path.is_dir() {
            list(&path, found);
        }
    }
}

fn targets(makefile: &str) -> BTreeSet<String> {
    let rules = Regex::new(r"(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)").unwrap();
    rules.captures_iter(makefile).flat_map(|rule| rule[1].split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Attributes of spans.
fn attributes() -> BTreeSet<String> {
    let attribute = Regex::new(r#"KeyValue::new\(\s*"([a-z0-9_.]+)""#).unwrap();
    let sources = ["worker/src/trace.rs", "operator/src/trace.rs"].map(text).concat();
    attribute.captures_iter(&sources).map(|found| found[1].to_owned()).collect()
}

/// Flags that clap derives from the arguments in each crate's sources, by the name of its program.
fn flags(paths: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let argument = Regex::new(r"(?s)#\[arg\((.*?)\)\]\s*(?:pub(?:\(\w+\))?\s+)?(\w+):").unwrap();
    let renamed = Regex::new(r#"long = "([a-z0-9-]+)""#).unwrap();
    let mut flags = BTreeMap::<_, BTreeSet<String>>::new();
    for (folder, program) in [
        ("operator", "belfry-operator"),
        ("worker", "belfry-worker"),
        ("cli", "belfry"),
        ("e2e", "bench_operator"),
        // Both have its flags.
        ("traces", "belfry-operator"),
        ("traces", "belfry-worker"),
    ] {
        let flags = flags.entry(program.to_owned()).or_default();
        let sources = paths.iter().filter(|path| path.starts_with(&format!("{folder}/src/")) && path.ends_with(".rs"));
        for source in sources.map(|path| text(path)) {
            for found in argument.captures_iter(&source).filter(|found| found[1].contains("long")) {
                let name = renamed.captures(&found[1]).map_or(found[2].replace('_', "-"), |name| name[1].to_owned());
                flags.insert(format!("--{name}"));
            }
        }
        assert!(!flags.is_empty(), "no flags of {program} are found");
    }
    flags
}

/// Names of series, and values of labels that look like them.
fn series() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in metrics::ALL {
        names.insert(metric.name.to_owned());
        if matches!(metric.kind, MetricKind::Histogram(_)) {
            names.extend(["bucket", "sum", "count"].map(|end| format!("{}_{end}", metric.name)));
        }
        for label in metric.labels {
            if let Values::Closed(values) = label.values {
                names.extend(values.iter().map(|value| (*value).to_owned()));
            }
        }
    }
    names
}

fn folder(page: &str) -> String {
    page.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

/// A path without `..` and without a slash at its end; `None` when it leaves the repository.
fn normal(base: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.iter().collect::<PathBuf>().to_str()?.to_owned())
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn braces(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((names, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    names.split(',').flat_map(|name| braces(&format!("{before}{name}{after}"))).collect()
}

/// The name that a heading gets in an address.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

//! What a page names exists: every path, link, make target, flag, metric, alert and field in every `*.md` of the repository.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

#[path = "docs/facts.rs"]
mod facts;
#[path = "docs/mentions.rs"]
mod mentions;
#[path = "docs/paths.rs"]
mod paths;
#[path = "docs/schema.rs"]
mod schema;

use std::collections::BTreeMap;

use facts::Facts;
use mentions::{Kind, Mention};

/// Names that are right although they do not exist here, each with its reason.
const EXCEPTIONS: &[(Kind, &str, &str)] = &[
    (Kind::Path, "bench/operator.json", "the benchmark writes it into Cargo's target folder"),
    (Kind::Alert, "InferenceClient", "a class of Hugging Face's client"),
    (Kind::Path, "pod/", "kubectl's name of a kind"),
    (Kind::Field, "spec.containers", "a field of a Pod"),
    (Kind::Field, "status.containerStatuses", "a field of a Pod"),
    (Kind::Field, "spec.enableFeatures", "a field of a Prometheus"),
    (Kind::Field, "spec.serviceMonitorSelector", "a field of a Prometheus"),
    (Kind::Field, "spec.serviceMonitorNamespaceSelector", "a field of a Prometheus"),
    (Kind::Field, "spec.ruleSelector", "a field of a Prometheus"),
    (Kind::Field, "spec.ruleNamespaceSelector", "a field of a Prometheus"),
];

fn is_exception(mention: &Mention) -> bool {
    EXCEPTIONS.iter().any(|(kind, name, _)| (*kind, *name) == (mention.kind, mention.name.as_str()))
}

/// Names that a page mentions and that do not exist.
fn unknown(facts: &Facts, page: &str, text: &str) -> Vec<Mention> {
    mentions::of(text).into_iter().filter(|mention| !facts.know(page, mention)).collect()
}

fn mistakes(facts: &Facts, page: &str, text: &str) -> Vec<String> {
    let unknown = unknown(facts, page, text).into_iter().filter(|mention| !is_exception(mention));
    unknown.map(|mention| format!("{page}:{}: no {:?} {}", mention.line, mention.kind, mention.name)).collect()
}

#[test]
fn everything_that_a_page_names_exists() {
    let facts = Facts::read();
    let mistakes: Vec<_> = facts.pages.iter().flat_map(|(page, text)| mistakes(&facts, page, text)).collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Otherwise a search that finds nothing would pass.
#[test]
fn the_pages_name_many_things_of_each_kind() {
    let facts = Facts::read();
    let mut counts = BTreeMap::<_, usize>::new();
    for (page, text) in &facts.pages {
        for mention in mentions::of(text).iter().filter(|mention| facts.know(page, mention)) {
            *counts.entry(mention.kind).or_default() += 1;
        }
    }
    for kind in Kind::ALL {
        let found = counts.get(kind).copied().unwrap_or_default();
        assert!(found >= 15, "the pages name only {found} of {kind:?}");
    }
    assert!(facts.pages.contains_key("ARCHITECTURE.md") && facts.pages.len() > 30, "{:?}", facts.pages.keys());
}

#[test]
fn every_exception_is_needed_and_says_why() {
    let facts = Facts::read();
    let named: Vec<_> = facts.pages.iter().flat_map(|(page, text)| unknown(&facts, page, text)).collect();
    for (kind, name, reason) in EXCEPTIONS {
        assert!(named.iter().any(|m| m.kind == *kind && m.name == *name), "no page needs the exception {name}");
        assert!(reason.len() > 10, "{name}: {reason}");
    }
}

#[test]
fn a_mistake_of_any_kind_is_found() {
    let facts = Facts::read();
    let planted = [
        ("README.md", "See `operator/src/gone.rs`.", "Path operator/src/gone.rs"),
        ("README.md", "Tests are in e2e/tests/silence.rs, and more.", "Path e2e/tests/silence.rs"),
        ("README.md", "`e2e/tools/{kubernetes,nowhere}`", "Path e2e/tools/{kubernetes,nowhere}"),
        ("README.md", "`config/samples/*.toml`", "Path config/samples/*.toml"),
        ("README.md", "`controller/nowhere.rs`", "Path controller/nowhere.rs"),
        ("README.md", "[a page](docs/nowhere.md)", "Link docs/nowhere.md"),
        ("docs/paging.md", "[a page](docs/scaling.md)", "Link docs/scaling.md"),
        ("docs/paging.md", "[a part](scaling.md#nothing)", "Link scaling.md#nothing"),
        ("README.md", "Run `make tests`.", "Target tests"),
        ("README.md", "```sh\nKUBECONFIG=x make install nonsense   # and more\n```", "Target nonsense"),
        ("README.md", "`--namespace-list`", "Flag --namespace-list"),
        ("README.md", "`belfry diff --namespaces`", "Flag --namespaces"),
        ("README.md", "```sh\nkubectl get pods \\\n  --show-label\n```", "Flag --show-label"),
        ("README.md", "`cargo run -p belfry-worker -- --modell x`", "Flag --modell"),
        ("README.md", "`inference_requests_totals`", "Metric inference_requests_totals"),
        ("README.md", "inference_batch_size_total", "Metric inference_batch_size_total"),
        ("README.md", "inference_queue_depth_bucket", "Metric inference_queue_depth_bucket"),
        ("README.md", "`belfry_model_uploads_*`", "Metric belfry_model_uploads_"),
        ("README.md", "`belfry_operator_reconciles_total`", "Metric belfry_operator_reconciles_total"),
        ("README.md", "InferenceModelDead rings.", "Alert InferenceModelDead"),
        ("README.md", "set `spec.model.nothing`", "Field spec.model.nothing"),
        ("README.md", "status.runtime.nothing", "Field status.runtime.nothing"),
        ("README.md", "`cache.stallSeconds`", "Field cache.stallSeconds"),
        ("README.md", "`externalMetrics.on=true`", "Field externalMetrics.on"),
    ];
    for (page, text, expected) in planted {
        let found = mistakes(&facts, page, text);
        assert!(found.len() == 1 && found[0].ends_with(&format!("no {expected}")), "{text}: {found:?}");
    }
}

#[test]
fn what_is_right_is_no_mistake() {
    let facts = Facts::read();
    let right = [
        ("README.md", "`operator/src/lease.rs`, render/tests/, `lease.rs`, `apply/handover.rs` and docs/faults.md."),
        (
            "README.md",
            "`e2e/tools/{kubernetes,prometheus}`, `crds/src/inference_model*` and/or `config/samples/*.yaml`",
        ),
        ("docs/paging.md", "[a page](scaling.md), [another](../README.md#try-it), https://example.com/nowhere.md"),
        ("README.md", "We make no promise. `make libtorch model`, `make chaos CHAOS_SEED=…`"),
        ("README.md", "`--namespaces`, `kubectl get im --show-labels | belfry diff -f - --worker-image x:1`"),
        ("README.md", "inference_batch_size_bucket, `belfry_model_*`; `inference_failed` is a reason."),
        ("README.md", "InferenceModel, InferenceModelDown."),
        (
            "README.md",
            "spec.model.source.pvc.claimName. `status.conditions[*]` `spec.suspend: true` `cache.mode: SharedPVC`",
        ),
        ("README.md", "`spec.podTemplate.labels.anything`, `status.rs`, `externalMetrics.enabled=true`"),
    ];
    for (page, text) in right {
        assert_eq!(mistakes(&facts, page, text), Vec::<String>::new());
    }
}

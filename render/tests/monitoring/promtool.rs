//! The real promtool on the rules, and on a test file for each alert.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use belfry_crds::monitoring::{PrometheusRuleSpec, Rule, RuleGroup};
use belfry_render::monitoring;
use belfry_render::monitoring::alert::{Alert, AlertRules};
use belfry_render::monitoring::labels::Category;
use belfry_render::monitoring::rule_test;
use expect_test::expect_file;

use crate::tool::program;
use crate::{dashboard, documentation, models};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monitoring")
}

fn run(arguments: &[&str]) {
    let Output { status, stdout, stderr } =
        Command::new(program("promtool")).args(arguments).current_dir(folder()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "promtool {}: {status}\n{stdout}{stderr}", arguments.join(" "));
}

/// Checks rules that no golden file holds; `name` is the name of a scratch file.
pub(crate) fn takes(name: &str, rules: &PrometheusRuleSpec) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, serde_yaml::to_string(rules).unwrap()).unwrap();
    run(&["check", "rules", "--lint=all", "--lint-fatal", file.to_str().unwrap()]);
}

const OPERATOR_RULES: &str = "../../../charts/belfry/files/operator-rules.yaml";
const WATCHDOG_RULES: &str = "../../../charts/belfry/files/watchdog-rules.yaml";

fn test_file(alert: &Alert) -> String {
    format!("{}.test.yaml", alert.name)
}

fn generate(alert: &Alert) {
    let rules = match alert.rules {
        AlertRules::Model(..) if alert.category == Category::Objective => "objectives.rules.yaml",
        AlertRules::Model(..) => "alerts.rules.yaml",
        AlertRules::Operator(_) => OPERATOR_RULES,
        AlertRules::Always(_) => WATCHDOG_RULES,
    };
    let tests = rule_test::file(alert, &models::objectives(), rules).unwrap();
    expect_file![test_file(alert)].assert_eq(&tests);
}

#[test]
fn rules_pass_promtools_own_checks() {
    let files = ["small.rules.yaml", "alerts.rules.yaml", "objectives.rules.yaml", OPERATOR_RULES, WATCHDOG_RULES];
    run(&[&["check", "rules", "--lint=all", "--lint-fatal"], &files[..]].concat());
    for names in monitoring::names() {
        takes(&format!("names-{}.rules.yaml", names.id), &names.spec());
    }
}

/// The other tests parse PromQL with a library; this test asks Prometheus itself.
#[test]
fn prometheus_parses_every_query_of_dashboards_and_runbooks() {
    let queries = dashboard::queries().into_iter().chain(documentation::queries());
    let rules = queries.enumerate().map(|(number, expr)| Rule {
        record: Some(format!("query{number}")),
        expr,
        ..Rule::default()
    });
    let group = RuleGroup { name: "queries".into(), interval: None, rules: rules.collect() };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("queries.yaml");
    std::fs::write(&file, serde_yaml::to_string(&PrometheusRuleSpec { groups: vec![group] }).unwrap()).unwrap();
    run(&["check", "rules", file.to_str().unwrap()]);
}

/// On all cores: cases that last for hours take long, and promtool takes one file after the other. Each alert is tried with
/// the rules of its own group, since promtool evaluates all that it is given at each step, and those of objectives read days.
#[test]
fn every_alert_fires_on_its_fault_stays_quiet_on_its_look_alike_and_resolves() {
    monitoring::alerts().iter().for_each(generate);
    let files: Vec<_> = monitoring::alerts().iter().map(test_file).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(&["test", "rules", file]);
                }
            });
        }
    });
}

/// Parts that a test file must have, so that its alert counts as proven.
#[test]
fn every_alert_has_a_fault_a_look_alike_and_a_recovery() {
    for alert in monitoring::alerts() {
        let yaml = rule_test::file(alert, &models::objectives(), "rules.yaml").unwrap();
        let file: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
        let cases = file["tests"].as_sequence().unwrap();
        let name = |case: &serde_yaml::Value| case["name"].as_str().unwrap().to_owned();
        let fires = |check: &serde_yaml::Value| !check["exp_alerts"].as_sequence().unwrap().is_empty();
        let checks = |case: &serde_yaml::Value| case["alert_rule_test"].as_sequence().cloned().unwrap_or_default();
        assert!(cases.iter().any(|case| checks(case).iter().any(fires)), "{}: no case fires", alert.name);
        if matches!(alert.rules, AlertRules::Always(_)) {
            continue;
        }
        assert!(
            cases.iter().any(|case| !checks(case).is_empty() && !checks(case).iter().any(fires)),
            "{}: no look-alike",
            alert.name
        );
        assert!(cases.iter().any(|case| name(case).contains("resolves")), "{}: no case resolves", alert.name);
        // A `fires` whose labels fit no rule would be dropped and read as quiet.
        for case in cases.iter().filter(|case| name(case).starts_with("fires")) {
            assert!(checks(case).iter().any(fires), "{}: {} does not fire", alert.name, name(case));
        }
    }
}

//! The inhibition table: rules that hold for every row. `tests/routing.rs` tries each row on the real Alertmanager.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::inference_model::AlertSeverity;
use belfry_render::monitoring;
use belfry_render::monitoring::alert::{Alert, AlertRules};
use belfry_render::monitoring::inhibition::{InhibitionRow, Silenced, TABLE};

/// Pairs of an alert and an alert that it silences, whatever their severities.
fn arrows() -> BTreeSet<(&'static str, &'static str)> {
    let targets = |row: &InhibitionRow| match row.targets {
        Silenced::Alerts(alerts) => alerts,
        Silenced::LessSevere => &[],
    };
    let of_row = |row: &'static InhibitionRow| {
        row.sources.iter().flat_map(move |source| targets(row).iter().map(|target| (source.name, target.name)))
    };
    TABLE.iter().flat_map(of_row).collect()
}

fn of_row(row: &InhibitionRow) -> Vec<&'static Alert> {
    match row.targets {
        Silenced::Alerts(alerts) => [row.sources, alerts].concat(),
        Silenced::LessSevere => row.sources.to_vec(),
    }
}

#[test]
fn every_row_names_alerts_that_exist_and_is_about_models_or_about_the_operator() {
    for row in TABLE {
        assert!(!row.sources.is_empty() && row.why.ends_with('.'), "{}", row.why);
        for alert in of_row(row) {
            assert!(monitoring::alerts().iter().any(|listed| listed.name == alert.name), "{}", alert.name);
            assert_eq!(row.is_about_models(), matches!(alert.rules, AlertRules::Model(..)), "{}", alert.name);
        }
    }
}

#[test]
fn only_what_may_be_critical_silences() {
    for source in TABLE.iter().flat_map(|row| row.sources) {
        assert!(source.severities.contains(&AlertSeverity::Critical), "{}", source.name);
    }
}

/// Two alerts that silence each other would leave no page at all.
#[test]
fn silencing_has_no_circle() {
    let mut silenced = BTreeMap::<_, BTreeSet<_>>::new();
    for (source, target) in arrows() {
        silenced.entry(source).or_default().insert(target);
    }
    assert!(silenced.len() > 1, "the table was not read");
    for first in silenced.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*first]);
        while let Some(alert) = next.pop() {
            let followers = silenced.get(alert).into_iter().flatten().copied();
            next.extend(followers.filter(|follower| seen.insert(*follower)));
        }
        assert!(!seen.contains(first), "{first} silences itself through {seen:?}");
    }
}

/// If a silenced alert silences others, the first cause must silence those too. Otherwise an alert that is not sent would
/// decide about another.
#[test]
fn a_cause_silences_what_its_consequences_silence() {
    let arrows = arrows();
    for (cause, middle) in &arrows {
        for (_, last) in arrows.iter().filter(|(source, _)| source == middle) {
            assert!(arrows.contains(&(cause, last)), "{cause} silences {middle} and not {last}");
        }
    }
}

#[test]
fn an_alert_that_may_be_critical_or_less_silences_its_lower_severity() {
    // Of an alert of the chart, causes differ in severity, and what one says another does not.
    let is_critical = |alert: &&Alert| {
        let is_about_models = matches!(alert.rules, AlertRules::Model(..));
        is_about_models && alert.severities.contains(&AlertSeverity::Critical) && alert.severities.len() > 1
    };
    let with_two = monitoring::alerts().iter().filter(is_critical).map(|alert| alert.name);
    let mut covered = BTreeSet::new();
    for row in TABLE.iter().filter(|row| matches!(row.targets, Silenced::LessSevere)) {
        covered.extend(row.sources.iter().map(|alert| alert.name));
        assert_eq!(row.equal(), ["namespace", "model", "alertname", "slo"]);
    }
    assert_eq!(with_two.collect::<BTreeSet<_>>(), covered);
}

//! Every row of the inhibition table, tried on the real Alertmanager: as an AlertmanagerConfig, and as the rules that the
//! list of runbooks has for users' own routes.

use belfry_render::monitoring::alert::Alert;
use belfry_render::monitoring::inhibition::{InhibitionRow, Silenced, TABLE};
use belfry_render::monitoring::labels::Category;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::alertmanager::{Alertmanager, Sink};
use crate::{convert, paging, support};

/// An alert as Alertmanager gets it.
fn ringing(alert: &Alert, severity: &str, row: &InhibitionRow) -> Value {
    let mut labels = json!({"alertname": alert.name, "severity": severity});
    if row.is_about_models() {
        (labels["namespace"], labels["model"]) = (json!("search"), json!("paging"));
    }
    if alert.category == Category::Objective {
        labels["slo"] = json!("availability");
    }
    json!({"labels": labels, "startsAt": (Timestamp::now() - 1.minute()).to_string()})
}

fn with(alert: &Value, label: &str, value: &str) -> Value {
    let mut alert = alert.clone();
    alert["labels"][label] = json!(value);
    alert
}

fn ended(alert: &Value) -> Value {
    let mut alert = alert.clone();
    alert["endsAt"] = json!(Timestamp::now().to_string());
    alert
}

/// A source, the alerts that it silences, and the alerts that it must not silence.
struct Story {
    source: Value,
    target: Value,
    others: Vec<Value>,
}

fn stories(row: &InhibitionRow) -> Vec<Story> {
    let of_source = |source: &&Alert| {
        let critical = ringing(source, "critical", row);
        let of_targets = |targets: &[&Alert]| {
            let of_one = |target: &&Alert| {
                let target = ringing(target, target.severities[0].as_str(), row);
                // An alert that a model made less than critical silences nothing. One that has both severities is held back
                // by its own critical one, which is another row.
                let mut others = vec![];
                others.extend((!holds_its_own_warning(source)).then(|| with(&critical, "severity", "warning")));
                if row.is_about_models() {
                    others.extend([with(&target, "model", "other"), with(&target, "namespace", "elsewhere")]);
                }
                Story { source: critical.clone(), target, others }
            };
            targets.iter().map(of_one).collect::<Vec<_>>()
        };
        let of_severity = |severity| {
            let target = ringing(source, severity, row);
            let others = ["model", "namespace", "slo"].map(|label| with(&target, label, "other")).to_vec();
            Story { source: critical.clone(), target, others }
        };
        match row.targets {
            Silenced::Alerts(targets) => of_targets(targets),
            Silenced::LessSevere => ["warning", "info"].map(of_severity).into(),
        }
    };
    row.sources.iter().flat_map(of_source).collect()
}

/// Whether the alert, while it is critical, silences itself where it is less.
fn holds_its_own_warning(alert: &Alert) -> bool {
    let rows = TABLE.iter().filter(|row| matches!(row.targets, Silenced::LessSevere));
    rows.flat_map(|row| row.sources).any(|source| source.name == alert.name)
}

/// Alertmanager judges alerts in the order in which they come. Once the last of them is held back by the one before it, all
/// others were judged, too.
fn sentinels() -> [Value; 2] {
    ["First", "Last"].map(|name| {
        let starts_at = (Timestamp::now() - 1.minute()).to_string();
        json!({"labels": {"alertname": name}, "startsAt": starts_at})
    })
}

fn proves(alertmanager: &Alertmanager, Story { source, target, others }: &Story) {
    let [first, last] = sentinels();
    let free = || others.iter().chain([&first]).map(|alert| (alert, false)).chain([(&last, true)]);
    let send = |alerts: Vec<&Value>| alertmanager.alert(&alerts.into_iter().cloned().collect::<Vec<_>>());

    send([target].into_iter().chain(others).chain([&last, &first]).collect());
    alertmanager.until_held(&free().chain([(target, false)]).collect::<Vec<_>>());
    send(vec![source]);
    alertmanager.until_held(&free().chain([(source, false), (target, true)]).collect::<Vec<_>>());
    send(vec![&ended(source)]);
    alertmanager.until_held(&free().chain([(target, false)]).collect::<Vec<_>>());
    let all = others.iter().chain([target, &first, &last]).map(ended).collect::<Vec<_>>();
    send(all.iter().collect());
    alertmanager.until_held(&[]);
}

fn prove(name: &str, mut configuration: Value, rows: &[&InhibitionRow]) {
    let sentinel = json!({"source_matchers": ["alertname = First"], "target_matchers": ["alertname = Last"]});
    configuration["inhibit_rules"].as_array_mut().unwrap().push(sentinel);
    let alertmanager = Alertmanager::start(name, &configuration);
    let stories: Vec<_> = rows.iter().flat_map(|row| stories(row)).collect();
    assert!(stories.len() > rows.len());
    stories.iter().for_each(|story| proves(&alertmanager, story));
}

#[test]
fn the_rules_of_a_model_silence_what_the_table_says_and_nothing_else() {
    let (model, sink) = (paging(|_| ()), Sink::start());
    let object = belfry_render::children::alertmanager_config::alertmanager_config(&support::valid(&model)).unwrap();
    let rows: Vec<_> = TABLE.iter().filter(|row| row.is_about_models()).collect();
    assert_eq!(object.spec.inhibit_rules.len(), rows.len());
    prove("inhibition", convert::configuration(&object, &sink.address), &rows);
}

#[test]
fn the_rules_in_the_list_of_runbooks_silence_what_the_table_says_and_nothing_else() {
    let page = std::fs::read_to_string(support::root().join("docs/runbooks/README.md")).unwrap();
    let (_, rest) = page.split_once("```yaml\n").expect("the list of runbooks has rules");
    let mut configuration: Value = serde_yaml::from_str(rest.split_once("```").unwrap().0).unwrap();
    (configuration["route"], configuration["receivers"]) = (json!({"receiver": "null"}), json!([{"name": "null"}]));
    prove("inhibition-page", configuration, &TABLE.iter().collect::<Vec<_>>());
}

//! The files of the alerts.

use std::collections::BTreeSet;
use std::path::Path;

use belfry_render::monitoring;

/// `InferenceModelDown` → `model_down.rs`.
fn file(alert: &str) -> String {
    let words = alert.strip_prefix("Inference").unwrap().chars().fold(String::new(), |mut words, letter| {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
        words
    });
    words + ".rs"
}

#[test]
fn every_alert_has_a_file_of_its_name_and_every_file_is_an_alert() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/monitoring/alerts");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let listed: BTreeSet<_> = monitoring::alerts().iter().map(|alert| file(alert.name)).collect();
    assert_eq!(listed.len(), monitoring::alerts().len(), "an alert is in the list twice");
    assert_eq!(files.collect::<BTreeSet<_>>(), listed);
}

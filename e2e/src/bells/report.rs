//! What was measured, as measurements with targets.

use std::collections::BTreeSet;
use std::time::Duration;

use super::compress::Factor;
use super::incident::Incident;
use crate::bench::measurement::{Bound, Measurement, percentile};

/// Longest time from an outage to its page, in seconds of the rules' own time.
const OUTAGE_TO_PAGE: f64 = 90.0;

/// End of the name of the measurement that is held against it.
pub const FIRST_PAGE: &str = "fault to first page, longest";

/// The share of alerts that have to be right.
const PRECISION: f64 = 0.98;

/// The alerts that say that nothing answers.
const OUTAGES: [&str; 2] = ["InferenceModelDown", "InferenceModelOutage"];

/// A fault as it was played once.
#[derive(Clone, Debug)]
pub struct Played {
    /// Name of the model.
    pub bell: &'static str,
    /// What was heard.
    pub incident: Incident,
}

/// The measurements of all that was played. `healthy` are the alerts that came about models to which nothing was done. `wait` gives the seconds that an
/// alert of a model, urgent or not, waits by itself.
pub fn measurements(
    played: &[Played],
    healthy: &[String],
    wait: impl Fn(&str, &str, bool) -> Option<f64>,
    models: usize,
    factor: Factor,
) -> Vec<Measurement> {
    let mut all = totals(played, healthy, models);
    let names: BTreeSet<_> = played.iter().map(|one| one.bell).collect();
    for name in names {
        let of_bell: Vec<_> = played.iter().filter(|one| one.bell == name).map(|one| &one.incident).collect();
        all.extend(of_fault(name, &of_bell, &wait, models, factor));
    }
    all
}

fn totals(played: &[Played], healthy: &[String], models: usize) -> Vec<Measurement> {
    let expected = played.iter().flat_map(|one| one.incident.heard.values());
    let heard = expected.clone().flatten().count();
    let wrong: usize = played.iter().map(|one| one.incident.wrong.len()).sum::<usize>() + healthy.len();
    let alerts: usize = played.iter().map(|one| one.incident.alerts).sum::<usize>() + healthy.len();
    let off = played.iter().filter(|one| one.incident.pages != one.incident.expected.wakes()).count();
    let loud = played.iter().filter(|one| one.incident.quiet.is_none()).count();
    vec![
        Measurement::ours(models, "recall", "share", share(heard, expected.count())).should(Bound::AtLeast(1.0)),
        Measurement::ours(models, "precision", "share", share(alerts - wrong, alerts))
            .should(Bound::AtLeast(PRECISION)),
        Measurement::ours(models, "incidents with more or fewer pages than one", "incidents", count(off))
            .should(Bound::Exactly(0.0)),
        Measurement::ours(models, "incidents whose alerts did not end", "incidents", count(loud))
            .should(Bound::Exactly(0.0)),
        Measurement::ours(models, "alerts about healthy models", "alerts", count(healthy.len()))
            .should(Bound::Exactly(0.0)),
    ]
}

fn of_fault(
    name: &str,
    incidents: &[&Incident],
    wait: impl Fn(&str, &str, bool) -> Option<f64>,
    models: usize,
    factor: Factor,
) -> Vec<Measurement> {
    let in_rules_time = |time: Duration| time.as_secs_f64() * f64::from(factor.0);
    let mut all = vec![];
    let alerts: BTreeSet<_> = incidents.iter().flat_map(|incident| incident.heard.keys().copied()).collect();
    for alert in &alerts {
        let times: Vec<_> = incidents.iter().filter_map(|incident| incident.heard[*alert]).map(in_rules_time).collect();
        if times.is_empty() {
            continue;
        }
        let line = |percent, word| {
            let metric = format!("{name}: fault to message of {alert}, {word}");
            let measured = Measurement::ours(models, metric, "s", percentile(&times, percent));
            let is_urgent = incidents.iter().any(|incident| incident.expected.pages.contains(alert));
            wait(name, alert, is_urgent).into_iter().fold(measured, Measurement::beside)
        };
        all.push(line(50, "median"));
        all.push(line(100, "longest"));
    }
    let firsts: Vec<_> = incidents.iter().filter_map(|incident| incident.first).map(in_rules_time).collect();
    if alerts.iter().any(|alert| OUTAGES.contains(alert)) && !firsts.is_empty() {
        let metric = format!("{name}: {FIRST_PAGE}");
        all.push(
            Measurement::ours(models, metric, "s", percentile(&firsts, 100)).should(Bound::AtMost(OUTAGE_TO_PAGE)),
        );
    }
    let quiet: Vec<_> = incidents.iter().filter_map(|incident| incident.quiet).map(in_rules_time).collect();
    if !quiet.is_empty() {
        all.push(Measurement::ours(models, format!("{name}: mended to resolved, median"), "s", percentile(&quiet, 50)));
    }
    all
}

/// All of nothing is all.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { count(part) / count(whole) }
}

fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bells::incident::Expected;
    use std::collections::BTreeMap;

    fn played(heard: Option<u64>, wrong: &[&str], pages: usize) -> Played {
        let incident = Incident {
            first: heard.map(Duration::from_secs),
            heard: BTreeMap::from([("InferenceModelDown", heard.map(Duration::from_secs))]),
            wrong: wrong.iter().map(|alert| (*alert).to_owned()).collect(),
            alerts: usize::from(heard.is_some()) + wrong.len(),
            pages,
            expected: Expected { pages: &["InferenceModelDown"], notes: &[], also: &[] },
            quiet: Some(Duration::from_secs(2)),
        };
        Played { bell: "down", incident }
    }

    fn waits(bell: &str, alert: &str, is_urgent: bool) -> Option<f64> {
        (bell == "down" && alert == "InferenceModelDown" && is_urgent).then_some(40.0)
    }

    fn named<'a>(all: &'a [Measurement], metric: &str) -> &'a Measurement {
        all.iter().find(|one| one.metric == metric).unwrap()
    }

    #[test]
    fn a_run_in_which_all_went_well_holds() {
        let all = measurements(&[played(Some(5), &[], 1)], &[], waits, 3, Factor(10));
        assert!(all.iter().all(|one| one.holds != Some(false)), "{all:?}");
        assert_eq!(named(&all, "down: fault to message of InferenceModelDown, median").ours, Some(50.0));
        assert_eq!(named(&all, "down: fault to message of InferenceModelDown, median").ratio, Some(1.25));
    }

    #[test]
    fn what_is_missed_wrong_late_or_twice_does_not_hold() {
        let run = [played(None, &[], 0), played(Some(10), &["Other"], 2)];
        let all = measurements(&run, &["X".into()], waits, 3, Factor(10));
        for metric in
            ["recall", "precision", "incidents with more or fewer pages than one", "alerts about healthy models"]
        {
            assert_eq!(named(&all, metric).holds, Some(false), "{metric}");
        }
        assert_eq!(named(&all, "recall").ours, Some(0.5));
        assert_eq!(named(&all, "down: fault to first page, longest").holds, Some(false));
    }
}

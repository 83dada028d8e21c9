//! Common parts of the alerts on objectives: a rule for each severity, and the alerts that the cases expect.

use belfry_crds::inference_model::AlertSeverity;

use super::alert::Firing;
use super::case::{self, Expected};
use super::objective::{BURNS, Burn, LEAST_ERRORS};
use super::promql::{Record, SeriesOf};
use crate::model::{Objective, ValidIndicator, ValidModel};

/// A rule for each objective with a `fault` and each severity. `fault` says what a bad request did; it is `None` for
/// objectives of another alert.
pub(super) fn firings(model: &ValidModel, fault: impl Fn(&ValidIndicator) -> Option<String>) -> Vec<Firing> {
    let objectives = model.monitoring.objectives.iter();
    objectives
        .filter_map(|objective| Some((objective, fault(&objective.indicator)?)))
        .flat_map(|(objective, fault)| [true, false].map(|critical| burn(model, objective, critical, &fault)))
        .collect()
}

/// Each pair of windows is an alert of its own, with labels from the expression. There is no `for`: the long window is a wait
/// already, and more would only delay the page.
fn burn(model: &ValidModel, objective: &Objective, critical: bool, fault: &str) -> Firing {
    let pairs: Vec<_> = BURNS.iter().filter(|pair| pair.critical == critical).collect();
    let exprs: Vec<_> = pairs.iter().map(|pair| pair.expr(model, objective)).collect();
    Firing {
        severity: if critical { AlertSeverity::Critical } else { AlertSeverity::Warning },
        expr: exprs.join("\nor "),
        for_: None,
        keep_firing_for: Some("5m"),
        labels: vec![("slo", objective.name.clone())],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of requests {fault} in \
             {{{{ $labels.long }}}}; objective {} is {}%, its budget lasts {}",
            objective.name,
            objective.percent,
            lasts(&pairs, objective)
        ),
        description: None,
    }
}

/// A template for the time in which the budget is spent, for the pair that fires.
fn lasts(pairs: &[&Burn], objective: &Objective) -> String {
    let (last, others) = match pairs {
        [others @ .., last] => (last.exhaustion(objective), others),
        [] => return String::new(),
    };
    let others: String = others
        .iter()
        .filter(|pair| pair.exhaustion(objective) != last)
        .map(|pair| {
            format!("{{{{ if eq $labels.long \"{}\" }}}}{}{{{{ else }}}}", pair.long, pair.exhaustion(objective))
        })
        .collect();
    let end = "{{ end }}".repeat(others.matches("{{ else }}").count());
    format!("{others}{last}{end}")
}

pub(super) fn meaning() -> String {
    format!(
        "The share of bad requests is so high, in a long window and still in a short one (labels `long` and `short`), that the budget of \
         30 days will not last. The summary says how long it lasts at that rate, at most. At least {LEAST_ERRORS} requests must have been \
         bad, so that one failure on a quiet model does not page. `1h` and `6h` page; `1d` and `3d` can wait for the working day."
    )
}

pub(super) fn resolves() -> String {
    "Five minutes after the short window is below the threshold again: within ten minutes for `1h`, within hours for `3d`. The budget that was spent comes back only after 30 days.".into()
}

/// Labels of each pair of windows.
const PAIRS: [[&str; 3]; 4] =
    [["critical", "1h", "5m"], ["critical", "6h", "30m"], ["warning", "1d", "2h"], ["warning", "3d", "6h"]];

const AVAILABILITY_LASTS: [&str; 4] = ["50 hours", "5 days", "10 days", "30 days"];

/// The alerts that fire for those pairs. `slo` is the name of the objective, its percentage, and what a bad request did.
pub(super) fn expected(slo: [&'static str; 3], share: &str, pairs: std::ops::Range<usize>) -> Vec<Expected> {
    let [name, percent, fault] = slo;
    let burn = |index: usize| {
        let [severity, long, short] = PAIRS[index];
        let lasts = AVAILABILITY_LASTS[index];
        case::expected(
            &[("severity", severity), ("slo", name), ("long", long), ("short", short)],
            &format!(
                "search/minilm: {share} of requests {fault} in {long}; objective {name} is {percent}, its budget lasts {lasts}"
            ),
        )
    };
    pairs.map(burn).collect()
}

/// Expression for how many of the alert's rules fire, narrowed by a label.
pub(super) fn count(alert: &str, label: &'static str, value: &str, model: &ValidModel) -> String {
    let alerts = SeriesOf::model(model).alerts().eq("alertname", alert).eq("alertstate", "firing");
    format!("count({})", alerts.eq(label, value))
}

/// Expression for one value that an objective records.
pub(super) fn recorded(model: &ValidModel, record: Record, slo: &str) -> String {
    format!("sum({})", SeriesOf::model(model).recorded(&record, slo))
}

//! Cases of the burn-rate alerts: availability 99.9 %, and 95 % within 250ms.

use belfry_crds::contract::metrics;

use super::{POD_A, expected, requests};
use crate::model::ValidModel;
use crate::monitoring::promql::{Record, Scope};
use crate::monitoring::rule_test::{Case, Expected, grow, hold};

/// Labels and text of each pair of windows.
const PAIRS: [(&str, &str); 4] = [("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h")];
const AVAILABILITY_LASTS: [&str; 4] = ["50 hours", "5 days", "10 days", "30 days"];

fn burns(slo: [&'static str; 3], share: &str, pairs: std::ops::Range<usize>) -> Vec<Expected> {
    let [name, percent, fault] = slo;
    let burn = |index: usize| {
        let (long, short) = PAIRS[index];
        let lasts = AVAILABILITY_LASTS[index];
        expected(
            &[("slo", name), ("long", long), ("short", short)],
            &format!("search/minilm: {share} of requests {fault} in {long}, objective {name} is {percent}"),
            &format!(
                "{share} of the requests to search/minilm {fault} within the last {long}, and it goes on in the last {short}. \
                 Objective {name} promises {percent} over 30 days; at this rate its budget is spent in {lasts} or less."
            ),
        )
    };
    pairs.map(burn).collect()
}

/// How many of the alert's rules fire, narrowed by a label.
fn firing(alert: &str, label: &'static str, value: &str, model: &ValidModel) -> String {
    let alerts = Scope::model(model).alerts().eq("alertname", alert).eq("alertstate", "firing");
    format!("count({})", alerts.eq(label, value))
}

fn recorded(model: &ValidModel, record: Record, slo: &str) -> String {
    format!("sum({})", Scope::model(model).recorded(&record, slo))
}

pub(in crate::monitoring) fn error_budget_burn(model: &ValidModel) -> Vec<Case> {
    let fails = |share: &str, pairs| burns(["availability", "99.9%", "failed"], share, pairs);
    let ok = |name: &'static str, values: String| Case::new(name).with(requests(model, "200", "ok"), values);
    let failed = |case: Case, values: String| case.with(requests(model, "500", "inference_failed"), values);
    let burn = "InferenceErrorBudgetBurn";
    let critical = |long: &'static str| firing(burn, "long", long, model);
    let one = Some(("{}", 1.0));
    let mut cases = vec![
        failed(ok("fires on all pairs when everything has failed from the start", grow(&[(0, 60)])), grow(&[(150, 60)])).fires("10m", &fails("100%", 0..4)),
        failed(ok("pages 60 seconds after everything begins to fail, and the fast pair resolves within ten minutes of the end", grow(&[(150, 240), (0, 8), (150, 160)])), grow(&[(0, 240), (150, 8), (0, 160)]))
            .quiet("60m30s")
            .value("60m45s", critical("1h"), None)
            .value("61m", critical("1h"), one)
            .value("67m", critical("1h"), one)
            .value("72m15s", critical("1h"), None)
            .value("98m", firing(burn, "severity", "critical", model), None),
        failed(ok("pages within 9 minutes when a tenth fails", grow(&[(150, 240), (135, 60)])), grow(&[(0, 240), (15, 60)]))
            .value("68m", critical("1h"), None)
            .value("68m45s", critical("1h"), one),
        failed(ok("warns, and does not page, when twice the budget is spent", grow(&[(499, 160)])), grow(&[(1, 160)])).quiet("1m").fires("30m", &fails("0.2%", 3..4)),
    ];
    cases.extend([
        failed(
            ok("stays quiet when four requests of a quiet model fail", hold(&[("0", 8), ("10", 100)])),
            hold(&[("0", 8), ("1", 8), ("2", 8), ("3", 8), ("4", 76)]),
        )
        .quiet("9m")
        .quiet("20m"),
        ok("stays quiet on mistakes of the callers and on refusals", grow(&[(150, 80)]))
            .with(requests(model, "400", "invalid_json"), grow(&[(150, 80)]))
            .with(requests(model, "429", "queue_full"), grow(&[(150, 80)]))
            .quiet("10m")
            .quiet("19m"),
        ok("reads no failure yet as 0, and not as unknown", grow(&[(150, 80)]))
            .quiet("10m")
            .value("10m", recorded(model, Record::ErrorRatio("5m"), "availability"), Some(("{}", 0.0)))
            .value("10m", recorded(model, Record::Errors("1h"), "availability"), Some(("{}", 0.0))),
        failed(
            ok("records no ratio without traffic, so that 0/0 spoils no average", hold(&[("4000", 80)])),
            hold(&[("12", 80)]),
        )
        .quiet("10m")
        .value("10m", recorded(model, Record::ErrorRatio("5m"), "availability"), None)
        .value("10m", recorded(model, Record::ErrorRatio("3d"), "availability"), None),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
        failed(
            ok(
                "stays quiet when workers are restarted and counters begin anew",
                format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
            ),
            hold(&[("900", 40), ("0", 40)]),
        )
        .quiet("10m30s")
        .quiet("19m"),
    ]);
    cases
}

pub(in crate::monitoring) fn latency_budget_burn(model: &ValidModel) -> Vec<Case> {
    let slow = |share: &str, pairs| burns(["latency", "95%", "took longer than 250ms"], share, pairs);
    let all = |name: &'static str, values: String| {
        let count = Scope::model(model).count(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A);
        Case::new(name).with(count, values)
    };
    let fast = |case: Case, values: String| {
        let bucket = Scope::model(model).bucket(&metrics::REQUEST_DURATION, 0.25).eq("phase", "total").eq("pod", POD_A);
        case.with(bucket, values)
    };
    let pages = |long: &'static str| firing("InferenceLatencyBudgetBurn", "long", long, model);
    vec![
        fast(
            all("fires on all pairs when everything has been slow from the start", grow(&[(150, 60)])),
            grow(&[(0, 60)]),
        )
        .fires("10m", &slow("100%", 0..4)),
        fast(all("warns when a tenth is slow", grow(&[(150, 60)])), grow(&[(135, 60)]))
            .fires("10m", &slow("10%", 3..4)),
        fast(
            all("resolves within ten minutes after the last slow answer", grow(&[(150, 240)])),
            grow(&[(0, 160), (150, 80)]),
        )
        .value("40m", pages("1h"), Some(("{}", 1.0)))
        .value("50m15s", pages("1h"), None),
        fast(all("stays quiet when fewer are slow than the objective allows", grow(&[(150, 80)])), grow(&[(147, 80)]))
            .quiet("10m")
            .quiet("19m"),
        fast(
            all("stays quiet when four requests of a quiet model are slow", hold(&[("0", 20), ("4", 60)])),
            hold(&[("0", 80)]),
        )
        .quiet("6m")
        .quiet("15m"),
        all(
            "records nothing when the bucket is missing, so that it does not read as an objective that is met",
            grow(&[(150, 60)]),
        )
        .quiet("10m")
        .value("10m", recorded(model, Record::ErrorRatio("5m"), "latency"), None),
        fast(all("stays quiet without traffic", hold(&[("4000", 60)])), hold(&[("3000", 60)])).quiet("10m"),
        fast(
            all(
                "stays quiet when workers are restarted and counters begin anew",
                format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
            ),
            format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
        )
        .quiet("10m30s")
        .quiet("19m"),
    ]
}

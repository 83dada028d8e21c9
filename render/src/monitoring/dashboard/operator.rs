//! The operator itself: whether it works, and if not, why.

use belfry_crds::contract::metrics;
use serde_json::json;

use super::lifecycle::table;
use super::overview::alert_list;
use super::panel::{Panel, Row};
use super::query::RATE;
use crate::monitoring::promql::{SeriesOf, by};

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

pub(super) fn overview(series: &SeriesOf, alerts: &SeriesOf) -> Row {
    let passes = series.counter(&metrics::RECONCILES);
    let failed = passes.clone().eq("outcome", "failed").rate(RATE);
    let total = passes.rate(RATE);
    let last_sync = series.gauge(&metrics::LAST_SYNC).eq("resource", "inferencemodels");
    Row {
        title: "Does the operator work?",
        panels: vec![
            Panel::number("Operators", "none", "Instances that answer Prometheus, and the one that works.")
                .query("answer", format!("sum({})", series.up()))
                .query("works", format!("sum({})", series.gauge(&metrics::LEADER))),
            Panel::number("Longest wait", "s", "For how long the model at the head of the queue has waited for its pass.")
                .thresholds(&[(10.0, "yellow"), (60.0, "red")])
                .query("", format!("max({})", series.gauge(&metrics::RECONCILE_AGE))),
            Panel::number("Failed passes", "percentunit", "Share of passes that could not be finished.")
                .default("max", json!(1))
                .thresholds(&[(0.01, "yellow"), (0.05, "red")])
                .query("", format!("sum({failed}) / (sum({total}) > 0)")),
            Panel::number("Since the last sync", "s", "Seconds since the API server last granted the list or the watch of InferenceModels; asked for every 50 s.")
                .thresholds(&[(90.0, "yellow"), (180.0, "red")])
                .query("", format!("time() - max({last_sync} > 0)")),
            Panel::number("Watch restarts", "none", "Watches that broke off within an hour.")
                .now("", format!("sum({})", series.counter(&metrics::WATCH_RESTARTS).increase("1h"))),
            Panel::number("Firing alerts", "none", "Alerts about the operator that ring now.")
                .thresholds(&[(1.0, "red")])
                .now("", format!("count({}) or vector(0)", alerts.alerts().eq("alertstate", "firing"))),
        ],
    }
}

pub(super) fn passes(series: &SeriesOf) -> Row {
    let buckets = by("sum", &["le"], series.buckets(&metrics::RECONCILE_DURATION).rate(RATE));
    let most = |gauge| format!("max({})", series.gauge(gauge));
    Row {
        title: "Passes",
        panels: vec![
            Panel::stacked(
                "Passes by outcome",
                "cps",
                "Passes over models in a second. At rest there are almost none: each model has one in ten minutes.",
            )
            .query("{{outcome}}", by("sum", &["outcome"], series.counter(&metrics::RECONCILES).rate(RATE))),
            QUANTILES.iter().fold(
                Panel::lines("Time of a pass", "s", "Half, 95 and 99 of 100 passes took no longer."),
                |panel, quantile| {
                    panel.query(&format!("p{}", quantile * 100.0), format!("histogram_quantile({quantile}, {buckets})"))
                },
            ),
            Panel::lines(
                "Queue of models",
                "short",
                "Models that wait for a pass, passes that run, and how many may run at once.",
            )
            .query("waiting", most(&metrics::RECONCILE_BACKLOG))
            .query("running", most(&metrics::RECONCILES_RUNNING))
            .query("may run", most(&metrics::RECONCILE_CAPACITY)),
        ],
    }
}

pub(super) fn api_server(series: &SeriesOf) -> Row {
    let requests = series.counter(&metrics::API_REQUESTS);
    let failed = requests.clone().matching("code", "4..|5..|error|timeout").rate(RATE);
    let time = by("sum", &["verb", "le"], series.buckets(&metrics::API_REQUEST_DURATION).rate(RATE));
    let resources = by("max", &["resource"], format!("{} > 0", series.gauge(&metrics::LAST_SYNC)));
    Row {
        title: "API server",
        panels: vec![
            Panel::stacked("Requests by verb", "reqps", "Requests to the API server in a second. At rest there is a watch for each kind in 50 seconds, and nothing else.")
                .query("{{verb}}", by("sum", &["verb"], requests.rate(RATE))),
            Panel::lines("Refused and failed requests", "reqps", "Requests in a second that were not answered with what was asked for, by resource and status.")
                .query("{{verb}} {{resource}} {{code}}", format!("{} > 0", by("sum", &["verb", "resource", "code"], failed))),
            Panel::lines("Time until an answer", "s", "99 of 100 requests were answered within this time, by verb.")
                .query("{{verb}}", format!("histogram_quantile(0.99, {time})")),
            Panel::stacked("Writes by kind", "reqps", "Objects that were written in a second, by kind. At rest there are none.")
                .query("{{kind}} {{result}}", format!("{} > 0", by("sum", &["kind", "result"], series.counter(&metrics::API_WRITES).rate(RATE)))),
            Panel::lines("Watches that broke off", "short", "Watches that broke off and were begun anew, by kind.")
                .query("{{kind}}", by("sum", &["kind"], series.counter(&metrics::WATCH_RESTARTS).increase(RATE))),
            Panel::lines("Since the last sync by resource", "s", "Seconds since the API server last granted a list or a watch. It grows to 50 and begins anew.")
                .query("{{resource}}", format!("time() - {resources}")),
        ],
    }
}

pub(super) fn process(series: &SeriesOf) -> Row {
    Row {
        title: "Process",
        panels: vec![
            Panel::lines("Objects in the cache", "short", "Objects of which the operator keeps a summary, by kind.")
                .size(12, 6)
                .query("{{kind}}", by("max", &["kind"], series.gauge(&metrics::CACHE_OBJECTS))),
            table("Instances", "Which version each instance runs.").table(by(
                "max",
                &["pod", "version"],
                series.gauge(&metrics::OPERATOR_BUILD_INFO),
            )),
        ],
    }
}

pub(super) fn alerts(series: &SeriesOf) -> Row {
    Row { title: "Alerts", panels: vec![alert_list(series, "Alerts about the operator that ring or are about to.")] }
}

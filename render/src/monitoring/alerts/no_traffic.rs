//! No request comes any more, at a time at which callers asked a day before.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow, hold};
use crate::monitoring::example::{self, POD_A};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceNoTraffic",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "Callers that used to ask do not reach the model, or no longer want to.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// Both yesterday and the last hours must have had requests: a model that rests at weekends is quiet on a Saturday, six hours after
/// the last request of the Friday at the latest. Without a worker that is scraped nothing is known.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let requests = series.counter(&metrics::REQUESTS);
    let yesterday = all("sum", format!("increase({requests}[1h] offset 1d)"));
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!(
            "({} or vector(0)) == 0 and on () {} > 360 and on () {yesterday} > 60 and on () {} == 1",
            all("sum", requests.increase("10m")),
            all("sum", requests.increase("6h")),
            all("max", series.up()),
        ),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: no request for 20 minutes; yesterday at this time there were some"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The workers are up and have had no request for twenty minutes. In the hours before there were some, and in this hour of \
            yesterday, too. Requests that fail or are refused would have counted."
            .into(),
        diagnosis: vec![
            query("When did the requests end?", |series| {
                all("sum", series.counter(&metrics::REQUESTS).rate("5m"))
            }),
            shell(
                "Does the Service lead to pods?",
                "kubectl -n \"$NAMESPACE\" get endpointslices -l kubernetes.io/service-name=\"$MODEL\"",
            ),
            shell("Does a request get through?", "kubectl -n \"$NAMESPACE\" get --raw \"/api/v1/namespaces/$NAMESPACE/services/$MODEL:http/proxy/health\""),
            shell("Was a route, a policy or a caller changed?", "kubectl get httproutes,ingresses,networkpolicies -A"),
        ],
        mitigation: vec![
            cause("A route or a name leads elsewhere.", "Set it back."),
            cause("A network policy keeps the callers out.", "Name them in `spec.network.networkPolicy.allowFrom`."),
            cause("A caller was released just before.", "Ask its owner; its own errors say why it does not ask."),
            cause("The callers were retired.", "Silence the alert for a day: then yesterday is quiet, too."),
        ],
        resolves: "With the next request, or six hours after the last one.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let gone = expected(&[], "search/minilm: no request for 20 minutes; yesterday at this time there were some");
    // A day has 5760 steps. Its second hour is quiet, and so is the next day from 24h25m on.
    vec![
        Case::new(
            "fires twenty minutes after the last request, and resolves in an hour that was quiet the day before, too",
        )
        .with(example::requests(model, "200", "ok"), grow(&[(1, 240), (0, 240), (1, 5380), (0, 400)]))
        .with(example::up(model, POD_A), hold(&[("1", 6260)]))
        .quiet("1h50m")
        .quiet("24h35m")
        .fires("24h46m", std::slice::from_ref(&gone))
        .fires("25h10m", &[gone])
        .quiet("25h55m"),
        Case::new("stays quiet in the first day of a model, of which no habit is known")
            .with(example::requests(model, "200", "ok"), grow(&[(1, 480), (0, 160)]))
            .with(example::up(model, POD_A), hold(&[("1", 640)]))
            .quiet("2h25m"),
    ]
}

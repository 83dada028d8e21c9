//! [`ValidModel`] → routes, receivers, inhibition and mute times of its alerts. Pure.
//!
//! The Prometheus Operator puts the object below the root route of Alertmanager. By default it adds
//! `namespace="…"` to the first route and to both sides of each inhibition rule; ours stand there already. It sets `continue: true`, so that other routes still see the alerts. Every
//! alert of ours carries the label `namespace`, whatever its expression does. The Prometheus Operator accepts an object
//! whole or not at all, and Alertmanager accepts all objects or none; so nothing here depends on settings that a cluster
//! may lack.

mod channel;
mod inhibition;
mod message;
mod window;

use belfry_crds::alertmanager::{AlertmanagerConfigSpec, MatchType, Matcher, Receiver, Route};
use belfry_crds::inference_model::AlertSeverity;

use crate::model::{ValidModel, ValidReceiver, ValidRouting, ValidWindow};

/// The receiver of alerts that no receiver asked for; it has no channel. Users' names have no capitals.
const NO_RECEIVER: &str = "NoReceiver";

/// The routes, receivers, inhibition rules and mute times of a model's alerts.
#[must_use]
pub fn spec(model: &ValidModel, routing: &ValidRouting) -> AlertmanagerConfigSpec {
    // Grouped by severity too: in one group, an earlier warning would delay the page by the group interval.
    let mut group_by: Vec<_> = ["namespace", "model", "severity"].map(str::to_owned).into();
    group_by.extend(routing.group_by.iter().map(|label| label.as_str().to_owned()));
    let no_receiver = Receiver { name: NO_RECEIVER.into(), ..Receiver::default() };
    AlertmanagerConfigSpec {
        route: Route {
            receiver: NO_RECEIVER.into(),
            // Other models in the namespace have routes of their own. The namespace too, because a Prometheus Operator with
            // `alertmanagerConfigMatcherStrategy: None` does not add it.
            matchers: vec![equal("namespace", &model.namespace), equal("model", &model.name)],
            group_by,
            group_wait: Some(routing.group_wait.clone()),
            group_interval: Some(routing.group_interval.clone()),
            routes: routing.receivers.iter().flat_map(|one| routes(one, &routing.windows)).collect(),
            ..Route::default()
        },
        receivers: std::iter::once(no_receiver).chain(routing.receivers.iter().map(channel::receiver)).collect(),
        inhibit_rules: inhibition::rules(model),
        mute_time_intervals: routing.windows.iter().map(window::interval).collect(),
    }
}

/// One route for a receiver, or two if a window mutes only alerts that are not critical.
fn routes(receiver: &ValidReceiver, windows: &[ValidWindow]) -> Vec<Route> {
    let (pages, others): (Vec<_>, Vec<_>) =
        receiver.severities.iter().partition(|severity| **severity == AlertSeverity::Critical);
    let all = || windows.iter().map(|window| window.name.clone()).collect::<Vec<_>>();
    let of_pages: Vec<_> = windows.iter().filter(|window| window.suppresses_pages).map(|w| w.name.clone()).collect();
    let is_alike = of_pages.len() == windows.len();
    match (pages.as_slice(), others.as_slice()) {
        ([], others) => vec![route(receiver, others, all())],
        (pages, []) => vec![route(receiver, pages, of_pages)],
        (pages, others) if is_alike => vec![route(receiver, &[pages, others].concat(), all())],
        (pages, others) => vec![route(receiver, pages, of_pages), route(receiver, others, all())],
    }
}

fn route(receiver: &ValidReceiver, severities: &[&AlertSeverity], mute_time_intervals: Vec<String>) -> Route {
    let severities: Vec<_> = severities.iter().map(|severity| severity.as_str()).collect();
    Route {
        receiver: receiver.name.clone(),
        matchers: vec![one_of("severity", &severities)],
        repeat_interval: Some(receiver.repeat_interval.clone()),
        // The next receiver may ask for the same alert.
        continue_: true,
        mute_time_intervals,
        ..Route::default()
    }
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher { name: name.into(), value: value.into(), match_type: MatchType::Equal }
}

/// A matcher for one of these values, which are plain words without special characters.
fn one_of(name: &str, values: &[&str]) -> Matcher {
    Matcher { name: name.into(), value: values.join("|"), match_type: MatchType::Regex }
}

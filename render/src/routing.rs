//! [`ValidModel`] → routes, receivers, inhibition and mute times of its alerts. Pure.
//!
//! The Prometheus Operator puts the object below the root route of Alertmanager, with `namespace="…"` on its first route and
//! on both sides of each inhibition rule, and `continue: true`, so that routes of others still see the alerts. Our alerts
//! carry that label, whatever their expression does. The Prometheus Operator takes an object whole or not at all, and
//! Alertmanager all objects or none; so nothing here depends on settings that a cluster may lack.

mod channel;
mod inhibition;
mod message;
mod window;

use belfry_crds::alertmanager::{AlertmanagerConfigSpec, MatchType, Matcher, Receiver, Route};
use belfry_crds::inference_model::AlertSeverity;

use crate::model::{ValidAlertmanager, ValidModel, ValidReceiver, Window};

/// The receiver of what nobody asked for. Users' names have no capitals.
const NOBODY: &str = "Nobody";

/// The routing of a model's alerts.
#[must_use]
pub fn routing(model: &ValidModel, alertmanager: &ValidAlertmanager) -> AlertmanagerConfigSpec {
    // By severity, too: in one group, a warning that came first would hold the page back for the group interval.
    let mut group_by: Vec<_> = ["namespace", "model", "severity"].map(str::to_owned).into();
    group_by.extend(alertmanager.group_by.iter().map(|label| label.as_str().to_owned()));
    let nobody = Receiver { name: NOBODY.into(), ..Receiver::default() };
    AlertmanagerConfigSpec {
        route: Route {
            receiver: NOBODY.into(),
            // Beside it, the routes of another model in the namespace stay out of the way.
            matchers: vec![equal("model", &model.name)],
            group_by,
            group_wait: Some(alertmanager.group_wait.clone()),
            group_interval: Some(alertmanager.group_interval.clone()),
            routes: alertmanager.receivers.iter().flat_map(|one| routes(one, &alertmanager.windows)).collect(),
            ..Route::default()
        },
        receivers: std::iter::once(nobody).chain(alertmanager.receivers.iter().map(channel::receiver)).collect(),
        inhibit_rules: inhibition::rules(&model.name),
        mute_time_intervals: alertmanager.windows.iter().map(window::interval).collect(),
    }
}

/// One route for a receiver; two where a window holds back only what is not critical.
fn routes(receiver: &ValidReceiver, windows: &[Window]) -> Vec<Route> {
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
        // The next receiver may want the same alert.
        continue_: true,
        mute_time_intervals,
        ..Route::default()
    }
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher { name: name.into(), value: value.into(), match_type: MatchType::Equal }
}

/// Words, and no expressions: nothing in them is special.
fn one_of(name: &str, values: &[&str]) -> Matcher {
    Matcher { name: name.into(), value: values.join("|"), match_type: MatchType::Regex }
}

//! A worker has loaded for so long that the kubelet will soon start it again.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelLoadSlow",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "A replica is missing; if it does not get ready in time, it begins again from the start.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// A load that goes on is in no histogram of loads.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let (start, loaded) = (series.gauge(&metrics::MODEL_LOAD_START), series.gauge(&metrics::MODEL_LOADED));
    let budget = model.startup_budget_seconds;
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!(
            "{} > {}",
            all("max", format!("time() - ({start} > 0) and on (namespace, model, pod) {loaded} == 0")),
            f64::from(budget) * 0.8
        ),
        for_: Some("1m"),
        keep_firing_for: None,
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: a worker has loaded for {{{{ $value | humanizeDuration }}}}; it has {budget} s"
        ),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "A worker has used more than four fifths of the time that `spec.probes.startupBudgetSeconds` gives it to load and warm its model. At \
            the end of that time the kubelet ends it and starts it again."
            .into(),
        diagnosis: vec![
            runbook::logs(),
            query("How much of the download is there?", |series| {
                format!("{} / {}", series.gauge(&metrics::DOWNLOAD_DONE), series.gauge(&metrics::DOWNLOAD_SIZE))
            }),
            query("How fast does it go on?", |series| format!("deriv({}[5m])", series.gauge(&metrics::DOWNLOAD_DONE))),
            query("Is it retried?", |series| series.counter(&metrics::DOWNLOAD_RETRIES).increase("10m")),
        ],
        mitigation: vec![
            cause("The download goes on, slowly.", "Raise `spec.probes.startupBudgetSeconds` before it is over. For the next time, share a cache (`spec.model.cache`), or use an image or a claim."),
            cause("The download stands still.", "Look at the hub or the bucket, and at the way to it; the worker tries again by itself."),
            cause("The files are there, and it still loads.", "The volume is slow, or the node is short of memory or CPU: compare with another node."),
        ],
        resolves: "As soon as the model is loaded, or the worker is ended.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let story = |name: &'static str, loaded: &[(&str, u32)]| {
        Case::new(name)
            .with(series.gauge(&metrics::MODEL_LOAD_START).eq("pod", POD_A), hold(&[("60", 240)]))
            .with(series.gauge(&metrics::MODEL_LOADED).eq("pod", POD_A), hold(loaded))
    };
    // The budget is 900 s; the load began at 1m, so four fifths of it end at 13m.
    let slow = expected(&[], "search/minilm: a worker has loaded for 13m 30s; it has 900 s");
    vec![
        story(
            "fires a minute after four fifths of the budget, and resolves when the model is loaded",
            &[("0", 60), ("1", 100)],
        )
        .quiet("13m45s")
        .fires("14m30s", &[slow])
        .quiet("15m15s"),
        story("stays quiet when it is loaded in time, however long ago", &[("0", 30), ("1", 210)])
            .quiet("14m30s")
            .quiet("50m"),
    ]
}

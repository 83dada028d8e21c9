//! One replica can't be scraped.

use belfry_crds::contract::{self, metrics};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, hold};
use crate::monitoring::example::{self, POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Level, SeriesOf, all, by};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::replicas;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerDown",
    category: Category::Telemetry,
    component: AlertComponent::Scrape,
    impact: "Most likely one replica answers no callers; the others carry its share.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// For how long it is remembered that a target answered.
const MEMORY: &str = "30m";

/// A container that waits for its image or its next start has an address and no listener, and the operator counts such
/// containers without their names. So targets that answered before and those that never did are treated differently: only containers
/// that crash explain the first, and only containers that wait explain the second. If they explain all of them, this alert
/// stays quiet, because others name the reason.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let (down, answered) = (format!("{} == 0", series.up()), format!("{} == 1", series.up().over_time("max", MEMORY)));
    let waiting = |series: Level| all("sum", by("max", &["reason"], series));
    let unexplained =
        |targets: String, waiting: String| format!("({targets} unless on () {waiting} >= {})", all("count", &targets));
    let crashing = series.gauge(&metrics::MODEL_WAITING).eq("reason", "CrashLoopBackOff");
    let not_yet = match model.engine {
        None => waiting(series.gauge(&metrics::MODEL_WAITING)),
        // Belfry's worker listens from its first second on, other engines when they have loaded: until then they are not ready.
        Some(_) => {
            format!("({} - {})", all("max", replicas(&series, "current")), all("max", replicas(&series, "ready")))
        }
    };
    let expr = format!(
        "{}\nor {}",
        unexplained(format!("({down} and {answered})"), waiting(crashing)),
        unexplained(format!("({down} unless {answered})"), not_yet),
    );
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr,
        for_: Some("2m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pod {{ $labels.pod }} can't be scraped".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "A worker's pod has an address and does not answer the scrape. Pods whose container waits, for its image or after a crash, \
            are left to the alerts that name the reason, and so are pods of other engines that are not ready and never answered: many listen \
            only when they have loaded."
            .into(),
        diagnosis: vec![
            runbook::pods(),
            shell(
                "Does the pod answer? Set POD from the label of the alert",
                format!(
                    "PORT=$(kubectl -n \"$NAMESPACE\" get pod \"$POD\" -o jsonpath='{{.spec.containers[*].ports[?(@.name==\"{0}\")].containerPort}}')\n\
                    kubectl -n \"$NAMESPACE\" port-forward \"pod/$POD\" \"8081:${{PORT:-{1}}}\" &\ncurl -sS -m 5 localhost:8081{2} | head",
                    contract::METRICS_PORT_NAME,
                    contract::PORT,
                    contract::METRICS_PATH
                ),
            ),
            shell("What does it say?", "kubectl -n \"$NAMESPACE\" logs \"$POD\" --tail=50"),
            query("Which pods are down?", |series| format!("{} == 0", series.up())),
            query("Do the others carry the load?", |series| by("sum", &["pod"], series.counter(&metrics::REQUESTS).rate("5m"))),
        ],
        mitigation: vec![
            cause("The pod answers by port-forward.", "A NetworkPolicy keeps Prometheus out, or its node is cut off."),
            cause("The pod does not answer and is Ready.", "It is wedged: delete it. Keep its logs."),
            cause("The node is NotReady.", "Its pods are started elsewhere after the node's toleration ends; delete the node to be faster."),
        ],
        resolves: "Two minutes after the pod answers again or is gone.".into(),
    }
}

fn down(pod: &'static str) -> Expected {
    expected(&[("pod", pod)], &format!("search/minilm: pod {pod} can't be scraped"))
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let both = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        Case::new(name).with(example::up(model, POD_A), hold(a)).with(example::up(model, POD_B), hold(b))
    };
    vec![
        both(
            "fires for the one pod that does not answer, and resolves",
            &[("1", 60)],
            &[("1", 20), ("0", 20), ("1", 20)],
        )
        .quiet("6m45s")
        .fires("7m", &[down(POD_B)])
        .fires("11m", &[down(POD_B)])
        .quiet("12m15s"),
        both("stays quiet while a new pod gets its image", &[("1", 60)], &[("_", 8), ("0", 40), ("1", 12)])
            .with(example::waiting(model, "ContainerCreating"), hold(&[("0", 8), ("1", 40), ("0", 12)]))
            .quiet("5m")
            .quiet("11m45s")
            .quiet("13m"),
        both(
            "stays quiet while a container crashes again and again, which is InferenceWorkerCrashLooping",
            &[("1", 60)],
            &[("0", 60)],
        )
        .with(example::waiting(model, "CrashLoopBackOff"), hold(&[("1", 60)]))
        .quiet("10m"),
        both("fires when a waiting pod does not explain all that are down", &[("0", 60)], &[("0", 60)])
            .with(example::waiting(model, "ContainerCreating"), hold(&[("1", 60)]))
            .fires("5m", &[down(POD_A), down(POD_B)]),
        Case::new("fires for a pod that was up and hangs, while another waits for its image")
            .with(example::up(model, POD_A), hold(&[("1", 20), ("0", 40)]))
            .with(example::waiting(model, "ContainerCreating"), hold(&[("1", 60)]))
            .quiet("6m45s")
            .fires("7m30s", &[down(POD_A)]),
        both(
            "stays quiet while a container that was up crashes again and again",
            &[("1", 60)],
            &[("1", 20), ("0", 40)],
        )
        .with(example::waiting(model, "CrashLoopBackOff"), hold(&[("0", 20), ("1", 40)]))
        .quiet("10m"),
        both("stays quiet when a pod is deleted", &[("1", 60)], &[("1", 20), ("0", 3), ("stale", 1), ("_", 36)])
            .quiet("6m")
            .quiet("8m"),
        both("stays quiet when one scrape is missed", &[("1", 60)], &[("1", 20), ("0", 1), ("1", 39)])
            .quiet("5m")
            .quiet("8m"),
    ]
}

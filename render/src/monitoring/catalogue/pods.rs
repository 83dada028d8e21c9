//! The model's pods do not run. The operator counts them, so that no exporter of the cluster's state is needed.

use belfry_crds::contract::{self, metrics};
use belfry_crds::inference_model::AlertProfile;

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Level, Scope, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};

/// The kubelet's reasons that mean that there is no image.
const NO_IMAGE: &[&str] = &["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"];

fn waiting(scope: &Scope) -> Level {
    scope.gauge(&metrics::MODEL_WAITING)
}

/// Containers end as soon as they start.
pub(super) const WORKER_CRASH_LOOPING: Alert = Alert {
    name: "InferenceWorkerCrashLooping",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "At least one replica is missing; the others carry its share.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Minimal, crash_looping),
    runbook: crash_looping_runbook,
    cases: cases::pods::crash_looping,
};

/// Between two waits the container runs for a moment, and a scrape may fall there: the 90 seconds
/// bridge that, and are less than `for`, so that a single wait of ten seconds never rings.
fn crash_looping(model: &ValidModel) -> Vec<Firing> {
    let looping = waiting(&Scope::model(model)).eq("reason", "CrashLoopBackOff");
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} > 0", by_model("max", looping.over_time("max", "90s"))),
        for_: Some("2m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: replicas in CrashLoopBackOff: {{ $value | humanize }}".into(),
        description: "Containers of {{ $labels.namespace }}/{{ $labels.model }} have ended soon after each start for 2 minutes; replicas \
            that wait for their next start: {{ $value | humanize }}."
            .into(),
    }]
}

fn crash_looping_runbook() -> Runbook {
    Runbook {
        meaning: "The container of a worker ended several times, and the kubelet waits longer each time before it starts it again.".into(),
        diagnosis: vec![
            runbook::conditions(),
            shell(
                "How did it end?",
                runbook::kubectl(
                    "get pods",
                    r#"-o jsonpath='{range .items[*]}{.metadata.name}: {.status.containerStatuses[0].lastState.terminated}{"\n"}{end}'"#,
                ),
            ),
            shell("What did it say last?", runbook::kubectl("logs", "--prefix --previous --tail=50")),
            query("How often did containers restart in the last hour?", |scope| {
                by_model("sum", scope.counter(&metrics::MODEL_RESTARTS).increase("1h"))
            }),
        ],
        mitigation: vec![
            cause(&format!("Exit code {}.", contract::EXIT_LOAD_FAILED), "The model can't be loaded: go on with [InferenceModelLoadFailed](InferenceModelLoadFailed.md)."),
            cause("Exit code 137, `OOMKilled`.", "Raise `spec.resources.limits.memory`, or lower `spec.runtime.batching.maxBatchTokens`."),
            cause("Exit code 137, and not `OOMKilled`.", "The liveness probe ended it: the logs before the end say what it was busy with."),
            cause("Exit code 132, 134 or 139.", "libtorch crashed: the image may not suit the node's processor. Cordon the node if others are well."),
            cause("Exit code 2.", "A setting is refused: the first line of the log names it. Correct the specification."),
        ],
        resolves: "90 seconds after no container waits for its next start any more.".into(),
    }
}

/// No node takes a pod.
pub(super) const WORKER_UNSCHEDULABLE: Alert = Alert {
    name: "InferenceWorkerUnschedulable",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "At least one replica is missing; the others carry its share.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, unschedulable),
    runbook: unschedulable_runbook,
    cases: cases::pods::unschedulable,
};

fn unschedulable(model: &ValidModel) -> Vec<Firing> {
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} > 0", by_model("max", Scope::model(model).gauge(&metrics::MODEL_UNSCHEDULABLE))),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pods that no node takes: {{ $value | humanize }}".into(),
        description: "Pods of {{ $labels.namespace }}/{{ $labels.model }} have found no node for 10 minutes, now {{ $value | humanize }}; an \
            autoscaler of nodes would have helped by now."
            .into(),
    }]
}

fn unschedulable_runbook() -> Runbook {
    Runbook {
        meaning:
            "The scheduler finds no node for a pod, for ten minutes: longer than most autoscalers need for a new node."
                .into(),
        diagnosis: vec![
            runbook::describe(),
            shell(
                "How much do the nodes have, and how much of it is taken?",
                "kubectl describe nodes | grep -A 12 'Allocated resources'",
            ),
            shell("Does the claim exist, and where?", "kubectl -n \"$NAMESPACE\" get persistentvolumeclaims -o wide"),
            query("How many pods, since when?", |scope| by_model("max", scope.gauge(&metrics::MODEL_UNSCHEDULABLE))),
        ],
        mitigation: vec![
            cause(
                "`Insufficient cpu`, `memory` or `nvidia.com/gpu`.",
                "Add nodes, free some, or lower `spec.resources.requests` or `spec.replicas`.",
            ),
            cause(
                "`untolerated taint` or `node affinity`.",
                "The nodes with room are not for this namespace: ask who runs the platform.",
            ),
            cause(
                "`unbound immediate PersistentVolumeClaims`.",
                "Create the claim that `spec.model.source.pvc` names.",
            ),
            cause(
                "`volume node affinity conflict`.",
                "The claim lives in another zone: use storage that all zones reach.",
            ),
        ],
        resolves: "As soon as every pod has a node, or fewer are wanted.".into(),
    }
}

/// Containers have no image.
pub(super) const IMAGE_PULL_FAILING: Alert = Alert {
    name: "InferenceImagePullFailing",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "New replicas do not start; those that run go on serving.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, image_pull_failing),
    runbook: image_pull_failing_runbook,
    cases: cases::pods::image_pull_failing,
};

/// Summed over the reasons, because a pod changes between `ErrImagePull` and `ImagePullBackOff`.
fn image_pull_failing(model: &ValidModel) -> Vec<Firing> {
    let missing = waiting(&Scope::model(model)).one_of("reason", NO_IMAGE);
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} > 0", by_model("sum", by("max", &["namespace", "model", "reason"], missing))),
        for_: Some("5m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: replicas without their image: {{ $value | humanize }}"
            .into(),
        description:
            "Replicas of {{ $labels.namespace }}/{{ $labels.model }} have waited for their image for 5 minutes, now \
            {{ $value | humanize }}, and pulling it fails."
                .into(),
    }]
}

fn image_pull_failing_runbook() -> Runbook {
    Runbook {
        meaning: "The kubelet can't get the worker's image, for five minutes; it goes on trying.".into(),
        diagnosis: vec![
            runbook::describe(),
            shell(
                "Which image is wanted?",
                runbook::kubectl("get pods", "-o jsonpath='{.items[*].spec.containers[*].image}'"),
            ),
            query("Which reason?", |scope| {
                format!("{} > 0", by("max", &["reason"], waiting(scope).one_of("reason", NO_IMAGE)))
            }),
        ],
        mitigation: vec![
            cause("`not found` or `manifest unknown`.", "The tag does not exist: correct `spec.runtime.image`."),
            cause(
                "`unauthorized` or `denied`.",
                "The nodes or the ServiceAccount lack a pull secret for that registry.",
            ),
            cause("`ErrImageNeverPull`.", "The image must be on the node already, and is not: load it there."),
            cause(
                "Time-outs.",
                "The registry or the way to it is down: other workloads show it too. Do not delete pods that run.",
            ),
        ],
        resolves: "As soon as every container has its image.".into(),
    }
}

//! Specifications on both sides of each rule: what is merged into the smallest sample, and of a refusal the field and the
//! cure that its message names.

use serde_json::{Value, json};

mod paging;
mod pods;
mod scaling;

pub(crate) type Wrong = (&'static str, Value, &'static [&'static str]);

/// What the API server has to admit.
pub(crate) fn right() -> Vec<(&'static str, Value)> {
    let rollout = |rollout: Value| json!({"rollout": rollout});
    let engine = |engine: Value| json!({"engine": engine});
    let mut right = [scaling::right(), paging::right(), pods::right()].concat();
    right.extend([
        ("one replica more", rollout(json!({"maxSurge": 1, "maxUnavailable": 0}))),
        ("only maxSurge 0", rollout(json!({"maxSurge": 0}))),
        ("in place", rollout(json!({"strategy": "CapacityBound", "maxUnavailable": 2, "maxSurge": 0}))),
        ("all at once", rollout(json!({"strategy": "Recreate", "minReadySeconds": 60}))),
        ("deadline after the pause", rollout(json!({"minReadySeconds": 60, "progressDeadlineSeconds": 61}))),
        ("suspended", json!({"suspend": true, "replicas": 3})),
        ("longest start", json!({"probes": {"startupBudgetSeconds": 86_400}})),
        ("no spread", json!({"availability": {"topologySpread": "None"}})),
        (
            "any taint",
            json!({"scheduling": {"tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]}}),
        ),
        (
            "a zone",
            json!({"scheduling": {"nodeAffinity": {"required": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}}}),
        ),
        ("no policy", json!({"network": {"networkPolicy": {"mode": "None"}}})),
        (
            "one caller",
            json!({"network": {"networkPolicy": {"allowFrom": [{"podLabels": {"app.kubernetes.io/name": "gateway"}}]}}}),
        ),
        (
            "autoscaler's word",
            json!({"podTemplate": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}}),
        ),
        ("empty value", json!({"podTemplate": {"env": [{"name": "A", "value": ""}]}})),
        ("log level", json!({"podTemplate": {"extraArgs": ["--log", "debug", "--model-of-mine"]}})),
        (
            "every ready-made engine",
            engine(json!({"type": "TEI", "image": "ghcr.io/huggingface/text-embeddings-inference:cpu-1.8"})),
        ),
        (
            "two names for vLLM",
            json!({"engine": {"type": "VLLM", "image": "v:1"}, "model": {"servedNames": ["a", "b"]}}),
        ),
        (
            "GPU for another engine",
            json!({"engine": {"type": "SGLang", "image": "s:1"}, "runtime": {"device": "cuda"}}),
        ),
        (
            "mapped requests",
            engine(json!({"type": "Custom", "image": "c:1", "metrics": [
                {"name": "inference_requests_total", "from": "a:b_total", "labels": {"status": "200"}},
            ]})),
        ),
    ]);
    right
}

/// What it has to refuse.
pub(crate) fn wrong() -> Vec<Wrong> {
    [rollouts(), scaling::wrong(), paging::wrong(), placement(), network(), pods::wrong(), engines(), mappings()]
        .concat()
}

fn rollouts() -> Vec<Wrong> {
    let rollout = |rollout: Value| json!({"rollout": rollout});
    vec![
        (
            "no way to replace a pod",
            rollout(json!({"maxSurge": 0, "maxUnavailable": 0})),
            &["spec.rollout", "can't both be 0", "raise one"],
        ),
        (
            "surge of a strategy without steps",
            rollout(json!({"strategy": "Recreate", "maxSurge": 1})),
            &["spec.rollout", "Recreate", "remove maxSurge"],
        ),
        (
            "surge first without surge",
            rollout(json!({"strategy": "SurgeFirst", "maxSurge": 0})),
            &["spec.rollout", "SurgeFirst needs", "CapacityBound"],
        ),
        (
            "bound by capacity with surge",
            rollout(json!({"strategy": "CapacityBound", "maxSurge": 1})),
            &["spec.rollout", "CapacityBound never", "remove maxSurge"],
        ),
        (
            "deadline within the pause",
            rollout(json!({"minReadySeconds": 60, "progressDeadlineSeconds": 60})),
            &["spec.rollout", "more than minReadySeconds", "raise the deadline"],
        ),
        ("unknown strategy", rollout(json!({"strategy": "Canary"})), &["spec.rollout.strategy", "\"SurgeFirst\""]),
        (
            "drain too short",
            rollout(json!({"drainSeconds": 5})),
            &["spec.rollout.drainSeconds", "greater than or equal to 10"],
        ),
        (
            "start too short",
            json!({"probes": {"startupBudgetSeconds": 1}}),
            &["spec.probes.startupBudgetSeconds", "greater than or equal to 10"],
        ),
        ("suspend as a word", json!({"suspend": "yes"}), &["spec.suspend", "boolean"]),
    ]
}

fn placement() -> Vec<Wrong> {
    let availability = |availability: Value| json!({"availability": availability});
    let toleration = |toleration: Value| json!({"scheduling": {"tolerations": [toleration]}});
    let required = |requirement: Value| json!({"scheduling": {"nodeAffinity": {"required": [requirement]}}});
    vec![
        (
            "a drain that never ends",
            availability(json!({"podDisruptionBudget": {"maxUnavailable": 0}})),
            &["podDisruptionBudget.maxUnavailable", "greater than or equal to 1"],
        ),
        (
            "class of the system",
            availability(json!({"priorityClassName": "system-node-critical"})),
            &["spec.availability.priorityClassName", "a system class", "of your own"],
        ),
        (
            "bad key of a selector",
            json!({"scheduling": {"nodeSelector": {"bad key!": "x"}}}),
            &["spec.scheduling.nodeSelector", "correct the key"],
        ),
        (
            "toleration without a key",
            toleration(json!({"operator": "Equal", "value": "a"})),
            &["spec.scheduling.tolerations[0]", "add the key"],
        ),
        (
            "Exists with a value",
            toleration(json!({"key": "a", "operator": "Exists", "value": "b"})),
            &["spec.scheduling.tolerations[0]", "remove the value"],
        ),
        (
            "seconds without NoExecute",
            toleration(json!({"key": "a", "operator": "Exists", "tolerationSeconds": 5})),
            &["spec.scheduling.tolerations[0]", "effect NoExecute", "remove the seconds"],
        ),
        (
            "In without values",
            required(json!({"key": "a", "operator": "In"})),
            &["nodeAffinity.required[0]", "need values", "add or remove"],
        ),
        (
            "Exists with values",
            required(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            &["nodeAffinity.required[0]", "take none", "add or remove"],
        ),
        (
            "affinity between pods",
            json!({"scheduling": {"podAntiAffinity": {}}}),
            &["spec.scheduling.podAntiAffinity", "unknown field"],
        ),
    ]
}

fn network() -> Vec<Wrong> {
    let policy = |policy: Value| json!({"network": {"networkPolicy": policy}});
    vec![
        ("no port", json!({"network": {"port": 0}}), &["spec.network.port", "greater than or equal to 1"]),
        (
            "callers of no policy",
            policy(json!({"mode": "None", "prometheusNamespace": "monitoring"})),
            &["spec.network.networkPolicy", "mode None", "remove allowFrom"],
        ),
        (
            "ports of no policy",
            policy(json!({"mode": "None", "egressPorts": [3128]})),
            &["spec.network.networkPolicy", "mode None", "remove allowFrom"],
        ),
        ("no DNS port", policy(json!({"dnsPorts": [0]})), &["networkPolicy.dnsPorts[0]", "greater than or equal to 1"]),
        (
            "an entry for everybody",
            policy(json!({"allowFrom": [{}]})),
            &["networkPolicy.allowFrom[0]", "admits everybody", "set namespaceLabels"],
        ),
        (
            "an empty selector",
            policy(json!({"allowFrom": [{"podLabels": {}}]})),
            &["networkPolicy.allowFrom[0].podLabels", "at least 1"],
        ),
        (
            "a namespace that is none",
            policy(json!({"prometheusNamespace": "Not A Name"})),
            &["networkPolicy.prometheusNamespace", "should match"],
        ),
    ]
}

fn engines() -> Vec<Wrong> {
    let tei = |more: Value| {
        let mut engine = json!({"type": "TEI", "image": "t:1"});
        engine
            .as_object_mut()
            .into_iter()
            .for_each(|engine| engine.extend(more.as_object().cloned().unwrap_or_default()));
        json!({"engine": engine})
    };
    vec![
        ("no image", json!({"engine": {"type": "VLLM"}}), &["spec.engine.image", "Required"]),
        (
            "unknown engine",
            json!({"engine": {"type": "Ollama", "image": "o:1"}}),
            &["spec.engine.type", "\"LlamaCpp\""],
        ),
        (
            "image with blanks",
            json!({"engine": {"type": "TEI", "image": "a b"}}),
            &["spec.engine.image", "should match"],
        ),
        (
            "privileged port",
            tei(json!({"ports": {"http": 80}})),
            &["spec.engine.ports.http", "greater than or equal to 1024"],
        ),
        ("path without a slash", tei(json!({"metricsPath": "metrics"})), &["spec.engine.metricsPath", "should match"]),
        (
            "mapping of a known engine",
            tei(json!({"metrics": [{"name": "inference_queue_depth", "from": "x"}]})),
            &["spec.engine", "metrics belongs to type Custom", "remove it"],
        ),
        (
            "settings of our worker",
            json!({"engine": {"type": "TEI", "image": "t:1"}, "runtime": {"threads": 4}}),
            &["spec.runtime", "Belfry's own worker", "spec.engine.args"],
        ),
        (
            "arguments of our worker",
            json!({"engine": {"type": "TEI", "image": "t:1"}, "podTemplate": {"extraArgs": ["--x"]}}),
            &["spec.podTemplate.extraArgs", "move the arguments to spec.engine.args"],
        ),
    ]
}

fn mappings() -> Vec<Wrong> {
    let mapped = |mapping: Value| json!({"engine": {"type": "Custom", "image": "c:1", "metrics": [mapping]}});
    vec![
        (
            "requests without a status",
            mapped(json!({"name": "inference_requests_total", "from": "x"})),
            &["spec.engine.metrics[0]", "needs a status"],
        ),
        (
            "a gauge with labels",
            mapped(json!({"name": "inference_queue_depth", "from": "x", "labels": {"status": "200"}})),
            &["spec.engine.metrics[0]", "others take none"],
        ),
        (
            "a label that is not of the contract",
            mapped(json!({"name": "inference_requests_total", "from": "x", "labels": {"status": "200", "team": "a"}})),
            &["spec.engine.metrics[0].labels", "remove the others"],
        ),
        (
            "another model's series",
            mapped(json!({"name": "inference_queue_depth", "from": "x", "where": {"namespace": "other"}})),
            &["spec.engine.metrics[0].where", "not namespace", "correct the name"],
        ),
        (
            "an expression as a label",
            mapped(json!({"name": "inference_queue_depth", "from": "x", "where": {"a=\"\"} or up{b": "c"}})),
            &["spec.engine.metrics[0].where", "correct the name"],
        ),
        (
            "an expression as a metric",
            mapped(json!({"name": "inference_queue_depth", "from": "sum(up)"})),
            &["spec.engine.metrics[0].from", "should match"],
        ),
        (
            "a metric that is not ours",
            mapped(json!({"name": "up", "from": "x"})),
            &["spec.engine.metrics[0].name", "\"inference_queue_depth\""],
        ),
        (
            "thresholds of a gauge",
            mapped(json!({"name": "inference_queue_depth", "from": "x", "thresholds": ["1s"]})),
            &["spec.engine.metrics[0]", "thresholds belongs to", "remove it"],
        ),
        (
            "a threshold that is none",
            mapped(json!({"name": "inference_request_duration_seconds", "from": "x", "thresholds": ["2s"]})),
            &["spec.engine.metrics[0].thresholds", "remove the others"],
        ),
    ]
}

//! No field is accepted without effect: for each engine, another value of each field changes a child, or is refused for it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::InferenceModel;
use belfry_render::children::{Child, child};
use belfry_render::model::ValidModel;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use regex::Regex;
use serde_json::{Value, json};

use support::{root, samples};

/// Fields that reach the cluster in another way than by a child, each with that way.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "runtime.templateRevision",
        "Belfry's own worker has the same pods with each; invariants.rs has those of other engines",
    ),
    ("autoscaling.fallbackReplicas", "with HPA the operator itself answers with it when no worker does"),
    ("engine.metrics.*.thresholds.*", "it says which thresholds an objective may have; another one is refused"),
];

/// Engines that are not given their task: their own settings decide it.
const WITHOUT_TASK: &[&str] = &["Custom", "Triton"];

/// Fields of Belfry's own worker that a rule of the CRD refuses beside an engine; `e2e/tests/crd/cases.rs` tries each.
const REFUSED_BESIDE_AN_ENGINE: &[&str] = &[
    "model.sha256",
    "model.cache.downloadTimeoutSeconds",
    "model.cache.stallTimeoutSeconds",
    "runtime.image",
    "runtime.dtype",
    "runtime.threads",
    "runtime.batching",
    "runtime.queue",
    "podTemplate.extraArgs",
    "quality.baseline",
];

/// Values of lists that only the code knows.
const KNOWN: &[&str] = &["InferenceModelDown", "250ms", "100ms", "1s"];

const ENGINES: &[&str] = &["Custom", "VLLM", "TEI", "SGLang", "LlamaCpp", "Triton"];

fn schema() -> Value {
    let text = std::fs::read_to_string(root().join("crds/inferencemodels.yaml")).unwrap();
    let definition: Value = serde_yaml::from_str(&text).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// A place in a specification: a key, or the index of an element.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

fn pointer(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("/{index}"),
        })
        .collect()
}

/// The path in the schema: elements and keys of free maps are `*`.
fn field(schema: &Value, path: &[Step]) -> (String, Value) {
    let (mut node, mut name) = (schema.clone(), String::new());
    for step in path {
        let (next, word) = match step {
            Step::Index(_) => (node["items"].clone(), "*"),
            Step::Key(key) if node["properties"].get(key).is_some() => (node["properties"][key].clone(), key.as_str()),
            Step::Key(_) => (node["additionalProperties"].clone(), "*"),
        };
        name = if name.is_empty() { word.to_owned() } else { format!("{name}.{word}") };
        node = next;
    }
    (name, node)
}

/// Every leaf of a value.
fn leaves(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                path.push(Step::Key(key.clone()));
                leaves(value, path, found);
                path.pop();
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                path.push(Step::Index(index));
                leaves(value, path, found);
                path.pop();
            }
        }
        _ => found.push(path.clone()),
    }
}

/// Every leaf of the schema.
fn fields(node: &Value, name: &str, found: &mut BTreeSet<String>) {
    let below = |word: &str| if name.is_empty() { word.to_owned() } else { format!("{name}.{word}") };
    if let Some(properties) = node["properties"].as_object() {
        properties.iter().for_each(|(key, node)| fields(node, &below(key), found));
    } else if node["items"].is_object() {
        fields(&node["items"], &below("*"), found);
    } else if node["additionalProperties"].is_object() {
        fields(&node["additionalProperties"], &below("*"), found);
    } else {
        found.insert(name.to_owned());
    }
}

/// The text with each of its numbers moved by that step, one at a time.
fn with_other_numbers(text: &str, step: i64) -> Vec<String> {
    let numbers = Regex::new("[0-9]{1,9}").unwrap();
    let other = |found: regex::Match<'_>| {
        let (moved, width) = (found.as_str().parse::<i64>().unwrap() + step, found.len());
        format!("{}{moved:0width$}{}", &text[..found.start()], &text[found.end()..])
    };
    numbers.find_iter(text).map(other).collect()
}

/// Other values that the schema allows in that place.
fn others(node: &Value, value: &Value) -> Vec<Value> {
    if let Some(values) = node["enum"].as_array() {
        return values.iter().filter(|other| *other != value && !other.is_null()).cloned().collect();
    }
    match value {
        Value::Bool(is_so) => vec![json!(!is_so)],
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            let is_allowed = |other: &i64| {
                node["minimum"].as_f64().is_none_or(|minimum| *other as f64 >= minimum)
                    && node["maximum"].as_f64().is_none_or(|maximum| *other as f64 <= maximum)
            };
            [number + 1, number - 1].into_iter().filter(is_allowed).map(|other| json!(other)).collect()
        }
        Value::String(text) => {
            let pattern = node["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
            let mut others: Vec<_> = [1, -1].into_iter().flat_map(|step| with_other_numbers(text, step)).collect();
            others.extend([format!("{text}x"), format!("x{text}"), text.replace('a', "b")]);
            others.extend(KNOWN.iter().map(|known| (*known).to_owned()));
            let is_allowed = |other: &String| other != text && pattern.as_ref().is_none_or(|it| it.is_match(other));
            others.into_iter().filter(is_allowed).map(Value::String).collect()
        }
        _ => vec![],
    }
}

/// The model of a specification, or its problems.
fn checked(spec: &Value) -> Result<ValidModel, Vec<String>> {
    let spec = serde_json::from_value(spec.clone()).map_err(|error| vec![format!("undecodable: {error}")])?;
    let mut model = InferenceModel::new("m", spec);
    (model.metadata.namespace, model.metadata.uid) = (Some("search".into()), Some("u".into()));
    validate(&model, &Settings::default())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn is_rendered_as(model: &ValidModel, children: &[Child]) -> bool {
    // Most fields change one of the first.
    Role::ALL.iter().zip(children).all(|(role, present)| child(*role, model).unwrap().object == present.object)
}

/// Why another value in that place has no effect; `None` if it has one.
fn ignored(spec: &Value, present: &[Child], path: &[Step], (name, node): (&str, &Value)) -> Option<String> {
    let mut tried = vec![];
    for other in others(node, spec.pointer(&pointer(path)).unwrap()) {
        let mut changed = spec.clone();
        *changed.pointer_mut(&pointer(path)).unwrap() = other.clone();
        match checked(&changed) {
            Ok(model) if !is_rendered_as(&model, present) => return None,
            Ok(_) => tried.push(format!("{other}")),
            // The value is a good one that does not go with another field.
            Err(problems) if !problems.iter().all(|problem| names(problem, name)) => return None,
            Err(problems) => tried.push(format!("{other} ({problems:?})")),
        }
    }
    Some(format!("{name}: no child changes with {tried:?}"))
}

/// Whether the problem is one of the field itself.
fn names(problem: &str, name: &str) -> bool {
    let index = Regex::new(r"\[\d+\]").unwrap();
    let problem = index.replace_all(problem, ".*");
    let named = problem.strip_prefix("spec.").unwrap_or(&problem).split(": ").next().unwrap_or_default().to_owned();
    let parent = name.strip_suffix(".*").unwrap_or(name);
    named == name || named.starts_with(parent)
}

/// Every specification of which each leaf is tried, with the name of its engine.
fn specifications() -> Vec<(String, Value)> {
    let all: BTreeMap<_, _> = samples().into_iter().collect();
    let spec = |name: &str| serde_json::to_value(&all[name].spec).unwrap();
    let mut specs: Vec<_> = all.keys().map(|name| (name.clone(), spec(name))).collect();
    for engine in ENGINES {
        let mut full = spec("full");
        full["engine"] = json!({"type": engine, "image": "e:1"});
        for field in REFUSED_BESIDE_AN_ENGINE {
            let (parent, key) = field.rsplit_once('.').unwrap();
            let parent = full.pointer_mut(&format!("/{}", parent.replace('.', "/"))).unwrap();
            parent.as_object_mut().unwrap().remove(key);
        }
        full["model"].as_object_mut().unwrap().remove("servedNames");
        full["observability"].as_object_mut().unwrap().remove("slos");
        full["observability"]["monitor"].as_object_mut().unwrap().remove("port");
        match *engine {
            "VLLM" => {}
            "TEI" => full["observability"]["tracing"] = json!({"endpoint": "http://otel:4317"}),
            _ => drop(full["observability"].as_object_mut().unwrap().remove("tracing")),
        }
        full["model"]["source"] = json!({"pvc": {"claimName": "c", "path": "p"}});
        full["model"].as_object_mut().unwrap().remove("cache");
        full["model"].as_object_mut().unwrap().remove("caBundle");
        specs.push((format!("full with {engine}"), full));
    }
    let mut trusting = spec("vllm");
    trusting["model"]["caBundle"] = json!({"configMapKeyRef": {"name": "a", "key": "k"}});
    specs.push(("vllm with authorities".to_owned(), trusting));
    specs
}

#[test]
fn another_value_of_each_field_changes_a_child_or_is_refused_for_it() {
    let schema = schema();
    let (mut seen, mut mistakes) = (BTreeSet::new(), vec![]);
    for (sample, spec) in specifications() {
        let engine = spec["engine"]["type"].as_str().unwrap_or("Belfry").to_owned();
        let present = checked(&spec).unwrap_or_else(|problems| panic!("{sample}: {problems:?}"));
        let present: Vec<_> = Role::ALL.iter().map(|role| child(*role, &present).unwrap()).collect();
        let mut paths = vec![];
        leaves(&spec, &mut vec![], &mut paths);
        for path in paths {
            let (name, node) = field(&schema, &path);
            let is_exception = ELSEWHERE.iter().any(|(field, _)| *field == name)
                || name == "task" && WITHOUT_TASK.contains(&engine.as_str());
            if seen.insert((engine.clone(), name.clone())) && !is_exception {
                let mistake = ignored(&spec, &present, &path, (&name, &node));
                mistakes.extend(mistake.map(|mistake| format!("{sample}: {mistake}")));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    let mut all = BTreeSet::new();
    fields(&schema, "", &mut all);
    let seen: BTreeSet<_> = seen.into_iter().map(|(_, name)| name).collect();
    let unseen: Vec<_> = all.difference(&seen).collect();
    assert!(unseen.is_empty(), "no sample has {unseen:?}");
}

/// The fields of one part of the specification that only some engines take.
#[test]
fn what_an_engine_is_not_given_is_refused_by_name() {
    let hub = |revision: &str| json!({"huggingFace": {"repo": "a/b", "revision": revision}});
    let engine = |type_: &str, more: Value| {
        let mut engine = json!({"type": type_, "image": "e:1"});
        engine.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        engine
    };
    let spec = |engine: Value, model: Value| json!({"task": "Embedding", "model": model, "engine": engine});
    let revision =
        |type_: &str, more: Value, revision: &str| spec(engine(type_, more), json!({"source": hub(revision)}));
    let pvc = |names: &[&str]| json!({"source": {"pvc": {"claimName": "c"}}, "servedNames": names});
    for (spec, field) in [
        (revision("LlamaCpp", json!({}), "v2"), "spec.model.source.huggingFace.revision"),
        (revision("Custom", json!({}), "v2"), "spec.model.source.huggingFace.revision"),
        (spec(engine("Custom", json!({})), pvc(&["a"])), "spec.model.servedNames"),
        (spec(engine("Triton", json!({})), pvc(&["a"])), "spec.model.servedNames"),
        (spec(engine("VLLM", json!({"ports": {"metrics": 9000}})), pvc(&[])), "spec.engine.ports.metrics"),
        (spec(engine("TEI", json!({"ports": {"metrics": 9000}})), pvc(&[])), "spec.engine.ports.metrics"),
    ] {
        let problems = checked(&spec).expect_err(field);
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("{field}: "))), "{problems:?}");
    }
    for (type_, cure) in [("VLLM", "remove it"), ("Triton", "use spec.engine.ports.metrics")] {
        let mut spec = spec(engine(type_, json!({})), pvc(&[]));
        spec["observability"] = json!({"monitor": {"port": 9090}});
        let problems = checked(&spec).expect_err(type_);
        assert!(
            problems[0].starts_with("spec.observability.monitor.port: ") && problems[0].ends_with(cure),
            "{problems:?}"
        );
    }
    let traced = |type_: &str, more: Value| {
        let mut tracing = json!({"endpoint": "http://otel:4317"});
        tracing.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut spec = spec(engine(type_, json!({})), pvc(&[]));
        spec["observability"] = json!({"tracing": tracing});
        spec
    };
    for (spec, field) in [
        (traced("SGLang", json!({})), "spec.observability.tracing"),
        (traced("Custom", json!({})), "spec.observability.tracing"),
        (traced("TEI", json!({"protocol": "HttpProtobuf"})), "spec.observability.tracing.protocol"),
        (traced("TEI", json!({"samplingRatio": "0.5"})), "spec.observability.tracing.samplingRatio"),
    ] {
        let problems = checked(&spec).expect_err(field);
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("{field}: "))), "{problems:?}");
    }
    for right in [
        traced("VLLM", json!({"protocol": "HttpProtobuf", "samplingRatio": "0.5"})),
        traced("TEI", json!({})),
        revision("LlamaCpp", json!({}), "main"),
        revision("Custom", json!({"args": ["--revision=v2"]}), "v2"),
        revision("VLLM", json!({}), "v2"),
        spec(engine("Triton", json!({"ports": {"metrics": 9000}})), pvc(&[])),
        spec(engine("VLLM", json!({"ports": {"http": 9000, "metrics": 9000}})), pvc(&["a"])),
    ] {
        checked(&right).unwrap();
    }
}

#[test]
fn a_setting_that_would_do_nothing_is_refused_by_name() {
    let spec = |more: Value| {
        let mut spec = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let alerts = |alerts: Value| json!({"observability": {"alerts": alerts}});
    let arguments = |arguments: &[&str]| json!({"podTemplate": {"extraArgs": arguments}});
    let tracing = |tracing: Value| json!({"observability": {"tracing": tracing}});
    let queue = "InferenceQueueSaturated";
    for (more, field) in [
        (arguments(&["--log=debug", "--threads=2"]), "spec.podTemplate.extraArgs[1]: --threads would"),
        (arguments(&["--device", "cuda"]), "spec.podTemplate.extraArgs[0]: --device would"),
        (
            json!({"network": {"networkPolicy": {"prometheusNamespace": "monitoring"}}}),
            "spec.network.networkPolicy.prometheusNamespace: ",
        ),
        (arguments(&["--metrics-listen=[::]:9090"]), "spec.podTemplate.extraArgs[0]: --metrics-listen would"),
        (
            json!({"observability": {"monitor": {"port": 8080}}}),
            "spec.observability.monitor.port: requests have port 8080",
        ),
        (arguments(&["--enable-trace"]), "spec.podTemplate.extraArgs[0]: --enable-trace would"),
        (tracing(json!({"endpoint": "https://otel:4317"})), "spec.observability.tracing.endpoint: the worker speaks"),
        (
            tracing(json!({"endpoint": "http://otel/v1/traces"})),
            "spec.observability.tracing.endpoint: gRPC has no path",
        ),
        (
            json!({
                "observability": {"tracing": {"endpoint": "http://otel:4317"}},
                "podTemplate": {"env": [{"name": "OTEL_TRACES_SAMPLER", "value": "always_off"}]},
            }),
            "spec.podTemplate.env: remove OTEL_TRACES_SAMPLER",
        ),
        (
            alerts(json!({"overrides": [{"alert": "InferenceErrorBudgetBurn", "for": "5m"}]})),
            "spec.observability.alerts.overrides: the model has no InferenceErrorBudgetBurn",
        ),
        (
            alerts(json!({"profile": "Minimal", "overrides": [{"alert": queue, "for": "5m"}]})),
            "spec.observability.alerts.overrides: the profile Minimal leaves",
        ),
        (
            alerts(json!({"overrides": [{"alert": queue, "enabled": false, "severity": "info"}]})),
            "spec.observability.alerts.overrides: InferenceQueueSaturated is switched off",
        ),
    ] {
        let problems = checked(&spec(more)).expect_err(field);
        assert!(problems.iter().any(|problem| problem.starts_with(field)), "{problems:?}");
    }
    let dashboard = json!({"enabled": false, "annotations": {"grafana_folder": "a"}});
    let problems = checked(&spec(json!({"observability": {"dashboard": dashboard}}))).unwrap_err();
    assert!(problems[0].starts_with("spec.observability.dashboard.annotations: there is no dashboard"), "{problems:?}");
    for right in [
        arguments(&["--log-json=false"]),
        tracing(json!({"endpoint": "http://otel:4317/"})),
        tracing(json!({"endpoint": "https://otel/v1/traces", "protocol": "HttpProtobuf"})),
        alerts(json!({"profile": "Minimal", "overrides": [{"alert": queue, "enabled": true, "for": "5m"}]})),
        alerts(json!({"overrides": [{"alert": queue, "enabled": false}]})),
    ] {
        checked(&spec(right)).unwrap();
    }
}

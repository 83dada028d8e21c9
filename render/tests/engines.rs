//! Other engines: the mappings against the engines' expositions, and the rules and dashboards that remain.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/tool.rs"]
mod tool;

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::contract::metric::{Exporter, Histogram, Kind, Values};
use belfry_crds::contract::{metrics, threshold_seconds};
use belfry_crds::inference_model::EngineType;
use belfry_crds::monitoring::Rule;
use belfry_render::children::deployment::deployment;
use belfry_render::engine::{EngineSeries, profile};
use belfry_render::model::ValidModel;
use belfry_render::monitoring;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use regex::Regex;
use serde_json::{Value, json};

use support::{sample, valid};

const KNOWN: &[(EngineType, &str)] = &[
    (EngineType::VLLM, include_str!("engines/vllm.txt")),
    (EngineType::TEI, include_str!("engines/tei.txt")),
    (EngineType::SGLang, include_str!("engines/sglang.txt")),
    (EngineType::LlamaCpp, include_str!("engines/llamacpp.txt")),
    (EngineType::Triton, include_str!("engines/triton.txt")),
];

/// A text exposition: types by family, and series with their labels.
struct Exposition {
    types: BTreeMap<String, String>,
    series: Vec<(String, BTreeMap<String, String>)>,
}

fn read(text: &str) -> Exposition {
    let line = Regex::new(r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$"#).unwrap();
    let label = Regex::new(r#"([a-zA-Z_]+)="([^"]*)""#).unwrap();
    let mut found = Exposition { types: BTreeMap::new(), series: vec![] };
    for text in text.lines() {
        if let Some((name, kind)) = text.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.types.insert(name.into(), kind.into());
        } else if !text.starts_with('#') {
            let parts = line.captures(text).unwrap_or_else(|| panic!("no series: {text}"));
            let labels = parts.get(2).map_or("", |labels| labels.as_str());
            let labels = label.captures_iter(labels).map(|pair| (pair[1].to_owned(), pair[2].to_owned())).collect();
            found.series.push((parts[1].to_owned(), labels));
        }
    }
    found
}

impl Exposition {
    fn finds(&self, source: &EngineSeries, suffix: &str) -> bool {
        self.series.iter().any(|(name, labels)| {
            let equal = |(label, value): &(String, String)| labels.get(label) == Some(value);
            let like = |(label, pattern): &(String, String)| {
                let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
                labels.get(label).is_some_and(|value| whole.is_match(value))
            };
            *name == format!("{}{suffix}", source.name)
                && source.equal.iter().all(equal)
                && source.like.iter().all(like)
        })
    }
}

#[test]
fn every_mapping_finds_series_of_the_right_type_in_what_its_engine_exposes() {
    for (engine, text) in KNOWN {
        let exposition = read(text);
        let mappings = profile(*engine).mappings;
        assert!(!mappings.is_empty());
        for mapping in mappings {
            let kind = match mapping.ours.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            for source in &mapping.series {
                assert_eq!(
                    exposition.types.get(&source.name).map(String::as_str),
                    Some(kind),
                    "{engine:?}: {}",
                    source.name
                );
                for suffix in mapping.suffixes() {
                    assert!(exposition.finds(source, suffix), "{engine:?}: {source:?}{suffix} finds nothing");
                }
            }
        }
    }
}

#[test]
fn every_threshold_is_a_bucket_bound_of_its_engine() {
    for (engine, text) in KNOWN {
        let exposition = read(text);
        for mapping in profile(*engine).mappings {
            for threshold in &mapping.thresholds {
                let le = Histogram::le(threshold_seconds(threshold).unwrap());
                let bucket = mapping.series[0].clone().equal("le", &le);
                assert!(exposition.finds(&bucket, "_bucket"), "{engine:?}: no bucket of {threshold}");
            }
        }
    }
}

#[test]
fn every_mapping_stands_for_labels_and_values_of_the_contract() {
    for (engine, _) in KNOWN {
        for mapping in profile(*engine).mappings {
            for (label, value) in &mapping.labels {
                let known = mapping.ours.labels.iter().find(|known| known.name == label);
                let Some(Values::Closed(values)) = known.map(|label| label.values) else {
                    panic!("{engine:?}: {} has no label {label}", mapping.ours.name)
                };
                assert!(values.contains(&value.as_str()), "{engine:?}: {label}={value}");
            }
        }
    }
}

fn with_engine(engine: &Value) -> ValidModel {
    let mut model = serde_json::to_value(sample("minimal")).unwrap();
    model["spec"]["engine"] = engine.clone();
    valid(&serde_json::from_value(model).unwrap())
}

fn rules(model: &ValidModel) -> Vec<Rule> {
    monitoring::rules(model).groups.into_iter().flat_map(|group| group.rules).collect()
}

fn alerts(model: &ValidModel) -> BTreeSet<String> {
    rules(model).into_iter().filter_map(|rule| rule.alert).collect()
}

/// Series that exist: those that rules record, those of the operator, and those of Prometheus.
fn is_there(name: &str, recorded: &BTreeSet<String>) -> bool {
    let family = |suffix: &str| name.strip_suffix(suffix).unwrap_or(name);
    let is_a_workers = metrics::ALL.iter().any(|metric| {
        let names = [name, family("_bucket"), family("_sum"), family("_count")];
        metric.exporter == Exporter::Worker && names.contains(&metric.name)
    });
    !is_a_workers || recorded.contains(name)
}

#[test]
fn no_rule_reads_a_series_that_does_not_exist() {
    let name = Regex::new(r"\b(inference_[a-z_]+)\b").unwrap();
    let mut models = vec![valid(&sample("vllm")), valid(&sample("engine"))];
    for engine in ["VLLM", "TEI", "SGLang", "LlamaCpp", "Triton", "Custom"] {
        models.push(with_engine(&json!({"type": engine, "image": "an-image:1"})));
    }
    for model in models {
        let rules = rules(&model);
        let recorded: BTreeSet<_> = rules.iter().filter_map(|rule| rule.record.clone()).collect();
        for rule in &rules {
            for read in name.captures_iter(&rule.expr) {
                assert!(is_there(&read[1], &recorded), "{:?}: {}", rule.alert, rule.expr);
            }
        }
        let dashboard = monitoring::dashboard(&model);
        for query in
            dashboard["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().into_iter().flatten())
        {
            let expr = query["expr"].as_str().unwrap();
            for read in name.captures_iter(expr) {
                assert!(is_there(&read[1], &recorded), "dashboard: {expr}");
            }
        }
    }
}

#[test]
fn an_engine_has_the_alerts_that_it_has_the_metrics_for() {
    let of = |engine: &str| alerts(&with_engine(&json!({"type": engine, "image": "an-image:1"})));
    let always = ["InferenceModelDown", "InferenceTargetsAbsent", "InferenceWorkerDown", "InferenceRolloutStuck"];
    for engine in ["Custom", "VLLM", "TEI", "SGLang", "LlamaCpp", "Triton"] {
        assert!(always.iter().all(|alert| of(engine).contains(*alert)), "{engine}");
        assert!(!of(engine).contains("InferenceQueueSaturated"), "{engine} exports no capacity of its queue");
        assert!(!of(engine).contains("InferenceModelNotLoaded"), "{engine}");
    }
    let has =
        |engine: &str| (of(engine).contains("InferenceModelOutage"), of(engine).contains("InferenceRequestsRejected"));
    assert_eq!(has("VLLM"), (true, false), "vLLM knows no 429 apart from other 4xx");
    assert_eq!(has("TEI"), (true, true));
    assert_eq!(has("Triton"), (true, false));
    assert_eq!(has("SGLang"), (true, false), "a full queue of SGLang is one of its 503");
    assert_eq!(has("LlamaCpp"), (false, false));
}

#[test]
fn an_objective_that_the_engine_can_t_show_is_refused_by_field_and_cure() {
    let with = |engine: &str, slo: &Value| {
        let mut model = serde_json::to_value(sample("minimal")).unwrap();
        model["spec"]["engine"] = json!({"type": engine, "image": "an-image:1"});
        model["spec"]["observability"] = json!({"slos": [slo]});
        let model = serde_json::from_value(model).unwrap();
        validate(&model, &Settings::default()).map(drop).map_err(|problems| problems[0].to_string())
    };
    let available = json!({"name": "a", "indicator": "Availability", "objective": "99"});
    let fast =
        |threshold: &str| json!({"name": "l", "indicator": "Latency", "objective": "99", "threshold": threshold});
    assert_eq!(with("VLLM", &available), Ok(()));
    assert_eq!(with("TEI", &available), Ok(()));
    assert_eq!(with("VLLM", &fast("500ms")), Ok(()));
    assert_eq!(with("SGLang", &available), Ok(()));
    let refusal = with("LlamaCpp", &available).unwrap_err();
    assert!(refusal.contains("slos[0].indicator") && refusal.contains("remove the objective"), "{refusal}");
    let refusal = with("VLLM", &fast("250ms")).unwrap_err();
    assert!(refusal.contains("slos[0].threshold") && refusal.contains("use 500ms, 1s"), "{refusal}");
    let refusal = with("TEI", &fast("250ms")).unwrap_err();
    assert!(refusal.contains("remove the objective"), "{refusal}");
}

#[test]
fn triton_is_not_asked_to_download() {
    let mut model = serde_json::to_value(sample("minilm-hub")).unwrap();
    model["spec"]["engine"] = json!({"type": "Triton", "image": "an-image:1"});
    let problems = validate(&serde_json::from_value(model).unwrap(), &Settings::default()).unwrap_err();
    assert!(problems[0].to_string().contains("Triton downloads nothing"), "{problems:?}");
}

#[test]
fn an_engine_reads_images_and_shared_caches_and_no_buckets() {
    let with = |part: &Value| {
        let mut model = serde_json::to_value(sample("minimal")).unwrap();
        model["spec"]["engine"] = json!({"type": "VLLM", "image": "an-image:1"});
        model["spec"]["model"] = part.clone();
        let valid = validate(&serde_json::from_value(model).unwrap(), &Settings::default());
        valid.map(|valid| serde_json::to_value(deployment(&valid)).unwrap()["spec"]["template"]["spec"].clone())
    };
    let copied = json!({"source": {"oci": {"image": "r/m:1", "path": "a", "mount": "InitContainerCopy"}}});
    for (source, place) in
        [(json!({"source": {"oci": {"image": "r/m:1", "path": "a"}}}), "/models/a"), (copied, "/models")]
    {
        assert_eq!(with(&source).unwrap()["containers"][0]["command"], json!(["vllm", "serve", place]));
    }
    let hub = json!({"huggingFace": {"repo": "o/n", "revision": "main"}});
    let shared = with(&json!({"source": hub, "cache": {"mode": "SharedPVC", "claimName": "c"}})).unwrap();
    assert_eq!(shared["volumes"][0], json!({"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}));
    let problems = with(&json!({"source": {"s3": {"uri": "s3://bucket/a"}}})).unwrap_err();
    assert!(problems[0].to_string().starts_with("spec.model.source.s3: only Belfry's own worker"), "{problems:?}");
}

#[test]
fn a_recording_rule_keeps_the_pod_and_names_the_model() {
    let rules = rules(&valid(&sample("engine")));
    let depth = rules.iter().find(|rule| rule.record.as_deref() == Some("inference_queue_depth")).unwrap();
    assert_eq!(depth.expr, r#"sum by (pod) (homemade_waiting{namespace="search",model="homemade"})"#);
    assert_eq!((depth.labels["namespace"].as_str(), depth.labels["model"].as_str()), ("search", "homemade"));
    let bad = rules.iter().find(|rule| rule.labels.get("status").is_some_and(|status| status == "500")).unwrap();
    let counted = r#"sum by (pod) (homemade_answers_total{namespace="search",model="homemade",class="bad"})"#;
    let born = r#"0 * sum by (pod) (up{namespace="search",model="homemade"} == 1)"#;
    assert_eq!(bad.expr, format!("({counted} or {born})"));
}

/// The counter of vLLM's failures is born with the first of them, in a pod that has been scraped for long.
#[test]
fn the_first_failures_of_an_engine_are_seen_and_a_missed_scrape_is_none() {
    let model = valid(&sample("vllm"));
    let pod = format!(r#"namespace="{}",model="{}",pod="a""#, model.namespace, model.name);
    let answered = |status: &str| format!(r#"http_requests_total{{{pod},handler="/v1/embeddings",status="{status}"}}"#);
    let failures = |time: &str, count: f64| {
        json!({
            "expr": r#"sum(increase(inference_requests_total{status="500"}[5m])) > bool 0"#, "eval_time": time,
            "exp_samples": [{"labels": "{}", "value": count}],
        })
    };
    let series = [
        (format!("up{{{pod}}}"), "1x12 0 1x60"),
        (answered("2xx"), "0+10x12 stale 140+10x60"),
        (answered("5xx"), "_x40 12x33"),
    ];
    promtool_agrees("first-failures", &model, &series, &[failures("9m", 0.0), failures("11m", 1.0)]);
}

/// The rules of the model give these results on these series.
fn promtool_agrees(name: &str, model: &ValidModel, series: &[(String, &str)], expected: &[Value]) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rules.yaml"), serde_yaml::to_string(&monitoring::rules(model)).unwrap()).unwrap();
    let series: Vec<_> = series.iter().map(|(series, values)| json!({"series": series, "values": values})).collect();
    let test = json!({
        "rule_files": ["rules.yaml"], "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": expected}],
    });
    std::fs::write(folder.join("test.yaml"), test.to_string()).unwrap();
    let mut promtool = std::process::Command::new(tool::program("promtool"));
    let output = promtool.args(["test", "rules", "test.yaml"]).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// vLLM opens its port when it has loaded. Before that its pod is not ready, and that is no fault.
#[test]
fn a_pod_of_an_engine_that_never_answered_is_down_only_if_it_is_ready() {
    let model = valid(&sample("vllm"));
    let of_model = format!(r#"namespace="{}",model="{}""#, model.namespace, model.name);
    let rings = |time: &str, is_so: bool| {
        let firing = format!(r#"count(ALERTS{{{of_model},alertname="InferenceWorkerDown",alertstate="firing"}})"#);
        let samples = if is_so { json!([{"labels": "{}", "value": 1}]) } else { json!([]) };
        json!({"expr": firing, "eval_time": time, "exp_samples": samples})
    };
    let story = |name: &str, up: &str, ready: &str, expected: &[Value]| {
        let replicas = |state: &str| format!(r#"belfry_model_replicas{{{of_model},state="{state}"}}"#);
        let pod = format!(r#"up{{{of_model},pod="a"}}"#);
        let series = [(pod, up), (replicas("current"), "1x80"), (replicas("ready"), ready)];
        promtool_agrees(name, &model, &series, expected);
    };
    story("loads", "0x40 1x40", "0x42 1x38", &[rings("5m", false), rings("9m45s", false)]);
    story("is-not-reached", "0x80", "1x80", &[rings("1m", false), rings("5m", true)]);
    story("hangs", "1x20 0x60", "1x20 0x60", &[rings("5m", false), rings("9m", true)]);
}

#[test]
fn an_engine_is_started_for_the_task_that_is_asked_or_refused_by_name() {
    let with = |engine: &str, task: &str| {
        let mut model = serde_json::to_value(sample("minilm-hub")).unwrap();
        model["spec"]["engine"] = json!({"type": engine, "image": "an-image:1"});
        model["spec"]["task"] = json!(task);
        model["spec"]["model"]["source"]["huggingFace"]["revision"] = json!("main");
        let valid = validate(&serde_json::from_value(model).unwrap(), &Settings::default());
        let valid = valid.map_err(|problems| problems[0].to_string())?;
        let deployment = serde_json::to_value(deployment(&valid)).unwrap();
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        Ok::<_, String>(serde_json::from_value::<Vec<String>>(arguments).unwrap().join(" "))
    };
    let rows = [
        ("VLLM", "Rerank", "--runner pooling --convert classify"),
        ("VLLM", "Classification", "--runner pooling --convert classify"),
        ("TEI", "SparseEmbedding", "--pooling splade"),
        ("SGLang", "Embedding", "--is-embedding"),
        ("SGLang", "Rerank", "--is-embedding --disable-radix-cache"),
        ("LlamaCpp", "Embedding", "--embeddings"),
        ("LlamaCpp", "Rerank", "--embeddings --reranking --pooling rank"),
    ];
    for (engine, task, wanted) in rows {
        let arguments = with(engine, task).unwrap();
        assert!(arguments.contains(wanted), "{engine} {task}: {arguments}");
    }
    for (engine, task) in [
        ("VLLM", "SparseEmbedding"),
        ("SGLang", "SparseEmbedding"),
        ("LlamaCpp", "SparseEmbedding"),
        ("LlamaCpp", "Classification"),
    ] {
        let refusal = with(engine, task).unwrap_err();
        assert!(refusal.starts_with("spec.task: ") && refusal.contains(task), "{refusal}");
    }
}

//! Specifications drawn from the CRD's schema: types, enumerations, bounds and patterns, and not its CEL rules.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::InferenceModel;
use kube::CustomResourceExt;
use regex::Regex;
use serde_json::{Map, Value, json};

/// Texts that users write, and texts that want to be something else: PromQL, Go templates, JSON, shell, YAML, Grafana
/// variables, HTML. A pattern takes those that match it.
const TEXTS: &[&str] = &[
    "a",
    "minilm",
    "team-search",
    "x.y_z-1",
    "0.25",
    "owner/name",
    "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    "https://hub.example.com:8443/mirror",
    "http://10.0.0.1",
    "s3://models/sentence-transformers/minilm",
    "7b0c46ff596be83ecae3e495b8de16acfdb97cdc3f4cdf181c74b3d144fae363",
    "/health",
    "/v2/health/ready",
    "99.9",
    "50",
    "250ms",
    "500m",
    "1Gi",
    "1s",
    "5s",
    "registry.example.com/worker:1",
    "worker@sha256:0123",
    "BELFRY_MODEL",
    "LD_PRELOAD",
    "HF_TOKEN",
    "PATH",
    "vllm:num_requests_waiting",
    "--log=debug",
    "--model=/etc",
    "--listen",
    "../../etc/passwd",
    "#search-oncall",
    "\"} or vector(1) #",
    "a\"}) or ALERTS{x=\"",
    "\\",
    "\\\"",
    "{{ query \"up\" }}",
    "{{ $value }}",
    "${datasource}",
    "$__all",
    "$(BELFRY_CACHE)",
    "'; rm -rf / #",
    "a: b\n- c",
    "line\nbreak\r\ttab",
    "\u{202e}\u{0}\u{7f}",
    "<script>alert(1)</script>",
    "ünïcödé 模型",
    "]]]]}}}}\",\"evil\":[{",
    "oncall@example.com",
    "mail.example.com:587",
    "2026-11-24T02:00:00Z",
    "02:00",
];

/// Keys of maps beside the texts.
const KEYS: &[&str] = &[
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "belfry.dev/model",
    "container.apparmor.security.beta.kubernetes.io/worker",
    "seccomp.security.alpha.kubernetes.io/pod",
    "example.com/team",
    "nvidia.com/gpu",
    "cpu",
    "memory",
    "ephemeral-storage",
    "status",
    "phase",
];

/// Fields whose meaning is checked beyond their schema, with texts that pass. Drawn from all texts, hardly a model would.
const PLAUSIBLE: &[(&str, &[&str])] = &[
    ("templateRevision", &["1", "2"]),
    ("alert", &["InferenceModelDown", "InferenceErrorBudgetBurn", "InferenceQueueSaturated"]),
    ("threshold", &["250ms", "500ms", "1s", "5s"]),
    ("thresholds", &["250ms", "500ms", "1s", "5s"]),
    ("sizeLimit", &["1Gi", "500M"]),
    ("requests", &["1", "500m", "1Gi"]),
    ("limits", &["100", "2k", "64Gi"]),
    ("where", &["a", "minilm", "50"]),
    ("until", &["2026-11-24T04:00:00Z"]),
    ("end", &["04:00", "24:00"]),
];

/// Objects of which exactly one field has to be there. Drawn alone, hardly a model would have that.
const ONE_OF: &[(&str, &[&str])] = &[
    ("receivers", &["slack", "pagerDuty", "email", "webhook", "opsgenie"]),
    ("maintenance", &["once", "weekly"]),
    ("caBundle", &["configMapKeyRef", "secretKeyRef"]),
];

/// Draws specifications.
pub(crate) struct Generator {
    schema: Value,
    patterns: RefCell<BTreeMap<String, Vec<&'static str>>>,
}

impl Generator {
    pub(crate) fn new() -> Self {
        let crd = serde_json::to_value(InferenceModel::crd()).unwrap();
        let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        Self { schema, patterns: RefCell::default() }
    }

    /// A model with the specification of that seed.
    pub(crate) fn model(&self, seed: u64) -> InferenceModel {
        let metadata = json!({"name": "drawn", "namespace": "search", "uid": "11111111-2222-3333-4444-555555555555"});
        let mut model = json!({"apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel", "metadata": metadata});
        // Put in and not written within `json!`, which would copy it.
        model["spec"] = self.spec(seed);
        serde_json::from_value(model).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{:#}", self.spec(seed)))
    }

    /// The specification of that seed.
    pub(crate) fn spec(&self, seed: u64) -> Value {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Between sparse, which is what users write, and full, which is where fields meet.
        let density = 10 + (seed % 9) * 10;
        self.value("spec", &self.schema, &mut Draw { random, density })
    }

    /// Paths of all fields, without list indices and map keys.
    pub(crate) fn fields(&self) -> BTreeSet<String> {
        fn walk(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                found.insert(format!("{path}.{name}"));
                walk(&format!("{path}.{name}"), field, found);
            }
            if schema["items"].is_object() {
                walk(path, &schema["items"], found);
            }
        }
        let mut found = BTreeSet::new();
        walk("spec", &self.schema, &mut found);
        found
    }

    /// A value of the field of that name.
    fn value(&self, name: &str, schema: &Value, draw: &mut Draw) -> Value {
        if let Some(allowed) = schema["enum"].as_array() {
            return draw.random.of(allowed).clone();
        }
        let plausible = PLAUSIBLE.iter().find(|(field, _)| *field == name).map(|(_, texts)| *texts);
        let is_text = schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true;
        if let Some(texts) = plausible.filter(|_| is_text && draw.random.chance(95)) {
            return json!(draw.random.of(texts));
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return if draw.random.chance(50) { json!(draw.random.below(100)) } else { json!(self.text(schema, draw)) };
        }
        match schema["type"].as_str() {
            Some("object") => self.object(name, schema, draw),
            Some("array") => {
                let (least, most) = (bound(schema, "minItems", 0), bound(schema, "maxItems", 4));
                let count = least + draw.random.below(most.min(4).saturating_sub(least) + 1);
                Value::Array((0..count).map(|_| self.value(name, &schema["items"], draw)).collect())
            }
            Some("boolean") => json!(draw.random.chance(50)),
            Some("integer") => {
                let edge = |name: &str, default| schema[name].as_f64().map_or(default, |bound| bound as i64);
                let (least, most) = (edge("minimum", 0), edge("maximum", 1000));
                let span = u64::try_from(most - least).unwrap();
                let within = i64::try_from(draw.random.below(span + 1)).unwrap();
                json!(*draw.random.of(&[least, most, least + within]))
            }
            Some("string") => json!(self.text(schema, draw)),
            other => panic!("the schema has a type that the generator does not know: {other:?}"),
        }
    }

    fn object(&self, field: &str, schema: &Value, draw: &mut Draw) -> Value {
        let mut object = Map::new();
        if field == "source" && draw.random.chance(90) {
            // One of them has to be there, and no second; drawn alone, hardly a model would have its source.
            let fields: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
            let (name, schema) = draw.random.of(&fields);
            return json!({name.as_str(): self.value(name, schema, draw)});
        }
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || draw.random.chance(draw.density) {
                object.insert(name.clone(), self.value(name, schema, draw));
            }
        }
        if let Some((_, fields)) = ONE_OF.iter().find(|(name, _)| *name == field) {
            let chosen = *draw.random.of(fields);
            fields.iter().for_each(|name| drop(object.remove(*name)));
            object.insert(chosen.into(), self.value(chosen, &schema["properties"][chosen], draw));
        }
        let values = &schema["additionalProperties"];
        if values.is_object() {
            let most = bound(schema, "maxProperties", 4).min(4);
            for _ in 0..bound(schema, "minProperties", 0) + draw.random.below(most + 1) {
                let key = if draw.random.chance(50) { *draw.random.of(KEYS) } else { *draw.random.of(TEXTS) };
                object.insert(key.into(), self.value(field, values, draw));
            }
        }
        Value::Object(object)
    }

    /// A text that the pattern and the length admit.
    fn text(&self, schema: &Value, draw: &mut Draw) -> &'static str {
        let pattern = schema["pattern"].as_str().unwrap_or("");
        let lengths = usize::try_from(bound(schema, "minLength", 0)).unwrap()
            ..=usize::try_from(bound(schema, "maxLength", 4096)).unwrap();
        let mut patterns = self.patterns.borrow_mut();
        let fits = patterns.entry(format!("{pattern} {lengths:?}")).or_insert_with(|| {
            let regex = Regex::new(pattern).unwrap();
            TEXTS
                .iter()
                .chain(KEYS)
                .copied()
                .filter(|t| lengths.contains(&t.chars().count()) && regex.is_match(t))
                .collect()
        });
        assert!(!fits.is_empty(), "the generator has no text for {pattern:?} of {lengths:?} characters");
        fits[draw.random.index(fits.len())]
    }
}

fn bound(schema: &Value, name: &str, default: u64) -> u64 {
    schema[name].as_u64().unwrap_or(default)
}

/// Takes the paths of the fields that a value has out of a set.
pub(crate) fn remove_seen(path: &str, value: &Value, missing: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                missing.remove(&path);
                remove_seen(&path, field, missing);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| remove_seen(path, item, missing)),
        _ => {}
    }
}

struct Draw {
    random: Random,
    /// Per cent of optional fields that are there.
    density: u64,
}

/// Marsaglia's xorshift: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        // The low bits of a xorshift are its weakest.
        (self.next() >> 11) % limit
    }

    fn chance(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }
}

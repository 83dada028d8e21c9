//! `config/tracing/` and `config/logging/` as a real OpenTelemetry Collector reads them.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

#[path = "collector/logs.rs"]
mod logs;
mod support;
#[path = "support/tool.rs"]
mod tool;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize as _;
use serde_json::Value;

use support::root;

fn objects(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("config").join(file)).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

fn accepts(config: &str) -> Result<(), String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("belfry-collector-{}-{number}.yaml", std::process::id()));
    fs::write(&file, config).unwrap();
    let output = Command::new(tool::program("collector"))
        .arg("validate")
        .arg(format!("--config={}", file.display()))
        .output()
        .unwrap();
    fs::remove_file(file).unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn a_collector_accepts_the_configuration_that_is_shipped_for_it() {
    let objects = objects("tracing/collector.yaml");
    let config = of_kind(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    accepts(config).unwrap();
    // Or it would accept anything.
    assert!(accepts(&config.replace("memory_limiter, batch]", "memory_limiter, sieve]")).is_err());
    assert!(accepts(&config.replace("4317\n", "port\n")).is_err());
}

/// The names and ports by which the pieces find each other.
#[test]
fn the_collector_finds_jaeger_and_the_ports_of_its_service_are_those_of_its_receivers() {
    let collector = objects("tracing/collector.yaml");
    let of = |kind: &str| of_kind(&collector, kind);
    let config = of("ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    for port in of("Service")["spec"]["ports"].as_array().unwrap() {
        assert!(config.contains(&format!("0.0.0.0:{}", port["port"])), "{port}");
    }
    let jaeger = objects("tracing/jaeger.yaml");
    let service = of_kind(&jaeger, "Service");
    let port = &service["spec"]["ports"][0]["port"];
    assert!(config.contains(&format!("{}.observability:{port}", service["metadata"]["name"].as_str().unwrap())));
}

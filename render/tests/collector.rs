//! `config/tracing/` as a real OpenTelemetry Collector reads it.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod support;
#[path = "support/tool.rs"]
mod tool;

use std::fs;
use std::process::Command;

use serde::Deserialize as _;
use serde_json::Value;

use support::root;

fn objects(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("config/tracing").join(file)).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn accepts(config: &str) -> Result<(), String> {
    let file = std::env::temp_dir().join(format!("belfry-collector-{}.yaml", std::process::id()));
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
    let objects = objects("collector.yaml");
    let config = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let config = config["data"]["config.yaml"].as_str().unwrap();
    accepts(config).unwrap();
    // Or it would accept anything.
    assert!(accepts(&config.replace("memory_limiter, batch]", "memory_limiter, sieve]")).is_err());
    assert!(accepts(&config.replace("4317\n", "port\n")).is_err());
}

/// The names and ports by which the pieces find each other.
#[test]
fn the_collector_finds_jaeger_and_the_ports_of_its_service_are_those_of_its_receivers() {
    let collector = objects("collector.yaml");
    let of = |kind: &str| collector.iter().find(|object| object["kind"] == kind).unwrap();
    let config = of("ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    for port in of("Service")["spec"]["ports"].as_array().unwrap() {
        assert!(config.contains(&format!("0.0.0.0:{}", port["port"])), "{port}");
    }
    let jaeger = objects("jaeger.yaml");
    let service = jaeger.iter().find(|object| object["kind"] == "Service").unwrap();
    let port = &service["spec"]["ports"][0]["port"];
    assert!(config.contains(&format!("{}.observability:{port}", service["metadata"]["name"].as_str().unwrap())));
}

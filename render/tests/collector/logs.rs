//! `config/logging/` as a real OpenTelemetry Collector reads it, and what it makes of our lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::root;
use super::{accepts, objects, of_kind, tool};

/// Pause between two looks at a file, which has no event to wait for.
const PAUSE: Duration = Duration::from_millis(20);

fn config() -> String {
    let objects = objects("logging/collector.yaml");
    of_kind(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned()
}

#[test]
fn a_collector_accepts_the_configuration_for_logs() {
    accepts(&config()).unwrap();
    // Or it would accept anything.
    assert!(accepts(&config().replace("type: severity_parser", "type: sieve")).is_err());
    assert!(accepts(&config().replace("body startsWith", "body begins")).is_err());
}

#[test]
fn the_pieces_of_logging_find_each_other() {
    let loki = objects("logging/loki.yaml");
    let service = of_kind(&loki, "Service");
    let address = format!(
        "http://{}.observability:{}",
        service["metadata"]["name"].as_str().unwrap(),
        service["spec"]["ports"][0]["port"]
    );
    assert!(config().contains(&format!("{address}/otlp")), "{address}");
    let grafana = objects("logging/grafana.yaml");
    let sources: Value = serde_yaml::from_str(grafana[0]["data"]["belfry.yaml"].as_str().unwrap()).unwrap();
    let source = |uid: &str| {
        sources["datasources"].as_array().unwrap().iter().find(|source| source["uid"] == uid).unwrap().clone()
    };
    assert_eq!(source("loki")["url"], *address);
    let jaeger = objects("tracing/jaeger.yaml");
    let ports = of_kind(&jaeger, "Service")["spec"]["ports"].clone();
    assert!(source("jaeger")["url"].as_str().unwrap().ends_with(&format!(":{}", ports[1]["port"])));
    for to in [
        &source("loki")["jsonData"]["derivedFields"][0]["datasourceUid"],
        &source("prometheus")["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"],
    ] {
        assert_eq!(to, "jaeger");
    }
    let pattern = source("loki")["jsonData"]["derivedFields"][0]["matcherRegex"].as_str().unwrap().to_owned();
    let found = regex::Regex::new(&pattern).unwrap().captures(&line()).map(|found| found[1].to_owned());
    assert_eq!(found.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    // What Loki makes labels of is what the collector sets, and few values each.
    let labels = of_kind(&loki, "ConfigMap")["data"]["loki.yaml"].as_str().unwrap().to_owned();
    let labels: Value = serde_yaml::from_str(&labels).unwrap();
    let labels = &labels["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"][0]["attributes"];
    assert_eq!(*labels, json!(["k8s.namespace.name", "k8s.container.name", "belfry.model"]));
}

/// The line that docs/logs.md shows.
fn line() -> String {
    let page = fs::read_to_string(root().join("docs/logs.md")).unwrap();
    page.lines().find(|line| line.starts_with("{\"timestamp\"")).unwrap().to_owned()
}

/// A collector that reads another folder, and writes to a file. It ends with the test.
struct Reader {
    child: Child,
    folder: PathBuf,
}

impl Reader {
    fn start(logs: &Path, folder: &Path) -> Self {
        let mut config: Value = serde_yaml::from_str(&config()).unwrap();
        config["receivers"]["filelog"]["include"] = json!([logs.join("*_*_*/worker/*.log")]);
        config["receivers"]["filelog"]["start_at"] = json!("beginning");
        config["exporters"] = json!({"file": {"path": folder.join("out")}});
        config["service"]["pipelines"]["logs"]["exporters"] = json!(["file"]);
        config["service"]["telemetry"] = json!({"metrics": {"level": "none"}});
        fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
        let child = Command::new(tool::program("collector"))
            .arg(format!("--config={}", folder.join("config.yaml").display()))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder: folder.to_owned() }
    }

    /// What it has written, once that is so many records: each with the resource that it comes from.
    fn records(&mut self, count: usize) -> Vec<(Value, Value)> {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let text = fs::read_to_string(self.folder.join("out")).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let records: Vec<_> =
                whole.lines().flat_map(|line| of_line(&serde_json::from_str(line).unwrap())).collect();
            if records.len() >= count {
                return records;
            }
            let log = || fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(self.child.try_wait().unwrap().is_none() && Instant::now() < end, "{}", log());
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn of_line(line: &Value) -> Vec<(Value, Value)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = vec![];
    for one in list(&line["resourceLogs"]) {
        let records = list(&one["scopeLogs"]).into_iter().flat_map(|scope| list(&scope["logRecords"]));
        found.extend(records.map(|record| (attributes(&one["resource"]), record)));
    }
    found
}

fn attributes(of: &Value) -> Value {
    let pairs = of["attributes"].as_array().cloned().unwrap_or_default();
    pairs.iter().map(|pair| (pair["key"].as_str().unwrap().to_owned(), pair["value"]["stringValue"].clone())).collect()
}

#[test]
fn a_line_of_the_log_keeps_its_text_and_has_its_time_level_trace_and_model() {
    let folder = std::env::temp_dir().join(format!("belfry-logs-{}", std::process::id()));
    let logs = folder.join("pods");
    let pod = logs.join("search_minilm-7d9f_0c7e2a1b-9f54-4d2e-8a33-5b0f6c1d2e3f/worker");
    fs::create_dir_all(&pod).unwrap();
    // As a container runtime writes them: a long line comes in parts.
    let (line, at) = (line(), "2026-11-30T10:30:00.2Z stdout");
    let (start, rest) = line.split_at(40);
    let text =
        format!("{at} P {start}\n{at} F {rest}\n{at} F Traceback (most recent call last):\n{at} F {{\"level\": \n");
    fs::write(pod.join("0.log"), text).unwrap();
    let records = Reader::start(&logs, &folder).records(3);
    let (resource, record) = &records[0];
    assert_eq!(record["body"]["stringValue"], *line);
    assert_eq!(record["timeUnixNano"], "1796034600123456000");
    assert_eq!((&record["severityText"], &record["severityNumber"]), (&json!("INFO"), &json!(9)));
    assert_eq!(
        (&record["traceId"], &record["spanId"]),
        (&json!("4bf92f3577b34da6a3ce929d0e0e4736"), &json!("00f067aa0ba902b7"))
    );
    for (name, value) in [
        ("belfry.model", "minilm"),
        ("k8s.namespace.name", "search"),
        ("k8s.container.name", "worker"),
        ("k8s.pod.name", "minilm-7d9f"),
    ] {
        assert_eq!(resource[name], value, "{name}");
    }
    let kept = attributes(record);
    assert!(kept.get("fields").is_none(), "{kept}");
    for ((_, record), text) in records[1..].iter().zip(["Traceback (most recent call last):", "{\"level\": "]) {
        assert_eq!(record["body"]["stringValue"], text.trim_end(), "what is no JSON is passed on");
        assert!(record["traceId"].as_str().is_none_or(str::is_empty), "{record}");
    }
}

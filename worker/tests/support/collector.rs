//! A real OpenTelemetry Collector, and the spans that it was given.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::support::eventually;

/// A span, as OTLP writes it in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    pub name: String,
    pub trace_id: String,
    pub span_id: String,
    #[serde(default)]
    pub parent_span_id: String,
    #[serde(default)]
    pub trace_state: String,
    #[serde(default)]
    pub kind: i64,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(default)]
    attributes: Vec<Value>,
    #[serde(default)]
    pub links: Vec<Value>,
    #[serde(default)]
    status: Value,
    /// Attributes of what it comes from.
    #[serde(skip)]
    resource: Vec<Value>,
}

impl Span {
    pub fn start(&self) -> u64 {
        self.start_time_unix_nano.parse().unwrap()
    }

    pub fn end(&self) -> u64 {
        self.end_time_unix_nano.parse().unwrap()
    }

    /// 2 is an error.
    pub fn status(&self) -> i64 {
        self.status["code"].as_i64().unwrap_or_default()
    }

    /// An attribute as text; empty without one.
    pub fn attribute(&self, name: &str) -> String {
        text(&self.attributes, name)
    }

    /// The same of what it comes from.
    pub fn of_resource(&self, name: &str) -> String {
        text(&self.resource, name)
    }
}

fn text(attributes: &[Value], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    let value = found.map_or(&Value::Null, |attribute| &attribute["value"]);
    // JSON has no whole numbers of 64 bits, so they are texts there.
    ["stringValue", "intValue"].iter().find_map(|kind| value[*kind].as_str()).unwrap_or_default().to_owned()
}

/// The process. It ends with the test.
pub struct Collector {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> PathBuf {
    let cache = std::env::var_os("BELFRY_CACHE").map_or_else(super::support::default_cache, PathBuf::from);
    let program = cache.join("tools/bin/collector");
    assert!(program.is_file(), "{} is missing; run e2e/tools/build.sh collector", program.display());
    program
}

impl Collector {
    pub fn start() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (grpc, http, folder) = (free(), free(), TempDir::new().unwrap());
        let (config, spans) = (folder.path().join("config.yaml"), folder.path().join("spans"));
        let text = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{grpc}'}}, http: {{endpoint: '{http}'}}}}}}}}\n\
            exporters: {{file: {{path: '{}'}}}}\n\
            service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}\n",
            spans.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new(program())
            .arg(format!("--config={}", config.display()))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut collector = Self { grpc, http, child, folder };
        eventually("the collector listens", || collector.listens());
        collector
    }

    fn listens(&mut self) -> Option<()> {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
        TcpStream::connect(self.grpc).and(TcpStream::connect(self.http)).ok().map(drop)
    }

    /// All spans so far. The last line may still be being written.
    pub fn spans(&self) -> Vec<Span> {
        let text = fs::read_to_string(self.folder.path().join("spans")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().flat_map(|line| of_line(&serde_json::from_str(line).unwrap())).collect()
    }

    /// The spans with a name, once there are as many.
    pub fn named(&self, name: &str, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans {name}"), || {
            let found: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// The only span with a name.
    pub fn only(&self, name: &str) -> Span {
        let mut spans = self.named(name, 1);
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

fn of_line(line: &Value) -> Vec<Span> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = vec![];
    for one in list(&line["resourceSpans"]) {
        for scope in list(&one["scopeSpans"]) {
            let spans = list(&scope["spans"]).into_iter().map(|span| serde_json::from_value::<Span>(span).unwrap());
            found.extend(spans.map(|span| Span { resource: list(&one["resource"]["attributes"]), ..span }));
        }
    }
    found
}

//! An OpenTelemetry Collector of a test's own, as a process on this machine, and the spans that it was given.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::own_process::Running;
use crate::{secs, tool, wait};

/// A running collector. Dropping it ends it.
pub struct OwnCollector {
    _child: Running,
    address: SocketAddr,
    folder: PathBuf,
}

/// A span, as OTLP writes it in JSON.
#[derive(Clone, Debug)]
pub struct Span(Value);

impl OwnCollector {
    /// Starts it. Its configuration, its log and its spans are in the folder; what is in it goes.
    pub async fn start(folder: &Path) -> Result<Self> {
        drop(fs::remove_dir_all(folder));
        fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = json!({
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": address.to_string()}}}},
            "exporters": {"file": {"path": folder.join("spans")}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        // JSON is YAML.
        fs::write(folder.join("config.yaml"), config.to_string())?;
        let child = Command::new(tool("collector"))
            .arg(format!("--config={}", folder.join("config.yaml").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context("can't run the collector: run e2e/tools/build.sh collector")?;
        let collector = Self { _child: Running(child), address, folder: folder.to_owned() };
        wait::until("the collector listens", secs(30), async || Ok(TcpStream::connect(address).map(drop)?)).await?;
        Ok(collector)
    }

    /// Where spans are sent, by gRPC.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let text = fs::read_to_string(self.folder.join("spans")).unwrap_or_default();
        // The last line may still be being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut spans = vec![];
        for line in whole.lines() {
            let line: Value = serde_json::from_str(line)?;
            for resource in list(&line["resourceSpans"]) {
                for scope in list(&resource["scopeSpans"]) {
                    spans.extend(list(&scope["spans"]).iter().map(|span| {
                        let mut span = span.clone();
                        span["resource"] = resource["resource"].clone();
                        Span(span)
                    }));
                }
            }
        }
        Ok(spans)
    }
}

impl Span {
    /// A field that is a text; empty without one.
    pub fn field(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// An attribute as text; empty without one.
    pub fn attribute(&self, name: &str) -> &str {
        attribute(&self.0["attributes"], name)
    }

    /// The same of what it comes from.
    pub fn of_resource(&self, name: &str) -> &str {
        attribute(&self.0["resource"]["attributes"], name)
    }

    /// Whether it says that something went wrong.
    pub fn is_error(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// When it began and ended, in nanoseconds.
    pub fn time(&self) -> Result<(u64, u64)> {
        let [begin, end] = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| self.field(name).parse::<u64>());
        match (begin, end) {
            (Ok(begin), Ok(end)) => Ok((begin, end)),
            _ => bail!("a span without times: {}", self.0),
        }
    }
}

fn attribute<'a>(attributes: &'a Value, name: &str) -> &'a str {
    let found = list(attributes).iter().find(|attribute| attribute["key"] == name);
    // JSON has no whole numbers of 64 bits, so they are texts there.
    let value = |found: &'a Value| ["stringValue", "intValue"].iter().find_map(|kind| found["value"][*kind].as_str());
    found.and_then(value).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

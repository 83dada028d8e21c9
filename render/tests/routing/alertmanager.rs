//! A real Alertmanager, and a server that takes its messages.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::tool::program;

/// Time limit of steps that take a second or two if nothing is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A message: the path that it was sent to, and what it says.
pub(crate) type Message = (String, Value);

/// Takes messages, and answers each with success.
pub(crate) struct Sink {
    pub(crate) address: String,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let messages = Arc::new(Mutex::new(vec![]));
        let taken = messages.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let (head, body) = read(&stream);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                taken.lock().unwrap().push((path, serde_json::from_str(&body).unwrap_or_default()));
                // Every service is content with this: Slack asks for a text, PagerDuty and Opsgenie for a code.
                answer(&stream);
            }
        });
        Self { address, messages }
    }

    /// Waits for a message to a path that fits, and returns all messages to that path.
    pub(crate) fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        until(&format!("a message to {path}"), || {
            let messages = self.to(path);
            messages.iter().any(&fits).then_some(messages)
        })
    }

    /// All messages.
    pub(crate) fn all(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// All messages to a path.
    pub(crate) fn to(&self, path: &str) -> Vec<Value> {
        let messages = self.messages.lock().unwrap();
        messages.iter().filter(|(to, _)| to == path).map(|(_, message)| message.clone()).collect()
    }
}

/// A real Alertmanager; it ends with this.
pub(crate) struct Alertmanager {
    process: Child,
    address: String,
}

impl Alertmanager {
    pub(crate) fn start(name: &str, configuration: &Value) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("alertmanager.yml");
        // JSON is YAML.
        std::fs::write(&file, configuration.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let log = folder.join("log");
        let process = Command::new(program("alertmanager"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.external-url=http://alertmanager.example.com", "--cluster.listen-address="])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut started = Self { process, address };
        until("Alertmanager is ready", || {
            let ended = started.process.try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(&log).unwrap());
            started.request("GET", "/-/ready", "").filter(|(head, _)| head.contains(" 200 "))
        });
        started
    }

    /// Sends it alerts, as Prometheus does.
    pub(crate) fn alert(&self, alerts: &[Value]) {
        let (head, body) = self.request("POST", "/api/v2/alerts", &json!(alerts).to_string()).unwrap();
        assert!(head.contains(" 200 "), "{head}: {body}");
    }

    /// Waits until the alerts fit, and returns their names and whether they are held back.
    pub(crate) fn until_alerts(&self, expected: &[(&str, bool)]) {
        let expected = expected.iter().map(|(name, held)| ((*name).to_owned(), *held)).collect();
        self.until_states(expected, |alert| alert["labels"]["alertname"].as_str().unwrap().to_owned());
    }

    /// Waits until the alerts are those, and no others, with these labels. `true` is an alert that is held back.
    pub(crate) fn until_held(&self, expected: &[(&Value, bool)]) {
        let labels = |alert: &Value| alert["labels"].to_string();
        self.until_states(expected.iter().map(|(alert, held)| (labels(alert), *held)).collect(), labels);
    }

    fn until_states(&self, mut expected: Vec<(String, bool)>, name: impl Fn(&Value) -> String) {
        let seen = || {
            let alerts = self.get("/api/v2/alerts");
            let state = |alert: &Value| (name(alert), alert["status"]["state"] == "suppressed");
            let mut states: Vec<_> = alerts.iter().map(state).collect();
            states.sort();
            states
        };
        expected.sort();
        until_as(&format!("alerts {expected:?}"), seen, |states| *states == expected);
    }

    /// Waits until the groups that a window holds back are these: receiver and severity. A group is here once its
    /// time to be sent has come, and it was not sent.
    pub(crate) fn until_muted(&self, expected: &[(&str, &str)]) {
        let seen = || {
            let groups: Vec<Value> = self.get("/api/v2/alerts/groups");
            let is_muted = |group: &&Value| {
                let alerts = group["alerts"].as_array().unwrap();
                alerts.iter().all(|alert| alert["status"]["mutedBy"].as_array().is_some_and(|by| !by.is_empty()))
            };
            let name = |value: &Value| value.as_str().unwrap().to_owned();
            let of = |group: &Value| (name(&group["receiver"]["name"]), name(&group["labels"]["severity"]));
            groups.iter().filter(is_muted).map(of).collect::<BTreeSet<_>>()
        };
        let expected = expected.iter().map(|(receiver, severity)| ((*receiver).to_owned(), (*severity).to_owned()));
        let expected: BTreeSet<_> = expected.collect();
        until_as(&format!("groups held back {expected:?}"), seen, |groups| *groups == expected);
    }

    fn get(&self, path: &str) -> Vec<Value> {
        let (_, body) = self.request("GET", path, "").unwrap();
        serde_json::from_str(&body).unwrap()
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
        Some(read(&stream))
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = check() {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// Waits until the value fits, and fails with the value that was seen instead.
fn until_as<T: Debug>(what: &str, see: impl Fn() -> T, fits: impl Fn(&T) -> bool) {
    let begun = Instant::now();
    let mut seen = see();
    while !fits(&seen) {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}, but {seen:?}");
        std::thread::sleep(PAUSE);
        seen = see();
    }
}

/// The first line and the body of a message with a length, in pieces, or until its end.
fn read(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        lines.push(line);
    }
    let header = |name: &str| {
        let line = lines.iter().find(|line| line.to_lowercase().starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let mut body = vec![];
    let _ = match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => reader.take(length).read_to_end(&mut body),
        None if lines.first().is_some_and(|line| line.starts_with("HTTP")) => reader.read_to_end(&mut body),
        None => Ok(0),
    };
    (lines.first().cloned().unwrap_or_default(), unchunked(&header, &body))
}

/// A body as it was before it was sent in pieces.
fn unchunked(header: &impl Fn(&str) -> Option<String>, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    if header("transfer-encoding").is_none() {
        return text;
    }
    let (mut whole, mut rest) = (String::new(), text.as_str());
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &more[..length];
        rest = more[length..].trim_start_matches("\r\n");
    }
    whole
}

fn answer(mut stream: &TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
}

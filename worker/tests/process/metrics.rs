//! A real Prometheus scrapes the binary, and knows the trace of a slow request by its exemplar.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn tool(name: &str) -> PathBuf {
    let cache = std::env::var_os("BELFRY_CACHE").map_or_else(support::default_cache, PathBuf::from);
    let program = cache.join("tools/bin").join(name);
    assert!(program.is_file(), "{} is missing; run e2e/tools/build.sh prometheus", program.display());
    program
}

/// The process. It ends with the test.
struct Prometheus {
    address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Prometheus {
    /// One that scrapes a worker ten times a second.
    fn of(worker: SocketAddr) -> Self {
        let (address, folder) =
            (TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(), TempDir::new().unwrap());
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs: [{{job_name: worker, static_configs: [{{targets: ['{worker}']}}]}}]\n"
        );
        fs::write(&config, text).unwrap();
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { address, child, folder }
    }

    /// What a query of its API finds, once it finds something.
    fn found(&mut self, path: &str, list: &str) -> Vec<Value> {
        eventually(path, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
            let (status, text) =
                request(self.address, &format!("GET {path}"), "").filter(|(status, _)| *status == 200)?;
            let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}"));
            answer.pointer(list)?.as_array().filter(|found| !found.is_empty()).cloned()
        })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn prometheus_finds_the_trace_of_a_request_by_its_exemplar() {
    let model = tiny_model();
    let flags =
        ["--model", model.path().to_str().unwrap(), "--json-logs", "--log-requests", "1", "--drain-delay-seconds", "0"];
    let mut worker = Worker::spawn(&flags, Stdio::piped());
    worker.ready();
    let mut prometheus = Prometheus::of(worker.address);
    // The first caller keeps no trace of its request, and nor does the second.
    let unsampled = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-00";
    for headers in [
        String::new(),
        format!("traceparent: {unsampled}\r\n"),
        format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"),
    ] {
        post_embed(worker.address, EMBED, &headers);
    }
    let path = "/api/v1/query_exemplars?query=inference_request_duration_seconds_bucket&start=0&end=99999999999";
    let series = prometheus.found(path, "/data");
    let exemplars: Vec<_> = series.iter().flat_map(|one| one["exemplars"].as_array().unwrap()).collect();
    // Prometheus gives them in the order of their buckets, which the time of each phase decides.
    let mut phases: Vec<_> = series.iter().map(|one| one["seriesLabels"]["phase"].as_str().unwrap()).collect();
    phases.sort_unstable();
    assert_eq!(
        phases,
        ["inference", "queue", "tokenize", "total"],
        "all of one request, since a scrape sees all or none of it"
    );
    for exemplar in exemplars {
        assert_eq!(exemplar["labels"], serde_json::json!({ "trace_id": TRACE }));
    }
    // Its text is read as what it is: a counter, a histogram with the bounds of our rules, a unit.
    let metadata = prometheus.found("/api/v1/targets/metadata?metric=inference_device_busy_seconds", "/data");
    assert_eq!((&metadata[0]["type"], &metadata[0]["unit"]), (&"counter".into(), &"seconds".into()));
    let rule =
        "/api/v1/query?query=inference_request_duration_seconds_bucket%7Bphase%3D%22total%22%2Cle%3D%221.0%22%7D";
    assert_eq!(prometheus.found(rule, "/data/result")[0]["value"][1], "3");
    drop(prometheus);
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(0));
    let mut log = String::new();
    worker.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(lines.any(|line| line["trace_id"] == TRACE && line["message"] == "Request answered"), "{log}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_plain_text() {
    let model = tiny_model();
    let worker = Worker::start(model.path(), &[]);
    worker.ready();
    let (_, text) = request(worker.address, "GET /metrics", "").unwrap();
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!((checked.status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn metrics_with_a_port_of_their_own_are_at_no_other_until_the_worker_ends() {
    let model = tiny_model();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let drain = ["--drain-delay-seconds", "3600", "--drain-timeout-seconds", "3600"];
    let address = port.to_string();
    let mut worker = Worker::start(model.path(), &[&["--metrics-listen", &address], &drain[..]].concat());
    worker.ready();
    let status = |at: SocketAddr, head: &str| request(at, head, EMBED).map(|(status, _)| status);
    for (head, of_requests, of_metrics) in
        [("GET /metrics", 404, 200), ("GET /readyz", 200, 404), ("POST /embed", 200, 404), ("GET /status", 200, 404)]
    {
        assert_eq!((status(worker.address, head), status(port, head)), (Some(of_requests), Some(of_metrics)), "{head}");
    }
    let (_, text) = request(port, "GET /metrics", "").unwrap();
    assert!(text.contains("inference_requests_total{endpoint=\"/embed\",reason=\"ok\",status=\"200\"} 1\n"), "{text}");
    worker.signal("TERM");
    eventually("it drains", || (worker.probe("/readyz") == Some(503)).then_some(()));
    assert_eq!(status(port, "GET /metrics"), Some(200), "the last minutes are measured too");
    worker.signal("TERM");
    worker.end();
}

#[test]
fn a_port_of_the_metrics_that_is_taken_ends_the_worker_with_the_flags_name() {
    let model = tiny_model();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut worker = Worker::start(model.path(), &["--metrics-listen", &address.to_string()]);
    let (status, said) = worker.end();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&format!("cannot listen on {address}")) && said.contains("--metrics-listen"), "{said}");
}

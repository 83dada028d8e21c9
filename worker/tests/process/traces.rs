//! What the binary traces, as a real collector gets it: a request is one trace from its caller to the pass, and a collector that is
//! away holds up none.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::collector::Collector;
use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Sends what waits every tenth of a second, in place of every five.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");
const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// Asks as a caller with these headers, and returns the head of the answer.
fn ask(address: SocketAddr, body: &str, headers: &str) -> String {
    let answer = post_embed(address, body, headers);
    answer.split("\r\n\r\n").next().unwrap().to_owned()
}

fn flags<'a>(model: &'a TempDir, endpoint: &'a str) -> Vec<&'a str> {
    let model = ["--model", model.path().to_str().unwrap(), "--served-name", "tiny"];
    let log = ["--json-logs", "--log-requests", "1", "--drain-delay-seconds", "0"];
    [&model[..], &["--enable-trace", "--otlp-traces-endpoint", endpoint], &log].concat()
}

/// One request of a caller with a trace, and what its collector got.
fn is_one_trace(variables: &[(&str, &str)], endpoint: &str, collector: &Collector) {
    let model = tiny_model();
    let mut worker = Worker::spawn_in(&[&[SOON], variables].concat(), &flags(&model, endpoint), Stdio::piped());
    worker.ready();
    let parent = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: vendor=opaque\r\n");
    let head = ask(worker.address, EMBED, &format!("{parent}x-request-id: abc123\r\n"));
    let request = collector.only("POST /embed");
    assert!(head.contains(&format!("traceresponse: 00-{TRACE}-{}-01", request.span_id)), "{head}");
    assert_eq!((request.trace_id.as_str(), request.parent_span_id.as_str()), (TRACE, CALLER));
    assert_eq!((request.kind, request.trace_state.as_str()), (2, "vendor=opaque"), "a server's span");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/embed"),
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "embeddings"),
        ("gen_ai.request.model", "tiny"),
        ("gen_ai.usage.input_tokens", "8"),
        ("belfry.request.id", "abc123"),
        ("belfry.texts", "2"),
    ] {
        assert_eq!(request.attribute(name), value, "{name}");
    }
    let mut before = request.start();
    for name in ["receive", "tokenize", "queue", "inference"] {
        let phase = collector.only(name);
        assert_eq!((&phase.trace_id, &phase.parent_span_id), (&request.trace_id, &request.span_id), "{name}");
        assert!(before <= phase.start(), "{name} begins after the phase before it");
        assert!(phase.start() <= phase.end() && phase.end() <= request.end(), "{name}");
        before = phase.start();
    }
    let forward = collector.only("forward");
    assert_eq!((&forward.trace_id, &forward.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!(collector.only("inference").links[0]["spanId"], forward.span_id, "the request names its pass");
    assert_eq!(forward.attribute("belfry.batch.texts"), "2");
    assert_eq!(collector.only("load").status(), 0);
    assert_eq!(collector.only("warm up").parent_span_id, collector.only("load").span_id);
    assert_eq!(request.of_resource("service.name"), "belfry-worker");
    assert_eq!(request.of_resource("service.version"), env!("CARGO_PKG_VERSION"));
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(0));
    let line = answered(&log_of(&mut worker));
    assert_eq!((&line["trace_id"], &line["span_id"]), (&TRACE.into(), &request.span_id.into()));
}

/// The log of a worker that has ended.
fn log_of(worker: &mut Worker) -> String {
    let mut log = String::new();
    worker.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    log
}

/// The line of the first answered request.
fn answered(log: &str) -> Value {
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["message"] == "Request answered").unwrap()
}

#[test]
fn a_request_is_one_trace_from_its_caller_to_the_pass_by_http() {
    let collector = Collector::start();
    is_one_trace(&[HTTP], &format!("http://{}/v1/traces", collector.http), &collector);
}

#[test]
fn a_request_is_one_trace_from_its_caller_to_the_pass_by_grpc() {
    let collector = Collector::start();
    is_one_trace(&[], &collector.grpc.to_string(), &collector);
}

#[test]
fn spans_may_be_sent_compressed() {
    for protocol in [HTTP, GRPC] {
        let (collector, model) = (Collector::start(), tiny_model());
        let at = if protocol == HTTP { collector.http } else { collector.grpc }.to_string();
        let variables = [SOON, protocol, ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")];
        let worker = Worker::spawn_in(&variables, &flags(&model, &at), Stdio::null());
        worker.ready();
        ask(worker.address, EMBED, "");
        collector.only("POST /embed");
    }
}

#[test]
fn requests_that_share_a_pass_are_its_links() {
    let (collector, model) = (Collector::start(), support::minilm());
    let endpoint = collector.grpc.to_string();
    let model = ["--model", model.to_str().unwrap(), "--enable-trace", "--otlp-traces-endpoint", &endpoint];
    let worker = Worker::spawn_in(&[SOON], &model, Stdio::null());
    worker.ready();
    let at = worker.address;
    // The first keeps the model busy while the others come.
    let long = serde_json::json!({ "inputs": vec!["bell ".repeat(200); 32] }).to_string();
    let callers: Vec<_> = (0..6)
        .map(|caller| {
            let body = if caller == 0 { long.clone() } else { EMBED.to_owned() };
            thread::spawn(move || ask(at, &body, ""))
        })
        .collect();
    for caller in callers {
        assert!(caller.join().unwrap().starts_with("HTTP/1.1 200"));
    }
    let (requests, inferences) = (collector.named("POST /embed", 6), collector.named("inference", 6));
    let passes = collector.named("forward", 1);
    let shared = passes.iter().find(|pass| pass.links.len() > 1).unwrap();
    for link in &shared.links {
        assert!(requests.iter().any(|request| link["spanId"] == request.span_id), "a link leads to a request");
    }
    let names = |span: &&super::collector::Span| span.links.iter().any(|link| link["spanId"] == shared.span_id);
    assert_eq!(inferences.iter().filter(names).count(), shared.links.len(), "and each of them names the pass");
}

#[test]
fn a_caller_that_wants_no_spans_gets_none() {
    let (collector, model) = (Collector::start(), tiny_model());
    let endpoint = collector.grpc.to_string();
    let worker = Worker::spawn_in(&[SOON], &flags(&model, &endpoint), Stdio::null());
    worker.ready();
    let head = ask(worker.address, EMBED, &format!("traceparent: 00-{TRACE}-{CALLER}-00\r\n"));
    assert!(head.contains(&format!("traceresponse: 00-{TRACE}-")) && head.contains("-00\r\n"), "{head}");
    ask(worker.address, EMBED, "");
    assert_ne!(collector.only("POST /embed").trace_id, TRACE, "only the second was sent");
}

#[test]
fn a_request_that_fails_says_why_in_its_span() {
    let (collector, model) = (Collector::start(), tiny_model());
    let endpoint = collector.grpc.to_string();
    let worker = Worker::spawn_in(&[SOON], &flags(&model, &endpoint), Stdio::null());
    worker.ready();
    let head = ask(worker.address, r#"{"inputs": 1}"#, "");
    let span = collector.only("POST /embed");
    assert!(head.starts_with(&format!("HTTP/1.1 {}", span.attribute("http.response.status_code"))), "{head}");
    assert_eq!(span.attribute("error.type"), "invalid_input");
    assert_eq!(span.status(), 0, "a caller's fault is no error of the server");
}

#[test]
fn a_load_that_fails_is_a_span_with_its_reason() {
    let (collector, model) = (Collector::start(), tiny_model());
    std::fs::write(model.path().join("config.json"), "{}").unwrap();
    let endpoint = collector.grpc.to_string();
    let mut worker = Worker::spawn_in(&[], &flags(&model, &endpoint), Stdio::null());
    assert_eq!(worker.end().0.code(), Some(EXIT_LOAD_FAILED));
    let span = collector.only("load");
    assert_eq!(span.status(), 2);
    assert!(!span.attribute("error.type").is_empty());
}

/// A value of the worker's counter of spans.
fn counted(worker: &Worker, outcome: &str) -> Option<f64> {
    let text = request(worker.address, "GET /metrics", "")?.1;
    let start = format!("inference_trace_spans_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
}

#[test]
fn spans_without_room_are_counted_and_every_other_arrives() {
    let (collector, model) = (Collector::start(), tiny_model());
    let endpoint = collector.grpc.to_string();
    let variables = [("OTEL_BSP_SCHEDULE_DELAY", "1000"), ("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let mut worker = Worker::spawn_in(&variables, &flags(&model, &endpoint), Stdio::piped());
    worker.ready();
    for _ in 0..20 {
        ask(worker.address, EMBED, "");
    }
    // A request ends six spans, and a load three.
    let all = 20.0 * 6.0 + 3.0;
    eventually("every span is counted", || {
        let sum = counted(&worker, "exported")? + counted(&worker, "dropped")?;
        (sum == all).then_some(())
    });
    assert!(counted(&worker, "dropped").unwrap() > 0.0, "a request ends more spans at once than there is room for");
    assert_eq!(collector.spans().len() as f64, counted(&worker, "exported").unwrap());
    worker.signal("TERM");
    worker.end();
    assert_eq!(log_of(&mut worker).matches("Spans are lost").count(), 1);
}

#[test]
fn spans_and_keys_go_to_no_other_place() {
    let (elsewhere, model) = (Collector::start(), tiny_model());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let target = format!("http://{}/v1/traces", elsewhere.http);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            for line in stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = number.parse().unwrap();
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let head =
                format!("HTTP/1.1 307 Moved\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            drop(stream.get_mut().write_all(head.as_bytes()));
        }
    });
    let mut worker = Worker::spawn_in(&[SOON, HTTP], &flags(&model, &endpoint), Stdio::piped());
    worker.ready();
    ask(worker.address, EMBED, "");
    eventually("it counts as failed", || counted(&worker, "failed").filter(|spans| *spans > 0.0));
    assert_eq!((elsewhere.spans().len(), counted(&worker, "exported")), (0, Some(0.0)));
    worker.signal("TERM");
    worker.end();
    assert!(log_of(&mut worker).contains("307"));
}

#[test]
fn a_service_has_the_name_that_its_own_variable_says() {
    let (collector, model) = (Collector::start(), tiny_model());
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%20b");
    let variables = [SOON, ("OTEL_SERVICE_NAME", "mine"), attributes];
    let endpoint = collector.grpc.to_string();
    let worker = Worker::spawn_in(&variables, &flags(&model, &endpoint), Stdio::null());
    worker.ready();
    ask(worker.address, EMBED, "");
    let span = collector.only("POST /embed");
    assert_eq!(span.of_resource("service.name"), "mine");
    assert_eq!(span.of_resource("deployment.environment.name"), "a b");
}

#[test]
fn a_collector_that_is_away_holds_up_no_request_and_is_said_once() {
    let model = tiny_model();
    // At the first address nothing listens; at the second something takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for (endpoint, protocol) in [("127.0.0.1:9", HTTP), ("127.0.0.1:9", GRPC), (&silent, HTTP), (&silent, GRPC)] {
        let variables = [SOON, protocol, ("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
        let mut worker = Worker::spawn_in(&variables, &flags(&model, endpoint), Stdio::piped());
        worker.ready();
        for _ in 0..20 {
            let began = Instant::now();
            assert!(ask(worker.address, EMBED, "").starts_with("HTTP/1.1 200"));
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        eventually("failures are counted", || counted(&worker, "failed").filter(|spans| *spans > 0.0));
        worker.signal("TERM");
        let began = Instant::now();
        assert_eq!(worker.end().0.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(8), "it ends in time: {:?}", began.elapsed());
        let log = log_of(&mut worker);
        assert_eq!(log.matches("Spans were not sent").count(), 1, "{endpoint} {protocol:?}: {log}");
    }
}

#[test]
fn a_setting_that_can_not_be_used_ends_the_worker_with_one_line() {
    let model = tiny_model();
    for (variables, endpoint) in [
        (&[("OTEL_TRACES_SAMPLER", "sometimes")][..], "localhost:4317"),
        (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")][..], "localhost:4317"),
        (&[("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999")][..], "localhost:4317"),
        (&[][..], "https://localhost:4317"),
        (&[][..], "not a host"),
    ] {
        let mut worker = Worker::spawn_in(variables, &flags(&model, endpoint), Stdio::null());
        let (status, stderr) = worker.end();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

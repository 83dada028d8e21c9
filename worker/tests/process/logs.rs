//! What the binary logs: fields and types, the audit log, and that no reader of the log holds up a request.

use serde_json::{Value, json};

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Asks as a caller with these headers, and returns the status.
fn ask(address: SocketAddr, headers: &str) -> u16 {
    let answer = post_embed(address, EMBED, headers);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The log of a worker that has ended, one object a line.
fn lines(worker: &mut Worker) -> Vec<Value> {
    let mut text = String::new();
    worker.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn find<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

#[test]
fn a_request_is_a_line_of_json_with_its_ids_and_its_time() {
    let model = tiny_model();
    let flags =
        ["--model", model.path().to_str().unwrap(), "--served-name", "tiny", "--json-logs", "--log-requests", "1"];
    let mut worker = Worker::spawn(&[&flags[..], &["--drain-delay-seconds", "0"]].concat(), Stdio::piped());
    worker.ready();
    let ids = format!("x-request-id: abc123\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    assert_eq!((ask(worker.address, &ids), ask(worker.address, "")), (200, 200));
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(0));
    let lines = lines(&mut worker);
    let messages = lines.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>();
    let expected = ["Listening", "Model is loaded", "Request answered", "Request answered", "Draining", "Drained"];
    assert_eq!(messages[..6], expected, "in their order");
    let ends = ["Model is unloaded", "Ended"];
    assert_eq!(messages[6..], ends, "the last line is not lost");
    for line in &lines {
        assert_eq!((&line["model"], &line["level"]), (&json!("tiny"), &json!("INFO")), "{line}");
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.len() > 20 && timestamp.ends_with('Z') && timestamp.contains('T'), "{timestamp}");
    }
    let [first, second] = find(&lines, "Request answered")[..] else { panic!("two requests") };
    let said =
        ["logger", "request_id", "trace_id", "endpoint", "status", "reason", "batch_size"].map(|name| &first[name]);
    let expected = json!(["belfry_worker.http.call", "abc123", TRACE, "/embed", "200", "ok", 2]);
    assert_eq!(json!(said), expected);
    assert!(first["latency_ms"].as_f64().unwrap() > 0.0, "{first}");
    assert!(second.get("trace_id").is_none() && second["request_id"].as_str().unwrap().len() == 16, "{second}");
    assert!(!json!(lines).to_string().contains("w1 w2"), "no payload");
}

#[test]
fn the_audit_log_says_who_was_refused_and_names_no_key() {
    let model = tiny_model();
    let keys = model.path().join("keys");
    std::fs::write(&keys, "sk-hunter2\n").unwrap();
    let (folder, keys) = (model.path().to_str().unwrap(), keys.to_str().unwrap());
    let flags = ["--model", folder, "--api-key-file", keys, "--json-logs", "--log-requests", "1"];
    let mut worker = Worker::spawn(&[&flags[..], &["--drain-delay-seconds", "0"]].concat(), Stdio::piped());
    worker.ready();
    let key = |key: &str| format!("x-request-id: {key}-id\r\nauthorization: Bearer sk-{key}\r\n");
    let answers = [ask(worker.address, ""), ask(worker.address, &key("wrong")), ask(worker.address, &key("hunter2"))];
    assert_eq!(answers, [401, 401, 200]);
    worker.signal("TERM");
    worker.end();
    let lines = lines(&mut worker);
    let refused = find(&lines, "Authentication refused");
    assert_eq!(refused.len(), 2, "{lines:?}");
    for line in &refused {
        assert_eq!((&line["logger"], &line["endpoint"]), (&json!("belfry_worker.audit"), &json!("/embed")));
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
    assert_eq!(refused[1]["request_id"], "wrong-id");
    let answered = find(&lines, "Request answered");
    let key_id = answered[0]["key_id"].as_str().unwrap();
    assert_eq!((answered.len(), key_id.len()), (1, 8));
    let text = json!(lines).to_string();
    assert!(!text.contains("sk-"), "{text}");
    for message in ["Model is loaded", "Model is unloaded"] {
        assert_eq!(find(&lines, message)[0]["logger"], "belfry_worker.audit", "{message}");
    }
}

#[test]
fn no_level_writes_a_text_of_a_request() {
    let model = tiny_model();
    let flags =
        ["--model", model.path().to_str().unwrap(), "--json-logs", "--log", "trace", "--drain-delay-seconds", "0"];
    let mut worker = Worker::spawn(&flags, Stdio::piped());
    // So many lines do not fit into the pipe.
    let mut stdout = worker.child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    worker.ready();
    assert_eq!(ask(worker.address, ""), 200);
    worker.signal("TERM");
    worker.end();
    let text = reader.join().unwrap();
    assert!(text.contains("Request answered"), "{text}");
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let logger = line["logger"].as_str().unwrap();
        assert!(!logger.starts_with("tokenizers") && logger != "log", "{line}");
    }
}

#[test]
fn a_failed_load_is_in_the_audit_log() {
    let model = tiny_model();
    std::fs::write(model.path().join("model.safetensors"), "truncated").unwrap();
    let flags = ["--model", model.path().to_str().unwrap(), "--json-logs"];
    let mut worker = Worker::spawn(&flags, Stdio::piped());
    assert_eq!(worker.end().0.code(), Some(EXIT_LOAD_FAILED));
    let lines = lines(&mut worker);
    let failed = find(&lines, "Model is not loaded");
    assert_eq!(
        (failed.len(), &failed[0]["logger"], &failed[0]["level"]),
        (1, &json!("belfry_worker.audit"), &json!("ERROR"))
    );
    assert_eq!(failed[0]["reason"], "FileCorrupt");
}

#[test]
fn a_log_that_is_not_read_holds_up_no_request_and_its_lost_lines_are_counted() {
    let model = tiny_model();
    let flags = ["--model", model.path().to_str().unwrap(), "--json-logs", "--log-requests", "1"];
    let mut worker = Worker::spawn(&flags, Stdio::piped());
    worker.ready();
    let dropped = || {
        let (_, metrics) = request(worker.address, "GET /metrics", "")?;
        let name = "inference_log_lines_dropped_total ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok())
    };
    assert_eq!(dropped(), Some(0.0));
    // The pipe takes 64 KiB, and 8192 lines wait before it: so many requests fill both.
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let address = worker.address;
            thread::spawn(move || (0..2500).for_each(|_| assert_eq!(ask(address, ""), 200)))
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    assert!(dropped().unwrap() > 0.0, "{:?} lines are lost", dropped());
    let output = worker.child.stdout.take();
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(0), "it ends, though its log is not read");
    drop(output);
}

#[test]
fn a_filter_that_can_not_be_read_ends_it_with_one_line() {
    let mut worker = Worker::start(tiny_model().path(), &["--log", "belfry_worker=loud"]);
    let (status, stderr) = worker.end();
    assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("belfry_worker=loud") && stderr.contains("such as debug"), "{stderr}");
}

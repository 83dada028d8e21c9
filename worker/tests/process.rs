//! The binary as the kubelet sees it: signals, exit codes, standard error and the termination log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/collector.rs"]
mod collector;
#[path = "process/gpus.rs"]
mod gpus;
#[path = "support/hub.rs"]
mod hub;
#[path = "process/logs.rs"]
mod logs;
#[path = "process/metrics.rs"]
mod metrics;
#[path = "support/server.rs"]
mod server;
#[path = "support/tiny.rs"]
mod tiny;
#[path = "process/traces.rs"]
mod traces;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use belfry_crds::contract::EXIT_LOAD_FAILED;
use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};
use support::{eventually, request};
use tempfile::TempDir;

struct Worker {
    child: Child,
    address: SocketAddr,
}

impl Worker {
    fn start(model: &Path, flags: &[&str]) -> Self {
        let model = ["--model", model.to_str().unwrap()];
        Self::with(&model.iter().chain(flags).copied().collect::<Vec<_>>())
    }

    fn with(flags: &[&str]) -> Self {
        Self::spawn(flags, Stdio::null())
    }

    fn spawn(flags: &[&str], stdout: Stdio) -> Self {
        Self::spawn_in(&[], flags, stdout)
    }

    /// The same with variables of its environment.
    fn spawn_in(variables: &[(&str, &str)], flags: &[&str], stdout: Stdio) -> Self {
        // The port is free now, and the kernel does not give it away again so soon.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_belfry-worker"))
            .args(["--listen", &address.to_string(), "--threads", "1"])
            .args(flags)
            // So that a test means the same on a machine with a GPU.
            .env("CUDA_VISIBLE_DEVICES", "-1")
            .envs(variables.iter().copied())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    fn probe(&self, path: &str) -> Option<u16> {
        request(self.address, &format!("GET {path}"), "").map(|(status, _)| status)
    }

    fn ready(&self) {
        eventually("the worker is ready", || (self.probe("/readyz") == Some(200)).then_some(()));
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn end(&mut self) -> (ExitStatus, String) {
        let status = eventually("the worker ends", || self.child.try_wait().unwrap());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status, stderr)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn tiny_model() -> TempDir {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    dir
}

const EMBED: &str = r#"{"inputs": ["w1 w2 w3", "w4"]}"#;

/// Sends a request with these headers, each with its end of line, and returns the whole answer.
fn post_embed(address: SocketAddr, body: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "POST /embed HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sigterm_under_load_fails_no_accepted_request() {
    let model = tiny_model();
    let mut worker = Worker::start(model.path(), &["--drain-delay-seconds", "1", "--drain-timeout-seconds", "20"]);
    worker.ready();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let address = worker.address;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                // Callers continue for a while after the pod was asked to end, because endpoints change with a delay.
                while !stop.load(Ordering::Relaxed) {
                    let answer = request(address, "POST /embed", EMBED);
                    assert_eq!(answer.map(|(status, _)| status), Some(200));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("requests are being answered", || (answered.load(Ordering::Relaxed) > 50).then_some(()));
    worker.signal("TERM");
    eventually("it says that it is not ready", || (worker.probe("/readyz") == Some(503)).then_some(()));
    assert_eq!(worker.probe("/healthz"), Some(200), "and it is alive");
    let before = answered.load(Ordering::Relaxed);
    eventually("it still answers", || (answered.load(Ordering::Relaxed) > before + 20).then_some(()));
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().unwrap();
    }
    let (status, stderr) = worker.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn after_the_delay_new_requests_are_refused_and_old_ones_finished() {
    let model = support::minilm();
    let mut worker = Worker::start(
        &model,
        &["--drain-delay-seconds", "0", "--drain-timeout-seconds", "25", "--max-batch-size", "1", "--dtype", "float32"],
    );
    worker.ready();
    let address = worker.address;
    let text = "bell ".repeat(200);
    let body = serde_json::json!({ "inputs": vec![text; 32] }).to_string();
    let long = thread::spawn(move || request(address, "POST /embed", &body).map(|(status, _)| status));
    let metrics = |line: &str| request(address, "GET /metrics", "")?.1.contains(line).then_some(());
    eventually("the long request is in the queue", || metrics("inference_active_requests 1"));
    worker.signal("TERM");
    // A request that comes before the delay is over, even one of 0 s, is accepted and waits behind the long one. So the
    // test waits for the first metric that changes at the end of the delay, not for the readiness, which changes at its
    // start.
    eventually("the delay is over", || metrics("inference_model_loaded 0"));
    let (status, body) = request(address, "POST /embed", EMBED).expect("an answer to a new request");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("\"draining\""), "{body}");
    assert_eq!(long.join().unwrap(), Some(200));
    assert_eq!(worker.end().0.code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let model = tiny_model();
    let mut worker = Worker::start(model.path(), &["--drain-delay-seconds", "600", "--drain-timeout-seconds", "600"]);
    worker.ready();
    worker.signal("TERM");
    eventually("it drains", || (worker.probe("/readyz") == Some(503)).then_some(()));
    worker.signal("TERM");
    assert_eq!(worker.end().0.code(), Some(143));
}

#[test]
fn a_failed_load_leaves_one_line_an_exit_code_and_a_termination_log() {
    let model = tiny_model();
    std::fs::write(model.path().join("model.safetensors"), "truncated").unwrap();
    let log = model.path().join("termination-log");
    let mut worker = Worker::start(model.path(), &["--termination-log", log.to_str().unwrap()]);
    let (status, stderr) = worker.end();
    assert_eq!(status.code(), Some(EXIT_LOAD_FAILED));
    let expected = format!("belfry-worker: {}: ", model.path().join("model.safetensors").display());
    assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");
    let failure = LoadFailure::parse(&std::fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(failure.reason, LoadFailureReason::FileCorrupt);
    assert_eq!(format!("belfry-worker: {}\n", failure.message), stderr);
}

#[test]
fn a_download_is_seen_in_the_metrics_while_it_runs() {
    let hub = hub::Hub::start(&server::Shelf::of_folder(tiny_model().path()));
    hub.shelf.spoil("model.safetensors", [server::Fault::Stall(1000)]);
    let (endpoint, cache) = (hub.endpoint(), TempDir::new().unwrap());
    let cache = cache.path().to_str().unwrap();
    let worker = Worker::with(&["--hf-repo", "org/tiny", "--hf-endpoint", &endpoint, "--cache", cache]);
    let size: usize = hub.shelf.files.lock().unwrap().values().map(Vec::len).sum();
    let rest = hub.shelf.files.lock().unwrap()["model.safetensors"].len() - 1000;
    eventually("the metrics say how far it is", || {
        let metrics = request(worker.address, "GET /metrics", "")?.1;
        let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
        let (known, done) =
            (value("inference_model_download_size_bytes"), value("inference_model_download_done_bytes"));
        ((known, done) == (Some(size), Some(size - rest))).then_some(())
    });
    assert_eq!((worker.probe("/healthz"), worker.probe("/readyz")), (Some(200), Some(503)));
}

#[test]
fn the_digest_of_a_folder_is_printed_without_serving_it() {
    let model = tiny_model();
    let print = |folder: &Path, flags: &[&str]| {
        let worker = Command::new(env!("CARGO_BIN_EXE_belfry-worker")).arg("digest").arg(folder).args(flags).output();
        let output = worker.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let manifest = belfry_worker::load::manifest(model.path()).unwrap();
    assert_eq!(print(model.path(), &[]), (Some(0), format!("{}\n", manifest.digest()), String::new()));
    assert_eq!(print(model.path(), &["--manifest"]), (Some(0), manifest.text(), String::new()));
    let (status, stdout, stderr) = print(Path::new("/nowhere"), &[]);
    assert_eq!((status, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
}

#[test]
fn numbers_that_are_not_finite_stop_the_load() {
    let model = tiny_model();
    let huge = tiny::weights(&tiny::shapes(), f32::MAX);
    std::fs::write(model.path().join("model.safetensors"), huge).unwrap();
    let log = model.path().join("termination-log");
    let mut worker = Worker::start(model.path(), &["--termination-log", log.to_str().unwrap()]);
    assert_eq!(worker.end().0.code(), Some(EXIT_LOAD_FAILED));
    let failure = LoadFailure::parse(&std::fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(failure.reason, LoadFailureReason::NumericalCheckFailed);
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    let mut worker = Worker::start(tiny_model().path(), &["--device", "cuda"]);
    let (status, stderr) = worker.end();
    assert_eq!(status.code(), Some(EXIT_LOAD_FAILED));
    assert!(stderr.contains("--device cuda") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn a_port_that_is_taken_is_an_error_of_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_belfry-worker"))
        .args(["--listen", &address, "--model", "/m"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.starts_with(&format!("belfry-worker: cannot listen on {address}: ")) && stderr.lines().count() == 1,
        "{stderr}"
    );
}

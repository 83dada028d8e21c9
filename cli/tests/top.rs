//! `belfry top` as a process: one look, and what it says where there is no worker to watch. `worker/clients/top.py` runs it in a real
//! terminal on a real worker.
#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use tungstenite::Message;
use tungstenite::handshake::server::{Request, Response};

const RECORDED: &str = include_str!("top/recorded.jsonl");

fn belfry(args: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.arg("top").args(args).stdin(Stdio::null()).env_remove("BELFRY_API_KEY");
    if let Some(key) = key {
        command.env("BELFRY_API_KEY", key);
    }
    command.output().unwrap()
}

/// The one line of a failure.
fn fails(args: &[&str], key: Option<&str>) -> String {
    let output = belfry(args, key);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim_end().to_owned()
}

/// A server that treats each connection like this.
fn serve(treat: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| treat(stream.unwrap())));
    address
}

/// A server that answers the head of a request with these bytes.
fn answering(bytes: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        drop(stream.write_all(bytes.as_bytes()));
    })
}

/// A server that plays these messages to those who come with this key.
fn playing(messages: &'static [&'static str], key: &'static str) -> SocketAddr {
    serve(move |stream| {
        #[allow(clippy::result_large_err, reason = "tungstenite's own type")]
        let check = |request: &Request, response: Response| {
            assert_eq!(request.uri().path(), "/ws/status");
            let given = request.headers().get("authorization").map(|given| given.to_str().unwrap().to_owned());
            assert_eq!(given.unwrap_or_default(), key);
            Ok(response)
        };
        let Ok(mut socket) = tungstenite::accept_hdr(stream, check) else { return };
        for message in messages.iter().cycle() {
            if socket.send(Message::text(*message)).is_err() {
                return;
            }
        }
    })
}

#[test]
fn one_look_as_json_is_what_the_worker_sent() {
    let first = RECORDED.lines().next().unwrap();
    let address = playing(vec![first].leak(), "Bearer sk-one").to_string();
    let output = belfry(&[&address, "--once", "--output", "json"], Some("sk-one"));
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent: Value = serde_json::from_str(first).unwrap();
    assert_eq!(printed, serde_json::json!([{ "address": address, "status": sent }]));
}

#[test]
fn one_look_as_tables_has_a_line_for_each_device_and_model() {
    let address = playing(RECORDED.lines().collect::<Vec<_>>().leak(), "").to_string();
    let output = belfry(&[&address, "--once"], None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("WORKER") && lines[1].starts_with(&format!("{address}  cpu     2 cores")), "{text}");
    assert!(
        lines[3].starts_with("MODEL") && lines[4].starts_with("minilm  loaded  cpu  ") && lines[4].contains(" texts"),
        "{text}"
    );
}

#[test]
fn where_there_is_no_worker_one_line_says_so() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let other = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let full = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 44\r\n\r\n{\"error\": {\"message\": \"as many as it takes\"}}";
    let locked =
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 41\r\n\r\n{\"error\": {\"message\": \"needs an API key\"}}";
    for (address, says) in [
        ("no_such_host.invalid:1".to_owned(), "no_such_host.invalid:1: "),
        ("localhost:99999".to_owned(), "\"99999\" is no port"),
        (closed.clone(), "the connection is refused"),
        (answering(other).to_string(), "it answers 200 OK: it is no worker of Belfry"),
        (answering(missing).to_string(), "it has no /ws/status: it is no worker of Belfry, or an older one"),
        (answering(full).to_string(), "as many as it takes"),
        (answering(locked).to_string(), "needs an API key; set BELFRY_API_KEY or --api-key-file"),
        (answering("SSH-2.0-OpenSSH_9.6\r\n").to_string(), "it answers no HTTP"),
        (serve(drop).to_string(), "the connection ended"),
        (
            playing(&["{\"timestamp\": 1}"], "").to_string(),
            "it sends no status of a worker of this version (missing field",
        ),
        (playing(&["hello"], "").to_string(), "it sends no status of a worker"),
    ] {
        for mode in [&[][..], &["--once"]] {
            let said = fails(&[&[address.as_str()], mode].concat(), None);
            assert!(said.starts_with("belfry: ") && said.contains(says), "{said:?} does not say {says:?}");
        }
    }
}

#[test]
fn a_screen_needs_a_terminal_and_a_key_is_shown_nowhere() {
    let first = RECORDED.lines().next().unwrap();
    let address = playing(vec![first].leak(), "").to_string();
    assert!(fails(&[&address], None).contains("`belfry top --once`"));
    for key in ["two hunter2", "hunter2é"] {
        let said = fails(&[&address, "--once"], Some(key));
        assert!(said.contains("BELFRY_API_KEY") && !said.contains("hunter2"), "{said}");
    }
    let said = fails(&[&address, "--api-key-file", "/nowhere/key"], None);
    assert!(said.contains("--api-key-file /nowhere/key") && said.contains("No such file"), "{said}");
    assert_eq!(belfry(&[&address, "--output", "json"], None).status.code(), Some(2), "without --once");
}

#[test]
fn an_error_is_one_object_where_logs_are_asked_for_as_json() {
    let said = fails(&["--json-logs", "localhost:99999"], None);
    let line: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&line["level"], &line["logger"]), (&"ERROR".into(), &"belfry".into()));
    assert!(line["message"].as_str().unwrap().contains("\"99999\" is no port"), "{line}");
}

//! The link to a worker: a thread that reads snapshots, and makes the link again when it is lost.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use belfry_crds::contract::status::{STATUS_SOCKET_PATH, Snapshot};
use serde_json::Value;
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::address::Address;
use super::place::Place;
use super::tunnel::Tunnel;
use super::units::plain;

/// Longest wait for a connection and for the answer to the handshake.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// Longest wait for a snapshot; a worker sends five a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Pauses between tries; the last is kept.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Most bytes of a message, far above those of a worker.
const MESSAGE_LIMIT: usize = 4 << 20;

/// Most letters of a foreign server's words in a message of ours.
const QUOTED: usize = 160;

/// Namespace and name of an InferenceModel.
pub(super) type Subject = (String, String);

/// What the links say, and who looks for workers. A worker is a number.
#[derive(Debug)]
pub(super) enum Said {
    Snapshot(usize, Box<Snapshot>),
    /// There is no link to a worker, for this reason, for so long.
    Lost(usize, String, Duration),
    /// The thread of a link panicked; its message is on standard error.
    Panicked,
    /// A worker is new: its label, and the namespace and the name of its model.
    Came(usize, String, Subject),
    /// A worker is gone.
    Gone(usize),
    /// Workers were looked for. What is to be said of it, if anything.
    Looked(Option<String>),
    /// The alerts that fire, by their model.
    Alerts(BTreeMap<Subject, Vec<String>>),
}

/// Says that a thread panicked. Without it the last snapshot would look live for ever.
struct Watchdog(Sender<Said>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.0.send(Said::Panicked));
        }
    }
}

/// Why a worker can't be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another try makes no difference: a wrong server, or a key that is refused.
    Lasting(String),
    /// It may pass.
    Passing(String),
}

impl Trouble {
    /// The same in words.
    pub(super) fn words(self) -> String {
        let (Self::Lasting(words) | Self::Passing(words)) = self;
        words
    }
}

/// An open socket of a worker, and the tunnel that it goes through, if it needs one.
pub(super) struct Link(
    WebSocket<TcpStream>,
    #[allow(dead_code, reason = "it lives as long as the socket")] Option<Tunnel>,
);

impl Link {
    /// Connects, with a key where there is one.
    pub(super) fn open(address: &Address, key: Option<&str>, tunnel: Option<Tunnel>) -> Result<Self, Trouble> {
        let stream = connect(address).map_err(|error| Trouble::Passing(cause(&error)))?;
        let label = address.label();
        let uri: Uri = format!("ws://{label}{STATUS_SOCKET_PATH}")
            .parse()
            .map_err(|_| Trouble::Lasting("the host has letters that no host has".to_owned()))?;
        let mut request = ClientRequestBuilder::new(uri);
        if let Some(key) = key {
            request = request.with_header("Authorization", format!("Bearer {key}"));
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        match client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self(socket, tunnel)),
            Err(HandshakeError::Failure(error)) => Err(refusal(error)),
            Err(HandshakeError::Interrupted(_)) => Err(Trouble::Passing("no answer to the handshake".to_owned())),
        }
    }

    /// The next snapshot, as it came and as it was read.
    pub(super) fn next(&mut self) -> Result<(String, Snapshot), Trouble> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => {
                    return match serde_json::from_str(&text) {
                        Ok(snapshot) => Ok((text.to_string(), snapshot)),
                        Err(error) => {
                            Err(Trouble::Lasting(format!("it sends no status of a worker of this version ({error})")))
                        }
                    };
                }
                Ok(Message::Close(frame)) => {
                    let why = frame.map(|frame| frame.reason.to_string()).filter(|why| !why.is_empty());
                    return Err(Trouble::Passing(why.map_or_else(|| "it ended".to_owned(), |why| plain(&why))));
                }
                // A pong is sent with the next read.
                Ok(_) => {}
                Err(Error::Io(error)) => return Err(Trouble::Passing(cause(&error))),
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => {
                    return Err(Trouble::Passing("the connection ended".to_owned()));
                }
                Err(error) => return Err(Trouble::Lasting(format!("it sends no status of a worker ({error})"))),
            }
        }
    }
}

/// Reads a worker for as long as what is said of it is wanted. The link may be one that is already open.
fn follow((worker, place, mut open): (usize, Place, Option<Link>), key: Option<&str>, say: impl Fn(Said) -> bool) {
    let (mut since, mut tries) = (Instant::now(), 0);
    loop {
        let trouble = match open.take().map_or_else(|| place.open(key), Ok) {
            Err(trouble) => trouble,
            Ok(mut link) => loop {
                match link.next() {
                    Ok((_, snapshot)) => {
                        (since, tries) = (Instant::now(), 0);
                        if !say(Said::Snapshot(worker, Box::new(snapshot))) {
                            return;
                        }
                    }
                    Err(trouble) => break trouble,
                }
            },
        };
        if !say(Said::Lost(worker, trouble.words(), since.elapsed())) {
            return;
        }
        std::thread::sleep(PAUSES[tries.min(PAUSES.len() - 1)]);
        tries += 1;
    }
}

/// The same on a thread of its own, for as long as the worker is wanted and the receiver lives.
pub(super) fn spawn(
    (worker, place, open): (usize, Place, Option<Link>),
    key: Option<String>,
    is_wanted: Arc<AtomicBool>,
    said: Sender<Said>,
) -> io::Result<()> {
    let run = move || {
        let watchdog = Watchdog(said);
        let say = |what| is_wanted.load(Ordering::Relaxed) && watchdog.0.send(what).is_ok();
        follow((worker, place, open), key.as_deref(), say);
    };
    std::thread::Builder::new().name(format!("link-{worker}")).spawn(run).map(drop)
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, CONNECT_PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A cause as people say it.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "the connection is refused".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "the connection ended".to_owned()
        }
        _ => {
            let text = error.to_string();
            // The words of the C library about names.
            let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            plain(text.split(" (os error").next().unwrap_or(text))
        }
    }
}

/// What a server's answer to the handshake means.
fn refusal(error: Error) -> Trouble {
    let answer = match error {
        Error::Http(answer) => answer,
        Error::Io(error) => return Trouble::Passing(cause(&error)),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            return Trouble::Passing("the connection ended".to_owned());
        }
        error => return Trouble::Lasting(format!("it answers no HTTP ({error})")),
    };
    let body: Value = answer.body().as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let said = body["error"]["message"].as_str().map(|said| plain(said).chars().take(QUOTED).collect::<String>());
    let status = answer.status();
    match (status.as_u16(), said) {
        (401, Some(said)) => Trouble::Lasting(format!("{said}; set BELFRY_API_KEY or --api-key-file")),
        (503, Some(said)) => Trouble::Passing(said),
        (404, _) => {
            Trouble::Lasting(format!("it has no {STATUS_SOCKET_PATH}: it is no worker of Belfry, or an older one"))
        }
        (_, Some(said)) => Trouble::Lasting(format!("{status}: {said}")),
        (_, None) => Trouble::Lasting(format!("it answers {status}: it is no worker of Belfry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_panics_says_so() {
        let (say, said) = std::sync::mpsc::channel();
        let link = std::thread::spawn(move || {
            let _watchdog = Watchdog(say);
            panic!("planted");
        });
        assert!(link.join().is_err());
        assert!(matches!(said.recv(), Ok(Said::Panicked)));
        assert!(said.recv().is_err(), "and nothing else");
    }
}

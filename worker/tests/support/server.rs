//! An HTTP server on this machine that misbehaves on demand: it cuts answers off, falls silent and lies.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived; names of headers are in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line.ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Some(Self { method, path: path.to_owned(), query: query.to_owned(), headers })
    }
}

/// What is sent back. `send` bytes of the body go out, and then the connection ends, or stays silent.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub send: usize,
    pub hold: bool,
    /// Whether the length of the body is said.
    pub length: bool,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: vec![], send: body.len(), body, hold: false, length: true }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn write(&self, head_only: bool, mut stream: TcpStream) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {} x\r\nconnection: close\r\n", self.status)?;
        if self.length && !self.headers.iter().any(|(name, _)| *name == "content-length") {
            write!(stream, "content-length: {}\r\n", self.body.len())?;
        }
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        if !head_only {
            stream.write_all(&self.body[..self.send.min(self.body.len())])?;
            stream.flush()?;
            if self.hold {
                // Silent until the other side closes.
                drop(stream.read(&mut [0]));
            }
        }
        Ok(())
    }
}

/// A fault of the next answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another status.
    Status(u16),
    /// The connection ends after this many bytes.
    Cut(usize),
    /// The connection stays silent after this many bytes.
    Stall(usize),
    /// The range is ignored, and everything is sent.
    NoRange,
    /// The first byte is wrong.
    Flip,
    /// The answer has an extra byte.
    Long,
}

/// Files, and the faults of each; `""` stands for the list of files.
#[derive(Default)]
pub struct Shelf {
    pub files: Mutex<BTreeMap<String, Vec<u8>>>,
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    pub log: Mutex<Vec<Request>>,
    pub manners: Mutex<Manners>,
}

/// What answers lack: mirrors and caches on the way have manners of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// HEAD is answered with 405.
    pub no_head: bool,
    /// HEAD has no length.
    pub no_length_of_head: bool,
    /// Only an answer to a range says how long the file is.
    pub only_ranges_have_length: bool,
    /// There is no ETag.
    pub no_etag: bool,
}

impl Shelf {
    /// All files of a folder, and of its folders.
    pub fn of_folder(folder: &Path) -> Arc<Self> {
        fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    collect(&entry.path(), &format!("{name}/"), files);
                } else {
                    files.insert(name, std::fs::read(entry.path()).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files);
        Arc::new(Self { files: Mutex::new(files), ..Self::default() })
    }

    /// Spoils the next answers for a file, one after the other.
    pub fn spoil(&self, file: &str, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().entry(file.to_owned()).or_default().extend(faults);
    }

    pub fn next_fault(&self, file: &str) -> Option<Fault> {
        self.faults.lock().unwrap().get_mut(file)?.pop_front()
    }

    /// A file's bytes, as the range and the next fault say.
    pub fn content(&self, request: &Request, file: &str) -> Answer {
        let Some(bytes) = self.files.lock().unwrap().get(file).cloned() else { return Answer::new(404, "") };
        let fault = if request.method == "GET" { self.next_fault(file) } else { None };
        if let Some(Fault::Status(status)) = fault {
            return Answer::new(status, "");
        }
        let range = request.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        let start: usize = range.map_or(0, |start| start.parse().unwrap());
        let mut answer = match fault {
            Some(Fault::NoRange) => Answer::new(200, bytes),
            _ if range.is_none() => Answer::new(200, bytes),
            _ if start >= bytes.len() => Answer::new(416, ""),
            _ => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::new(206, &bytes[start..]).with("content-range", range)
            }
        };
        match fault {
            Some(Fault::Cut(bytes)) => answer.send = bytes,
            Some(Fault::Stall(bytes)) => (answer.send, answer.hold) = (bytes, true),
            Some(Fault::Flip) => answer.body[0] ^= 1,
            Some(Fault::Long) => {
                answer.body.push(0);
                answer.send += 1;
            }
            _ => {}
        }
        answer
    }

    /// The requests for paths that end like this.
    pub fn asked(&self, method: &str, end: &str) -> Vec<Request> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|request| request.method == method && request.path.ends_with(end)).cloned().collect()
    }
}

/// Answers requests, each on a thread and a connection of its own; every one goes into the shelf's log.
pub fn serve(shelf: &Arc<Shelf>, answer: impl Fn(&Shelf, &Request) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (shelf, answer) = (Arc::clone(shelf), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (shelf, answer) = (Arc::clone(&shelf), Arc::clone(&answer));
            thread::spawn(move || {
                let Some(request) = Request::read(&stream) else { return };
                shelf.log.lock().unwrap().push(request.clone());
                let manners = *shelf.manners.lock().unwrap();
                let is_head = request.method == "HEAD";
                let mut answer =
                    if is_head && manners.no_head { Answer::new(405, "") } else { answer(&shelf, &request) };
                let is_list = request.path.starts_with("/api/");
                answer.headers.retain(|(name, _)| !(manners.no_etag && name.ends_with("etag")));
                let bare = manners.only_ranges_have_length && !is_list;
                answer.headers.retain(|(name, _)| !(bare && *name == "x-linked-size"));
                let silent = (is_head && manners.no_length_of_head) || (bare && answer.status != 206);
                answer.length = !silent;
                // A client that gives up in the middle is part of the tests.
                drop(answer.write(is_head, stream));
            });
        }
    });
    address
}

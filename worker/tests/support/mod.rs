//! What several test files share. Each uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use belfry_worker::Args;
use belfry_worker::batch::Packed;
use belfry_worker::engine::{Engine, EngineError, Output, OutputSet, Outputs};
use belfry_worker::lane::lane;
use belfry_worker::metrics::Format;
use belfry_worker::model::late::MaxSim;
use belfry_worker::model::pipeline::Presets;
use belfry_worker::state::{About, App, Model};
use belfry_worker::tokenize::Tokenizer;
use clap::Parser;

/// The folder of all-MiniLM-L6-v2.
pub fn minilm() -> PathBuf {
    let cache = std::env::var_os("BELFRY_CACHE").map_or_else(default_cache, PathBuf::from);
    let folder = cache.join("models/all-MiniLM-L6-v2");
    assert!(folder.is_dir(), "{} is missing; run e2e/models/fetch.sh", folder.display());
    folder
}

pub fn default_cache() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from).join("belfry")
}

pub fn args(line: &str) -> Args {
    Args::parse_from(format!("belfry-worker {line}").split_whitespace())
}

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two checks of a condition that has no event to wait for; without a pause the check would use a whole
/// core.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits for a condition, at most [`PATIENCE`].
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// The same for a test on an async runtime, whose other tasks go on meanwhile.
pub async fn soon(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the fake engine does with its next batch.
pub enum Next {
    /// A vector `[number of tokens, sum of ids, 1]` for each text.
    Answer,
    Fail,
    Panic,
    Nan,
    /// A vector of zeros for each text.
    Zero,
    /// One row too few.
    Short,
    /// No output at all.
    Nothing,
}

/// An app with a lane that runs a fake engine. Each pass waits for a permit when the engine is held.
pub struct Fake {
    pub app: Arc<App>,
    pub permits: Option<Sender<Next>>,
    lane: Option<std::thread::JoinHandle<()>>,
}

struct FakeEngine {
    permits: Option<Receiver<Next>>,
    outputs: OutputSet,
}

fn index(of: i64) -> usize {
    usize::try_from(of).unwrap()
}

fn dense(rows: Vec<Vec<f32>>) -> Outputs {
    Outputs { dense: Some(rows), ..Outputs::default() }
}

/// Every wanted output, from each text's number of tokens and sum of ids.
fn all(rows: &[Vec<f32>], wanted: OutputSet) -> Outputs {
    let wants = |output| wanted.has(output).then_some(());
    Outputs {
        dense: wants(Output::Dense).map(|()| rows.to_vec()),
        // Word 7 weighs as much as there are tokens.
        sparse: wants(Output::Sparse).map(|()| rows.iter().map(|row| vec![(7, row[0])]).collect()),
        multi_vector: wants(Output::MultiVector).map(|()| rows.iter().map(|row| vec![row.clone(); 2]).collect()),
        // A text with more tokens has a higher score.
        scores: wants(Output::Score).map(|()| rows.iter().map(|row| row[0] - 5.0).collect()),
        classes: wants(Output::Classes).map(|()| rows.iter().map(|row| vec![0.0, row[0]]).collect()),
        // Every token has the second label.
        token_classes: wants(Output::TokenClasses)
            .map(|()| rows.iter().map(|row| vec![vec![0.0, 1.0]; row[0] as usize]).collect()),
    }
}

impl Engine for FakeEngine {
    fn outputs(&self) -> OutputSet {
        self.outputs
    }

    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
        let next = self.permits.as_ref().map_or(Next::Answer, |permits| permits.recv().unwrap_or(Next::Answer));
        let texts =
            packed.runs.iter().flat_map(|run| (0..run.texts).map(|i| (run.offset + i * run.length, run.length)));
        let rows = texts.map(|(offset, length)| {
            let ids = packed.ids.iter().skip(index(offset)).take(index(length));
            vec![length as f32, ids.sum::<i64>() as f32, 1.0]
        });
        match next {
            Next::Answer => Ok(all(&rows.collect::<Vec<_>>(), wanted)),
            Next::Fail => Err(EngineError::Failed("no such tensor".into())),
            Next::Short => Ok(dense(rows.skip(1).collect())),
            Next::Nothing => Ok(Outputs::default()),
            Next::Panic => panic!("a panic inside the engine"),
            Next::Zero => Ok(dense(rows.map(|_| vec![0.0; 3]).collect())),
            Next::Nan => Ok(dense(rows.map(|_| vec![1.0, f32::NAN, 0.0]).collect())),
        }
    }
}

fn model<const N: usize>(outputs: [Output; N]) -> Model {
    model_with(outputs, Presets::default())
}

/// A model with these presets, and those of a model for vectors and labels.
fn model_with<const N: usize>(outputs: [Output; N], presets: Presets) -> Model {
    let tokenizer = Tokenizer::new(include_bytes!("tokenizer.json"), 8, 14).unwrap().for_pairs().unwrap();
    let text = || "fake".to_owned();
    let about = About { architecture: text(), dtype: text(), device: text(), revision: text(), digest: text() };
    Model::new(
        tokenizer,
        3,
        OutputSet::of(outputs),
        Presets {
            normalize: true,
            pool_prompt: true,
            pooling: "mean".to_owned(),
            labels: vec!["no".to_owned(), "yes".to_owned()],
            ..presets
        },
        about,
    )
}

impl Fake {
    /// A loaded model named `tiny` whose texts have at most 8 tokens.
    pub fn ready(flags: &str) -> Self {
        Self::start(flags, false)
    }

    /// The same, and each pass waits for a permit.
    pub fn held(flags: &str) -> Self {
        Self::start(flags, true)
    }

    /// A loaded model that gives scores, and no vectors.
    pub fn scoring() -> Self {
        Self::giving([Output::Score], "")
    }

    /// A loaded model with these outputs.
    pub fn giving<const N: usize>(outputs: [Output; N], flags: &str) -> Self {
        Self::of(outputs, flags, false)
    }

    /// A loaded model for late interaction, whose queries have a prompt of one token.
    pub fn late(flags: &str) -> Self {
        let prompts = [("query", "w9 "), ("document", "")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        let presets = Presets {
            prompts: prompts.into(),
            default_prompt: Some("document".to_owned()),
            max_sim: Some(MaxSim::Sum),
            ..Presets::default()
        };
        Self::with(model_with([Output::MultiVector], presets), flags, false)
    }

    /// Before the model is loaded.
    pub fn loading() -> Self {
        let args = args("--model /models/tiny");
        Self { app: Arc::new(App::new(args.name(), args.limits, 1).unwrap()), permits: None, lane: None }
    }

    fn start(flags: &str, held: bool) -> Self {
        Self::of([Output::Dense], flags, held)
    }

    fn of<const N: usize>(outputs: [Output; N], flags: &str, held: bool) -> Self {
        Self::with(model(outputs), flags, held)
    }

    fn with(model: Model, flags: &str, held: bool) -> Self {
        let args = args(&format!("--model /models/tiny {flags}"));
        let app = Arc::new(App::new(args.name(), args.limits, 1).unwrap());
        let outputs = model.outputs;
        app.ready(model);
        let (send, receive) = channel();
        let (permits, receive) = if held { (Some(send), Some(receive)) } else { (None, None) };
        let shared = Arc::clone(&app);
        let lane = std::thread::spawn(move || {
            lane(&shared, &mut FakeEngine { permits: receive, outputs });
        });
        Self { app, permits, lane: Some(lane) }
    }

    pub fn permit(&self, next: Next) {
        self.permits.as_ref().expect("a held engine").send(next).unwrap();
    }

    /// The value of a series in the exposition.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.app.metrics.render(Format::Plain).unwrap().1;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.permits = None;
        self.app.inbox.close();
        if let Some(lane) = self.lane.take() {
            drop(lane.join());
        }
    }
}

/// One HTTP request over a connection of its own: status and body, or `None` when there is no answer.
pub fn request(address: SocketAddr, head: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

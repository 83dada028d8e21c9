//! Those who ask a model, through its Service as pods do: each request opens a connection.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chaos::dice::Dice;

/// A caller that waits longer goes away.
const PATIENCE: Duration = Duration::from_secs(30);

/// A word that is one token, and that nothing else uses: a fault damages it.
pub const DAMAGED: &str = "zebra";

const WORDS: &[&str] =
    &["river", "stone", "market", "engine", "garden", "winter", "letter", "music", "harbor", "window"];

/// What is asked, by how many, how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Callers; each waits for its answer.
    pub callers: usize,
    /// Pause of a caller between an answer and the next request, on average.
    pub pause: Duration,
    /// Texts of a request.
    pub texts: usize,
    /// Words of a text.
    pub words: usize,
    /// Requests of a hundred that have the damaged word.
    pub damaged: usize,
}

impl Mix {
    /// No one asks.
    pub const NONE: Self = Self { callers: 0, pause: Duration::from_millis(300), texts: 1, words: 6, damaged: 0 };

    /// Some people ask short questions, three in a second.
    pub const SOME: Self = Self { callers: 1, ..Self::NONE };
}

/// The callers of one model.
pub struct Callers {
    mix: watch::Sender<Mix>,
    tally: Arc<Mutex<Tally>>,
    _tasks: JoinSet<()>,
}

/// What the callers got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Status 200.
    pub answered: u32,
    /// Status 5xx.
    pub failed: u32,
    /// Any other status.
    pub refused: u32,
    /// No connection, or no answer.
    pub lost: u32,
}

/// Most callers of one model.
const MOST: usize = 64;

impl Callers {
    /// Callers of the Service at this address, who ask nothing yet. Seed and name decide what they ask and when.
    pub fn new(address: &str, seed: u64, name: &str) -> Self {
        let (mix, seen) = watch::channel(Mix::NONE);
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = JoinSet::new();
        for number in 0..MOST {
            let caller = Caller {
                number,
                address: address.to_owned(),
                mix: seen.clone(),
                tally: tally.clone(),
                dice: Dice::named(seed, &format!("{name} {number}")),
            };
            tasks.spawn(caller.ask());
        }
        Self { mix, tally, _tasks: tasks }
    }

    /// From now on they ask this.
    pub fn ask(&self, mix: Mix) {
        self.mix.send_replace(mix);
    }

    /// What they got until now.
    pub fn tally(&self) -> Tally {
        *self.tally.lock()
    }
}

struct Caller {
    number: usize,
    address: String,
    mix: watch::Receiver<Mix>,
    tally: Arc<Mutex<Tally>>,
    dice: Dice,
}

impl Caller {
    async fn ask(mut self) {
        loop {
            let number = self.number;
            // The sender ends with the callers.
            let Ok(mix) = self.mix.wait_for(|mix| number < mix.callers).await.map(|mix| *mix) else { return };
            let texts = (0..mix.texts).map(|_| text(&mut self.dice, mix.words)).collect();
            let texts = with_damage(texts, self.dice.percent(mix.damaged));
            let answer = tokio::time::timeout(PATIENCE, once(&self.address, &texts)).await;
            self.tally.lock().count(answer.ok().and_then(Result::ok));
            // Between half the pause and one and a half of it.
            let share = 50 + u32::try_from(self.dice.below(101)).unwrap_or_default();
            tokio::time::sleep(mix.pause * share / 100).await;
        }
    }
}

impl Tally {
    fn count(&mut self, status: Option<u16>) {
        let counter = match status {
            Some(200) => &mut self.answered,
            Some(500..) => &mut self.failed,
            Some(_) => &mut self.refused,
            None => &mut self.lost,
        };
        *counter += 1;
    }
}

fn text(dice: &mut Dice, words: usize) -> String {
    let words: Vec<_> = (0..words).map(|_| *dice.one_of(WORDS)).collect();
    words.join(" ")
}

fn with_damage(mut texts: Vec<String>, is_damaged: bool) -> Vec<String> {
    if let Some(text) = texts.first_mut().filter(|_| is_damaged) {
        *text = format!("{text} {DAMAGED}");
    }
    texts
}

async fn once(address: &str, texts: &[String]) -> Result<u16> {
    Connection::open(address).await?.embed(texts).await
}

/// An open connection to a model.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens it.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, and its error shows there.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Asks for vectors, and gives the status of the answer, which is read to its end.
    pub async fn embed(&mut self, texts: &[String]) -> Result<u16> {
        let body = Full::from(json!({"input": texts}).to_string());
        let request =
            Request::post("/v1/embeddings").header("host", "model").header("content-type", "application/json");
        let answer = self.sender.send_request(request.body(body)?).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        Ok(status)
    }
}

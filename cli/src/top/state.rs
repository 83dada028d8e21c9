//! What `belfry top` knows and what its user has chosen. Pure: snapshots and keys come in, nothing goes out.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use belfry_crds::contract::status::{Model, Snapshot};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::history::{Count, History, Spread};
use super::link::Subject;

/// Most letters of a filter.
const FILTER_LIMIT: usize = 64;

/// How a worker is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Snapshots come.
    Live,
    /// None come, for this reason, for so many seconds; the link is being made again.
    Lost { why: String, seconds: u64 },
}

/// A worker that is watched.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its address, or the name of its pod.
    pub(super) label: String,
    /// Its model in a cluster, where that is known.
    pub(super) subject: Option<Subject>,
    pub(super) link: Link,
    /// The newest snapshot; `None` before the first.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) history: History,
}

impl Worker {
    fn new(label: String) -> Self {
        let link = Link::Lost { why: "no snapshot yet".to_owned(), seconds: 0 };
        Self { label, subject: None, link, snapshot: None, history: History::default() }
    }
}

/// The order of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Requests,
    P95,
    Queue,
}

impl Sort {
    /// Its name on the screen.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Requests => "requests",
            Self::P95 => "p95",
            Self::Queue => "queue",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Name => Self::Requests,
            Self::Requests => Self::P95,
            Self::P95 => Self::Queue,
            Self::Queue => Self::Name,
        }
    }
}

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Quit,
}

/// Everything that the screen shows.
#[derive(Debug)]
pub(super) struct State {
    /// By their numbers, which are never given twice.
    pub(super) workers: BTreeMap<usize, Worker>,
    /// What is to be said of the search for workers.
    pub(super) note: Option<String>,
    /// Alerts that fire, by the model that they are about.
    pub(super) alerts: BTreeMap<Subject, Vec<String>>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) is_typing: bool,
    pub(super) shows_detail: bool,
    pub(super) shows_help: bool,
    /// The chosen model, by its worker and its name: it stays chosen when the order changes.
    chosen: Option<(usize, String)>,
}

impl State {
    /// Workers with these labels, none of which has said anything yet.
    pub(super) fn new(labels: impl IntoIterator<Item = String>) -> Self {
        Self {
            workers: labels.into_iter().map(Worker::new).enumerate().collect(),
            note: None,
            alerts: BTreeMap::new(),
            sort: Sort::Name,
            filter: String::new(),
            is_typing: false,
            shows_detail: true,
            shows_help: false,
            chosen: None,
        }
    }

    /// A worker is new.
    pub(super) fn add(&mut self, worker: usize, label: String, subject: Option<Subject>) {
        self.workers.insert(worker, Worker { subject, ..Worker::new(label) });
    }

    /// A worker is gone.
    pub(super) fn remove(&mut self, worker: usize) {
        self.workers.remove(&worker);
    }

    /// A snapshot of a worker came.
    pub(super) fn take(&mut self, worker: usize, snapshot: Snapshot) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.history.take(&snapshot);
            (worker.snapshot, worker.link) = (Some(snapshot), Link::Live);
        }
    }

    /// A worker's link is lost, for so many seconds.
    pub(super) fn lose(&mut self, worker: usize, why: String, seconds: u64) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.link = Link::Lost { why, seconds };
        }
    }

    /// The models that fit the filter, in their order: the worker's place, and the model.
    pub(super) fn rows(&self) -> Vec<(usize, &Model)> {
        let wanted = self.filter.to_lowercase();
        let mut rows = Vec::new();
        for (index, worker) in &self.workers {
            let is_worker = worker.label.to_lowercase().contains(&wanted);
            let fits = |model: &&Model| is_worker || model.name.to_lowercase().contains(&wanted);
            let models = worker.snapshot.iter().flat_map(|snapshot| &snapshot.models);
            rows.extend(models.filter(fits).map(|model| (*index, model)));
        }
        rows.sort_by(|one, two| self.order(*one, *two));
        rows
    }

    fn order(&self, (one, a): (usize, &Model), (two, b): (usize, &Model)) -> Ordering {
        let histories = (&self.workers[&one].history, &self.workers[&two].history);
        let falling = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        let first = match self.sort {
            Sort::Name => Ordering::Equal,
            Sort::Requests => falling(histories.0.rate(Count::Requests), histories.1.rate(Count::Requests)),
            Sort::P95 => {
                let total = Spread::Phase(0);
                falling(histories.0.quantile(total, 0.95), histories.1.quantile(total, 0.95))
            }
            Sort::Queue => b.queue_depth.cmp(&a.queue_depth),
        };
        first.then_with(|| a.name.cmp(&b.name)).then(one.cmp(&two))
    }

    /// The place of the chosen model among the rows; the first where it is gone.
    pub(super) fn place(&self) -> usize {
        let rows = self.rows();
        let chosen = self.chosen.as_ref();
        chosen
            .and_then(|(worker, name)| rows.iter().position(|(index, model)| index == worker && model.name == *name))
            .unwrap_or(0)
    }

    fn choose(&mut self, place: usize) {
        let rows = self.rows();
        self.chosen =
            rows.get(place.min(rows.len().saturating_sub(1))).map(|(index, model)| (*index, model.name.clone()));
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Next::Quit } else { Next::Stay };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Next::Stay;
        }
        if self.shows_help {
            // Every key closes the help, and does nothing else.
            self.shows_help = false;
            return Next::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Char('j') | KeyCode::Down => self.choose(self.place() + 1),
            KeyCode::Char('k') | KeyCode::Up => self.choose(self.place().saturating_sub(1)),
            KeyCode::Home => self.choose(0),
            KeyCode::End => self.choose(usize::MAX),
            KeyCode::Enter => self.shows_detail = !self.shows_detail,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('?') => self.shows_help = true,
            _ => {}
        }
        Next::Stay
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.filter.chars().count() < FILTER_LIMIT => self.filter.push(letter),
            _ => {}
        }
    }
}

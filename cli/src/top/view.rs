//! From what is known to what is shown: every text of the screen, in the widths of its columns. Pure, and without a terminal.

use belfry_crds::contract::status::{Gpu, Snapshot};
use belfry_crds::contract::{DURATION_BUCKETS, metrics};
use ratatui::symbols::bar::NINE_LEVELS;

use super::history::{Count, History, KEPT, Spread};
use super::state::{Link, State, Worker};
use super::units::{NONE, age, bytes, count, percent, plain, rate, seconds, short};

/// Columns of a number of texts.
pub(super) const QUEUE_WIDTH: usize = 11;

/// Cells of a bar.
const BAR: usize = 10;

/// A state that needs a look is marked by a word, and where there are colours by one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Busy,
    Bad,
}

/// The whole screen.
#[derive(Debug, PartialEq)]
pub(super) struct Screen {
    pub(super) server: String,
    /// The link of the chosen worker.
    pub(super) link: (String, Mood),
    pub(super) devices: Vec<Device>,
    pub(super) models: Vec<Model>,
    /// What stands in place of models where there are none.
    pub(super) empty: &'static str,
    pub(super) chosen: usize,
    pub(super) detail: Option<Detail>,
    pub(super) footer: String,
    pub(super) shows_help: bool,
}

/// A device of the chosen worker.
#[derive(Debug, PartialEq)]
pub(super) struct Device {
    pub(super) device: String,
    pub(super) name: String,
    pub(super) usage: String,
    pub(super) trend: Vec<Option<f64>>,
    pub(super) memory: String,
    pub(super) bar: String,
    pub(super) share: (String, Mood),
}

/// A model of a worker.
#[derive(Debug, PartialEq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) state: (String, Mood),
    pub(super) device: String,
    pub(super) memory: String,
    pub(super) queue: String,
    pub(super) rate: String,
    pub(super) trend: Vec<Option<f64>>,
    pub(super) p95: String,
}

/// The last minute of the chosen model.
#[derive(Debug, PartialEq)]
pub(super) struct Detail {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

/// One quantity in the last minute.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) now: String,
    pub(super) trend: Vec<Option<f64>>,
    pub(super) note: String,
}

impl Screen {
    /// What is shown of a state.
    pub(super) fn of(state: &State) -> Self {
        let (rows, chosen) = (state.rows(), state.place());
        let worker = rows.get(chosen).map(|(worker, _)| *worker).or(state.workers.keys().next().copied());
        let worker = worker.and_then(|worker| state.workers.get(&worker));
        let several = state.workers.len() > 1;
        let models = rows.iter().map(|(index, model)| row(&state.workers[index], model, several)).collect();
        let detail = rows.get(chosen).filter(|_| state.shows_detail);
        let has_seen = state.workers.values().any(|worker| worker.snapshot.is_some());
        Self {
            server: worker.map(server).unwrap_or_default(),
            link: link(worker, state),
            devices: worker.map(devices).unwrap_or_default(),
            models,
            empty: match (state.workers.is_empty(), has_seen) {
                (true, _) => "no worker runs",
                (false, true) => "no model fits the filter; Esc clears it",
                (false, false) => "no snapshot yet",
            },
            chosen,
            detail: detail.map(|(index, model)| last_minute(&state.workers[index], &model.name)),
            footer: footer(state),
            shows_help: state.shows_help,
        }
    }
}

fn server(worker: &Worker) -> String {
    let label = plain(&worker.label);
    let Some(Snapshot { server, name, .. }) = &worker.snapshot else { return label };
    let up = age(server.uptime_seconds as f64);
    let (name, version, user) = (plain(name), plain(&server.version), plain(&server.user));
    format!("{name}  belfry {version}  up {up}  pid {}  user {user}  {label}", server.pid)
}

/// The link of a worker, the alerts of its model, and what is to be said of the search for workers.
fn link(worker: Option<&Worker>, state: &State) -> (String, Mood) {
    let (link, mood) = match worker.map(|worker| &worker.link) {
        None => (String::new(), Mood::Busy),
        Some(Link::Live) => ("live".to_owned(), Mood::Good),
        Some(Link::Lost { why, seconds }) => {
            (format!("LOST for {}: {}; trying again", age(*seconds as f64), plain(why)), Mood::Bad)
        }
    };
    let alerts = worker.and_then(|worker| state.alerts.get(worker.subject.as_ref()?));
    let alerts = alerts.map(|alerts| format!("ALERT {}", plain(&alerts.join(", "))));
    let note = state.note.as_ref().map(|note| format!("NOTE {}", plain(note)));
    let mood = if alerts.is_some() || note.is_some() { Mood::Bad } else { mood };
    let parts: Vec<_> = [Some(link), alerts, note].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (parts.join("  "), mood)
}

/// The GPUs of a worker; where it has none, its cores and its memory.
pub(super) fn devices(worker: &Worker) -> Vec<Device> {
    let Some(snapshot) = &worker.snapshot else { return Vec::new() };
    let mut devices = measured(snapshot, &worker.history);
    if worker.link != Link::Live {
        for device in &mut devices {
            device.usage = percent(None);
        }
    }
    devices
}

fn measured(snapshot: &Snapshot, history: &History) -> Vec<Device> {
    if !snapshot.gpus.is_empty() {
        return snapshot.gpus.iter().map(|gpu| of_gpu(gpu, history)).collect();
    }
    let process = &snapshot.process;
    let cpus = process.cpus.max(1.0);
    let shares = |rates: Vec<Option<f64>>| rates.into_iter().map(|rate| Some(rate? / cpus * 100.0)).collect();
    // A limit above what the machine has is none.
    let limit = process.memory_limit_bytes.into_iter().chain(process.memory_total_bytes).min();
    let (memory, bar, share) = memory(process.resident_bytes, limit, process.memory_threshold_pct);
    vec![Device {
        device: "cpu".to_owned(),
        name: format!("{cpus:.0} {}", if cpus > 1.0 { "cores" } else { "core" }),
        usage: percent(history.rate(Count::Cpu).map(|rate| rate / cpus * 100.0)),
        trend: shares(history.rates(Count::Cpu)),
        memory,
        bar,
        share,
    }]
}

fn of_gpu(gpu: &Gpu, history: &History) -> Device {
    let (memory, bar, share) = memory(gpu.memory_used_bytes, Some(gpu.memory_total_bytes), gpu.memory_threshold_pct);
    Device {
        device: plain(&gpu.device),
        name: plain(&gpu.name),
        usage: percent(gpu.utilization_pct.map(f64::from)),
        // The share in which our passes ran: the driver's number has no history here.
        trend: history.rates(Count::Busy).into_iter().map(|rate| Some(rate? * 100.0)).collect(),
        memory,
        bar,
        share,
    }
}

/// Memory beside its limit, as numbers, as a bar with a mark at the threshold, and as a share that says when it is beyond.
fn memory(used: u64, limit: Option<u64>, threshold: f64) -> (String, String, (String, Mood)) {
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return (format!("{} /{:>9}", bytes(used), NONE), String::new(), (percent(None), Mood::Good));
    };
    let share = used as f64 / limit as f64 * 100.0;
    let is_high = share >= threshold;
    let text = format!("{}{}", percent(Some(share)), if is_high { " HIGH" } else { "" });
    let mood = if is_high { Mood::Bad } else { Mood::Good };
    (format!("{} / {}", bytes(used), bytes(limit).trim_start()), bar(share, threshold), (text, mood))
}

fn bar(share: f64, threshold: f64) -> String {
    let cells = |share: f64| (share / 100.0 * BAR as f64).clamp(0.0, BAR as f64);
    let (full, mark) = (cells(share).round() as usize, (cells(threshold) as usize).min(BAR - 1));
    let cell = |index: usize| match index {
        index if index < full => '█',
        index if index == mark => '|',
        _ => '·',
    };
    (0..BAR).map(cell).collect()
}

fn row(worker: &Worker, model: &belfry_crds::contract::status::Model, several: bool) -> Model {
    let (history, name) = (&worker.history, plain(&model.name));
    let mood = match model.state.as_str() {
        "loaded" => Mood::Good,
        "failed" => Mood::Bad,
        _ => Mood::Busy,
    };
    // What a lost worker does now is not known; what it did in its last minute is.
    let is_live = worker.link == Link::Live;
    let (state, mood) = if is_live { (plain(&model.state), mood) } else { ("LOST".to_owned(), Mood::Bad) };
    Model {
        name: if several { format!("{} {name}", plain(&worker.label)) } else { name },
        state: (state, mood),
        device: plain(model.device.as_deref().unwrap_or(NONE)),
        memory: bytes(model.memory_bytes),
        queue: format!("{:>QUEUE_WIDTH$}", if is_live { texts(model.queue_depth as f64) } else { NONE.to_owned() }),
        rate: rate(history.rate(Count::Requests).filter(|_| is_live)),
        trend: history.rates(Count::Requests),
        p95: latency(history, 0, 0.95),
    }
}

fn texts(number: f64) -> String {
    format!("{} texts", count(number))
}

fn latency(history: &History, phase: usize, share: f64) -> String {
    let last = DURATION_BUCKETS.last().copied().unwrap_or_default();
    seconds(history.quantile(Spread::Phase(phase), share), last)
}

fn last_minute(worker: &Worker, name: &str) -> Detail {
    let history = &worker.history;
    let counted = |name, what, unit: &str| {
        let note = history.growth(what).map_or_else(|| NONE.to_owned(), |sum| format!("{} {unit} in all", count(sum)));
        Line { name, now: rate(history.rate(what)), trend: history.rates(what), note }
    };
    let capacity = worker.snapshot.as_ref().map_or(0.0, |snapshot| snapshot.sum(&metrics::QUEUE_CAPACITY, |_| true));
    let waiting =
        worker.snapshot.iter().flat_map(|snapshot| &snapshot.models).map(|model| model.queue_depth).sum::<u64>();
    let mut lines = vec![
        counted("requests", Count::Requests, "requests"),
        counted("errors", Count::Errors, "requests"),
        counted("tokens", Count::Tokens, "tokens"),
        Line {
            name: "batch",
            now: history.mean(Spread::Batch).map_or_else(|| format!("{NONE:>5}"), |mean| format!("{:>5}", short(mean)))
                + " texts",
            trend: history.means(Spread::Batch),
            note: "mean".to_owned(),
        },
        Line {
            name: "queue",
            now: texts(waiting as f64),
            trend: history.queue(),
            note: format!("of {}", texts(capacity)),
        },
        Line {
            name: "device busy",
            now: percent(history.rate(Count::Busy).map(|rate| rate * 100.0)),
            trend: history.rates(Count::Busy),
            note: "of the time".to_owned(),
        },
    ];
    for (phase, name) in ["total", "tokenize", "queued", "inference"].into_iter().enumerate() {
        lines.push(Line {
            name,
            now: latency(history, phase, 0.95),
            trend: history.quantiles(Spread::Phase(phase), 0.95),
            note: format!("p95, p50 {}", latency(history, phase, 0.5).trim_start()),
        });
    }
    if worker.link != Link::Live {
        for line in &mut lines {
            NONE.clone_into(&mut line.now);
        }
    }
    Detail { title: format!(" {}: the last {KEPT} s ", plain(name)), lines }
}

fn footer(state: &State) -> String {
    let keys = "q quit  ? help  j/k move  Enter detail";
    let sort = format!("s sort: {}", state.sort.name());
    let filter = plain(&state.filter);
    if state.is_typing {
        format!("filter: {filter}_   Enter keeps it, Esc clears it")
    } else if filter.is_empty() {
        format!("{keys}  / filter  {sort}")
    } else {
        format!("{keys}  / filter: {filter}  {sort}")
    }
}

/// The newest values as small bars, the highest of them as high as a line; blank for a second that was not seen.
pub(super) fn spark(values: &[Option<f64>], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    // A line of very small values is flat, and not full.
    let most = shown.iter().flatten().copied().filter(|value| value.is_finite()).fold(1e-9, f64::max);
    let level = |value: f64| match (value / most * 8.0).clamp(0.0, 8.0) {
        level if value.is_finite() => (level.ceil() as usize).max(1),
        _ => 8,
    };
    let glyphs = [
        NINE_LEVELS.empty,
        NINE_LEVELS.one_eighth,
        NINE_LEVELS.one_quarter,
        NINE_LEVELS.three_eighths,
        NINE_LEVELS.half,
        NINE_LEVELS.five_eighths,
        NINE_LEVELS.three_quarters,
        NINE_LEVELS.seven_eighths,
        NINE_LEVELS.full,
    ];
    let text: String = shown.iter().map(|value| value.map_or(" ", |value| glyphs[level(value)])).collect();
    format!("{text:>width$}")
}

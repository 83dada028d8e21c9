//! Screens made of snapshots that a real worker sent (`tests/top/recorded.jsonl`: all-MiniLM-L6-v2 on two cores, under changing load).

use std::path::Path;

use belfry_crds::contract::metrics;
use belfry_crds::contract::status::{Gpu, Snapshot};
use expect_test::expect_file;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::draw::{Palette, draw};
use super::once;
use super::state::{Next, State};
use super::view::{Screen, spark};

fn recorded() -> Vec<Snapshot> {
    let lines = include_str!("../../tests/top/recorded.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first recorded snapshot at another time, with so many requests answered.
pub(super) fn at(elapsed: f64, requests: f64) -> Snapshot {
    let mut snapshot = recorded().swap_remove(0);
    snapshot.elapsed_seconds = elapsed;
    let labels = [("endpoint", "/embed"), ("reason", "ok"), ("status", "200")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sample = belfry_crds::contract::status::Sample { labels, value: requests };
    snapshot.counters.insert(metrics::REQUESTS.name.to_owned(), vec![sample]);
    snapshot
}

/// A state that has seen every recorded snapshot of so many workers.
fn seen(labels: &[&str]) -> State {
    let mut state = State::new(labels.iter().map(|label| (*label).to_owned()));
    for worker in 0..labels.len() {
        for snapshot in recorded() {
            state.take(worker, snapshot);
        }
    }
    state
}

fn one() -> State {
    seen(&["localhost:8080"])
}

fn press(state: &mut State, keys: &[KeyCode]) {
    for key in keys {
        assert_eq!(state.press(KeyEvent::new(*key, KeyModifiers::NONE)), Next::Stay, "{key:?}");
    }
}

fn terminal(state: &State, (width, height): (u16, u16), palette: Palette) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let screen = Screen::of(state);
    terminal.draw(|frame| draw(frame, &screen, palette)).unwrap();
    terminal
}

fn shown(state: &State, size: (u16, u16)) -> String {
    terminal(state, size, Palette::Plain).backend().to_string()
}

fn golden(name: &str, text: &str) {
    expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/top/{name}.txt"))].assert_eq(text);
}

#[test]
fn golden_screens() {
    golden("80x24", &shown(&one(), (80, 24)));
    golden("120x30", &shown(&one(), (120, 30)));
    golden("small", &shown(&one(), (60, 12)));
    golden("too-small", &shown(&one(), (40, 8)));
    golden("nothing-yet", &shown(&State::new(["localhost:8080".to_owned()]), (80, 24)));

    let mut state = one();
    press(&mut state, &[KeyCode::Char('?')]);
    golden("help", &shown(&state, (80, 24)));

    let mut state = one();
    press(&mut state, &[KeyCode::Char('/'), KeyCode::Char('z')]);
    golden("filter", &shown(&state, (80, 24)));

    let mut state = one();
    state.lose(0, "the connection is refused".to_owned(), 75);
    golden("lost", &shown(&state, (80, 24)));

    let mut state = seen(&["10.0.0.3:8080", "10.0.0.4:8080", "10.0.0.5:8080"]);
    state.lose(1, "the worker ends".to_owned(), 3);
    press(&mut state, &[KeyCode::Down, KeyCode::Enter]);
    golden("several", &shown(&state, (100, 24)));
    golden("long-names", &shown(&state, (80, 12)));
    golden("once", &once::table(&state));
}

#[test]
fn golden_screens_of_a_cluster() {
    let mut state = State::new([]);
    golden("no-worker", &shown(&state, (80, 24)));

    let subject = ("search".to_owned(), "minilm".to_owned());
    state.add(7, "minilm-7c9f5d-x2x1w".to_owned(), Some(subject.clone()));
    for snapshot in recorded() {
        state.take(7, snapshot);
    }
    state.alerts = [(subject, vec!["InferenceHighErrorRate (critical)".to_owned()])].into();
    state.note = Some("3 more workers run: choose some with -n or by the names of models".to_owned());
    golden("kube", &shown(&state, (120, 24)));

    state.remove(7);
    (state.note, state.alerts) = (None, Default::default());
    assert_eq!(shown(&state, (80, 24)), shown(&State::new([]), (80, 24)), "a worker that is gone leaves nothing");
}

#[test]
fn golden_screen_of_a_gpu() {
    let mut state = State::new(["localhost:8080".to_owned()]);
    let gpu = Gpu {
        device: "cuda:0".to_owned(),
        name: "NVIDIA L4".to_owned(),
        gpu_type: "l4".to_owned(),
        utilization_pct: Some(45),
        memory_used_bytes: 21 << 30,
        memory_total_bytes: 22 << 30,
        memory_threshold_pct: 85.0,
    };
    for snapshot in recorded() {
        state.take(0, Snapshot { gpu: Some("l4".to_owned()), gpus: vec![gpu.clone()], ..snapshot });
    }
    let text = shown(&state, (80, 24));
    assert!(text.contains("95 % HIGH"), "{text}");
    golden("gpu", &text);
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let mut state = one();
    state.lose(0, "the connection is refused".to_owned(), 75);
    let (plain, colours) = (terminal(&state, (80, 24), Palette::Plain), terminal(&state, (80, 24), Palette::Colours));
    assert_eq!(plain.backend().to_string(), colours.backend().to_string());
    let coloured = |terminal: &Terminal<TestBackend>| {
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert_eq!(coloured(&plain), 0);
    assert!(coloured(&colours) > 10);
}

/// The column at which a text begins in the line of the model.
fn column(text: &str, part: &str) -> usize {
    let line = text.lines().find(|line| line.contains("> ")).unwrap();
    let bytes = line.find(part).unwrap_or_else(|| panic!("no {part:?} in {line}"));
    line[..bytes].chars().count()
}

#[test]
fn nothing_jumps_when_values_grow() {
    let mut columns = std::collections::BTreeSet::new();
    for rate in [0.0, 0.3, 7.0, 12_345.0, 9.9e9] {
        let mut state = State::new(["localhost:8080".to_owned()]);
        for tick in 0..20_u32 {
            let mut snapshot = at(f64::from(tick), rate * f64::from(tick));
            snapshot.models[0].queue_depth = rate as u64;
            snapshot.models[0].memory_bytes = (rate * 1000.0) as u64;
            state.take(0, snapshot);
        }
        let text = shown(&state, (80, 24));
        assert!(text.lines().all(|line| line.chars().count() == 82), "{text}");
        columns.insert(["/s", " texts", "cpu", "loaded"].map(|part| column(&text, part)));
    }
    assert_eq!(columns.len(), 1, "{columns:?}");
}

#[test]
fn keys_do_what_the_help_says() {
    let mut state = seen(&["a:1", "b:2", "c:3"]);
    assert_eq!(state.place(), 0);
    press(&mut state, &[KeyCode::Char('j'), KeyCode::Down, KeyCode::Down]);
    assert_eq!(state.place(), 2, "the last is the last");
    press(&mut state, &[KeyCode::Char('k')]);
    assert_eq!(state.place(), 1);
    press(&mut state, &[KeyCode::Home, KeyCode::Up]);
    assert_eq!(state.place(), 0);
    press(&mut state, &[KeyCode::End]);
    assert_eq!(state.place(), 2);
    assert!(Screen::of(&state).server.ends_with("c:3"), "the server of the chosen model");

    press(
        &mut state,
        &[KeyCode::Char('/'), KeyCode::Char('B'), KeyCode::Char(':'), KeyCode::Char('q'), KeyCode::Backspace],
    );
    assert_eq!(
        (state.filter.as_str(), state.rows().len(), state.place()),
        ("B:", 1, 0),
        "keys are letters of the filter"
    );
    press(&mut state, &[KeyCode::Enter, KeyCode::Char('?')]);
    assert!(!state.is_typing && state.shows_help);
    press(&mut state, &[KeyCode::Char('q')]);
    assert!(!state.shows_help, "a key closes the help, and does nothing else");
    press(&mut state, &[KeyCode::Esc]);
    assert_eq!((state.rows().len(), state.place()), (3, 2), "the chosen one is chosen still");

    press(&mut state, &[KeyCode::Enter]);
    assert_eq!(Screen::of(&state).detail, None);
    for (code, modifiers) in [(KeyCode::Char('q'), KeyModifiers::NONE), (KeyCode::Char('c'), KeyModifiers::CONTROL)] {
        assert_eq!(state.press(KeyEvent::new(code, modifiers)), Next::Quit);
    }
}

#[test]
fn the_order_is_by_what_was_chosen_and_the_chosen_model_stays() {
    let mut state = State::new(["a:1", "b:2"].map(str::to_owned));
    for tick in 0..10_u32 {
        for (worker, rate) in [(0, 1.0), (1, 50.0)] {
            let mut snapshot = at(f64::from(tick), rate * f64::from(tick));
            snapshot.models[0].queue_depth = u64::from(worker == 0);
            state.take(worker, snapshot);
        }
    }
    let order = |state: &State| state.rows().iter().map(|(worker, _)| *worker).collect::<Vec<_>>();
    assert_eq!((order(&state), state.place()), (vec![0, 1], 0));
    press(&mut state, &[KeyCode::Home, KeyCode::Char('s')]);
    assert_eq!((state.sort.name(), order(&state), state.place()), ("requests", vec![1, 0], 1));
    press(&mut state, &[KeyCode::Char('s'), KeyCode::Char('s')]);
    assert_eq!((state.sort.name(), order(&state)), ("queue", vec![0, 1]));
    press(&mut state, &[KeyCode::Char('s')]);
    assert_eq!(state.sort.name(), "name");
}

#[test]
fn a_trend_has_the_newest_last_and_is_blank_where_nothing_was_seen() {
    assert_eq!(spark(&[Some(9.0), None, Some(0.0), Some(4.0), Some(8.0)], 4), " ▁▄█");
    assert_eq!(spark(&[Some(1.0), Some(f64::INFINITY)], 4), "  ██");
    assert_eq!(spark(&[], 3), "   ");
    assert_eq!(spark(&[Some(0.0); 3], 3), "▁▁▁");
}

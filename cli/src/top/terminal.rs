//! The terminal: keys in, screens out, and everything as it was at the end, however that comes.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use anyhow::{Context, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::{Palette, draw};
use super::link::Said;
use super::state::{Next, State};
use super::view::Screen;
use crate::signals::Signalled;

/// How often the loop looks for snapshots and signals; keys wake it at once.
const TICK: Duration = Duration::from_millis(100);

/// Shows workers until the user quits, with exit code 0, or a signal comes, with the code that a shell gives for it.
pub(super) fn show(
    state: State,
    said: &Receiver<Said>,
    (palette, signalled): (Palette, &Signalled),
) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("standard input or output is no terminal; `belfry top --once` prints one look as text");
    }
    // It also makes a panic restore the terminal before its message is written.
    let mut terminal = ratatui::try_init().context("the terminal can't be used")?;
    let ended = watch(&mut terminal, state, said, (palette, signalled));
    ratatui::try_restore().context("the terminal can't be restored")?;
    Ok(match ended? {
        0 => ExitCode::SUCCESS,
        signal => ExitCode::from(128 + signal as u8),
    })
}

/// The loop. It ends with the number of the signal that ended it, or with 0.
fn watch(
    terminal: &mut DefaultTerminal,
    mut state: State,
    said: &Receiver<Said>,
    (palette, signalled): (Palette, &Signalled),
) -> anyhow::Result<usize> {
    let mut has_changed = true;
    loop {
        loop {
            match said.try_recv() {
                Ok(Said::Snapshot(worker, snapshot)) => state.take(worker, *snapshot),
                Ok(Said::Lost(worker, why, time)) => state.lose(worker, why, time.as_secs()),
                Ok(Said::Came(worker, label, subject)) => state.add(worker, label, Some(subject)),
                Ok(Said::Gone(worker)) => state.remove(worker),
                Ok(Said::Looked(note)) => state.note = note,
                Ok(Said::Alerts(alerts)) => state.alerts = alerts,
                Ok(Said::Panicked) => bail!("a link to a worker failed; this is a fault of belfry top"),
                Err(TryRecvError::Empty) => break,
                // Links end only after this loop.
                Err(TryRecvError::Disconnected) => bail!("every link ended"),
            }
            has_changed = true;
        }
        if has_changed {
            let screen = Screen::of(&state);
            terminal.draw(|frame| draw(frame, &screen, palette)).context("the terminal can't be written to")?;
            has_changed = false;
        }
        if event::poll(TICK).context("no keys can be read")? {
            match event::read().context("no keys can be read")? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    if state.press(key) == Next::Quit {
                        return Ok(0);
                    }
                    has_changed = true;
                }
                Event::Resize(..) => has_changed = true,
                _ => {}
            }
        }
        if let Some(signal) = signalled.signal() {
            return Ok(signal);
        }
    }
}

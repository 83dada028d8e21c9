//! The screen as widgets.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Clear, HighlightSpacing, Paragraph, Row, Table, TableState};

use super::units::{BYTES_WIDTH, RATE_WIDTH, SECONDS_WIDTH};
use super::view::{Detail, Device, Model, Mood, QUEUE_WIDTH, Screen, spark};

/// The least size that the tables fit in.
const LEAST: (u16, u16) = (60, 10);

/// Columns of a trend in a table, and of one in the last minute.
const TREND: u16 = 10;
const LONG_TREND: u16 = 30;

const HELP: &str = "\
 j, Down     next model            s      sort: name, requests, p95, queue
 k, Up       model before          /      filter by model or worker
 Home, End   first and last        Esc    clear the filter
 Enter       show or hide the last minute of the chosen model
 q, Ctrl-C   quit                  ?      this help

 Rates are those of the last two seconds. p95 is that of the last minute, as the
 buckets of the worker's histogram give it; > means beyond the last bucket.
 Memory is that of the process, against its container's limit, or the machine's
 where it has none. HIGH: at or above the threshold, which | marks in the bar.
 A bar is one second; the highest is the most of that row. Blank: not seen.

 Any key closes this.";

/// Whether to use colours. Words say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Colours,
    Plain,
}

impl Palette {
    fn of(self, mood: Mood) -> Style {
        let colour = match (self, mood) {
            (Self::Plain, Mood::Bad) => return Style::new().add_modifier(Modifier::BOLD),
            (Self::Plain, _) => return Style::new(),
            (Self::Colours, Mood::Good) => Color::Green,
            (Self::Colours, Mood::Busy) => Color::Yellow,
            (Self::Colours, Mood::Bad) => Color::Red,
        };
        Style::new().fg(colour)
    }

    fn trend(self) -> Style {
        match self {
            Self::Colours => Style::new().fg(Color::Cyan),
            Self::Plain => Style::new(),
        }
    }
}

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, palette: Palette) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text =
            format!("The terminal has {}x{}; belfry top needs {}x{}.", area.width, area.height, LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let devices = screen.devices.len().min(8) as u16 + 1;
    // Models go before the last minute where there is not room for both.
    let detail = screen.detail.as_ref().map_or(0, |detail| detail.lines.len() as u16 + 1);
    let detail = if area.height < devices + detail + 7 { 0 } else { detail };
    let [server, link, top, models, below, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(devices + 1),
        Constraint::Min(2),
        Constraint::Length(detail),
        Constraint::Length(1),
    ])
    .areas(area);
    frame
        .render_widget(Paragraph::new(screen.server.as_str()).style(Style::new().add_modifier(Modifier::BOLD)), server);
    frame.render_widget(Span::styled(screen.link.0.as_str(), palette.of(screen.link.1)), link);
    frame.render_widget(device_table(&screen.devices, palette), top);
    if screen.models.is_empty() {
        frame.render_widget(screen.empty, models);
    } else {
        let mut chosen = TableState::new().with_selected(screen.chosen);
        frame.render_stateful_widget(model_table(&screen.models, palette, models.width), models, &mut chosen);
    }
    if let Some(last_minute) = screen.detail.as_ref().filter(|_| detail > 0) {
        frame.render_widget(detail_table(last_minute, palette), below);
    }
    frame.render_widget(screen.footer.as_str(), footer);
    if screen.shows_help {
        help(frame, area);
    }
}

fn head<'a>(names: impl IntoIterator<Item = &'a str>) -> Row<'a> {
    Row::new(names).style(Style::new().add_modifier(Modifier::DIM))
}

fn device_table(devices: &[Device], palette: Palette) -> Table<'_> {
    let row = |device: &'_ Device| {
        let trend = Span::styled(spark(&device.trend, TREND.into()), palette.trend());
        let share = Span::styled(device.share.0.clone(), palette.of(device.share.1));
        Row::new([
            Cell::new(device.device.clone()),
            Cell::new(device.name.clone()),
            Cell::new(device.usage.clone()),
            Cell::new(trend),
            Cell::new(device.memory.clone()),
            Cell::new(device.bar.clone()),
            Cell::new(share),
        ])
    };
    let widths = [
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(TREND),
        Constraint::Length(2 * BYTES_WIDTH as u16 + 3),
        Constraint::Length(10),
        Constraint::Length(11),
    ];
    let names = ["DEVICE", "NAME", " USAGE", "LAST 10 s", "  MEMORY", "", " SHARE"];
    Table::new(devices.iter().map(row), widths).header(head(names))
}

/// A name in so many columns; one that is longer ends with a sign of that.
fn cut(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    name.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn model_table(models: &[Model], palette: Palette, width: u16) -> Table<'_> {
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(BYTES_WIDTH as u16),
        Constraint::Length(QUEUE_WIDTH as u16),
        Constraint::Length(RATE_WIDTH as u16),
        Constraint::Length(TREND),
        Constraint::Length(SECONDS_WIDTH as u16),
    ];
    // The mark of the chosen row, and a blank between two columns.
    let taken: u16 =
        widths.iter().map(|width| if let Constraint::Length(columns) = width { columns + 1 } else { 2 }).sum();
    let room = width.saturating_sub(taken).into();
    let row = |model: &'_ Model| {
        Row::new([
            Cell::new(cut(&model.name, room)),
            Cell::new(Span::styled(model.state.0.clone(), palette.of(model.state.1))),
            Cell::new(model.device.clone()),
            Cell::new(model.memory.clone()),
            Cell::new(model.queue.clone()),
            Cell::new(model.rate.clone()),
            Cell::new(Span::styled(spark(&model.trend, TREND.into()), palette.trend())),
            Cell::new(model.p95.clone()),
        ])
    };
    let names = ["MODEL", "STATE", "DEVICE", "  MEMORY", "      QUEUE", "   RATE", "LAST 10 s", "    P95"];
    Table::new(models.iter().map(row), widths)
        .header(head(names))
        .highlight_symbol("> ")
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD))
}

fn detail_table(detail: &Detail, palette: Palette) -> Table<'_> {
    let row = |line: &'_ super::view::Line| {
        Row::new([
            Cell::new(line.name),
            Cell::new(Text::from(line.now.clone()).right_aligned()),
            Cell::new(Span::styled(spark(&line.trend, LONG_TREND.into()), palette.trend())),
            Cell::new(line.note.clone()),
        ])
    };
    let widths = [Constraint::Length(11), Constraint::Length(11), Constraint::Length(LONG_TREND), Constraint::Fill(1)];
    let block = Block::new().borders(Borders::TOP).title(Line::from(detail.title.as_str()));
    Table::new(detail.lines.iter().map(row), widths).block(block)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (HELP.lines().map(str::len).max().unwrap_or(0) as u16 + 4, HELP.lines().count() as u16 + 2);
    let area = area.centered(Constraint::Length(width.min(area.width)), Constraint::Length(height.min(area.height)));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" belfry top ")), area);
}

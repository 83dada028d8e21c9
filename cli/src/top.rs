//! `belfry top`: workers as they are now, in a terminal. State and screens are pure (`state`, `history`, `view`, `draw`); sockets and
//! the terminal are the shell around them (`link`, `terminal`).

mod address;
mod draw;
mod history;
mod link;
mod once;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod units;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use self::address::Address;
use self::draw::Palette;
use self::link::Link;
use self::state::State;

/// Most workers at once.
const MOST: usize = 64;

/// Time over which `--once` takes rates.
const LOOK: Duration = Duration::from_millis(1200);

/// Which workers, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Workers as host:port; without a port, 8080. By default localhost:8080, where `kubectl port-forward` to a pod of a model listens.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,

    /// The same, as SIE's sie-top takes it; may be repeated.
    #[arg(long = "worker", value_name = "ADDRESS")]
    workers: Vec<String>,

    /// File with the API key of the workers. Without it, the key is taken from the variable BELFRY_API_KEY, if that is set.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Print one look, and end.
    #[arg(long)]
    once: bool,

    /// What --once prints: tables, or each worker's snapshot as JSON.
    #[arg(long, value_enum, default_value_t = Output::Table, requires = "once")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Shows the workers. Fails before it shows anything if one of them can't be watched.
pub(crate) fn top(args: &Args) -> anyhow::Result<(String, ExitCode)> {
    let addresses = addresses(args)?;
    let key = key(args)?;
    let mut links = vec![];
    for address in &addresses {
        let open = Link::open(address, key.as_deref()).map_err(|trouble| unwatched(args, address, trouble));
        links.push(open?);
    }
    let labels = addresses.iter().map(Address::label);
    if args.once {
        return Ok((look(links, labels.collect(), args.output)?, ExitCode::SUCCESS));
    }
    let mut state = State::new(labels);
    let (say, said) = channel();
    for (worker, (address, mut link)) in addresses.into_iter().zip(links).enumerate() {
        // A server that is no worker shows itself before the screen does.
        let (_, snapshot) =
            link.next().map_err(|trouble| anyhow::anyhow!("{}: {}", address.label(), trouble.words()))?;
        state.take(worker, snapshot);
        link::spawn((worker, address), key.clone(), Some(link), say.clone()).context("no thread for a link")?;
    }
    // https://no-color.org
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let palette = if is_plain { Palette::Plain } else { Palette::Colours };
    Ok((String::new(), terminal::show(state, &said, palette)?))
}

/// What to say of a worker that can't be watched. Who names none expects one on this machine, and may not have brought it here.
fn unwatched(args: &Args, address: &Address, trouble: link::Trouble) -> anyhow::Error {
    let is_named = !args.addresses.is_empty() || !args.workers.is_empty();
    let hint = match &trouble {
        link::Trouble::Passing(_) if !is_named => "; name a worker, or run `kubectl port-forward pod/NAME 8080` first",
        _ => "",
    };
    anyhow::anyhow!("{}: {}{hint}", address.label(), trouble.words())
}

fn addresses(args: &Args) -> anyhow::Result<Vec<Address>> {
    let mut given: Vec<&str> = args.addresses.iter().chain(&args.workers).map(String::as_str).collect();
    if given.is_empty() {
        given.push("localhost");
    }
    if given.len() > MOST {
        bail!("{} workers are given, and belfry top shows at most {MOST}; leave some out", given.len());
    }
    given.into_iter().map(Address::read).collect()
}

/// The key of the workers. No message shows it.
fn key(args: &Args) -> anyhow::Result<Option<String>> {
    let (place, text) = match (&args.api_key_file, std::env::var("BELFRY_API_KEY")) {
        (Some(path), _) => {
            let place = format!("--api-key-file {}", path.display());
            (place.clone(), std::fs::read_to_string(path).with_context(|| place)?)
        }
        (None, Ok(text)) if !text.is_empty() => ("BELFRY_API_KEY".to_owned(), text),
        (None, Err(std::env::VarError::NotUnicode(_))) => {
            bail!("BELFRY_API_KEY: the key has letters that are not ASCII")
        }
        (None, _) => return Ok(None),
    };
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{place}: a key is one word of ASCII letters, and nothing else");
    }
    Ok(Some(key.to_owned()))
}

/// One look: of JSON the first snapshot, and for tables snapshots until there are rates.
fn look(links: Vec<Link>, labels: Vec<String>, output: Output) -> anyhow::Result<String> {
    let mut state = State::new(labels.clone());
    let mut texts = vec![];
    for (worker, (mut link, label)) in links.into_iter().zip(labels).enumerate() {
        let end = Instant::now() + if output == Output::Json { Duration::ZERO } else { LOOK };
        let text = loop {
            let (text, snapshot) = link.next().map_err(|trouble| anyhow::anyhow!("{label}: {}", trouble.words()))?;
            state.take(worker, snapshot);
            if Instant::now() >= end {
                break text;
            }
        };
        texts.push((label, text));
    }
    if output == Output::Json { once::json(&texts) } else { Ok(once::table(&state)) }
}

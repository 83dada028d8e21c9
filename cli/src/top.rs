//! `belfry top`: workers as they are now, in a terminal. State and screens are pure (`state`, `history`, `view`, `draw`). The shell
//! around them is the terminal (`terminal`), the sockets (`link`), and for the workers of a cluster kubectl (`search`, `fleet`,
//! `tunnel`).

mod address;
mod draw;
mod fleet;
mod history;
mod link;
mod once;
mod place;
mod search;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod tunnel;
mod units;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use self::address::Address;
use self::draw::Palette;
use self::link::Trouble;
use self::place::Place;
use self::search::{Pod, Scope, Search};
use self::state::State;
use crate::children;
use crate::kubectl::Kubectl;
use crate::signals::Signalled;

/// Most workers at once.
const MOST: usize = 64;

/// Time over which `--once` takes rates.
const LOOK: Duration = Duration::from_millis(1200);

/// After a signal the screen ends within a tick, or never.
const GRACE: Duration = Duration::from_secs(2);

/// Which workers, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Workers as host:port; without a port, 8080. By default localhost:8080, where `kubectl port-forward` to a pod of a model listens.
    /// With --kube, names of InferenceModels.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,

    /// The same, as SIE's sie-top takes it; may be repeated.
    #[arg(long = "worker", value_name = "ADDRESS", conflicts_with = "kube")]
    workers: Vec<String>,

    /// Find the workers of InferenceModels in the cluster of kubectl's context, and reach them by `kubectl port-forward`.
    #[arg(long)]
    kube: bool,

    /// With --kube: namespace to look in. Default: that of kubectl's context.
    #[arg(short, long, requires = "kube")]
    namespace: Option<String>,

    /// With --kube: look in all namespaces.
    #[arg(short = 'A', long, requires = "kube", conflicts_with = "namespace")]
    all_namespaces: bool,

    /// With --kube: context of kubectl's configuration.
    #[arg(long, requires = "kube")]
    context: Option<String>,

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

/// Shows the workers. Fails before it shows anything if one that was named can't be watched.
pub(crate) fn top(args: &Args) -> anyhow::Result<(String, ExitCode)> {
    let key = key(args)?;
    let signalled = Signalled::watch(if args.once { Duration::ZERO } else { GRACE })?;
    // Whatever way this ends, no kubectl goes on alone.
    let _end = children::EndAll;
    let (say, said) = channel();
    let mut state = State::new([]);
    match (args.search(), args.once) {
        (None, true) => return one_look(args, args.places()?, key.as_deref()),
        (Some(search), true) => {
            let places = found(&search)?.into_iter().map(|pod| Place::Pod(search.clone(), pod)).collect();
            return one_look(args, places, key.as_deref());
        }
        (None, false) => {
            for (worker, place) in args.places()?.into_iter().enumerate() {
                let open = place.open(key.as_deref());
                let mut link = open.map_err(|trouble| unwatched(args, &place, trouble))?;
                // A server that is no worker shows itself before the screen does.
                let (_, snapshot) = link.next().map_err(|trouble| unwatched(args, &place, trouble))?;
                state.add(worker, place.label(), None);
                state.take(worker, snapshot);
                let forever = Arc::new(AtomicBool::new(true));
                let spawned = link::spawn((worker, place, Some(link)), key.clone(), forever, say.clone());
                spawned.context("no thread for a link")?;
            }
        }
        (Some(search), false) => {
            let first = found(&search)?;
            fleet::spawn(search, first, key, say).context("no thread to look for workers")?;
        }
    }
    // https://no-color.org
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let palette = if is_plain { Palette::Plain } else { Palette::Colours };
    Ok((String::new(), terminal::show(state, &said, (palette, &signalled))?))
}

/// The workers that run, of which there must be one.
fn found(search: &Search) -> anyhow::Result<Vec<Pod>> {
    let workers = search.workers()?;
    if workers.is_empty() {
        bail!("{}", search.none());
    }
    Ok(workers)
}

/// What to say of a worker that can't be watched. Who names none expects one on this machine, and may not have brought it here.
fn unwatched(args: &Args, place: &Place, trouble: Trouble) -> anyhow::Error {
    let is_named = !args.addresses.is_empty() || !args.workers.is_empty();
    let hint = match &trouble {
        Trouble::Passing(_) if !is_named => "; name a worker, or find those of a cluster with --kube",
        _ => "",
    };
    anyhow::anyhow!("{}: {}{hint}", place.label(), trouble.words())
}

impl Args {
    /// The addresses that were given.
    fn places(&self) -> anyhow::Result<Vec<Place>> {
        let mut given: Vec<&str> = self.addresses.iter().chain(&self.workers).map(String::as_str).collect();
        if given.is_empty() {
            given.push("localhost");
        }
        if given.len() > MOST {
            bail!("{} workers are given, and belfry top shows at most {MOST}; leave some out", given.len());
        }
        given.into_iter().map(|text| Address::read(text).map(Place::Address)).collect()
    }

    /// How workers are found, if they are.
    fn search(&self) -> Option<Search> {
        let scope = match (&self.namespace, self.all_namespaces) {
            (_, true) => Scope::All,
            (Some(namespace), false) => Scope::Namespace(namespace.clone()),
            (None, false) => Scope::Default,
        };
        let kubectl = Kubectl::new(self.context.clone());
        self.kube.then(|| Search { kubectl, scope, models: self.addresses.clone() })
    }
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

/// One look at all workers at once. One that was named has to be there; of those that were found, what can be seen is shown.
fn one_look(args: &Args, places: Vec<Place>, key: Option<&str>) -> anyhow::Result<(String, ExitCode)> {
    if args.kube && places.len() > fleet::MOST {
        let (found, most) = (places.len(), fleet::MOST);
        bail!(
            "{found} workers run, and belfry top shows at most {most}: choose some with -n or by the names of models"
        );
    }
    let time = if args.output == Output::Json { Duration::ZERO } else { LOOK };
    let looks = once::look(places, key, time);
    let is_whole = looks.iter().all(|look| look.seen.is_ok());
    if !args.kube {
        let failed = looks.iter().find_map(|look| Some((&look.place, look.seen.as_ref().err()?.clone())));
        if let Some((place, trouble)) = failed {
            return Err(unwatched(args, place, trouble));
        }
    }
    let text = if args.output == Output::Json { once::json(&looks)? } else { once::tables(looks) };
    Ok((text, if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

//! `belfry bundle`: everything that is known of a model, for who is on call, as one archive with one page.
//!
//! `collect` asks the cluster by kubectl; what it can't have is listed with the reason, and nothing else is lost. `redact` takes secrets out
//! of what is written, `page` is what a person reads first.

mod archive;
mod collect;
mod difference;
mod page;
mod redact;
mod report;
mod wanted;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use belfry_render::monitoring::runbook_pages::is_name;
use k8s_openapi::jiff::Timestamp;

use self::archive::Archive;
use crate::children;
use crate::kubectl::Kubectl;
use crate::signals::Signalled;

/// Which model, and where the archive goes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the InferenceModel.
    model: String,

    /// Namespace of the model. Default: that of kubectl's context.
    #[arg(short, long)]
    namespace: Option<String>,

    /// Context of kubectl's configuration.
    #[arg(long)]
    context: Option<String>,

    /// The archive. Default: belfry-NAMESPACE-MODEL-TIME.tar.gz in this folder.
    #[arg(short, long)]
    output: Option<PathBuf>,

    /// Last lines of each container's log.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: u32,
}

/// Collects, and writes the archive. Returns what to say about it.
pub(crate) fn bundle(args: &Args) -> anyhow::Result<String> {
    for name in [Some(&args.model), args.namespace.as_ref()].into_iter().flatten() {
        if !is_name(name) {
            bail!("{name:?} is no name of an object of Kubernetes");
        }
    }
    if args.output.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        bail!("--output -: an archive is not written to standard output; name a file");
    }
    let _signalled = Signalled::watch(Duration::ZERO)?;
    // Whatever way this ends, no kubectl goes on alone.
    let _end = children::EndAll;
    let now = Timestamp::now();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    // A path that can't be written to shows itself before minutes are spent.
    let named = args.output.as_ref().map(|path| Archive::create(path.clone())).transpose()?;
    let kubectl = Kubectl::new(args.context.clone());
    if std::io::stderr().is_terminal() {
        // A closed pipe is no reason to end.
        drop(writeln!(std::io::stderr(), "belfry: collects; that may take half a minute"));
    }
    let case = collect::collect(&kubectl, &args.model, args.namespace.as_deref(), args.lines)?;
    let stem = format!("belfry-{}-{}-{time}", case.namespace, case.name);
    let page = page::page(&case, &now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let archive = named.map_or_else(|| Archive::create(format!("{stem}.tar.gz").into()), Ok)?;
    let mut files = case.files.clone();
    files.insert("index.html".to_owned(), page);
    let path = archive.write(&stem, &files)?;
    Ok(report::summary(&case, &path))
}

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

use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::jiff::Timestamp;

use crate::kubectl::Kubectl;

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
    let now = Timestamp::now();
    let kubectl = Kubectl::new(args.context.clone());
    let case = collect::collect(&kubectl, &args.model, args.namespace.as_deref(), args.lines)?;
    let stem = format!("belfry-{}-{}-{}", case.namespace, case.name, now.strftime("%Y%m%dT%H%M%SZ"));
    let page = page::page(&case, &now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let path = args.output.clone().unwrap_or_else(|| format!("{stem}.tar.gz").into());
    let mut files = case.files.clone();
    files.insert("index.html".to_owned(), page);
    archive::write(&path, &stem, &files).with_context(|| format!("can't write {}", path.display()))?;
    Ok(report::summary(&case, &path))
}

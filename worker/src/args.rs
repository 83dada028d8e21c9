//! Every setting of the worker: a flag, the environment variable that the operator sets, a default and a bound.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::pipeline::Task;
use belfry_crds::contract::{DRAIN_DELAY_SECONDS, DRAIN_TIMEOUT_SECONDS, PORT, defaults, env};
use belfry_traces::TraceArgs;
use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand, ValueEnum};

mod access;
mod gpus;
mod logs;
mod source;
pub use access::{AccessArgs, Origin};
pub use gpus::GpuArgs;
pub use logs::LogArgs;
pub use source::{Keys, Secret, Source};

/// Serves one text embedding model over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(name = "belfry-worker", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// What to do instead of serving, if anything.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Address to listen on
    #[arg(long, default_value_t = SocketAddr::from(([0, 0, 0, 0], PORT)))]
    pub listen: SocketAddr,
    /// Address of a port for the metrics alone; without it they are at /metrics of --listen
    #[arg(long, env = env::METRICS_LISTEN, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Name that requests and responses use for the model; by default the folder's or the repository's
    #[arg(long, env = env::SERVED_NAME)]
    pub served_name: Option<String>,
    /// Where the model comes from.
    #[command(flatten)]
    pub source: Source,
    /// What the model is for; auto takes it from the model's files
    #[arg(long, env = env::TASK, value_enum, default_value_t = Task::Auto)]
    pub task: Task,
    /// What the forward pass runs on.
    #[command(flatten)]
    pub compute: Compute,
    /// How GPUs are measured.
    #[command(flatten)]
    pub gpus: GpuArgs,
    /// Limits of requests, batches and the queue.
    #[command(flatten)]
    pub limits: Limits,
    /// Limits of connections.
    #[command(flatten)]
    pub connections: Connections,
    /// Who may ask.
    #[command(flatten)]
    pub access: AccessArgs,
    /// What texts are compared with.
    #[command(flatten)]
    pub quality: QualityArgs,
    /// How the worker shuts down.
    #[command(flatten)]
    pub lifecycle: LifecycleArgs,
    /// What it logs.
    #[command(flatten)]
    pub logs: LogArgs,
    /// Whether it traces.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Prints the digest of the model in a folder, for spec.model.sha256, and what it is made of
    Digest {
        /// Folder with config.json, tokenizer.json and model.safetensors
        folder: PathBuf,
        /// Print the manifest, a line for each file, instead of its digest
        #[arg(long)]
        manifest: bool,
    },
}

/// What the forward pass runs on.
#[derive(Clone, Debug, clap::Args)]
pub struct Compute {
    /// Device of the model
    #[arg(long, env = env::DEVICE, value_enum, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Type of weights and activations; auto is bfloat16 where the hardware multiplies it natively, else float32
    #[arg(long, env = env::DTYPE, value_enum, default_value_t = DtypeArg::Auto)]
    pub dtype: DtypeArg,
    /// Compute threads; 0 takes the CPU limit of the container, rounded down, or else the number of cores
    #[arg(long, env = env::THREADS, default_value_t = 0, value_parser = bounded(0, 1024))]
    pub threads: usize,
}

/// `--device`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "a variant's doc comment would become a line of --help")]
pub enum DeviceArg {
    Cpu,
    Cuda,
}

/// `--dtype`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "a variant's doc comment would become a line of --help")]
pub enum DtypeArg {
    Auto,
    Float32,
    Bfloat16,
    Float16,
}

/// Limits of requests, batches and the queue.
#[derive(Clone, Debug, clap::Args)]
pub struct Limits {
    /// Most tokens in one forward pass; one text always fits
    #[arg(long, env = env::MAX_BATCH_TOKENS, default_value_t = defaults::MAX_BATCH_TOKENS as usize, value_parser = bounded(1, 1 << 20))]
    pub max_batch_tokens: usize,
    /// Most texts in one forward pass
    #[arg(long, env = env::MAX_BATCH_SIZE, default_value_t = defaults::MAX_BATCH_SIZE as usize, value_parser = bounded(1, 1 << 16))]
    pub max_batch_size: usize,
    /// Most texts in one request, and an eighth of the most in one to /v1/embeddings; more than the queue holds pass through it in parts
    #[arg(long, env = env::MAX_CLIENT_BATCH_SIZE, default_value_t = defaults::MAX_CLIENT_BATCH_SIZE as usize, value_parser = bounded(1, 1 << 14))]
    pub max_client_batch_size: usize,
    /// Most texts waiting; one more is answered with 429
    #[arg(long, env = env::QUEUE_CAPACITY, default_value_t = defaults::QUEUE_CAPACITY as usize, value_parser = bounded(1, 1 << 20))]
    pub queue_capacity: usize,
    /// Milliseconds after which a request is answered with 504; a request may ask for fewer with x-request-timeout-ms
    #[arg(long, env = env::REQUEST_TIMEOUT_MS, default_value_t = u64::from(defaults::REQUEST_TIMEOUT_MS), value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub request_timeout_ms: u64,
    /// Cut a text that is too long, where a request does not say; otherwise such a text is refused
    #[arg(long, env = env::AUTO_TRUNCATE, num_args = 0..=1, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub auto_truncate: bool,
    /// Take token ids in /v1/embeddings: callers use the model's own vocabulary
    #[arg(long, env = env::ACCEPT_TOKEN_IDS, num_args = 0..=1, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub accept_token_ids: bool,
}

impl Limits {
    /// Time from the last byte of a request to 504; 30 seconds by default, an hour at most.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

/// Limits of connections.
#[derive(Clone, Debug, clap::Args)]
pub struct Connections {
    /// Most connections of callers; on one more only probes and scrapes are answered
    #[arg(long, env = env::MAX_CONNECTIONS, default_value_t = 4096, value_parser = bounded(1, 1 << 16))]
    pub max_connections: usize,
    /// Seconds that a connection may wait for its next request; longer than the pools of usual clients and proxies keep one
    #[arg(long, env = env::KEEP_ALIVE_SECONDS, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub keep_alive_seconds: u64,
}

impl Connections {
    /// Time that a connection may wait for its next request.
    pub fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds)
    }
}

/// What texts are compared with.
#[derive(Clone, Debug, clap::Args)]
pub struct QualityArgs {
    /// File with the baseline that the last hour's texts are compared with; it may come later, and one that can't be used is said and left out
    #[arg(long, env = env::QUALITY_BASELINE, value_name = "FILE")]
    pub quality_baseline: Option<PathBuf>,
}

/// How the worker shuts down.
#[derive(Clone, Debug, clap::Args)]
pub struct LifecycleArgs {
    /// Seconds between SIGTERM and the first refused request
    #[arg(long, env = env::DRAIN_DELAY_SECONDS, default_value_t = u64::from(DRAIN_DELAY_SECONDS), value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub drain_delay_seconds: u64,
    /// Seconds between SIGTERM and the exit, even if requests are still running
    #[arg(long, env = env::DRAIN_TIMEOUT_SECONDS, default_value_t = u64::from(DRAIN_TIMEOUT_SECONDS), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub drain_timeout_seconds: u64,
    /// File for the reason of a failed load
    #[arg(long, env = env::TERMINATION_LOG, value_name = "FILE")]
    pub termination_log: Option<PathBuf>,
}

fn bounded(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

impl Args {
    /// The name that requests and responses use.
    pub fn name(&self) -> String {
        let of_folder = |folder: &PathBuf| folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let of_bucket = |uri: &String| uri.trim_end_matches('/').rsplit('/').next().map(ToOwned::to_owned);
        self.served_name
            .clone()
            .or_else(|| self.source.hf_repo.clone())
            .or_else(|| self.source.s3_uri.as_ref().and_then(of_bucket))
            .or_else(|| self.source.model.as_ref().and_then(of_folder))
            .unwrap_or_else(|| "model".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn a_model_comes_from_exactly_one_place() {
        assert!(parse("belfry-worker").is_err());
        assert!(parse("belfry-worker --model /m --hf-repo a/b").is_err());
        assert!(parse("belfry-worker --model /m --s3-uri s3://b/x").is_err());
        assert!(parse("belfry-worker --hf-repo a/b --s3-uri s3://b/x").is_err());
        assert_eq!(parse("belfry-worker --s3-uri s3://b/x/tiny/").unwrap().name(), "tiny");
        assert_eq!(parse("belfry-worker --model /models/minilm").unwrap().name(), "minilm");
        assert_eq!(parse("belfry-worker --hf-repo a/b").unwrap().name(), "a/b");
        assert_eq!(parse("belfry-worker --model /m --served-name x").unwrap().name(), "x");
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let args = parse("belfry-worker --model /m").unwrap();
        assert_eq!(args.listen.port(), PORT);
        assert_eq!(args.limits.max_batch_tokens, defaults::MAX_BATCH_TOKENS as usize);
        assert_eq!(args.limits.max_client_batch_size, defaults::MAX_CLIENT_BATCH_SIZE as usize);
        assert_eq!(args.limits.request_timeout(), Duration::from_secs(30));
        assert!(!args.logs.json_logs && args.logs.log_requests == 0.0);
        assert_eq!(args.source.download_timeout_seconds, u64::from(defaults::DOWNLOAD_TIMEOUT_SECONDS));
        assert_eq!(args.source.stall_timeout_seconds, u64::from(defaults::STALL_TIMEOUT_SECONDS));
    }

    #[test]
    fn no_secret_is_shown() {
        let args = parse("belfry-worker --hf-repo a/b --hf-token hunter2 --s3-access-key-id id --s3-secret-access-key hunter2 --s3-session-token hunter2").unwrap();
        assert_eq!(args.source.keys().unwrap().secret.reveal(), "hunter2");
        let shown = format!("{args:?} {:?}", args.source.keys());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_digest_is_64_digits_and_its_command_needs_no_model() {
        assert!(parse(&format!("belfry-worker --model /m --model-sha256 {}", "a".repeat(64))).is_ok());
        for bad in ["a".repeat(63), "A".repeat(64), "g".repeat(64)] {
            assert!(parse(&format!("belfry-worker --model /m --model-sha256 {bad}")).is_err(), "{bad}");
        }
        assert!(matches!(
            parse("belfry-worker digest /m").unwrap().command,
            Some(Command::Digest { manifest: false, .. })
        ));
    }

    #[test]
    fn a_limit_out_of_its_bounds_is_refused() {
        for flag in ["--max-batch-tokens 0", "--queue-capacity 0", "--request-timeout-ms 0", "--threads 5000"] {
            assert!(parse(&format!("belfry-worker --model /m {flag}")).is_err(), "{flag}");
        }
    }
}

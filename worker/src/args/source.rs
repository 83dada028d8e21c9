//! Where the model comes from, and how long it may take.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use belfry_crds::contract::{CACHE_MOUNT, defaults, env};

/// Where the model comes from: a folder, a repository on the hub, or a folder in a bucket.
#[derive(Clone, Debug, clap::Args)]
pub struct Source {
    /// Folder with config.json, tokenizer.json and model.safetensors
    #[arg(long, env = env::MODEL, value_name = "FOLDER", required_unless_present_any = ["hf_repo", "s3_uri"], conflicts_with_all = ["hf_repo", "s3_uri"])]
    pub model: Option<PathBuf>,
    /// Repository on the hub, as owner/name
    #[arg(long, env = env::HF_REPO, value_name = "REPO", conflicts_with = "s3_uri")]
    pub hf_repo: Option<String>,
    /// Commit, tag or branch of the repository
    #[arg(long, env = env::HF_REVISION, value_name = "REVISION", default_value = "main")]
    pub hf_revision: String,
    /// Base address of the hub, for a mirror
    #[arg(long, env = env::HF_ENDPOINT, value_name = "URL")]
    pub hf_endpoint: Option<String>,
    /// Access token for the hub
    #[arg(long, env = env::HF_TOKEN, value_name = "TOKEN", hide_env_values = true)]
    pub hf_token: Option<Secret>,
    /// Folder in a bucket, as s3://bucket/folder
    #[arg(long, env = env::S3_URI, value_name = "URI")]
    pub s3_uri: Option<String>,
    /// Base address of a service that speaks S3; by default Amazon's
    #[arg(long, env = env::S3_ENDPOINT, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, env = env::S3_REGION, value_name = "REGION", default_value = defaults::S3_REGION)]
    pub s3_region: String,
    /// Id of the access key for S3; without it requests are not signed
    #[arg(long, env = env::AWS_ACCESS_KEY_ID, value_name = "ID", hide_env_values = true)]
    pub s3_access_key_id: Option<String>,
    /// The secret that belongs to it
    #[arg(long, env = env::AWS_SECRET_ACCESS_KEY, value_name = "SECRET", hide_env_values = true)]
    pub s3_secret_access_key: Option<Secret>,
    /// Token of temporary credentials
    #[arg(long, env = env::AWS_SESSION_TOKEN, value_name = "TOKEN", hide_env_values = true)]
    pub s3_session_token: Option<Secret>,
    /// File with the certificates of the authorities that hub and bucket are trusted by, instead of the public ones; SSL_CERT_FILE and
    /// SSL_CERT_DIR do the same
    #[arg(long, env = env::CA_FILE, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the manifest that the model must have, as `belfry-worker digest` prints it
    #[arg(long, env = env::MODEL_SHA256, value_name = "DIGEST", value_parser = digest)]
    pub model_sha256: Option<String>,
    /// Folder for downloads; several workers may share it
    #[arg(long, env = env::CACHE, value_name = "FOLDER", default_value = CACHE_MOUNT)]
    pub cache: PathBuf,
    /// Seconds that the whole download may take
    #[arg(long, env = env::DOWNLOAD_TIMEOUT_SECONDS, default_value_t = u64::from(defaults::DOWNLOAD_TIMEOUT_SECONDS), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub download_timeout_seconds: u64,
    /// Seconds without a byte after which a connection is dropped
    #[arg(long, env = env::STALL_TIMEOUT_SECONDS, default_value_t = u64::from(defaults::STALL_TIMEOUT_SECONDS), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub stall_timeout_seconds: u64,
    /// Milliseconds before the first retry of a download; the pause doubles with each retry
    #[arg(long, hide = true, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub download_pause_ms: u64,
}

/// An access key of S3.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Id of the key; it is not a secret.
    pub id: String,
    /// The secret that requests are signed with.
    pub secret: Secret,
    /// Session token of temporary credentials.
    pub session: Option<Secret>,
}

impl Source {
    /// The access key, if there is one.
    pub fn keys(&self) -> Option<Keys> {
        let filled = |text: &&String| !text.is_empty();
        let id = self.s3_access_key_id.as_ref().filter(filled)?.clone();
        let session = self.s3_session_token.clone().filter(|token| !token.reveal().is_empty());
        Some(Keys { id, secret: self.s3_secret_access_key.clone()?, session })
    }
}

/// A value that must not be shown: logs and panics show `…` in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret, for the request that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

fn digest(text: &str) -> Result<String, String> {
    let digits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits { Ok(text.to_owned()) } else { Err("64 hexadecimal digits in lower case".to_owned()) }
}

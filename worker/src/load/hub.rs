//! Downloads from the hub into the layout that its own clients use: models--owner--name/{blobs,refs,snapshots}.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::folder::Folder;
use super::{Result, failure};
use crate::args::Source;

/// Files beside the weights. The first two a model must have, but a message about a missing one is the folder's.
const FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
];

/// A download that broke off is tried this often. The crate's own retries are not used: when a connection fails before
/// the first byte, they append the whole file to the part that is there.
const TRIES: usize = 4;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Fetches a repository at a revision; what is in the cache is not fetched again.
pub fn fetch(repo: &str, source: &Source) -> Result<Folder> {
    let hub = Hub { repo, source };
    fs::create_dir_all(&source.cache).map_err(|error| {
        let message = format!("{}: cannot be created: {error}; mount a writable cache", source.cache.display());
        failure(Reason::DownloadFailed, message)
    })?;
    // A commit never changes, so a complete snapshot of it needs no hub.
    if let Some(folder) = hub.cached() {
        return Ok(folder);
    }
    tracing::info!(repo, revision = source.hf_revision, "Downloading model");
    hub.download()
}

struct Hub<'a> {
    repo: &'a str,
    source: &'a Source,
}

impl Hub<'_> {
    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repo.to_owned(), RepoType::Model, revision.to_owned())
    }

    fn cache(&self) -> Cache {
        Cache::new(self.source.cache.clone())
    }

    /// The snapshot in the cache, when the revision is a commit and the weights, which come last, are there.
    fn cached(&self) -> Option<Folder> {
        let revision = &self.source.hf_revision;
        let commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let cache = self.cache().repo(self.repo(revision));
        let config = commit.then(|| cache.get("config.json")).flatten()?;
        cache.get(COMPLETE)?;
        Folder::open(config.parent()?).ok()
    }

    fn download(&self) -> Result<Folder> {
        let builder = ApiBuilder::from_cache(self.cache())
            .with_progress(false)
            .with_retries(0)
            .with_token(self.source.hf_token.clone().filter(|token| !token.is_empty()));
        let builder = match &self.source.hf_endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()),
            None => builder,
        };
        let api = builder.build().map_err(|error| self.explain("", &error))?;
        let info = api.repo(self.repo(&self.source.hf_revision)).info().map_err(|error| self.explain("", &error))?;
        // From here on the commit, so that a push in the middle cannot mix two versions.
        let repo = api.repo(self.repo(&info.sha));
        let names: Vec<&str> = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
        let weights: Vec<&str> = if names.contains(&"model.safetensors") {
            vec!["model.safetensors"]
        } else {
            names.iter().copied().filter(|name| name.starts_with("model") && name.contains(".safetensors")).collect()
        };
        if weights.is_empty() {
            let message = format!(
                "{}: has no model.safetensors, and pickled weights are never loaded because unpickling runs code; choose a repository with safetensors",
                self.shown()
            );
            return Err(failure(Reason::FileMissing, message));
        }
        let mut folder = None;
        for name in FILES.iter().filter(|name| names.contains(name)).chain(&weights) {
            let path = self.file(&repo, name)?;
            if *name == "config.json" {
                folder = path.parent().map(Path::to_owned);
            }
        }
        let folder = folder.ok_or_else(|| {
            failure(
                Reason::FileMissing,
                format!("{}: has no config.json; it is no model that can be served", self.shown()),
            )
        })?;
        // Best effort: without the mark the next start asks the hub again.
        drop(fs::write(folder.join(COMPLETE), ""));
        Folder::open(&folder)
    }

    /// Downloads a file, going on where an earlier try stopped.
    fn file(&self, repo: &ApiRepo, name: &str) -> Result<PathBuf> {
        let mut tries = 1;
        loop {
            let error = match repo.get(name) {
                Ok(path) => return Ok(path),
                Err(error) => error,
            };
            match status(&error) {
                // A part that is already whole cannot be gone on with, and neither can one of another file.
                Some(416) if tries < TRIES && self.forget_parts() => {}
                None if tries < TRIES && matches!(error, ApiError::InvalidResume) && self.forget_parts() => {}
                Some(..500) => return Err(self.explain(name, &error)),
                _ if tries >= TRIES => return Err(self.explain(name, &error)),
                _ => thread::sleep(PAUSE),
            }
            tracing::warn!(file = name, tries, %error, "Download broke off");
            tries += 1;
        }
    }

    /// Removes downloads that broke off; true if there was one.
    fn forget_parts(&self) -> bool {
        let blobs = self.source.cache.join(self.repo("").folder_name()).join("blobs");
        let entries = fs::read_dir(blobs).into_iter().flatten().flatten();
        let parts = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "part"));
        parts.filter(|path| fs::remove_file(path).is_ok()).count() > 0
    }

    /// `owner/name@revision`, the revision shortened as people write commits.
    fn shown(&self) -> String {
        let revision = &self.source.hf_revision;
        let short = if revision.len() == 40 && revision.is_ascii() { &revision[..7] } else { revision };
        format!("{}@{short}", self.repo)
    }

    fn explain(&self, file: &str, error: &ApiError) -> LoadFailure {
        let shown = self.shown();
        let of_file = if file.is_empty() { String::new() } else { format!(" for {file}") };
        match (status(error), &self.source.hf_token) {
            (Some(code @ (401 | 403)), None) => failure(
                Reason::AuthFailed,
                format!(
                    "hub refused {shown} with {code}{of_file}: no token was sent; check the name of the repository, or set a token that may read it"
                ),
            ),
            (Some(code @ (401 | 403)), Some(_)) => failure(
                Reason::AuthFailed,
                format!(
                    "hub refused {shown} with {code}{of_file}: the token may not read it; accept the model's terms, or set another token"
                ),
            ),
            (Some(404), _) => failure(
                Reason::RevisionNotFound,
                format!("hub does not know {shown}{of_file} (404): check the name of the repository and the revision"),
            ),
            (Some(code), _) => failure(
                Reason::DownloadFailed,
                format!("hub answered {code} for {shown}{of_file}: try again later, or set another endpoint"),
            ),
            (None, _) => {
                let endpoint = self.source.hf_endpoint.as_deref().unwrap_or("the hub");
                failure(
                    Reason::DownloadFailed,
                    format!(
                        "download of {shown}{of_file} from {endpoint} failed: {error}; check the network, the endpoint and the space in the cache"
                    ),
                )
            }
        }
    }
}

/// Marks a snapshot whose files are all there.
const COMPLETE: &str = ".belfry-complete";

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match error.as_ref() {
            ureq::Error::StatusCode(code) => Some(*code),
            _ => None,
        },
        _ => None,
    }
}

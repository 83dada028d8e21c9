//! A server that speaks as much of the Hugging Face hub's protocol as its clients use: the list of a
//! revision's files, and the files in ranges. What the client is comes from the worker's image.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One repository with one commit, which a token opens.
pub struct Repository {
    /// `owner/name`.
    pub repo: String,
    /// The one commit.
    pub commit: String,
    /// What the client must send.
    pub token: String,
    files: BTreeMap<String, Bytes>,
}

/// The server; it ends with this handle.
pub struct Hub {
    /// Port on every address of this machine.
    pub port: u16,
    server: JoinHandle<()>,
}

impl Repository {
    /// The files of a folder as a repository.
    pub fn of_folder(folder: &FilePath, repo: &str, commit: &str) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        Ok(Self { repo: repo.into(), commit: commit.into(), token: "hub-e2e-token".into(), files })
    }

    /// Serves the repository to pods.
    pub async fn serve(self) -> Result<Hub> {
        let listener = TcpListener::bind("0.0.0.0:0").await.context("no port for the hub")?;
        let port = listener.local_addr()?.port();
        let router = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", get(info))
            .route("/{owner}/{name}/resolve/{revision}/{*file}", get(resolve))
            .with_state(Arc::new(self));
        // Serving ends with the handle; until then an error shows as a failed download.
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Hub { port, server })
    }

    fn refusal(&self, repo: &str, revision: &str, headers: &HeaderMap) -> Option<StatusCode> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if sent != Some(&format!("Bearer {}", self.token)) {
            return Some(StatusCode::UNAUTHORIZED);
        }
        (repo != self.repo || revision != self.commit).then_some(StatusCode::NOT_FOUND)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn collect(folder: &FilePath, prefix: &str, files: &mut BTreeMap<String, Bytes>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?.into());
        }
    }
    Ok(())
}

async fn info(
    State(hub): State<Arc<Repository>>,
    Path((owner, name, revision)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(status) = hub.refusal(&format!("{owner}/{name}"), &revision, &headers) {
        return status.into_response();
    }
    let siblings: Vec<_> = hub.files.keys().map(|name| json!({"rfilename": name})).collect();
    axum::Json(json!({"id": hub.repo, "sha": hub.commit, "siblings": siblings})).into_response()
}

async fn resolve(
    State(hub): State<Arc<Repository>>,
    Path((owner, name, revision, file)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(status) = hub.refusal(&format!("{owner}/{name}"), &revision, &headers) {
        return status.into_response();
    }
    let Some(content) = hub.files.get(&file) else { return StatusCode::NOT_FOUND.into_response() };
    let size = content.len();
    // Names are unique within a commit, and the client only wants a name for its blob.
    let etag = format!("\"{}-{}\"", file.replace('/', "-"), hub.commit);
    let common = [
        (header::ETAG, etag),
        (HeaderName::from_static("x-repo-commit"), hub.commit.clone()),
        (HeaderName::from_static("x-linked-size"), size.to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    match headers.get(header::RANGE).map(|range| parse_range(range.to_str().unwrap_or_default(), size)) {
        None => (common, content.clone()).into_response(),
        Some(None) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
        }
        Some(Some((first, last))) => {
            let range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"))];
            (StatusCode::PARTIAL_CONTENT, common, range, content.slice(first..=last)).into_response()
        }
    }
}

/// First and last byte of `bytes=FIRST-[LAST]`; `None` when there is no such range in so many bytes.
fn parse_range(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    let last = last.min(size.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_client_sends_them() {
        for (range, size, expected) in [
            ("bytes=0-0", 10, Some((0, 0))),
            ("bytes=4-", 10, Some((4, 9))),
            ("bytes=0-99", 10, Some((0, 9))),
            ("bytes=10-", 10, None),
            ("bytes=0-0", 0, None),
            ("lines=1-2", 10, None),
            ("bytes=x-2", 10, None),
        ] {
            assert_eq!(parse_range(range, size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn only_the_token_the_repository_and_the_commit_open_the_door() {
        let hub = Repository { repo: "o/n".into(), commit: "c".into(), token: "t".into(), files: BTreeMap::new() };
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer t".parse().unwrap())]);
        assert_eq!(hub.refusal("o/n", "c", &headers), None);
        assert_eq!(hub.refusal("o/n", "main", &headers), Some(StatusCode::NOT_FOUND));
        assert_eq!(hub.refusal("o/n", "c", &HeaderMap::new()), Some(StatusCode::UNAUTHORIZED));
    }
}

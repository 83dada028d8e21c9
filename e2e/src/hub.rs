//! A server that speaks as much of the Hugging Face hub's protocol as its clients use: the list of a
//! revision's files, and the files in ranges. What the client is comes from the worker's image.

use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::files::{Files, Server};

/// One repository with one commit, which a token opens.
pub struct Repository {
    /// `owner/name`.
    pub repo: String,
    /// The one commit.
    pub commit: String,
    /// What the client must send.
    pub token: String,
    files: Files,
}

impl Repository {
    /// The files of a folder as a repository.
    pub fn of_folder(folder: &FilePath, repo: &str, commit: &str) -> Result<Self> {
        let files = Files::of_folder(folder)?;
        Ok(Self { repo: repo.into(), commit: commit.into(), token: "hub-e2e-token".into(), files })
    }

    /// Serves the repository to pods.
    pub async fn serve(self) -> Result<Server> {
        let router = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", get(info))
            .route("/{owner}/{name}/resolve/{revision}/{*file}", get(resolve))
            .with_state(Arc::new(self));
        Server::start(router).await
    }

    fn refusal(&self, repo: &str, revision: &str, headers: &HeaderMap) -> Option<StatusCode> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if sent != Some(&format!("Bearer {}", self.token)) {
            return Some(StatusCode::UNAUTHORIZED);
        }
        (repo != self.repo || revision != self.commit).then_some(StatusCode::NOT_FOUND)
    }
}

async fn info(
    State(hub): State<Arc<Repository>>,
    Path((owner, name, revision)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(status) = hub.refusal(&format!("{owner}/{name}"), &revision, &headers) {
        return status.into_response();
    }
    let siblings: Vec<_> = hub.files.sizes().map(|(name, _)| json!({"rfilename": name})).collect();
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
    // Names are unique within a commit, and the client only wants a name for its blob.
    let etag = format!("\"{}-{}\"", file.replace('/', "-"), hub.commit);
    hub.files.answer(&file, etag, &headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_the_repository_and_the_commit_open_the_door() {
        let hub = Repository { repo: "o/n".into(), commit: "c".into(), token: "t".into(), files: Files::default() };
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer t".parse().unwrap())]);
        assert_eq!(hub.refusal("o/n", "c", &headers), None);
        assert_eq!(hub.refusal("o/n", "main", &headers), Some(StatusCode::NOT_FOUND));
        assert_eq!(hub.refusal("o/n", "c", &HeaderMap::new()), Some(StatusCode::UNAUTHORIZED));
    }
}

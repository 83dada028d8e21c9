//! A server that speaks as much of the S3 protocol as a download needs: the list of a folder's objects, and the objects in
//! ranges. It looks whose key signed a request, and not at the signature, which the worker's own tests recompute.

use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::files::{Files, Server};
use crate::tls::Certificate;

/// A bucket with one folder, which one access key opens.
pub struct Bucket {
    /// Id of the access key.
    pub access_key_id: String,
    name: String,
    /// With a slash at its end.
    folder: String,
    files: Files,
}

impl Bucket {
    /// The files of a folder under an address `s3://bucket/folder`.
    pub fn of_folder(folder: &FilePath, uri: &str) -> Result<Self> {
        let place = uri.strip_prefix("s3://").and_then(|place| place.split_once('/'));
        let (name, prefix) = place.with_context(|| format!("{uri} names no folder of a bucket"))?;
        Ok(Self {
            access_key_id: "AKIDE2E".into(),
            name: name.into(),
            folder: format!("{}/", prefix.trim_matches('/')),
            files: Files::of_folder(folder)?,
        })
    }

    /// Serves the bucket to pods that trust the certificate.
    pub async fn serve(self, certificate: &Certificate) -> Result<Server> {
        let router = Router::new()
            .route("/{bucket}/", get(list))
            .route("/{bucket}/{*key}", get(object))
            .with_state(Arc::new(self));
        Server::start_protected(router, certificate).await
    }

    fn refusal(&self, bucket: &str, headers: &HeaderMap) -> Option<Response> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !sent.starts_with(&format!("AWS4-HMAC-SHA256 Credential={}/", self.access_key_id)) {
            return Some(error(StatusCode::FORBIDDEN, "AccessDenied"));
        }
        (bucket != self.name).then(|| error(StatusCode::NOT_FOUND, "NoSuchBucket"))
    }
}

/// All objects on one page, whatever the prefix: there is one folder.
async fn list(State(bucket): State<Arc<Bucket>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refusal) = bucket.refusal(&name, &headers) {
        return refusal;
    }
    let of_object = |(path, size): (&str, usize)| {
        let (folder, etag) = (&bucket.folder, etag(path).replace('"', "&quot;"));
        format!("<Contents><Key>{folder}{path}</Key><ETag>{etag}</ETag><Size>{size}</Size></Contents>")
    };
    let objects = bucket.files.sizes().map(of_object).collect::<Vec<_>>().concat();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>").into_response()
}

async fn object(
    State(bucket): State<Arc<Bucket>>,
    Path((name, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = bucket.refusal(&name, &headers) {
        return refusal;
    }
    match key.strip_prefix(&bucket.folder) {
        Some(path) => bucket.files.answer(path, etag(path), &headers),
        None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

/// Files never change, so that a name is as good as a digest.
fn etag(path: &str) -> String {
    format!("\"{}\"", path.replace('/', "-"))
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code></Error>")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_bucket_open_the_door() {
        let bucket =
            Bucket { access_key_id: "ID".into(), name: "models".into(), folder: "a/".into(), files: Files::default() };
        let signed = |id: &str| {
            let line = format!("AWS4-HMAC-SHA256 Credential={id}/20130524/eu-central-1/s3/aws4_request,Signature=0");
            HeaderMap::from_iter([(header::AUTHORIZATION, line.parse().unwrap())])
        };
        let status = |bucket_name: &str, headers: &HeaderMap| {
            bucket.refusal(bucket_name, headers).map(|response| response.status().as_u16())
        };
        assert_eq!(status("models", &signed("ID")), None);
        assert_eq!(status("other", &signed("ID")), Some(404));
        assert_eq!(status("models", &signed("IDX")), Some(403));
        assert_eq!(status("models", &HeaderMap::new()), Some(403));
    }
}

//! The files of a folder, sent whole or in ranges: what the servers have in common that models are downloaded from.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tls::Certificate;

/// Files by their path within the folder.
#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<String, Bytes>);

/// A server; it ends with this handle.
pub struct Server {
    /// Port on every address of this machine.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves to pods.
    pub async fn start(router: Router) -> Result<Self> {
        let (listener, port) = listen().await?;
        Ok(Self::of(listener, port, router))
    }

    /// Serves to pods that trust the certificate.
    pub async fn start_protected(router: Router, certificate: &Certificate) -> Result<Self> {
        let (listener, port) = listen().await?;
        Ok(Self::of(certificate.protect(listener), port, router))
    }

    fn of<L: Listener<Addr: Debug>>(listener: L, port: u16, router: Router) -> Self {
        // Serving ends with the handle; until then an error shows as a failed download.
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Self { port, task }
    }
}

async fn listen() -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind("0.0.0.0:0").await.context("no port for a server")?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Files {
    /// All files of a folder, and of its folders.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        Ok(Self(files))
    }

    /// Paths and sizes, sorted by path.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(path, content)| (path.as_str(), content.len()))
    }

    /// A file as the range of the request asks for it, under that ETag.
    pub fn answer(&self, path: &str, etag: String, headers: &HeaderMap) -> Response {
        let Some(content) = self.0.get(path) else { return StatusCode::NOT_FOUND.into_response() };
        let size = content.len();
        let common = [(header::ETAG, etag), (header::ACCEPT_RANGES, "bytes".to_owned())];
        match headers.get(header::RANGE).map(|range| parse_range(range.to_str().unwrap_or_default(), size)) {
            None => (common, content.clone()).into_response(),
            Some(None) => (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{size}"))])
                .into_response(),
            Some(Some((first, last))) => {
                let range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"))];
                (StatusCode::PARTIAL_CONTENT, common, range, content.slice(first..=last)).into_response()
            }
        }
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Bytes>) -> Result<()> {
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
}

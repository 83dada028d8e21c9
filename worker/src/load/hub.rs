//! The Hugging Face hub, or a mirror of it: what a revision means, which files it has, and their bytes.
//!
//! Large files are redirected to a storage service that has its own credentials in the address. The hub's token goes
//! only to the hub's own host.

use std::path::Path;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::cache::{Blob, Store, is_name};
use super::download::{Client, Listing, Method, Origin, Policy, Response, accepted, fetch, header};
use super::trouble::{Trouble, broken};
use crate::args::Source;
use crate::failure::failure;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::plain;

/// The public hub.
const HUB: &str = "https://huggingface.co";

/// Most redirects from an address to the bytes.
const HOPS: usize = 5;

/// Most bytes of a list of files.
const LIST_LIMIT: u64 = 16 << 20;

/// Characters that need no encoding in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const REDIRECTS: &[u16] = &[301, 302, 303, 307, 308];

/// Fetches a repository at a revision; what is in the cache is not fetched again.
pub(crate) fn download(
    repo: &str,
    source: &Source,
    policy: Policy,
    metrics: &Metrics,
) -> crate::failure::Result<Folder> {
    let endpoint = source.hf_endpoint.as_deref().filter(|text| !text.is_empty()).unwrap_or(HUB).trim_end_matches('/');
    let token = source.hf_token.as_ref().map(|token| token.reveal().trim()).filter(|token| !token.is_empty());
    let client = Client::new(policy, &source.roots()?);
    let hub = Hub { client, endpoint, repo, revision: &source.hf_revision, token, cache: &source.cache };
    fetch(&hub, &Store::new(&source.cache, &format!("models--{}", repo.replace('/', "--"))), policy, metrics)
}

struct Hub<'a> {
    client: Client,
    endpoint: &'a str,
    repo: &'a str,
    revision: &'a str,
    token: Option<&'a str>,
    /// For messages.
    cache: &'a Path,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// What is known about a file.
struct Known {
    etag: Option<String>,
    size: Option<u64>,
}

impl Known {
    fn or(self, other: Self) -> Self {
        Self { etag: self.etag.or(other.etag), size: self.size.or(other.size) }
    }
}

impl Hub<'_> {
    fn file(&self, revision: &str, name: &str) -> String {
        let name: Vec<_> = name.split('/').map(encoded).collect();
        format!("{}/{}/resolve/{}/{}", self.endpoint, self.repo, encoded(revision), name.join("/"))
    }

    /// Sends a request, and follows redirects as far as `stop` lets it.
    fn send(
        &self,
        method: Method,
        url: String,
        range: Option<u64>,
        stop: impl Fn(&Response) -> bool,
    ) -> Result<Response, Trouble> {
        let mut url = url;
        for _ in 0..=HOPS {
            let mut headers = Vec::new();
            headers.extend(range.map(|from| ("range", format!("bytes={from}-"))));
            if origin(&url) == origin(self.endpoint) {
                headers.extend(self.token.map(|token| ("authorization", format!("Bearer {token}"))));
            }
            let response = self.client.send(method, &url, &headers)?;
            if !REDIRECTS.contains(&response.status().as_u16()) || stop(&response) {
                return Ok(response);
            }
            url = header(&response, "location")
                .and_then(|to| target(&url, to))
                .ok_or_else(|| Trouble::Connection("a redirect leads nowhere".to_owned()))?;
        }
        Err(Trouble::Connection(format!("more than {HOPS} redirects")))
    }

    /// What the hub's headers say about a file. With a range the bytes themselves are asked for, and they may lie on another host.
    fn known(&self, method: Method, revision: &str, name: &str, range: Option<u64>) -> Result<Known, Trouble> {
        let elsewhere = |response: &Response| range.is_none() && header(response, "x-linked-etag").is_some();
        let response = self.send(method, self.file(revision, name), range, elsewhere)?;
        let response = accepted(response, &[200, 206, 301, 302, 303, 307, 308])?;
        let etag = header(&response, "x-linked-etag").or_else(|| header(&response, "etag"));
        let whole = |range: &str| range.rsplit_once('/').map(|(_, whole)| whole.to_owned());
        let size = header(&response, "x-linked-size").map(ToOwned::to_owned);
        let size = size.or_else(|| header(&response, "content-range").and_then(whole));
        let size = size.or_else(|| header(&response, "content-length").map(ToOwned::to_owned));
        Ok(Known { etag: etag.map(ToOwned::to_owned), size: size.and_then(|size| size.parse().ok()) })
    }

    /// `owner/name@revision`, with a commit shortened.
    fn shown(&self) -> String {
        let short = if self.pinned() { &self.revision[..7] } else { self.revision };
        format!("{}@{short}", self.repo)
    }
}

impl Origin for Hub<'_> {
    fn shown(&self) -> String {
        Hub::shown(self)
    }

    fn reference(&self) -> &str {
        self.revision
    }

    fn pinned(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    fn list(&self) -> Result<Listing, Trouble> {
        let url = format!("{}/api/models/{}/revision/{}", self.endpoint, self.repo, encoded(self.revision));
        let response = accepted(self.send(Method::Get, url, None, |_| false)?, &[200])?;
        let body = response.into_body().into_with_config().limit(LIST_LIMIT).read_to_vec();
        let body = body.map_err(|error| Trouble::Connection(error.to_string()))?;
        let info: Info = plain::read(&body).map_err(Trouble::Corrupt)?;
        if !is_name(&info.sha) {
            return Err(Trouble::Corrupt("the hub names no commit".to_owned()));
        }
        Ok(Listing { revision: info.sha, names: info.siblings.into_iter().map(|file| file.rfilename).collect() })
    }

    /// The hub's own answer identifies a file, even if another host has its bytes.
    fn describe(&self, revision: &str, name: &str) -> Result<Blob, Trouble> {
        // Mirrors and caches on the way may know HEAD badly or not at all; what it lacks is asked for with GET.
        let head = match self.known(Method::Head, revision, name, None) {
            Ok(known) if known.size.is_some() && known.etag.is_some() => known,
            Ok(known) => known.or(self.known(Method::Get, revision, name, None)?),
            Err(Trouble::Status { code: 403..=405 | 501, .. }) => self.known(Method::Get, revision, name, None)?,
            Err(trouble) => return Err(trouble),
        };
        let known =
            if head.size.is_some() { head } else { head.or(self.known(Method::Get, revision, name, Some(0))?) };
        let Some(size) = known.size else {
            let why = format!("{name} has neither Content-Length nor Content-Range, so its end can't be known");
            return Err(Trouble::Corrupt(why));
        };
        match known.etag {
            Some(etag) => Ok(Blob::of_hub(&etag, size)),
            // A commit's file never changes, so its name is one for its content.
            None => Ok(Blob::of_etag(&format!("{}/{revision}/{name}", self.repo), size)),
        }
    }

    fn open(&self, revision: &str, name: &str, _: &Blob, from: u64) -> Result<Response, Trouble> {
        let range = (from > 0).then_some(from);
        let response = self.send(Method::Get, self.file(revision, name), range, |_| false)?;
        accepted(response, &[200, 206])
    }

    fn explain(&self, file: &str, trouble: &Trouble) -> LoadFailure {
        let shown = self.shown();
        let of_file = if file.is_empty() { String::new() } else { format!(" for {file}") };
        match trouble {
            Trouble::Status { code: code @ (401 | 403), .. } => {
                let why = match self.token {
                    None => "no token was sent; check the name of the repository, or set a token that may read it",
                    Some(_) => "the token may not read it; accept the model's terms, or set another token",
                };
                failure(Reason::AuthFailed, format!("hub refused {shown} with {code}{of_file}: {why}"))
            }
            Trouble::Status { code: 404, .. } => failure(
                Reason::RevisionNotFound,
                format!("hub does not know {shown}{of_file} (404): check the name of the repository and the revision"),
            ),
            Trouble::Status { code, .. } => failure(
                Reason::DownloadFailed,
                format!("hub answered {code} for {shown}{of_file}: try again later, or set another endpoint"),
            ),
            other => broken(&format!("{shown}{of_file} from {}", public(self.endpoint)), self.cache, other),
        }
    }
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url, |end| &url[..host + end])
}

/// The same without what some write before the host: a user and a password.
fn public(url: &str) -> String {
    let origin = origin(url);
    match (origin.split_once("://"), origin.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => origin.to_owned(),
    }
}

/// The target of a redirect. A redirect never leads from https to http.
fn target(from: &str, to: &str) -> Option<String> {
    if to.starts_with('/') && !to.starts_with("//") {
        return Some(format!("{}{to}", origin(from)));
    }
    let allowed = to.starts_with("https://") || (to.starts_with("http://") && from.starts_with("http://"));
    allowed.then(|| to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_only_to_where_it_may_lead() {
        let rows = [
            ("https://a/x", "/y?z", Some("https://a/y?z")),
            ("https://a/x", "https://b/y", Some("https://b/y")),
            ("http://a:1/x", "http://b/y", Some("http://b/y")),
            ("https://a/x", "http://a/y", None),
            ("https://a/x", "//b/y", None),
            ("https://a/x", "file:///etc/passwd", None),
        ];
        for (from, to, expected) in rows {
            assert_eq!(target(from, to).as_deref(), expected, "{from} {to}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_user() {
        for (url, shown) in [
            ("http://user:pass@mirror:8080/base", "http://mirror:8080"),
            ("https://token@hub", "https://hub"),
            ("http://u:p@ss@hub/x@y", "http://hub"),
            ("https://huggingface.co", "https://huggingface.co"),
        ] {
            assert_eq!(public(url), shown);
        }
    }

    #[test]
    fn another_port_is_another_origin() {
        assert_eq!(origin("https://a:1/x"), "https://a:1");
        assert_ne!(origin("https://a:1/x"), origin("https://a:2/x"));
        assert_ne!(origin("https://a.evil/x"), origin("https://a"));
        assert_eq!(origin("https://a?x"), "https://a");
    }
}

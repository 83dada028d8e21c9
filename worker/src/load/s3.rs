//! A folder in a bucket that supports the S3 protocol: a list of objects, and their bytes.

mod list;
mod sign;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use sha2::{Digest, Sha256};

use self::list::{Object, Page};
use self::sign::{Scope, encoded_path, encoded_query, signed};
use super::cache::{Blob, Store};
use super::download::{Client, Listing, Method, Origin, Policy, Response, accepted, fetch};
use super::trouble::{Trouble, broken};
use crate::args::Source;
use crate::failure::failure;
use crate::folder::Folder;
use crate::metrics::Metrics;

/// Most pages of a list, 1000 objects each.
const PAGES: usize = 50;

/// Most bytes of a page.
const PAGE_LIMIT: u64 = 8 << 20;

/// The reference in the cache for the current state of a folder.
const LATEST: &str = "latest";

/// Fetches a folder; what is in the cache is not fetched again.
pub(crate) fn download(
    uri: &str,
    source: &Source,
    policy: Policy,
    metrics: &Metrics,
) -> crate::failure::Result<Folder> {
    let Some((bucket, folder)) = parse(uri) else {
        let message = format!("{uri}: is not an address of a bucket; write s3://bucket/folder");
        return Err(failure(Reason::ModelNotFound, message));
    };
    let region = source.s3_region.as_str();
    let (base, root) = match source.s3_endpoint.as_deref().filter(|text| !text.is_empty()) {
        Some(endpoint) => (endpoint.trim_end_matches('/').to_owned(), format!("/{bucket}")),
        // A bucket with a dot in its name has no certificate of its own.
        None if bucket.contains('.') => (format!("https://s3.{region}.amazonaws.com"), format!("/{bucket}")),
        None => (format!("https://{bucket}.s3.{region}.amazonaws.com"), String::new()),
    };
    let id = format!("{:x}", Sha256::digest(format!("{base}{root}/{folder}")));
    let store = Store::new(&source.cache, &format!("s3--{bucket}--{}", &id[..16]));
    let keys = source.keys();
    let scope = keys.as_ref().map(|keys| Scope { keys, region, service: "s3" });
    let (client, cache) = (Client::new(policy, &source.roots()?), source.cache.as_path());
    let objects = RefCell::default();
    fetch(&S3 { client, uri, base, root, folder, scope, cache, objects }, &store, policy, metrics)
}

/// Bucket, and folder with a slash at its end.
fn parse(uri: &str) -> Option<(&str, String)> {
    let (bucket, folder) = uri.strip_prefix("s3://")?.split_once('/').unwrap_or((&uri[5..], ""));
    let folder = folder.trim_matches('/');
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    (!bucket.is_empty()).then_some((bucket, folder))
}

struct S3<'a> {
    client: Client,
    uri: &'a str,
    /// Scheme and host.
    base: String,
    /// Path of the bucket.
    root: String,
    folder: String,
    /// `None` for requests that are not signed.
    scope: Option<Scope<'a>>,
    /// For messages.
    cache: &'a Path,
    /// The objects of the list, by their path within the folder.
    objects: RefCell<BTreeMap<String, Object>>,
}

impl S3<'_> {
    fn get(&self, key: &str, query: &[(&str, &str)], headers: &[(&str, String)]) -> Result<Response, Trouble> {
        let path = encoded_path(&format!("{}/{key}", self.root));
        let query = encoded_query(query);
        let host = self.base.split_once("://").map_or("", |(_, host)| host);
        let mut headers = headers.to_vec();
        if let Some(scope) = &self.scope {
            headers.extend(signed(scope, host, &path, &query, jiff::Timestamp::now()));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        self.client.send(Method::Get, &format!("{}{path}{mark}{query}", self.base), &headers)
    }

    fn page(&self, next: Option<&str>) -> Result<Page, Trouble> {
        let mut query = vec![("list-type", "2"), ("prefix", &self.folder), ("encoding-type", "url")];
        query.extend(next.map(|token| ("continuation-token", token)));
        let response = accepted(self.get("", &query, &[])?, &[200])?;
        let text = response.into_body().into_with_config().limit(PAGE_LIMIT).read_to_string();
        list::parse(&text.map_err(|error| Trouble::Connection(error.to_string()))?)
    }
}

impl Origin for S3<'_> {
    fn shown(&self) -> String {
        self.uri.to_owned()
    }

    fn reference(&self) -> &str {
        LATEST
    }

    fn pinned(&self) -> bool {
        false
    }

    /// The revision is a digest of the list, so that a changed object makes another snapshot.
    fn list(&self) -> Result<Listing, Trouble> {
        let (mut objects, mut next) = (BTreeMap::new(), None);
        for _ in 0..PAGES {
            let page = self.page(next.as_deref())?;
            let within = |mut object: Object| {
                let name = object.key.strip_prefix(&self.folder)?.to_owned();
                object.key.truncate(0);
                Some((name, object))
            };
            objects.extend(page.objects.into_iter().filter_map(within));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if next.is_some() {
            return Err(Trouble::Disk(format!(
                "more than {PAGES} pages of objects: give the model a folder of its own"
            )));
        }
        if objects.is_empty() {
            return Err(Trouble::Status { code: 404, body: "<Code>EmptyFolder</Code>".to_owned(), retry_after: None });
        }
        let mut digest = Sha256::new();
        for (name, object) in &objects {
            digest.update(format!("{} {} {name}\n", object.etag, object.size));
        }
        let names = objects.keys().cloned().collect();
        self.objects.replace(objects);
        Ok(Listing { revision: format!("{:x}", digest.finalize())[..40].to_owned(), names })
    }

    fn describe(&self, _: &str, name: &str) -> Result<Blob, Trouble> {
        let objects = self.objects.borrow();
        let object = objects.get(name).ok_or_else(|| Trouble::Corrupt(format!("{name} is not in the list")))?;
        Ok(Blob::of_etag(&object.etag, object.size))
    }

    fn open(&self, _: &str, name: &str, _: &Blob, from: u64) -> Result<Response, Trouble> {
        let etag = self.objects.borrow().get(name).map(|object| object.etag.clone()).unwrap_or_default();
        // An object that was replaced since the list was read is an error, so that a file never mixes two objects.
        let mut headers = vec![("if-match", etag)];
        headers.extend((from > 0).then(|| ("range", format!("bytes={from}-"))));
        accepted(self.get(&format!("{}{name}", self.folder), &[], &headers)?, &[200, 206])
    }

    fn explain(&self, file: &str, trouble: &Trouble) -> LoadFailure {
        let uri = self.uri;
        let of_file = if file.is_empty() { String::new() } else { format!(" for {file}") };
        let Trouble::Status { code, body, .. } = trouble else {
            return broken(&format!("{uri}{of_file} from {}", self.base), self.cache, trouble);
        };
        let word = list::code(body).map(|word| format!(" {word}")).unwrap_or_default();
        let refused = format!("bucket refused {uri} with {code}{word}{of_file}");
        match (code, word.trim()) {
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301 | 307, _) => {
                failure(Reason::DownloadFailed, format!("{refused}: the bucket is in another region; set region"))
            }
            (401 | 403, _) => {
                let why = match self.scope {
                    None => "the request was not signed; set credentialsSecretRef",
                    Some(_) => "the access key may not list the folder and read its objects, or it is no longer valid",
                };
                failure(Reason::AuthFailed, format!("{refused}: {why}"))
            }
            (404, _) => failure(
                Reason::ModelNotFound,
                format!("bucket has nothing at {uri}{of_file} ({code}{word}): check the bucket and the folder"),
            ),
            (412, _) => failure(
                Reason::DownloadFailed,
                format!("bucket changed {uri}{of_file} during the download; the next start takes the new files"),
            ),
            _ => failure(
                Reason::DownloadFailed,
                format!("bucket answered {code}{word} for {uri}{of_file}: try again later, or set another endpoint"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_folder() {
        assert_eq!(parse("s3://b"), Some(("b", String::new())));
        assert_eq!(parse("s3://b/"), Some(("b", String::new())));
        assert_eq!(parse("s3://b/x/y/"), Some(("b", "x/y/".to_owned())));
        assert_eq!(parse("https://b/x"), None);
        assert_eq!(parse("s3:///x"), None);
    }
}

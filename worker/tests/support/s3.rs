//! The part of S3 that a download needs. It checks every signature, with its own implementation.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::server::{Answer, Fault, Request, Shelf, serve};

pub const BUCKET: &str = "models";
pub const ID: &str = "AKIDTEST";
pub const SECRET: &str = "se/cret+key";
pub const REGION: &str = "eu-central-1";

/// Objects on a page of a list.
const PAGE: usize = 2;

/// A bucket with the shelf's files under `org/tiny model/`, and another object.
pub fn bucket(shelf: &Arc<Shelf>) -> SocketAddr {
    serve(shelf, answer)
}

fn answer(shelf: &Shelf, request: &Request) -> Answer {
    if let Err(code) = authorized(request) {
        return error(403, code);
    }
    let path = percent_decode_str(&request.path).decode_utf8().unwrap().into_owned();
    let Some(key) = path.strip_prefix(&format!("/{BUCKET}/")) else { return error(404, "NoSuchBucket") };
    if key.is_empty() {
        return list(shelf, request);
    }
    let Some(file) = key.strip_prefix("org/tiny model/") else { return error(404, "NoSuchKey") };
    let etag = shelf.files.lock().unwrap().get(file).map(|bytes| etag(bytes));
    match etag {
        None => error(404, "NoSuchKey"),
        Some(etag) if request.header("if-match") != etag => error(412, "PreconditionFailed"),
        Some(etag) => shelf.content(request, file).with("etag", etag),
    }
}

fn list(shelf: &Shelf, request: &Request) -> Answer {
    if let Some(Fault::Status(status)) = shelf.next_fault("") {
        return error(status, "SlowDown");
    }
    let value = |name: &str| {
        let pair = request.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        Some(percent_decode_str(pair.1).decode_utf8().unwrap().into_owned())
    };
    assert_eq!(value("list-type").as_deref(), Some("2"));
    assert_eq!(value("encoding-type").as_deref(), Some("url"));
    let prefix = value("prefix").unwrap_or_default();
    let from: usize =
        value("continuation-token").map_or(0, |token| token.strip_prefix("page+/=").unwrap().parse().unwrap());
    let files = shelf.files.lock().unwrap();
    let keys = files.iter().map(|(name, bytes)| (format!("org/tiny model/{name}"), bytes));
    let all: Vec<_> = keys.filter(|(key, _)| key.starts_with(&prefix)).collect();
    let mut xml =
        r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#.to_owned();
    for (key, bytes) in all.iter().skip(from).take(PAGE) {
        let (key, etag, size) = (key.replace(' ', "%20"), etag(bytes).replace('"', "&quot;"), bytes.len());
        write!(xml, "<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{size}</Size></Contents>").unwrap();
    }
    let more = from + PAGE < all.len();
    write!(xml, "<IsTruncated>{more}</IsTruncated>").unwrap();
    if more {
        write!(xml, "<NextContinuationToken>page+/={}</NextContinuationToken>", from + PAGE).unwrap();
    }
    Answer::new(200, xml + "</ListBucketResult>")
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}-1\"", &hex(&Sha256::digest(bytes))[..32])
}

fn error(status: u16, code: &str) -> Answer {
    Answer::new(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"))
}

/// Recomputes the signature from the request as it arrived.
fn authorized(request: &Request) -> Result<(), &'static str> {
    let line = request.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").ok_or("AccessDenied")?;
    let part = |name: &str| line.split(',').find_map(|part| part.trim().strip_prefix(name)).unwrap_or_default();
    let (credential, names, signature) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let (id, scope) = credential.split_once('/').ok_or("AccessDenied")?;
    if id != ID {
        return Err("InvalidAccessKeyId");
    }
    let date = request.header("x-amz-date");
    if scope != format!("{}/{REGION}/s3/aws4_request", &date[..8]) {
        return Err("AuthorizationHeaderMalformed");
    }
    for needed in ["host", "x-amz-content-sha256", "x-amz-date"] {
        if !names.split(';').any(|name| name == needed) {
            return Err("AccessDenied");
        }
    }
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for name in names.split(';') {
        writeln!(canonical, "{name}:{}", request.header(name)).unwrap();
    }
    write!(canonical, "\n{names}\n{}", request.header("x-amz-content-sha256")).unwrap();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [&date[..8], REGION, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    if hex(&mac(&key, &text)) == signature { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

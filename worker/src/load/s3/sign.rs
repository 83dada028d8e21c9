//! Signature version 4 of requests without a body.
//! Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, whose examples are the tests.

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::args::Keys;

/// Characters that need no encoding in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The key of a signature, and the region and service that it is valid for.
pub(super) struct Scope<'a> {
    pub(super) keys: &'a Keys,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// A path as it is sent and signed.
pub(super) fn encoded_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// A query as it is sent and signed: sorted by name.
pub(super) fn encoded_query(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// The headers that sign a GET of this path and query, both encoded.
pub(super) fn signed(
    scope: &Scope<'_>,
    host: &str,
    path: &str,
    query: &str,
    now: jiff::Timestamp,
) -> Vec<(&'static str, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![("x-amz-content-sha256", hex(&Sha256::digest(b""))), ("x-amz-date", time.clone())];
    headers.extend(scope.keys.session.as_ref().map(|token| ("x-amz-security-token", token.reveal().to_owned())));
    let signed: Vec<_> = std::iter::once(("host", host.to_owned())).chain(headers.iter().cloned()).collect();
    headers.push(("authorization", authorization(scope, path, query, &signed, &time)));
    headers
}

/// The headers are sorted by name.
fn authorization(scope: &Scope<'_>, path: &str, query: &str, headers: &[(&str, String)], time: &str) -> String {
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let request = format!("GET\n{path}\n{query}\n{lines}\n{names}\n{}", hex(&Sha256::digest(b"")));
    let (day, region, service) = (&time[..8], scope.region, scope.service);
    let place = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{place}\n{}", hex(&Sha256::digest(request)));
    let secret = format!("AWS4{}", scope.keys.secret.reveal());
    let key = [day, region, service, "aws4_request"].iter().fold(secret.into_bytes(), |key, part| mac(&key, part));
    let (id, signature) = (&scope.keys.id, hex(&mac(&key, &text)));
    format!("AWS4-HMAC-SHA256 Credential={id}/{place},SignedHeaders={names},Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length, so this is never an error.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec());
    mac.unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn keys() -> Keys {
        Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session: None,
        }
    }

    fn signature(path: &str, query: &str, more: &[(&'static str, &str)]) -> String {
        let keys = keys();
        let scope = Scope { keys: &keys, region: "us-east-1", service: "s3" };
        let mut headers = vec![
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-content-sha256", hex(&Sha256::digest(b""))),
            ("x-amz-date", "20130524T000000Z".to_owned()),
        ];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        headers.sort();
        let line = authorization(&scope, path, query, &headers, "20130524T000000Z");
        assert!(line.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"), "{line}");
        line.rsplit_once('=').unwrap().1.to_owned()
    }

    #[test]
    fn amazons_published_examples_come_out_as_published() {
        let rows: [(&str, Pairs<'_>, Pairs<'_>, &str); 3] = [
            (
                "/test.txt",
                &[],
                &[("range", "bytes=0-9")],
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            ("/", &[("lifecycle", "")], &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            (
                "/",
                &[("prefix", "J"), ("max-keys", "2")],
                &[],
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (path, query, headers, expected) in rows {
            assert_eq!(signature(path, &encoded_query(query), headers), expected, "{path}");
        }
    }

    #[test]
    fn names_are_encoded_once_and_queries_sorted() {
        assert_eq!(encoded_path("/a b/c+d=é~"), "/a%20b/c%2Bd%3D%C3%A9~");
        assert_eq!(encoded_query(&[("b", "x/y z"), ("a", "")]), "a=&b=x%2Fy%20z");
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let keys = Keys { session: Some("token".to_owned().into()), ..keys() };
        let scope = Scope { keys: &keys, region: "eu-central-1", service: "s3" };
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        let headers = signed(&scope, "h", "/", "", now);
        assert!(headers.contains(&("x-amz-security-token", "token".to_owned())));
        assert!(headers.contains(&("x-amz-date", "20130524T000000Z".to_owned())));
        let line = &headers.last().unwrap().1;
        assert!(line.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"), "{line}");
        assert!(!line.contains("wJalr"), "the secret is not sent");
    }
}

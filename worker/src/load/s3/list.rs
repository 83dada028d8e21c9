//! The XML of ListObjectsV2, and of an error.

use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node};

use super::super::trouble::Trouble;

/// An object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    /// With its quotation marks, as requests repeat it.
    pub(super) etag: String,
    pub(super) size: u64,
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    /// Where the next page begins; `None` on the last.
    pub(super) next: Option<String>,
}

/// Reads a page with URL-encoded keys.
pub(super) fn parse(text: &str) -> Result<Page, Trouble> {
    let document = Document::parse(text).map_err(|error| Trouble::Corrupt(format!("the list is not XML: {error}")))?;
    let root = document.root_element();
    if root.tag_name().name() != "ListBucketResult" {
        return Err(Trouble::Corrupt(format!("the list is {} instead", root.tag_name().name())));
    }
    let mut objects = Vec::new();
    for node in root.children().filter(|node| node.tag_name().name() == "Contents") {
        let incomplete = || Trouble::Corrupt("the list has an object without key, ETag or size".to_owned());
        let key =
            child(node, "Key").and_then(|key| percent_decode_str(key).decode_utf8().ok()).ok_or_else(incomplete)?;
        let etag = child(node, "ETag").ok_or_else(incomplete)?.to_owned();
        let size = child(node, "Size").and_then(|size| size.parse().ok()).ok_or_else(incomplete)?;
        objects.push(Object { key: key.into_owned(), etag, size });
    }
    let truncated = child(root, "IsTruncated") == Some("true");
    let next = child(root, "NextContinuationToken").filter(|_| truncated).map(ToOwned::to_owned);
    if truncated && next.is_none() {
        return Err(Trouble::Corrupt("the list is truncated and has no continuation token".to_owned()));
    }
    Ok(Page { objects, next })
}

/// The code in the body of an error.
pub(super) fn code(body: &str) -> Option<String> {
    let document = Document::parse(body).ok()?;
    let word = document.descendants().find(|node| node.tag_name().name() == "Code")?.text()?;
    let plain = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| word.to_owned())
}

fn child<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| child.tag_name().name() == name)?.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_s3_writes_it() {
        let page = parse(concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#,
            "<IsTruncated>true</IsTruncated><NextContinuationToken>1ueG/cA=</NextContinuationToken>",
            "<Contents><Key>a%20b/%C3%A9</Key><ETag>&quot;70ee&quot;</ETag><Size>11</Size></Contents></ListBucketResult>",
        ));
        let object = Object { key: "a b/é".to_owned(), etag: "\"70ee\"".to_owned(), size: 11 };
        assert_eq!(page, Ok(Page { objects: vec![object], next: Some("1ueG/cA=".to_owned()) }));
    }

    #[test]
    fn a_text_that_is_not_a_list_is_refused() {
        for text in [
            "",
            "<html></html>",
            "<ListBucketResult>",
            "<ListBucketResult><Contents/></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        ] {
            assert!(matches!(parse(text), Err(Trouble::Corrupt(_))), "{text}");
        }
    }

    #[test]
    fn an_error_is_named_only_by_its_code() {
        let body = "<Error><Code>AccessDenied</Code><Message>x</Message></Error>";
        assert_eq!(code(body).as_deref(), Some("AccessDenied"));
        assert_eq!(code("<Error><Code>a b\nc</Code></Error>"), None);
        assert_eq!(code("no XML"), None);
    }
}

//! The API server's audit log: who asked for what.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::{Cluster, OPERATOR, SYSTEM_NAMESPACE};

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `get`, `list`, `watch`, `create`, `patch` …
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    pub user: User,
    /// What about; none for a path that is no object's.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// How it was answered.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// When it came in.
    pub request_received_timestamp: Timestamp,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// For a service account `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
}

/// What a request is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectRef {
    /// Empty for the core group.
    pub api_group: String,
    /// Plural of the kind.
    pub resource: String,
    /// Such as `status`; mostly empty.
    pub subresource: String,
    /// Empty for a request about all namespaces, and for objects in none.
    pub namespace: String,
    /// Empty for a request about many objects, and for a new one.
    pub name: String,
}

/// How a request was answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    /// HTTP status.
    pub code: u16,
}

/// A place in the log.
pub struct Audit {
    path: PathBuf,
    inode: u64,
    offset: u64,
    since: Timestamp,
}

impl Audit {
    /// The log from now on.
    pub fn from_now(cluster: &Cluster) -> Result<Self> {
        Self::at_end(cluster.state.join("audit.log"))
    }

    /// A log from its present end on.
    pub fn at_end(path: PathBuf) -> Result<Self> {
        let metadata = fs::metadata(&path).with_context(|| format!("no audit log at {}", path.display()))?;
        Ok(Self { path, inode: metadata.ino(), offset: metadata.len(), since: Timestamp::now() })
    }

    /// Requests of the operator since then, once each.
    pub fn of_operator(&self) -> Result<Vec<Entry>> {
        self.of_user(&format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}"))
    }

    /// Requests of a user since then, once each.
    pub fn of_user(&self, user: &str) -> Result<Vec<Entry>> {
        Ok(self.entries()?.into_iter().filter(|entry| entry.user.username == user).collect())
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let text = if fs::metadata(&self.path)?.ino() == self.inode {
            read_from(&self.path, self.offset)?
        } else {
            self.rotated()?
        };
        Ok(parse(&text).into_iter().filter(|entry| entry.request_received_timestamp >= self.since).collect())
    }

    /// The log was renamed and begun anew: read every piece that was written since.
    fn rotated(&self) -> Result<String> {
        let folder = self.path.parent().context("the log is in no folder")?;
        let mut pieces = vec![];
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            // Rotated pieces are called audit-TIME.log.
            let is_piece = path.extension() == self.path.extension()
                && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"audit"));
            if is_piece && fs::metadata(&path)?.mtime() >= self.since.as_second() {
                pieces.push(read_from(&path, 0)?);
            }
        }
        Ok(pieces.join("\n"))
    }
}

fn read_from(path: &Path, offset: u64) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of a piece of the log. A line that is cut off at either end is no entry yet, or no more.
/// A request is logged in several stages; the first of each counts.
fn parse(text: &str) -> Vec<Entry> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stage {
        #[serde(rename = "auditID")]
        audit_id: String,
        #[serde(flatten)]
        entry: Entry,
    }
    let mut seen = std::collections::BTreeSet::new();
    let stages = text.lines().filter_map(|line| serde_json::from_str::<Stage>(line).ok());
    stages.filter(|stage| seen.insert(stage.audit_id.clone())).map(|stage| stage.entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(id: u32, user: &str, verb: &str, at: &str) -> String {
        format!(
            r#"{{"kind":"Event","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"/x","verb":"{verb}","user":{{"username":"{user}","groups":["g"]}},"objectRef":{{"resource":"services","namespace":"ns","name":"n","apiVersion":"v1"}},"requestReceivedTimestamp":"{at}"}}"#
        )
    }

    const OPERATOR_USER: &str = "system:serviceaccount:belfry-system:belfry-operator";

    #[test]
    fn a_request_of_two_stages_counts_once_and_half_a_line_not_at_all() {
        let one = line(1, "a", "watch", "2026-01-02T03:04:05.678901Z");
        let text = format!("fied\"}}\n{one}\n{one}\n{}\n{{\"kind\":\"Ev", line(2, "b", "get", "2026-01-02T03:04:06Z"));
        let entries = parse(&text);
        let seen: Vec<_> = entries.iter().map(|e| (e.verb.as_str(), e.object_ref.namespace.as_str())).collect();
        assert_eq!(seen, [("watch", "ns"), ("get", "ns")]);
    }

    #[test]
    fn a_request_about_no_object_is_an_entry_too() {
        let text = r#"{"auditID":"1","requestURI":"/healthz","verb":"get","user":{"username":"u"},"requestReceivedTimestamp":"2026-01-02T03:04:06Z"}"#;
        assert_eq!(parse(text)[0].object_ref.namespace, "");
    }

    #[test]
    fn only_new_requests_of_the_operator_are_listed_also_across_a_rotation() {
        let folder = std::env::temp_dir().join(format!("belfry-e2e-audit-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        fs::write(&path, line(1, OPERATOR_USER, "get", "2020-01-01T00:00:00Z") + "\n").unwrap();
        let audit = Audit::at_end(path.clone()).unwrap();
        let now = Timestamp::now().to_string();
        let mut log = File::options().append(true).open(&path).unwrap();
        writeln!(log, "{}\n{}", line(2, OPERATOR_USER, "patch", &now), line(3, "other", "patch", &now)).unwrap();
        let verbs = || audit.of_operator().unwrap().into_iter().map(|entry| entry.verb).collect::<Vec<_>>();
        assert_eq!(verbs(), ["patch"]);
        fs::rename(&path, folder.join("audit-2026-01-02.log")).unwrap();
        fs::write(&path, line(4, OPERATOR_USER, "list", &now)).unwrap();
        let mut both = verbs();
        both.sort();
        assert_eq!(both, ["list", "patch"]);
        fs::remove_dir_all(folder).unwrap();
    }
}

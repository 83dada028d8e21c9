//! Follows the API server's audit log: what one user asked for, and when it was answered.
//!
//! The API server writes the log anyway, so that looking into it costs a measurement nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// One request that was answered.
#[derive(Clone, Debug)]
pub(super) struct LoggedCall {
    /// `get`, `list`, `create`, `patch` …; never `watch`.
    pub(super) verb: String,
    /// `deployments`, `inferencemodels/status` …
    pub(super) what: String,
    /// Name of the object; empty for a request about many.
    pub(super) name: String,
    /// HTTP status.
    pub(super) code: u16,
    /// When the answer was complete.
    pub(super) answered: Timestamp,
}

impl LoggedCall {
    /// Whether the request was meant to change something.
    pub(super) fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it made an object that was not there.
    pub(super) fn has_created(&self) -> bool {
        self.is_write() && self.code == 201
    }
}

/// The log of one user, from a moment on.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    user: String,
    half_a_line: Vec<u8>,
}

impl Log {
    /// Follows the log from its present end.
    pub(super) fn follow(path: PathBuf, user: &str) -> Result<Self> {
        let mut file = File::open(&path).with_context(|| format!("no audit log at {}", path.display()))?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        Ok(Self { path, file, user: user.into(), half_a_line: vec![] })
    }

    /// What was answered since the last look. Watches are left out: they are how an operator learns of anything.
    pub(super) fn look(&mut self) -> Result<Vec<LoggedCall>> {
        let mut text = std::mem::take(&mut self.half_a_line);
        self.file.read_to_end(&mut text)?;
        // The full log is renamed, and a new one begun. What was still written to the old one has just been read.
        if fs::metadata(&self.path).is_ok_and(|now| self.file.metadata().is_ok_and(|own| own.ino() != now.ino())) {
            self.file.read_to_end(&mut text)?;
            self.file = File::open(&self.path)?;
            self.file.read_to_end(&mut text)?;
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.half_a_line = text.split_off(whole);
        let lines = text.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| parse(line, &self.user)).collect())
    }

    /// Looks until nothing was asked for a whole `period`, and returns what was asked before.
    pub(super) async fn until_silent(&mut self, period: Duration, limit: Duration) -> Result<Vec<LoggedCall>> {
        let begun = Instant::now();
        let mut calls = vec![];
        let mut last = Instant::now();
        while last.elapsed() < period {
            tokio::time::sleep(PAUSE).await;
            let new = self.look()?;
            if let Some(call) = new.last() {
                last = Instant::now();
                if begun.elapsed() > limit {
                    bail!("no silence within {} s; last a {} of {}", limit.as_secs(), call.verb, call.what);
                }
            }
            calls.extend(new);
        }
        Ok(calls)
    }

    /// Looks for a whole `period`.
    pub(super) async fn during(&mut self, period: Duration) -> Result<Vec<LoggedCall>> {
        tokio::time::sleep(period).await;
        self.look()
    }
}

/// Number of calls by verb and kind, such as `patch deployments`.
pub(super) fn by_kind(calls: &[LoggedCall]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(format!("{} {}", call.verb, call.what)).or_default() += 1;
    }
    counts
}

fn parse(line: &[u8], user: &str) -> Option<LoggedCall> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        stage: &'a str,
        verb: &'a str,
        user: User,
        #[serde(default)]
        object_ref: Object,
        response_status: Option<Status>,
        stage_timestamp: Timestamp,
    }
    #[derive(Deserialize)]
    struct User {
        username: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Object {
        resource: String,
        subresource: String,
        name: String,
    }
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        code: u16,
    }
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    if line.user.username != user || line.verb == "watch" || line.stage != "ResponseComplete" {
        return None;
    }
    let Object { resource, subresource, name } = line.object_ref;
    let what = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
    let code = line.response_status.map_or(0, |status| status.code);
    Some(LoggedCall { verb: line.verb.into(), what, name, code, answered: line.stage_timestamp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(user: &str, verb: &str, subresource: &str) -> String {
        format!(
            r#"{{"kind":"Event","stage":"ResponseComplete","requestURI":"/x","verb":"{verb}","user":{{"username":"{user}","groups":["g"]}},"objectRef":{{"resource":"models","namespace":"ns","name":"n","subresource":"{subresource}"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:06.678901Z"}}"#
        )
    }

    #[test]
    fn each_call_is_seen_once_also_half_lines_and_across_a_rotation() {
        let folder = std::env::temp_dir().join(format!("belfry-bench-log-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        fs::write(&path, line("a", "create", "") + "\n").unwrap();
        let mut log = Log::follow(path.clone(), "a").unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        let (first, second) = (line("a", "patch", "status"), line("a", "get", ""));
        let (begin, end) = second.split_at(40);
        write!(file, "{first}\n{}\n{}\n{begin}", line("b", "patch", ""), line("a", "watch", "")).unwrap();
        let seen = log.look().unwrap();
        assert_eq!(by_kind(&seen), BTreeMap::from([("patch models/status".to_owned(), 1)]));
        assert!(seen[0].has_created() && seen[0].is_write());

        writeln!(file, "{end}").unwrap();
        fs::rename(&path, folder.join("audit-1.log")).unwrap();
        fs::write(&path, line("a", "delete", "") + "\n").unwrap();
        let seen = by_kind(&log.look().unwrap());
        assert_eq!(seen, BTreeMap::from([("delete models".to_owned(), 1), ("get models".to_owned(), 1)]));
        assert!(log.look().unwrap().is_empty());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_of_an_api_server_is_understood() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"8f5a236e","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/warm-up/services/m-00008?force=true","verb":"patch","user":{"username":"system:serviceaccount:belfry-system:belfry-operator","uid":"947ec837","groups":["system:serviceaccounts"]},"sourceIPs":["127.0.0.1"],"objectRef":{"resource":"services","namespace":"warm-up","name":"m-00008","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestReceivedTimestamp":"2026-11-30T03:33:15.076343Z","stageTimestamp":"2026-11-30T03:33:15.149946Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;
        let call = parse(line.as_bytes(), "system:serviceaccount:belfry-system:belfry-operator").unwrap();
        assert_eq!((call.what.as_str(), call.name.as_str(), call.code), ("services", "m-00008", 201));
        assert!(call.has_created());
        let begun = line.replace("ResponseComplete", "ResponseStarted");
        assert!(parse(begun.as_bytes(), "system:serviceaccount:belfry-system:belfry-operator").is_none());
    }
}

//! A Prometheus of a test's own, as a process on this machine.

use std::path::Path;

use anyhow::{Context, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::own_process::OwnProcess;

/// A running Prometheus. Dropping it ends it.
pub struct OwnPrometheus(OwnProcess);

impl OwnPrometheus {
    /// Starts it with this configuration; its data and its log are in the folder, which is new or empty.
    pub async fn start(folder: &Path, config: &Value) -> Result<Self> {
        let data = format!("--storage.tsdb.path={}", folder.join("data").display());
        Ok(Self(OwnProcess::start("prometheus", folder, config, &[&data]).await?))
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// Has it read its files again.
    pub fn reload(&self) -> Result<()> {
        self.0.reload()
    }

    /// The series that an expression gives now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let answer: Value = serde_json::from_str(&self.0.get(&format!("/api/v1/query?query={expression}")).await?)?;
        answer["data"]["result"].as_array().cloned().with_context(|| format!("no vector: {answer}"))
    }
}

//! Asks a Prometheus which models break their objectives. Only staged upgrades want to know, and only where the
//! installation names a Prometheus.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Request, Uri};
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::observe::ModelKey;
use belfry_render::monitoring::labels::Category;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A Prometheus, or what speaks its HTTP API.
pub struct Prometheus {
    client: Client,
}

/// Prometheus could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// It did not answer, or not with a vector.
    #[error("Prometheus did not say which alerts fire")]
    Query(#[from] kube::Error),
}

/// An instant vector, of which only the labels matter.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
}

#[derive(Deserialize)]
struct Labels {
    namespace: String,
    model: String,
}

impl Prometheus {
    /// The Prometheus at that address, such as `http://prometheus.monitoring:9090`. Nothing is asked yet.
    ///
    /// # Errors
    /// The certificates of this machine, by which one with `https` is known, can't be read.
    pub fn new(address: Uri) -> Result<Self, PrometheusError> {
        let mut config = Config::new(address);
        (config.connect_timeout, config.read_timeout) = (Some(TIMEOUT), Some(TIMEOUT));
        Ok(Self { client: Client::try_from(config)? })
    }

    /// The models of which an alert fires that says: callers get no answer, or not what was promised to them.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with a vector.
    pub async fn burning(&self) -> Result<BTreeSet<ModelKey>, PrometheusError> {
        let query = query();
        let path = format!("/api/v1/query?query={}", utf8_percent_encode(&query, NON_ALPHANUMERIC));
        let request = Request::get(path).body(vec![]).map_err(kube::Error::HttpError)?;
        let answer: Answer = self.client.request(request).await?;
        let models = answer.data.result.into_iter().map(|series| series.metric);
        Ok(models.map(|Labels { namespace, model }| ModelKey { namespace, name: model }).collect())
    }
}

fn query() -> String {
    let [down, slow] = [Category::Availability, Category::Objective].map(Category::as_str);
    format!(
        r#"group by (namespace, model) (ALERTS{{alertstate="firing",category=~"{down}|{slow}",model!="",namespace!=""}})"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_promql() {
        promql_parser::parser::parse(&query()).unwrap();
    }

    #[test]
    fn a_model_is_named_by_the_labels_of_its_alert() {
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"namespace":"search","model":"minilm"},"value":[1,"1"]}]}}"#;
        let answer: Answer = serde_json::from_str(answer).unwrap();
        let [series] = answer.data.result.as_slice() else { panic!("one series") };
        assert_eq!((series.metric.namespace.as_str(), series.metric.model.as_str()), ("search", "minilm"));
    }
}

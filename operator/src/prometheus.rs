//! Asks the Prometheus that the installation names: which models break their objectives, which rules are evaluated, and which
//! workers are scraped.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Request, Uri};
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::observe::ModelKey;
use belfry_render::monitoring::labels::Category;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

const TARGETS: &str = r#"count_values by (namespace, model) ("up", up{model!="",namespace!=""})"#;

/// A Prometheus, or what speaks its HTTP API.
pub struct Prometheus {
    client: Client,
    address: String,
}

/// Prometheus could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// It did not answer, or not as Prometheus does.
    #[error("{address} gave no answer that can be read")]
    Answer {
        /// Where it was asked.
        address: String,
        /// What went wrong.
        source: kube::Error,
    },
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
        let name = address.to_string();
        let mut config = Config::new(address);
        (config.connect_timeout, config.read_timeout) = (Some(TIMEOUT), Some(TIMEOUT));
        let client =
            Client::try_from(config).map_err(|source| PrometheusError::Answer { address: name.clone(), source })?;
        Ok(Self { client, address: name })
    }

    /// The models of which an alert fires that says: callers get no answer, or not what was promised to them.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with a vector.
    pub async fn burning(&self) -> Result<BTreeSet<ModelKey>, PrometheusError> {
        let answer: Answer = self.query(&query()).await?;
        let models = answer.data.result.into_iter().map(|series| series.metric);
        Ok(models.map(|Labels { namespace, model }| ModelKey { namespace, name: model }).collect())
    }

    /// An instant vector: for each model and each value of `up` the number of its targets. The value is the label `up`.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with a vector.
    pub async fn targets<A: DeserializeOwned>(&self) -> Result<A, PrometheusError> {
        self.query(TARGETS).await
    }

    /// The groups of rules with these names, as far as they are loaded, without the alerts that fire. An old Prometheus does not
    /// know the filter, and names all groups.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with groups of rules.
    pub async fn rules<A: DeserializeOwned>(&self, groups: impl Iterator<Item = &str>) -> Result<A, PrometheusError> {
        let filter: String = groups.map(|group| format!("&rule_group[]={}", encoded(group))).collect();
        self.get(format!("/api/v1/rules?exclude_alerts=true{filter}")).await
    }

    async fn query<A: DeserializeOwned>(&self, expression: &str) -> Result<A, PrometheusError> {
        self.get(format!("/api/v1/query?query={}", encoded(expression))).await
    }

    async fn get<A: DeserializeOwned>(&self, path: String) -> Result<A, PrometheusError> {
        let request = Request::get(path).body(vec![]).map_err(kube::Error::HttpError);
        let answer = async { self.client.request(request?).await };
        answer.await.map_err(|source| PrometheusError::Answer { address: self.address.clone(), source })
    }
}

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
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
        promql_parser::parser::parse(TARGETS).unwrap();
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

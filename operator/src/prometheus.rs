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

/// The targets of a model that answer when they are scraped, or those that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetCount {
    /// The model.
    pub key: ModelKey,
    /// They answer.
    pub is_up: bool,
    /// How many they are.
    pub count: u32,
}

/// A group of rules that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LoadedGroup {
    /// Its name. Belfry's names are unique in a cluster.
    pub name: String,
    /// Its rules, in their order.
    pub rules: Vec<LoadedRule>,
}

/// A rule that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedRule {
    /// Name of the alert or of the record.
    pub name: String,
    /// `ok`, `err` or `unknown`.
    #[serde(default)]
    pub health: String,
    /// Why it can't be evaluated; empty where it can.
    #[serde(default)]
    pub last_error: String,
}

/// What every answer is.
#[derive(Deserialize)]
struct Answer<D> {
    data: D,
}

/// An instant vector.
#[derive(Deserialize)]
struct Vector<L> {
    result: Vec<Sample<L>>,
}

#[derive(Deserialize)]
struct Sample<L> {
    metric: L,
    value: (f64, String),
}

#[derive(Deserialize)]
struct OfModel {
    namespace: String,
    model: String,
}

#[derive(Deserialize)]
struct OfTargets {
    #[serde(flatten)]
    model: OfModel,
    up: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<LoadedGroup>,
}

impl From<OfModel> for ModelKey {
    fn from(OfModel { namespace, model }: OfModel) -> Self {
        Self::new(&namespace, &model)
    }
}

impl From<Sample<OfTargets>> for TargetCount {
    fn from(Sample { metric: OfTargets { model, up }, value: (_, count) }: Sample<OfTargets>) -> Self {
        Self { key: model.into(), is_up: up == "1", count: count.parse().unwrap_or(0) }
    }
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
        let models = self.query::<OfModel>(&query()).await?;
        Ok(models.into_iter().map(|sample| sample.metric.into()).collect())
    }

    /// The targets of each model that has any.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with a vector.
    pub async fn targets(&self) -> Result<Vec<TargetCount>, PrometheusError> {
        Ok(self.query::<OfTargets>(TARGETS).await?.into_iter().map(TargetCount::from).collect())
    }

    /// The groups of rules with these names, as far as they are loaded, without the alerts that fire. An old Prometheus does not
    /// know the filter, and names all groups.
    ///
    /// # Errors
    /// It did not answer within 10 s, or not with groups of rules.
    pub async fn rules(&self, groups: impl Iterator<Item = &str>) -> Result<Vec<LoadedGroup>, PrometheusError> {
        let filter: String = groups.map(|group| format!("&rule_group[]={}", encoded(group))).collect();
        Ok(self.get::<Groups>(format!("/api/v1/rules?exclude_alerts=true{filter}")).await?.groups)
    }

    async fn query<L: DeserializeOwned>(&self, expression: &str) -> Result<Vec<Sample<L>>, PrometheusError> {
        Ok(self.get::<Vector<L>>(format!("/api/v1/query?query={}", encoded(expression))).await?.result)
    }

    async fn get<D: DeserializeOwned>(&self, path: String) -> Result<D, PrometheusError> {
        let request = Request::get(path).body(vec![]).map_err(kube::Error::HttpError);
        let answer: Result<Answer<D>, _> = async { self.client.request(request?).await }.await;
        let answer = answer.map_err(|source| PrometheusError::Answer { address: self.address.clone(), source })?;
        Ok(answer.data)
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

    fn read<D: DeserializeOwned>(data: &str) -> D {
        let answer = format!(r#"{{"status":"success","data":{data}}}"#);
        serde_json::from_str::<Answer<D>>(&answer).unwrap().data
    }

    fn key() -> ModelKey {
        ModelKey { namespace: "search".into(), name: "minilm".into() }
    }

    #[test]
    fn a_model_is_named_by_the_labels_of_its_alert() {
        let vector: Vector<OfModel> = read(
            r#"{"resultType":"vector","result":[{"metric":{"namespace":"search","model":"minilm"},"value":[1,"1"]}]}"#,
        );
        let keys: Vec<ModelKey> = vector.result.into_iter().map(|sample| sample.metric.into()).collect();
        assert_eq!(keys, [key()]);
    }

    #[test]
    fn targets_are_counted_by_whether_they_answer() {
        let vector: Vector<OfTargets> = read(
            r#"{"resultType":"vector","result":[
                {"metric":{"namespace":"search","model":"minilm","up":"1"},"value":[1,"2"]},
                {"metric":{"namespace":"search","model":"minilm","up":"0"},"value":[1,"3"]}]}"#,
        );
        let counts: Vec<_> = vector.result.into_iter().map(TargetCount::from).collect();
        let of = |is_up, count| TargetCount { key: key(), is_up, count };
        assert_eq!(counts, [of(true, 2), of(false, 3)]);
    }

    #[test]
    fn a_rule_that_has_no_error_is_read_without_one() {
        let Groups { groups } = read(
            r#"{"groups":[{"name":"g","file":"f","interval":30,"rules":[
                {"name":"a","type":"alerting","health":"err","query":"1","lastError":"many-to-many"},
                {"name":"b","type":"recording","health":"ok","query":"1"}]}]}"#,
        );
        let rule = |name: &str, health: &str, error: &str| LoadedRule {
            name: name.into(),
            health: health.into(),
            last_error: error.into(),
        };
        let rules = vec![rule("a", "err", "many-to-many"), rule("b", "ok", "")];
        assert_eq!(groups, [LoadedGroup { name: "g".into(), rules }]);
    }
}

//! Answers of Prometheus about rules and targets → what they say about a model. Pure.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::monitoring::PrometheusRuleSpec;
use serde::Deserialize;

use crate::observe::ModelKey;

/// The groups of rules that were written for a model, each with the names of its rules in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected(BTreeMap<String, Vec<String>>);

/// What became of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// So many are loaded, and evaluated without an error.
    Evaluated(usize),
    /// Prometheus has not loaded these groups, or has loaded other rules under their names.
    Missing(Vec<String>),
    /// The evaluation of a rule fails.
    Failing {
        /// Name of the alert or of the record.
        rule: String,
        /// Prometheus' words.
        error: String,
    },
}

/// What became of the workers as targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// So many, and each answers.
    Up(u32),
    /// Some do not answer.
    Down {
        /// Those that do not.
        down: u32,
        /// All.
        all: u32,
    },
    /// Workers run, and Prometheus scrapes none of them.
    Missing,
    /// There is none to scrape.
    NoPods,
}

/// Longest text that is repeated from Prometheus, in characters.
const MOST_CHARACTERS: usize = 300;

impl Expected {
    /// What a PrometheusRule asks for.
    #[must_use]
    pub(super) fn of(rules: &PrometheusRuleSpec) -> Self {
        let name = |rule: &belfry_crds::monitoring::Rule| rule.alert.clone().or_else(|| rule.record.clone());
        let groups = rules.groups.iter().map(|group| {
            let rules = group.rules.iter().filter_map(name).collect();
            (group.name.clone(), rules)
        });
        Self(groups.collect())
    }

    /// Names of the groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What became of them.
    #[must_use]
    pub(super) fn found_in(&self, loaded: &LoadedGroups) -> Rules {
        let is_loaded = |(group, rules): (&String, &Vec<String>)| {
            let found = loaded.0.get(group).is_some_and(|found| found.iter().map(|rule| &rule.name).eq(rules));
            (!found).then(|| group.clone())
        };
        let missing: Vec<_> = self.0.iter().filter_map(is_loaded).collect();
        if !missing.is_empty() {
            return Rules::Missing(missing);
        }
        let mut rules = self.0.keys().filter_map(|group| loaded.0.get(group)).flatten();
        match rules.find(|rule| rule.health == "err") {
            Some(rule) => Rules::Failing {
                rule: rule.name.clone(),
                error: rule.last_error.chars().take(MOST_CHARACTERS).collect(),
            },
            None => Rules::Evaluated(self.0.values().map(Vec::len).sum()),
        }
    }
}

/// The groups that a Prometheus has loaded, by their names. Belfry's names are unique in a cluster.
#[derive(Debug, Default)]
pub(super) struct LoadedGroups(BTreeMap<String, Vec<LoadedRule>>);

impl LoadedGroups {
    /// Whether groups are named that were not asked for.
    #[must_use]
    pub(super) fn has_others_than(&self, asked: &BTreeSet<&str>) -> bool {
        self.0.keys().any(|group| !asked.contains(group.as_str()))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadedRule {
    name: String,
    #[serde(default)]
    health: String,
    #[serde(default)]
    last_error: String,
}

/// An answer of `/api/v1/rules`, of which only this matters.
#[derive(Deserialize)]
pub(super) struct RulesAnswer {
    data: Groups,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<LoadedRule>,
}

impl From<RulesAnswer> for LoadedGroups {
    fn from(answer: RulesAnswer) -> Self {
        Self(answer.data.groups.into_iter().map(|group| (group.name, group.rules)).collect())
    }
}

/// An answer of `/api/v1/query` with one value for each model.
#[derive(Deserialize)]
pub(super) struct VectorAnswer {
    data: Vector,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: Labels,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Labels {
    namespace: String,
    model: String,
    up: String,
}

/// Targets of each model that has any: how many answer, and how many do not.
#[derive(Debug, Default)]
pub(super) struct AllTargets(BTreeMap<ModelKey, (u32, u32)>);

impl From<VectorAnswer> for AllTargets {
    fn from(answer: VectorAnswer) -> Self {
        let mut all: BTreeMap<ModelKey, (u32, u32)> = BTreeMap::new();
        for Sample { metric: Labels { namespace, model, up }, value: (_, count) } in answer.data.result {
            let (answering, silent) = all.entry(ModelKey { namespace, name: model }).or_default();
            let counted = if up == "1" { answering } else { silent };
            *counted = counted.saturating_add(count.parse().unwrap_or(0));
        }
        Self(all)
    }
}

impl AllTargets {
    /// Those of a model, of which pods run or not.
    #[must_use]
    pub(super) fn of(&self, key: &ModelKey, has_pods: bool) -> Targets {
        match self.0.get(key).copied().unwrap_or_default() {
            (0, 0) if has_pods => Targets::Missing,
            (0, 0) => Targets::NoPods,
            (up, 0) => Targets::Up(up),
            (up, down) => Targets::Down { down, all: up.saturating_add(down) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn loaded(groups: Value) -> LoadedGroups {
        let answer = json!({"status": "success", "data": {"groups": groups}});
        serde_json::from_value::<RulesAnswer>(answer).unwrap().into()
    }

    fn expected() -> Expected {
        let spec = json!({"groups": [{"name": "inference.search.minilm.alerts", "rules": [
            {"record": "inference:requests:rate1m", "expr": "1"}, {"alert": "InferenceModelDown", "expr": "1"},
        ]}]});
        Expected::of(&serde_json::from_value(spec).unwrap())
    }

    fn group(rules: Value) -> Value {
        json!([{"name": "inference.search.minilm.alerts", "file": "f", "interval": 30, "rules": rules}])
    }

    fn rule(name: &str, health: &str) -> Value {
        json!({"name": name, "type": "alerting", "health": health, "query": "1", "lastError": if health == "err" { "many-to-many" } else { "" }})
    }

    #[test]
    fn rules_that_are_loaded_and_evaluated_are_counted() {
        let both = json!([rule("inference:requests:rate1m", "ok"), rule("InferenceModelDown", "unknown")]);
        assert_eq!(expected().found_in(&loaded(group(both))), Rules::Evaluated(2));
    }

    #[test]
    fn a_group_that_is_not_there_or_holds_other_rules_is_missing() {
        let missing = Rules::Missing(vec!["inference.search.minilm.alerts".into()]);
        assert_eq!(expected().found_in(&loaded(json!([]))), missing);
        let old = json!([rule("InferenceModelDown", "ok")]);
        assert_eq!(expected().found_in(&loaded(group(old))), missing, "those of an earlier specification");
    }

    #[test]
    fn a_rule_that_fails_is_named_with_the_words_of_prometheus() {
        let both = json!([rule("inference:requests:rate1m", "ok"), rule("InferenceModelDown", "err")]);
        let failing = Rules::Failing { rule: "InferenceModelDown".into(), error: "many-to-many".into() };
        assert_eq!(expected().found_in(&loaded(group(both))), failing);
    }

    #[test]
    fn targets_are_counted_by_model() {
        let sample = |model: &str, up: &str, count: &str| json!({"metric": {"namespace": "search", "model": model, "up": up}, "value": [1, count]});
        let answer = json!({"data": {"result": [sample("a", "1", "2"), sample("b", "1", "1"), sample("b", "0", "3")]}});
        let all: AllTargets = serde_json::from_value::<VectorAnswer>(answer).unwrap().into();
        let of = |name: &str, has_pods| all.of(&ModelKey { namespace: "search".into(), name: name.into() }, has_pods);
        assert_eq!((of("a", true), of("b", true)), (Targets::Up(2), Targets::Down { down: 3, all: 4 }));
        assert_eq!((of("c", true), of("c", false)), (Targets::Missing, Targets::NoPods));
    }
}

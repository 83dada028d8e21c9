//! Answers of Prometheus about rules and targets → what they say about a model. Pure.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::monitoring::PrometheusRuleSpec;

use crate::observe::ModelKey;
use crate::prometheus::{LoadedGroup, LoadedRule, TargetCount};

/// The groups of rules that were written for a model, each with the names of its rules in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected(BTreeMap<String, Vec<String>>);

/// What became of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// So many are loaded, and evaluated without an error.
    Evaluated(usize),
    /// All are loaded, and some have not been evaluated yet.
    Waiting,
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
        let rules = || self.0.keys().filter_map(|group| loaded.0.get(group)).flatten();
        if let Some(rule) = rules().find(|rule| rule.health == "err") {
            let error = rule.last_error.chars().take(MOST_CHARACTERS).collect();
            return Rules::Failing { rule: rule.name.clone(), error };
        }
        // A new group, or a new Prometheus: whether the rules can be evaluated, their first evaluation will show.
        if rules().any(|rule| rule.health == "unknown") {
            return Rules::Waiting;
        }
        Rules::Evaluated(self.0.values().map(Vec::len).sum())
    }
}

/// The groups that a Prometheus has loaded, by their names.
#[derive(Debug, Default)]
pub(super) struct LoadedGroups(BTreeMap<String, Vec<LoadedRule>>);

impl LoadedGroups {
    /// Whether groups are named that were not asked for.
    #[must_use]
    pub(super) fn has_others_than(&self, asked: &BTreeSet<&str>) -> bool {
        self.0.keys().any(|group| !asked.contains(group.as_str()))
    }
}

impl From<Vec<LoadedGroup>> for LoadedGroups {
    fn from(groups: Vec<LoadedGroup>) -> Self {
        Self(groups.into_iter().map(|group| (group.name, group.rules)).collect())
    }
}

/// Targets of each model that has any: how many answer, and how many do not.
#[derive(Debug, Default)]
pub(super) struct AllTargets(BTreeMap<ModelKey, (u32, u32)>);

impl From<Vec<TargetCount>> for AllTargets {
    fn from(counts: Vec<TargetCount>) -> Self {
        let mut all: BTreeMap<ModelKey, (u32, u32)> = BTreeMap::new();
        for TargetCount { key, is_up, count } in counts {
            let (answering, silent) = all.entry(key).or_default();
            let counted = if is_up { answering } else { silent };
            *counted = counted.saturating_add(count);
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
    use serde_json::json;

    const GROUP: &str = "inference.search.minilm.alerts";

    fn loaded(rules: &[(&str, &str)]) -> LoadedGroups {
        let rule = |(name, health): &(&str, &str)| LoadedRule {
            name: (*name).into(),
            health: (*health).into(),
            last_error: if *health == "err" { "many-to-many".into() } else { String::new() },
        };
        vec![LoadedGroup { name: GROUP.into(), rules: rules.iter().map(rule).collect() }].into()
    }

    fn expected() -> Expected {
        let spec = json!({"groups": [{"name": GROUP, "rules": [
            {"record": "inference:requests:rate1m", "expr": "1"}, {"alert": "InferenceModelDown", "expr": "1"},
        ]}]});
        Expected::of(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn rules_that_are_loaded_and_evaluated_are_counted() {
        let both = loaded(&[("inference:requests:rate1m", "ok"), ("InferenceModelDown", "ok")]);
        assert_eq!(expected().found_in(&both), Rules::Evaluated(2));
    }

    #[test]
    fn of_rules_that_were_not_evaluated_yet_nothing_good_is_said_and_an_error_comes_first() {
        let waiting = loaded(&[("inference:requests:rate1m", "ok"), ("InferenceModelDown", "unknown")]);
        assert_eq!(expected().found_in(&waiting), Rules::Waiting);
        let failing = loaded(&[("inference:requests:rate1m", "unknown"), ("InferenceModelDown", "err")]);
        assert!(matches!(expected().found_in(&failing), Rules::Failing { .. }));
    }

    #[test]
    fn a_group_that_is_not_there_or_holds_other_rules_is_missing() {
        let missing = Rules::Missing(vec![GROUP.into()]);
        assert_eq!(expected().found_in(&vec![].into()), missing);
        let old = loaded(&[("InferenceModelDown", "ok")]);
        assert_eq!(expected().found_in(&old), missing, "those of an earlier specification");
    }

    #[test]
    fn a_rule_that_fails_is_named_with_the_words_of_prometheus() {
        let both = loaded(&[("inference:requests:rate1m", "ok"), ("InferenceModelDown", "err")]);
        let failing = Rules::Failing { rule: "InferenceModelDown".into(), error: "many-to-many".into() };
        assert_eq!(expected().found_in(&both), failing);
    }

    #[test]
    fn targets_are_counted_by_model() {
        let key = |name: &str| ModelKey { namespace: "search".into(), name: name.into() };
        let count = |name: &str, is_up, count| TargetCount { key: key(name), is_up, count };
        let all: AllTargets = vec![count("a", true, 2), count("b", true, 1), count("b", false, 3)].into();
        let of = |name: &str, has_pods| all.of(&key(name), has_pods);
        assert_eq!((of("a", true), of("b", true)), (Targets::Up(2), Targets::Down { down: 3, all: 4 }));
        assert_eq!((of("c", true), of("c", false)), (Targets::Missing, Targets::NoPods));
    }
}

//! Whether a Prometheus of the Prometheus Operator selects what was written for a model, and if not, what is missing. Pure.
//!
//! An object that no Prometheus selects is never read, and no one says so: the oldest complaint about the Prometheus Operator.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{DynamicObject, Selector, SelectorExt};

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;

/// What a Prometheus object selects.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selects {
    namespace: String,
    name: String,
    kinds: [KindSelects; 2],
}

/// What it selects of one kind.
#[derive(Clone, Debug, PartialEq)]
struct KindSelects {
    kind: &'static str,
    field: &'static str,
    /// `None` selects no object.
    objects: Option<LabelSelector>,
    namespace_field: &'static str,
    /// `None` selects the namespace of the Prometheus object.
    namespaces: Option<LabelSelector>,
}

/// Whether any Prometheus selects the ServiceMonitor and the PrometheusRule of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The cluster has no Prometheus object that the operator may read: another program may read what was written.
    Unknown,
    /// This one does, as `NAMESPACE/NAME`.
    By(String),
    /// None does; what the nearest one asks for.
    Missing(String),
}

impl Selects {
    /// Reads a Prometheus object. A selector that can't be read selects nothing.
    pub(super) fn of(object: &DynamicObject) -> Self {
        let selector = |field: &str| {
            let value = object.data.get("spec").and_then(|spec| spec.get(field))?;
            serde_json::from_value(value.clone()).ok()
        };
        let of = |kind, field, namespace_field| KindSelects {
            kind,
            field,
            objects: selector(field),
            namespace_field,
            namespaces: selector(namespace_field),
        };
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            kinds: [
                of("ServiceMonitor", "serviceMonitorSelector", "serviceMonitorNamespaceSelector"),
                of("PrometheusRule", "ruleSelector", "ruleNamespaceSelector"),
            ],
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What this Prometheus misses in objects with these labels, in this namespace.
    fn misses(&self, (namespace, of_namespace): (&str, &Labels), labels: &Labels) -> Vec<String> {
        let mut missing = vec![];
        for KindSelects { kind, field, objects, namespace_field, namespaces } in &self.kinds {
            match namespaces {
                None if namespace == self.namespace => {}
                None => missing.push(format!(
                    "it reads {kind} objects of its own namespace only: set its {namespace_field} (`{{}}` for all namespaces)"
                )),
                Some(selector) if matches(selector, of_namespace) => {}
                Some(selector) => missing.push(format!(
                    "its {namespace_field} wants {} of a namespace: label namespace {namespace}",
                    wants(selector)
                )),
            }
            match objects {
                None => missing.push(format!("it selects no {kind}: set its {field}")),
                Some(selector) if matches(selector, labels) => {}
                Some(selector) => missing.push(format!(
                    "its {field} wants {}: add it to spec.observability.monitor.labels",
                    wants(selector)
                )),
            }
        }
        missing
    }
}

/// Whether one of them selects both objects of a model.
pub(super) fn selection<'a>(
    all: impl Iterator<Item = &'a Selects>,
    namespace: (&str, &Labels),
    labels: &Labels,
) -> Selection {
    let mut nearest: Option<(&Selects, Vec<String>)> = None;
    for selects in all {
        let misses = selects.misses(namespace, labels);
        if misses.is_empty() {
            return Selection::By(selects.name());
        }
        if nearest.as_ref().is_none_or(|(_, fewest)| misses.len() < fewest.len()) {
            nearest = Some((selects, misses));
        }
    }
    nearest.map_or(Selection::Unknown, |(selects, misses)| {
        Selection::Missing(format!("no Prometheus selects them; Prometheus {}: {}", selects.name(), misses.join("; ")))
    })
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// A selector for people, as `kubectl --selector` takes it.
fn wants(selector: &LabelSelector) -> String {
    Selector::try_from(selector.clone()).map_or_else(|error| error.to_string(), |selector| selector.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn prometheus(name: &str, spec: Value) -> Selects {
        let object = json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
            "metadata": {"namespace": "monitoring", "name": name}, "spec": spec,
        });
        Selects::of(&serde_json::from_value(object).unwrap())
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Of a model in the namespace `search`, which has the label `team: search`.
    fn of(all: &[Selects], own: &[(&str, &str)]) -> Selection {
        selection(all.iter(), ("search", &labels(&[("team", "search")])), &labels(own))
    }

    fn everywhere(release: &str) -> Value {
        let selector = json!({"matchLabels": {"release": release}});
        json!({
            "serviceMonitorSelector": selector, "serviceMonitorNamespaceSelector": {},
            "ruleSelector": selector, "ruleNamespaceSelector": {},
        })
    }

    #[test]
    fn one_that_selects_both_is_enough() {
        let all = [prometheus("a", everywhere("a")), prometheus("b", everywhere("b"))];
        assert_eq!(of(&all, &[("release", "b")]), Selection::By("monitoring/b".into()));
    }

    #[test]
    fn a_missing_label_is_named_with_the_field_that_sets_it() {
        let Selection::Missing(text) = of(&[prometheus("k8s", everywhere("prom"))], &[("app", "x")]) else { panic!() };
        assert!(text.starts_with("no Prometheus selects them; Prometheus monitoring/k8s: "), "{text}");
        assert!(
            text.contains("its serviceMonitorSelector wants release=prom: add it to spec.observability.monitor.labels"),
            "{text}"
        );
        assert!(text.contains("its ruleSelector wants release=prom"), "{text}");
    }

    #[test]
    fn empty_selects_all_and_absent_selects_nothing_or_its_own_namespace() {
        let mut spec = json!({"serviceMonitorSelector": {}, "ruleSelector": {}});
        let Selection::Missing(text) = of(&[prometheus("k8s", spec.clone())], &[]) else { panic!() };
        assert!(text.contains("of its own namespace only: set its serviceMonitorNamespaceSelector"), "{text}");
        (spec["serviceMonitorNamespaceSelector"], spec["ruleNamespaceSelector"]) = (json!({}), json!({}));
        assert_eq!(of(&[prometheus("k8s", spec.clone())], &[]), Selection::By("monitoring/k8s".into()));
        spec["ruleSelector"] = Value::Null;
        let Selection::Missing(text) = of(&[prometheus("k8s", spec)], &[]) else { panic!() };
        assert!(text.ends_with("it selects no PrometheusRule: set its ruleSelector"), "{text}");
    }

    #[test]
    fn a_namespace_is_selected_by_its_labels() {
        let mut spec = everywhere("a");
        spec["ruleNamespaceSelector"] =
            json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["ml"]}]});
        let Selection::Missing(text) = of(&[prometheus("k8s", spec.clone())], &[("release", "a")]) else { panic!() };
        assert!(
            text.ends_with("its ruleNamespaceSelector wants team in (ml) of a namespace: label namespace search"),
            "{text}"
        );
        spec["ruleNamespaceSelector"] = json!({"matchLabels": {"team": "search"}});
        assert_eq!(of(&[prometheus("k8s", spec)], &[("release", "a")]), Selection::By("monitoring/k8s".into()));
    }

    #[test]
    fn of_several_the_one_that_misses_least_is_named_and_without_any_nothing_is_known() {
        let all = [prometheus("none", json!({})), prometheus("near", everywhere("a"))];
        let Selection::Missing(text) = of(&all, &[]) else { panic!() };
        assert!(text.contains("Prometheus monitoring/near: "), "{text}");
        assert_eq!(of(&[], &[]), Selection::Unknown);
    }
}

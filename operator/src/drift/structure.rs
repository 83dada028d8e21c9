//! How the API server merges the fields of the kinds that are written, from its own schemas.
//!
//! Two managers share a granular map by its keys and an associative list by the keys of its elements. What is atomic
//! has one owner, and an apply replaces it as a whole. So in an atomic field everything that is not ours is a
//! difference, and elsewhere only what is ours is compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use belfry_render::kind::ChildKind;
use serde::Deserialize;
use serde_json::Value;

/// Every kind, by its name. `e2e/tests/crd/structure.rs` makes the file from a real API server, and holds it against one.
static KINDS: LazyLock<BTreeMap<String, Field>> = LazyLock::new(|| {
    // A test reads the file.
    let kinds: BTreeMap<String, Table> = serde_yaml::from_str(include_str!("structure.yaml")).unwrap_or_default();
    kinds.into_iter().map(|(kind, table)| (kind, Field::tree(table))).collect()
});

/// The field that stands for each element of a list and each value of a map.
const EACH: &str = "*";

/// One kind in the file: how its fields are merged. A field is a path of names with points between them.
type Table = BTreeMap<String, Merge>;

/// How a field is merged where it is not what is usual: a map is granular and a list atomic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Merge {
    /// A map that is replaced as a whole, or a list that is a set.
    Named(Named),
    /// A list that is shared element by element. These keys say which element is which.
    Keys(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Atomic,
    Set,
}

/// A field, with the fields in it of which there is something to say.
#[derive(Debug, Default)]
pub(super) struct Field {
    merge: Option<Merge>,
    fields: BTreeMap<String, Field>,
}

/// A field of which there is nothing to say.
static USUAL: Field = Field { merge: None, fields: BTreeMap::new() };

impl Field {
    fn tree(table: Table) -> Self {
        let mut root = Self::default();
        for (path, merge) in table {
            let names = path.split('.');
            let field = names.fold(&mut root, |field, name| field.fields.entry(name.to_owned()).or_default());
            field.merge = Some(merge);
        }
        root
    }

    /// The whole object of a kind.
    pub(super) fn of(kind: ChildKind) -> &'static Self {
        KINDS.get(kind.as_str()).unwrap_or(&USUAL)
    }

    fn field(&self, name: &str) -> &Self {
        self.fields.get(name).or_else(|| self.fields.get(EACH)).unwrap_or(&USUAL)
    }

    /// Whether `live` holds everything of `desired`, and nothing else where one manager owns the whole.
    pub(super) fn holds(&self, live: &Value, desired: &Value) -> bool {
        match (live, desired, &self.merge) {
            (Value::Object(_), Value::Object(_), Some(Merge::Named(Named::Atomic))) => is_same(live, desired),
            (Value::Object(live), Value::Object(desired), _) => desired.iter().all(|(name, wanted)| {
                live.get(name).map_or_else(|| is_empty_list(wanted), |found| self.field(name).holds(found, wanted))
            }),
            (Value::Array(live), Value::Array(desired), Some(Merge::Keys(keys))) => desired.iter().all(|wanted| {
                let found = live.iter().find(|found| keys.iter().all(|key| found.get(key) == wanted.get(key)));
                found.is_some_and(|found| self.field(EACH).holds(found, wanted))
            }),
            (Value::Array(live), Value::Array(desired), Some(Merge::Named(Named::Set))) => {
                desired.iter().all(|wanted| live.contains(wanted))
            }
            _ => is_same(live, desired),
        }
    }
}

/// Whether both are the same.
fn is_same(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            live.keys().all(|name| desired.contains_key(name))
                && desired.iter().all(|(name, wanted)| {
                    live.get(name).map_or_else(|| is_empty_list(wanted), |found| is_same(found, wanted))
                })
        }
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(found, wanted)| is_same(found, wanted))
        }
        _ => live == desired,
    }
}

/// The API server leaves an empty list out.
fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field() -> Field {
        let table =
            json!({"selector": "atomic", "ports": ["port", "protocol"], "ports.*.ref": "atomic", "names": "set"});
        Field::tree(serde_json::from_value(table).unwrap())
    }

    #[track_caller]
    fn assert_holds(live: &Value, desired: &Value, expected: bool) {
        assert_eq!(field().holds(live, desired), expected, "{live} holds {desired}");
    }

    #[test]
    fn the_file_names_every_kind_and_can_be_read() {
        for kind in ChildKind::ALL {
            assert!(KINDS.contains_key(kind.as_str()), "{}", kind.as_str());
        }
        assert!(!Field::of(ChildKind::Service).holds(
            &json!({"spec": {"selector": {"app": "a", "version": "green"}}}),
            &json!({"spec": {"selector": {"app": "a"}}})
        ));
    }

    #[test]
    fn a_key_of_another_manager_is_a_difference_in_an_atomic_map_and_none_in_a_granular_one() {
        let (desired, live) = (json!({"app": "a"}), json!({"app": "a", "version": "green"}));
        assert_holds(&json!({"labels": live}), &json!({"labels": desired}), true);
        assert_holds(&json!({"selector": live}), &json!({"selector": desired}), false);
        assert_holds(&json!({"selector": desired}), &json!({"selector": desired}), true);
        assert_holds(&json!({"selector": {}}), &json!({"selector": desired}), false);
    }

    #[test]
    fn an_element_of_another_manager_is_a_difference_in_a_list_without_keys() {
        let (one, two) = (json!([{"port": 1}]), json!([{"port": 1}, {"port": 2}]));
        assert_holds(&json!({"endpoints": two}), &json!({"endpoints": one}), false);
        assert_holds(&json!({"ports": two}), &json!({"ports": one}), true);
        assert_holds(&json!({"ports": one}), &json!({"ports": two}), false);
        assert_holds(&json!({"names": ["b", "a"]}), &json!({"names": ["a"]}), true);
        assert_holds(&json!({"names": ["b"]}), &json!({"names": ["a"]}), false);
    }

    #[test]
    fn an_element_with_another_key_is_another_element() {
        let desired = json!({"ports": [{"port": 1, "protocol": "TCP", "ref": {"a": 1}}]});
        assert_holds(&json!({"ports": [{"port": 1, "protocol": "UDP", "ref": {"a": 1}}]}), &desired, false);
        assert_holds(&json!({"ports": [{"port": 1, "protocol": "TCP", "ref": {"a": 1}, "more": 1}]}), &desired, true);
        assert_holds(&json!({"ports": [{"port": 1, "protocol": "TCP", "ref": {"a": 1, "more": 1}}]}), &desired, false);
    }

    #[test]
    fn a_list_that_has_to_be_empty_may_be_left_out_and_may_not_be_filled() {
        let desired = json!({"egress": []});
        assert_holds(&json!({}), &desired, true);
        assert_holds(&json!({"egress": [{}]}), &desired, false);
        assert_holds(&json!({"rules": [{"a": 1}]}), &json!({"rules": [{"a": 1, "b": []}]}), true);
    }

    #[test]
    fn a_changed_value_and_a_missing_field_are_differences() {
        let live = json!({"a": 1, "b": {"c": "d"}, "list": [1, 2]});
        for desired in [json!({"a": 2}), json!({"x": 1}), json!({"b": {"c": "e"}}), json!({"list": [2, 1]})] {
            assert_holds(&live, &desired, false);
        }
    }
}

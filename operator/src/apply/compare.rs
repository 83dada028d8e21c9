//! Whether a live object holds everything that is wanted. Fields that the API server or somebody
//! else added don't count.

use kube::core::DynamicObject;
use serde_json::Value;

/// Whether `live` holds every field of `desired`.
#[must_use]
pub fn object_contains(live: &DynamicObject, desired: &DynamicObject) -> bool {
    match (serde_json::to_value(live), serde_json::to_value(desired)) {
        (Ok(live), Ok(desired)) => contains(&live, &desired),
        _ => false,
    }
}

/// Maps are compared by key. A list of objects may hold more elements than are wanted, since other
/// managers may add theirs, unless it has to be empty; the API server leaves an empty list out. A
/// list of plain values is compared as a whole.
fn contains(live: &Value, desired: &Value) -> bool {
    let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, wanted)| match live.get(key) {
            Some(found) => contains(found, wanted),
            None => is_empty_list(wanted),
        }),
        (Value::Array(live), Value::Array(desired)) if !desired.is_empty() && desired.iter().all(Value::is_object) => {
            desired.iter().all(|wanted| live.iter().any(|found| contains(found, wanted)))
        }
        (live, desired) => live == desired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_additions_of_others_are_no_difference() {
        let live =
            json!({"spec": {"a": 1, "defaulted": true, "env": [{"name": "B"}, {"name": "A", "value": "1", "x": 0}]}});
        assert!(contains(&live, &json!({"spec": {"a": 1, "env": [{"name": "A", "value": "1"}]}})));
    }

    #[test]
    fn a_list_that_has_to_be_empty_may_be_left_out_and_may_not_be_filled() {
        let wanted = json!({"egress": []});
        assert!(contains(&json!({}), &wanted));
        assert!(!contains(&json!({"egress": [{}]}), &wanted));
    }

    #[test]
    fn a_changed_value_a_missing_field_and_a_missing_element_are_differences() {
        let live = json!({"a": 1, "list": [1, 2], "env": [{"name": "A", "value": "1"}]});
        for wanted in [
            json!({"a": 2}),
            json!({"b": 1}),
            json!({"list": [1]}),
            json!({"env": [{"name": "A", "value": "2"}]}),
            json!({"env": [{"name": "C"}]}),
        ] {
            assert!(!contains(&live, &wanted), "{wanted}");
        }
    }
}

//! Whether a live object holds everything that is wanted. Fields that the API server or another
//! manager added don't count.

use kube::core::DynamicObject;
use serde_json::Value;

/// Whether `live` holds every field of `desired`. Both are of the same kind, which is not compared: an API server's list
/// does not repeat it in each object of a kind of Kubernetes itself.
#[must_use]
pub(super) fn object_contains(live: &DynamicObject, desired: &DynamicObject) -> bool {
    match (serde_json::to_value(live), serde_json::to_value(desired)) {
        (Ok(live), Ok(Value::Object(mut desired))) => {
            desired.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind"));
            contains(&live, &Value::Object(desired))
        }
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
    fn an_object_from_a_list_does_not_say_its_kind() {
        let desired = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"b": 1}});
        let mut listed = desired.clone();
        listed.as_object_mut().unwrap().retain(|field, _| field != "apiVersion" && field != "kind");
        let object = |value| serde_json::from_value::<DynamicObject>(value).unwrap();
        assert!(object_contains(&object(listed), &object(desired.clone())));
        assert!(!object_contains(&object(json!({"metadata": {"name": "a"}})), &object(desired)));
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

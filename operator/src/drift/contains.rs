//! Whether a live object holds everything that is wanted.

use belfry_render::kind::ChildKind;
use kube::core::DynamicObject;
use serde_json::Value;

use super::structure::Field;

/// Whether `live` holds what is `desired` of a kind. Its name is not compared: an API server's list does not repeat it in
/// each object of a kind of Kubernetes itself.
#[must_use]
pub(super) fn object_contains(kind: ChildKind, live: &DynamicObject, desired: &DynamicObject) -> bool {
    match (serde_json::to_value(live), serde_json::to_value(desired)) {
        (Ok(live), Ok(Value::Object(mut desired))) => {
            desired.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind"));
            Field::of(kind).holds(&live, &Value::Object(desired))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_from_a_list_does_not_say_its_kind() {
        let desired = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"b": 1}});
        let mut listed = desired.clone();
        listed.as_object_mut().unwrap().retain(|field, _| field != "apiVersion" && field != "kind");
        let holds = |live: &serde_json::Value| {
            let object = |value: &serde_json::Value| serde_json::from_value::<DynamicObject>(value.clone()).unwrap();
            object_contains(ChildKind::Service, &object(live), &object(&desired))
        };
        assert!(holds(&listed));
        assert!(!holds(&json!({"metadata": {"name": "a"}})));
    }
}

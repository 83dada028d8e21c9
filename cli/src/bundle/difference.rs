//! Where a live child is not as it is wanted.

use belfry_render::quantity::quantity;
use serde_json::Value;

use super::redact;

/// Fields that are wanted and differ, or are not there: the path, what is wanted, and what is live, without secrets. What is live and
/// not wanted is left out: the API server and others fill in much.
pub(super) fn differences(wanted: &Value, live: &Value) -> Vec<String> {
    let mut found = vec![];
    compare("", (wanted, Some(live)), &mut found);
    let [wanted, live] = [wanted, live].map(redact::cleaned);
    let say = |path: &String| {
        let shown = |value: &Value| value.pointer(path).map_or_else(|| "nothing".to_owned(), short);
        format!("{path}: wanted {}, live {}", shown(&wanted), shown(&live))
    };
    found.iter().map(say).collect()
}

fn compare(path: &str, (wanted, live): (&Value, Option<&Value>), found: &mut Vec<String>) {
    match (wanted, live) {
        (Value::Object(wanted), Some(Value::Object(live))) => {
            for (name, value) in wanted {
                compare(
                    &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                    (value, live.get(name)),
                    found,
                );
            }
        }
        (Value::Array(wanted), Some(Value::Array(live))) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                compare(&format!("{path}/{index}"), (wanted, Some(live)), found);
            }
        }
        // The API server leaves out what says nothing.
        (wanted, None) if is_nothing(wanted) => {}
        (wanted, Some(live)) if is_equal(wanted, live) => {}
        _ => found.push(path.to_owned()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// `1000m` and `1` are the same quantity.
fn is_equal(wanted: &Value, live: &Value) -> bool {
    let as_quantity = |value: &Value| match value {
        Value::String(text) => quantity(text).map(|quantity| format!("{quantity:?}")),
        _ => None,
    };
    wanted == live || as_quantity(wanted).is_some_and(|wanted| as_quantity(live) == Some(wanted))
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wanted_and_not_so_is_named_with_both_values() {
        let wanted = json!({"spec": {"replicas": 2, "ports": [{"port": 80}], "selector": {"a": "b"}}});
        let live =
            json!({"spec": {"replicas": 3, "ports": [{"port": 80, "protocol": "TCP"}], "selector": {}}, "status": {}});
        assert_eq!(
            differences(&wanted, &live),
            ["/spec/replicas: wanted 2, live 3", "/spec/selector/a: wanted \"b\", live nothing"]
        );
        let live = json!({"spec": {"replicas": 2, "ports": [], "selector": {"a": "b"}}});
        assert_eq!(differences(&wanted, &live), ["/spec/ports: wanted [{\"port\":80}], live []"]);
    }

    #[test]
    fn a_secret_that_differs_is_named_and_not_shown() {
        let env = |value: &str| json!({"env": [{"name": "HF_TOKEN", "value": value}]});
        let found = differences(&env("one"), &env("two"));
        assert_eq!(found, ["/env/0/value: wanted \"REDACTED\", live \"REDACTED\""]);
    }

    #[test]
    fn what_the_api_server_writes_in_another_way_is_no_difference() {
        let wanted = json!({"a": {}, "b": [], "c": null, "cpu": "1000m", "memory": "1Gi"});
        assert_eq!(differences(&wanted, &json!({"cpu": "1", "memory": "1024Mi"})), Vec::<String>::new());
        assert_eq!(differences(&json!({"cpu": "1"}), &json!({"cpu": "2"})).len(), 1);
    }
}

//! An AlertmanagerConfig as a configuration of Alertmanager, in the way of the Prometheus Operator: its route comes first
//! below the root, with the namespace and `continue`, and every inhibition rule gets the namespace on both sides.

use belfry_crds::alertmanager::AlertmanagerConfig;
use serde_json::{Map, Value, json};

/// The value of a Secret's key in these tests: an address below that of the sink.
pub(crate) fn configuration(object: &AlertmanagerConfig, sink: &str) -> Value {
    let namespace = format!("namespace=\"{}\"", object.metadata.namespace.as_deref().unwrap());
    let spec = native(&serde_json::to_value(&object.spec).unwrap(), sink);
    let mut route = spec["route"].clone();
    route["matchers"].as_array_mut().unwrap().push(json!(namespace));
    route["continue"] = json!(true);
    let mut rules = spec["inhibit_rules"].clone();
    for rule in rules.as_array_mut().unwrap() {
        for side in ["source_matchers", "target_matchers"] {
            rule[side].as_array_mut().unwrap().push(json!(namespace));
        }
    }
    let mut receivers = spec["receivers"].as_array().unwrap().clone();
    receivers.push(json!({"name": "null"}));
    for receiver in &mut receivers {
        // Wherever the account is, it is at the sink.
        for (kind, field, path) in
            [("pagerduty_configs", "url", "pagerduty"), ("opsgenie_configs", "api_url", "opsgenie/")]
        {
            receiver[kind]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|one| one[field] = json!(format!("{sink}/{path}")));
        }
        receiver.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    let intervals = spec.get("mute_time_intervals").cloned().unwrap_or_else(|| json!([]));
    json!({
        "route": {"receiver": "null", "routes": [route]}, "receivers": receivers,
        "inhibit_rules": rules, "time_intervals": intervals,
    })
}

/// The same in Alertmanager's own spelling.
fn native(value: &Value, sink: &str) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(|item| native(item, sink)).collect()),
        Value::Object(fields) => match shape(fields, sink) {
            Some(value) => value,
            None => fields.iter().map(|(name, field)| (native_name(name), list(name, field, sink))).collect(),
        },
        other => other.clone(),
    }
}

/// Fields that are an object here and a text in Alertmanager.
fn shape(fields: &Map<String, Value>, sink: &str) -> Option<Value> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let (Some(name), Some(how)) = (text("name"), text("matchType")) {
        return Some(json!(format!("{name}{how}{}", fields["value"])));
    }
    let key = text("key").filter(|_| fields.contains_key("name") && fields.len() == 2)?;
    Some(json!(format!("{sink}/{key}")))
}

/// Lists that have another form in Alertmanager.
fn list(name: &str, field: &Value, sink: &str) -> Value {
    let items = || field.as_array().into_iter().flatten();
    match name {
        "details" | "headers" => {
            items().map(|item| (item["key"].as_str().unwrap().to_owned(), item["value"].clone())).collect()
        }
        "daysOfMonth" => items().map(|range| json!(format!("{}:{}", range["start"], range["end"]))).collect(),
        _ => native(field, sink),
    }
}

fn native_name(name: &str) -> String {
    match name {
        "sourceMatch" => return "source_matchers".into(),
        "targetMatch" => return "target_matchers".into(),
        "urlSecret" => return "url".into(),
        "apiURL" => return "api_url".into(),
        "requireTLS" => return "require_tls".into(),
        _ => {}
    }
    name.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}

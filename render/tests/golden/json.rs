//! JSON for a reader: a value that fits into a line stands in one.

use serde_json::Value;

/// Width of a line, without its indentation.
const WIDTH: usize = 120;

/// The same JSON over several lines. An object or a list that is short stays in one.
pub(crate) fn spread(value: &Value) -> String {
    write(value, 0)
}

fn write(value: &Value, depth: usize) -> String {
    let line = one_line(value);
    let (open, parts, close) = match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}: {}", text(name), write(value, depth + 1));
            ('{', fields.iter().map(field).collect::<Vec<_>>(), '}')
        }
        Value::Array(items) => ('[', items.iter().map(|item| write(item, depth + 1)).collect(), ']'),
        _ => return line,
    };
    if line.len() <= WIDTH {
        return line;
    }
    let indent = "  ".repeat(depth);
    format!("{open}\n{indent}  {}\n{indent}{close}", lines(parts).join(&format!(",\n{indent}  ")))
}

/// Puts neighbours into one line, as many as fit; a part that has lines of its own stays alone.
fn lines(parts: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for part in parts {
        match lines.last_mut() {
            Some(line) if !line.contains('\n') && !part.contains('\n') && line.len() + part.len() < WIDTH => {
                *line += &format!(", {part}");
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// The same JSON in one line, with a blank after each comma and colon.
fn one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}: {}", text(name), one_line(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        _ => value.to_string(),
    }
}

fn text(name: &str) -> String {
    Value::from(name).to_string()
}

#[test]
fn spread_json_is_the_same_json_and_short_parts_stay_in_one_line() {
    let value = serde_json::json!({"a": [1, 2.5, null, "x\"y"], "b": {}, "c": "w".repeat(WIDTH), "d": 3});
    let spread = spread(&value);
    assert_eq!(serde_json::from_str::<Value>(&spread).unwrap(), value);
    let lines: Vec<_> = spread.lines().collect();
    assert_eq!((lines.len(), lines[1]), (5, r#"  "a": [1, 2.5, null, "x\"y"], "b": {},"#));
}

//! Templates of tokenizer.json. The library reads one that names what it does not have, and panics at the first text.

use serde_json::Value;

/// Refuses a post-processor with a template that can't be filled.
pub(super) fn check(post: Option<&Value>) -> Result<(), String> {
    let Some(post) = post else { return Ok(()) };
    for part in post.get("processors").and_then(Value::as_array).into_iter().flatten() {
        check(Some(part))?;
    }
    for (name, texts) in [("single", &["A"][..]), ("pair", &["A", "B"])] {
        for piece in post.get(name).and_then(Value::as_array).into_iter().flatten() {
            if let Some(token) = piece.pointer("/SpecialToken/id").and_then(Value::as_str)
                && post.get("special_tokens").and_then(|tokens| tokens.get(token)).is_none()
            {
                return Err(format!(
                    "its post_processor puts {token} into {name}, and special_tokens has no such token"
                ));
            }
            if let Some(text) = piece.pointer("/Sequence/id").and_then(Value::as_str)
                && !texts.contains(&text)
            {
                return Err(format!("its post_processor puts text {text} into {name}, which has none"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_has_only_what_is_there() {
        let token = |id: &str| json!({ "SpecialToken": { "id": id, "type_id": 0 } });
        let text = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
        let template = |single: Value, pair: Value| {
            let tokens = json!({ "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] } });
            json!({ "type": "TemplateProcessing", "single": [single], "pair": [pair], "special_tokens": tokens })
        };
        let good = template(token("[CLS]"), text("B"));
        assert_eq!(check(Some(&good)), Ok(()));
        assert_eq!(check(Some(&json!({ "type": "ByteLevel" }))), Ok(()));
        assert_eq!(check(None), Ok(()));
        for bad in [template(token("[SEP]"), text("A")), template(text("B"), text("A"))] {
            assert!(check(Some(&bad)).is_err());
            assert!(check(Some(&json!({ "type": "Sequence", "processors": [good, bad] }))).is_err());
        }
    }
}

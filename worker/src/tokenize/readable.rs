//! Whether the library can read every part of a tokenizer.json.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenizers::{DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::template;

/// Checks a whole tokenizer.json, also the parts that a class replaces: a file with a part that the library does not know is
/// of another kind than it seems. The words of most vocabularies are left out, which saves the time of reading them twice.
pub(super) fn readable(json: &Value) -> Result<(), String> {
    let parts = json.as_object().ok_or("it is not an object")?;
    if parts.get("added_tokens").is_some_and(|tokens| !tokens.is_array()) {
        return Err("added_tokens is not a list".to_owned());
    }
    let model = parts.get("model").and_then(Value::as_object).ok_or("it has no model")?;
    // A Unigram model can't be without words, and one without a type is known by them.
    let without_words =
        model.get("type").is_some_and(|kind| kind != "Unigram") && model.get("vocab").is_some_and(Value::is_object);
    let part = |(name, value): (&String, &Value)| match name.as_str() {
        "vocab" if without_words => (name.clone(), json!({})),
        "merges" if without_words => (name.clone(), json!([])),
        _ => (name.clone(), value.clone()),
    };
    let small = Value::Object(model.iter().map(part).collect());
    known::<ModelWrapper>("model", Some(&small))?;
    known::<NormalizerWrapper>("normalizer", parts.get("normalizer"))?;
    known::<PreTokenizerWrapper>("pre_tokenizer", parts.get("pre_tokenizer"))?;
    known::<PostProcessorWrapper>("post_processor", parts.get("post_processor"))?;
    known::<DecoderWrapper>("decoder", parts.get("decoder"))?;
    template::check(parts.get("post_processor"))
}

/// Refuses a model that gives a text other tokens each time. Only a tokenizer that is taken as it is written keeps that setting.
pub(super) fn repeatable(json: &Value) -> Result<(), String> {
    match json.pointer("/model/dropout").and_then(Value::as_f64) {
        Some(part) if part != 0.0 => {
            Err(format!("its model has dropout {part}, so a text would have other tokens each time; set it to null"))
        }
        _ => Ok(()),
    }
}

/// Whether a part is missing, or of a kind that the library knows.
fn known<T: DeserializeOwned>(name: &str, part: Option<&Value>) -> Result<(), String> {
    match part {
        None | Some(Value::Null) => Ok(()),
        Some(part) => T::deserialize(part).map(drop).map_err(|_| format!("its {name} is of no kind that is known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_leaves_out_merges_at_random_is_refused() {
        let model =
            |dropout: Value| json!({ "model": { "type": "BPE", "dropout": dropout, "vocab": {}, "merges": [] } });
        for dropout in [json!(null), json!(0.0)] {
            assert_eq!(repeatable(&model(dropout)), Ok(()));
        }
        assert!(repeatable(&model(json!(0.1))).unwrap_err().contains("dropout 0.1"));
    }
}

//! What goes before each text of a request.

use crate::error::{ApiError, Reason};
use crate::state::{Model, Prompt};

/// The prompt of a request for scores, from the same fields. A model for late interaction has prompts of its own for queries and
/// documents.
pub(super) fn of_scores(model: &Model, name: Option<String>, own: Option<String>) -> Result<Prompt, ApiError> {
    let given = [("prompt_name", name.is_some()), ("prompt", own.is_some())].into_iter().find(|(_, given)| *given);
    match given {
        Some((field, _)) if model.presets.max_sim.is_some() => {
            let message = "this model has prompts of its own for queries and documents; leave it out";
            Err(ApiError::new(Reason::InvalidInput, format!("{field}: {message}")).param(field))
        }
        _ => prompt(model, name, own),
    }
}

/// The prompt of a request, from its fields `prompt_name` and `prompt`.
pub(super) fn prompt(model: &Model, name: Option<String>, own: Option<String>) -> Result<Prompt, ApiError> {
    match (name, own) {
        (None, None) => Ok(model.default_prompt()),
        (None, Some(text)) => Ok(model.prompt(text)),
        (Some(name), None) => model.prompt_named(&name).ok_or_else(|| {
            let names = model.presets.prompts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let has = if names.is_empty() { "no prompts" } else { &names };
            let message = format!("there is no prompt of that name; this model has {has}");
            ApiError::new(Reason::InvalidInput, message).param("prompt_name")
        }),
        (Some(_), Some(_)) => {
            let message = "prompt and prompt_name are both set; send one of them";
            Err(ApiError::new(Reason::InvalidInput, message).param("prompt"))
        }
    }
}

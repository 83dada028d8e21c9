//! What goes before each text of a request.

use crate::error::{ApiError, Reason};
use crate::state::{Model, Prompt};

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

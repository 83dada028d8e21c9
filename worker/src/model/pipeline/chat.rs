//! Texts that become messages of a chat: what `sentence_bert_config.json` says about that, and the template.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::chat::{Chat, Form};
use crate::failure::Result;
use crate::folder::Folder;

const TEMPLATE: &str = "chat_template.jinja";
const TOKENIZER: &str = "tokenizer_config.json";

/// More templates, of which a caller chooses one.
const MORE: &str = "additional_chat_templates";

/// Arguments of `apply_chat_template` that are more than a variable of the template. A folder that sets one is refused.
const ARGUMENTS: &[&str] = &[
    "messages",
    "conversation",
    "tools",
    "documents",
    "chat_template",
    "continue_final_message",
    "sanitize_control_tokens",
    "tokenize",
    "padding",
    "truncation",
    "max_length",
    "return_tensors",
    "return_dict",
    "return_assistant_tokens_mask",
    "tokenizer_kwargs",
    "common_kwargs",
];

/// How texts become messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatSettings {
    /// How the template gets the content of a message, if that is said.
    form: Option<Form>,
    /// What the template sees beside the messages.
    variables: Map<String, Value>,
    /// The template's end is not put back where a long text was cut.
    leaves_end: bool,
}

impl ChatSettings {
    /// What the file of a Transformer says; `None` if its texts are no messages.
    pub(super) fn of(place: &Folder, name: &str, settings: &Map<String, Value>) -> Result<Option<Self>> {
        let Some(message) = settings.get("modality_config").and_then(|modality| modality.get("message")) else {
            return Ok(None);
        };
        let form = match message.get("format").and_then(Value::as_str) {
            None | Some("auto") => None,
            Some("flat") => Some(Form::Flat),
            Some("structured") => Some(Form::Structured),
            Some(other) => {
                let why = format!("modality_config.message.format {other} is not supported; flat and structured are");
                return Err(place.unsupported(name, why));
            }
        };
        let mut own = Self { form, ..Self::default() };
        let given = settings.get("processing_kwargs").and_then(|processing| processing.get("chat_template"));
        for (key, value) in given.and_then(Value::as_object).into_iter().flatten() {
            match (key.as_str(), value) {
                ("restore_suffix", Value::Bool(restores)) => own.leaves_end = !restores,
                ("restore_suffix", _) => {
                    let why = format!("processing_kwargs.chat_template.{key} is neither true nor false");
                    return Err(place.corrupt(name, why));
                }
                (argument, _) if ARGUMENTS.contains(&argument) => {
                    let why = format!("processing_kwargs.chat_template.{key} is not supported");
                    return Err(place.unsupported(name, why));
                }
                _ => {
                    own.variables.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(Some(own))
    }

    /// Those of a folder without modules.json, where a template is all that makes messages.
    pub(super) fn of_template(place: &Folder) -> Result<Option<Self>> {
        Ok(template(place)?.map(|_| Self::default()))
    }

    /// The file that has the template.
    pub fn file(place: &Folder) -> &'static str {
        if place.has(TEMPLATE) { TEMPLATE } else { TOKENIZER }
    }

    /// Reads the template, and prepares it. `special` are special tokens by their settings, and `knows` whether the vocabulary has one.
    pub fn open(
        &self,
        place: &Folder,
        special: &BTreeMap<&'static str, String>,
        knows: impl Fn(&str) -> bool,
    ) -> Result<Chat> {
        let Some((name, template, is_one)) = template(place)? else {
            let why = format!(
                "is missing, and {TOKENIZER} has no chat_template; texts of this model become messages of a chat"
            );
            return Err(place.unsupported(TEMPLATE, why));
        };
        if place.has(MORE) {
            return Err(
                place.unsupported(MORE, "is not supported; keep the template that is used, as chat_template.jinja")
            );
        }
        // The library looks into the template only where it is the only one.
        let usual = if is_one { Form::of(&template) } else { Form::Structured };
        let own = special.iter().map(|(setting, token)| ((*setting).to_owned(), Value::from(token.as_str())));
        let variables = own.chain(self.variables.clone()).collect();
        let chat = Chat::new(&template, self.form.unwrap_or(usual), &variables, !self.leaves_end)
            .map_err(|why| place.unsupported(name, format!("chat template: {why}")))?;
        let lacks =
            |(setting, token): &(&&'static str, &String)| !self.variables.contains_key(**setting) && !knows(token);
        Ok(special.iter().filter(lacks).fold(chat, |chat, (setting, token)| chat.lacking(setting, token)))
    }
}

/// The template, with the file that has it, and whether it is the only one.
fn template(place: &Folder) -> Result<Option<(&'static str, String, bool)>> {
    if place.has(TEMPLATE) {
        let text = String::from_utf8(place.read(TEMPLATE)?).map_err(|_| place.corrupt(TEMPLATE, "it is not UTF-8"))?;
        return Ok(Some((TEMPLATE, text, true)));
    }
    let config: Map<String, Value> = place.optional_json(TOKENIZER)?.unwrap_or_default();
    let named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some("default");
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some((TOKENIZER, text.clone(), true))),
        Some(Value::Array(list)) => match list.iter().find(named).and_then(|one| one.get("template")?.as_str()) {
            Some(text) => Ok(Some((TOKENIZER, text.to_owned(), false))),
            None => {
                Err(place.unsupported(TOKENIZER, "chat_template has several templates, and none has the name default"))
            }
        },
        Some(_) => Err(place.corrupt(TOKENIZER, "chat_template is neither a text nor a list of templates")),
    }
}

//! Chat templates: texts become messages, and a template of Jinja makes one text of them, as transformers does it.
//!
//! A template is a file of the model's folder. It reads no other file and sees nothing but the messages, the special tokens and the
//! settings of the folder; its size, its steps and what it writes are bounded.

mod macros;
mod python;

use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::{Kwargs, Serde, merge_maps};
use minijinja::{Environment, Value, context};
use serde::Serialize;
use serde_json::Map;

use crate::plain;

/// Largest template, in bytes. Those of large models for chats have about 20 kB.
const TEMPLATE_LIMIT: usize = 256 << 10;

/// Most steps of one rendering. Each also pays for 64 bytes that the template writes or copies, so that the memory is bounded by
/// 128 MiB.
const STEPS: u64 = 1 << 21;

/// The template's name in messages of the engine.
const NAME: &str = "chat_template";

/// Texts that show where a template puts them; each begins with another letter and has another length, as those of
/// sentence-transformers (`PAIR_ROLE_PROBES`).
const PROBES: [[&str; 2]; 3] = [["alpha", "bravo"], ["charlie", "bravo"], ["alpha", "foxtrot"]];

/// How a template gets the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a text.
    Flat,
    /// As a list of parts, each with its type.
    Structured,
}

impl Form {
    /// The form of a template where no setting names one (`InputFormatter._infer_format` of sentence-transformers).
    pub fn of(template: &str) -> Self {
        const PARTS: &[&str] = &["content[0]", ".type", "'type'", "\"type\"", "item.type", "message.content["];
        if !template.is_empty() && !PARTS.iter().any(|part| template.contains(part)) {
            Self::Flat
        } else {
            Self::Structured
        }
    }
}

/// Who says a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The prompt of a request or of the model.
    System,
    /// A text alone.
    User,
    /// The first text of a pair.
    Query,
    /// The second text of a pair.
    Document,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub text: &'a str,
}

/// What a model is asked, as messages.
pub fn messages<'a>(prompt: &'a str, text: &'a str, pair: Option<&'a str>) -> Vec<Message<'a>> {
    let system = (!prompt.is_empty()).then_some(Message { role: Role::System, text: prompt });
    let first = Message { role: if pair.is_some() { Role::Query } else { Role::User }, text };
    system.into_iter().chain([first]).chain(pair.map(|text| Message { role: Role::Document, text })).collect()
}

/// A message as a template sees it.
#[derive(Serialize)]
struct Shown<'a> {
    role: Role,
    content: Content<'a>,
}

impl<'a> Shown<'a> {
    fn of(Message { role, text }: &Message<'a>, form: Form) -> Self {
        let content = match form {
            Form::Flat => Content::Text(text),
            Form::Structured => Content::Parts(vec![Part { r#type: "text", text }]),
        };
        Self { role: *role, content }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
struct Part<'a> {
    r#type: &'static str,
    text: &'a str,
}

/// A template with all that it sees beside the messages.
pub struct Chat {
    environment: Environment<'static>,
    form: Form,
    variables: BTreeMap<String, Value>,
    restores: bool,
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("form", &self.form).field("restores", &self.restores).finish_non_exhaustive()
    }
}

impl Chat {
    /// Reads a template. `variables` are what it sees beside the messages: special tokens by their settings, and the settings of
    /// the folder. `restores` is whether its end is put back where a long text was cut.
    pub fn new(
        template: &str,
        form: Form,
        variables: &Map<String, serde_json::Value>,
        restores: bool,
    ) -> Result<Self, String> {
        if template.len() > TEMPLATE_LIMIT {
            return Err(format!("it has {} bytes; at most {TEMPLATE_LIMIT} are read", template.len()));
        }
        let mut environment = python::environment();
        environment.set_fuel(Some(STEPS));
        // Jinja takes all ends of lines for one.
        let template = template.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(name) = macros::with_a_default_of_names(&template) {
            return Err(format!(
                "a default of its macro {name} names a variable, which this engine leaves empty: write the value"
            ));
        }
        if macros::joins_fractions(&template, variables) {
            let why =
                "it joins values with ~ or join, and has numbers with fractions, which Python writes in its own way";
            return Err(why.to_owned());
        }
        environment.add_template_owned(NAME, template).map_err(|error| said(&error))?;
        let usual =
            [("tools", Value::from(())), ("documents", Value::from(())), ("add_generation_prompt", false.into())];
        let usual = usual.into_iter().map(|(name, value)| (name.to_owned(), value));
        let own = variables.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value))));
        Ok(Self { environment, form, variables: usual.chain(own).collect(), restores })
    }

    /// The same where the vocabulary lacks a special token: a template that writes it fails.
    #[must_use]
    pub fn lacking(mut self, setting: &str, token: &str) -> Self {
        let why = format!("{setting} is {token}, which the vocabulary lacks");
        let error = minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, why);
        self.variables.insert(setting.to_owned(), Value::from(error));
        self
    }

    /// The text that the template makes of messages.
    pub fn render(&self, messages: &[Message<'_>]) -> Result<String, String> {
        let messages =
            Value::from(Serde(messages.iter().map(|message| Shown::of(message, self.form)).collect::<Vec<_>>()));
        let template = self.environment.get_template(NAME).map_err(|error| said(&error))?;
        let own = Value::from(Kwargs::from_iter(self.variables.clone()));
        template.render(merge_maps([context! { messages }, own])).map_err(|error| said(&error))
    }

    /// Refuses a template that leaves out one of two texts of a pair, whose score would say nothing.
    pub fn check_pairs(&self) -> Result<(), String> {
        let [base, queries, documents] = PROBES.map(|[query, document]| messages("", query, Some(document)));
        let missing: Vec<_> = [("query", queries), ("document", documents)]
            .into_iter()
            .filter_map(|(role, other)| match self.moves([base.clone(), other]) {
                Ok(true) => None,
                Ok(false) => Some(Ok(role)),
                Err(why) => Some(Err(why)),
            })
            .collect::<Result<_, _>>()?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "it writes no text of the role {}; set one that writes the roles query and document, as chat_template.jinja",
            missing.join(" and of the role ")
        ))
    }

    /// Refuses a template that leaves out a text that is no pair.
    pub fn check_single(&self) -> Result<(), String> {
        let moves = self.moves([PROBES[0][0], PROBES[1][0]].map(|text| messages("", text, None)))?;
        if moves { Ok(()) } else { Err("it writes no text of the role user".to_owned()) }
    }

    /// Whether two requests have different texts.
    fn moves(&self, [one, other]: [Vec<Message<'_>>; 2]) -> Result<bool, String> {
        Ok(self.render(&one)? != self.render(&other)?)
    }

    /// Whether the template has a place for a text that is no pair.
    pub fn takes_single(&self) -> bool {
        self.check_single().is_ok()
    }

    /// Whether the template's end is put back where a long text was cut.
    pub fn restores(&self) -> bool {
        self.restores
    }
}

/// What is wrong, in one line.
fn said(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    plain::short(&format!("{}{place}{detail}", error.kind()))
}

#[cfg(test)]
mod tests;

//! Chat templates: the same text as Jinja in Python makes (`parity/templates.py`), or a refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

use belfry_worker::chat::{Chat, Form, Message, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<(String, String)>,
    variables: Map<String, Value>,
    structured: bool,
    /// What Jinja makes of it; nothing if it raises.
    rendered: Option<String>,
    /// The worker refuses what Jinja renders.
    #[serde(default)]
    refused: bool,
}

impl Case {
    fn render(&self) -> Result<String, String> {
        let form = if self.structured { Form::Structured } else { Form::Flat };
        let role = |name: &str| match name {
            "system" => Role::System,
            "query" => Role::Query,
            "document" => Role::Document,
            _ => Role::User,
        };
        let message = |(name, text): &'_ (String, String)| (role(name), text.clone());
        let texts: Vec<(Role, String)> = self.messages.iter().map(message).collect();
        let messages: Vec<Message<'_>> = texts.iter().map(|(role, text)| Message { role: *role, text }).collect();
        Chat::new(&self.template, form, &self.variables, true)?.render(&messages)
    }
}

#[test]
fn a_template_makes_the_text_that_jinja_makes_or_is_refused() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("reference/chat.json")).unwrap();
    assert!(cases.len() > 200, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let own = case.render();
        let is_right = match (&own, &case.rendered, case.refused) {
            (Err(_), _, true) | (Err(_), None, false) => true,
            (Ok(text), Some(expected), false) => text == expected,
            _ => false,
        };
        if !is_right {
            let (template, expected) = (&case.template, &case.rendered);
            wrong.push(format!("{template}\n  {:?}\n  is  {own:?}\n  not {expected:?}", case.messages));
        }
    }
    let refused = cases.iter().filter(|case| case.refused).count();
    assert!(refused >= 8, "{refused} cases are of what the engine lacks");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

//! What must not leave the cluster. Secrets are never asked for; this takes out what people put into other places.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands in place of a secret.
const HIDDEN: &str = "REDACTED";

/// Names of settings whose values are secrets.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(^|[_.-])(key|keys|token|tokens|secret|password|passwd|credential|credentials)($|[_.-])")
});

/// Texts that are secrets by their form, and what is left of each.
static SECRETS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", HIDDEN),
        (r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", "$1 REDACTED"),
        (r"\b(hf_|sk-|xox[a-z]-|ghp_|AKIA|ASIA)[A-Za-z0-9_-]{8,}", "${1}REDACTED"),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", HIDDEN),
        (r"://[^/\s:@]+:[^/\s@]+@", "://REDACTED@"),
        (
            r#"(?i)([?&](?:x-amz-signature|x-amz-credential|x-amz-security-token|token|api[_-]?key|sig)=)[^&\s"']+"#,
            "${1}REDACTED",
        ),
        (r#"(?i)(--[a-z-]*(?:token|secret|password|api-key|access-key|secret-access-key)=)[^\s"']+"#, "${1}REDACTED"),
    ]
    .map(|(form, left)| (pattern(form), left))
    .into()
});

#[allow(clippy::unwrap_used, reason = "the patterns are ours, and a test uses each")]
fn pattern(form: &str) -> Regex {
    Regex::new(form).unwrap()
}

/// A text without what looks like a secret.
pub(super) fn text(text: &str) -> String {
    SECRETS.iter().fold(text.to_owned(), |text, (form, left)| form.replace_all(&text, *left).into_owned())
}

/// Takes out of an object: values of variables and flags with the names of secrets, and the bookkeeping of others, which repeats them.
pub(super) fn object(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            let is_secret = fields.get("name").and_then(Value::as_str).is_some_and(|name| SECRET_NAME.is_match(name));
            if let Some(value @ Value::String(_)) = fields.get_mut("value").filter(|_| is_secret) {
                *value = HIDDEN.into();
            }
            fields.values_mut().for_each(object);
        }
        Value::Array(items) => {
            hide_flags(items);
            items.iter_mut().for_each(object);
        }
        _ => {}
    }
}

/// `--token` and its value, as two arguments.
fn hide_flags(arguments: &mut [Value]) {
    let is_flag = |argument: &Value| {
        let name = argument.as_str().and_then(|text| text.strip_prefix("--")).filter(|name| !name.contains('='));
        name.is_some_and(|name| SECRET_NAME.is_match(name))
    };
    let mut is_next = false;
    for argument in arguments {
        if is_next && argument.as_str().is_some_and(|text| !text.starts_with("--")) {
            *argument = HIDDEN.into();
        }
        is_next = is_flag(argument);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_that_is_a_secret_by_its_form_is_taken_out() {
        for (given, left) in [
            ("Authorization: Bearer abcdef123456", "Authorization: Bearer REDACTED"),
            ("token hf_abcdefgh1234 used", "token hf_REDACTED used"),
            ("key sk-abcdefgh1234", "key sk-REDACTED"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIAREDACTED"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt REDACTED end"),
            ("http://user:pass@proxy:3128/x", "http://REDACTED@proxy:3128/x"),
            ("https://b/x?X-Amz-Signature=abc&y=1", "https://b/x?X-Amz-Signature=REDACTED&y=1"),
            ("--hf-token=abc --listen=x", "--hf-token=REDACTED --listen=x"),
            ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a REDACTED b"),
        ] {
            assert_eq!(text(given), left);
        }
        for harmless in ["inference_tokens_total 5", "http://minilm.search.svc:80/embed", "basic tests", "sk-short"] {
            assert_eq!(text(harmless), harmless);
        }
    }

    #[test]
    fn settings_with_the_names_of_secrets_lose_their_values_and_others_keep_them() {
        let mut pod = json!({
            "metadata": {"managedFields": [1], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "a": "b"}},
            "env": [
                {"name": "HF_TOKEN", "value": "x"},
                {"name": "API_KEYS", "value": "x"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "BELFRY_SERVED_NAME", "value": "minilm"},
            ],
            "args": ["--api-key", "x", "--listen", "0.0.0.0:80", "--keys-file", "--verbose"],
        });
        object(&mut pod);
        let expected = json!({
            "metadata": {"annotations": {"a": "b"}},
            "env": [
                {"name": "HF_TOKEN", "value": "REDACTED"},
                {"name": "API_KEYS", "value": "REDACTED"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "BELFRY_SERVED_NAME", "value": "minilm"},
            ],
            "args": ["--api-key", "REDACTED", "--listen", "0.0.0.0:80", "--keys-file", "--verbose"],
        });
        assert_eq!(pod, expected);
    }
}

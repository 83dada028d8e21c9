//! What must not leave the cluster. Secrets are never asked for; this takes out what people put into other places.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands in place of a secret.
const HIDDEN: &str = "REDACTED";

/// Words of a name whose value is a secret.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "apikeys",
    "auth",
    "authorization",
    "cookie",
    "cred",
    "credential",
    "credentials",
    "creds",
    "key",
    "keys",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "pwd",
    "secret",
    "secrets",
    "sig",
    "signature",
    "token",
];

/// Ends of words that are written together, as in `HFTOKEN`.
const SECRET_ENDS: &[&str] = &["apikey", "passphrase", "passwd", "password", "secret", "token"];

/// Last words of a name that only says where a secret is, or how many there are.
const HARMLESS_ENDS: &[&str] = &["count", "file", "folder", "id", "ids", "limit", "name", "path", "ref", "size", "url"];

/// Texts that are secrets by their form, and what is left of each.
static SECRETS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----|\z)", HIDDEN),
        (r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", "$1 REDACTED"),
        (r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\W{1,4})[^\r\n]+", "${1}${2}REDACTED"),
        (
            r"\b(hf_|sk-|sk_live_|rk_live_|xox[a-z]-|gh[opsu]_|github_pat_|glpat-|AKIA|ASIA|AIza)[A-Za-z0-9_-]{8,}",
            "${1}REDACTED",
        ),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", HIDDEN),
        (r#"://[^/\s"'<>]*@"#, "://REDACTED@"),
    ]
    .map(|(form, left)| (pattern(form), left))
    .into()
});

/// A name with its value: `token=x`, `"password": "x"`, `?Signature=x`, `--api-key x`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"([A-Za-z][A-Za-z0-9_.-]*)(["']?[ \t]*[:=][ \t]*["']?)((?:[^\s"',;&<>/]|/[^\s"',;&<>/])[^\s"',;&<>]*)"#)
});
static FLAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"--([A-Za-z][A-Za-z0-9_-]*)([ \t]+)([^\s-]\S*)"));

/// A line of base64, as keys are written. A hash in hexadecimal digits is none.
static BASE64: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9+/]{60,}={0,2}"));

#[allow(clippy::unwrap_used, reason = "the patterns are ours, and a test uses each")]
fn pattern(form: &str) -> Regex {
    Regex::new(form).unwrap()
}

/// Whether the value of that name is a secret. Words are apart by signs or by capitals.
fn is_secret(name: &str) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() || (letter.is_ascii_uppercase() && was_small) {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
        was_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    let is_harmless = words.last().is_some_and(|last| HARMLESS_ENDS.contains(&last.as_str()));
    let is_secret =
        |word: &String| SECRET_WORDS.contains(&word.as_str()) || SECRET_ENDS.iter().any(|end| word.ends_with(end));
    !is_harmless && words.iter().any(is_secret)
}

/// A text without what looks like a secret.
pub(super) fn text(text: &str) -> String {
    let text = SECRETS.iter().fold(text.to_owned(), |text, (form, left)| form.replace_all(&text, *left).into_owned());
    let text = NAMED.replace_all(&text, hide_value);
    let text = FLAG.replace_all(&text, hide_value);
    let is_key =
        |found: &str| found.bytes().any(|b| b.is_ascii_uppercase()) && found.bytes().any(|b| b.is_ascii_lowercase());
    let hide = |found: &Captures<'_>| if is_key(&found[0]) { HIDDEN.to_owned() } else { found[0].to_owned() };
    BASE64.replace_all(&text, hide).into_owned()
}

fn hide_value(found: &Captures<'_>) -> String {
    let (name, between, value) = (&found[1], &found[2], &found[3]);
    // `key` alone names an entry of a Secret, and a word that is no text is a switch or a number.
    let is_plain =
        matches!(name, "key" | "keys") || matches!(value, "true" | "false" | "null" | "{}" | "[]" | "|" | ">");
    if !is_secret(name) || is_plain || value.parse::<f64>().is_ok() {
        // An address has names with values of its own.
        let start = found[0].len() - value.len();
        return format!("{}{}", &found[0][..start], NAMED.replace_all(value, hide_value));
    }
    let dashes = if found[0].starts_with("--") { "--" } else { "" };
    format!("{dashes}{name}{between}{HIDDEN}")
}

/// A copy of an object without its secrets.
pub(super) fn cleaned(value: &Value) -> Value {
    let mut value = value.clone();
    object(&mut value);
    value
}

/// Takes out of an object: values of variables, flags, annotations and data with the names of secrets, and the bookkeeping of others,
/// which repeats them.
fn object(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            for (_, entries) in fields.iter_mut().filter(|(name, _)| matches!(name.as_str(), "annotations" | "data")) {
                let entries = entries.as_object_mut().into_iter().flatten();
                entries.filter(|(name, value)| is_secret(name) && value.is_string()).for_each(|(_, value)| hide(value));
            }
            let is_secret = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
            fields.get_mut("value").filter(|value| is_secret && value.is_string()).into_iter().for_each(hide);
            fields.values_mut().for_each(object);
        }
        Value::Array(items) => {
            hide_flags(items);
            items.iter_mut().for_each(object);
        }
        _ => {}
    }
}

fn hide(value: &mut Value) {
    *value = HIDDEN.into();
}

/// `--token` and its value, as two arguments.
fn hide_flags(arguments: &mut [Value]) {
    let is_flag = |argument: &Value| {
        let name = argument.as_str().and_then(|text| text.strip_prefix("--")).filter(|name| !name.contains('='));
        name.is_some_and(is_secret)
    };
    let mut is_next = false;
    for argument in arguments {
        if is_next && argument.as_str().is_some_and(|text| !text.starts_with("--")) {
            hide(argument);
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
        let base64 = "Ab1+".repeat(16);
        for (given, left) in [
            ("Authorization: Bearer abcdef123456 x", "Authorization: REDACTED"),
            ("\"authorization\": \"Token abc def\"", "\"authorization\": \"REDACTED"),
            ("used Bearer abcdef123456 there", "used Bearer REDACTED there"),
            ("Set-Cookie: a=b; c=d\nnext", "Set-Cookie: REDACTED\nnext"),
            ("found hf_abcdefgh1234 here", "found hf_REDACTED here"),
            ("sk-abcdefgh1234", "sk-REDACTED"),
            ("github_pat_abcdefgh1234", "github_pat_REDACTED"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIAREDACTED"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt REDACTED end"),
            ("http://user:pass@proxy:3128/x", "http://REDACTED@proxy:3128/x"),
            (
                "redis://:pw@h https://token@h http://u:p@ss@h/",
                "redis://REDACTED@h https://REDACTED@h http://REDACTED@h/",
            ),
            ("https://b/x?X-Amz-Signature=abc&y=1", "https://b/x?X-Amz-Signature=REDACTED&y=1"),
            (
                "?Signature=a&access_token=b&X-Goog-Signature=c",
                "?Signature=REDACTED&access_token=REDACTED&X-Goog-Signature=REDACTED",
            ),
            ("--hf-token=abc --listen=x", "--hf-token=REDACTED --listen=x"),
            (
                "--api-keys=a --s3-secret-access-key b --port 80",
                "--api-keys=REDACTED --s3-secret-access-key REDACTED --port 80",
            ),
            ("{\"token\":\"x1\", \"n\": 1}", "{\"token\":\"REDACTED\", \"n\": 1}"),
            ("HF_TOKEN=x1 password: y x-api-key: z", "HF_TOKEN=REDACTED password: REDACTED x-api-key: REDACTED"),
            ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a REDACTED b"),
            ("-----BEGIN PRIVATE KEY-----\nMII", "REDACTED"),
            (&base64, "REDACTED"),
        ] {
            assert_eq!(text(given), left, "{given}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_stays() {
        let hash = format!("digest: {}", "0a1b".repeat(16));
        for harmless in [
            "inference_tokens_total 5",
            "http://minilm.search.svc:80/embed",
            "basic tests",
            "BELFRY_MAX_BATCH_TOKENS=4096",
            "maxBatchTokens: 4096",
            "--max-batch-tokens 4096",
            "--api-key-file /keys/all",
            "automountServiceAccountToken: false",
            "secretName: registry-login",
            "secretKeyRef:\n  name: proxy\n  key: address",
            "imagePullSecrets:\n- name: x",
            "batch_size: 4, queue_tokens: 7",
            &hash,
        ] {
            assert_eq!(text(harmless), harmless);
        }
    }

    #[test]
    fn settings_with_the_names_of_secrets_lose_their_values_and_others_keep_them() {
        let env = |name: &str, value: &str| json!({"name": name, "value": value});
        let secrets = [
            "HF_TOKEN",
            "API_KEYS",
            "OPENAI_APIKEY",
            "HFTOKEN",
            "PGPASSWORD",
            "DB_PASS",
            "MYSQL_PWD",
            "AUTH",
            "apiKey",
        ];
        let harmless =
            ["BELFRY_SERVED_NAME", "BELFRY_MAX_BATCH_TOKENS", "AWS_ACCESS_KEY_ID", "KEY_FILE", "PASSAGE", "AUTHOR"];
        let list = |value: &str| secrets.iter().map(|name| env(name, value)).collect::<Vec<_>>();
        let kept: Vec<_> = harmless.iter().map(|name| env(name, "x")).collect();
        let pod = |hidden: &str, annotations: Value| {
            let env = [list(hidden), kept.clone()].concat();
            json!({
                "metadata": annotations,
                "env": env,
                "args": ["--api-key", hidden, "--listen", "0.0.0.0:80", "--keys-file", "--verbose"],
                "data": {"db.password": hidden, "note": "x"},
                "more": {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            })
        };
        let last = json!({"kubectl.kubernetes.io/last-applied-configuration": "x", "team/api-token": "x", "a": "b"});
        let mut given = pod("x", json!({"managedFields": [1], "annotations": last}));
        object(&mut given);
        assert_eq!(given, pod(HIDDEN, json!({"annotations": {"team/api-token": HIDDEN, "a": "b"}})));
    }
}

//! Who may ask, and the pages of which origins.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use belfry_crds::contract::env;

use super::source::Secret;

/// Who may ask, and the pages of which origins.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AccessArgs {
    /// File with API keys, one a line; requests then need one of them as Authorization: Bearer KEY
    #[arg(long, env = env::API_KEY_FILE, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// API keys, separated by commas or lines; better from the environment than on the command line
    #[arg(long, env = env::API_KEYS, value_name = "KEYS", hide_env_values = true)]
    pub api_keys: Option<Secret>,
    /// Origin whose pages may ask, as https://host, or * for every page; may be repeated
    #[arg(long, env = env::CORS_ALLOW_ORIGIN, value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_allow_origin: Vec<Origin>,
}

/// `--cors-allow-origin`: an origin as browsers send it, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = text.split_once("://").map_or("", |(_, host)| host);
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !host.contains(['/', '*', '?', '#']);
        if text == "*" || (!host.is_empty() && plain) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err("an origin is scheme://host or scheme://host:port without a path, or * alone")
    }
}

impl AccessArgs {
    /// The keys of callers; none where everybody may ask.
    pub fn keys(&self) -> Result<Vec<Secret>, String> {
        let mut keys = Vec::new();
        if let Some(path) = &self.api_key_file {
            let place = format!("--api-key-file {}", path.display());
            let text = fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
            keys.extend(split(&text, &['\n'], &place)?);
        }
        if let Some(text) = self.api_keys.as_ref().filter(|text| !text.reveal().is_empty()) {
            keys.extend(split(text.reveal(), &['\n', ','], "--api-keys")?);
        }
        Ok(keys)
    }
}

/// Keys that are separated so. A key that no header can carry would lock its caller out without a word.
fn split(text: &str, between: &[char], place: &str) -> Result<Vec<Secret>, String> {
    let keys: Vec<&str> = text.split(between).map(str::trim).filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Err(format!("{place}: holds no key; write at least one"));
    }
    match keys.iter().position(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(index) => Err(format!("{place}: key {} has a blank, or a letter that is not ASCII", index + 1)),
        None => Ok(keys.into_iter().map(|key| Secret::from(key.to_owned())).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::NamedTempFile, AccessArgs) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let args = AccessArgs { api_key_file: Some(file.path().to_owned()), ..AccessArgs::default() };
        (file, args)
    }

    #[test]
    fn keys_come_from_a_file_and_from_the_environment() {
        let (_file, mut args) = file("one\n\n  two \r\n");
        args.api_keys = Some(Secret::from("three,four".to_owned()));
        let keys: Vec<_> = args.keys().unwrap().iter().map(|key| key.reveal().to_owned()).collect();
        assert_eq!(keys, ["one", "two", "three", "four"]);
        assert_eq!(AccessArgs::default().keys().unwrap(), []);
    }

    #[test]
    fn a_file_without_a_key_opens_no_door_and_no_error_shows_a_key() {
        for text in ["", " \n\n", "hunter2 hunter3\n", "hunter2é"] {
            let (_file, args) = file(text);
            let error = args.keys().unwrap_err();
            assert!(error.starts_with("--api-key-file /") && !error.contains("hunter"), "{error}");
        }
        let missing = AccessArgs { api_key_file: Some("/nowhere".into()), ..AccessArgs::default() };
        assert!(missing.keys().unwrap_err().starts_with("--api-key-file /nowhere: "));
    }

    #[test]
    fn an_origin_has_no_path() {
        for good in ["*", "https://example.com", "http://localhost:3000", "chrome-extension://abc"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in ["", "example.com", "https://example.com/", "https://*.example.com", "https://", "https://a b"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}

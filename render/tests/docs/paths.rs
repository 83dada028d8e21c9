//! Paths in a text.

use std::sync::LazyLock;

use regex::Regex;

use crate::facts::top_folders;

static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\.\./)*[A-Za-z0-9_.*-]+(?:/(?:[A-Za-z0-9_.*-]|\{[A-Za-z0-9_.,-]+\})+)*/?").unwrap()
});
static FOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new("^[a-z_]+/$").unwrap());

/// Whether a name ends like that of a source, a script or a page.
pub(crate) fn is_file_name(name: &str) -> bool {
    [".rs", ".md", ".sh", ".py", ".toml"].iter().any(|end| name.ends_with(end))
}

/// Texts that look like paths of this project. The bare name of a YAML file does not count: the file may be a user's.
pub(crate) fn of(line: &str) -> Vec<&str> {
    let mut found = vec![];
    for path in PATH.find_iter(line) {
        // The end of an address, a variable or a route.
        if line[..path.start()].ends_with(['/', ':', '@', '$', '<', '>', '{', '}', '=', '%', '~']) {
            continue;
        }
        let name = path.as_str().trim_end_matches(['.', '-']);
        if looks_like_one(name) {
            found.push(name);
        }
    }
    found
}

fn looks_like_one(name: &str) -> bool {
    let first = name.trim_start_matches("../").split('/').next().unwrap_or_default();
    let is_data = [".yaml", ".yml", ".json", ".tpl", ".txt"].iter().any(|end| name.ends_with(end));
    is_file_name(name)
        || FOLDER.is_match(name)
        || name.contains('/') && (is_data || top_folders().iter().any(|folder| folder == first))
}

//! Parts of a template whose meaning differs between Jinja and minijinja.

use serde_json::{Map, Value};

/// Words that are values and no names.
const VALUES: &[&str] = &["true", "false", "none", "True", "False", "None"];

/// The first macro with a default that names anything: Jinja takes other parameters for it, and minijinja leaves it empty.
pub(super) fn with_a_default_of_names(template: &str) -> Option<&str> {
    template.split("{%").skip(1).find_map(|statement| {
        let header = statement.split("%}").next()?;
        let rest = header.trim_start_matches(['-', '+']).trim_start().strip_prefix("macro")?;
        let (name, parameters) = rest.starts_with(char::is_whitespace).then(|| rest.split_once('('))??;
        let bare = without_texts(parameters);
        let mut defaults = parameters_of(&bare).into_iter().filter_map(|parameter| Some(parameter.split_once('=')?.1));
        defaults.any(has_names).then(|| name.trim())
    })
}

/// Whether a template joins values and may have a number with a fraction: Python and Rust write some of those differently. What is
/// joined does not pass the engine's own writer of values.
pub(super) fn joins_fractions(template: &str, variables: &Map<String, Value>) -> bool {
    let blocks = ["{{", "{%"].into_iter().flat_map(|begin| template.split(begin).skip(1));
    let code: Vec<String> = blocks.map(|block| code_of(&without_texts(block)).to_owned()).collect();
    let makes = || code.iter().any(|code| makes_fractions(code)) || variables.values().any(has_fraction);
    code.iter().any(|code| code.contains('~') || code.contains("join")) && makes()
}

/// What stands before the end of a block.
fn code_of(block: &str) -> &str {
    let end = ["}}", "%}"].into_iter().filter_map(|end| block.find(end)).min();
    &block[..end.unwrap_or(block.len())]
}

/// Whether code has a fraction, a division, or a power that may be of less than nothing.
fn makes_fractions(code: &str) -> bool {
    let letters: Vec<char> = code.chars().collect();
    let at = |place: usize| letters.get(place).copied().unwrap_or(' ');
    (0..letters.len()).any(|place| match at(place) {
        '.' => ends_a_number(&letters[..place]) && at(place + 1).is_ascii_digit(),
        'e' | 'E' => {
            ends_a_number(&letters[..place]) && (at(place + 1).is_ascii_digit() || "+-".contains(at(place + 1)))
        }
        '/' => at(place + 1) != '/' && (place == 0 || at(place - 1) != '/'),
        '*' if at(place + 1) == '*' => {
            !letters[place + 2..].iter().find(|letter| **letter != ' ').is_some_and(char::is_ascii_digit)
        }
        _ => false,
    })
}

/// Whether code ends with a number, which is no part of a name.
fn ends_a_number(letters: &[char]) -> bool {
    let digits =
        letters.iter().rev().take_while(|letter| letter.is_ascii_digit() || matches!(letter, '.' | '_')).count();
    let (before, number) = letters.split_at(letters.len() - digits);
    number.first().is_some_and(char::is_ascii_digit) && !before.last().is_some_and(|letter| letter.is_alphanumeric())
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(has_fraction),
        Value::Object(map) => map.values().any(has_fraction),
        _ => false,
    }
}

/// The same with nothing between the marks of its texts.
fn without_texts(code: &str) -> String {
    let (mut bare, mut mark, mut is_escaped) = (String::new(), None, false);
    for letter in code.chars() {
        match mark {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if letter == '\\' => is_escaped = true,
            Some(begun) if letter == begun => mark = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => mark = Some(letter),
            None => bare.push(letter),
        }
    }
    bare
}

/// Cuts at each comma that stands in no brackets.
fn parameters_of(code: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parameters = code.split(|letter| {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parameters.collect()
}

fn has_names(code: &str) -> bool {
    let words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let mut words = words.filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'));
    words.any(|word| !VALUES.contains(&word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_with_fractions_are_found_where_they_may_be_joined() {
        let joins =
            |template: &str, variables: Value| joins_fractions(template, variables.as_object().expect("an object"));
        for template in [
            "{{ 1e16 ~ '' }}",
            "{{ 0.5 ~ 'x' }}",
            "{{ 1e-5 ~ '' }}",
            "{% set x = 7 / 2 %}{{ x ~ 'a' }}",
            "{{ [0.00001] | join }}",
            "{{ 2 ** -1 ~ '' }}",
            "{{ 2 ** y ~ '' }}",
            "{%- set x = 1.5 -%}{%- set y = x ~ '' -%}",
        ] {
            assert!(joins(template, json!({})), "{template}");
        }
        for template in [
            "{{ 'a' ~ messages[0].content ~ 'b' }}",
            "{{ 'a/b' ~ '0.5' }} 0.5 / 2 ~",
            "{{ 7 // 2 ~ 'x' }}",
            "{{ messages[0].e5 ~ v2.e1 }}",
            "{{ 0.5 }} ~ {{ 1 / 2 }}",
            "{{ 3 ~ 'x' }}</s>",
            "{{ 2 ** 3 ~ 'x' }}",
        ] {
            assert!(!joins(template, json!({ "n": 1, "s": "0.5" })), "{template}");
        }
        assert!(joins("{{ a ~ b }}", json!({ "deep": [{ "p": 0.5 }] })));
    }

    #[test]
    fn a_default_that_names_another_parameter_is_found() {
        for template in [
            "{% macro m(a, b=a) %}{% endmacro %}",
            "{%- macro m(a, b = [1, a]) -%}",
            "x{% macro other(a) %}{% macro m(b=messages | length) %}",
        ] {
            assert_eq!(with_a_default_of_names(template), Some("m"), "{template}");
        }
    }

    #[test]
    fn a_default_that_is_a_value_is_none() {
        for template in [
            "{% macro m(a, b=2, c='z, a=b', d=none, e=\"it\\\"s\") %}",
            "{% macro m() %}",
            "macro m(a=b)",
            "{{ macro }}",
        ] {
            assert_eq!(with_a_default_of_names(template), None, "{template}");
        }
    }
}

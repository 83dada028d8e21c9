//! Macros whose meaning differs between Jinja and minijinja.

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
    use super::*;

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

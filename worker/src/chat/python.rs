//! Jinja as Python has it: the filters, tests, functions and methods that give the same there. What is not here is refused by its
//! name where a template asks for it, because almost the same would be a wrong text without an error.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueKind, from_args};
use minijinja::{
    Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter, filters, functions, tests,
};
use minijinja_contrib::pycompat;

/// Methods of texts and maps that do what Python's do.
const METHODS: &[&str] = &["startswith", "endswith", "replace", "lower", "upper", "get", "items", "keys", "values"];

/// The environment of transformers' chat templates, without a template.
pub(super) fn environment() -> Environment<'static> {
    let mut own = Environment::empty();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    own.set_syntax(syntax.unwrap_or_default());
    own.set_undefined_behavior(UndefinedBehavior::Lenient);
    own.set_unknown_method_callback(method);
    own.set_formatter(write);
    add_filters(&mut own);
    add_tests(&mut own);
    own.add_function("range", functions::range);
    own.add_function("namespace", functions::namespace);
    own.add_function("raise_exception", raise);
    own
}

fn add_filters(own: &mut Environment<'static>) {
    for name in ["default", "d"] {
        own.add_filter(name, filters::default);
    }
    for name in ["length", "count"] {
        own.add_filter(name, filters::length);
    }
    own.add_filter("first", filters::first);
    own.add_filter("last", filters::last);
    own.add_filter("map", filters::map);
    own.add_filter("select", filters::select);
    own.add_filter("reject", filters::reject);
    own.add_filter("selectattr", filters::selectattr);
    own.add_filter("rejectattr", filters::rejectattr);
    own.add_filter("join", filters::join);
    own.add_filter("replace", filters::replace);
    own.add_filter("list", filters::list);
    own.add_filter("items", filters::items);
    own.add_filter("lower", filters::lower);
    own.add_filter("upper", filters::upper);
    own.add_filter("string", |state: &State<'_, '_>, value: &Value| {
        plain(value).and_then(|()| filters::string(state, value))
    });
    own.add_filter("trim", |text: Value, letters: Option<String>| strip("strip", &text, letters.as_deref()));
    own.add_filter("tojson", json);
}

fn add_tests(own: &mut Environment<'static>) {
    own.add_test("defined", tests::is_defined);
    own.add_test("undefined", tests::is_undefined);
    own.add_test("none", tests::is_none);
    own.add_test("boolean", tests::is_boolean);
    own.add_test("true", tests::is_true);
    own.add_test("false", tests::is_false);
    own.add_test("integer", tests::is_integer);
    own.add_test("string", tests::is_string);
    own.add_test("mapping", tests::is_mapping);
    own.add_test("in", tests::is_in);
    for name in ["eq", "equalto", "=="] {
        own.add_test(name, tests::is_eq);
    }
    for name in ["ne", "!="] {
        own.add_test(name, tests::is_ne);
    }
    for (name, test) in [("iterable", Vec::from(ITERABLE)), ("sequence", Vec::from(&ITERABLE[..4]))] {
        own.add_test(name, move |value: &Value| test.contains(&value.kind()));
    }
}

/// What Python can go through, in the order in which it also has a length and places, and not.
const ITERABLE: &[ValueKind] =
    &[ValueKind::String, ValueKind::Seq, ValueKind::Map, ValueKind::Undefined, ValueKind::Iterable];

/// Writes what Python writes alike: texts, whole numbers, and what is true, false, none or missing. Lists, objects and other numbers
/// have a form of their own there.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    plain(value)?;
    escape_formatter(out, state, value)
}

fn plain(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None | ValueKind::Bool | ValueKind::String => Ok(()),
        ValueKind::Number if value.is_integer() => Ok(()),
        ValueKind::Invalid => Err(unknown(value.to_string())),
        kind => Err(unknown(format!("it writes a {kind}, which is not supported; texts and whole numbers are"))),
    }
}

/// `raise_exception`: the template itself refuses its messages.
fn raise(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("the template says: {message}")))
}

/// A text as JSON; what Python makes of other values depends on more than they say.
fn json(value: &Value, more: Rest<Value>) -> Result<String, Error> {
    match value.as_str() {
        Some(text) if more.is_empty() => {
            serde_json::to_string(text).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        }
        _ => Err(unknown("the filter tojson of anything but a text alone is not supported")),
    }
}

fn unknown(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// A method of a text or of a map.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "strip" | "lstrip" | "rstrip" if value.as_str().is_some() => {
            let (letters,): (Option<&str>,) = from_args(args)?;
            strip(name, value, letters)
        }
        "split" if value.as_str().is_some() => split(value.as_str().unwrap_or_default(), args),
        _ if METHODS.contains(&name) => pycompat::unknown_method_callback(state, value, name, args),
        _ => Err(unknown(format!("the method {name} of a {} is not supported", value.kind()))),
    }
}

/// Without these letters, or without blanks, at its ends.
fn strip(name: &str, value: &Value, letters: Option<&str>) -> Result<Value, Error> {
    let text = value.as_str().ok_or_else(|| unknown(format!("{name} of a {} is not supported", value.kind())))?;
    let goes = |letter: char| letters.map_or_else(|| is_blank(letter), |letters| letters.contains(letter));
    Ok(Value::from(match name {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }))
}

/// The parts between separators, all of them or the first so many; without a separator between blanks.
fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most): (Option<&str>, Option<usize>) = from_args(args)?;
    let parts: Vec<&str> = match (separator, most) {
        (Some(""), _) => return Err(unknown("split: the separator is empty")),
        (Some(separator), None) => text.split(separator).collect(),
        (Some(separator), Some(most)) => text.splitn(most.saturating_add(1), separator).collect(),
        (None, None) => text.split(is_blank).filter(|part| !part.is_empty()).collect(),
        (None, Some(_)) => return Err(unknown("split with a limit and without a separator is not supported")),
    };
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
}

/// What Python's `isspace` says of a letter. Unicode's own property lacks four separators.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

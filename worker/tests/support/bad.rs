//! What a message about something wrong must be like.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

/// Words that only the author of the worker would understand.
const INSIDE: &[&str] = &[
    "usize", "u8", "u32", "u64", "i32", "i64", "f32", "f64", "struct", "enum", "variant", "unwrap", "panicked",
    "Option", "Some", "None", "Vec", "String", "serde", "newtype", "untagged", "unit", "tuple", "borrowed", "Err",
    "EOF", "ident", "u16", "i16", "i8",
];

/// What is wrong with a message that is not one short line without the words of the language that the worker is written in.
pub fn unplain(message: &str) -> Option<String> {
    if message.trim().is_empty() || message.len() >= 500 || message.contains('\n') {
        return Some("not one short line".to_owned());
    }
    let mut words = message.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.find(|word| INSIDE.contains(word)).map(|word| format!("the word {word}"))
}

/// Asserts that a message is one short line in plain words.
pub fn plain(name: &str, message: &str) {
    assert_eq!(unplain(message), None, "{name}: {message}");
}

//! Words that make a sentence hard to read, and where they stand.

/// Words that do not name their subject. [`NO_NEWS`] is the only phrase.
const UNPLAIN: &[&str] = &["anybody", "nobody", "somebody", "tell", "tells", "told", "whoever"];

/// Two words that follow each other.
const NO_NEWS: [&str; 2] = ["no", "news"];

/// The lines of a source with such a word, each with the word. Comments, strings and identifiers count alike: a word ends at
/// everything that is not a letter, and within an identifier before a capital.
pub(crate) fn unplain(text: &str) -> Vec<(usize, String)> {
    let words: Vec<_> =
        text.lines().zip(1..).flat_map(|(line, number)| split(line).map(move |word| (number, word))).collect();
    let single = words.iter().filter(|(_, word)| UNPLAIN.contains(&word.as_str())).cloned();
    let pairs = words.windows(2).filter(|pair| pair[0].1 == NO_NEWS[0] && pair[1].1 == NO_NEWS[1]);
    let mut found: Vec<_> = single.chain(pairs.map(|pair| (pair[0].0, NO_NEWS.join(" ")))).collect();
    found.sort();
    found
}

fn split(line: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in line.chars() {
        if !letter.is_alphabetic() || (letter.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if letter.is_alphabetic() {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.into_iter().filter(|word| !word.is_empty())
}

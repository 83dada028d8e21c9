//! Entities of a text, from the numbers of its tokens, as the pipeline `token-classification` of transformers makes them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::tokenize::Piece;

/// How tokens become entities. Only the first two leave each token its own label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Aggregation {
    /// Each token is an entity.
    #[default]
    None,
    /// Neighbours with the same label are one entity.
    Simple,
    /// As `Simple`, and a word has the label of its first token.
    First,
    /// As `Simple`, and a word has the label with the largest mean.
    Average,
    /// As `Simple`, and a word has the label of its surest token.
    Max,
}

impl TryFrom<String> for Aggregation {
    type Error = &'static str;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "none" => Ok(Self::None),
            "simple" => Ok(Self::Simple),
            "first" => Ok(Self::First),
            "average" => Ok(Self::Average),
            "max" => Ok(Self::Max),
            _ => Err("expected `none`, `simple`, `first`, `average` or `max`"),
        }
    }
}

/// An entity as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// The label of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// The label of several tokens, without `B-` or `I-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_group: Option<String>,
    /// The probability of the label.
    pub score: f32,
    /// The token's place among those of the text, special tokens included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The tokens as the tokenizer writes them.
    pub word: String,
    /// First character of the entity.
    pub start: usize,
    /// The character after it.
    pub end: usize,
}

/// What entities are made with.
pub struct Wanted<'a> {
    /// Names of the labels, in the order of the numbers.
    pub labels: &'a [String],
    /// How tokens become entities.
    pub aggregation: Aggregation,
    /// Labels that are left out.
    pub ignored: &'a HashSet<String>,
}

/// A token, or a word, with its label.
struct Labelled {
    label: String,
    score: f32,
    index: usize,
    word: String,
    start: usize,
    end: usize,
}

/// The entities of a text, from a row of numbers per token. `join` makes one string of tokens.
pub fn entities(
    pieces: &[Piece],
    numbers: &[Vec<f32>],
    wanted: &Wanted<'_>,
    join: impl Fn(Vec<String>) -> String,
) -> Vec<Entity> {
    let counted = pieces.iter().zip(numbers).enumerate().filter(|(_, (piece, _))| !piece.special);
    let tokens: Vec<Token<'_>> =
        counted.map(|(index, (piece, row))| Token { index, piece, scores: probabilities(row) }).collect();
    let labelled: Vec<Labelled> = match wanted.aggregation {
        Aggregation::None | Aggregation::Simple => tokens.iter().map(|token| token.labelled(wanted)).collect(),
        _ => words(&tokens).map(|word| labelled_word(word, wanted, &join)).collect(),
    };
    let all: Vec<Entity> = match wanted.aggregation {
        Aggregation::None => labelled.into_iter().map(alone).collect(),
        _ => groups(labelled).into_iter().map(|group| grouped(&group, &join)).collect(),
    };
    let is_ignored = |entity: &Entity| {
        [&entity.entity, &entity.entity_group].into_iter().flatten().any(|label| wanted.ignored.contains(label))
    };
    all.into_iter().filter(|entity| !is_ignored(entity)).collect()
}

/// A token that counts.
struct Token<'a> {
    index: usize,
    piece: &'a Piece,
    scores: Vec<f32>,
}

impl Token<'_> {
    fn labelled(&self, wanted: &Wanted<'_>) -> Labelled {
        let (best, score) = best(&self.scores);
        let Piece { text, start, end, .. } = self.piece;
        let (index, word) = (self.index, text.clone());
        Labelled { label: name(wanted.labels, best), score, index, word, start: *start, end: *end }
    }
}

/// Probabilities that add up to 1, in 32-bit floats.
fn probabilities(row: &[f32]) -> Vec<f32> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The largest number and its index; of equal ones the first.
fn best(scores: &[f32]) -> (usize, f32) {
    let larger =
        |most: (usize, f32), (index, score): (usize, &f32)| if *score > most.1 { (index, *score) } else { most };
    scores.iter().enumerate().fold((0, f32::NEG_INFINITY), larger)
}

fn name(labels: &[String], index: usize) -> String {
    labels.get(index).cloned().unwrap_or_else(|| format!("LABEL_{index}"))
}

/// Tokens by words: a word begins with each token that is not the rest of one.
fn words<'a>(tokens: &'a [Token<'a>]) -> impl Iterator<Item = &'a [Token<'a>]> {
    tokens.chunk_by(|_, next| next.piece.is_rest)
}

fn labelled_word(tokens: &[Token<'_>], wanted: &Wanted<'_>, join: impl Fn(Vec<String>) -> String) -> Labelled {
    let (first, last) = (&tokens[0], &tokens[tokens.len() - 1]);
    let (index, score) = match wanted.aggregation {
        Aggregation::Average => best(&mean(tokens)),
        Aggregation::Max => {
            let larger = |most: (usize, f32), next: (usize, f32)| if next.1 > most.1 { next } else { most };
            tokens.iter().map(|token| best(&token.scores)).reduce(larger).unwrap_or_default()
        }
        _ => best(&first.scores),
    };
    let word = join(tokens.iter().map(|token| token.piece.text.clone()).collect());
    let (start, end) = (first.piece.start, last.piece.end);
    Labelled { label: name(wanted.labels, index), score, index: first.index, word, start, end }
}

fn mean(tokens: &[Token<'_>]) -> Vec<f32> {
    let labels = tokens.first().map_or(0, |token| token.scores.len());
    let sum = |label: usize| tokens.iter().map(|token| token.scores[label]).sum::<f32>();
    (0..labels).map(|label| sum(label) / tokens.len() as f32).collect()
}

/// Whether a label begins an entity, and what it is about. One without a mark goes on.
fn tag(label: &str) -> (bool, &str) {
    match (label.strip_prefix("B-"), label.strip_prefix("I-")) {
        (Some(tag), _) => (true, tag),
        (_, Some(tag)) => (false, tag),
        _ => (false, label),
    }
}

fn groups(labelled: Vec<Labelled>) -> Vec<Vec<Labelled>> {
    let mut groups: Vec<Vec<Labelled>> = Vec::new();
    for one in labelled {
        let goes_on = |last: &Labelled| {
            let (begins, about) = tag(&one.label);
            !begins && about == tag(&last.label).1
        };
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(goes_on) => group.push(one),
            _ => groups.push(vec![one]),
        }
    }
    groups
}

fn alone(Labelled { label, score, index, word, start, end }: Labelled) -> Entity {
    Entity { entity: Some(label), entity_group: None, score, index: Some(index), word, start, end }
}

fn grouped(group: &[Labelled], join: impl Fn(Vec<String>) -> String) -> Entity {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let label = first.label.split_once('-').map_or(first.label.as_str(), |(_, about)| about);
    let score = group.iter().map(|one| one.score).sum::<f32>() / group.len() as f32;
    let word = join(group.iter().map(|one| one.word.clone()).collect());
    let (start, end) = (first.start, last.end);
    Entity { entity: None, entity_group: Some(label.to_owned()), score, index: None, word, start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[CLS] Anna Mey ##er in Rome [SEP]`, with a sure label for each token.
    fn text(aggregation: Aggregation, labels: [usize; 5], ignored: &[&str]) -> Vec<(String, String, usize, usize)> {
        let piece = |text: &str, start: usize, end: usize, special: bool| Piece {
            text: text.to_owned(),
            start,
            end,
            special,
            is_rest: text.starts_with("##"),
        };
        let pieces = [
            piece("[CLS]", 0, 0, true),
            piece("Anna", 0, 4, false),
            piece("Mey", 5, 8, false),
            piece("##er", 8, 10, false),
            piece("in", 11, 13, false),
            piece("Rome", 14, 18, false),
            piece("[SEP]", 0, 0, true),
        ];
        let row = |label: usize| (0..4).map(|own| if own == label { 4.0 } else { 0.0 }).collect::<Vec<f32>>();
        let numbers: Vec<Vec<f32>> = [0].into_iter().chain(labels).chain([0]).map(row).collect();
        let names = ["O", "B-PER", "I-PER", "B-LOC"].map(str::to_owned);
        let ignored: HashSet<String> = ignored.iter().map(|label| (*label).to_owned()).collect();
        let wanted = Wanted { labels: &names, aggregation, ignored: &ignored };
        let join = |tokens: Vec<String>| tokens.join(" ").replace(" ##", "");
        let shown = |one: Entity| (one.entity.or(one.entity_group).unwrap(), one.word, one.start, one.end);
        entities(&pieces, &numbers, &wanted, join).into_iter().map(shown).collect()
    }

    fn of(label: &str, word: &str, start: usize, end: usize) -> (String, String, usize, usize) {
        (label.to_owned(), word.to_owned(), start, end)
    }

    #[test]
    fn each_token_is_an_entity_unless_its_label_is_ignored() {
        let found = text(Aggregation::None, [1, 2, 2, 0, 3], &["O"]);
        let expected = [
            of("B-PER", "Anna", 0, 4),
            of("I-PER", "Mey", 5, 8),
            of("I-PER", "##er", 8, 10),
            of("B-LOC", "Rome", 14, 18),
        ];
        assert_eq!(found, expected);
        assert_eq!(text(Aggregation::None, [1, 2, 2, 0, 3], &[]).len(), 5);
    }

    #[test]
    fn neighbours_of_one_label_are_one_entity_and_a_second_beginning_is_another() {
        let found = text(Aggregation::Simple, [1, 2, 2, 0, 3], &["O"]);
        assert_eq!(found, [of("PER", "Anna Meyer", 0, 10), of("LOC", "Rome", 14, 18)]);
        let found = text(Aggregation::Simple, [1, 1, 2, 0, 0], &["O"]);
        assert_eq!(found, [of("PER", "Anna", 0, 4), of("PER", "Meyer", 5, 10)]);
        assert_eq!(text(Aggregation::Simple, [1, 0, 0, 0, 0], &["PER"]), [of("O", "Meyer in Rome", 5, 18)]);
    }

    #[test]
    fn the_tokens_of_a_word_agree_if_that_is_asked_for() {
        for aggregation in [Aggregation::First, Aggregation::Average, Aggregation::Max] {
            let found = text(aggregation, [1, 2, 0, 0, 0], &["O"]);
            assert_eq!(found, [of("PER", "Anna Meyer", 0, 10)], "{aggregation:?}");
        }
        assert_eq!(text(Aggregation::Simple, [1, 2, 0, 0, 0], &["O"]), [of("PER", "Anna Mey", 0, 8)]);
    }
}

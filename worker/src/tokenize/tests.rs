//! Texts become the ids that the model expects.

use super::*;

/// Words `w0` to `w9`, with `[CLS]` and `[SEP]` around a text; `max` tokens.
fn tokenizer(max: usize) -> Tokenizer {
    Tokenizer::new(include_bytes!("../../tests/support/tokenizer.json"), max, 14).unwrap()
}

#[test]
fn a_text_gets_its_special_tokens() {
    assert_eq!(tokenizer(8).text("w0 w1", false).unwrap().ids(), [2, 4, 5, 3]);
    assert_eq!(tokenizer(8).text("  ", false).unwrap().ids(), [2, 3]);
}

#[test]
fn a_query_has_a_length_of_its_own_and_is_filled_up() {
    let of = |fill| tokenizer(8).for_queries(Queries { max_tokens: 5, fill }).unwrap();
    let plain = of(None);
    assert_eq!(plain.query("w0 w1 w2 w3", true).unwrap().ids(), [2, 4, 5, 6, 3]);
    assert_eq!(plain.query("w0 w1 w2 w3", false), Err(Refused::TooManyTokens { tokens: 6, whole: true, limit: 5 }));
    assert!(plain.query("w0", false).unwrap().is_query() && !plain.text("w0", false).unwrap().is_query());
    for (seen, expected) in [(true, 6), (false, 3)] {
        let query = of(Some(Fill { token: 9, length: 6, seen })).query("w0", false).unwrap();
        assert_eq!((query.ids(), query.seen()), (&[2, 4, 3, 9, 9, 9][..], expected));
        assert!(query.types().all(|kind| kind == 0));
    }
    let long = of(Some(Fill { token: 9, length: 3, seen: false })).query("w0 w1", false).unwrap();
    assert_eq!((long.ids().len(), long.seen()), (4, 4), "nothing is cut by filling");
    assert!(tokenizer(8).for_queries(Queries { max_tokens: 2, fill: None }).is_err());
}

#[test]
fn pieces_are_the_tokens_of_a_text_with_their_places_in_characters() {
    let pieces = tokenizer(8).for_pieces().unwrap().pieces("\u{e9} w0  w1").unwrap();
    let shown: Vec<_> =
        pieces.iter().map(|piece| (piece.text.as_str(), piece.start, piece.end, piece.special)).collect();
    let expected = [
        ("[CLS]", 0, 0, true),
        ("[UNK]", 0, 1, false),
        ("w0", 2, 4, false),
        ("w1", 6, 8, false),
        ("[SEP]", 0, 0, true),
    ];
    assert_eq!(shown, expected);
    let long = tokenizer(4).for_pieces().unwrap().pieces(&format!("w0{}w1 w2", " ".repeat(1_000_000))).unwrap();
    let shown: Vec<_> = long.iter().map(|piece| (piece.text.as_str(), piece.start)).collect();
    assert_eq!(shown, [("[CLS]", 0), ("w0", 0), ("w1", 1_000_002), ("[SEP]", 0)]);
}

#[test]
fn a_marker_that_the_vocabulary_has_is_made_one_token() {
    let whole = |text: &str| tokenizer(8).whole(&[text.to_owned()]).unwrap().text(&format!("{text}w1"), false).unwrap();
    assert_eq!(whole("w0 ").ids(), [2, 4, 5, 3]);
    assert_eq!(whole("nothing ").ids(), [2, 1, 5, 3], "one that it lacks stays text");
}

#[test]
fn a_text_that_is_too_long_is_cut_or_refused_with_both_numbers() {
    let text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w2 w3 w4 w5 w6 w7";
    assert_eq!(tokenizer(6).text(text, true).unwrap().ids(), [2, 5, 6, 7, 8, 3]);
    let refused = tokenizer(6).text(text, false).unwrap_err();
    assert_eq!(refused, Refused::TooManyTokens { tokens: 18, whole: true, limit: 6 });
    assert_eq!(tokenizer(18).text(text, false).unwrap().ids().len(), 18);
}

#[test]
fn a_long_text_is_cut_by_its_tokens_and_never_by_its_bytes() {
    let blanks = " ".repeat(1_000_000);
    assert_eq!(tokenizer(4).text(&format!("{blanks}w0{blanks}w1"), false).unwrap().ids(), [2, 4, 5, 3]);
    assert_eq!(tokenizer(4).text(&format!("w0{blanks}w1 w2"), true).unwrap().ids(), [2, 4, 5, 3]);
    let word = "é".repeat(500_000);
    assert_eq!(tokenizer(8).text(&word, false).unwrap().ids(), [2, 1, 3]);
    let words = "w0 w1 w2 ".repeat(500_000);
    assert_eq!(tokenizer(6).text(&words, true).unwrap().ids(), [2, 4, 5, 6, 4, 3]);
    let Err(Refused::TooManyTokens { tokens, whole: false, limit: 6 }) = tokenizer(6).text(&words, false) else {
        panic!("a text that is far too long is refused");
    };
    assert!((1000..100_000).contains(&tokens), "{tokens} tokens of 1.5 million");
}

#[test]
fn a_pair_is_cut_at_its_longer_text_and_has_types() {
    let pairs = tokenizer(9).for_pairs().unwrap();
    let pair = pairs.pair("w0 w1", "w2 w3 w4 w5 w6 w7", true).unwrap();
    assert_eq!(pair.ids().len(), 9);
    assert!(pairs.pair("w0 w1", "w2 w3 w4 w5 w6 w7", false).is_err());
    assert!(pairs.pair("w0 w1", "w2 w3", false).is_ok());
    assert_eq!(pair.types().count(), 9);
}

#[test]
fn tokens_show_their_place_and_decode_to_their_text() {
    let tokenizer = tokenizer(8);
    let tokens = tokenizer.tokens("w0 w1", true).unwrap();
    assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [2, 4, 5, 3]);
    assert_eq!(tokens[1], Token { id: 4, text: "w0".into(), special: false, place: Some((0, 2)) });
    assert!(tokens[0].special && tokens[0].place.is_none());
    assert_eq!(tokenizer.decode(&[2, 4, 5, 3], true).unwrap(), "w0 w1");
    assert!(tokenizer.decode(&[99], true).is_err());
}

#[test]
fn ids_are_taken_unchanged_within_the_vocabulary() {
    assert_eq!(tokenizer(4).ids(vec![2, 4, 3], false).unwrap().ids(), [2, 4, 3]);
    assert_eq!(tokenizer(4).ids(vec![14], false), Err(Refused::UnknownId { id: 14, last: 13 }));
    assert_eq!(tokenizer(4).ids(vec![], false), Err(Refused::Empty));
    assert_eq!(tokenizer(4).ids(vec![4; 5], false), Err(Refused::TooManyTokens { tokens: 5, whole: true, limit: 4 }));
    assert_eq!(tokenizer(4).ids(vec![4; 5], true).unwrap().ids().len(), 4);
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model_is_refused() {
    let json = include_bytes!("../../tests/support/tokenizer.json");
    assert!(Tokenizer::new(json, 8, 13).is_err());
    assert!(Tokenizer::new(json, 2, 14).is_err());
    assert!(Tokenizer::new(b"{}", 8, 14).is_err());
}

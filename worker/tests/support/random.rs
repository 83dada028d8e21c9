//! Random input from a seed: each case has a generator of its own, so that one case can be played again alone.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use serde_json::{Map, Number, Value};

/// A word of every request that is private. No refusal may repeat it.
pub const SECRET: &str = "hunter2";

/// splitmix64.
pub struct Random(u64);

impl Random {
    /// The generator of a case.
    pub fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ case.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 on and below this one, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A text: words of the vocabulary, signs of many scripts, and what has broken programs before.
    pub fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "w0",
            "w1",
            "w9",
            SECRET,
            " ",
            "  ",
            "\n",
            "\t",
            "\0",
            "\u{7f}",
            "[CLS]",
            "[SEP]",
            "[PAD]",
            "[UNK]",
            "</s>",
            "é",
            "e\u{301}",
            "ß",
            "İ",
            "ﬃ",
            "漢字",
            "한글",
            "עברית",
            "\u{202e}",
            "\u{feff}",
            "\u{200d}",
            "👩‍👩‍👧",
            "\u{10ffff}",
            "\u{fffd}",
            "'",
            "\"",
            "\\",
            "{",
            "}",
            "%00",
            "../",
            "<script>",
            "NaN",
        ];
        let pieces = if self.once_in(50) { 5000 } else { self.below(8) };
        (0..pieces).map(|_| self.pick(PIECES)).collect()
    }

    pub fn number(&mut self) -> Number {
        const WHOLE: &[i64] =
            &[0, 1, -1, 2, 7, 8, 255, 256, 65_536, i32::MAX as i64, i32::MIN as i64, 1 << 40, i64::MAX, i64::MIN];
        match self.below(4) {
            0 => Number::from(u64::MAX),
            1 => Number::from_f64([0.5, -0.0, 1e-300, 1e300, 1.5, -1e10][self.below(6)]).unwrap(),
            _ => WHOLE[self.below(WHOLE.len())].into(),
        }
    }

    /// Any JSON.
    pub fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::Bool(self.once_in(2)),
            2 => Value::Number(self.number()),
            3 | 4 => Value::String(self.text()),
            5 | 6 => Value::Array((0..self.below(5)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Object((0..self.below(4)).map(|_| (self.text(), self.value(depth - 1))).collect()),
        }
    }
}

/// Nodes of a document, itself among them.
fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// The node at this place, counted from the root on.
fn node(value: &mut Value, mut place: usize) -> &mut Value {
    if place == 0 {
        return value;
    }
    place -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let inside = nodes(child);
        if place < inside {
            return node(child, place);
        }
        place -= inside;
    }
    unreachable!("a place past the last node")
}

/// Changes one node of a document. Names are fields that it may get.
pub fn mutate(value: &mut Value, names: &[&str], random: &mut Random) {
    let place = random.below(nodes(value));
    let node = node(value, place);
    match (random.below(7), &mut *node) {
        (0, Value::Array(list)) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        (0, Value::Object(map)) if !map.is_empty() => {
            let name = map.keys().nth(random.below(map.len())).unwrap().clone();
            map.remove(&name);
        }
        (1, Value::Array(list)) if !list.is_empty() => {
            let (one, times) = (list[random.below(list.len())].clone(), [1, 2, 300][random.below(3)]);
            list.extend(std::iter::repeat_n(one, times));
        }
        (1 | 2, Value::Object(map)) => {
            let name = if random.once_in(4) { random.text() } else { random.pick(names).to_owned() };
            map.insert(name, random.value(2));
        }
        (2, Value::Array(list)) => list.insert(random.below(list.len() + 1), random.value(2)),
        (3, Value::String(text)) => {
            let at = text.floor_char_boundary(random.below(text.len() + 1));
            text.insert_str(at, &random.text());
        }
        (3, Value::Number(number)) => *number = random.number(),
        (4, _) => *node = Value::Array(vec![node.take()]),
        (5, _) => *node = Value::Object(Map::from_iter([(random.pick(names).to_owned(), node.take())])),
        _ => *node = random.value(2),
    }
}

/// Changes some bytes.
pub fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"\xff",
        b"\xc3",
        b"\\ud800",
        b"1e999",
        b"-",
        b"\"",
        b"[[[[",
        b"]]",
        b"{\"a\":",
        b"}",
        b",",
        b":",
        b"null",
        b"\xef\xbb\xbf",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc1",
        b"\xd4\x01\x02",
    ];
    for _ in 0..=random.below(3) {
        let (from, to) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match random.below(7) {
            0 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            1 => bytes.truncate(to),
            2 => drop(bytes.drain(from..to.min(from + 16))),
            3 => drop(bytes.splice(from..from, random.bytes(16))),
            4 => {
                let part = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, part));
            }
            5 => drop(bytes.splice(from..from, std::iter::repeat_n(b"[{"[random.below(2)], 200))),
            _ => drop(bytes.splice(from..from, random.pick(PIECES).iter().copied())),
        }
    }
}

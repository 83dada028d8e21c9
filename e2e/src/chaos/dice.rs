//! Random numbers that can be repeated: the same seed gives the same throws.

use std::hash::{BuildHasher, RandomState};

use anyhow::{Context, Result};

/// A sequence of throws.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for each name, whatever was thrown before: what befalls one request does not depend on
    /// the order in which others came.
    pub fn named(seed: u64, name: &str) -> Self {
        let mut dice = Self(seed);
        for byte in name.bytes() {
            dice.0 = dice.next() ^ u64::from(byte);
        }
        dice
    }

    /// The next number (SplitMix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        // Both casts are of numbers below `bound`, which was a usize.
        (self.next() % bound) as usize
    }

    /// True in so many of a hundred throws.
    pub fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of a list, which is not empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// The seed of this run: `CHAOS_SEED`, or a new one. Tests print it, and with it the same run can be had again.
pub fn seed() -> Result<u64> {
    match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().context("CHAOS_SEED is no number"),
        Err(_) => Ok(RandomState::new().hash_one("seed") % 1_000_000),
    }
}

/// Whether the long form of the tests is wanted: `CHAOS=long`.
pub fn is_long() -> bool {
    std::env::var("CHAOS").is_ok_and(|form| form == "long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throws(mut dice: Dice) -> Vec<usize> {
        (0..50).map(|_| dice.below(6)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_throws_again_and_another_seed_others() {
        assert_eq!(throws(Dice::new(7)), throws(Dice::new(7)));
        assert_ne!(throws(Dice::new(7)), throws(Dice::new(8)));
        assert_ne!(throws(Dice::named(7, "a")), throws(Dice::named(7, "b")));
    }

    #[test]
    fn every_face_comes_up() {
        let throws = throws(Dice::new(1));
        assert!((0..6).all(|face| throws.contains(&face)), "{throws:?}");
    }
}

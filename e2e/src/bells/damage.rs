//! A memory cell goes bad: one row of the word embeddings, in the memory of a running worker, becomes numbers that are not numbers, and
//! later what it was. Every text with that word fails, and no other.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};

use crate::weights::row;

/// The tensor that holds a row for each word.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// All bits set is NaN in every floating-point type.
const BAD: u8 = 0xFF;

/// A damaged row.
pub(super) struct Damage {
    memory: File,
    addresses: Vec<u64>,
    good: Vec<u8>,
}

impl Damage {
    /// Damages the row of a token in a process that has loaded these weights as they are in the file.
    pub(super) fn row_of(pid: i32, weights: &[u8], token: usize) -> Result<Self> {
        let good = row(weights, WORDS, token)?.to_vec();
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
        let memory = memory.with_context(|| format!("can't open the memory of process {pid}"))?;
        let addresses = find(pid, &memory, &good)?;
        ensure!(!addresses.is_empty(), "process {pid} holds no row of token {token}");
        let damage = Self { memory, addresses, good };
        damage.write(&vec![BAD; damage.good.len()])?;
        Ok(damage)
    }

    /// Mends it. The process has to run still.
    pub(super) fn mend(self) -> Result<()> {
        self.write(&self.good)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        self.addresses.iter().try_for_each(|address| self.memory.write_all_at(bytes, *address)).context("can't write")
    }
}

/// Where the bytes are in the writable memory of a process.
fn find(pid: i32, memory: &File, bytes: &[u8]) -> Result<Vec<u64>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut found = vec![];
    for (begin, length) in maps.lines().filter_map(writable) {
        let mut region = vec![0; length];
        // Some regions can't be read, those of devices for one.
        if memory.read_exact_at(&mut region, begin).is_ok() {
            found.extend(aligned(&region, bytes).map(|at| begin + at as u64));
        }
    }
    Ok(found)
}

/// Begin and length of a region, from a line `7f00-7f01 rw-p …`.
fn writable(line: &str) -> Option<(u64, usize)> {
    let (range, rest) = line.split_once(' ')?;
    let (begin, end) = range.split_once('-')?;
    let (begin, end) = (u64::from_str_radix(begin, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    rest.starts_with("rw").then_some((begin, usize::try_from(end - begin).ok()?))
}

/// Tensors begin at addresses that four divides, and so do their rows.
fn aligned<'a>(region: &'a [u8], bytes: &'a [u8]) -> impl Iterator<Item = usize> {
    let last = region.len().saturating_sub(bytes.len());
    let head = &bytes[..8.min(bytes.len())];
    (0..=last).step_by(4).filter(move |at| region[*at..].starts_with(head) && region[*at..].starts_with(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writable_regions_are_searched() {
        assert_eq!(writable("7f00-7f10 rw-p 00000000 00:00 0"), Some((0x7f00, 16)));
        assert_eq!(writable("7f00-7f10 r--p 00000000 00:00 0 /lib"), None);
        assert_eq!(writable("no line"), None);
    }

    #[test]
    fn rows_are_found_where_they_begin() {
        let row: Vec<u8> = (1..=12).collect();
        let mut region = vec![0; 64];
        region[8..20].copy_from_slice(&row);
        region[40..52].copy_from_slice(&row);
        region[21..33].copy_from_slice(&row);
        assert_eq!(aligned(&region, &row).collect::<Vec<_>>(), [8, 40]);
        assert_eq!(aligned(&region[..4], &row).count(), 0);
    }
}

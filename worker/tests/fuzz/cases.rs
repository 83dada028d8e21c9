//! The cases of a test: how long, how many, how to play one again, and what each must keep to.

use std::fs;
use std::time::{Duration, Instant};

use crate::random::Random;

/// Longest time of a case; a good one takes less than a millisecond, a folder a few.
pub const LONG: Duration = Duration::from_secs(5);

/// Most memory that all cases together may add, in KiB.
const MEMORY_KIB: u64 = 1 << 20;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a whole number: {text}")))
}

/// The cases of a test, for as long as it may take.
pub struct Cases {
    seed: u64,
    next: u64,
    first: u64,
    end: Instant,
    memory: u64,
}

impl Cases {
    pub fn start() -> Self {
        let (seed, first) = (setting("BELFRY_FUZZ_SEED", 1), setting("BELFRY_FUZZ_FIRST", 0));
        let end = Instant::now() + Duration::from_secs(setting("BELFRY_FUZZ_SECONDS", 5));
        println!("BELFRY_FUZZ_SEED={seed} BELFRY_FUZZ_FIRST={first}");
        Self { seed, next: first, first, end, memory: peak() }
    }

    pub fn next(&mut self) -> Option<(Case, Random)> {
        if Instant::now() > self.end {
            let (cases, more) = (self.next - self.first, peak() - self.memory);
            println!("{cases} cases, {} MiB more memory", more / 1024);
            assert!(more < MEMORY_KIB, "{more} KiB more memory");
            assert!(cases >= 20, "only {cases} cases");
            return None;
        }
        let case = Case { seed: self.seed, number: self.next, began: Instant::now(), what: String::new() };
        self.next += 1;
        let random = Random::new(case.seed, case.number);
        Some((case, random))
    }
}

/// Most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One case, which says what it was if it fails.
pub struct Case {
    seed: u64,
    number: u64,
    began: Instant,
    what: String,
}

impl Case {
    pub fn was(&mut self, name: &str, bytes: &[u8]) {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
        self.what = format!("{name} with {} bytes: {start:?}", bytes.len());
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("BELFRY_FUZZ_SEED={} BELFRY_FUZZ_FIRST={} failed: {}", self.seed, self.number, self.what);
        } else {
            assert!(self.began.elapsed() < LONG, "case {} took {:?}: {}", self.number, self.began.elapsed(), self.what);
        }
    }
}

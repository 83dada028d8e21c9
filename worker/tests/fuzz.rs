//! Random and mutated requests and folders. Nothing may panic, fail with 5xx, take long, need much memory, or quote what was sent;
//! the next good request has the same answer; and a folder loads, or is refused with the name of a file.
//!
//! `BELFRY_FUZZ_SECONDS` is the time of each test (5), `BELFRY_FUZZ_SEED` the seed of all cases (1), and `BELFRY_FUZZ_FIRST` the first case
//! (0), so that a case that failed can be played again alone. `make fuzz` sets the first two. What a test found is a case of its own in
//! `bad_requests.rs` or `broken_folders.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]
#![allow(clippy::print_stdout, reason = "a case that failed is played again by what is printed")]
#![allow(unreachable_pub, reason = "the files of this test use each other")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/bad.rs"]
mod bad;
#[path = "support/random.rs"]
mod random;
#[path = "support/tiny.rs"]
mod tiny;
#[path = "support/cases.rs"]
mod written;
#[path = "fuzz/cases.rs"]
mod cases;
#[path = "fuzz/folders.rs"]
mod folders;
#[path = "fuzz/requests.rs"]
mod requests;

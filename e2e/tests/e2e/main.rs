//! What Belfry promises, asked of a real cluster. Each module is one promise, each test a sentence.

#[path = "../../../worker/tests/support/cases.rs"]
mod cases;

mod bad_input;
mod bad_model;
mod bucket;
mod bundle;
mod engines;
mod faults;
mod http;
mod hub;
mod names;
mod outage;
mod paging;
mod repair;
mod serving;
mod shapes;
mod silence;
mod top;

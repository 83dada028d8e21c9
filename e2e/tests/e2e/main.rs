//! What Belfry promises, asked of a real cluster. Each module is one promise, each test a sentence.

mod bad_input;
mod bad_model;
mod bucket;
mod faults;
mod http;
mod hub;
mod outage;
mod paging;
mod repair;
mod serving;
mod silence;

//! The operator's real program under faults, on a control plane of its own. Each module is a kind of fault, each test
//! a sentence. `docs/faults.md` says which fault of the catalogue is tested where.
//!
//! `CHAOS_SEED` repeats a run, `CHAOS=long` makes it longer; see the target `chaos` of the Makefile.

mod answers;
mod bells;
mod catalogue;
mod crash;
mod definitions;
mod deletions;
mod evaluated;
mod hands;
mod hostile;
mod leader;
mod lifetimes;
mod operator_bells;
mod outage;
mod owners;
mod pod_status;
mod random;
mod reasons;
mod refusals;
mod rights;
mod scope;
mod scrapers;
mod traces;
mod walk;
mod watches;

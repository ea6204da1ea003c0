//! Decisions of the access log, decided anew under other rules: what a change of the pack would have answered.
//!
//! ```text
//! StoredEntry ──► Logged ──► redecide(rules) ──► Outcome      facts, outcome
//!                              compare(old, new) ──► Tally     compare, tally
//! ```
//! The same for a candidate that decides in the daemon's shadow and for `sekisho policy diff --log`: one way to decide an entry anew.
//!
//! An entry holds what was asked and what was decided; it doesn't hold what was registered for the people it is about, what had been
//! counted, or the standing of who asked. What the reasons of the entry tell of these is taken over; where the rules in force then
//! don't come to what the log recorded, the entry is counted apart, with why, and never passed off as alike.
//!
//! What this room never does: ask the store or a clock, or change what an entry says.

mod compare;
mod facts;
mod outcome;
mod tally;

pub use compare::{Compared, Difference, NotExactly, compare};
pub use facts::{Logged, NotADecision, redecide};
pub use outcome::{Change, Outcome};
pub use tally::{Group, GroupKey, SAMPLES_MAX, Tally};

//! What breaks under the daemon: processes killed, calls of the system that fail, disks that fill up or go away, files that an
//! older copy took the place of. Through the shipped binary, over real TLS, on real files; the same rule each time: what was
//! answered is in the log, and nothing is allowed that is not.
//!
//! A killed process leaves the page cache intact: of power failures only the simulated disk speaks (`src/log/tests/power.rs`).
//! `SEKISHO_FAULTS=long` plays the long form of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

mod support;

#[path = "faults/answered.rs"]
mod answered;
#[path = "faults/between.rs"]
mod between;
#[path = "faults/checkpoints.rs"]
mod checkpoints;
#[path = "faults/crash.rs"]
mod crash;
#[path = "faults/ground.rs"]
mod ground;
#[path = "faults/injected.rs"]
mod injected;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/kinds.rs"]
mod kinds;
#[path = "faults/mutants.rs"]
mod mutants;
#[path = "faults/older.rs"]
mod older;
#[path = "faults/reviews.rs"]
mod reviews;
#[path = "faults/site.rs"]
mod site;
#[path = "faults/strace.rs"]
mod strace;

//! The gate's use cases in process: a real log with real syncs, a real store, the pack `recruitment`, and a clock that the
//! test holds. Each test is named by the rule that it checks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

#[path = "gate/any_request.rs"]
mod any_request;
#[path = "gate/clock.rs"]
mod clock;
#[path = "gate/failures.rs"]
mod failures;
#[path = "gate/imports.rs"]
mod imports;
#[path = "gate/limits.rs"]
mod limits;
#[path = "gate/lost_imports.rs"]
mod lost_imports;
#[path = "gate/matching.rs"]
mod matching;
#[path = "gate/outcomes.rs"]
mod outcomes;
#[path = "support/postgres.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod postgres;
#[path = "gate/provision_ends.rs"]
mod provision_ends;
#[path = "gate/provision_records.rs"]
mod provision_records;
#[path = "gate/reading.rs"]
mod reading;
#[path = "gate/references.rs"]
mod references;
#[path = "gate/request_ids.rs"]
mod request_ids;
#[path = "gate/retention.rs"]
mod retention;
#[path = "gate/sessions.rs"]
mod sessions;
#[path = "gate/strangers.rs"]
mod strangers;
#[path = "gate/subjects.rs"]
mod subjects;
#[path = "gate/two.rs"]
mod two;
#[path = "gate/world.rs"]
mod world;

//! Accounts from outside: people, and what they prove themselves with. Each test is named by the rule that it checks, and goes
//! through the shipped binary with real grpcurl. `SEKISHO_TEST_STORE=postgres` runs all of them with the store in PostgreSQL.
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

#[path = "accounts/people.rs"]
mod people;
#[path = "accounts/people_files.rs"]
mod people_files;
#[path = "accounts/people_terminal.rs"]
mod people_terminal;
#[path = "accounts/reset.rs"]
mod reset;
#[path = "accounts/sessions.rs"]
mod sessions;
#[path = "accounts/walk.rs"]
mod walk;

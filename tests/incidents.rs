//! Incidents with personal data from outside: the whole of one as a transcript, and each rule by itself. Through the shipped binary
//! and real grpcurl over TLS, with either store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

#[path = "incidents/desk.rs"]
mod desk;
#[path = "incidents/measures.rs"]
mod measures;
#[path = "incidents/rules.rs"]
mod rules;
mod support;
#[path = "incidents/whole.rs"]
mod whole;

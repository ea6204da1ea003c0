//! The access log from outside: what it proves, who it tells, how it is exported, kept, disposed of and restored. Each test is
//! named by the rule that it checks, and goes through the shipped binary or a real directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

#[path = "access_log/backup.rs"]
mod backup;
#[path = "access_log/backup_disposed.rs"]
mod backup_disposed;
#[path = "access_log/backup_witness.rs"]
mod backup_witness;
mod support;

#[path = "access_log/proofs.rs"]
mod proofs;
// The parts, each in its own file.
#[path = "access_log/cut.rs"]
mod cut;
#[path = "access_log/evidence.rs"]
mod evidence;
#[path = "access_log/export.rs"]
mod export;
#[path = "access_log/index.rs"]
mod index;
#[path = "access_log/load.rs"]
mod load;
#[path = "access_log/ocsf_schema.rs"]
mod ocsf_schema;
#[path = "access_log/receivers.rs"]
mod receivers;
#[path = "access_log/records.rs"]
mod records;
#[path = "access_log/retention.rs"]
mod retention;
#[path = "access_log/sinks.rs"]
mod sinks;
#[path = "access_log/witness.rs"]
mod witness;
#[path = "access_log/witness_start.rs"]
mod witness_start;

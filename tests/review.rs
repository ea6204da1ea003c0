//! Periodic review from outside: what stands out in the log. Each test is named by the rule that it checks, and goes through the shipped
//! binary with real grpcurl or as people type it; how good findings are is measured in this process.
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

#[path = "review/finding_quality.rs"]
mod finding_quality;
#[path = "review/findings.rs"]
mod findings;

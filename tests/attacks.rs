//! What broke others, run against the shipped daemon with real grpcurl over TLS, each with its answer. Each test is named by the
//! rule that it checks. `SEKISHO_TEST_STORE=postgres` runs all of them with the store in PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

#[path = "attacks/addresses.rs"]
mod addresses;
#[path = "attacks/both.rs"]
mod both;
#[path = "attacks/clock.rs"]
mod clock;
#[path = "attacks/ended.rs"]
mod ended;
#[path = "attacks/enrollment.rs"]
mod enrollment;
#[path = "attacks/freed.rs"]
mod freed;
#[path = "attacks/guessing.rs"]
mod guessing;
#[path = "attacks/keys.rs"]
mod keys;
#[path = "attacks/passwords.rs"]
mod passwords;
#[path = "attacks/replay.rs"]
mod replay;
#[path = "attacks/shared.rs"]
mod shared;
#[path = "attacks/site.rs"]
mod site;
mod support;
#[path = "attacks/terminal.rs"]
mod terminal;
#[path = "attacks/tickets.rs"]
mod tickets;
#[path = "attacks/timing.rs"]
mod timing;
#[path = "attacks/tokens.rs"]
mod tokens;

//! What is done with the access log itself: reading it, proving it, keeping and disposing of it, and noticing what became
//! of it. Nothing here appends but through the ledger, and nobody reads without an entry that says so.

pub(super) mod disposal;
pub(super) mod due;
pub(super) mod evidence;
pub(super) mod keys_ahead;
pub(super) mod log_holds;
pub(super) mod log_state;
pub mod lost;
pub(super) mod read_log;
pub(super) mod sieve;

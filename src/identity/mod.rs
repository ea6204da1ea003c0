//! The two steps: who a person is, and how that is proved again with each request.
//!
//! `password` is the first step (`password_rules` says which may be chosen) and `totp` the second, with `throttle` against
//! guessing; `enrollments`, `qr` and `token_file` bring a second factor in, `one_time` stands in for one. `challenge` holds what
//! lies between the steps, `ticket` is what comes of
//! them, `sessions` is what is known of those in use, and `keyring` holds the keys behind all of it
//! (`current_keys` those that may be replaced meanwhile). `recovery` seals a copy of
//! them to a key that is kept offline.
//!
//! This room never decides on access, never reads a clock, a socket or the store, and never writes a secret anywhere: no
//! type of it prints one, and all are wiped when dropped. It does not count failures of a second factor or remember spent
//! codes either, since those must survive the process: `store` does.

pub mod certificate;
pub mod challenge;
pub mod current_keys;
pub mod enrollments;
mod hash_threads;
pub mod host_proof;
pub mod keyring;
mod keys;
pub mod live;
pub mod master;
pub mod one_time;
pub mod password;
pub mod password_rules;
pub mod qr;
pub mod recovery;
pub mod seals;
mod secret;
pub mod sessions;
pub mod throttle;
pub mod ticket;
mod ticket_keys;
pub mod token_file;
pub mod totp;

pub use hash_threads::stand_back;

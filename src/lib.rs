//! # sekisho (関所)
//!
//! A checkpoint that internal systems ask before they touch personal data. It decides whether this service, for this person,
//! from this address, may do this with that category of data about that kind of person for that purpose; it writes an entry
//! into the access log; and only when the entry is durable does the answer leave.
//!
//! ## A tour
//! Follow one check: a connection comes in through [`serve`] (TLS 1.3, client certificate), the gRPC door [`api`] reads the
//! message into words of the [`domain`], [`gate`] gathers what is known (ticket, person, subjects, counts), [`decision`]
//! decides by the rule set that [`policy`] loaded, [`log`] makes the entry durable and gives a receipt, and the door writes
//! the answer that the entry says.
//!
//! ```text
//! door ──► parse ──► gate: facts ──► decision ──► log.append ──► answer
//! (mTLS)   domain    snapshot        8 stages     fdatasync      needs the receipt
//! ```
//!
//! ## The map
//! Arrows go one way: `main → cli → serve → api → gate → {identity, policy, log, review, store, report} → decision → domain`; beside
//! the gate, `serve → sinks → {export, log}`.
//!
//! | room | its job | never |
//! |---|---|---|
//! | [`domain`] | the words of the field as types that can't hold a bad value | reads a clock, a file or a socket |
//! | [`decision`] | eight stages, pure: facts and rules in, a verdict out | knows the wire, the log, the store, casbin |
//! | [`policy`] | a pack's files into a rule set, whole or not at all | decides; lets casbin out |
//! | [`identity`] | passwords, one-time codes, tickets, keys, certificates' names | decides on access; prints a secret |
//! | [`log`] | append-only segments, group commit, recovery, reading | gives a receipt before `fdatasync` |
//! | [`witness`] | hands checkpoints to those who keep them, and knows what they know | changes the log; stops a check |
//! | [`store`] | people, credentials, holds, dates, references: SQLite or PostgreSQL | is asked by a check |
//! | [`index`] | finds entries of the log without reading all of it | is believed: every candidate is judged |
//! | [`gate`] | the use cases; joins decision and log | speaks the wire; answers without a receipt |
//! | [`api`] | one file per gRPC service, and the one table of status codes | decides |
//! | [`serve`] | opens, joins, listens, lets go in order | holds rules of its own |
//! | [`cli`] | the command line | has a back door |
//! | [`config`] | file and environment into a configuration, pure | ignores a key |
//! | [`backup`] | a copy of all of it beside the running daemon, and back | writes a secret in clear; takes half for whole |
//! | [`export`] | an entry as text: JSON lines, CSV, OCSF | opens what is sealed |
//! | [`review`] | what stands out in the log, samples, clocks of incidents, pure | reads the log itself; decides access |
//! | [`report`] | reports as printable pages and tables, pure | puts text into a page that is not escaped |
//! | [`sinks`] | streams the log out: to a file, to syslog, over HTTP; runs the operator's hook | is waited for by a check; skips an entry |
//! | [`tls_client`], [`http_client`] | calls out, bounded in time and size | trusts an authority that was not named |
//! | [`vitals`] | what the parts tell operators, one way for all | waits |
//! | [`files`] | private files, written durably | touches the log's |
//! | [`proto`] | generated from `proto/` | is known outside `api`, but for the stored form of an entry |
//!
//! ## Invariants
//! Each is kept true by a type or by a test that fails when it is broken.
//!
//! 1. **No answer without an entry.** [`gate::Answer`] holds a [`log::Receipt`], which only [`log`] can make, after
//!    `fdatasync`. If the log can't be written the call fails with UNAVAILABLE; nothing is allowed, whatever the failure.
//! 2. **Deny unless granted.** [`decision::Permit`] is made in one place, where all eight stages passed. An unknown word, an
//!    error, a missing policy, a full disk: no allowance.
//! 3. **The decision is pure**: no I/O, no clock, no randomness. A test reads its imports.
//! 4. **No personal values.** The daemon learns which categories and whose, never the data. A subject's id is turned into a
//!    keyed pseudonym before it is stored or logged, and is sealed where a record of provision has to name the person (APPI
//!    Art. 29); types that hold secrets don't print them.
//! 5. **Wire types stop at [`api`].**
//! 6. **One clock**, passed in ([`domain::time::Clock`]); a lint forbids any other.
//! 7. **One writer** per log directory, held by a lock. Store and log never disagree silently: a change by people is an entry
//!    first and is then made in the store; spent codes are stored first and their entry names them; a start replays what the
//!    store lacks and refuses when either is older than the other's mark.
//! 8. **Reading the log is logged**, and so are refused calls, administration, starts and stops. Strangers can't fill the
//!    disk: a failed handshake is a metric, and refusals of one certificate are summed once a second.
//! 9. **Nobody alone**: releasing a hold takes an administrator's own ticket, never a service's certificate; disposing of the
//!    log, and releasing a hold of it, takes two of them, or is marked as done alone. A second factor is reset by two, neither
//!    the one it is for; by one alone only on the host, after a day, marked until another reviewed it. Nobody gives themselves
//!    a role, and the last account that administers stays. Two make somebody watch over others (administer, audit, review
//!    everything), and give out what such a one proves themselves with: so that nobody is both of the two by a second account.
//!    Nobody judges their own accesses in a review, or chooses who does; where nobody else could, it is closed as not reviewed, and
//!    the report says so.
//! 10. **A pack loads whole or not at all.**

pub mod api;
pub mod backup;
pub mod cli;
pub mod config;
pub mod decision;
pub mod domain;
pub mod export;
pub mod files;
pub mod gate;
pub mod http_client;
pub mod identity;
pub mod index;
pub mod log;
pub mod policy;
pub mod report;
pub mod review;
pub mod serve;
pub mod sinks;
pub mod store;
pub mod tls_client;
pub mod vitals;
pub mod witness;

/// The API and the stored form of an entry, generated from `proto/`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod proto {
    tonic::include_proto!("sekisho.v1");
    /// Descriptors of all protos, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/sekisho.v1.bin"));
}

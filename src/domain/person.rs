//! A person who works with the data: an account of the directory.

use super::ids::Name;
use super::time::Timestamp;

/// What the directory knows of a person (利用者).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Canonical id.
    pub id: Name,
    /// Where they work.
    pub department: Name,
    /// Ids of roles of the pack; one that the pack no longer has grants nothing.
    pub roles: Vec<Name>,
    /// Whether an administrator disabled the account.
    pub disabled: bool,
    /// The last instant of the employment, once it is known.
    pub employment_end: Option<Timestamp>,
    /// Until when their training counts.
    pub trained_until: Option<Timestamp>,
    /// Whether they gave the confidentiality pledge.
    pub pledge: bool,
    /// Raised to end every session of the person: a ticket of an older epoch is revoked.
    pub epoch: u64,
}

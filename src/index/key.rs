//! What an entry is found by: a value of a field, as 64 bits.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::network::parse_address;
use crate::proto::StoredEntry;

/// A value of a field. Two values may share a key: that brings a candidate too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) u64);

/// What an entry may have. The texts are compared byte by byte; numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The kind of entry.
    Kind(i32),
    /// How it was decided.
    Decision(i32),
    /// What was done.
    Action(i32),
    /// A reason of the answer or a further one.
    Reason(i32),
    /// Break glass was used.
    BreakGlass,
    /// Who acted.
    Person(&'a str),
    /// Department of who acted.
    Department(&'a str),
    /// The calling service.
    Caller(&'a str),
    /// System.
    System(&'a str),
    /// Kind of person.
    SubjectKind(&'a str),
    /// Purpose of use.
    Purpose(&'a str),
    /// This category, or one that it covers: `a` covers `a.b`.
    Category(&'a str),
    /// Recipient.
    Recipient(&'a str),
    /// Case reference.
    CaseRef(&'a str),
    /// Whose data, by pseudonym.
    Subject(&'a [u8]),
}

impl Condition<'_> {
    fn key(self) -> Key {
        // The numbers are in every sidecar: none is ever used for another field.
        match self {
            Self::Kind(number) => of_number(1, number),
            Self::Decision(number) => of_number(2, number),
            Self::Action(number) => of_number(3, number),
            Self::Reason(number) => of_number(4, number),
            Self::BreakGlass => of_number(5, 1),
            Self::Person(text) => of_bytes(6, text.as_bytes()),
            Self::Department(text) => of_bytes(7, text.as_bytes()),
            Self::Caller(text) => of_bytes(8, text.as_bytes()),
            Self::System(text) => of_bytes(9, text.as_bytes()),
            Self::SubjectKind(text) => of_bytes(10, text.as_bytes()),
            Self::Purpose(text) => of_bytes(11, text.as_bytes()),
            Self::Category(text) => of_bytes(12, text.as_bytes()),
            Self::Recipient(text) => of_bytes(13, text.as_bytes()),
            Self::CaseRef(text) => of_bytes(14, text.as_bytes()),
            Self::Subject(bytes) => of_bytes(15, bytes),
        }
    }
}

fn of_number(field: u8, number: i32) -> Key {
    of_bytes(field, &number.to_le_bytes())
}

/// FNV-1a with 64 bits over the field's number and the value, and the last step of MurmurHash3 over that, since FNV leaves
/// the upper bits of short values alike.
fn of_bytes(field: u8, value: &[u8]) -> Key {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let mut hash = value.iter().fold(step(OFFSET, &field), step);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    Key(hash ^ (hash >> 33))
}

/// Calls `take` with each key that the entry is found by; one may come twice.
pub(super) fn keys_of(entry: &StoredEntry, mut take: impl FnMut(Key)) {
    take(Condition::Kind(entry.kind).key());
    take(Condition::Decision(entry.decision).key());
    take(Condition::Action(entry.action).key());
    for reason in entry.reasons.iter().chain(&entry.further_reasons) {
        take(Condition::Reason(reason.code).key());
    }
    if entry.break_glass {
        take(Condition::BreakGlass.key());
    }
    for condition in [
        Condition::Person(&entry.person),
        Condition::Department(&entry.department),
        Condition::Caller(&entry.caller),
        Condition::System(&entry.system),
        Condition::SubjectKind(&entry.subject_kind),
        Condition::Purpose(&entry.purpose),
        Condition::Recipient(&entry.recipient),
        Condition::CaseRef(&entry.case_ref),
    ] {
        take(condition.key());
    }
    for department in &entry.further_departments {
        take(Condition::Department(department).key());
    }
    for category in &entry.categories {
        take(Condition::Category(category).key());
        for (dot, _) in category.match_indices('.') {
            let above = category.get(..dot).unwrap_or_default();
            take(Condition::Category(above).key());
        }
    }
    for subject in &entry.subjects {
        take(Condition::Subject(subject).key());
    }
}

/// The device's address as a number, by which blocks are ranges; `None` for what is no address.
pub(super) fn address_of(entry: &StoredEntry) -> Option<u128> {
    parse_address(&entry.client_ip).ok().map(number_of)
}

/// An IPv4 address is the IPv6 address that it is mapped to (RFC 4291, 2.5.5.2).
fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Entries that have all of some values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) keys: Vec<Key>,
    /// First and last address of a block.
    pub(super) addresses: Option<(u128, u128)>,
}

impl Query {
    /// Of every entry.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of them that have this, too. It is quickest with the rarest first.
    #[must_use]
    pub fn and(mut self, condition: Condition<'_>) -> Self {
        self.keys.push(condition.key());
        self
    }

    /// Those of them whose device's address is in this block; the last one given counts.
    #[must_use]
    pub fn from_block(mut self, block: IpNet) -> Self {
        self.addresses = Some((number_of(block.network()), number_of(block.broadcast())));
        self
    }

    /// Whether it narrows nothing.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.keys.is_empty() && self.addresses.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_stay_what_they_are_in_the_sidecars_there_are() {
        let expected = Key(13_687_144_018_467_399_477);
        assert_eq!(Condition::Person("adviser-1").key(), expected);
        assert_eq!(of_bytes(6, b"adviser-1"), expected);
    }

    #[test]
    fn the_same_value_in_two_fields_has_two_keys() {
        let keys: HashSet<Key> = [
            Condition::Person("x"),
            Condition::Department("x"),
            Condition::Caller("x"),
            Condition::System("x"),
            Condition::SubjectKind("x"),
            Condition::Purpose("x"),
            Condition::Category("x"),
            Condition::Recipient("x"),
            Condition::CaseRef("x"),
            Condition::Subject(b"x"),
        ]
        .map(Condition::key)
        .into();
        assert_eq!(keys.len(), 10);
    }

    #[test]
    fn a_category_is_found_by_all_that_cover_it() {
        let entry = StoredEntry {
            categories: vec!["health.history..x".into()],
            ..StoredEntry::default()
        };
        let mut keys = HashSet::new();
        keys_of(&entry, |key| {
            keys.insert(key);
        });
        for (wanted, found) in [
            ("health", true),
            ("health.history", true),
            ("health.history.", true),
            ("health.history..x", true),
            ("health.", false),
            ("heal", false),
        ] {
            assert_eq!(
                keys.contains(&Condition::Category(wanted).key()),
                found,
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_block_is_a_range_of_addresses() {
        let query = Query::all().from_block("10.1.0.0/16".parse().unwrap());
        let (first, last) = query.addresses.unwrap();
        let number = |text: &str| number_of(text.parse().unwrap());
        assert_eq!((first, last), (number("10.1.0.0"), number("10.1.255.255")));
        assert!(first > number("10.0.255.255") && last < number("10.2.0.0"));
    }
}

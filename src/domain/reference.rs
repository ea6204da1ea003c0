//! Documents that callers refer to, registered beforehand: a notice, an engagement, a consent, a request, an order.

use std::fmt;
use std::sync::Arc;

use super::access::wire_enum;
use super::ids::Name;
use super::subject::{SubjectState, Word};
use super::time::Timestamp;

/// The most purposes that one reference covers.
pub const PURPOSES_MAX: usize = 64;

wire_enum! {
    /// What a reference is.
    ReferenceKind {
        /// A notice or publication of purposes (通知・公表).
        Notice = 1 "NOTICE",
        /// An engagement or mandate (委任・契約).
        Engagement = 2 "ENGAGEMENT",
        /// A person's consent (同意).
        Consent = 3 "CONSENT",
        /// A person's request (本人の請求).
        Request = 4 "REQUEST",
        /// An order or inquiry by law (令状・照会).
        Order = 5 "ORDER",
    }
}

impl ReferenceKind {
    /// Whether one may be for nobody in particular: what a company says or agrees to once, for many people.
    #[must_use]
    pub const fn may_be_for_nobody(self) -> bool {
        matches!(self, Self::Notice | Self::Engagement)
    }

    /// As people type it: `notice`, `consent` ...
    #[must_use]
    pub fn word(self) -> String {
        self.name().to_ascii_lowercase()
    }
}

/// One reference as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// As callers say it.
    pub id: Name,
    /// The purposes that it covers.
    pub purposes: Arc<[Word]>,
    /// The last instant at which it counts; `None` is without end.
    pub until: Option<Timestamp>,
    /// When it was registered or, once it is, withdrawn.
    pub since: Timestamp,
    /// Of a consent, when it was given: what tells whether it came after a withdrawal. Unknown where an import doesn't say it; it
    /// then outranks none.
    pub given: Option<Timestamp>,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
}

impl Reference {
    /// Whether it is for this purpose.
    #[must_use]
    pub fn covers(&self, purpose: &str) -> bool {
        self.purposes.iter().any(|covered| **covered == *purpose)
    }

    /// Whether it counts now.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        !self.withdrawn && self.until.is_none_or(|until| now <= until)
    }

    /// When it was given, of what is known of it and what is said when it is registered again: the earlier, since registered again
    /// it is no newer than it was.
    #[must_use]
    pub fn given_of(known: Option<Timestamp>, said: Option<Timestamp>) -> Option<Timestamp> {
        match (known, said) {
            (Some(known), Some(said)) => Some(known.min(said)),
            (known, said) => known.or(said),
        }
    }

    /// Whether it is what a caller declares, and counts for this purpose now.
    #[must_use]
    pub fn serves(&self, declared: &str, purpose: &str, now: Timestamp) -> bool {
        *self.id == *declared && self.is_in_force(now) && self.covers(purpose)
    }
}

/// Whether consent for a purpose was withdrawn and none was given since: when one was registered says nothing. Of a withdrawal and
/// a consent of the same instant the withdrawal counts.
#[must_use]
pub fn consent_is_withdrawn(all: &[Reference], purpose: &str, now: Timestamp) -> bool {
    let consents = || {
        all.iter().filter(|reference| {
            reference.kind == ReferenceKind::Consent && reference.covers(purpose)
        })
    };
    let withdrawn = consents()
        .filter(|reference| reference.withdrawn)
        .map(|reference| reference.since)
        .max();
    withdrawn.is_some_and(|withdrawn| {
        let anew = |reference: &Reference| {
            reference.is_in_force(now) && reference.given.is_some_and(|given| given > withdrawn)
        };
        !consents().any(anew)
    })
}

/// Whether what a caller says is registered and counts for this purpose now: for nobody in particular, or for each of these people.
/// `people` is empty where not everybody is named whom the request is about.
#[must_use]
pub fn is_registered(
    said: &str,
    purpose: &str,
    general: &[Arc<Reference>],
    people: &[Arc<SubjectState>],
    now: Timestamp,
) -> bool {
    let of_each = |state: &Arc<SubjectState>| {
        let mut own = state.references.iter();
        own.any(|one| one.serves(said, purpose, now))
    };
    general.iter().any(|one| one.serves(said, purpose, now))
        || (!people.is_empty() && people.iter().all(of_each))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(id: &str, since: i64, withdrawn: bool) -> Reference {
        Reference {
            kind: ReferenceKind::Consent,
            id: Name::parse(id).unwrap(),
            purposes: [Word::from("news")].into(),
            until: Some(Timestamp::from_seconds(100)),
            since: Timestamp::from_seconds(since),
            given: Some(Timestamp::from_seconds(since)),
            withdrawn,
        }
    }

    #[test]
    fn a_withdrawal_counts_until_a_later_consent_and_again_once_that_has_ended() {
        let at = Timestamp::from_seconds;
        let withdrawn = |all: &[Reference], now| consent_is_withdrawn(all, "news", at(now));
        assert!(!withdrawn(&[], 50));
        assert!(!withdrawn(&[consent("a", 1, false)], 50));
        assert!(withdrawn(&[consent("a", 10, true)], 50));
        // One that was given before doesn't outlast it, nor one of the same instant.
        assert!(withdrawn(
            &[consent("a", 10, true), consent("b", 9, false)],
            50
        ));
        assert!(withdrawn(
            &[consent("a", 10, true), consent("b", 10, false)],
            50
        ));
        let anew = [consent("a", 10, true), consent("b", 11, false)];
        assert!(!withdrawn(&anew, 100));
        assert!(withdrawn(&anew, 101));
        assert!(!consent_is_withdrawn(&anew, "other", at(101)));
    }

    #[test]
    fn a_consent_that_was_given_before_a_withdrawal_is_none_after_it_whenever_it_was_registered() {
        let at = Timestamp::from_seconds;
        let old = |given| Reference {
            given,
            ..consent("b", 20, false)
        };
        let withdrawn = |given| {
            let all = [consent("a", 10, true), old(given)];
            consent_is_withdrawn(&all, "news", at(30))
        };
        assert!(withdrawn(Some(at(9))) && withdrawn(Some(at(10))) && withdrawn(None));
        assert!(!withdrawn(Some(at(11))));
    }

    #[test]
    fn the_last_instant_of_a_reference_counts() {
        let one = consent("a", 1, false);
        let at = Timestamp::from_seconds;
        assert!(one.serves("a", "news", at(100)) && !one.serves("a", "news", at(101)));
        assert!(!one.serves("b", "news", at(1)) && !one.serves("a", "other", at(1)));
        assert!(!consent("a", 1, true).serves("a", "news", at(1)));
    }
}

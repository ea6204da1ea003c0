//! Who watches over others: whoever administers, audits or reviews everything. What takes two administrators, or a doer and a
//! reviewer, is worth nothing where one person is both. So nobody makes somebody such a one alone, and nobody alone gets at what
//! one proves themselves with.
//!
//! Of whoever was ever given such a role and has it still, counting or not, every credential was given out by two since then: who
//! is given one anew loses all of them, since one administrator alone may have seen to those. A role that the pack makes such a
//! one is another matter: who has it by then keeps what they have. Changes of a pack are reviewed where packs are kept.

use sha2::{Digest, Sha256};

use crate::decision::rules::{Reviews, RuleSet};
use crate::domain::person::{Person, RoleAssignment};
use crate::domain::time::Timestamp;
use crate::proto::StoredPerson;
use crate::store::stored_person;
use prost::Message as _;

/// What a role lets watch over others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Powers {
    administers: bool,
    audits: bool,
    reviews: bool,
}

impl Powers {
    fn of<'a>(rules: &RuleSet, roles: impl Iterator<Item = &'a RoleAssignment>) -> Self {
        let roles = roles.filter_map(|given| rules.roles.get(rules.roles.id(&given.role)?));
        roles.fold(Self::default(), |powers, role| Self {
            administers: powers.administers || role.administers,
            audits: powers.audits || role.audits,
            reviews: powers.reviews || role.reviews == Reviews::Everything,
        })
    }

    /// Of the roles that a person was given, whether they count or not.
    fn given(rules: &RuleSet, person: &Person) -> Self {
        Self::of(rules, person.roles.iter())
    }

    /// That a person has at an instant.
    fn at(rules: &RuleSet, person: &Person, at: Timestamp) -> Self {
        if person.is_active(at) {
            Self::of(rules, person.roles.iter().filter(|role| role.counts(at)))
        } else {
            Self::default()
        }
    }

    fn any(self) -> bool {
        self != Self::default()
    }

    const fn exceeds(self, other: Self) -> bool {
        (self.administers && !other.administers)
            || (self.audits && !other.audits)
            || (self.reviews && !other.reviews)
    }
}

/// Whether a person was given a role that watches over others, whether it counts now or not.
pub(super) fn is_guarded(rules: &RuleSet, person: &Person) -> bool {
    Powers::given(rules, person).any()
}

/// Whether a change makes somebody watch over others who did not, now or at an instant to come: it takes two.
pub(super) fn takes_two(
    rules: &RuleSet,
    before: Option<&Person>,
    after: &Person,
    now: Timestamp,
) -> bool {
    let given = before.map_or_else(Powers::default, |before| Powers::given(rules, before));
    // A role that is over, or of somebody who is disabled: later it would be there already.
    if Powers::given(rules, after).exceeds(given) {
        return true;
    }
    // Between two of these instants nothing begins or ends.
    let instants = before.into_iter().chain([after]).flat_map(instants);
    std::iter::once(now)
        .chain(instants.filter(|at| *at > now))
        .any(|at| {
            let had = before.map_or_else(Powers::default, |before| Powers::at(rules, before, at));
            Powers::at(rules, after, at).exceeds(had)
        })
}

/// Whether a change gives somebody who was there a role that watches over others, who had none: one administrator alone may have
/// seen to what they prove themselves with.
pub(super) fn is_newly_guarded(rules: &RuleSet, before: &Person, after: &Person) -> bool {
    !is_guarded(rules, before) && is_guarded(rules, after)
}

/// The instants at which something of a person begins or is just over.
fn instants(person: &Person) -> impl Iterator<Item = Timestamp> {
    let after = |at: Timestamp| Timestamp::from_micros(at.micros().saturating_add(1));
    let roles = person.roles.iter();
    let begin = roles.clone().filter_map(|role| role.valid_from);
    let end = roles.filter_map(|role| role.valid_until).map(after);
    let leave = person.leave.into_iter();
    let leave = leave.flat_map(move |leave| [Some(leave.from), leave.until.map(after)]);
    begin
        .chain(end)
        .chain(leave.flatten())
        .chain(person.employment_end.map(after))
}

/// Stands for what people are to be: an approval is of exactly that.
pub(super) fn digest<'a>(people: impl Iterator<Item = &'a Person>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for person in people {
        // The epoch goes up with every change, whatever it is.
        let stored = StoredPerson {
            epoch: 0,
            ..stored_person(person)
        };
        digest.update(stored.encode_length_delimited_to_vec());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Name;
    use crate::domain::person::Leave;
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn rules() -> RuleSet {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        crate::policy::load(&pack).unwrap().rules
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(NOW.seconds() + seconds)
    }

    fn role(id: &str, from: Option<i64>, until: Option<i64>) -> RoleAssignment {
        RoleAssignment {
            valid_from: from.map(later),
            valid_until: until.map(later),
            ..RoleAssignment::for_good(Name::parse(id).unwrap())
        }
    }

    fn person(roles: &[RoleAssignment]) -> Person {
        let mut person = Person::new(Name::parse("p").unwrap(), Name::parse("d").unwrap());
        person.roles = roles.to_vec();
        person
    }

    #[test]
    fn whatever_makes_somebody_watch_over_others_takes_two() {
        let rules = rules();
        let plain = || person(&[role("career-adviser", None, None)]);
        let of = |until| person(&[role("administrator", None, until)]);
        let disabled = |mut person: Person| {
            person.disabled = true;
            person
        };
        let ended = |mut person: Person, at| {
            person.employment_end = Some(later(at));
            person
        };
        let on_leave = |mut person: Person, until: Option<i64>| {
            person.leave = Some(Leave {
                from: later(-9),
                until: until.map(later),
            });
            person
        };
        for (what, before, after) in [
            ("given", plain(), of(None)),
            (
                "for a day to come",
                plain(),
                person(&[role("administrator", Some(90), Some(99))]),
            ),
            ("over already", plain(), of(Some(-5))),
            ("of a disabled account", plain(), disabled(of(None))),
            (
                "reviews",
                plain(),
                person(&[role("security-manager", None, None)]),
            ),
            (
                "administers as well",
                person(&[role("security-manager", None, Some(9))]),
                person(&[
                    role("security-manager", None, Some(9)),
                    role("administrator", Some(10), None),
                ]),
            ),
            ("longer", of(Some(9)), of(Some(10))),
            ("for good", of(Some(9)), of(None)),
            (
                "begins earlier",
                person(&[role("administrator", Some(9), None)]),
                of(None),
            ),
            ("again", of(Some(-9)), of(None)),
            ("enabled", disabled(of(None)), of(None)),
            (
                "employed for longer",
                ended(of(None), 5),
                ended(of(None), 6),
            ),
            ("back from a leave", on_leave(of(None), None), of(None)),
            (
                "back earlier",
                on_leave(of(None), Some(9)),
                on_leave(of(None), Some(8)),
            ),
        ] {
            assert!(takes_two(&rules, Some(&before), &after, NOW), "{what}");
            assert!(takes_two(&rules, None, &after, NOW), "{what}");
        }
        for (what, before, after) in [
            ("taken away", of(None), plain()),
            ("shorter", of(None), of(Some(9))),
            ("disabled", of(None), disabled(of(None))),
            (
                "over, and disabled no more",
                disabled(of(Some(-9))),
                of(Some(-9)),
            ),
            (
                "another department's",
                of(None),
                Person {
                    departments: vec![Name::parse("e").unwrap()],
                    ..of(None)
                },
            ),
            (
                "no such role",
                plain(),
                person(&[role("legal", None, None)]),
            ),
            (
                "reviews a department",
                plain(),
                person(&[role("information-manager", None, None)]),
            ),
        ] {
            assert!(!takes_two(&rules, Some(&before), &after, NOW), "{what}");
        }
    }

    #[test]
    fn who_had_such_a_role_that_is_over_is_guarded_and_not_newly_so() {
        let rules = rules();
        let plain = person(&[role("career-adviser", None, None)]);
        let over = person(&[role("administrator", None, Some(-9))]);
        let again = person(&[role("administrator", None, None)]);
        assert!(!is_guarded(&rules, &plain) && is_guarded(&rules, &over));
        assert!(is_newly_guarded(&rules, &plain, &over));
        assert!(!is_newly_guarded(&rules, &over, &again));
    }

    #[test]
    fn a_digest_is_of_everything_but_the_epoch() {
        let one = person(&[role("administrator", None, Some(9))]);
        let raised = Person {
            epoch: 9,
            ..one.clone()
        };
        let other = person(&[role("administrator", None, Some(10))]);
        let of = |people: &[&Person]| digest(people.iter().copied());
        assert_eq!(of(&[&one]), of(&[&raised]));
        assert_ne!(of(&[&one]), of(&[&other]));
        assert_ne!(of(&[&one, &other]), of(&[&other, &one]));
    }
}

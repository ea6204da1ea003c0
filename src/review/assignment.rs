//! Who looks at an item: an information manager of the department; else somebody who reviews everything; else one who is not of the
//! company (an external reviewer, 顧問); and nobody ever at their own accesses.

use std::collections::BTreeMap;

use crate::domain::ids::Name;

/// Somebody who may review now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Their id.
    pub id: Name,
    /// Where they work.
    pub departments: Vec<Name>,
    /// They review everything, and not their own departments alone.
    pub everything: bool,
    /// They are another employer's.
    pub external: bool,
}

/// How far up somebody stands for an item; `None` where they may not look at it.
fn rank(candidate: &Candidate, person: &str, department: &str) -> Option<u8> {
    if *candidate.id == *person {
        return None;
    }
    let theirs = candidate.departments.iter().any(|own| **own == *department);
    match (candidate.everything, candidate.external) {
        (false, _) if !theirs => None,
        (false, false) => Some(0),
        (true, false) => Some(1),
        (_, true) => Some(2),
    }
}

/// Gives out items one after the other: to whom of those who stand nearest has the fewest so far.
#[derive(Debug)]
pub struct Assignment<'a> {
    candidates: &'a [Candidate],
    given: BTreeMap<&'a str, u32>,
}

impl<'a> Assignment<'a> {
    /// Among these; their order is of no account.
    #[must_use]
    pub const fn among(candidates: &'a [Candidate]) -> Self {
        Self {
            candidates,
            given: BTreeMap::new(),
        }
    }

    /// Who looks at what a person did in a department; empty for a service, which everybody who reviews everything may look at.
    /// `None` where there is nobody but the person.
    pub fn next(&mut self, person: &str, department: &str) -> Option<&'a Name> {
        let given = &self.given;
        let best = self
            .candidates
            .iter()
            .filter_map(|candidate| {
                let rank = rank(candidate, person, department)?;
                let so_far = given.get(&*candidate.id).copied().unwrap_or(0);
                Some((rank, so_far, &candidate.id))
            })
            .min()?
            .2;
        let count = self.given.entry(best).or_default();
        *count = count.saturating_add(1);
        Some(best)
    }
}

/// Whether somebody may be given an item.
#[must_use]
pub fn may_look(candidate: &Candidate, person: &str, department: &str) -> bool {
    rank(candidate, person, department).is_some()
}

/// To whom an item goes up that `reviewer` did not judge in time: who stands above them and may look at it; `None` where there is no
/// such one.
#[must_use]
pub fn superior<'a>(
    candidates: &'a [Candidate],
    reviewer: &str,
    person: &str,
    department: &str,
) -> Option<&'a Name> {
    let of = |candidate| rank(candidate, person, department);
    let own = candidates
        .iter()
        .find(|candidate| *candidate.id == *reviewer);
    // Who is not among them any more stands below everybody.
    let own = own.and_then(of);
    candidates
        .iter()
        .filter(|candidate| *candidate.id != *reviewer)
        .filter_map(|candidate| Some((of(candidate)?, &candidate.id)))
        .filter(|(rank, _)| own.is_none_or(|own| *rank > own))
        .min()
        .map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn candidate(id: &str, department: &str, everything: bool, external: bool) -> Candidate {
        Candidate {
            id: name(id),
            departments: vec![name(department)],
            everything,
            external,
        }
    }

    fn office() -> Vec<Candidate> {
        vec![
            candidate("manager-1", "career", false, false),
            candidate("security-1", "security", true, false),
            candidate("security-2", "security", true, false),
            candidate("adviser", "outside", true, true),
        ]
    }

    #[test]
    fn the_departments_manager_comes_first_and_nobody_gets_their_own() {
        let office = office();
        let mut given = Assignment::among(&office);
        let mut next = |person, department| given.next(person, department).map(|id| &**id);
        assert_eq!(next("p-1", "career"), Some("manager-1"));
        // Their own, and where there is no manager: in turn.
        assert_eq!(next("manager-1", "career"), Some("security-1"));
        assert_eq!(next("p-2", "legal"), Some("security-2"));
        assert_eq!(next("security-2", "security"), Some("security-1"));
        // A service's.
        assert_eq!(next("", ""), Some("security-2"));
    }

    #[test]
    fn where_there_is_nobody_else_it_is_the_external_reviewer_or_nobody() {
        let small = vec![
            candidate("owner", "office", true, false),
            candidate("adviser", "outside", true, true),
        ];
        let mut given = Assignment::among(&small);
        assert_eq!(
            given.next("owner", "office").map(|id| &**id),
            Some("adviser")
        );
        let alone = &small[..1];
        assert!(Assignment::among(alone).next("owner", "office").is_none());
    }

    #[test]
    fn what_is_late_goes_up_to_who_may_look_at_it() {
        let office = office();
        let up = |reviewer, person| superior(&office, reviewer, person, "career").map(|id| &**id);
        assert_eq!(up("manager-1", "p-1"), Some("security-1"));
        assert_eq!(up("manager-1", "security-1"), Some("security-2"));
        assert_eq!(up("security-1", "p-1"), Some("adviser"));
        assert_eq!(up("adviser", "p-1"), None);
        // Who left.
        assert_eq!(up("gone", "p-1"), Some("manager-1"));
    }

    #[test]
    fn a_manager_of_another_department_may_not_look() {
        let manager = candidate("manager-1", "career", false, false);
        assert!(may_look(&manager, "p-1", "career"));
        assert!(!may_look(&manager, "p-1", "legal"));
        assert!(!may_look(&manager, "", ""));
        assert!(!may_look(&manager, "manager-1", "career"));
    }
}

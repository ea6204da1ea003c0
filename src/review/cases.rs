//! Findings into cases: one for each person, or service, and day.
//!
//! A finding that says little by itself, as an hour at which somebody doesn't work, makes no case: it takes a second finding of another
//! family. Two of one family say the same thing twice: who exports a lot also reads a lot. Where there is a case, it has all of its day.

use std::collections::BTreeMap;

use super::finding::{Case, Detector, Finding};
use super::world::{ActorId, Day, Noted, World, date_of};

/// What findings of one family have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Amount,
    Subject,
    Time,
    Place,
    Declaration,
    Outcome,
    Procedure,
}

const fn family(detector: Detector) -> Family {
    match detector {
        Detector::VolumeAboveOwn
        | Detector::VolumeAboveRole
        | Detector::ManySubjects
        | Detector::MachinePace
        | Detector::ExportBurst => Family::Amount,
        Detector::SubjectSeenByMany
        | Detector::NotAssigned
        | Detector::OwnRecord
        | Detector::ColleaguesRecord => Family::Subject,
        Detector::OutOfHours | Detector::DormantReturns => Family::Time,
        Detector::NewAddress | Detector::TwoPlaces | Detector::OneAddress => Family::Place,
        Detector::RarePurpose | Detector::ChangedAfterDenial => Family::Declaration,
        Detector::NoOutcome | Detector::OutcomeLarger => Family::Outcome,
        Detector::BreakGlass
        | Detector::ReviewOverdue
        | Detector::DoneAlone
        | Detector::AttestationOverdue => Family::Procedure,
    }
}

fn makes_a_case(noted: &[Noted]) -> bool {
    let Some(first) = noted.first() else {
        return false;
    };
    let of_first = family(first.detector);
    noted
        .iter()
        .any(|one| one.suffices || family(one.detector) != of_first)
}

/// The cases, by day and then by who acted.
pub(super) fn cases<D: AsRef<str>>(
    world: &World<'_>,
    noted: impl IntoIterator<Item = ((ActorId, Day), Vec<Noted>)>,
    department: impl Fn(ActorId, Day) -> Option<D>,
) -> Vec<Case> {
    let mut cases = BTreeMap::new();
    for ((actor, day), mut noted) in noted {
        let Some(name) = world.name(actor).filter(|_| makes_a_case(&noted)) else {
            continue;
        };
        let order = |one: &Noted| Detector::ALL.iter().position(|of| *of == one.detector);
        // One detector tells of several subjects one by one.
        noted.sort_by_key(|one| (order(one), one.evidence.first.first().copied()));
        let department = department(actor, day);
        let case = Case {
            actor: name.clone(),
            department: department.map_or_else(String::new, |of| of.as_ref().to_owned()),
            day: date_of(day),
            findings: noted
                .into_iter()
                .map(|one| Finding {
                    detector: one.detector,
                    facts: one.facts,
                    entries: one.evidence.first,
                    entries_in_all: one.evidence.count,
                })
                .collect(),
        };
        cases.insert((day, name.clone()), case);
    }
    cases.into_values().collect()
}

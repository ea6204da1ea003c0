//! What a wish makes of a person: pure, against one snapshot of everybody.

use std::sync::Arc;

use time::UtcOffset;

use super::{People, PersonSort, PersonWish, administrators, check};
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::person::form::{self, FieldFault};
use crate::domain::person::id;
use crate::domain::time::Timestamp;
use crate::gate::{entry, guarded};
use crate::proto::StoredEntry;

/// A detail of an entry is cut beyond so many bytes.
const DETAIL_MAX_BYTES: usize = 1_024;

/// A field whose value differs, each value as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedField {
    /// Which.
    pub field: &'static str,
    /// Its values before.
    pub before: Vec<String>,
    /// And after.
    pub after: Vec<String>,
}

/// Why nothing is planned.
#[derive(Debug)]
pub(super) enum Refusal {
    Missing,
    Exists,
    Stale,
    Faults(Vec<FieldFault>),
}

/// A change, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) before: Option<Arc<Person>>,
    pub(super) after: Person,
    /// Empty when nothing is to be written.
    pub(super) changes: Vec<ChangedField>,
    pub(super) sessions_ended: bool,
    /// It makes somebody watch over others.
    pub(super) takes_two: bool,
    /// One administrator alone may have seen to what they prove themselves with: all of it goes.
    pub(super) without_credentials: bool,
}

impl Plan {
    /// Plans a wish of `actor`, and refuses what no rule of the pack or of the directory admits for this person.
    pub(super) fn of(
        rules: &RuleSet,
        people: &People,
        wish: &PersonWish,
        actor: &Name,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let before = people.get(&wish.values.id).cloned();
        let mut after = match (&before, wish.sort) {
            (None, PersonSort::Create) => Person {
                departments: Vec::new(),
                ..Person::new(wish.values.id.clone(), wish.values.id.clone())
            },
            (Some(_), PersonSort::Create) => return Err(Refusal::Exists),
            (None, _) => return Err(Refusal::Missing),
            (Some(before), PersonSort::Change { expected }) => {
                if expected.is_some_and(|expected| expected != before.revision) {
                    return Err(Refusal::Stale);
                }
                Person::clone(before)
            }
            (Some(before), _) => Person::clone(before),
        };
        for field in &wish.fields {
            set(&mut after, field, &wish.values);
        }
        match wish.sort {
            PersonSort::Create | PersonSort::Change { .. } => {}
            PersonSort::Disable => after.disabled = true,
            PersonSort::Enable => after.disabled = false,
            PersonSort::EndEmployment(at) => {
                // What is over already is not ended a second time, later.
                if at.is_some() || !after.has_ended(now) {
                    let just_before = Timestamp::from_micros(now.micros().saturating_sub(1));
                    after.employment_end = Some(at.unwrap_or(just_before));
                }
            }
        }
        let changes = differences(before.as_deref(), &after, rules.utc_offset);
        let mut plan = Self {
            sessions_ended: false,
            takes_two: guarded::takes_two(rules, before.as_deref(), &after, now),
            without_credentials: before
                .as_deref()
                .is_some_and(|before| guarded::is_newly_guarded(rules, before, &after)),
            before,
            after,
            changes,
        };
        if plan.changes.is_empty() {
            return Ok(plan);
        }
        let faults = check::faults(rules, &plan, actor);
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }
        if let Some(before) = &plan.before
            && (plan.without_credentials || before.is_active(now) != plan.after.is_active(now))
        {
            // Who may work no more has no session; who may again begins a new one.
            plan.after.epoch = before.epoch.saturating_add(1);
            plan.sessions_ended = true;
        }
        Ok(plan)
    }

    /// Refuses what the directory as a whole doesn't admit: ids that look alike, approvals by nobody, nobody who administers.
    pub(super) fn checked(
        self,
        rules: &RuleSet,
        people: &People,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if self.changes.is_empty() {
            return Ok(self);
        }
        let mut faults = check::approvals(&self, |id| people.contains_key(id));
        if self.before.is_none() {
            let look = id::look(&self.after.id);
            let mut others = people.keys();
            let other = others.find(|other| id::look(other) == look);
            faults.extend(other.map(check::looks_like));
        }
        if faults.is_empty() && administrators::would_be_none(rules, people, &[&self], now) {
            faults.push(administrators::fault(&self));
        }
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(Refusal::Faults(faults))
        }
    }

    /// Says what is changed of whom.
    pub(super) fn tell(&self, entry: &mut StoredEntry) {
        entry::detail(entry, "account", &*self.after.id);
        if self.sessions_ended {
            entry::detail(entry, "sessions", "ended");
        }
        if self.without_credentials {
            entry::detail(entry, "credentials", "removed");
        }
        for change in &self.changes {
            tell(entry, "before", change.field, &change.before);
            tell(entry, "after", change.field, &change.after);
        }
    }
}

/// The values of a field as one detail, or as several where they would be cut; an empty one where there are none.
fn tell(entry: &mut StoredEntry, when: &str, field: &str, values: &[String]) {
    let mut pieces = vec![String::new()];
    for value in values {
        let fits = |piece: &String| piece.len() + value.len() + 2 <= DETAIL_MAX_BYTES;
        match pieces.last_mut() {
            Some(piece) if piece.is_empty() => piece.push_str(value),
            Some(piece) if fits(piece) => {
                piece.push_str(", ");
                piece.push_str(value);
            }
            _ => pieces.push(value.clone()),
        }
    }
    for (number, piece) in (1_usize..).zip(pieces) {
        let key = match number {
            1 => format!("{when}.{field}"),
            _ => format!("{when}.{field}.{number}"),
        };
        entry::detail(entry, &key, piece);
    }
}

/// Sets one of the fields to what `values` has.
fn set(person: &mut Person, field: &str, values: &Person) {
    match field {
        "display_name" => person.display_name.clone_from(&values.display_name),
        "departments" => person.departments.clone_from(&values.departments),
        "employment_kind" => person.employment_kind = values.employment_kind,
        "employer" => person.employer.clone_from(&values.employer),
        "employment_end" => person.employment_end = values.employment_end,
        "leave" => person.leave = values.leave,
        "roles" => person.roles.clone_from(&values.roles),
        "network_exceptions" => person
            .network_exceptions
            .clone_from(&values.network_exceptions),
        "trained_until" => person.trained_until = values.trained_until,
        "pledge" => person.pledge = values.pledge,
        "subject_pseudonyms" => person.subjects.clone_from(&values.subjects),
        "disabled" => person.disabled = values.disabled,
        _ => {}
    }
}

fn differences(before: Option<&Person>, after: &Person, offset: UtcOffset) -> Vec<ChangedField> {
    let nothing = form::FIELDS.map(|field| (field, Vec::new()));
    let before = before.map_or(nothing, |before| form::texts(before, offset));
    before
        .into_iter()
        .zip(form::texts(after, offset))
        .filter(|((_, before), (_, after))| before != after)
        .map(|((field, before), (_, after))| ChangedField {
            field,
            before,
            after,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LogIndex;
    use crate::domain::person::{EmploymentKind, Leave, RoleAssignment};
    use crate::domain::subject::Pseudonym;
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(NOW.seconds() + seconds)
    }

    fn rules() -> RuleSet {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        crate::policy::load(&pack).unwrap().rules
    }

    fn person(id: &str, role: &str) -> Person {
        let mut person = Person::new(name(id), name("career"));
        person.roles = vec![RoleAssignment::for_good(name(role))];
        person
    }

    fn people(all: &[Person]) -> People {
        all.iter()
            .map(|person| (person.id.clone(), Arc::new(person.clone())))
            .collect()
    }

    fn usual() -> People {
        people(&[
            person("administrator-1", "administrator"),
            person("administrator-2", "administrator"),
            person("adviser-1", "career-adviser"),
        ])
    }

    fn wish(sort: PersonSort, id: &str, fields: &[&'static str]) -> PersonWish {
        PersonWish {
            sort,
            values: Person::new(name(id), name("career")),
            fields: fields.to_vec(),
            subject_refs: None,
            reference: None,
            approve: None,
        }
    }

    fn planned(people: &People, wish: &PersonWish, actor: &str) -> Result<Plan, Refusal> {
        let rules = rules();
        Plan::of(&rules, people, wish, &name(actor), NOW)?.checked(&rules, people, NOW)
    }

    fn fields_of(refused: Result<Plan, Refusal>) -> Vec<(String, String)> {
        match refused {
            Err(Refusal::Faults(faults)) => faults
                .into_iter()
                .map(|fault| (fault.field, fault.what))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    const CHANGE: PersonSort = PersonSort::Change { expected: None };
    const BY: &str = "administrator-1";

    #[test]
    fn disabling_ends_sessions_once_and_nothing_changes_twice() {
        let mut all = usual();
        let plan = planned(&all, &wish(PersonSort::Disable, "adviser-1", &[]), BY).unwrap();
        assert!(plan.sessions_ended && plan.after.disabled);
        assert_eq!(plan.after.epoch, 1);
        let told: Vec<_> = plan.changes.iter().map(|change| change.field).collect();
        assert_eq!(told, ["disabled"]);
        all.insert(plan.after.id.clone(), Arc::new(plan.after));
        let again = planned(&all, &wish(PersonSort::Disable, "adviser-1", &[]), BY).unwrap();
        assert!(again.changes.is_empty());
        let enabled = planned(&all, &wish(PersonSort::Enable, "adviser-1", &[]), BY).unwrap();
        assert_eq!(enabled.after.epoch, 2, "an old ticket doesn't come back");
    }

    #[test]
    fn an_end_to_come_ends_no_session_and_one_that_came_does() {
        let all = usual();
        let end = |at| {
            planned(
                &all,
                &wish(PersonSort::EndEmployment(at), "adviser-1", &[]),
                BY,
            )
        };
        assert!(!end(Some(later(60))).unwrap().sessions_ended);
        for at in [None, Some(later(-60))] {
            let plan = end(at).unwrap();
            assert!(plan.sessions_ended && plan.after.has_ended(NOW));
        }
        let mut wish = wish(CHANGE, "adviser-1", &["leave"]);
        for (from, begun) in [(-1, true), (0, true), (1, false)] {
            wish.values.leave = Some(Leave {
                from: later(from),
                until: None,
            });
            assert_eq!(planned(&all, &wish, BY).unwrap().sessions_ended, begun);
        }
    }

    #[test]
    fn nobody_changes_their_own_account_where_it_matters() {
        let all = usual();
        let mut wish = wish(CHANGE, BY, &["roles", "display_name"]);
        wish.values.display_name = Some("A".into());
        wish.values.roles = vec![
            RoleAssignment::for_good(name("administrator")),
            RoleAssignment::for_good(name("career-adviser")),
        ];
        let told = fields_of(planned(&all, &wish, BY));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, "roles");
        assert!(planned(&all, &wish, "administrator-2").is_ok());
        wish.fields = vec!["display_name"];
        assert!(planned(&all, &wish, BY).is_ok());
        let own = super::super::PersonWish {
            sort: PersonSort::Disable,
            ..wish
        };
        assert_eq!(fields_of(planned(&all, &own, BY))[0].0, "disabled");
    }

    #[test]
    fn the_last_who_administers_stays_now_and_later() {
        let mut second = person("administrator-2", "administrator");
        second.disabled = true;
        let all = people(&[person("administrator-1", "administrator"), second]);
        // As when two administrators disable each other at once.
        for sort in [
            PersonSort::Disable,
            PersonSort::EndEmployment(None),
            PersonSort::EndEmployment(Some(later(86_400))),
        ] {
            let told = fields_of(planned(&all, &wish(sort, "administrator-1", &[]), "x"));
            assert!(told[0].1.contains("last"), "{told:?}");
        }
        let mut ends = wish(CHANGE, "administrator-1", &["roles"]);
        ends.values.roles = vec![RoleAssignment {
            valid_until: Some(later(60)),
            ..RoleAssignment::for_good(name("administrator"))
        }];
        assert_eq!(fields_of(planned(&all, &ends, "x"))[0].0, "roles");
        let all = usual();
        assert!(planned(&all, &ends, "x").is_ok());
    }

    #[test]
    fn roles_are_the_packs_compatible_and_approved_by_somebody_else() {
        let all = usual();
        let mut wish = wish(CHANGE, "adviser-1", &["roles"]);
        let role = |id: &str| RoleAssignment::for_good(name(id));
        let mut refused = |roles: Vec<RoleAssignment>| {
            wish.values.roles = roles;
            fields_of(planned(&all, &wish, BY))
        };
        let told = refused(vec![role("career-adviser"), role("wizard")]);
        assert_eq!(told[0].0, "roles[1].role");
        let told = refused(vec![role("administrator"), role("security-manager")]);
        assert!(told[0].1.contains("incompatible"), "{told:?}");
        let by = |id: &str| RoleAssignment {
            approved_by: Some(name(id)),
            ..role("legal")
        };
        for nobody in ["adviser-1", "adviser-9"] {
            assert_eq!(refused(vec![by(nobody)])[0].0, "roles[0].approved_by");
        }
        wish.values.roles = vec![
            RoleAssignment {
                valid_until: Some(later(10)),
                ..role("administrator")
            },
            RoleAssignment {
                valid_from: Some(later(11)),
                ..role("security-manager")
            },
            by("administrator-2"),
        ];
        assert!(planned(&all, &wish, BY).is_ok(), "one after the other");
    }

    #[test]
    fn a_role_that_the_pack_lost_stops_no_other_change() {
        let all = people(&[
            person("administrator-1", "administrator"),
            person("adviser-1", "wizard"),
        ]);
        assert!(planned(&all, &wish(PersonSort::Disable, "adviser-1", &[]), BY).is_ok());
    }

    #[test]
    fn a_new_id_that_looks_like_another_is_refused() {
        let all = usual();
        for id in ["adviser-l", "adviser_1", "adviser-i"] {
            let told = fields_of(planned(
                &all,
                &wish(PersonSort::Create, id, &["departments"]),
                BY,
            ));
            assert_eq!(told[0].0, "id", "{id}");
            assert!(told[0].1.contains("adviser-1"), "{told:?}");
        }
        let new = planned(
            &all,
            &wish(PersonSort::Create, "adviser-2", &["departments"]),
            BY,
        );
        assert!(!new.unwrap().sessions_ended);
        let known = planned(
            &all,
            &wish(PersonSort::Create, "adviser-1", &["departments"]),
            BY,
        );
        assert!(matches!(known, Err(Refusal::Exists)));
        let nowhere = planned(&all, &wish(PersonSort::Create, "adviser-2", &[]), BY);
        assert_eq!(fields_of(nowhere)[0].0, "departments");
    }

    #[test]
    fn the_dispatched_have_an_employer_and_an_end() {
        let all = usual();
        let mut wish = wish(CHANGE, "adviser-1", &["employment_kind"]);
        wish.values.employment_kind = EmploymentKind::Dispatched;
        let told = fields_of(planned(&all, &wish, BY));
        let fields: Vec<&str> = told.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["employer", "employment_end"]);
    }

    #[test]
    fn a_revision_that_is_not_the_persons_is_refused() {
        let all = usual();
        let sort = |expected| PersonSort::Change {
            expected: Some(LogIndex(expected)),
        };
        let stale = planned(&all, &wish(sort(1), "adviser-1", &[]), BY);
        assert!(matches!(stale, Err(Refusal::Stale)));
        assert!(planned(&all, &wish(sort(0), "adviser-1", &[]), BY).is_ok());
    }

    #[test]
    fn every_value_is_told_however_many_there_are() {
        let mut plan = planned(&usual(), &wish(PersonSort::Disable, "adviser-1", &[]), BY).unwrap();
        let values: Vec<String> = (0..30).map(|n| format!("{n}{}", "x".repeat(100))).collect();
        plan.changes = vec![ChangedField {
            field: "roles",
            before: Vec::new(),
            after: values.clone(),
        }];
        let mut entry = StoredEntry::default();
        plan.tell(&mut entry);
        let told: Vec<&str> = entry
            .details
            .iter()
            .filter(|detail| detail.key.starts_with("after.roles"))
            .flat_map(|detail| detail.value.split(", "))
            .collect();
        assert_eq!(told.len(), 30);
        assert!(values.iter().all(|value| told.contains(&value.as_str())));
        assert!(
            entry
                .details
                .iter()
                .any(|detail| detail.key == "before.roles")
        );
    }

    #[test]
    fn own_subjects_are_told_as_pseudonyms() {
        let mut wish = wish(CHANGE, "adviser-1", &["subject_pseudonyms"]);
        wish.values.subjects = vec![Pseudonym([9; 32])];
        let plan = planned(&usual(), &wish, BY).unwrap();
        assert_eq!(plan.changes[0].after, ["09".repeat(32)]);
    }
}

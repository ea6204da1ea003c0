//! Many people at once: all or nothing. Planned row by row against what the rows before made of the directory, off the async
//! threads; written as one unit, with one entry for each person and one that sums up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::plan::{ChangedField, Plan, Refusal};
use super::{
    POLICY_CHANGED, People, PersonSort, PersonWish, StillThese, TRIES, administrators, check,
    wish_of,
};
use crate::decision::rules::RuleSet;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::form::FieldFault;
use crate::domain::person::id;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::pending::{Awaited, Decides};
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::EntryKind;

/// The most violations that a refusal names one by one: an answer has to fit into its headers.
const NAMED_MAX: usize = 32;
const CALL: &str = "ImportPeople";
/// The most people of one import that take two administrators: a request names all of them.
const GUARDED_MAX: usize = 50;

/// A row that could be read.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Its line, from 1.
    pub line: u32,
    /// Who, and what to set; its sort is looked up here.
    pub wish: PersonWish,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// The field; empty for the row as a whole.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a row changes.
#[derive(Debug, Clone)]
pub struct ImportedPerson {
    /// Its line.
    pub line: u32,
    /// Whose.
    pub id: Name,
    /// Whether they are new.
    pub created: bool,
    /// What differs.
    pub changes: Vec<ChangedField>,
    /// Whether every session of theirs is ended.
    pub sessions_ended: bool,
    /// Whether it takes two administrators.
    pub takes_two: bool,
}

/// What an import came to, or would.
#[derive(Debug, Clone, Default)]
pub struct ImportOutcome {
    /// Those who are changed, in the order of the file.
    pub people: Vec<ImportedPerson>,
    /// How many rows change nothing.
    pub unchanged: usize,
    /// What is wrong: then nothing was changed.
    pub faults: Vec<ImportFault>,
    /// The entry that sums up, or that asks; `None` where nothing was written.
    pub index: Option<LogIndex>,
    /// It takes two, and was only asked for.
    pub awaited: Option<Awaited>,
    /// It took two, and one did it alone.
    pub alone: bool,
}

/// How an import is made.
#[derive(Debug, Default)]
pub struct ImportWish {
    /// The request or decision behind it.
    pub reference: Option<Name>,
    /// Only tell what it would change and what is wrong.
    pub dry_run: bool,
    /// Another administrator's request for the same.
    pub approve: Option<LogIndex>,
}

/// What is planned for a file.
#[derive(Debug, Default)]
struct Planned {
    plans: Vec<(u32, Plan)>,
    unchanged: usize,
    faults: Vec<ImportFault>,
}

impl Gate {
    /// Imports people, or tells what an import would change and what is wrong.
    ///
    /// # Errors
    /// When nobody who administers asks, or the entries can't be written; in a dry run not for faults, which are told.
    pub async fn import_people(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        (rows, unread): (Vec<ImportRow>, Vec<ImportFault>),
        wish: ImportWish,
    ) -> Result<ImportOutcome, GateError> {
        let ImportWish {
            reference,
            dry_run,
            approve,
        } = wish;
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let actor = administrator.admitted.person.id.clone();
        let rows: Arc<Vec<ImportRow>> = rows
            .into_iter()
            .map(|row| ImportRow {
                wish: self.with_pseudonyms(row.wish),
                ..row
            })
            .collect::<Vec<_>>()
            .into();
        for _ in 0..TRIES {
            if self.rules.load().revision != rules.revision {
                // Who asks was admitted by the one before.
                let error = POLICY_CHANGED;
                return Err(self.refused(peer, &administrator, CALL, error, now).await);
            }
            let people = self.newest_people().await?;
            let planning = {
                let (rules, people, rows) =
                    (Arc::clone(&rules), Arc::clone(&people), Arc::clone(&rows));
                let actor = actor.clone();
                move || plan(&rules, &people, &rows, &actor, now)
            };
            let mut planned = tokio::task::spawn_blocking(planning)
                .await
                .map_err(|_| GateError::Internal("planning an import ended early"))?;
            planned.faults.extend(unread.iter().cloned());
            planned.faults.sort_by_key(|fault| fault.line);
            let outcome = outcome(&planned);
            if dry_run {
                let mut entry = self.summary(peer, &administrator, &outcome, now);
                entry::detail(&mut entry, "outcome", "dry-run");
                self.log.append(std::slice::from_ref(&entry))?.await?;
                return Ok(outcome);
            }
            if !planned.faults.is_empty() {
                let error = GateError::Malformed(violations(&planned.faults));
                return Err(self.refused(peer, &administrator, CALL, error, now).await);
            }
            if planned.plans.is_empty() {
                return Ok(outcome);
            }
            let plans = planned.plans.iter().map(|(_, plan)| plan);
            let what = wish_of(plans.clone());
            let takes_two = plans.filter(|plan| plan.takes_two).count() > 0;
            let decides = self
                .who_decides(&rules, (&what, takes_two), approve, &actor, now)
                .await?;
            let decides = match decides {
                Ok(decides) => decides,
                Err(violation) => {
                    let error = GateError::Malformed(vec![violation]);
                    return Err(self.refused(peer, &administrator, CALL, error, now).await);
                }
            };
            if matches!(decides, Decides::Another) {
                let mut entry = self.summary(peer, &administrator, &outcome, now);
                entry::detail(&mut entry, "outcome", "request");
                for (number, id) in (1..).zip(what.people()) {
                    entry::detail(&mut entry, &format!("account.{number}"), &**id);
                }
                let awaited = self.ask_another(entry, &rules, &what, &actor, now).await?;
                return Ok(ImportOutcome {
                    index: Some(awaited.request),
                    awaited: Some(awaited),
                    ..outcome
                });
            }
            let approval = decides.approval();
            let mut entries = Vec::with_capacity(planned.plans.len().saturating_add(1));
            let mut changed = Vec::with_capacity(planned.plans.len());
            for (line, plan) in planned.plans {
                let sort = sort_of(plan.before.is_none());
                let wish = PersonWish {
                    sort,
                    values: plan.after.clone(),
                    fields: Vec::new(),
                    subject_refs: None,
                    reference: reference.clone(),
                    approve: None,
                };
                let by = (&wish, approval);
                let mut entry = self.entry_of_change(peer, &administrator, &plan, by, now);
                entry::detail(&mut entry, "import_line", line.to_string());
                entries.push(entry);
                changed.push(plan);
            }
            let mut summary = self.summary(peer, &administrator, &outcome, now);
            entry::detail(&mut summary, "outcome", "imported");
            if let Some(reference) = &reference {
                entry::detail(&mut summary, "reference", &**reference);
            }
            entries.push(summary);
            let still = (StillThese::of(people, &rules), approval.cloned());
            match self.put_people(changed, entries, still).await {
                Err(GateError::Conflict(_)) => {}
                Err(error) => return Err(error),
                Ok(receipts) => {
                    let index = receipts.iter().last().map(|receipt| receipt.index());
                    return Ok(ImportOutcome {
                        index,
                        alone: approval.is_some_and(|approval| approval.alone),
                        ..outcome
                    });
                }
            }
        }
        let error = GateError::Conflict("other changes came in between: try again");
        Err(self.refused(peer, &administrator, CALL, error, now).await)
    }

    fn summary(
        &self,
        peer: &Peer,
        administrator: &Administrator<'_>,
        outcome: &ImportOutcome,
        now: Timestamp,
    ) -> crate::proto::StoredEntry {
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, administrator, now);
        let created = outcome
            .people
            .iter()
            .filter(|person| person.created)
            .count();
        let changed = outcome.people.len().saturating_sub(created);
        entry::detail(&mut entry, "call", CALL);
        for (key, count) in [
            ("created", created),
            ("changed", changed),
            ("unchanged", outcome.unchanged),
            ("errors", outcome.faults.len()),
        ] {
            entry::detail(&mut entry, key, count.to_string());
        }
        entry
    }
}

const fn sort_of(is_new: bool) -> PersonSort {
    if is_new {
        PersonSort::Create
    } else {
        PersonSort::Change { expected: None }
    }
}

fn outcome(planned: &Planned) -> ImportOutcome {
    let people = planned.plans.iter().map(|(line, plan)| ImportedPerson {
        line: *line,
        id: plan.after.id.clone(),
        created: plan.before.is_none(),
        changes: plan.changes.clone(),
        sessions_ended: plan.sessions_ended,
        takes_two: plan.takes_two,
    });
    ImportOutcome {
        people: people.collect(),
        unchanged: planned.unchanged,
        faults: planned.faults.clone(),
        ..ImportOutcome::default()
    }
}

fn violations(faults: &[ImportFault]) -> Vec<Violation> {
    let named = faults.iter().take(NAMED_MAX).map(|fault| {
        let below = if fault.field.is_empty() { "" } else { "." };
        let field = format!("csv[{}]{below}{}", fault.line, fault.field);
        Violation::new(field, fault.what.as_str())
    });
    let mut violations: Vec<Violation> = named.collect();
    let more = faults.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let what = format!("has {more} more errors: a dry run tells all of them");
        violations.push(Violation::new("csv", what));
    }
    violations
}

/// Plans all rows; pure.
fn plan(
    rules: &RuleSet,
    people: &People,
    rows: &[ImportRow],
    actor: &Name,
    now: Timestamp,
) -> Planned {
    let mut planned = Planned::default();
    let mut seen: HashSet<&Name> = HashSet::new();
    let mut looks: HashMap<String, &Name> = people
        .keys()
        .map(|known| (id::look(known), known))
        .collect();
    for row in rows {
        let id = &row.wish.values.id;
        let mut tell = |faults: Vec<FieldFault>| {
            planned
                .faults
                .extend(faults.into_iter().map(|fault| ImportFault {
                    line: row.line,
                    field: fault.field,
                    what: fault.what,
                }));
        };
        if !seen.insert(id) {
            tell(vec![FieldFault {
                field: "id".to_owned(),
                what: "is in the file twice".to_owned(),
            }]);
            continue;
        }
        let is_new = !people.contains_key(id);
        if is_new && let Some(other) = looks.insert(id::look(id), id) {
            tell(vec![check::looks_like(other)]);
            continue;
        }
        let wish = PersonWish {
            sort: sort_of(is_new),
            ..row.wish.clone()
        };
        match Plan::of(rules, people, &wish, actor, now) {
            Ok(plan) if plan.changes.is_empty() => {
                planned.unchanged = planned.unchanged.saturating_add(1);
            }
            Ok(plan) => planned.plans.push((row.line, plan)),
            Err(Refusal::Faults(faults)) => tell(faults),
            // Neither can be: which it is was looked up just above.
            Err(Refusal::Missing | Refusal::Exists | Refusal::Stale) => {}
        }
    }
    together(rules, people, &mut planned, &seen, now);
    planned
}

/// What is wrong with the rows together.
fn together(
    rules: &RuleSet,
    people: &People,
    planned: &mut Planned,
    seen: &HashSet<&Name>,
    now: Timestamp,
) {
    let is_known = |id: &Name| people.contains_key(id) || seen.contains(id);
    for (line, plan) in &planned.plans {
        for fault in check::approvals(plan, is_known) {
            planned.faults.push(ImportFault {
                line: *line,
                field: fault.field,
                what: fault.what,
            });
        }
    }
    let mut guarded = planned.plans.iter().filter(|(_, plan)| plan.takes_two);
    if let Some((line, _)) = guarded.nth(GUARDED_MAX) {
        planned.faults.push(ImportFault {
            line: *line,
            field: "roles".to_owned(),
            what: format!(
                "is one more than the {GUARDED_MAX} people for whom one import may ask a second administrator"
            ),
        });
    }
    let plans: Vec<&Plan> = planned.plans.iter().map(|(_, plan)| plan).collect();
    if administrators::would_be_none(rules, people, &plans, now)
        && let Some((line, plan)) = planned
            .plans
            .iter()
            .rev()
            .find(|(_, plan)| administrators::would_be_none(rules, people, &[plan], now))
            .or_else(|| planned.plans.last())
    {
        let fault = administrators::fault(plan);
        planned.faults.push(ImportFault {
            line: *line,
            field: fault.field,
            what: fault.what,
        });
    }
}

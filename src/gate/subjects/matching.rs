//! From pseudonyms back to people, by the company's own list of ids: the daemon keeps none. And whose retention is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::decision::retention_over;
use crate::decision::rules::{RetentionRule, RuleSet};
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reason::ReasonCode;
use crate::domain::subject::{Pseudonym, SubjectState, Word};
use crate::domain::time::Timestamp;
use crate::gate::admission::{Admitted, administers, reviews_all};
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::{EntryKind, StoredEntry};

/// The most pseudonyms that are looked for at once: their entry holds all of them.
pub const PSEUDONYMS_MAX: usize = 1_000;
/// The most ids that one call looks at.
pub const REFS_MAX: u64 = 1_000_000;
const MATCH: &str = "Match";
const OVERDUE: &str = "ListOverdue";
/// How many subjects with a date are looked at for one page.
const LOOKED_AT: usize = 10_000;
const YEAR: Duration = Duration::from_hours(24 * 365);

/// A pseudonym, and whose it is.
#[derive(Debug)]
pub struct Matched {
    /// As it was asked for.
    pub pseudonym: Pseudonym,
    /// Who that is.
    pub subject: SubjectRef,
}

/// Ids are coming in.
#[derive(Debug)]
pub struct Matching {
    gate: Arc<Gate>,
    /// What is written at the end, whatever comes of it.
    entry: StoredEntry,
    wanted: Vec<Pseudonym>,
    found: HashMap<Pseudonym, Option<SubjectRef>>,
    refs: u64,
}

/// A subject whose retention is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Who, by pseudonym.
    pub subject: Pseudonym,
    /// By which rule.
    pub retention: Box<str>,
    /// The date that the period counts from.
    pub date: Timestamp,
    /// When it was over.
    pub over: Timestamp,
}

/// A page of them.
#[derive(Debug)]
pub struct OverduePage {
    /// In the order of the pack's rules, then of the dates that the periods count from, then of the pseudonyms.
    pub subjects: Vec<Overdue>,
    /// Rule, date and subject after which the next page begins.
    pub next: Option<(Name, Timestamp, Pseudonym)>,
}

impl Gate {
    /// A person who administers or reviews everything; anyone else is refused.
    async fn overseer<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<(Caller<'a>, Admitted), GateError> {
        let caller = self.caller_at_home(rules, peer, call, now).await?;
        let (refused, error) = match self.admit(rules, &caller, credentials, now) {
            Err(refused) => {
                let error = GateError::Refused(refused.code);
                (refused, error)
            }
            Ok(admitted)
                if administers(rules, &admitted.person, now)
                    || reviews_all(rules, &admitted.person, now) =>
            {
                return Ok((caller, admitted));
            }
            Ok(admitted) => {
                let words = "this needs somebody who administers or reviews everything";
                let refused = admitted.refused(ReasonCode::ActionNotPermitted);
                (Box::new(refused), GateError::NotAuthorised(words))
            }
        };
        Err(self
            .refuse_person(peer, &caller, call, refused, error, now)
            .await)
    }

    /// Begins to look for people by their pseudonyms.
    ///
    /// # Errors
    /// When nobody who may asks.
    pub async fn begin_matching(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Matching, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let (caller, admitted) = self.overseer(&rules, peer, credentials, MATCH, now).await?;
        let mut entry = entry::event(EntryKind::LogRead, now, &caller, peer);
        self.acts(&mut entry, &admitted, now);
        entry::detail(&mut entry, "call", MATCH);
        Ok(Matching {
            gate: Arc::clone(self),
            entry,
            wanted: Vec::new(),
            found: HashMap::new(),
            refs: 0,
        })
    }

    /// Whose retention is over now, by one rule of the pack or by all.
    ///
    /// # Errors
    /// When nobody who may asks, the pack has no such rule, the store can't be read, or the entry can't be written.
    pub async fn list_overdue(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        retention: Option<Name>,
        (size, after): (usize, Option<(Name, Timestamp, Pseudonym)>),
    ) -> Result<OverduePage, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let (caller, admitted) = self
            .overseer(&rules, peer, credentials, OVERDUE, now)
            .await?;
        let named = retention.as_deref();
        let wanted: Vec<&RetentionRule> = rules
            .retention
            .iter()
            .filter(|rule| named.is_none_or(|named| *rule.id == *named))
            .collect();
        let position = |id: &str| wanted.iter().position(|rule| *rule.id == *id);
        let begin = match &after {
            None => Some((0, None)),
            Some((rule, date, subject)) => position(rule).map(|at| (at, Some((*date, *subject)))),
        };
        let mut violations = Vec::new();
        if wanted.is_empty() && named.is_some() {
            let known: Vec<&str> = rules.retention.iter().map(|rule| &*rule.id).collect();
            let what = format!("the pack has no such rule; it has: {}", known.join(", "));
            violations.push(Violation::new("retention", what));
        } else if begin.is_none() {
            let what = "is of a rule that the pack has no more";
            violations.push(Violation::new("page_token", what));
        }
        if !violations.is_empty() {
            let error = GateError::Malformed(violations);
            return Err(self.refuse_call(peer, &caller, OVERDUE, error, now).await);
        }
        if !self.knows_all_subjects() {
            let error = GateError::SubjectsIncomplete;
            return Err(self.refuse_call(peer, &caller, OVERDUE, error, now).await);
        }
        let (first, mut from) = begin.unwrap_or_default();
        let mut page = OverduePage {
            subjects: Vec::new(),
            next: None,
        };
        let mut left = LOOKED_AT;
        for rule in wanted.iter().skip(first) {
            // A period of years has at least so many days.
            let before = now.minus(YEAR.saturating_mul(rule.years.into()));
            while page.next.is_none() {
                let most = left.min(size.saturating_sub(page.subjects.len()).saturating_add(1));
                let found = self
                    .store
                    .subjects_with_date_before(&rule.date, before, from, most)
                    .await?;
                left = left.saturating_sub(found.len());
                let all = found.len() < most;
                for (subject, date) in found {
                    if page.subjects.len() == size {
                        break;
                    }
                    from = Some((date, subject));
                    page.subjects
                        .extend(overdue(rule, subject, date, now, &rules));
                }
                if all && page.subjects.len() < size {
                    break;
                }
                if page.subjects.len() == size || left == 0 {
                    let id = Name::parse(&rule.id).ok();
                    // Before the first of a rule there is nobody.
                    let first = (Timestamp::from_micros(i64::MIN), Pseudonym([0; 32]));
                    let (date, subject) = from.unwrap_or(first);
                    page.next = id.map(|id| (id, date, subject));
                }
            }
            if page.next.is_some() {
                break;
            }
            from = None;
        }
        let mut entry = entry::event(EntryKind::LogRead, now, &caller, peer);
        self.acts(&mut entry, &admitted, now);
        entry::detail(&mut entry, "call", OVERDUE);
        entry::detail(&mut entry, "retention", named.unwrap_or(""));
        entry::detail(&mut entry, "subjects", page.subjects.len().to_string());
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(page)
    }
}

fn overdue(
    rule: &RetentionRule,
    subject: Pseudonym,
    date: Timestamp,
    now: Timestamp,
    rules: &RuleSet,
) -> Option<Overdue> {
    let state = SubjectState {
        dates: vec![(Word::from(&*rule.date), date)],
        ..SubjectState::default()
    };
    retention_over(rule, &state, now, rules.utc_offset).then(|| Overdue {
        subject,
        retention: rule.id.clone(),
        date,
        over: date.plus_years(rule.years, rules.utc_offset),
    })
}

impl Matching {
    /// How many ids were looked at.
    #[must_use]
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// How many pseudonyms are looked for.
    #[must_use]
    pub fn pseudonyms(&self) -> usize {
        self.wanted.len()
    }

    /// Looks for this one too.
    pub fn want(&mut self, pseudonym: Pseudonym) {
        if self.found.insert(pseudonym, None).is_none() {
            self.wanted.push(pseudonym);
        }
    }

    /// Looks at an id.
    pub fn look_at(&mut self, subject: SubjectRef) {
        self.refs = self.refs.saturating_add(1);
        let pseudonym = self.gate.keyring.pseudonyms.pseudonym(&subject);
        if let Some(found) = self.found.get_mut(&pseudonym) {
            *found = Some(subject);
        }
    }

    /// All are there: writes the entry, then tells who was found, and where the entry is.
    ///
    /// # Errors
    /// When the entry can't be written: then nothing is told.
    pub async fn finish(mut self) -> Result<(Vec<Matched>, LogIndex), GateError> {
        let index = self.write("matched").await?;
        let Self {
            wanted, mut found, ..
        } = self;
        let matched = wanted.into_iter().filter_map(|pseudonym| {
            let subject = found.remove(&pseudonym)??;
            Some(Matched { pseudonym, subject })
        });
        Ok((matched.collect(), index))
    }

    /// Nothing is told; the entry says how far it came and that it was given up for `error`.
    pub async fn abandon(mut self, error: GateError) -> GateError {
        match self.write("abandoned").await {
            Ok(_) => error,
            Err(unwritten) => unwritten,
        }
    }

    async fn write(&mut self, outcome: &str) -> Result<LogIndex, GateError> {
        let found = self.found.values().filter(|found| found.is_some()).count();
        let mut entry = std::mem::take(&mut self.entry);
        entry.time_us = self.gate.now().micros();
        entry.subjects = self.wanted.iter().map(|one| one.0.to_vec()).collect();
        entry::detail(&mut entry, "outcome", outcome);
        entry::detail(&mut entry, "subject_refs", self.refs.to_string());
        entry::detail(&mut entry, "matches", found.to_string());
        let log = &self.gate.log;
        let receipts = log.append(std::slice::from_ref(&entry))?.await?;
        Ok(receipts.first().index())
    }
}

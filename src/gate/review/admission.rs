//! Who may look at campaigns, judge items, and lead.

use std::sync::Arc;

use crate::decision::rules::{Reviews, RuleSet};
use crate::domain::ids::LogIndex;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::admission::reviews;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::proto::{EntryKind, StoredEntry};
use crate::review::assignment::Candidate;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To look: who reviews or audits.
    Look,
    /// To look at all: who reviews everything or audits.
    LookAtAll,
    /// To judge: who reviews.
    Judge,
    /// To open, to assign: who reviews everything.
    Lead,
    /// To answer what they are asked: everybody.
    Answer,
}

impl Need {
    const fn otherwise(self) -> &'static str {
        match self {
            Self::Look => "this needs somebody who reviews or audits",
            Self::LookAtAll => "this needs somebody who reviews everything or audits",
            Self::Judge => "this needs somebody who reviews",
            Self::Lead => "this needs somebody who reviews everything",
            Self::Answer => "this needs a person",
        }
    }
}

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct May {
    /// See every item.
    pub(super) see_all: bool,
}

/// The most that roles other than an auditor's let somebody review: an auditor reads everything and changes nothing.
fn reviews_themself(rules: &RuleSet, person: &Person, now: Timestamp) -> Reviews {
    let roles = person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?));
    let mut most = Reviews::Nothing;
    for role in roles {
        match role.reviews {
            Reviews::Everything => return Reviews::Everything,
            Reviews::Department => most = Reviews::Department,
            Reviews::Nothing => {}
        }
    }
    most
}

fn may(rules: &RuleSet, person: &Person, now: Timestamp, need: Need) -> Option<May> {
    let sees = reviews(rules, person, now);
    let themself = reviews_themself(rules, person, now);
    let allowed = match need {
        Need::Look => sees != Reviews::Nothing,
        Need::LookAtAll => sees == Reviews::Everything,
        Need::Judge => themself != Reviews::Nothing,
        Need::Lead => themself == Reviews::Everything,
        Need::Answer => true,
    };
    allowed.then_some(May {
        see_all: sees == Reviews::Everything,
    })
}

impl Gate {
    /// Admits who may; anyone else is refused.
    pub(super) async fn review_caller<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        (call, need): (&'static str, Need),
        now: Timestamp,
    ) -> Result<(Administrator<'a>, May), GateError> {
        let caller = self.caller_at_home(rules, peer, call, now).await?;
        let (admitted, may) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, need.otherwise()),
                now,
                |person| may(rules, person, now, need),
            )
            .await?;
        Ok((Administrator { caller, admitted }, may))
    }

    /// Whoever reviews, and may work now.
    pub(super) fn candidates(&self, rules: &RuleSet, now: Timestamp) -> Vec<Candidate> {
        let people = self.people.load();
        let mut candidates: Vec<Candidate> = people
            .values()
            .filter(|person| person.is_active(now) && !self.is_locked_out(&person.id))
            .filter_map(|person| {
                let everything = match reviews_themself(rules, person, now) {
                    Reviews::Nothing => return None,
                    Reviews::Department => false,
                    Reviews::Everything => true,
                };
                Some(Candidate {
                    id: person.id.clone(),
                    departments: person.departments.clone(),
                    everything,
                    external: person.employment_kind.is_of_another_employer(),
                })
            })
            .collect();
        candidates.sort_by(|one, other| one.id.cmp(&other.id));
        candidates
    }

    /// Takes a step of a campaign, and tells where its entry is; or refuses it.
    pub(super) async fn take_step(
        self: &Arc<Self>,
        peer: &Peer,
        by: &Administrator<'_>,
        step: (&'static str, LogIndex, &[u32]),
        (entry, fits): (StoredEntry, impl StillWanted),
        now: Timestamp,
    ) -> Result<LogIndex, GateError> {
        match self.change(entry, fits, |_| ()).await {
            Ok(receipt) => Ok(receipt.index()),
            Err(error) => Err(self.refuse_step(peer, by, step, error, now).await),
        }
    }

    /// Refuses what somebody wanted of a campaign, with an entry; what is ours to mend, and no refusal, is handed on.
    pub(super) async fn refuse_step(
        &self,
        peer: &Peer,
        by: &Administrator<'_>,
        (call, review, items): (&'static str, LogIndex, &[u32]),
        error: GateError,
        now: Timestamp,
    ) -> GateError {
        let refuses = matches!(
            error,
            GateError::Malformed(_)
                | GateError::TooLarge(_)
                | GateError::NotAuthorised(_)
                | GateError::NotFound(_)
                | GateError::Conflict(_)
                | GateError::NotNow(_)
        );
        if !refuses {
            return error;
        }
        let mut entry = self.administrators_entry(EntryKind::RefusedCall, peer, by, now);
        about(&mut entry, review, items);
        if let GateError::Malformed(violations) = &error {
            for violation in violations {
                entry::detail(&mut entry, "why", violation.description.as_str());
            }
        }
        self.refuse(peer, &by.caller, entry, call, error).await
    }

    /// An entry that a campaign was looked at, durable before anything of it is shown.
    pub(super) async fn review_read(
        &self,
        peer: &Peer,
        by: &Administrator<'_>,
        call: &'static str,
        what: &[(&str, String)],
        now: Timestamp,
    ) -> Result<(), GateError> {
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, by, now);
        entry::detail(&mut entry, "call", call);
        for (key, value) in what {
            entry::detail(&mut entry, key, value.as_str());
        }
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(())
    }
}

/// Says of which campaign and items.
pub(super) fn about(entry: &mut StoredEntry, review: LogIndex, items: &[u32]) {
    if review.0 > 0 {
        entry::detail(entry, "review", review.to_string());
    }
    if !items.is_empty() {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        entry::detail(entry, "items", items.join(", "));
    }
}

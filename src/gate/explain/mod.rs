//! Why a decision is what it is, and who may what: for people who review or administer, and for actors about themselves. Nothing is
//! granted, counted or spent here; every call has its entry, refused ones too.
//!
//! | file | job |
//! |---|---|
//! | `why` | every stage's verdict on a request that nobody makes |
//! | `who` | which people could be allowed something, and what somebody could be |
//! | `own` | what an actor may at all, by their own proof |
//! | `register` | the register of who has access to what |

mod own;
mod register;
mod who;
mod why;

pub use own::OwnAccess;
pub use register::RegisterSeen;
pub use who::{Access, Actor, Allowed, WhoWish};
pub use why::{ExplainWish, ExplainedStage, Explanation};

use crate::decision::rules::{Reviews, RuleSet};
use crate::domain::person::Person;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::admission::{administers, reviews};
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::log::Receipt;
use crate::proto::{EntryKind, StoredEntry};

/// Somebody who reviews or administers, admitted.
pub(in crate::gate) struct Explainer<'a> {
    by: Administrator<'a>,
    administers: bool,
    reviews: Reviews,
}

impl Explainer<'_> {
    /// Whether what is registered for the people whose data are guarded may be told to them.
    pub(in crate::gate) fn may_know_subjects(&self) -> bool {
        self.administers || self.reviews == Reviews::Everything
    }

    /// Whether they may be told of a person: everybody, or who works where they do.
    fn may_know(&self, person: &Person) -> bool {
        let own = &self.by.admitted.person.departments;
        self.may_know_subjects()
            || person
                .departments
                .iter()
                .any(|department| own.contains(department))
    }
}

impl Gate {
    /// Admits somebody who reviews or administers; anyone else is refused.
    pub(in crate::gate) async fn explainer<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Explainer<'a>, GateError> {
        let caller = self.caller_at_home(rules, peer, call, now).await?;
        let (admitted, (administers, reviews)) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, "this needs somebody who reviews or administers"),
                now,
                |person| {
                    let may = (administers(rules, person, now), reviews(rules, person, now));
                    (may != (false, Reviews::Nothing)).then_some(may)
                },
            )
            .await?;
        Ok(Explainer {
            by: Administrator { caller, admitted },
            administers,
            reviews,
        })
    }

    /// Refuses what an explainer may not.
    pub(in crate::gate) async fn refuse_explainer(
        &self,
        peer: &Peer,
        explainer: Explainer<'_>,
        call: &'static str,
        why: &'static str,
        now: Timestamp,
    ) -> GateError {
        let Administrator { caller, admitted } = explainer.by;
        let refused = admitted.refused(ReasonCode::ActionNotPermitted);
        let error = GateError::NotAuthorised(why);
        self.refuse_person(peer, &caller, call, refused, error, now)
            .await
    }

    /// Refuses fields that can't be taken.
    async fn refuse_fields(
        &self,
        peer: &Peer,
        explainer: &Explainer<'_>,
        call: &'static str,
        violations: Vec<Violation>,
        now: Timestamp,
    ) -> GateError {
        self.refuse_administrator(peer, &explainer.by, call, violations, now)
            .await
    }

    /// The entry of a call of theirs, which is a use of their session.
    pub(in crate::gate) fn explainers_entry(
        &self,
        peer: &Peer,
        explainer: &Explainer<'_>,
        call: &'static str,
        now: Timestamp,
    ) -> StoredEntry {
        let kind = EntryKind::Administration;
        let mut entry = self.administrators_entry(kind, peer, &explainer.by, now);
        entry::detail(&mut entry, "call", call);
        entry
    }

    pub(in crate::gate) async fn logged(&self, entry: StoredEntry) -> Result<Receipt, GateError> {
        let receipts = self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(receipts.first())
    }
}

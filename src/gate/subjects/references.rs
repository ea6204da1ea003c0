//! The register of references: what callers may refer to, for whom, for what and until when.

use std::sync::Arc;

use super::{DATES, NO_SUCH_DATE};
use crate::decision::rules::RuleSet;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reference::{PURPOSES_MAX, Reference, ReferenceKind};
use crate::domain::subject::{Pseudonym, Word};
use crate::domain::time::Timestamp;
use crate::gate::changes::{Decided, Wish};
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::{StoredChange, StoredEntry, StoredReference, stored_change};

/// The most references of one subject, withdrawn and ended ones included: each is looked at by every check.
pub(super) const OF_ONE_MAX: usize = 256;
/// How many there may be with those that were only ever withdrawn.
const WITHDRAWN_MAX: usize = 4_096;
/// The most references that are for nobody in particular.
pub(super) const GENERAL_MAX: usize = 100_000;

/// A reference to register or to withdraw.
#[derive(Debug)]
pub struct ReferenceWish {
    /// For whom; `None` for nobody in particular.
    pub subject: Option<SubjectRef>,
    /// What it is.
    pub kind: ReferenceKind,
    /// As callers say it.
    pub reference: Name,
    /// The purposes that it covers; checked against the pack here.
    pub purposes: Vec<Name>,
    /// The last instant at which it counts.
    pub until: Option<Timestamp>,
    /// When a consent was given; `None` is now, or, of one that is registered again, when it was.
    pub given: Option<Timestamp>,
}

/// A page of what is registered.
#[derive(Debug)]
pub struct ReferencePage {
    /// In the order of kind and id.
    pub references: Vec<Reference>,
    /// After which the next page begins.
    pub next: Option<(ReferenceKind, Name)>,
}

/// What a reference to register says, but for its id.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) kind: ReferenceKind,
    pub(super) for_somebody: bool,
    pub(super) purposes: &'a [Name],
    pub(super) until: Option<Timestamp>,
    pub(super) given: Option<Timestamp>,
}

impl<'a> Said<'a> {
    fn by(wish: &'a ReferenceWish) -> Self {
        Self {
            kind: wish.kind,
            for_somebody: wish.subject.is_some(),
            purposes: &wish.purposes,
            until: wish.until,
            given: wish.given,
        }
    }
}

/// What is wrong with a reference to register, but for what is registered already.
pub(super) fn violations(rules: &RuleSet, said: &Said<'_>, now: Timestamp) -> Vec<Violation> {
    let mut violations = whose(said);
    if said.purposes.is_empty() || said.purposes.len() > PURPOSES_MAX {
        let what = format!("must name 1 to {PURPOSES_MAX} purposes");
        violations.push(Violation::new("purposes", what));
    }
    violations.extend(unknown_purposes(rules, said.purposes));
    let is_date = |at: Timestamp| DATES.contains(&at.seconds());
    if !said.until.is_none_or(is_date) {
        violations.push(Violation::new("until", NO_SUCH_DATE));
    }
    if let Some(given) = said.given {
        // One of a later day would outrank every withdrawal until then.
        let what = if said.kind != ReferenceKind::Consent {
            Some("is of a consent alone")
        } else if given > now {
            Some("is not over yet")
        } else {
            (!is_date(given)).then_some(NO_SUCH_DATE)
        };
        violations.extend(what.map(|what| Violation::new("given", what)));
    }
    violations
}

fn whose(said: &Said<'_>) -> Vec<Violation> {
    if said.for_somebody || said.kind.may_be_for_nobody() {
        return Vec::new();
    }
    let what = "is missing: only a notice or an engagement is for nobody in particular";
    vec![Violation::new("subject_ref", what)]
}

fn unknown_purposes(rules: &RuleSet, purposes: &[Name]) -> Vec<Violation> {
    let unknown = |(_, purpose): &(usize, &Name)| rules.purposes.id(purpose).is_none();
    let positions = purposes.iter().enumerate().take(PURPOSES_MAX);
    positions
        .filter(unknown)
        .map(|(position, _)| {
            let field = format!("purposes[{position}]");
            Violation::new(field, "the pack has no such purpose")
        })
        .collect()
}

/// A registration or a withdrawal, with what is known of it before anything is looked up.
struct Change {
    entry: StoredEntry,
    subject: Option<Pseudonym>,
    reference: Reference,
}

impl Gate {
    /// Registers a reference; registering it again replaces purposes and end.
    ///
    /// # Errors
    /// When who asks may not register, a field can't be taken, it was withdrawn, or the entry can't be written.
    pub async fn register_reference(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ReferenceWish,
    ) -> Result<LogIndex, GateError> {
        let violations = violations(&self.rules.load(), &Said::by(&wish), self.now());
        self.change_reference(peer, credentials, wish, violations, false)
            .await
    }

    /// Withdraws a reference: from the answer on it counts for nothing.
    ///
    /// # Errors
    /// When who asks may not register, it is not registered and no consent whose purposes are named, or the entry can't be written.
    pub async fn withdraw_reference(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ReferenceWish,
    ) -> Result<LogIndex, GateError> {
        let mut violations = whose(&Said::by(&wish));
        if wish.purposes.len() > PURPOSES_MAX {
            let what = format!("names more than {PURPOSES_MAX} purposes");
            violations.push(Violation::new("purposes", what));
        }
        violations.extend(unknown_purposes(&self.rules.load(), &wish.purposes));
        self.change_reference(peer, credentials, wish, violations, true)
            .await
    }

    async fn change_reference(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ReferenceWish,
        violations: Vec<Violation>,
        withdraws: bool,
    ) -> Result<LogIndex, GateError> {
        let call = if withdraws {
            "WithdrawReference"
        } else {
            "RegisterReference"
        };
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self.registrar(&rules, peer, credentials, call, now).await?;
        if !violations.is_empty() {
            let error = GateError::Malformed(violations);
            let caller = &registrar.caller;
            return Err(self.refuse_call(peer, caller, call, error, now).await);
        }
        let subject = wish.subject.as_ref();
        let subject = subject.map(|subject| self.keyring.pseudonyms.pseudonym(subject));
        let mut entry = self.registrars_entry(&registrar, peer, now);
        let change = if withdraws {
            "withdraw-reference"
        } else {
            "register-reference"
        };
        entry::detail(&mut entry, "change", change);
        entry::detail(&mut entry, "kind", wish.kind.word());
        entry.basis_reference = wish.reference.to_string();
        entry.subjects = subject.iter().map(|subject| subject.0.to_vec()).collect();
        let purposes = wish.purposes.iter().map(|purpose| Word::from(&**purpose));
        let change = Change {
            entry,
            subject,
            reference: Reference {
                kind: wish.kind,
                id: wish.reference,
                purposes: purposes.collect(),
                until: wish.until,
                since: now,
                given: wish.given,
                withdrawn: withdraws,
            },
        };
        match self.make(LastLook(change)).await {
            Ok(receipts) => Ok(receipts.first().index()),
            // Nothing was written.
            Err(error @ GateError::Malformed(_)) => {
                let caller = &registrar.caller;
                Err(self.refuse_call(peer, caller, call, error, now).await)
            }
            Err(error) => Err(error),
        }
    }

    /// What is registered for one subject, or for nobody in particular.
    ///
    /// # Errors
    /// When who asks may not register, the store can't be read, or the entry can't be written.
    pub async fn list_references(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        subject: Option<SubjectRef>,
        (size, after): (usize, Option<(ReferenceKind, Name)>),
    ) -> Result<ReferencePage, GateError> {
        let call = "ListReferences";
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self.registrar(&rules, peer, credentials, call, now).await?;
        let subject = subject.map(|subject| self.keyring.pseudonyms.pseudonym(&subject));
        let mut references = self
            .store
            .references(subject, after.as_ref(), size.saturating_add(1))
            .await?;
        let more = references.len() > size;
        references.truncate(size);
        let mut entry = self.registrars_entry(&registrar, peer, now);
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, "references", references.len().to_string());
        entry.subjects = subject.iter().map(|subject| subject.0.to_vec()).collect();
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let last = references.last().filter(|_| more);
        Ok(ReferencePage {
            next: last.map(|last| (last.kind, last.id.clone())),
            references,
        })
    }

    /// What is registered for the subject, or for nobody in particular under this id, now.
    fn known_references(&self, change: &Change) -> (Vec<Reference>, usize) {
        match &change.subject {
            Some(subject) => {
                let all = self.subjects.state(subject).references.to_vec();
                let count = all.len();
                (all, count)
            }
            None => {
                let all = self.subjects.general(&change.reference.id);
                let all = all.iter().map(|one| Reference::clone(one)).collect();
                (all, self.subjects.general_count())
            }
        }
    }
}

/// Looks at what is registered with nobody else changing anything.
struct LastLook(Change);

impl Wish for LastLook {
    async fn decide(self, gate: &Gate) -> Result<Decided, GateError> {
        let Self(mut change) = self;
        completed(gate, &mut change)?;
        let Change {
            mut entry,
            subject,
            reference,
        } = change;
        let purposes: Vec<&str> = reference.purposes.iter().map(|word| &**word).collect();
        entry::detail(&mut entry, "purposes", purposes.join(", "));
        if let Some(until) = reference.until.filter(|_| !reference.withdrawn) {
            entry::detail(&mut entry, "until", until.to_string());
        }
        if let Some(given) = reference.given.filter(|_| !reference.withdrawn) {
            entry::detail(&mut entry, "given", given.to_string());
        }
        let stored = StoredReference {
            subject: subject.map_or_else(Vec::new, |subject| subject.0.to_vec()),
            kind: reference.kind.number(),
            reference: reference.id.to_string(),
            purposes: purposes.into_iter().map(str::to_owned).collect(),
            until_us: reference.until.map(Timestamp::micros),
            at_us: reference.since.micros(),
            given_us: reference
                .given
                .filter(|_| !reference.withdrawn)
                .map(Timestamp::micros),
        };
        entry.change = Some(StoredChange {
            kind: Some(if reference.withdrawn {
                stored_change::Kind::WithdrawReference(stored)
            } else {
                stored_change::Kind::RegisterReference(stored)
            }),
        });
        let apply = Box::new(move |gate: &Gate, _| match subject {
            Some(subject) => gate
                .subjects
                .change(subject, |state| state.put_reference(reference)),
            None => gate.subjects.change_general(reference),
        });
        Ok((vec![entry], apply))
    }
}

/// Completes a change by what is registered, or says why it can't be.
fn completed(gate: &Gate, change: &mut Change) -> Result<(), GateError> {
    let (known, count) = gate.known_references(change);
    let wish = &mut change.reference;
    let refuse =
        |field: &str, what: &str| Err(GateError::Malformed(vec![Violation::new(field, what)]));
    let same = known
        .into_iter()
        .find(|known| known.kind == wish.kind && known.id == wish.id);
    match (same, wish.withdrawn) {
        (Some(known), false) if known.withdrawn => refuse(
            "reference",
            "was withdrawn: what came later has a reference of its own",
        ),
        (Some(_), true) if !wish.purposes.is_empty() => refuse(
            "purposes",
            "are for a consent that was never registered; this one is withdrawn whole",
        ),
        (Some(known), true) => {
            wish.purposes = known.purposes;
            wish.until = known.until;
            wish.given = known.given;
            Ok(())
        }
        (None, true) if wish.kind != ReferenceKind::Consent => refuse(
            "reference",
            "is not registered under this kind and for this subject",
        ),
        (None, true) if wish.purposes.is_empty() => refuse(
            "purposes",
            "are missing: this consent was never registered, so say what it was for",
        ),
        (None, _) => {
            // There is room for a withdrawal when there is none for anything else: it must not come to nothing.
            let most = match (&change.subject, wish.withdrawn) {
                (Some(_), true) => WITHDRAWN_MAX,
                (Some(_), false) => OF_ONE_MAX,
                (None, _) => GENERAL_MAX,
            };
            if count >= most {
                return refuse(
                    "reference",
                    &format!("is one more than the {most} there may be"),
                );
            }
            if !wish.withdrawn && wish.kind == ReferenceKind::Consent {
                wish.given = wish.given.or(Some(wish.since));
            }
            Ok(())
        }
        (Some(_), false) => Ok(()),
    }
}

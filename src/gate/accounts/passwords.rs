//! Passwords: changed by the person, or drawn for them by an administrator. Either way every session of the person ends, but the
//! one that the change was made in.

use std::sync::Arc;

use crate::decision::rules::RuleSet;
use crate::domain::access::TicketText;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::accounts::second_factor::{Attempt, FactorPassed, Shown};
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::pending::{Decides, Guarded, Wish};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::identity::challenge::{Challenge, ChallengePurpose};
use crate::identity::password::{PasswordError, Secret, random_password};
use crate::identity::password_rules;
use crate::identity::ticket::Ticket;
use crate::proto::{
    EntryKind, StoredChange, StoredEntry, StoredSession, StoredTakeUp, stored_change,
};
use crate::store::{NewCredential, StagedId};

/// A password that a person chose.
#[derive(Debug)]
pub struct PasswordChange {
    /// Of the first step where the password has to be changed, or of a step-up.
    pub challenge: Name,
    /// The password.
    pub new_password: Secret,
    /// The second step, where the challenge was not answered yet.
    pub shown: Option<Shown>,
}

/// A password that was drawn.
#[derive(Debug)]
pub struct PasswordSet {
    /// Told once.
    pub password: Secret,
    /// The entry.
    pub index: LogIndex,
}

impl Gate {
    /// Changes a person's own password. The second step comes first wherever a second factor is enrolled, also when the password
    /// has to be changed.
    ///
    /// Gives the ticket that the session goes on with, where it was changed within one.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for an unknown challenge or a wrong code, [`GateError::Malformed`] for a password that can't be
    /// chosen.
    pub async fn change_password(
        self: &Arc<Self>,
        peer: &Peer,
        change: PasswordChange,
    ) -> Result<Option<TicketText>, GateError> {
        const CALL: &str = "ChangePassword";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, CALL, now).await?;
        self.hear_others().await?;
        let id = &change.challenge;
        let Some((challenge, passed)) = self.challenges.charge_any(id, caller.id, now) else {
            let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
            entry::detail(&mut entry, "step", "change-password");
            return Err(self
                .step_refused(entry, "unknown, ended or used-up challenge")
                .await);
        };
        let mut entry = self.step_entry(peer, &caller, "change-password", challenge.client_ip, now);
        let person = match self.challenged(&rules, &caller, &challenge, now) {
            Ok(person) => person,
            Err(why) => return Err(self.step_refused(entry, why).await),
        };
        entry::acted_by(&mut entry, &person);
        if let ChallengePurpose::StepUp(ticket) = &challenge.purpose {
            entry::in_session(&mut entry, ticket);
        }
        let Some(credential) = self.store.credential(&person.id).await? else {
            return Err(self.step_refused(entry, "no credential").await);
        };
        if challenge.purpose == ChallengePurpose::Login && !credential.must_change {
            let error = GateError::SecondStepFirst;
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        }
        // Before the second step is asked for: a code is not spent for a password that can't be chosen anyway.
        if let Err(violation) = self.may_choose(&rules, &person, &change.new_password) {
            let error = GateError::Malformed(vec![violation]);
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        }
        let mut second_step = passed;
        if let (None, Some(factor)) = (passed, &credential.second_factor) {
            let Some(shown) = &change.shown else {
                let error = GateError::SecondStepFirst;
                return Err(self.refuse(peer, &caller, entry, CALL, error).await);
            };
            let attempt = Attempt {
                rules: &rules,
                peer,
                caller: &caller,
                call: CALL,
                person: &person,
                factor,
                client_ip: challenge.client_ip,
                shown,
                now,
            };
            let FactorPassed { entry: passed, .. } =
                self.pass_second_factor(attempt, entry).await?;
            entry = passed;
            if !self.challenges.pass(id, now) {
                return Err(self
                    .step_refused(entry, "challenge used at the same time")
                    .await);
            }
            second_step = Some(now);
        }
        let writes = entry.store_writes;
        let hashes = self
            .hash_another(change.new_password, &credential.password_hash)
            .await;
        let hash = match hashes {
            Ok(Some(hash)) => hash,
            Ok(None) => {
                let same = Violation::new("new_password", "is the password that is in force");
                let error = GateError::Malformed(vec![same]);
                return Err(self.refuse(peer, &caller, entry, CALL, error).await);
            }
            Err(error) => return Err(self.refuse(peer, &caller, entry, CALL, error).await),
        };
        if !self.challenges.close(id) {
            return Err(self
                .step_refused(entry, "challenge used at the same time")
                .await);
        }
        entry::detail(&mut entry, "change", "change-password");
        entry::detail(&mut entry, "outcome", "passed");
        let must_change = if credential.must_change {
            "to be changed"
        } else {
            "in force"
        };
        entry::detail(&mut entry, "before", must_change);
        entry::detail(&mut entry, "after", "in force");
        let epoch = person.epoch.saturating_add(1);
        let new = NewCredential::Password {
            hash,
            must_change: false,
        };
        let goes_on = match &challenge.purpose {
            ChallengePurpose::StepUp(ticket) => Some(Ticket {
                epoch,
                second_step: second_step.unwrap_or(ticket.second_step),
                issued: now,
                ..ticket.clone()
            }),
            ChallengePurpose::Login => None,
        };
        // Whoever was told the one before might have chosen this one, as long as no second step was passed.
        let told = match &credential.second_factor {
            Some(_) => None,
            None => self.store.told_to(&person.id).await?.password.pop(),
        };
        let taking_up = TakingUp {
            epoch,
            told_to: told.as_deref().and_then(|id| Name::parse(id).ok()),
            ..TakingUp::default()
        };
        let refused = entry.clone();
        entry.session_used = goes_on.is_some();
        let still = StillCounts(challenge);
        let done = self
            .put_password(
                entry,
                &person,
                &new,
                taking_up,
                still,
                goes_on.as_ref(),
                now,
            )
            .await;
        if let Err(error) = done {
            return Err(self.not_taken_up(refused, error).await);
        }
        self.note_factor_writes(writes);
        let Some(ticket) = goes_on else {
            return Ok(None);
        };
        self.sessions.used(ticket.session, now);
        Ok(Some(self.keys.tickets().issue(&ticket)))
    }

    /// An administrator has a new password drawn for somebody else, who must change it first.
    ///
    /// # Errors
    /// When nobody who administers asks, or for themselves, or for nobody who is known.
    pub async fn set_password(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        person: &Name,
        approve: Option<LogIndex>,
    ) -> Result<Guarded<PasswordSet>, GateError> {
        const CALL: &str = "SetPassword";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        self.hear_others().await?;
        let allowed = match self.somebody_else(&administrator, person).await? {
            Ok(person) => {
                let wish = Wish::SetPassword {
                    person: person.id.clone(),
                };
                let own = &administrator.admitted.person.id;
                let decides = self.who_gives(&rules, &person, &wish, approve, own, now);
                decides.await?.map(|decides| (person, wish, decides))
            }
            Err(violation) => Err(violation),
        };
        let (person, wish, decides) = match allowed {
            Ok(allowed) => allowed,
            Err(violation) => {
                return Err(self
                    .refuse_administrator(peer, &administrator, CALL, vec![violation], now)
                    .await);
            }
        };
        let own = administrator.admitted.person.id.clone();
        if matches!(decides, Decides::Another) {
            let mut entry =
                self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
            entry::detail(&mut entry, "of", &*person.id);
            let awaited = self.ask_another(entry, &rules, &wish, &own, now).await?;
            return Ok(Guarded::Awaited(awaited));
        }
        let before = match self.store.credential(&person.id).await? {
            None => "none",
            Some(credential) if credential.must_change => "to be changed",
            Some(_) => "in force",
        };
        let password = random_password();
        let told = Secret::parse(password.expose())
            .map_err(|_| GateError::Internal("a drawn password"))?;
        let hash = self.passwords.hash(password).await.map_err(hashing)?;
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "change", "set-password");
        entry::detail(&mut entry, "of", &*person.id);
        let approval = decides.approval().cloned();
        if let Some(approval) = &approval {
            approval.tell(&mut entry);
        }
        entry::detail(&mut entry, "before", before);
        entry::detail(&mut entry, "after", "to be changed");
        let new = NewCredential::Password {
            hash,
            must_change: true,
        };
        let taking_up = TakingUp {
            epoch: person.epoch.saturating_add(1),
            settles: approval.as_ref().map(|approval| approval.request),
            told_to: Some(own.clone()),
            ..TakingUp::default()
        };
        let still = (SamePerson(Arc::clone(&person)), approval);
        let put = self.put_password(entry, &person, &new, taking_up, still, None, now);
        let index = put.await?;
        Ok(decides.done(PasswordSet {
            password: told,
            index,
        }))
    }

    /// The person of a challenge, where it is still worth something.
    pub(in crate::gate) fn challenged(
        &self,
        rules: &RuleSet,
        caller: &crate::gate::peer::Caller<'_>,
        challenge: &Challenge,
        now: Timestamp,
    ) -> Result<Arc<Person>, &'static str> {
        let person = self.person(&challenge.person).ok_or("unknown id")?;
        if let Some(why) = self.why_over(challenge, &person) {
            return Err(why);
        }
        match crate::gate::accounts::login::why_not(
            self,
            rules,
            caller,
            &person,
            challenge.client_ip,
            now,
        ) {
            Some(why) => Err(why),
            None => Ok(person),
        }
    }

    /// The hash of a new password; `None` when it is the one that `stored` was made from.
    async fn hash_another(&self, new: Secret, stored: &str) -> Result<Option<String>, GateError> {
        let copy = Secret::parse(new.expose()).map_err(|_| GateError::Internal("a password"))?;
        let same = self.passwords.verify(copy, Some(stored.to_owned())).await;
        if same.map_err(hashing)? {
            return Ok(None);
        }
        Ok(Some(self.passwords.hash(new).await.map_err(hashing)?))
    }

    fn may_choose(
        &self,
        rules: &RuleSet,
        person: &Person,
        password: &Secret,
    ) -> Result<(), Violation> {
        let mut surroundings: Vec<&str> = vec![
            "sekisho",
            &person.id,
            &rules.pack,
            &rules.words.title,
            &rules.words.title_ja,
            &self.settings.trust_domain,
        ];
        surroundings.extend(person.departments.iter().map(|department| &**department));
        surroundings.extend(rules.services.iter().map(|(_, service, _)| service));
        password_rules::check(password, &surroundings)
            .map_err(|weak| Violation::new("new_password", weak.to_string()))
    }

    /// Lays a password ready, writes the entry that takes it up, and makes it in memory. The epoch is the person's from then on:
    /// every session of theirs ends, but the one of the ticket that `goes_on`. Where somebody else was faster, nothing is done.
    #[allow(clippy::too_many_arguments)] // what an entry and its last look need
    async fn put_password(
        self: &Arc<Self>,
        entry: StoredEntry,
        person: &Arc<Person>,
        new: &NewCredential,
        taking_up: TakingUp<'_>,
        still: impl StillWanted,
        goes_on: Option<&Ticket>,
        now: Timestamp,
    ) -> Result<LogIndex, GateError> {
        let (raised, again) = (Arc::clone(person), goes_on.cloned());
        let taking_up = TakingUp {
            at_epoch: Some(person.epoch),
            goes_on: goes_on.map(|ticket| Self::opened(ticket, u32::MAX)),
            ..taking_up
        };
        let epoch = taking_up.epoch;
        let apply = move |gate: &Self| {
            gate.raise_epoch(&raised.id, epoch, now);
            if let Some(ticket) = again {
                gate.open_now(&ticket, u32::MAX);
            }
        };
        self.take_up_if(entry, &person.id, new, taking_up, still, now, apply)
            .await
    }

    /// Lays a credential ready, writes the entry that takes it up, and makes it in memory by `apply`.
    #[allow(clippy::too_many_arguments)] // what an entry and its last look need
    pub(in crate::gate) async fn take_up_if(
        self: &Arc<Self>,
        mut entry: StoredEntry,
        person: &str,
        new: &NewCredential,
        taking_up: TakingUp<'_>,
        still: impl StillWanted,
        now: Timestamp,
        apply: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<LogIndex, GateError> {
        let staged: StagedId = self.store.stage(person, new, now).await?;
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::TakeUpCredential(StoredTakeUp {
                staged: staged.as_bytes().to_vec(),
                person: person.to_owned(),
                kind: new.kind().into(),
                epoch: taking_up.epoch,
                serial: taking_up.serial.to_owned(),
                goes_on: taking_up.goes_on,
                at_epoch: taking_up.at_epoch,
                settles: taking_up.settles.map(|request| request.0),
                told_to: taking_up
                    .told_to
                    .map_or_else(String::new, |id| id.to_string()),
            })),
        });
        match self.change(entry, still, apply).await {
            Ok(receipt) => Ok(receipt.index()),
            Err(error) => {
                // Only where it is certain that no entry names it; else the next start sees to it.
                if matches!(
                    error,
                    GateError::Busy { .. }
                        | GateError::NotGenuine
                        | GateError::AlreadyEnrolled
                        | GateError::NotFound(_)
                ) && let Err(error) = self.store.unstage(staged).await
                {
                    tracing::warn!(%error, "what is not wanted any more stays in the store until the next start");
                }
                Err(error)
            }
        }
    }

    /// Says in the log what came of a change that was ready to be written as `entry`, where somebody else ended what it rests on
    /// or changed the same at that moment: who and where, and what the store wrote for a second factor.
    pub(in crate::gate) async fn not_taken_up(
        &self,
        mut entry: StoredEntry,
        error: GateError,
    ) -> GateError {
        if !matches!(error, GateError::NotGenuine) {
            return error;
        }
        let of_the_change = ["change", "outcome", "before", "after"];
        entry
            .details
            .retain(|detail| !of_the_change.contains(&&*detail.key));
        self.step_refused(entry, "ended or changed at the same time")
            .await
    }
}

/// A challenge is still worth something.
pub(in crate::gate) struct StillCounts(pub(in crate::gate) Challenge);

impl StillWanted for StillCounts {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let person = gate.person(&self.0.person);
        match person.map(|person| gate.why_over(&self.0, &person)) {
            Some(None) => Ok(()),
            Some(Some(_)) | None => Err(GateError::NotGenuine),
        }
    }
}

/// How a credential is taken up.
#[derive(Debug, Default)]
pub(in crate::gate) struct TakingUp<'a> {
    /// The epoch to raise to; 0 for none.
    pub(in crate::gate) epoch: u64,
    /// The token that is used up; empty for none.
    pub(in crate::gate) serial: &'a str,
    /// The session that goes on, under the new epoch.
    pub(in crate::gate) goes_on: Option<StoredSession>,
    /// The person's epoch, by which was decided that it may be.
    pub(in crate::gate) at_epoch: Option<u64>,
    /// The request that is carried out.
    pub(in crate::gate) settles: Option<LogIndex>,
    /// Who knows it as well.
    pub(in crate::gate) told_to: Option<Name>,
}

/// Nothing of the person was changed meanwhile.
pub(in crate::gate) struct SamePerson(pub(in crate::gate) Arc<Person>);

impl StillWanted for SamePerson {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        match gate.person(&self.0.id) {
            Some(person) if person.epoch == self.0.epoch => Ok(()),
            _ => Err(GateError::Busy {
                what: "somebody else is changing this person",
                retry_after: std::time::Duration::from_secs(1),
            }),
        }
    }
}

fn hashing(error: PasswordError) -> GateError {
    match error {
        PasswordError::Busy => GateError::Busy {
            what: "too many logins at once",
            retry_after: std::time::Duration::from_secs(2),
        },
        _ => GateError::Internal("a password can't be hashed"),
    }
}

//! A person's own second factor: enrolled, or replaced after a fresh second step, and its recovery codes.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::ids::Name;
use crate::domain::time::Timestamp;
use crate::gate::accounts::credentials::DAYS_MAX;
use crate::gate::accounts::notice::Notice;
use crate::gate::accounts::passwords::{StillCounts, TakingUp};
use crate::gate::accounts::second_factor::{Attempt, FactorPassed, Shown};
use crate::gate::changes::StillWanted;
use crate::gate::guarded::is_guarded;
use crate::gate::peer::Peer;
use crate::gate::{Gate, GateError, Violation, entry};
use crate::identity::challenge::ChallengePurpose;
use crate::identity::enrollments::{Enrollment, EnrollmentError};
use crate::identity::keyring::Pepper;
use crate::identity::one_time::{OneTimeCode, RECOVERY_CODES, Use};
use crate::identity::qr::QrDrawing;
use crate::identity::ticket::Ticket;
use crate::identity::totp::{Code, Seed};
use crate::proto::EntryKind;
use crate::store::NewCredential;

/// What the person's authenticator is to read.
pub struct EnrollmentBegun {
    /// To be confirmed with a code.
    pub id: String,
    /// Holds the seed: told once.
    pub otpauth_uri: Zeroizing<String>,
    /// The same as a picture.
    pub qr_png: Zeroizing<Vec<u8>>,
    /// Until when it can be confirmed.
    pub expires: Timestamp,
    /// To be shown to the person.
    pub notice: Notice,
}

impl std::fmt::Debug for EnrollmentBegun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollmentBegun")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The person's authenticator shows its first code.
#[derive(Debug)]
pub struct EnrollmentConfirmation {
    /// The enrolment.
    pub id: Name,
    /// The code.
    pub code: Zeroizing<String>,
    /// Digest of the notice that the person has read; empty where they don't say so.
    pub acknowledged_notice: String,
}

/// Ten codes, each told once.
pub type RecoveryCodes = Vec<Zeroizing<String>>;

impl Gate {
    /// Begins an enrolment: after the first step where no second factor is enrolled, else after a fresh second step. The seed is
    /// in memory alone until a code confirms it.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for an unknown challenge or a wrong one-time code of an administrator.
    pub async fn start_enrollment(
        &self,
        peer: &Peer,
        challenge_id: &str,
        enrollment_code: &str,
    ) -> Result<EnrollmentBegun, GateError> {
        const CALL: &str = "StartEnrollment";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, CALL, now).await?;
        let Some((challenge, passed)) = self.challenges.charge_any(challenge_id, caller.id, now)
        else {
            let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
            entry::detail(&mut entry, "step", "start-enrollment");
            return Err(self
                .step_refused(entry, "unknown, ended or used-up challenge")
                .await);
        };
        let mut entry =
            self.step_entry(peer, &caller, "start-enrollment", challenge.client_ip, now);
        let person = match self.challenged(&rules, &caller, &challenge, now) {
            Ok(person) => person,
            Err(why) => return Err(self.step_refused(entry, why).await),
        };
        entry::acted_by(&mut entry, &person);
        let Some(credential) = self.store.credential(&person.id).await? else {
            return Err(self.step_refused(entry, "no credential").await);
        };
        let refused = match (&challenge.purpose, &credential.second_factor) {
            (ChallengePurpose::Login, _) if credential.must_change => {
                Some(GateError::PasswordChangeRequired)
            }
            (ChallengePurpose::Login, Some(_)) => Some(GateError::AlreadyEnrolled),
            (ChallengePurpose::StepUp(_), _) if passed.is_none() => {
                Some(GateError::SecondStepFirst)
            }
            _ => None,
        };
        if let Some(error) = refused {
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        }
        let mut code = None;
        // Whoever was told the password of somebody who watches over others must not be that person by it alone.
        let takes_code =
            self.settings.login.enrollment_code_required || is_guarded(&rules, &person);
        // Who has just passed the second step with the old one proves more than a code from somebody else would.
        if takes_code && credential.second_factor.is_none() {
            let Ok(given) = OneTimeCode::parse(enrollment_code) else {
                let what = if enrollment_code.is_empty() {
                    "is missing: an administrator gives it"
                } else {
                    "must be four groups of four letters and digits"
                };
                let error = GateError::Malformed(vec![Violation::new("enrollment_code", what)]);
                return Err(self.refuse(peer, &caller, entry, CALL, error).await);
            };
            let digest = given.digest(&self.keyring.pepper, Use::Enrollment(&person.id));
            let right = match self.store.enrollment_code(&person.id).await? {
                // One that ends later than any that is given out now: the clock was set back since.
                Some((kept, ends)) => {
                    let longest = now.plus(Duration::from_hours(24) * DAYS_MAX);
                    bool::from(kept.ct_eq(&digest)) && now < ends && !ends.is_ahead_of(longest)
                }
                None => false,
            };
            if !right {
                return Err(self
                    .step_refused(entry, "wrong, used or ended enrolment code")
                    .await);
            }
            code = Some(digest);
        }
        let seed = Seed::random().map_err(|_| GateError::Internal("no random numbers"))?;
        let otpauth_uri = seed.otpauth_uri(&rules.words.title, &person.id);
        let drawing =
            QrDrawing::of(&otpauth_uri).map_err(|_| GateError::Internal("a URI too long"))?;
        let session = match &challenge.purpose {
            ChallengePurpose::StepUp(ticket) => Some(ticket.clone()),
            ChallengePurpose::Login => None,
        };
        if let Some(ticket) = &session {
            entry::in_session(&mut entry, ticket);
        }
        if !self.challenges.close(challenge_id) {
            return Err(self
                .step_refused(entry, "challenge used at the same time")
                .await);
        }
        let enrollment = Enrollment {
            person: person.id.clone(),
            caller: challenge.caller,
            client_ip: challenge.client_ip,
            seed,
            replaces: credential.second_factor.map(|factor| factor.id),
            code,
            session,
            epoch: person.epoch,
            generation: challenge.generation,
        };
        let (id, expires) = match self.enrollments.open(enrollment, now) {
            Ok(opened) => opened,
            Err(EnrollmentError::Full) => {
                let error = GateError::Busy {
                    what: "too many enrolments are under way",
                    retry_after: std::time::Duration::from_mins(1),
                };
                return Err(self.refuse(peer, &caller, entry, CALL, error).await);
            }
            Err(EnrollmentError::Random) => return Err(GateError::Internal("no random numbers")),
        };
        let notice = Notice::of(&rules.words);
        entry::detail(&mut entry, "notice", notice.digest.as_str());
        self.step_passed(entry).await?;
        Ok(EnrollmentBegun {
            id,
            qr_png: drawing.to_png(),
            otpauth_uri,
            expires,
            notice,
        })
    }

    /// Confirms an enrolment with a code of the new authenticator, which is thereby spent. The second factor, in force from now
    /// on, comes with ten recovery codes.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for an unknown enrolment or a wrong code; [`GateError::Malformed`] where the notice was not
    /// acknowledged.
    pub async fn confirm_enrollment(
        self: &Arc<Self>,
        peer: &Peer,
        confirmation: EnrollmentConfirmation,
    ) -> Result<RecoveryCodes, GateError> {
        const CALL: &str = "ConfirmEnrollment";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, CALL, now).await?;
        let notice = Notice::of(&rules.words);
        let acknowledged = &confirmation.acknowledged_notice;
        let mut violations = Vec::new();
        if acknowledged.is_empty() {
            if self.settings.login.notice_acknowledgement_required {
                let what = "is missing: the digest of the notice that the person has read";
                violations.push(Violation::new("acknowledged_notice", what));
            }
        } else if *acknowledged != notice.digest {
            let what = "is not the digest of the notice in force";
            violations.push(Violation::new("acknowledged_notice", what));
        }
        let code = Code::parse(&confirmation.code);
        if !code.as_ref().is_ok_and(|code| code.digits() == 6) {
            violations.push(Violation::new("totp", "must be exactly six ASCII digits"));
        }
        // The first code of an authenticator that nobody relies on yet: its tries are counted with the enrolment.
        let enrollment = self.enrollments.charge(&confirmation.id, caller.id, now);
        let Some(enrollment) = enrollment else {
            let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
            entry::detail(&mut entry, "step", "confirm-enrollment");
            return Err(self
                .step_refused(entry, "unknown, ended or used-up enrolment")
                .await);
        };
        let mut entry = self.step_entry(
            peer,
            &caller,
            "confirm-enrollment",
            enrollment.client_ip,
            now,
        );
        let Some(person) = self.person(&enrollment.person) else {
            return Err(self.step_refused(entry, "unknown id").await);
        };
        entry::acted_by(&mut entry, &person);
        if let Some(ticket) = &enrollment.session {
            entry::in_session(&mut entry, ticket);
        }
        let standing = Standing::of(&enrollment);
        if let Some(why) = standing.why_over(self) {
            return Err(self.step_refused(entry, why).await);
        }
        let (Ok(code), true) = (code, violations.is_empty()) else {
            let error = GateError::Malformed(violations);
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        };
        let why_not = crate::gate::accounts::login::why_not(
            self,
            &rules,
            &caller,
            &person,
            enrollment.client_ip,
            now,
        );
        if let Some(why) = why_not {
            return Err(self.step_refused(entry, why).await);
        }
        let Some(step) = enrollment.seed.matching_step(&code, now) else {
            return Err(self.step_refused(entry, "wrong code").await);
        };
        if !self.enrollments.close(&confirmation.id) {
            return Err(self
                .step_refused(entry, "enrolment used at the same time")
                .await);
        }
        let id = Uuid::new_v4();
        let sealed_seed = enrollment
            .seed
            .seal(&self.keys.seeds(), &person.id, id)
            .map_err(|_| GateError::Internal("a seed can't be sealed"))?;
        let (codes, digests) = recovery_codes(&self.keyring.pepper, id)?;
        let new = NewCredential::SecondFactor {
            id,
            sealed_seed,
            last_step: step,
            recovery_codes: digests,
        };
        let refused = entry.clone();
        entry::detail(&mut entry, "change", "enroll-second-factor");
        entry::detail(&mut entry, "outcome", "passed");
        let before = if enrollment.replaces.is_some() {
            "another"
        } else {
            "none"
        };
        entry::detail(&mut entry, "before", before);
        entry::detail(&mut entry, "after", format!("second factor {id}"));
        entry::detail(&mut entry, "time_step", step.to_string());
        if !acknowledged.is_empty() {
            entry::detail(&mut entry, "acknowledged_notice", notice.digest);
        }
        let factor = SameFactor {
            person: person.id.clone(),
            factor: enrollment.replaces,
            code: enrollment.code,
        };
        let id = person.id.clone();
        let taking_up = TakingUp {
            at_epoch: Some(person.epoch),
            ..TakingUp::default()
        };
        let still = (standing, factor);
        let apply = move |gate: &Self| gate.let_in(&id);
        let done = self
            .take_up_if(entry, &person.id, &new, taking_up, still, now, apply)
            .await;
        match done {
            Ok(_) => Ok(codes),
            Err(error) => Err(self.not_taken_up(refused, error).await),
        }
    }

    /// Draws new recovery codes in place of the old ones, after a fresh second step.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for an unknown challenge or a wrong code.
    pub async fn regenerate_recovery_codes(
        self: &Arc<Self>,
        peer: &Peer,
        challenge_id: &str,
        shown: Option<Shown>,
    ) -> Result<RecoveryCodes, GateError> {
        const CALL: &str = "RegenerateRecoveryCodes";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, CALL, now).await?;
        let Some((challenge, passed)) = self.challenges.charge_any(challenge_id, caller.id, now)
        else {
            let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
            entry::detail(&mut entry, "step", "regenerate-recovery-codes");
            return Err(self
                .step_refused(entry, "unknown, ended or used-up challenge")
                .await);
        };
        let step = "regenerate-recovery-codes";
        let mut entry = self.step_entry(peer, &caller, step, challenge.client_ip, now);
        let person = match self.challenged(&rules, &caller, &challenge, now) {
            Ok(person) => person,
            Err(why) => return Err(self.step_refused(entry, why).await),
        };
        entry::acted_by(&mut entry, &person);
        let ChallengePurpose::StepUp(ticket) = &challenge.purpose else {
            let error = GateError::SecondStepFirst;
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        };
        entry::in_session(&mut entry, ticket);
        let credential = self.store.credential(&person.id).await?;
        let Some(factor) = credential.and_then(|credential| credential.second_factor) else {
            let error = GateError::NotEnrolled;
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        };
        if passed.is_none() {
            let Some(shown) = &shown else {
                let error = GateError::SecondStepFirst;
                return Err(self.refuse(peer, &caller, entry, CALL, error).await);
            };
            let attempt = Attempt {
                rules: &rules,
                peer,
                caller: &caller,
                call: CALL,
                person: &person,
                factor: &factor,
                client_ip: challenge.client_ip,
                shown,
                now,
            };
            let FactorPassed { entry: passed, .. } =
                self.pass_second_factor(attempt, entry).await?;
            entry = passed;
        }
        if !self.challenges.close(challenge_id) {
            return Err(self
                .step_refused(entry, "challenge used at the same time")
                .await);
        }
        let left = self.store.recovery_codes_left(factor.id).await?;
        let (codes, digests) = recovery_codes(&self.keyring.pepper, factor.id)?;
        entry::detail(&mut entry, "change", "regenerate-recovery-codes");
        entry::detail(&mut entry, "outcome", "passed");
        entry::detail(&mut entry, "before", left.to_string());
        entry::detail(&mut entry, "after", codes.len().to_string());
        let new = NewCredential::RecoveryCodes {
            factor: factor.id,
            digests,
        };
        let still = SameFactor {
            person: person.id.clone(),
            factor: Some(factor.id),
            code: None,
        };
        let taking_up = TakingUp {
            at_epoch: Some(person.epoch),
            ..TakingUp::default()
        };
        let still = (StillCounts(challenge), still);
        let (writes, refused) = (entry.store_writes, entry.clone());
        let done = self
            .take_up_if(entry, &person.id, &new, taking_up, still, now, |_| ())
            .await;
        if let Err(error) = done {
            return Err(self.not_taken_up(refused, error).await);
        }
        self.note_factor_writes(writes);
        Ok(codes)
    }
}

/// Ten codes, and what the store keeps of them.
fn recovery_codes(
    pepper: &Pepper,
    factor: Uuid,
) -> Result<(RecoveryCodes, Vec<[u8; 32]>), GateError> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    let mut digests = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let code = OneTimeCode::random().map_err(|_| GateError::Internal("no random numbers"))?;
        digests.push(code.digest(pepper, Use::Recovery(factor)));
        codes.push(code.to_text());
    }
    Ok((codes, digests))
}

/// What an enrolment rests on.
struct Standing {
    person: Name,
    epoch: u64,
    service: Name,
    generation: u64,
    session: Option<Ticket>,
}

impl Standing {
    fn of(enrollment: &Enrollment) -> Self {
        Self {
            person: enrollment.person.clone(),
            epoch: enrollment.epoch,
            service: enrollment.caller.clone(),
            generation: enrollment.generation,
            session: enrollment.session.clone(),
        }
    }

    /// Why it is worth nothing any more; the words are for the log alone.
    fn why_over(&self, gate: &Gate) -> Option<&'static str> {
        let Some(person) = gate.person(&self.person) else {
            return Some("unknown id");
        };
        if person.epoch != self.epoch {
            return Some("the enrolment is of before a change of the account");
        }
        if self.generation < gate.generation(&self.service) {
            return Some("the enrolment is of before the tickets of its service were ended");
        }
        let ended = |ticket| gate.is_ended(ticket, Some(&*person));
        let over = self.session.as_ref().is_some_and(ended);
        over.then_some("the session was ended")
    }
}

impl StillWanted for Standing {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        match self.why_over(gate) {
            None => Ok(()),
            Some(_) => Err(GateError::NotGenuine),
        }
    }
}

/// The person has the second factor that they had when this began, or still none; and the one-time code still counts.
pub(in crate::gate) struct SameFactor {
    pub(in crate::gate) person: Name,
    pub(in crate::gate) factor: Option<Uuid>,
    pub(in crate::gate) code: Option<[u8; 32]>,
}

impl StillWanted for SameFactor {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.store.second_factor_of(&self.person).await? != self.factor {
            return Err(GateError::AlreadyEnrolled);
        }
        if let Some(code) = self.code {
            let kept = gate.store.enrollment_code(&self.person).await?;
            if kept.is_none_or(|(kept, _)| kept != code) {
                return Err(GateError::NotGenuine);
            }
        }
        Ok(())
    }
}

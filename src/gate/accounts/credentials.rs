//! What administrators do for other people's second factors: a one-time code for the enrolment, and hardware tokens. Nobody does
//! any of it for themselves, and none of it takes the place of a second factor that somebody has: that is a reset, which takes
//! two. For somebody who watches over others all of it takes two ([`crate::gate::guarded`]): what is drawn is drawn when the second
//! administrator approves, and told to that one.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::decision::rules::RuleSet;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::accounts::enrollment::SameFactor;
use crate::gate::accounts::passwords::{SamePerson, TakingUp};
use crate::gate::changes::StillWanted;
use crate::gate::guarded::is_guarded;
use crate::gate::peer::Peer;
use crate::gate::pending::{Approval, Decides, Guarded, Wish};
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::identity::one_time::{OneTimeCode, Use};
use crate::identity::token_file::{self, FileFault, ImportedToken};
use crate::identity::totp::{Code, Seed};
use crate::proto::EntryKind;
use crate::store::{NewCredential, NewToken};

/// How long a one-time code counts unless something else is said, and at most.
const DAYS: u32 = 7;
pub(in crate::gate) const DAYS_MAX: u32 = 30;

/// A one-time code for an enrolment.
pub struct CodeIssued {
    /// Told once.
    pub code: Zeroizing<String>,
    /// Until when it counts.
    pub ends: Timestamp,
    /// The entry.
    pub index: LogIndex,
}

impl std::fmt::Debug for CodeIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeIssued")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// A seed file, in clear. Never printed.
pub enum TokenFile {
    /// As sellers send it.
    Csv(Zeroizing<String>),
    /// RFC 6030.
    Pskc(Zeroizing<String>),
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenFile(..)")
    }
}

/// A hardware token that is to be somebody's second factor.
pub struct TokenWish {
    /// Whose.
    pub person: Name,
    /// Which.
    pub serial: Name,
    /// What it shows; not looked at where another administrator is asked.
    pub code: Zeroizing<String>,
}

impl std::fmt::Debug for TokenWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenWish({}, {})", self.person, self.serial)
    }
}

/// What an import took, or would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensImported {
    /// Serial numbers.
    pub serials: Vec<String>,
    /// The entry; `None` for a dry run.
    pub index: Option<LogIndex>,
}

impl Gate {
    /// Gives out a one-time code for a person's enrolment. An older one counts no more.
    ///
    /// # Errors
    /// When nobody who administers asks, or for themselves, or for nobody who is known.
    pub async fn issue_enrollment_code(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        person: &Name,
        valid_days: u32,
        approve: Option<LogIndex>,
    ) -> Result<Guarded<CodeIssued>, GateError> {
        const CALL: &str = "IssueEnrollmentCode";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut violations = Vec::new();
        if valid_days > DAYS_MAX {
            let what = format!("is over {DAYS_MAX}");
            violations.push(Violation::new("valid_days", what));
        }
        let own = administrator.admitted.person.id.clone();
        let wish = Wish::IssueEnrollmentCode {
            person: person.clone(),
        };
        let mut decides = None;
        let person = self.somebody_else(&administrator, person).await?;
        if let Ok(person) = &person {
            match self
                .who_gives(&rules, person, &wish, approve, &own, now)
                .await?
            {
                Ok(who) => decides = Some(who),
                Err(violation) => violations.push(violation),
            }
        }
        let person = person.map_err(|violation| violations.push(violation));
        let (Ok(person), Some(decides), true) = (person, decides, violations.is_empty()) else {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        };
        if matches!(decides, Decides::Another) {
            let mut entry =
                self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
            entry::detail(&mut entry, "of", &*person.id);
            let awaited = self.ask_another(entry, &rules, &wish, &own, now).await?;
            return Ok(Guarded::Awaited(awaited));
        }
        let days = if valid_days == 0 { DAYS } else { valid_days };
        let ends = now.plus(Duration::from_hours(24) * days);
        let code = OneTimeCode::random().map_err(|_| GateError::Internal("no random numbers"))?;
        let before = self.store.enrollment_code(&person.id).await?;
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "change", "issue-enrollment-code");
        entry::detail(&mut entry, "of", &*person.id);
        entry::detail(
            &mut entry,
            "before",
            before.map_or_else(
                || "none".to_owned(),
                |(_, ends)| format!("one until {ends}"),
            ),
        );
        entry::detail(&mut entry, "after", format!("one until {ends}"));
        let approval = decides.approval().cloned();
        if let Some(approval) = &approval {
            approval.tell(&mut entry);
        }
        let new = NewCredential::EnrollmentCode {
            digest: code.digest(&self.keyring.pepper, Use::Enrollment(&person.id)),
            ends,
        };
        let taking_up = TakingUp {
            at_epoch: Some(person.epoch),
            settles: approval.as_ref().map(|approval| approval.request),
            told_to: Some(own.clone()),
            ..TakingUp::default()
        };
        let still = (SamePerson(Arc::clone(&person)), approval);
        let index = self
            .take_up_if(entry, &person.id, &new, taking_up, still, now, |_| ())
            .await?;
        Ok(decides.done(CodeIssued {
            code: code.to_text(),
            ends,
            index,
        }))
    }

    /// Takes a seed file, whole or not at all. A token that is there already is refused; one that was somebody's may come back.
    ///
    /// # Errors
    /// When nobody who administers asks, or something in the file can't be taken: every line is named.
    pub async fn import_tokens(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        file: TokenFile,
        dry_run: bool,
    ) -> Result<TokensImported, GateError> {
        const CALL: &str = "ImportTokens";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let (field, read) = match &file {
            TokenFile::Csv(text) => ("csv", token_file::read_csv(text)),
            TokenFile::Pskc(text) => ("pskc", token_file::read_pskc(text)),
        };
        let told = |fault: &FileFault| Violation::new(field, fault.to_string());
        let mut violations: Vec<Violation> = match &read {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(told).collect(),
        };
        let tokens = read.unwrap_or_default();
        for ImportedToken { serial, .. } in &tokens {
            if violations.len() < 20 && self.store.hardware_token(serial).await?.is_some() {
                let what = format!("token {serial} is there already");
                violations.push(Violation::new(field, what));
            }
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        }
        let serials: Vec<String> = tokens.iter().map(|token| token.serial.clone()).collect();
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "tokens", serials.len().to_string());
        if dry_run {
            entry::detail(&mut entry, "call", CALL);
            entry::detail(&mut entry, "dry_run", "true");
            self.log.append(std::slice::from_ref(&entry))?.await?;
            return Ok(TokensImported {
                serials,
                index: None,
            });
        }
        entry::detail(&mut entry, "change", "import-tokens");
        // As many as a detail holds.
        entry::detail(&mut entry, "serials", serials.join(" "));
        let sealed = tokens.iter().map(|token| {
            let sealed_seed = token.seed.seal_token(&self.keys.seeds(), &token.serial)?;
            Ok(NewToken {
                serial: token.serial.clone(),
                sealed_seed,
            })
        });
        let sealed: Result<Vec<NewToken>, crate::identity::totp::SeedError> = sealed.collect();
        let sealed = sealed.map_err(|_| GateError::Internal("a seed can't be sealed"))?;
        let new = NewCredential::HardwareTokens(sealed);
        let still = NotThereYet(serials.clone());
        let taking_up = TakingUp {
            told_to: Some(administrator.admitted.person.id.clone()),
            ..TakingUp::default()
        };
        let index = self
            .take_up_if(entry, "", &new, taking_up, still, now, |_| ())
            .await?;
        Ok(TokensImported {
            serials,
            index: Some(index),
        })
    }

    /// Makes a hardware token the second factor of somebody who has none. Its code confirms it, and is thereby spent.
    ///
    /// # Errors
    /// When nobody who administers asks, or for themselves; [`GateError::AlreadyEnrolled`] for somebody who has a second factor;
    /// [`GateError::NotGenuine`] for a wrong code.
    pub async fn assign_token(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: TokenWish,
        approve: Option<LogIndex>,
    ) -> Result<Guarded<LogIndex>, GateError> {
        const CALL: &str = "AssignToken";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut violations = Vec::new();
        let own = administrator.admitted.person.id.clone();
        let TokenWish {
            person,
            serial,
            code,
        } = wish;
        let wish = Wish::AssignToken {
            person: person.clone(),
            serial: serial.clone(),
        };
        let mut decides = None;
        let person = self.somebody_else(&administrator, &person).await?;
        if let Ok(person) = &person {
            match self
                .who_gives(&rules, person, &wish, approve, &own, now)
                .await?
            {
                Ok(who) => decides = Some(who),
                Err(violation) => violations.push(violation),
            }
        }
        let person = person.map_err(|violation| violations.push(violation));
        // It is shown when it is carried out.
        let asks = matches!(decides, Some(Decides::Another));
        let code = Code::parse(if asks { "000000" } else { &code })
            .map_err(|error| violations.push(Violation::new("totp", error.to_string())));
        let serial = &serial;
        let sealed = self.store.hardware_token(serial).await?;
        if sealed.is_none() {
            let what = "is no token that was imported and is nobody's yet";
            violations.push(Violation::new("serial", what));
        }
        let all = (person, code, sealed, decides, violations.is_empty());
        let (Ok(person), Ok(code), Some(sealed), Some(decides), true) = all else {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        };
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "of", &*person.id);
        entry::detail(&mut entry, "serial", &**serial);
        let caller = &administrator.caller;
        if self.store.second_factor_of(&person.id).await?.is_some() {
            let error = GateError::AlreadyEnrolled;
            return Err(self.refuse(peer, caller, entry, CALL, error).await);
        }
        if matches!(decides, Decides::Another) {
            let awaited = self.ask_another(entry, &rules, &wish, &own, now).await?;
            return Ok(Guarded::Awaited(awaited));
        }
        if let Err(error) = self.has_key_of(&sealed).await {
            return Err(self.refuse(peer, caller, entry, CALL, error).await);
        }
        let Ok(seed) = Seed::open_token(&self.keys.seeds(), serial, &sealed) else {
            self.tell_credential_alarm(&format!("token {}", &**serial))
                .await;
            let error = GateError::Internal("a stored seed can't be opened");
            return Err(self.refuse(peer, caller, entry, CALL, error).await);
        };
        let Some(step) = seed.matching_step(&code, now) else {
            entry::detail(&mut entry, "why", "wrong code");
            let wrong = Violation::new("totp", "is not a current code of this token");
            let error = GateError::Malformed(vec![wrong]);
            return Err(self.refuse(peer, caller, entry, CALL, error).await);
        };
        let id = Uuid::new_v4();
        let sealed_seed = seed
            .seal(&self.keys.seeds(), &person.id, id)
            .map_err(|_| GateError::Internal("a seed can't be sealed"))?;
        entry::detail(&mut entry, "change", "assign-token");
        entry::detail(&mut entry, "before", "none");
        entry::detail(&mut entry, "after", format!("second factor {id}"));
        entry::detail(&mut entry, "time_step", step.to_string());
        let approval = decides.approval().cloned();
        if let Some(approval) = &approval {
            approval.tell(&mut entry);
        }
        let new = NewCredential::SecondFactor {
            id,
            sealed_seed,
            last_step: step,
            // The person draws them with the token.
            recovery_codes: Vec::new(),
        };
        let still = StillNobodys {
            serial: serial.to_string(),
            person: SameFactor {
                person: person.id.clone(),
                factor: None,
                code: None,
            },
        };
        let owner = person.id.clone();
        let taking_up = TakingUp {
            serial,
            at_epoch: Some(person.epoch),
            settles: approval.as_ref().map(|approval| approval.request),
            // They have it, or its code could not have been shown.
            told_to: Some(own.clone()),
            ..TakingUp::default()
        };
        let still = ((SamePerson(Arc::clone(&person)), still), approval);
        let apply = move |gate: &Self| gate.let_in(&owner);
        let put = self.take_up_if(entry, &person.id, &new, taking_up, still, now, apply);
        let index = put.await?;
        Ok(decides.done(index))
    }

    /// Who has a say in giving `person` something to prove themselves with: two, where they watch over others. Nobody may be told
    /// both steps of such a person: they could be both.
    pub(in crate::gate) async fn who_gives(
        &self,
        rules: &RuleSet,
        person: &Person,
        wish: &Wish,
        approve: Option<LogIndex>,
        own: &Name,
        now: Timestamp,
    ) -> Result<Result<Decides, Violation>, GateError> {
        let takes_two = is_guarded(rules, person);
        let decides = self
            .who_decides(rules, (wish, takes_two), approve, own, now)
            .await?;
        let Ok(Decides::Approved(approval)) = &decides else {
            return Ok(decides);
        };
        Ok(match self.why_both(approval).await? {
            Some(why_not) => Err(Violation::new("approve", why_not)),
            None => decides,
        })
    }

    /// Why whoever carries out what they approve would know, or would have had in their hands, both steps of the person it is for.
    pub(in crate::gate) async fn why_both(
        &self,
        approval: &Approval,
    ) -> Result<Option<&'static str>, GateError> {
        let [person] = approval.wish.people() else {
            return Ok(None);
        };
        if approval.alone {
            return Ok(None);
        }
        let told = self.store.told_to(person).await?;
        let is_own = |told: &[String]| told.iter().any(|one| **one == *approval.own);
        Ok(match &approval.wish {
            Wish::SetPassword { .. } if is_own(&told.enrollment_code) => Some(
                "you were told this person's code for the enrolment: another administrator is told the password",
            ),
            Wish::SetPassword { .. } if is_own(&told.second_factor) => Some(
                "you imported or assigned this person's token: another administrator is told the password",
            ),
            Wish::IssueEnrollmentCode { .. } if is_own(&told.password) => {
                Some("you were told this person's password: another administrator is told the code")
            }
            Wish::AssignToken { .. } if is_own(&told.password) => Some(
                "you were told this person's password: another administrator assigns the token",
            ),
            Wish::AssignToken { serial, .. } if !told.password.is_empty() => {
                let imported = self.store.token_imported_by(serial).await?;
                let knows = told.password.iter().any(|one| imported.contains(one));
                (knows || imported.is_empty()).then_some(
                    "the administrator who was told this person's password imported this token, or nobody knows who did: take one that another imported",
                )
            }
            _ => None,
        })
    }

    /// The person that an administrator names, who is not themselves; as the store has them where others change it too.
    pub(in crate::gate) async fn somebody_else(
        &self,
        administrator: &Administrator<'_>,
        person: &Name,
    ) -> Result<Result<Arc<Person>, Violation>, GateError> {
        if administrator.admitted.person.id == *person {
            let what = "is yourself: another administrator does this for you";
            return Ok(Err(Violation::new("person", what)));
        }
        if self.store.has_others() {
            self.follow_once().await?;
        }
        Ok(self
            .person(person)
            .ok_or_else(|| Violation::new("person", "is nobody that the directory knows")))
    }
}

/// None of the tokens was imported meanwhile.
struct NotThereYet(Vec<String>);

impl StillWanted for NotThereYet {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        for serial in &self.0 {
            if gate.store.hardware_token(serial).await?.is_some() {
                return Err(GateError::Busy {
                    what: "somebody else imports the same tokens",
                    retry_after: Duration::from_secs(1),
                });
            }
        }
        Ok(())
    }
}

/// The token is still nobody's, and the person still without a second factor.
struct StillNobodys {
    serial: String,
    person: SameFactor,
}

impl StillWanted for StillNobodys {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.store.hardware_token(&self.serial).await?.is_none() {
            return Err(GateError::NotFound("the token was assigned meanwhile"));
        }
        self.person.look(gate).await
    }
}

//! New credentials: laid ready here first, taken up by an entry of the log afterwards. Nothing of one is in the entry itself, not
//! even sealed; the entry names it. One that no entry named is dropped by the next start.

use prost::Message;
use uuid::Uuid;

use super::credentials::person_is_missing;
use super::engine::{Transaction, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::proto::{StoredCredentialKind, StoredCredentialRemoval, StoredTakeUp};

/// A credential to be taken up.
#[derive(Clone, PartialEq, Eq)]
pub enum NewCredential {
    /// A password.
    Password {
        /// Argon2id, as a PHC string.
        hash: String,
        /// Somebody else set it.
        must_change: bool,
    },
    /// A second factor with its recovery codes.
    SecondFactor {
        /// Names it; the seed is sealed for it.
        id: Uuid,
        /// The seed, sealed.
        sealed_seed: Vec<u8>,
        /// The step of the code that confirmed it: spent.
        last_step: u64,
        /// Hashes of its recovery codes.
        recovery_codes: Vec<[u8; 32]>,
    },
    /// Recovery codes in place of those that a second factor has.
    RecoveryCodes {
        /// The factor.
        factor: Uuid,
        /// Their hashes.
        digests: Vec<[u8; 32]>,
    },
    /// A one-time code for enrolment.
    EnrollmentCode {
        /// Its hash.
        digest: [u8; 32],
        /// Until when it counts.
        ends: Timestamp,
    },
    /// Hardware tokens that are nobody's yet.
    HardwareTokens(Vec<NewToken>),
}

/// A hardware token that is nobody's yet. Prints its serial number only.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// As it is printed on it.
    pub serial: String,
    /// Its seed, sealed for the serial number.
    pub sealed_seed: Vec<u8>,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewToken({})", self.serial)
    }
}

impl std::fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewCredential({:?})", self.kind())
    }
}

/// Which administrators know what a person proves themselves with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldTo {
    /// The password in force was drawn for them, or is in the place of one that was.
    pub password: Vec<String>,
    /// The code for an enrolment was drawn for them.
    pub enrollment_code: Vec<String>,
    /// They once imported the seed of the hardware token that is the second factor, or had the token when it was assigned.
    pub second_factor: Vec<String>,
}

/// Names what lies ready: 16 random bytes.
pub type StagedId = Uuid;

/// The form in the store. Fields are only ever added.
#[derive(Clone, PartialEq, Message)]
struct Content {
    #[prost(enumeration = "StoredCredentialKind", tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    hash: String,
    #[prost(bool, tag = "3")]
    must_change: bool,
    #[prost(bytes = "vec", tag = "4")]
    factor: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    sealed_seed: Vec<u8>,
    #[prost(uint64, tag = "6")]
    last_step: u64,
    #[prost(bytes = "vec", repeated, tag = "7")]
    digests: Vec<Vec<u8>>,
    #[prost(int64, tag = "8")]
    ends_us: i64,
    #[prost(message, repeated, tag = "9")]
    tokens: Vec<Token>,
}

#[derive(Clone, PartialEq, Message)]
struct Token {
    #[prost(string, tag = "1")]
    serial: String,
    #[prost(bytes = "vec", tag = "2")]
    sealed_seed: Vec<u8>,
}

impl NewCredential {
    /// Its kind, as entries name it.
    #[must_use]
    pub const fn kind(&self) -> StoredCredentialKind {
        match self {
            Self::Password { .. } => StoredCredentialKind::Password,
            Self::SecondFactor { .. } => StoredCredentialKind::SecondFactor,
            Self::RecoveryCodes { .. } => StoredCredentialKind::RecoveryCodes,
            Self::EnrollmentCode { .. } => StoredCredentialKind::EnrollmentCode,
            Self::HardwareTokens(_) => StoredCredentialKind::HardwareTokens,
        }
    }

    fn content(&self) -> Content {
        let mut content = Content {
            kind: self.kind().into(),
            ..Content::default()
        };
        let bytes = |digests: &[[u8; 32]]| digests.iter().map(|digest| digest.to_vec()).collect();
        match self {
            Self::Password { hash, must_change } => {
                content.hash.clone_from(hash);
                content.must_change = *must_change;
            }
            Self::SecondFactor {
                id,
                sealed_seed,
                last_step,
                recovery_codes,
            } => {
                content.factor = id.as_bytes().to_vec();
                content.sealed_seed.clone_from(sealed_seed);
                content.last_step = *last_step;
                content.digests = bytes(recovery_codes);
            }
            Self::RecoveryCodes { factor, digests } => {
                content.factor = factor.as_bytes().to_vec();
                content.digests = bytes(digests);
            }
            Self::EnrollmentCode { digest, ends } => {
                content.digests = bytes(&[*digest]);
                content.ends_us = ends.micros();
            }
            Self::HardwareTokens(tokens) => {
                let token = |token: &NewToken| Token {
                    serial: token.serial.clone(),
                    sealed_seed: token.sealed_seed.clone(),
                };
                content.tokens = tokens.iter().map(token).collect();
            }
        }
        content
    }
}

impl Store {
    /// Lays a credential ready for `person` (empty for tokens of nobody). It counts for nothing until an entry of the log names
    /// the id that is returned. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn stage(
        &self,
        person: &str,
        credential: &NewCredential,
        now: Timestamp,
    ) -> Result<StagedId, StoreError> {
        let id = Uuid::new_v4();
        let mut change = self.change().await?;
        query("INSERT INTO staged (id, log, person, content, made_us) VALUES ($1, $2, $3, $4, $5)")
            .bind(id.as_bytes().as_slice())
            .bind(self.log()?)
            .bind(person)
            .bind(credential.content().encode_to_vec())
            .bind(now.micros())
            .execute(&mut change)
            .await?;
        change.commit().await?;
        Ok(id)
    }

    /// Who else knows what `person` proves themselves with.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn told_to(&self, person: &str) -> Result<ToldTo, StoreError> {
        let mut told = ToldTo::default();
        for (kind, slot) in [
            (StoredCredentialKind::Password, &mut told.password),
            (
                StoredCredentialKind::EnrollmentCode,
                &mut told.enrollment_code,
            ),
            (StoredCredentialKind::SecondFactor, &mut told.second_factor),
        ] {
            *slot = self.told(kind, person).await?;
        }
        Ok(told)
    }

    /// Who ever imported the seed of a hardware token.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn token_imported_by(&self, serial: &str) -> Result<Vec<String>, StoreError> {
        self.told(StoredCredentialKind::HardwareTokens, serial)
            .await
    }

    async fn told(
        &self,
        kind: StoredCredentialKind,
        whose: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows =
            query("SELECT told_to FROM told WHERE kind = $1 AND whose = $2 ORDER BY told_to")
                .bind(i64::from(i32::from(kind)))
                .bind(whose)
                .fetch_all(&self.engine)
                .await?;
        rows.iter().map(|row| row.try_get("told_to")).collect()
    }

    /// Drops what lies ready under this id: it is not wanted after all.
    ///
    /// # Errors
    /// When the store can't be written; the next start drops it.
    pub async fn unstage(&self, id: StagedId) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query("DELETE FROM staged WHERE id = $1")
            .bind(id.as_bytes().as_slice())
            .execute(&mut change)
            .await?;
        change.commit().await
    }

    /// Drops whatever lies ready for an entry of this log, and tells how many that were. For a start that has applied all of it:
    /// no entry names them.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn drop_staged(&self) -> Result<u64, StoreError> {
        let mut change = self.change().await?;
        let dropped = query("DELETE FROM staged WHERE log = $1")
            .bind(self.log()?)
            .execute(&mut change)
            .await?;
        change.commit().await?;
        Ok(dropped)
    }
}

/// Moves what lies ready into force. What can't be found or is another person's or of another kind is not: then the old one is
/// removed too, since the log says that it is not in force any more. So it is when it is `stale`, or when the account was changed
/// since it was laid ready: it may take more than one administrator by now, and neither change is certain to be right.
pub(super) async fn take_up(
    change: &mut Transaction,
    log: i64,
    index: LogIndex,
    taken: &StoredTakeUp,
    stale: bool,
) -> Result<(), StoreError> {
    let kind = known_kind(index, taken.kind)?;
    let row = query("SELECT person, content FROM staged WHERE id = $1 AND log = $2")
        .bind(taken.staged.as_slice())
        .bind(log)
        .fetch_optional(&mut *change)
        .await?;
    let mut content = None;
    if let Some(row) = row {
        let person: String = row.try_get("person")?;
        let bytes: Vec<u8> = row.try_get("content")?;
        content = Content::decode(bytes.as_slice())
            .ok()
            .filter(|content| !stale && content.kind == taken.kind && person == taken.person);
        query("DELETE FROM staged WHERE id = $1")
            .bind(taken.staged.as_slice())
            .execute(&mut *change)
            .await?;
    }
    if let Some(at_epoch) = taken.at_epoch {
        let row = query("SELECT epoch FROM people WHERE id = $1")
            .bind(&taken.person)
            .fetch_optional(&mut *change)
            .await?;
        let epoch = row.map(|row| row.try_get("epoch")).transpose()?;
        let epoch = epoch.map(from_stored).transpose()?;
        content = content.filter(|_| epoch.is_none_or(|epoch| epoch <= at_epoch));
    }
    match content {
        Some(content) => {
            put(change, index, taken, kind, &content).await?;
            tell(change, taken, kind, &content).await?;
        }
        None => remove_kind(change, &taken.person, kind).await?,
    }
    if !taken.serial.is_empty() {
        query("DELETE FROM hardware_tokens WHERE serial = $1")
            .bind(&taken.serial)
            .execute(&mut *change)
            .await?;
    }
    Ok(())
}

/// Removes a credential.
pub(super) async fn remove(
    change: &mut Transaction,
    index: LogIndex,
    removed: &StoredCredentialRemoval,
) -> Result<(), StoreError> {
    let kind = known_kind(index, removed.kind)?;
    remove_kind(change, &removed.person, kind).await
}

fn known_kind(index: LogIndex, kind: i32) -> Result<StoredCredentialKind, StoreError> {
    StoredCredentialKind::try_from(kind)
        .ok()
        .filter(|kind| *kind != StoredCredentialKind::Unspecified)
        .ok_or(StoreError::Change(index))
}

async fn put(
    change: &mut Transaction,
    index: LogIndex,
    taken: &StoredTakeUp,
    kind: StoredCredentialKind,
    content: &Content,
) -> Result<(), StoreError> {
    let person = &taken.person;
    match kind {
        StoredCredentialKind::Unspecified => return Err(StoreError::Change(index)),
        StoredCredentialKind::Password => {
            query(
                "INSERT INTO passwords (person, hash, must_change) VALUES ($1, $2, $3)
                 ON CONFLICT (person) DO UPDATE
                 SET hash = excluded.hash, must_change = excluded.must_change",
            )
            .bind(person)
            .bind(&content.hash)
            .bind(content.must_change)
            .execute(&mut *change)
            .await
            .map_err(person_is_missing)?;
        }
        StoredCredentialKind::SecondFactor => {
            // Whatever the old one was, with its codes, failures and steps.
            remove_kind(change, person, kind).await?;
            query(
                "INSERT INTO second_factors (id, person, sealed_seed, last_step, failures, waits_until)
                 VALUES ($1, $2, $3, $4, 0, 0)",
            )
            .bind(content.factor.as_slice())
            .bind(person)
            .bind(content.sealed_seed.as_slice())
            .bind(to_stored(content.last_step)?)
            .execute(&mut *change)
            .await
            .map_err(person_is_missing)?;
            put_recovery_codes(change, content).await?;
            // It was for this enrolment.
            remove_kind(change, person, StoredCredentialKind::EnrollmentCode).await?;
        }
        StoredCredentialKind::RecoveryCodes => {
            remove_kind(change, person, kind).await?;
            put_recovery_codes(change, content).await?;
        }
        StoredCredentialKind::EnrollmentCode => {
            let digest = content.digests.first().ok_or(StoreError::Change(index))?;
            query(
                "INSERT INTO enrollment_codes (person, digest, ends) VALUES ($1, $2, $3)
                 ON CONFLICT (person) DO UPDATE SET digest = excluded.digest, ends = excluded.ends",
            )
            .bind(person)
            .bind(digest.as_slice())
            .bind(content.ends_us)
            .execute(&mut *change)
            .await
            .map_err(person_is_missing)?;
        }
        StoredCredentialKind::HardwareTokens => {
            for token in &content.tokens {
                query(
                    "INSERT INTO hardware_tokens (serial, sealed_seed) VALUES ($1, $2)
                     ON CONFLICT (serial) DO UPDATE SET sealed_seed = excluded.sealed_seed",
                )
                .bind(&token.serial)
                .bind(token.sealed_seed.as_slice())
                .execute(&mut *change)
                .await?;
            }
        }
    }
    Ok(())
}

/// Keeps who else knows what was just put.
async fn tell(
    change: &mut Transaction,
    taken: &StoredTakeUp,
    kind: StoredCredentialKind,
    content: &Content,
) -> Result<(), StoreError> {
    const TELL: &str = "INSERT INTO told (kind, whose, told_to) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING";
    // Whoever imported the seed of a token knows the factor that it becomes.
    const OF_TOKEN: &str = "INSERT INTO told (kind, whose, told_to)
         SELECT $1, $2, told_to FROM told WHERE kind = $3 AND whose = $4 ON CONFLICT DO NOTHING";
    let number = |kind: StoredCredentialKind| i64::from(i32::from(kind));
    let whose: Vec<&str> = match kind {
        StoredCredentialKind::Password
        | StoredCredentialKind::SecondFactor
        | StoredCredentialKind::EnrollmentCode => vec![&taken.person],
        StoredCredentialKind::HardwareTokens => {
            let tokens = content.tokens.iter();
            tokens.map(|token| token.serial.as_str()).collect()
        }
        StoredCredentialKind::RecoveryCodes | StoredCredentialKind::Unspecified => return Ok(()),
    };
    for whose in whose {
        // Whoever imported a token's seed knows it for good, whoever imports it again.
        if kind != StoredCredentialKind::HardwareTokens {
            forget_told(change, kind, whose).await?;
        }
        if !taken.told_to.is_empty() {
            query(TELL)
                .bind(number(kind))
                .bind(whose)
                .bind(&taken.told_to)
                .execute(&mut *change)
                .await?;
        }
    }
    if kind == StoredCredentialKind::SecondFactor && !taken.serial.is_empty() {
        query(OF_TOKEN)
            .bind(number(kind))
            .bind(&taken.person)
            .bind(number(StoredCredentialKind::HardwareTokens))
            .bind(&taken.serial)
            .execute(&mut *change)
            .await?;
    }
    Ok(())
}

async fn forget_told(
    change: &mut Transaction,
    kind: StoredCredentialKind,
    whose: &str,
) -> Result<(), StoreError> {
    query("DELETE FROM told WHERE kind = $1 AND whose = $2")
        .bind(i64::from(i32::from(kind)))
        .bind(whose)
        .execute(change)
        .await?;
    Ok(())
}

async fn put_recovery_codes(change: &mut Transaction, content: &Content) -> Result<(), StoreError> {
    for digest in &content.digests {
        query("INSERT INTO recovery_codes (factor, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(content.factor.as_slice())
            .bind(digest.as_slice())
            .execute(&mut *change)
            .await?;
    }
    Ok(())
}

async fn remove_kind(
    change: &mut Transaction,
    person: &str,
    kind: StoredCredentialKind,
) -> Result<(), StoreError> {
    const OF_PERSON: &str = "DELETE FROM recovery_codes
         WHERE factor IN (SELECT id FROM second_factors WHERE person = $1)";
    let statements: &[&'static str] = match kind {
        StoredCredentialKind::Password => &["DELETE FROM passwords WHERE person = $1"],
        StoredCredentialKind::SecondFactor => {
            &[OF_PERSON, "DELETE FROM second_factors WHERE person = $1"]
        }
        StoredCredentialKind::RecoveryCodes => &[OF_PERSON],
        StoredCredentialKind::EnrollmentCode => &["DELETE FROM enrollment_codes WHERE person = $1"],
        // Tokens that were never taken up are not there; those that were are somebody else's entry.
        StoredCredentialKind::HardwareTokens | StoredCredentialKind::Unspecified => &[],
    };
    for statement in statements {
        query(statement).bind(person).execute(&mut *change).await?;
    }
    forget_told(change, kind, person).await
}

/// Removes all that a person proves themselves with.
pub(super) async fn remove_all(change: &mut Transaction, person: &str) -> Result<(), StoreError> {
    for kind in [
        StoredCredentialKind::Password,
        StoredCredentialKind::SecondFactor,
        StoredCredentialKind::EnrollmentCode,
    ] {
        remove_kind(change, person, kind).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StoredChange;
    use crate::proto::stored_change::Kind;
    use crate::store::people::tests::person;
    use crate::store::tests::{Home, both, change};

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    async fn with_person(home: &Home) -> Store {
        let store = home.open().await;
        store.put_person(&person("p", &[])).await.unwrap();
        store.put_password("p", "old").await.unwrap();
        store.put_second_factor("p", OLD, b"old").await.unwrap();
        store
    }

    fn password(hash: &str) -> NewCredential {
        NewCredential::Password {
            hash: hash.to_owned(),
            must_change: true,
        }
    }

    fn factor() -> NewCredential {
        NewCredential::SecondFactor {
            id: NEW,
            sealed_seed: b"new".to_vec(),
            last_step: 77,
            recovery_codes: vec![[1; 32], [2; 32]],
        }
    }

    fn take_up(staged: Uuid, of: &str, kind: StoredCredentialKind, epoch: u64) -> StoredChange {
        change(Kind::TakeUpCredential(StoredTakeUp {
            staged: staged.as_bytes().to_vec(),
            person: of.to_owned(),
            kind: kind.into(),
            epoch,
            ..StoredTakeUp::default()
        }))
    }

    async fn apply(store: &Store, change: StoredChange) {
        let index = store.applied().await.unwrap();
        store
            .apply(&[(LogIndex(index), change)], index + 1)
            .await
            .unwrap();
    }

    both! {
    async fn what_lies_ready_counts_only_once_an_entry_names_it(home) {
        let store = with_person(&home).await;
        let id = store
            .stage("p", &password("new"), Timestamp::default())
            .await
            .unwrap();
        let hash = async |store: &Store| {
            let credential = store.credential("p").await.unwrap().unwrap();
            (credential.password_hash, credential.must_change)
        };
        assert_eq!(hash(&store).await, ("old".to_owned(), false));
        let store = home.open().await;
        apply(&store, take_up(id, "p", StoredCredentialKind::Password, 9)).await;
        assert_eq!(hash(&store).await, ("new".to_owned(), true));
        assert_eq!(store.people().await.unwrap()[0].epoch, 9);
        assert_eq!(store.drop_staged().await.unwrap(), 0);
    }
    }

    both! {
    async fn what_no_entry_named_is_dropped(home) {
        let store = with_person(&home).await;
        let now = Timestamp::default();
        let id = store.stage("p", &password("new"), now).await.unwrap();
        store.stage("p", &factor(), now).await.unwrap();
        store.unstage(id).await.unwrap();
        assert_eq!(store.drop_staged().await.unwrap(), 1);
        assert_eq!(
            store.credential("p").await.unwrap().unwrap().password_hash,
            "old"
        );
    }
    }

    both! {
    async fn a_credential_that_is_not_there_takes_the_old_one_with_it(home) {
        for (staged_for, kind) in [
            (None, StoredCredentialKind::Password),
            (None, StoredCredentialKind::SecondFactor),
            (Some("q"), StoredCredentialKind::Password),
            (Some("p"), StoredCredentialKind::SecondFactor),
        ] {
            let store = with_person(&home).await;
            let mut id = NEW;
            if let Some(person) = staged_for {
                // Another's, or of another kind.
                id = store
                    .stage(person, &password("new"), Timestamp::default())
                    .await
                    .unwrap();
            }
            apply(&store, take_up(id, "p", kind, 0)).await;
            let left = store.credential("p").await.unwrap();
            match kind {
                StoredCredentialKind::Password => assert_eq!(left, None),
                _ => assert_eq!(left.unwrap().second_factor, None),
            }
        }
    }
    }

    both! {
    async fn a_new_factor_comes_with_its_codes_its_spent_step_and_nothing_of_the_old_one(home) {
        let store = with_person(&home).await;
        let now = Timestamp::default();
        let kind = StoredCredentialKind::RecoveryCodes;
        let codes = NewCredential::RecoveryCodes {
            factor: OLD,
            digests: vec![[9; 32]],
        };
        let id = store.stage("p", &codes, now).await.unwrap();
        apply(&store, take_up(id, "p", kind, 0)).await;
        assert_eq!(store.recovery_codes_left(OLD).await.unwrap(), 1);
        let id = store.stage("p", &factor(), now).await.unwrap();
        let kind = StoredCredentialKind::SecondFactor;
        apply(&store, take_up(id, "p", kind, 0)).await;
        assert_eq!(store.recovery_codes_left(OLD).await.unwrap(), 0);
        let step = async |factor, step| store.spend_step(factor, step, &crate::store::credentials::tests::LENIENT).await.unwrap().spent;
        assert!(!step(OLD, 1_000).await);
        assert!(!step(NEW, 77).await);
        assert!(step(NEW, 78).await);
        let spend = async |digest| store.spend_recovery_code(NEW, &digest, &crate::store::credentials::tests::LENIENT).await.unwrap().left;
        assert_eq!(spend([9; 32]).await, None);
        assert_eq!(spend([1; 32]).await, Some(1));
        assert_eq!(spend([1; 32]).await, None);
        let removal = change(Kind::RemoveCredential(StoredCredentialRemoval {
            person: "p".to_owned(),
            kind: kind.into(),
            epoch: 50,
        }));
        apply(&store, removal).await;
        assert_eq!(store.recovery_codes_left(NEW).await.unwrap(), 0);
        let credential = store.credential("p").await.unwrap().unwrap();
        assert_eq!(credential.second_factor, None);
        assert_eq!(store.people().await.unwrap()[0].epoch, 50);
    }
    }

    both! {
    async fn an_enrolment_takes_its_one_time_code_and_its_token_with_it(home) {
        let store = with_person(&home).await;
        let now = Timestamp::default();
        let code = NewCredential::EnrollmentCode {
            digest: [5; 32],
            ends: Timestamp::from_seconds(60),
        };
        let id = store.stage("p", &code, now).await.unwrap();
        let kind = StoredCredentialKind::EnrollmentCode;
        apply(&store, take_up(id, "p", kind, 0)).await;
        let kept = store.enrollment_code("p").await.unwrap();
        assert_eq!(kept, Some(([5; 32], Timestamp::from_seconds(60))));
        let tokens = NewCredential::HardwareTokens(vec![NewToken {
            serial: "T-1".to_owned(),
            sealed_seed: b"sealed".to_vec(),
        }]);
        let id = store.stage("", &tokens, now).await.unwrap();
        apply(
            &store,
            take_up(id, "", StoredCredentialKind::HardwareTokens, 0),
        )
        .await;
        let token = store.hardware_token("T-1").await.unwrap();
        assert_eq!(token.as_deref(), Some(b"sealed".as_slice()));
        let staged = store.stage("p", &factor(), now).await.unwrap();
        apply(
            &store,
            change(Kind::TakeUpCredential(StoredTakeUp {
                staged: staged.as_bytes().to_vec(),
                person: "p".to_owned(),
                kind: StoredCredentialKind::SecondFactor.into(),
                epoch: 0,
                serial: "T-1".to_owned(),
                ..StoredTakeUp::default()
            })),
        )
        .await;
        assert_eq!(store.enrollment_code("p").await.unwrap(), None);
        assert_eq!(store.hardware_token("T-1").await.unwrap(), None);
    }
    }
}

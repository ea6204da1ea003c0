//! What people prove themselves with: hashes of passwords, sealed seeds of second factors, and what guards those against
//! guessing and reuse.

use std::fmt;
use std::time::Duration;

use sqlx::error::ErrorKind;
use uuid::Uuid;

use super::engine::{Query, Row, Transaction, query};
use super::error::StoreError;
use super::news::Told;
use super::people::read_name;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;

/// What a person proves themselves with. Prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Somebody else set the password: it has to be changed before anything else.
    pub must_change: bool,
    /// `None` until one is enrolled.
    pub second_factor: Option<SecondFactor>,
}

/// A second factor. Prints its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Names it; its seed is sealed for it and for the person.
    pub id: Uuid,
    /// The seed, sealed.
    pub sealed_seed: Vec<u8>,
    /// The newest step that was spent: this one and all before it are refused.
    pub last_step: Option<u64>,
    /// Failures in a row, the tries that are under way included.
    pub failures: u32,
    /// No try is charged before.
    pub waits_until: Timestamp,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("must_change", &self.must_change)
            .field("second_factor", &self.second_factor)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecondFactor({})", self.id)
    }
}

impl Store {
    /// What `person` proves themselves with; `None` for somebody who is unknown or has no password.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn credential(&self, person: &str) -> Result<Option<Credential>, StoreError> {
        let row = query(
            "SELECT hash, must_change, id, sealed_seed, last_step, failures, waits_until
             FROM passwords LEFT JOIN second_factors ON second_factors.person = passwords.person
             WHERE passwords.person = $1",
        )
        .bind(person)
        .fetch_optional(&self.engine)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let id: Option<&[u8]> = row.try_get("id")?;
        let second_factor = match id {
            None => None,
            Some(id) => Some(SecondFactor {
                id: Uuid::from_slice(id)
                    .map_err(|_| StoreError::Damaged("a second factor's id".to_owned()))?,
                sealed_seed: row.try_get("sealed_seed")?,
                last_step: row
                    .try_get::<Option<i64>>("last_step")?
                    .map(from_stored)
                    .transpose()?,
                failures: read_failures(row.try_get("failures")?)?,
                waits_until: Timestamp::from_micros(row.try_get("waits_until")?),
            }),
        };
        Ok(Some(Credential {
            password_hash: row.try_get("hash")?,
            must_change: row.try_get("must_change")?,
            second_factor,
        }))
    }

    /// The id of a person's second factor, whether they have a password or not.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn second_factor_of(&self, person: &str) -> Result<Option<Uuid>, StoreError> {
        let row = query("SELECT id FROM second_factors WHERE person = $1")
            .bind(person)
            .fetch_optional(&self.engine)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Uuid::from_slice(row.try_get("id")?)
            .map(Some)
            .map_err(|_| StoreError::Damaged("a second factor's id".to_owned()))
    }

    /// Sets a person's password, before there is a log: what people change later is taken up by an entry. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPerson`].
    pub async fn put_password(&self, person: &str, hash: &str) -> Result<(), StoreError> {
        let put = query(
            "INSERT INTO passwords (person, hash, must_change) VALUES ($1, $2, FALSE)
             ON CONFLICT (person) DO UPDATE SET hash = excluded.hash, must_change = FALSE",
        );
        self.put(put.bind(person).bind(hash)).await
    }

    /// Puts another hash of the same password in the place of `old`, where that is still the one in force: the costs of a hash
    /// rose, and nothing else changes. True when it did.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn rehash_password(
        &self,
        person: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let put = query("UPDATE passwords SET hash = $3 WHERE person = $1 AND hash = $2")
            .bind(person)
            .bind(old)
            .bind(new)
            .execute(&mut change)
            .await?;
        change.commit().await?;
        Ok(put == 1)
    }

    /// Gives a person a second factor in place of any other. Under the same id only its sealing is new, so its spent steps
    /// and failures stay; under another id it begins without any. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPerson`].
    pub async fn put_second_factor(
        &self,
        person: &str,
        id: Uuid,
        sealed_seed: &[u8],
    ) -> Result<(), StoreError> {
        let put = query(
            "INSERT INTO second_factors (id, person, sealed_seed) VALUES ($1, $2, $3)
             ON CONFLICT (person) DO UPDATE
             SET last_step = CASE WHEN second_factors.id = excluded.id THEN second_factors.last_step END,
                 failures = CASE WHEN second_factors.id = excluded.id THEN second_factors.failures ELSE 0 END,
                 id = excluded.id, sealed_seed = excluded.sealed_seed",
        );
        let put = put.bind(id.as_bytes().as_slice()).bind(person);
        self.put(put.bind(sealed_seed)).await
    }

    async fn put(&self, put: Query) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        put.execute(&mut change).await.map_err(person_is_missing)?;
        change.commit().await
    }

    /// Counts a try as a failure, unless the factor waits or is disabled: then nothing is counted, and the code must not be
    /// looked at. Durable when it returns, so that whoever looks at the code afterwards can be killed without the try being
    /// forgotten; [`Self::spend_step`] and [`Self::spend_recovery_code`] take it back.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSecondFactor`]. On any error the code must not be looked at.
    pub async fn charge_second_factor(
        &self,
        id: Uuid,
        throttle: &Throttle,
        now: Timestamp,
    ) -> Result<Charging, StoreError> {
        const STANDING: &str = "SELECT failures, waits_until FROM second_factors WHERE id = $1";
        let standing = |row: Option<Row>| -> Result<(u32, i64), StoreError> {
            let row = row.ok_or(StoreError::NoSuchSecondFactor)?;
            let failures = read_failures(row.try_get("failures")?)?;
            Ok((failures, row.try_get("waits_until")?))
        };
        let id = id.as_bytes().as_slice();
        // A transaction and no `RETURNING`: of a statement that returns rows, sqlx hands over the first before the commit
        // is known to have succeeded.
        let mut change = self.change().await?;
        let looked = query(STANDING).bind(id).fetch_optional(&mut change).await?;
        let (failures, waits_until) = standing(looked)?;
        // Longer than the failures make it: the clock was set back since it began. It begins anew, and is not endless.
        let longest = now.plus((throttle.wait_after)(failures));
        if waits_until > longest.plus(Timestamp::AHEAD_MAX).micros() {
            query("UPDATE second_factors SET waits_until = $2 WHERE id = $1 AND waits_until > $2")
                .bind(id)
                .bind(longest.micros())
                .execute(&mut change)
                .await?;
            change.commit().await?;
            change = self.change().await?;
        }
        // The one that disables it has to be told to others, who take their turns before any other row.
        let last = failures.saturating_add(1) >= throttle.disabled_at;
        if last {
            self.take_turn(&mut change).await?;
        }
        // Before the factor's row, as `apply` does: so that nobody waits for each other in a circle.
        let writes = self.count_factor_write(&mut change).await?;
        // Looks and counts in one: of parallel tries, those past the bound find it passed.
        let charged = query(
            "UPDATE second_factors SET failures = failures + 1
             WHERE id = $1 AND waits_until <= $2 AND failures < $3",
        )
        .bind(id)
        .bind(now.micros())
        .bind(i64::from(throttle.disabled_at))
        .execute(&mut change)
        .await?;
        let looked = query(STANDING).bind(id).fetch_optional(&mut change).await?;
        let (failures, waits_until) = standing(looked)?;
        if charged == 0 {
            change.rollback().await?;
            return Ok(if failures >= throttle.disabled_at {
                Charging::Disabled
            } else {
                Charging::Waits(Timestamp::from_micros(waits_until))
            });
        }
        let wait = (throttle.wait_after)(failures);
        if !wait.is_zero() {
            query("UPDATE second_factors SET waits_until = $2 WHERE id = $1")
                .bind(id)
                .bind(now.plus(wait).micros())
                .execute(&mut change)
                .await?;
        }
        if last {
            self.tell_others(&mut change, Told::People).await?;
        }
        change.commit().await?;
        Ok(Charging::Charged(Charge { failures, writes }))
    }

    /// Spends a step whose code was right, and sets the failures to none: only if the step is newer than every one spent before,
    /// so that of many parallel uses of one code exactly one is told so. Durable when it returns; only then may success be told.
    /// Where tries under way had disabled the factor, others are told that it is free.
    ///
    /// # Errors
    /// When the store can't be written. The step may then be spent or not, and the code must count as wrong.
    pub async fn spend_step(
        &self,
        id: Uuid,
        step: u64,
        throttle: &Throttle,
    ) -> Result<Spending, StoreError> {
        const SPEND: &str =
            "UPDATE second_factors SET last_step = $2, failures = 0, waits_until = 0
             WHERE id = $1 AND (last_step IS NULL OR last_step < $2)";
        self.spend(id, throttle, SPEND, to_stored(step)?).await
    }

    /// Does as much as [`Self::spend_step`] and changes nothing but the count of writes: so that how long a wrong code takes does
    /// not tell it from a right or a used one. Returns the number of this write.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn spend_nothing(&self, id: Uuid, throttle: &Throttle) -> Result<u64, StoreError> {
        // No step is below zero.
        const NOTHING: &str =
            "UPDATE second_factors SET last_step = $2, failures = 0, waits_until = 0
             WHERE id = $1 AND last_step < $2";
        let spending = self.spend(id, throttle, NOTHING, 0).await?;
        Ok(spending.writes)
    }

    async fn spend(
        &self,
        id: Uuid,
        throttle: &Throttle,
        statement: &'static str,
        step: i64,
    ) -> Result<Spending, StoreError> {
        let mut freeing = self.freeing(id, throttle).await?;
        let spent = query(statement)
            .bind(id.as_bytes().as_slice())
            .bind(step)
            .execute(&mut freeing.change)
            .await?;
        let spent = spent == 1;
        let writes = self.end_of(freeing, spent).await?;
        Ok(Spending { spent, writes })
    }

    /// Begins to set the failures of a factor to none. Its row is taken, so that no other try is counted meanwhile; where it is
    /// disabled, the turn to tell others was taken before.
    async fn freeing(&self, id: Uuid, throttle: &Throttle) -> Result<Freeing, StoreError> {
        let mut tells = false;
        loop {
            let mut change = self.change().await?;
            if tells {
                self.take_turn(&mut change).await?;
            }
            let writes = self.count_factor_write(&mut change).await?;
            if !self.has_others() {
                return Ok(Freeing {
                    change,
                    writes,
                    tells,
                });
            }
            query("UPDATE second_factors SET failures = failures WHERE id = $1")
                .bind(id.as_bytes().as_slice())
                .execute(&mut change)
                .await?;
            let row = query("SELECT failures FROM second_factors WHERE id = $1")
                .bind(id.as_bytes().as_slice())
                .fetch_optional(&mut change)
                .await?;
            let failures = row.map(|row| row.try_get("failures")).transpose()?;
            let failures = failures.map(read_failures).transpose()?.unwrap_or(0);
            if tells || failures < throttle.disabled_at {
                return Ok(Freeing {
                    change,
                    writes,
                    tells,
                });
            }
            // The turn comes before any other row, so that nobody waits for each other in a circle.
            change.rollback().await?;
            tells = true;
        }
    }

    /// Whether or not the factor `is_free` by it: the write is counted.
    async fn end_of(&self, freeing: Freeing, is_free: bool) -> Result<u64, StoreError> {
        let Freeing {
            mut change,
            writes,
            tells,
        } = freeing;
        if tells && is_free {
            self.tell_others(&mut change, Told::People).await?;
        }
        change.commit().await?;
        Ok(writes)
    }

    /// Spends a recovery code that hashes to `digest`, and sets the failures to none: for exactly one of many parallel uses, and
    /// never again. Durable when it returns; only then may success be told.
    ///
    /// # Errors
    /// When the store can't be written. The code may then be spent or not, and must count as wrong.
    pub async fn spend_recovery_code(
        &self,
        factor: Uuid,
        digest: &[u8; 32],
        throttle: &Throttle,
    ) -> Result<RecoverySpending, StoreError> {
        let id = factor.as_bytes().as_slice();
        let mut freeing = self.freeing(factor, throttle).await?;
        let change = &mut freeing.change;
        let spent = query("DELETE FROM recovery_codes WHERE factor = $1 AND digest = $2")
            .bind(id)
            .bind(digest.as_slice())
            .execute(&mut *change)
            .await?;
        let mut left = None;
        if spent == 1 {
            query("UPDATE second_factors SET failures = 0, waits_until = 0 WHERE id = $1")
                .bind(id)
                .execute(&mut *change)
                .await?;
            let row = query(CODES_LEFT).bind(id).fetch_one(&mut *change).await?;
            left = Some(read_failures(row.try_get("codes")?)?);
        }
        let writes = self.end_of(freeing, left.is_some()).await?;
        Ok(RecoverySpending { left, writes })
    }

    /// How many recovery codes a second factor has left.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn recovery_codes_left(&self, factor: Uuid) -> Result<u32, StoreError> {
        let row = query(CODES_LEFT)
            .bind(factor.as_bytes().as_slice())
            .fetch_one(&self.engine)
            .await?;
        read_failures(row.try_get("codes")?)
    }

    /// Whose second factor had so many failures in a row that it is disabled.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn locked_people(&self, throttle: &Throttle) -> Result<Vec<Name>, StoreError> {
        let rows = query("SELECT person FROM second_factors WHERE failures >= $1")
            .bind(i64::from(throttle.disabled_at))
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| read_name(row.try_get("person")?))
            .collect()
    }

    /// The hash of a person's one-time code for enrolment, and when it ends.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn enrollment_code(
        &self,
        person: &str,
    ) -> Result<Option<([u8; 32], Timestamp)>, StoreError> {
        let row = query("SELECT digest, ends FROM enrollment_codes WHERE person = $1")
            .bind(person)
            .fetch_optional(&self.engine)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let digest: Vec<u8> = row.try_get("digest")?;
        let digest = digest
            .try_into()
            .map_err(|_| StoreError::Damaged("the hash of a code".to_owned()))?;
        let ends = Timestamp::from_micros(row.try_get("ends")?);
        Ok(Some((digest, ends)))
    }

    /// The sealed seed of a hardware token that is nobody's yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn hardware_token(&self, serial: &str) -> Result<Option<Vec<u8>>, StoreError> {
        query("SELECT sealed_seed FROM hardware_tokens WHERE serial = $1")
            .bind(serial)
            .fetch_optional(&self.engine)
            .await?
            .map(|row| row.try_get("sealed_seed"))
            .transpose()
    }
}

const CODES_LEFT: &str = "SELECT count(*) AS codes FROM recovery_codes WHERE factor = $1";

/// When a second factor waits and when it is disabled: [`crate::identity::throttle`] says.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    /// From so many failures in a row on, no try is charged any more.
    pub disabled_at: u32,
    /// How long the next try waits after so many failures in a row.
    pub wait_after: fn(u32) -> Duration,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charging {
    /// It was counted: the code may be looked at.
    Charged(Charge),
    /// It was not counted: no try before this moment is.
    Waits(Timestamp),
    /// It was not counted: no try is any more.
    Disabled,
}

/// What came of spending a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// It was there to be spent, and is spent now.
    pub spent: bool,
    /// The number of this write, of all that this log's daemon made for second factors.
    pub writes: u64,
}

/// What came of spending a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverySpending {
    /// How many are left, where it was there to be spent.
    pub left: Option<u32>,
    /// The number of this write, of all that this log's daemon made for second factors.
    pub writes: u64,
}

/// A try that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Failures in a row, this try included.
    pub failures: u32,
    /// The number of this write, of all that this log's daemon made for second factors.
    pub writes: u64,
}

/// A factor whose failures are about to be none.
struct Freeing {
    change: Transaction,
    /// The number of this write.
    writes: u64,
    /// It was disabled: others have it so in memory.
    tells: bool,
}

fn read_failures(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|_| StoreError::Damaged("a count of failures".to_owned()))
}

pub(super) fn person_is_missing(error: StoreError) -> StoreError {
    let kind = match &error {
        StoreError::Engine(told) => told.as_database_error().map(|told| told.kind()),
        _ => None,
    };
    match kind {
        Some(ErrorKind::ForeignKeyViolation) => StoreError::NoSuchPerson,
        _ => error,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::people::tests::person;
    use crate::store::tests::{Home, both};
    use tokio::task::JoinSet;

    const FACTOR: Uuid = Uuid::from_u128(1);
    /// Nothing waits.
    pub(in crate::store) const LENIENT: Throttle = Throttle {
        disabled_at: 1_000,
        wait_after: |_| Duration::ZERO,
    };

    async fn charged(store: &Store, id: Uuid) -> Charge {
        let charging = store.charge_second_factor(id, &LENIENT, at(0)).await;
        match charging.unwrap() {
            Charging::Charged(charge) => charge,
            other => panic!("{other:?}"),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    async fn enrolled(home: &Home) -> Store {
        let store = home.open().await;
        store.put_person(&person("p", &[])).await.unwrap();
        store.put_password("p", "$argon2id$hash").await.unwrap();
        store
            .put_second_factor("p", FACTOR, b"sealed")
            .await
            .unwrap();
        store
    }

    async fn factor(store: &Store) -> SecondFactor {
        let credential = store.credential("p").await.unwrap().unwrap();
        credential.second_factor.unwrap()
    }

    both! {
    async fn a_credential_is_told_as_it_was_put(home) {
        let store = enrolled(&home).await;
        let credential = store.credential("p").await.unwrap().unwrap();
        let expected = SecondFactor {
            id: FACTOR,
            sealed_seed: b"sealed".to_vec(),
            last_step: None,
            failures: 0,
            waits_until: Timestamp::default(),
        };
        assert_eq!(credential.password_hash, "$argon2id$hash");
        assert_eq!(credential.second_factor, Some(expected));
        store.put_password("p", "another").await.unwrap();
        let credential = store.credential("p").await.unwrap().unwrap();
        assert_eq!(credential.password_hash, "another");
        assert!(credential.second_factor.is_some());
    }
    }

    both! {
    async fn somebody_without_a_password_or_a_factor_is_told_apart(home) {
        let store = home.open().await;
        assert_eq!(store.credential("p").await.unwrap(), None);
        assert!(matches!(
            store.put_password("p", "h").await,
            Err(StoreError::NoSuchPerson)
        ));
        assert!(matches!(
            store.put_second_factor("p", FACTOR, b"s").await,
            Err(StoreError::NoSuchPerson)
        ));
        store.put_person(&person("p", &[])).await.unwrap();
        assert_eq!(store.credential("p").await.unwrap(), None);
        store.put_password("p", "h").await.unwrap();
        let credential = store.credential("p").await.unwrap().unwrap();
        assert_eq!(credential.second_factor, None);
        assert!(matches!(
            store.charge_second_factor(FACTOR, &LENIENT, at(0)).await,
            Err(StoreError::NoSuchSecondFactor)
        ));
        assert!(!store.spend_step(FACTOR, 1, &LENIENT).await.unwrap().spent);
    }
    }

    both! {
    async fn of_fifty_parallel_uses_of_one_step_one_wins_and_a_restart_forgets_nothing(home) {
        let store = enrolled(&home).await;
        let mut uses = JoinSet::new();
        for _ in 0..50 {
            let store = store.clone();
            uses.spawn(async move { store.spend_step(FACTOR, 1_000, &LENIENT).await.unwrap().spent });
        }
        let wins = uses.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(wins, 1);
        // Read by another connection while the first store was never closed: nothing hangs on an orderly end.
        let again = home.open().await;
        assert!(!again.spend_step(FACTOR, 1_000, &LENIENT).await.unwrap().spent);
        assert!(!again.spend_step(FACTOR, 999, &LENIENT).await.unwrap().spent);
        assert_eq!(factor(&again).await.last_step, Some(1_000));
        assert!(again.spend_step(FACTOR, 1_001, &LENIENT).await.unwrap().spent);
    }
    }

    both! {
    async fn through_two_stores_at_once_of_fifty_uses_of_one_step_one_wins(home) {
        enrolled(&home).await;
        for step in 1..=5 {
            let stores = [home.open().await, home.open().await];
            let mut uses = JoinSet::new();
            for store in stores.iter().cycle().take(50) {
                let store = store.clone();
                uses.spawn(async move { store.spend_step(FACTOR, step, &LENIENT).await.unwrap().spent });
            }
            let wins = uses.join_all().await.into_iter().filter(|won| *won).count();
            assert_eq!(wins, 1);
            let mut charges = JoinSet::new();
            for store in stores.iter().cycle().take(50) {
                let store = store.clone();
                charges.spawn(async move { charged(&store, FACTOR).await });
            }
            let charges = charges.join_all().await;
            let mut failures: Vec<u32> = charges.iter().map(|charge| charge.failures).collect();
            failures.sort_unstable();
            assert_eq!(failures, (1..=50).collect::<Vec<u32>>());
            let mut writes: Vec<u64> = charges.iter().map(|charge| charge.writes).collect();
            writes.sort_unstable();
            writes.dedup();
            assert_eq!(writes.len(), 50, "each write has its own number");
        }
    }
    }

    both! {
    async fn every_parallel_try_is_charged_and_a_restart_forgets_none(home) {
        let store = enrolled(&home).await;
        let mut tries = JoinSet::new();
        for _ in 0..50 {
            let store = store.clone();
            tries.spawn(async move { charged(&store, FACTOR).await.failures });
        }
        let mut counts = tries.join_all().await;
        counts.sort_unstable();
        assert_eq!(counts, (1..=50).collect::<Vec<u32>>());
        let again = home.open().await;
        assert_eq!(
            charged(&again, FACTOR).await.failures,
            51
        );
    }
    }

    both! {
    async fn a_try_that_is_given_up_leaves_the_store_usable(home) {
        let store = enrolled(&home).await;
        for micros in 0..200 {
            let patience = std::time::Duration::from_micros(micros * 20);
            let charging = store.charge_second_factor(FACTOR, &LENIENT, at(0));
            drop(tokio::time::timeout(patience, charging).await);
        }
        // What was given up while it was committing is there once the next has had its turn, and not before.
        let before = charged(&store, FACTOR).await.failures;
        assert_eq!(
            charged(&store, FACTOR).await.failures,
            before + 1
        );
    }
    }

    both! {
    async fn only_a_spent_step_ends_a_row_of_failures(home) {
        let store = enrolled(&home).await;
        assert!(store.spend_step(FACTOR, 10, &LENIENT).await.unwrap().spent);
        for expected in 1..=3 {
            assert_eq!(
                charged(&store, FACTOR).await.failures,
                expected
            );
        }
        assert!(!store.spend_step(FACTOR, 10, &LENIENT).await.unwrap().spent);
        assert_eq!(factor(&store).await.failures, 3);
        assert!(store.spend_step(FACTOR, 11, &LENIENT).await.unwrap().spent);
        assert_eq!(factor(&store).await.failures, 0);
    }
    }

    both! {
    async fn a_wrong_and_a_used_code_are_counted_as_writes_and_free_nothing(home) {
        let store = enrolled(&home).await;
        let before = charged(&store, FACTOR).await;
        // Nothing was spent yet, and something was.
        assert_eq!(store.spend_nothing(FACTOR, &LENIENT).await.unwrap(), before.writes + 1);
        assert_eq!(factor(&store).await.last_step, None);
        assert!(store.spend_step(FACTOR, 0, &LENIENT).await.unwrap().spent);
        let charge = charged(&store, FACTOR).await;
        for number in [1, 2] {
            let writes = store.spend_nothing(FACTOR, &LENIENT).await.unwrap();
            assert_eq!(writes, charge.writes + 2 * number - 1);
            let used = store.spend_step(FACTOR, 0, &LENIENT).await.unwrap();
            assert_eq!((used.spent, used.writes), (false, charge.writes + 2 * number));
        }
        let unknown = store.spend_recovery_code(FACTOR, &[7; 32], &LENIENT).await.unwrap();
        assert_eq!((unknown.left, unknown.writes), (None, charge.writes + 5));
        assert_eq!(store.factor_writes().await.unwrap(), charge.writes + 5);
        let kept = factor(&store).await;
        assert_eq!((kept.last_step, kept.failures), (Some(0), 1));
    }
    }

    both! {
    async fn sealing_anew_forgets_neither_spent_steps_nor_failures(home) {
        let store = enrolled(&home).await;
        assert!(store.spend_step(FACTOR, 10, &LENIENT).await.unwrap().spent);
        charged(&store, FACTOR).await;
        store.put_second_factor("p", FACTOR, b"anew").await.unwrap();
        let kept = factor(&store).await;
        assert_eq!((kept.last_step, kept.failures), (Some(10), 1));
        assert_eq!(kept.sealed_seed, b"anew");
        let other = Uuid::from_u128(2);
        store.put_second_factor("p", other, b"other").await.unwrap();
        let new = factor(&store).await;
        assert_eq!((new.id, new.last_step, new.failures), (other, None, 0));
        assert!(
            !store.spend_step(FACTOR, 11, &LENIENT).await.unwrap().spent,
            "it is gone"
        );
    }
    }

    both! {
    async fn a_credential_prints_nothing_that_helps_to_guess_it(home) {
        let store = enrolled(&home).await;
        let printed = format!("{:?}", store.credential("p").await.unwrap());
        assert!(!printed.contains("argon2id"), "{printed}");
        assert!(!printed.contains("115, 101"), "{printed}");
    }
    }

    /// Two tries, then 30 s; disabled after four.
    const STRICT: Throttle = Throttle {
        disabled_at: 4,
        wait_after: |failures| Duration::from_secs(if failures < 2 { 0 } else { 30 }),
    };

    both! {
    async fn a_factor_that_waits_is_not_charged_and_a_restart_forgets_no_wait(home) {
        let store = enrolled(&home).await;
        let mut tries = JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            tries.spawn(async move {
                store
                    .charge_second_factor(FACTOR, &STRICT, at(100))
                    .await
                    .unwrap()
            });
        }
        let tries = tries.join_all().await;
        let charged = tries
            .iter()
            .filter(|charging| matches!(charging, Charging::Charged(_)))
            .count();
        assert_eq!(charged, 2);
        assert!(tries.contains(&Charging::Waits(at(130))));
        let again = home.open().await;
        let charge = async |seconds| {
            again
                .charge_second_factor(FACTOR, &STRICT, at(seconds))
                .await
                .unwrap()
        };
        assert_eq!(charge(129).await, Charging::Waits(at(130)));
        assert_eq!(factor(&again).await.failures, 2);
        assert!(matches!(charge(130).await, Charging::Charged(it) if it.failures == 3));
        // Right after all: neither waits nor failures are left.
        assert!(again.spend_step(FACTOR, 5, &LENIENT).await.unwrap().spent);
        assert!(matches!(charge(130).await, Charging::Charged(it) if it.failures == 1));
    }
    }

    both! {
    async fn after_so_many_failures_a_factor_is_disabled_for_good(home) {
        let store = enrolled(&home).await;
        let mut last = None;
        for round in 0..4 {
            let now = at(1_000 * round);
            last = Some(
                store
                    .charge_second_factor(FACTOR, &STRICT, now)
                    .await
                    .unwrap(),
            );
        }
        assert!(matches!(last, Some(Charging::Charged(it)) if it.failures == 4));
        let again = home.open().await;
        let years_later = at(1_000_000_000);
        let charging = again
            .charge_second_factor(FACTOR, &STRICT, years_later)
            .await;
        assert_eq!(charging.unwrap(), Charging::Disabled);
        let locked = again.locked_people(&STRICT).await.unwrap();
        assert_eq!(locked, [Name::parse("p").unwrap()]);
        assert!(again.locked_people(&LENIENT).await.unwrap().is_empty());
    }
    }

    both! {
    async fn a_hash_with_other_costs_takes_the_place_of_its_own_password_only(home) {
        let store = enrolled(&home).await;
        assert!(!store.rehash_password("p", "another", "new").await.unwrap());
        let old = "$argon2id$hash";
        assert!(store.rehash_password("p", old, "new").await.unwrap());
        let credential = store.credential("p").await.unwrap().unwrap();
        assert_eq!(credential.password_hash, "new");
    }
    }
}

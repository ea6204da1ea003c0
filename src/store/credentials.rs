//! What people prove themselves with: hashes of passwords, sealed seeds of second factors, and what guards those against
//! guessing and reuse.

use std::fmt;

use sqlx::error::ErrorKind;
use uuid::Uuid;

use super::engine::{Query, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};

/// What a person proves themselves with. Prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Argon2id, as a PHC string.
    pub password_hash: String,
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
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
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
            "SELECT hash, id, sealed_seed, last_step, failures
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
            }),
        };
        Ok(Some(Credential {
            password_hash: row.try_get("hash")?,
            second_factor,
        }))
    }

    /// Sets a person's password. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPerson`].
    pub async fn put_password(&self, person: &str, hash: &str) -> Result<(), StoreError> {
        let put = query(
            "INSERT INTO passwords (person, hash) VALUES ($1, $2)
             ON CONFLICT (person) DO UPDATE SET hash = excluded.hash",
        );
        self.put(put.bind(person).bind(hash)).await
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

    /// Counts a try as a failure. Durable when it returns, so that whoever looks at the code afterwards can be killed without
    /// the try being forgotten; [`Self::spend_step`] takes it back.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSecondFactor`]. On any error the code must not be looked at.
    pub async fn charge_second_factor(&self, id: Uuid) -> Result<Charge, StoreError> {
        // A transaction and no `RETURNING`: of a statement that returns rows, sqlx hands over the first before the commit
        // is known to have succeeded.
        let mut change = self.change().await?;
        let charged = query(
            "UPDATE second_factors
             SET failures = CASE WHEN failures < $2 THEN failures + 1 ELSE failures END
             WHERE id = $1",
        )
        .bind(id.as_bytes().as_slice())
        .bind(i64::from(u32::MAX))
        .execute(&mut change)
        .await?;
        if charged == 0 {
            return Err(StoreError::NoSuchSecondFactor);
        }
        let failures = query("SELECT failures FROM second_factors WHERE id = $1")
            .bind(id.as_bytes().as_slice())
            .fetch_one(&mut change)
            .await?
            .try_get("failures")?;
        let writes = self.count_factor_write(&mut change).await?;
        change.commit().await?;
        Ok(Charge {
            failures: read_failures(failures)?,
            writes,
        })
    }

    /// Spends a step whose code was right, and sets the failures to none. `Some` only if the step is newer than every one
    /// spent before: of many parallel uses of one code exactly one is told so. It is the number of this write. Durable when
    /// it returns; only then may success be told.
    ///
    /// # Errors
    /// When the store can't be written. The step may then be spent or not, and the code must count as wrong.
    pub async fn spend_step(&self, id: Uuid, step: u64) -> Result<Option<u64>, StoreError> {
        let mut change = self.change().await?;
        let spent = query(
            "UPDATE second_factors SET last_step = $2, failures = 0
             WHERE id = $1 AND (last_step IS NULL OR last_step < $2)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(to_stored(step)?)
        .execute(&mut change)
        .await?;
        if spent != 1 {
            change.rollback().await?;
            return Ok(None);
        }
        let writes = self.count_factor_write(&mut change).await?;
        change.commit().await?;
        Ok(Some(writes))
    }
}

/// A try that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Failures in a row, this try included.
    pub failures: u32,
    /// The number of this write, of all that this log's daemon made for second factors.
    pub writes: u64,
}

fn read_failures(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|_| StoreError::Damaged("a count of failures".to_owned()))
}

fn person_is_missing(error: StoreError) -> StoreError {
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
mod tests {
    use super::*;
    use crate::store::people::tests::person;
    use crate::store::tests::{Home, both};
    use tokio::task::JoinSet;

    const FACTOR: Uuid = Uuid::from_u128(1);

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
            store.charge_second_factor(FACTOR).await,
            Err(StoreError::NoSuchSecondFactor)
        ));
        assert!(store.spend_step(FACTOR, 1).await.unwrap().is_none());
    }
    }

    both! {
    async fn of_fifty_parallel_uses_of_one_step_one_wins_and_a_restart_forgets_nothing(home) {
        let store = enrolled(&home).await;
        let mut uses = JoinSet::new();
        for _ in 0..50 {
            let store = store.clone();
            uses.spawn(async move { store.spend_step(FACTOR, 1_000).await.unwrap().is_some() });
        }
        let wins = uses.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(wins, 1);
        // Read by another connection while the first store was never closed: nothing hangs on an orderly end.
        let again = home.open().await;
        assert!(again.spend_step(FACTOR, 1_000).await.unwrap().is_none());
        assert!(again.spend_step(FACTOR, 999).await.unwrap().is_none());
        assert_eq!(factor(&again).await.last_step, Some(1_000));
        assert!(again.spend_step(FACTOR, 1_001).await.unwrap().is_some());
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
                uses.spawn(async move { store.spend_step(FACTOR, step).await.unwrap().is_some() });
            }
            let wins = uses.join_all().await.into_iter().filter(|won| *won).count();
            assert_eq!(wins, 1);
            let mut charges = JoinSet::new();
            for store in stores.iter().cycle().take(50) {
                let store = store.clone();
                charges.spawn(async move { store.charge_second_factor(FACTOR).await.unwrap() });
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
            tries.spawn(async move { store.charge_second_factor(FACTOR).await.unwrap().failures });
        }
        let mut counts = tries.join_all().await;
        counts.sort_unstable();
        assert_eq!(counts, (1..=50).collect::<Vec<u32>>());
        let again = home.open().await;
        assert_eq!(
            again.charge_second_factor(FACTOR).await.unwrap().failures,
            51
        );
    }
    }

    both! {
    async fn a_try_that_is_given_up_leaves_the_store_usable(home) {
        let store = enrolled(&home).await;
        for micros in 0..200 {
            let patience = std::time::Duration::from_micros(micros * 20);
            drop(tokio::time::timeout(patience, store.charge_second_factor(FACTOR)).await);
        }
        let before = factor(&store).await.failures;
        assert_eq!(
            store.charge_second_factor(FACTOR).await.unwrap().failures,
            before + 1
        );
    }
    }

    both! {
    async fn only_a_spent_step_ends_a_row_of_failures(home) {
        let store = enrolled(&home).await;
        assert!(store.spend_step(FACTOR, 10).await.unwrap().is_some());
        for expected in 1..=3 {
            assert_eq!(
                store.charge_second_factor(FACTOR).await.unwrap().failures,
                expected
            );
        }
        assert!(store.spend_step(FACTOR, 10).await.unwrap().is_none());
        assert_eq!(factor(&store).await.failures, 3);
        assert!(store.spend_step(FACTOR, 11).await.unwrap().is_some());
        assert_eq!(factor(&store).await.failures, 0);
    }
    }

    both! {
    async fn sealing_anew_forgets_neither_spent_steps_nor_failures(home) {
        let store = enrolled(&home).await;
        assert!(store.spend_step(FACTOR, 10).await.unwrap().is_some());
        store.charge_second_factor(FACTOR).await.unwrap();
        store.put_second_factor("p", FACTOR, b"anew").await.unwrap();
        let kept = factor(&store).await;
        assert_eq!((kept.last_step, kept.failures), (Some(10), 1));
        assert_eq!(kept.sealed_seed, b"anew");
        let other = Uuid::from_u128(2);
        store.put_second_factor("p", other, b"other").await.unwrap();
        let new = factor(&store).await;
        assert_eq!((new.id, new.last_step, new.failures), (other, None, 0));
        assert!(
            store.spend_step(FACTOR, 11).await.unwrap().is_none(),
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
}

//! What one administrator asked for and another has yet to approve, and what one did alone and nobody reviewed yet. Changed by
//! `apply` only.

use std::time::Duration;

use prost::Message as _;

use super::changes::Following;
use super::engine::{Row, query};
use super::error::StoreError;
use super::{Store, from_stored, staged, to_stored};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::proto::stored_request::What;
use crate::proto::{StoredCredentialKind, StoredCredentialRemoval, StoredRequest, StoredReset};

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRequest {
    /// The entry that asked.
    pub index: LogIndex,
    /// As the entry has it.
    pub what: StoredRequest,
    /// By one person alone, carried out, and not reviewed yet.
    pub done: bool,
    /// For how long daemons have served while it waits for its time.
    pub waited: Duration,
}

fn read(row: &Row) -> Result<KeptRequest, StoreError> {
    Ok(KeptRequest {
        index: LogIndex(from_stored(row.try_get("log_index")?)?),
        what: StoredRequest::decode(row.try_get::<&[u8]>("what")?)
            .map_err(|_| StoreError::Damaged("a request".to_owned()))?,
        done: row.try_get("done")?,
        waited: Duration::from_micros(from_stored(row.try_get("waited")?)?),
    })
}

impl Store {
    /// All that are kept, in the order of their entries.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn requests(&self) -> Result<Vec<KeptRequest>, StoreError> {
        let rows = query(
            "SELECT log_index, what, done, waited FROM requests WHERE log = $1 ORDER BY log_index",
        )
        .bind(self.log()?)
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Those that one person carried out alone and that nobody reviewed yet, of all logs: each is reviewed where it was done.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn done_alone(&self) -> Result<Vec<KeptRequest>, StoreError> {
        let rows = query(
            "SELECT log_index, what, done, waited FROM requests WHERE done ORDER BY log, log_index",
        )
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Those that wait for their time have waited for so much longer.
    ///
    /// # Errors
    /// When the store can't be written; they then wait longer by that.
    pub async fn count_waits(&self, by: Duration) -> Result<(), StoreError> {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let mut change = self.change().await?;
        query(
            "UPDATE requests SET waited = waited + $2
             WHERE log = $1 AND ends IS NULL AND NOT done AND waited < $3",
        )
        .bind(self.log()?)
        .bind(micros)
        // Past it nothing is counted: no sum leaves the column's range.
        .bind(i64::MAX / 4)
        .execute(&mut change)
        .await?;
        change.commit().await
    }

    /// Forgets those that nobody can approve any more at `now`.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_expired_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query("DELETE FROM requests WHERE log = $1 AND ends < $2")
            .bind(self.log()?)
            .bind(now.micros())
            .execute(&mut change)
            .await?;
        change.commit().await
    }
}

impl Following<'_> {
    pub(super) async fn ask(
        &mut self,
        index: LogIndex,
        request: &StoredRequest,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO requests (log, log_index, what, done, ends) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(request.encode_to_vec())
        .bind(false)
        .bind(may_end(request).then_some(request.until_us))
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    /// The request of entry `request`, if any, was carried out. What one person asked for alone stays until it is reviewed.
    pub(super) async fn settle(&mut self, request: Option<u64>) -> Result<(), StoreError> {
        let Some(request) = request else {
            return Ok(());
        };
        let found = query("SELECT what FROM requests WHERE log = $1 AND log_index = $2")
            .bind(self.log)
            .bind(to_stored(request)?)
            .fetch_optional(&mut self.change)
            .await?;
        let alone = match &found {
            Some(row) => StoredRequest::decode(row.try_get::<&[u8]>("what")?)
                .is_ok_and(|what| what.effective_us.is_some()),
            None => false,
        };
        if !alone {
            return self.forget_request(request).await;
        }
        query("UPDATE requests SET done = $3, ends = NULL WHERE log = $1 AND log_index = $2")
            .bind(self.log)
            .bind(to_stored(request)?)
            .bind(true)
            .execute(&mut self.change)
            .await?;
        Ok(())
    }

    pub(super) async fn forget_request(&mut self, request: u64) -> Result<(), StoreError> {
        query("DELETE FROM requests WHERE log = $1 AND log_index = $2")
            .bind(self.log)
            .bind(to_stored(request)?)
            .execute(&mut self.change)
            .await?;
        Ok(())
    }

    /// What else was asked for against a factor that is gone must not take the next one away.
    async fn forget_other_resets(&mut self, person: &Name, but: u64) -> Result<(), StoreError> {
        let rows = query("SELECT log_index, what, done FROM requests WHERE log = $1")
            .bind(self.log)
            .fetch_all(&mut self.change)
            .await?;
        for row in rows {
            let index = from_stored(row.try_get("log_index")?)?;
            let request = StoredRequest::decode(row.try_get::<&[u8]>("what")?)
                .map_err(|_| StoreError::Damaged("a request".to_owned()))?;
            let same = match request.what {
                Some(What::ResetSecondFactor(of)) => of == **person,
                Some(What::ResetFactor(of)) => of.person == **person,
                _ => false,
            };
            if same && index != but && !row.try_get::<bool>("done")? {
                self.forget_request(index).await?;
            }
        }
        Ok(())
    }

    /// Whether the person's second factor is this one; none where it is empty.
    async fn has_factor(&mut self, person: &Name, factor: &[u8]) -> Result<bool, StoreError> {
        let found = query("SELECT id FROM second_factors WHERE person = $1")
            .bind(&**person)
            .fetch_optional(&mut self.change)
            .await?;
        let found = found.map(|row| row.try_get::<Vec<u8>>("id")).transpose()?;
        Ok(found.unwrap_or_default() == factor)
    }

    pub(super) async fn reset_second_factor(
        &mut self,
        index: LogIndex,
        reset: &StoredReset,
    ) -> Result<(), StoreError> {
        let person = Name::parse(&reset.person).map_err(|_| StoreError::Change(index))?;
        if let Some(factor) = &reset.factor
            && !self.has_factor(&person, factor).await?
        {
            // Another daemon had the person enrol anew meanwhile: that one was not meant.
            self.settle(Some(reset.settles)).await?;
            return self
                .raise_epoch(index, &reset.person, reset.epoch, None)
                .await;
        }
        // The code for an enrolment as well: it was given out before, who knows to whom.
        for kind in [
            StoredCredentialKind::SecondFactor,
            StoredCredentialKind::EnrollmentCode,
        ] {
            let removed = StoredCredentialRemoval {
                person: person.to_string(),
                kind: kind.into(),
                epoch: 0,
            };
            staged::remove(&mut self.change, index, &removed).await?;
        }
        self.forget_other_resets(&person, reset.settles).await?;
        self.settle(Some(reset.settles)).await?;
        self.raise_epoch(index, &reset.person, reset.epoch, None)
            .await
    }
}

/// Whether nobody can carry it out any more at its end. A reset that was asked for on the host is carried out when it is due,
/// however late that is.
const fn may_end(request: &StoredRequest) -> bool {
    let reset = matches!(
        request.what,
        Some(What::ResetSecondFactor(_) | What::ResetFactor(_))
    );
    request.effective_us.is_none() || !reset
}

//! Incidents and what was done about them, as their entries have it without what people wrote. Each log has its own. They are changed
//! by `apply` only.

use prost::Message as _;

use super::changes::Following;
use super::engine::{Row, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::LogIndex;
use crate::proto::stored_incident_step::What;
use crate::proto::{StoredIncident, StoredIncidentStep};

/// Which are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Those that were closed, too.
    pub closed: bool,
    /// Before this one.
    pub before: Option<LogIndex>,
    /// How many at most.
    pub at_most: u32,
}

/// An incident as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptIncident {
    /// The entry that opened it.
    pub id: LogIndex,
    /// What it was opened with.
    pub opened: StoredIncident,
    /// What was done since, in the order of the log.
    pub steps: Vec<(LogIndex, StoredIncidentStep)>,
}

fn opened(row: &Row) -> Result<(LogIndex, StoredIncident), StoreError> {
    let what = StoredIncident::decode(row.try_get::<&[u8]>("what")?);
    Ok((
        LogIndex(from_stored(row.try_get("log_index")?)?),
        what.map_err(|_| StoreError::Damaged("an incident".to_owned()))?,
    ))
}

fn step(row: &Row) -> Result<(LogIndex, StoredIncidentStep), StoreError> {
    let what = StoredIncidentStep::decode(row.try_get::<&[u8]>("what")?);
    Ok((
        LogIndex(from_stored(row.try_get("log_index")?)?),
        what.map_err(|_| StoreError::Damaged("a step of an incident".to_owned()))?,
    ))
}

impl Store {
    /// An incident with its steps; `None` where there is none.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn incident(&self, id: LogIndex) -> Result<Option<KeptIncident>, StoreError> {
        // No entry is so far on.
        let Ok(stored) = to_stored(id.0) else {
            return Ok(None);
        };
        let found =
            query("SELECT log_index, what FROM incidents WHERE log = $1 AND log_index = $2")
                .bind(self.log()?)
                .bind(stored)
                .fetch_optional(&self.engine)
                .await?;
        match found {
            Some(row) => {
                let (id, opened) = opened(&row)?;
                let steps = self.steps_of(id).await?;
                Ok(Some(KeptIncident { id, opened, steps }))
            }
            None => Ok(None),
        }
    }

    /// Those that are wanted, the newest first, with their steps.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn incidents(&self, wanted: IncidentQuery) -> Result<Vec<KeptIncident>, StoreError> {
        let before = match wanted.before {
            Some(before) => to_stored(before.0)?,
            None => i64::MAX,
        };
        let rows = query(
            "SELECT log_index, what FROM incidents
             WHERE log = $1 AND log_index < $2 AND (closed = $3 OR closed = $4)
             ORDER BY log_index DESC LIMIT $5",
        )
        .bind(self.log()?)
        .bind(before)
        .bind(false)
        .bind(wanted.closed)
        .bind(i64::from(wanted.at_most))
        .fetch_all(&self.engine)
        .await?;
        let mut found = Vec::new();
        for row in &rows {
            let (id, opened) = opened(row)?;
            let steps = self.steps_of(id).await?;
            found.push(KeptIncident { id, opened, steps });
        }
        Ok(found)
    }

    /// How many are open.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn open_incidents(&self) -> Result<u64, StoreError> {
        let row = query("SELECT count(*) AS open FROM incidents WHERE log = $1 AND closed = $2")
            .bind(self.log()?)
            .bind(false)
            .fetch_one(&self.engine)
            .await?;
        from_stored(row.try_get("open")?)
    }

    async fn steps_of(
        &self,
        id: LogIndex,
    ) -> Result<Vec<(LogIndex, StoredIncidentStep)>, StoreError> {
        let rows = query(
            "SELECT log_index, what FROM incident_steps
             WHERE log = $1 AND incident = $2 ORDER BY log_index",
        )
        .bind(self.log()?)
        .bind(to_stored(id.0)?)
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(step).collect()
    }
}

impl Following<'_> {
    pub(super) async fn open_incident(
        &mut self,
        index: LogIndex,
        incident: &StoredIncident,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO incidents (log, log_index, what, closed) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(incident.encode_to_vec())
        .bind(false)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    pub(super) async fn incident_step(
        &mut self,
        index: LogIndex,
        step: &StoredIncidentStep,
    ) -> Result<(), StoreError> {
        let what = step.what.as_ref().ok_or(StoreError::Change(index))?;
        let incident = to_stored(step.incident).map_err(|_| StoreError::Change(index))?;
        query(
            "INSERT INTO incident_steps (log, log_index, incident, what) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(incident)
        .bind(step.encode_to_vec())
        .execute(&mut self.change)
        .await?;
        if matches!(what, What::Closed(_)) {
            query("UPDATE incidents SET closed = $3 WHERE log = $1 AND log_index = $2")
                .bind(self.log)
                .bind(incident)
                .bind(true)
                .execute(&mut self.change)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StoredChange;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{both, change};

    fn step(incident: u64, what: What) -> StoredChange {
        change(Kind::IncidentStep(StoredIncidentStep {
            incident,
            at_us: 5,
            by: "security-1".into(),
            what: Some(what),
        }))
    }

    both! {
    async fn incidents_survive_a_restart_with_their_steps(home) {
        let store = home.open().await;
        let open = |by: &str| change(Kind::OpenIncident(StoredIncident {
            by: by.into(),
            ..StoredIncident::default()
        }));
        let changes = [
            (LogIndex(3), open("security-1")),
            (LogIndex(4), open("security-2")),
            (LogIndex(6), step(3, What::Item(4))),
            (LogIndex(7), step(3, What::NoteUs(9))),
            (LogIndex(8), step(4, What::Closed(true))),
        ];
        store.apply(&changes, 9).await.unwrap();
        store.apply(&changes, 9).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let first = store.incident(LogIndex(3)).await.unwrap().unwrap();
        assert_eq!(first.opened.by, "security-1");
        let steps: Vec<u64> = first.steps.iter().map(|(index, _)| index.0).collect();
        assert_eq!(steps, [6, 7]);
        assert!(store.incident(LogIndex(6)).await.unwrap().is_none());
        assert!(store.incident(LogIndex(u64::MAX)).await.unwrap().is_none());
        let found = async |closed, before: Option<u64>, at_most| {
            let wanted = IncidentQuery { closed, before: before.map(LogIndex), at_most };
            let found = store.incidents(wanted).await.unwrap();
            found.iter().map(|one| one.id.0).collect::<Vec<_>>()
        };
        assert_eq!(found(false, None, 9).await, [3]);
        assert_eq!(found(true, None, 9).await, [4, 3]);
        assert_eq!(found(true, None, 1).await, [4]);
        assert_eq!(found(true, Some(4), 9).await, [3]);
        assert_eq!(store.open_incidents().await.unwrap(), 1);
    }
    }

    both! {
    async fn a_step_that_says_nothing_stops_all(home) {
        let store = home.open().await;
        let empty = change(Kind::IncidentStep(StoredIncidentStep::default()));
        let refused = store.apply(&[(LogIndex(2), empty)], 3).await.unwrap_err();
        assert!(matches!(refused, StoreError::Change(LogIndex(2))), "{refused}");
    }
    }
}

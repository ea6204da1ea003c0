//! Sessions that have not ended, for a restart and for others that share the store. They are changed by `apply` only, by the
//! same rules as in memory (`identity::live`).

use std::net::{IpAddr, Ipv6Addr};

use super::changes::Following;
use super::engine::query;
use super::error::StoreError;
use super::news::Told;
use super::{Store, from_stored, people, to_stored};
use crate::domain::ids::{LogIndex, Name, SessionId};
use crate::domain::time::Timestamp;
use crate::identity::live::LiveSession;
use crate::proto::{StoredServiceEnd, StoredSession, StoredSessionEnd};

impl Store {
    /// Those that are not forgotten yet, whether they have run out or not.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn live_sessions(&self) -> Result<Vec<LiveSession>, StoreError> {
        let rows = query(
            "SELECT session, person, caller, device, began, expires, epoch FROM live_sessions",
        )
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                let damaged = || StoreError::Damaged("a session".to_owned());
                let device: &[u8] = row.try_get("device")?;
                Ok(LiveSession {
                    session: SessionId::from_bytes(row.try_get("session")?).ok_or_else(damaged)?,
                    person: people::read_name(row.try_get("person")?)?,
                    caller: people::read_name(row.try_get("caller")?)?,
                    device: read_device(device).ok_or_else(damaged)?,
                    began: Timestamp::from_micros(row.try_get("began")?),
                    expires: Timestamp::from_micros(row.try_get("expires")?),
                    epoch: from_stored(row.try_get("epoch")?)?,
                })
            })
            .collect()
    }

    /// Forgets of these that they were ended, where that was before `before`. Whoever calls this knows that their tickets are
    /// over, whatever the wall clock says.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_ended_sessions(
        &self,
        ended: &[SessionId],
        before: Timestamp,
    ) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let mut change = self.change().await?;
        for session in ended {
            query("DELETE FROM ended_sessions WHERE session = $1 AND ends_until < $2")
                .bind(session.to_bytes())
                .bind(before.micros())
                .execute(&mut change)
                .await?;
        }
        change.commit().await
    }

    /// Forgets those that had run out at `before`. As for [`Self::forget_ended_sessions`].
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_live_sessions(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query("DELETE FROM live_sessions WHERE expires < $1")
            .bind(before.micros())
            .execute(&mut change)
            .await?;
        change.commit().await
    }

    /// Until when the tickets of services were ended.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn ended_services(&self) -> Result<Vec<(Name, Timestamp)>, StoreError> {
        let rows = query("SELECT service, ended_until FROM ended_services")
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let service = people::read_name(row.try_get("service")?)?;
                Ok((service, Timestamp::from_micros(row.try_get("ended_until")?)))
            })
            .collect()
    }
}

fn read_device(bytes: &[u8]) -> Option<IpAddr> {
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

impl Following<'_> {
    pub(super) async fn open_session(
        &mut self,
        index: LogIndex,
        opened: &StoredSession,
    ) -> Result<(), StoreError> {
        let bad = || StoreError::Change(index);
        let session = SessionId::from_bytes(&opened.session).ok_or_else(bad)?;
        let person = Name::parse(&opened.person).map_err(|_| bad())?;
        let caller = Name::parse(&opened.caller).map_err(|_| bad())?;
        read_device(&opened.device).ok_or_else(bad)?;
        query(
            "INSERT INTO live_sessions (session, person, caller, device, began, expires, epoch)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(session.to_bytes())
        .bind(&*person)
        .bind(&*caller)
        .bind(opened.device.as_slice())
        .bind(opened.began_us)
        .bind(opened.expires_us)
        .bind(to_stored(opened.epoch).map_err(|_| bad())?)
        .execute(&mut self.change)
        .await?;
        let rows = query(
            "SELECT session, expires FROM live_sessions WHERE person = $1 AND expires > $2
             ORDER BY CASE WHEN began > $3 THEN 1 ELSE 0 END, began DESC, session DESC",
        )
        .bind(&*person)
        .bind(opened.began_us)
        .bind(
            Timestamp::from_micros(opened.began_us)
                .plus(Timestamp::AHEAD_MAX)
                .micros(),
        )
        .fetch_all(&mut self.change)
        .await?;
        let stays = usize::try_from(opened.at_most).unwrap_or(usize::MAX);
        for row in rows.iter().skip(stays) {
            let session: &[u8] = row.try_get("session")?;
            self.forget_session(index, session, row.try_get("expires")?)
                .await?;
        }
        self.tell(Told::Live).await
    }

    /// It ended before it had run out.
    async fn forget_session(
        &mut self,
        index: LogIndex,
        session: &[u8],
        until_us: i64,
    ) -> Result<(), StoreError> {
        let ended = StoredSessionEnd {
            session: session.to_vec(),
            until_us,
        };
        self.end_session(index, &ended).await
    }

    pub(super) async fn raise_epoch(
        &mut self,
        index: LogIndex,
        person: &str,
        epoch: u64,
    ) -> Result<(), StoreError> {
        let person = Name::parse(person).map_err(|_| StoreError::Change(index))?;
        query("UPDATE people SET epoch = $2 WHERE id = $1 AND epoch < $2")
            .bind(&*person)
            .bind(to_stored(epoch).map_err(|_| StoreError::Change(index))?)
            .execute(&mut self.change)
            .await?;
        query("DELETE FROM live_sessions WHERE person = $1")
            .bind(&*person)
            .execute(&mut self.change)
            .await?;
        self.tell(Told::People).await?;
        self.tell(Told::Live).await
    }

    pub(super) async fn end_service(
        &mut self,
        index: LogIndex,
        end: &StoredServiceEnd,
    ) -> Result<(), StoreError> {
        let service = Name::parse(&end.service).map_err(|_| StoreError::Change(index))?;
        query(
            "INSERT INTO ended_services (service, ended_until) VALUES ($1, $2)
             ON CONFLICT (service) DO UPDATE SET ended_until = excluded.ended_until
             WHERE excluded.ended_until > ended_services.ended_until",
        )
        .bind(&*service)
        .bind(end.until_us)
        .execute(&mut self.change)
        .await?;
        query("DELETE FROM live_sessions WHERE caller = $1")
            .bind(&*service)
            .execute(&mut self.change)
            .await?;
        self.tell(Told::Live).await
    }
}

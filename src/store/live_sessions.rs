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
            "SELECT session, person, caller, device, began, expires, epoch, generation
             FROM live_sessions",
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
                    generation: from_stored(row.try_get("generation")?)?,
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

    /// The generation of each service whose tickets were ever ended; any other's is 0.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn generations(&self) -> Result<Vec<(Name, u64)>, StoreError> {
        let rows = query("SELECT service, generation FROM service_generations")
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let service = people::read_name(row.try_get("service")?)?;
                Ok((service, from_stored(row.try_get("generation")?)?))
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
        // One that was ended is not brought back.
        query(
            "INSERT INTO live_sessions
                 (session, person, caller, device, began, expires, epoch, generation)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8
             WHERE NOT EXISTS (SELECT 1 FROM ended_sessions WHERE session = $1)
             ON CONFLICT DO NOTHING",
        )
        .bind(session.to_bytes())
        .bind(&*person)
        .bind(&*caller)
        .bind(opened.device.as_slice())
        .bind(opened.began_us)
        .bind(opened.expires_us)
        .bind(to_stored(opened.epoch).map_err(|_| bad())?)
        .bind(to_stored(opened.generation).map_err(|_| bad())?)
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

    /// It ended before it had run out. Whose it is, only the store is sure to know: the daemon that made the change has to be
    /// told as well.
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
        self.end_session(index, &ended).await?;
        self.tell_all(Told::Session(session)).await
    }

    /// Every session of a person ends, but the one that `goes_on` under the new epoch.
    ///
    /// The epoch is raised to `epoch`, and by one at least: where somebody else raised it since `epoch` was counted, the tickets
    /// of that one end too, `goes_on` among them.
    pub(super) async fn raise_epoch(
        &mut self,
        index: LogIndex,
        person: &str,
        epoch: u64,
        goes_on: Option<&StoredSession>,
    ) -> Result<(), StoreError> {
        let person = Name::parse(person).map_err(|_| StoreError::Change(index))?;
        let counted = to_stored(epoch).map_err(|_| StoreError::Change(index))?;
        query(
            "UPDATE people SET epoch = CASE WHEN epoch + 1 > $2 THEN epoch + 1 ELSE $2 END
             WHERE id = $1",
        )
        .bind(&*person)
        .bind(counted)
        .execute(&mut self.change)
        .await?;
        query("DELETE FROM live_sessions WHERE person = $1")
            .bind(&*person)
            .execute(&mut self.change)
            .await?;
        let as_counted = self.epoch_of(&person).await?.is_none_or(|it| it == counted);
        match goes_on {
            Some(session) if as_counted => self.open_session(index, session).await?,
            _ => {}
        }
        if !as_counted {
            self.tell_all(Told::People).await?;
        }
        self.tell(Told::People).await?;
        self.tell(Told::Live).await
    }

    async fn epoch_of(&mut self, person: &str) -> Result<Option<i64>, StoreError> {
        let row = query("SELECT epoch FROM people WHERE id = $1")
            .bind(person)
            .fetch_optional(&mut self.change)
            .await?;
        row.map(|row| row.try_get("epoch")).transpose()
    }

    /// Whether somebody else raised a person's epoch since `epoch` was counted, which is one more than theirs was then.
    pub(super) async fn is_stale(&mut self, person: &str, epoch: u64) -> Result<bool, StoreError> {
        if epoch == 0 {
            return Ok(false);
        }
        let now = self.epoch_of(person).await?;
        Ok(now.is_some_and(|now| from_stored(now).is_ok_and(|now| now >= epoch)))
    }

    pub(super) async fn end_service(
        &mut self,
        index: LogIndex,
        end: &StoredServiceEnd,
    ) -> Result<(), StoreError> {
        let service = Name::parse(&end.service).map_err(|_| StoreError::Change(index))?;
        let counted = to_stored(end.generation.max(1)).map_err(|_| StoreError::Change(index))?;
        query(
            "INSERT INTO service_generations (service, generation) VALUES ($1, $2)
             ON CONFLICT (service) DO UPDATE SET generation =
                 CASE WHEN service_generations.generation + 1 > excluded.generation
                 THEN service_generations.generation + 1 ELSE excluded.generation END",
        )
        .bind(&*service)
        .bind(counted)
        .execute(&mut self.change)
        .await?;
        let row = query("SELECT generation FROM service_generations WHERE service = $1")
            .bind(&*service)
            .fetch_one(&mut self.change)
            .await?;
        let generation: i64 = row.try_get("generation")?;
        query("DELETE FROM live_sessions WHERE caller = $1 AND generation < $2")
            .bind(&*service)
            .bind(generation)
            .execute(&mut self.change)
            .await?;
        if generation != counted {
            // Others raised it meanwhile: whoever counted has to be told as well.
            self.tell_all(Told::Live).await?;
        }
        self.tell(Told::Live).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::proto::{StoredChange, StoredCredentialKind, StoredEpoch, StoredTakeUp};
    use crate::store::people::tests::person;
    use crate::store::tests::{Home, both, change};
    use crate::store::{NewCredential, Store};
    use uuid::Uuid;

    const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

    fn opened(session: u128, began: i64, epoch: u64, generation: u64) -> StoredSession {
        StoredSession {
            session: Uuid::from_u128(session).as_bytes().to_vec(),
            person: "p".to_owned(),
            caller: "crm".to_owned(),
            device: vec![0; 16],
            began_us: began,
            expires_us: 1_000,
            at_most: 3,
            epoch,
            generation,
        }
    }

    async fn apply(store: &Store, kind: Kind) {
        let at = store.applied().await.unwrap();
        let changes: [(LogIndex, StoredChange); 1] = [(LogIndex(at), change(kind))];
        store.apply(&changes, at + 1).await.unwrap();
    }

    async fn live(store: &Store) -> Vec<(u128, u64)> {
        let mut live: Vec<(u128, u64)> = store
            .live_sessions()
            .await
            .unwrap()
            .iter()
            .map(|one| (one.session.0.as_u128(), one.epoch))
            .collect();
        live.sort_unstable();
        live
    }

    async fn epoch(store: &Store) -> u64 {
        store.people().await.unwrap()[0].epoch
    }

    async fn with_person(store: &Store) {
        let mut person = person("p", &[]);
        person.epoch = 0;
        store.put_person(&person).await.unwrap();
        store.put_password("p", "old").await.unwrap();
    }

    async fn set_password(store: &Store, epoch: u64, goes_on: Option<StoredSession>) {
        let new = NewCredential::Password {
            hash: "new".to_owned(),
            must_change: false,
        };
        let staged = store.stage("p", &new, NEVER).await.unwrap();
        let taken = StoredTakeUp {
            staged: staged.as_bytes().to_vec(),
            person: "p".to_owned(),
            kind: StoredCredentialKind::Password.into(),
            epoch,
            serial: String::new(),
            goes_on,
            ..StoredTakeUp::default()
        };
        apply(store, Kind::TakeUpCredential(taken)).await;
    }

    both! {
    async fn an_epoch_is_raised_by_one_at_least_whatever_was_counted(home) {
        let store = home.open().await;
        with_person(&store).await;
        let raise = |epoch| {
            let person = "p".to_owned();
            Kind::RaiseEpoch(StoredEpoch { person, epoch })
        };
        for (counted, is) in [(1, 1), (1, 2), (9, 9), (3, 10)] {
            apply(&store, Kind::OpenSession(opened(u128::from(is), 5, is - 1, 0))).await;
            apply(&store, raise(counted)).await;
            assert_eq!((epoch(&store).await, live(&store).await), (is, vec![]));
        }
    }
    }

    both! {
    async fn the_session_of_a_change_goes_on_under_the_new_epoch_unless_it_was_ended(home) {
        let store = home.open().await;
        with_person(&store).await;
        for session in [1, 2] {
            apply(&store, Kind::OpenSession(opened(session, 5, 0, 0))).await;
        }
        set_password(&store, 1, Some(opened(2, 5, 1, 0))).await;
        assert_eq!(live(&store).await, [(2, 1)]);
        store.close().await;
        let store = home.open().await;
        assert_eq!(live(&store).await, [(2, 1)]);
        let end = StoredSessionEnd {
            session: Uuid::from_u128(2).as_bytes().to_vec(),
            until_us: 1_000,
        };
        apply(&store, Kind::EndSession(end)).await;
        set_password(&store, 2, Some(opened(2, 5, 2, 0))).await;
        assert_eq!(live(&store).await, []);
    }
    }

    both! {
    async fn of_two_changes_of_one_persons_password_that_knew_nothing_of_each_other_neither_counts(home) {
        let store = home.open().await;
        with_person(&store).await;
        set_password(&store, 1, None).await;
        let hash = |store: Store| async move {
            let credential = store.credential("p").await.unwrap();
            credential.map(|credential| credential.password_hash)
        };
        assert_eq!(hash(store.clone()).await.as_deref(), Some("new"));
        // It was counted before the other was known.
        set_password(&store, 1, Some(opened(2, 5, 1, 0))).await;
        assert_eq!(hash(store.clone()).await, None);
        assert_eq!((epoch(&store).await, live(&store).await), (2, vec![]));
    }
    }

    both! {
    async fn the_end_of_a_service_counts_and_leaves_what_began_afterwards(home) {
        let store = home.open().await;
        let end = |generation| {
            let service = "crm".to_owned();
            Kind::EndService(StoredServiceEnd { service, generation })
        };
        let crm = Name::parse("crm").unwrap();
        for (counted, is) in [(1, 1), (1, 2), (0, 3), (7, 7)] {
            apply(&store, Kind::OpenSession(opened(1, 5, 0, is - 1))).await;
            apply(&store, end(counted)).await;
            assert_eq!(store.generations().await.unwrap(), [(crm.clone(), is)]);
            assert_eq!(live(&store).await, []);
        }
        apply(&store, Kind::OpenSession(opened(1, 5, 0, 8))).await;
        apply(&store, end(8)).await;
        assert_eq!(live(&store).await, [(1, 0)]);
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.generations().await.unwrap(), [(crm, 8)]);
    }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_made_a_change_hears_of_what_only_the_store_knew() {
        let home = Home::postgres();
        let first = home.open().await;
        let second = home.open_shared("log-b").await;
        for session in 1..=3 {
            apply(&first, Kind::OpenSession(opened(session, 5, 0, 0))).await;
        }
        let seen = second.newest_change().await.unwrap();
        apply(&second, Kind::OpenSession(opened(4, 6, 0, 0))).await;
        let news = second.news_since(seen).await.unwrap();
        let oldest = SessionId(Uuid::from_u128(1));
        assert_eq!(news.sessions, [(oldest, Timestamp::from_micros(1_000))]);
        assert!(!news.people && !news.live, "{news:?}");
        // Counted without the one before.
        with_person(&first).await;
        let raise = || {
            let person = "p".to_owned();
            Kind::RaiseEpoch(StoredEpoch { person, epoch: 1 })
        };
        apply(&first, raise()).await;
        let seen = second.newest_change().await.unwrap();
        apply(&second, raise()).await;
        assert!(second.news_since(seen).await.unwrap().people);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_else_changes_anything_during_a_turn() {
        let home = Home::postgres();
        let first = home.open().await;
        let second = home.open_shared("log-b").await;
        let turn = first.turn().await.unwrap().unwrap();
        let other = second.clone();
        let waiting = tokio::spawn(async move {
            apply(&other, Kind::OpenSession(opened(2, 6, 0, 0))).await;
        });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        assert_eq!(live(&first).await, []);
        let changes = [(LogIndex(0), change(Kind::OpenSession(opened(1, 5, 0, 0))))];
        first.apply_in(turn, &changes, 1).await.unwrap();
        waiting.await.unwrap();
        assert_eq!(live(&first).await, [(1, 0), (2, 0)]);
        // One that is dropped is given back.
        drop(first.turn().await.unwrap().unwrap());
        apply(&second, Kind::OpenSession(opened(3, 7, 0, 0))).await;
        assert_eq!(live(&second).await, [(1, 0), (2, 0), (3, 0)]);
        assert!(Home::sqlite().open().await.turn().await.unwrap().is_none());
    }
}

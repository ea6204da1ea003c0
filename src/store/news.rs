//! What other daemons changed in a store that several share, so that each can follow what it keeps in memory: people, ended
//! sessions, holds, dates and references.
//!
//! Every change that others have to learn of gets a number in the transaction that makes it. Whoever makes one takes the row
//! with the newest number first and keeps it until the commit: numbers therefore appear in their order, none is filled in
//! later, and whoever has seen a number has seen all before it. Where nobody shares the store nothing is written.

use super::engine::{Transaction, query};
use super::error::StoreError;
use super::imports::{self, Folded};
use super::people::read_name;
use super::{Store, from_stored, references, to_stored};
use crate::domain::ids::{Name, SessionId};
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, SubjectState, Words};
use crate::domain::time::Timestamp;

/// How many are kept: a daemon that was away for longer reads all anew.
const KEPT: i64 = 100_000;
/// How many are read at once.
const AT_ONCE: i64 = 500;
/// How many that tell of thousands of subjects each.
const IMPORTED_AT_ONCE: usize = 4;

/// In place of a log's number: a change from outside of a daemon, or what not even the daemon knows that made it.
const NOBODYS: i64 = 0;

const PEOPLE: i64 = 1;
const SESSION: i64 = 2;
const SUBJECT: i64 = 3;
const LIVE: i64 = 4;
const GENERAL: i64 = 5;
const IMPORTED: i64 = 6;
const LOST: i64 = 7;

/// What others are told of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told<'a> {
    /// Somebody's standing.
    People,
    /// A session was ended.
    Session(&'a [u8]),
    /// A hold, a date or a reference of a subject.
    Subject(&'a [u8]),
    /// A reference that is for nobody in particular: its id.
    General(&'a str),
    /// Something of many subjects of an import.
    Imported(&'a Folded),
    /// Which imports are lost.
    Lost,
    /// Who is logged in, or which services' tickets were ended.
    Live,
}

/// What others changed.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct News {
    /// The number up to which it was read: where to go on.
    pub seen: u64,
    /// Whether there is more to read at once.
    pub more: bool,
    /// Too much was missed: everything has to be read anew.
    pub all: bool,
    /// Somebody's standing changed: people have to be read anew.
    pub people: bool,
    /// Somebody logged in, or a service's tickets were ended: both have to be read anew.
    pub live: bool,
    /// Sessions that were ended, each with the end of its last ticket.
    pub sessions: Vec<(SessionId, Timestamp)>,
    /// What is registered now of the subjects of whom something changed; nothing where all was released.
    pub subjects: Vec<(Pseudonym, SubjectState)>,
    /// What is registered now for nobody in particular, under the ids where something changed.
    pub general: Vec<(Name, Vec<Reference>)>,
    /// Which imports are lost has to be read anew.
    pub lost: bool,
}

impl Store {
    /// Whether other daemons may change what is in it.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        self.engine.is_shared()
    }

    /// The number of the newest change: what is read of the store afterwards holds it and all before it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn newest_change(&self) -> Result<u64, StoreError> {
        let row = query("SELECT newest FROM changes")
            .fetch_one(&self.engine)
            .await?;
        from_stored(row.try_get("newest")?)
    }

    /// What others changed after the change numbered `seen`; a part of it where it is much.
    ///
    /// # Errors
    /// When the store can't be read; [`StoreError::PutBack`] when it never had so many changes.
    pub async fn news_since(&self, seen: u64) -> Result<News, StoreError> {
        let newest = self.newest_change().await?;
        let mut news = News {
            seen: newest,
            ..News::default()
        };
        if newest == seen {
            return Ok(news);
        }
        if newest < seen {
            return Err(StoreError::PutBack { seen, newest });
        }
        // Of each number there is a row, one's own as well: where they don't follow on, some were forgotten.
        let mut rows = query(
            "SELECT number, log, what, what_id FROM news WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(to_stored(seen)?)
        .bind(AT_ONCE)
        .fetch_all(&self.engine)
        .await?;
        let own = self.log.get().copied();
        let mut large = 0;
        let mut cut = rows.len();
        for (position, row) in rows.iter().enumerate() {
            let is_large =
                row.try_get::<i64>("what")? == IMPORTED && own != Some(row.try_get("log")?);
            large += usize::from(is_large);
            if large == IMPORTED_AT_ONCE {
                cut = position.saturating_add(1);
                break;
            }
        }
        rows.truncate(cut);
        let numbers = rows.iter().map(|row| row.try_get::<i64>("number"));
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            news.all = true;
            return Ok(news);
        };
        if from_stored(*first)? > seen.saturating_add(1) {
            news.all = true;
            return Ok(news);
        }
        // One that came after the newest was looked at is as good.
        news.seen = from_stored(*last)?;
        news.more = news.seen < newest;
        let (mut subjects, mut general, mut imported) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            if own == Some(row.try_get("log")?) {
                continue;
            }
            let id: Option<Vec<u8>> = row.try_get("what_id")?;
            match (row.try_get("what")?, id) {
                (PEOPLE, _) => news.people = true,
                (LIVE, _) => news.live = true,
                (LOST, _) => news.lost = true,
                (SESSION, Some(id)) => news.sessions.extend(self.ended_session(id).await?),
                (SUBJECT, Some(id)) => subjects.push(id),
                (GENERAL, Some(id)) => general.push(id),
                (IMPORTED, Some(id)) => imported.push(id),
                _ => return Err(StoreError::Damaged("news of an unknown kind".to_owned())),
            }
        }
        for id in imported {
            let folded = Folded::from_bytes(&id)
                .ok_or_else(|| StoreError::Damaged("news of an import".to_owned()))?;
            match self.subjects_of(&folded).await? {
                Some(of) => news.subjects.extend(of),
                // It is not there any more.
                None => news.all = true,
            }
        }
        subjects.sort_unstable();
        subjects.dedup();
        for subject in subjects {
            news.subjects.push(self.subject(subject).await?);
        }
        general.sort_unstable();
        general.dedup();
        for id in general {
            news.general.push(self.general_of(&id).await?);
        }
        Ok(news)
    }

    /// Forgets what every daemon that is not far behind has read.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_old_news(&self) -> Result<(), StoreError> {
        if !self.has_others() {
            return Ok(());
        }
        let mut change = self.change().await?;
        query("DELETE FROM news WHERE number <= (SELECT newest FROM changes) - $1")
            .bind(KEPT)
            .execute(&mut change)
            .await?;
        change.commit().await
    }

    /// Takes the row of the newest number: before any other row, so that nobody waits for each other in a circle.
    pub(super) async fn take_turn(&self, change: &mut Transaction) -> Result<(), StoreError> {
        if self.has_others() {
            query("UPDATE changes SET newest = newest")
                .execute(change)
                .await?;
        }
        Ok(())
    }

    /// Lets others know, once the change is committed. The turn must have been taken.
    pub(super) async fn tell_others(
        &self,
        change: &mut Transaction,
        told: Told<'_>,
    ) -> Result<(), StoreError> {
        self.tell_as(change, told, self.log.get().copied().unwrap_or(NOBODYS))
            .await
    }

    /// As [`Self::tell_others`], and the daemon that makes the change with them.
    pub(super) async fn tell_all(
        &self,
        change: &mut Transaction,
        told: Told<'_>,
    ) -> Result<(), StoreError> {
        self.tell_as(change, told, NOBODYS).await
    }

    async fn tell_as(
        &self,
        change: &mut Transaction,
        told: Told<'_>,
        log: i64,
    ) -> Result<(), StoreError> {
        if !self.has_others() {
            return Ok(());
        }
        let (what, id) = match told {
            Told::People => (PEOPLE, None),
            Told::Live => (LIVE, None),
            Told::Lost => (LOST, None),
            Told::Session(id) => (SESSION, Some(id.to_vec())),
            Told::Subject(id) => (SUBJECT, Some(id.to_vec())),
            Told::General(id) => (GENERAL, Some(id.as_bytes().to_vec())),
            Told::Imported(folded) => (IMPORTED, Some(folded.to_bytes())),
        };
        query("UPDATE changes SET newest = newest + 1")
            .execute(change)
            .await?;
        query(
            "INSERT INTO news (number, log, what, what_id) SELECT newest, $1, $2, $3 FROM changes",
        )
        .bind(log)
        .bind(what)
        .bind(id)
        .execute(change)
        .await?;
        Ok(())
    }

    /// Lets others know of all that an import has for nobody in particular, in one go: others wait for the turn.
    pub(super) async fn tell_of_general(
        &self,
        change: &mut Transaction,
        batch: &[u8],
        log: i64,
    ) -> Result<(), StoreError> {
        if !self.has_others() {
            return Ok(());
        }
        query(
            "UPDATE changes SET newest = newest + (
                 SELECT count(DISTINCT name) FROM imported WHERE batch = $1 AND length(subject) = 0)",
        )
        .bind(batch)
        .execute(change)
        .await?;
        // The last of them has the newest number. Only PostgreSQL is shared.
        query(
            "INSERT INTO news (number, log, what, what_id)
             SELECT changes.newest - row_number() OVER () + 1, $2, $3, convert_to(ids.name, 'UTF8')
             FROM changes, (SELECT DISTINCT name FROM imported
                 WHERE batch = $1 AND length(subject) = 0) AS ids",
        )
        .bind(batch)
        .bind(log)
        .bind(GENERAL)
        .execute(change)
        .await?;
        Ok(())
    }

    async fn ended_session(
        &self,
        id: Vec<u8>,
    ) -> Result<Option<(SessionId, Timestamp)>, StoreError> {
        let session = SessionId::from_bytes(&id)
            .ok_or_else(|| StoreError::Damaged("a session's id".to_owned()))?;
        let row = query("SELECT ends_until FROM ended_sessions WHERE session = $1")
            .bind(id)
            .fetch_optional(&self.engine)
            .await?;
        // None: it was forgotten, since no ticket of it can be shown any more.
        row.map(|row| Ok((session, Timestamp::from_micros(row.try_get("ends_until")?))))
            .transpose()
    }

    async fn subject(&self, id: Vec<u8>) -> Result<(Pseudonym, SubjectState), StoreError> {
        let subject = Pseudonym::from_bytes(&id)
            .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))?;
        // All as of one moment: what is put in its place between two looks would be in neither.
        let mut reading = self.engine.reading().await?;
        let rows = query(
            "SELECT hold AS name, NULL AS value FROM holds WHERE subject = $1
             UNION ALL SELECT date, value FROM dates WHERE subject = $1",
        )
        .bind(id)
        .fetch_all(&mut reading)
        .await?;
        let mut state = SubjectState::default();
        let mut words = Words::default();
        for row in &rows {
            let name = words.word(&read_name(row.try_get("name")?)?);
            match row.try_get::<Option<i64>>("value")? {
                None => state.holds.push(name),
                Some(micros) => state.dates.push((name, Timestamp::from_micros(micros))),
            }
        }
        let references =
            references::registered(&mut reading, Some(subject), None, usize::MAX).await?;
        state.references = references.into();
        // After the tables: what is on its way there was registered later.
        for row in imports::on_the_way(&mut reading, subject).await? {
            row.put_into(&mut state);
        }
        reading.rollback().await?;
        Ok((subject, state))
    }
}

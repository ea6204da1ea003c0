//! Records of provision and of receipt, as they are found: by the other party, the person, the time, what became of them. What
//! they say is in the entries of the log; this is made from those, entry by entry in their order, and can be made anew.

use super::engine::{Row, Transaction, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::{LogIndex, RecordId};
use crate::domain::record::{RecordKind, RecordStatus};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;

/// What an entry says of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChange {
    /// It is there from this entry on.
    Opened {
        /// The entry.
        index: LogIndex,
        /// Names it.
        id: RecordId,
        /// Of which sort.
        kind: RecordKind,
        /// When it was allowed, or received.
        at: Timestamp,
        /// When the entry was written.
        written: Timestamp,
        /// Until when it is kept.
        keep_until: Timestamp,
        /// The recipient's id in the pack; empty for a receipt.
        party: String,
        /// Stands for the other party's name; `None` where that can't be read.
        name_key: Option<Pseudonym>,
        /// By which route; empty for a receipt.
        route: String,
        /// Whose data.
        people: Vec<Pseudonym>,
    },
    /// What came of it was reported.
    Closed {
        /// The entry of the report.
        index: LogIndex,
        /// Names it.
        id: RecordId,
        /// Nothing was provided.
        abandoned: bool,
        /// Whose data were really provided; empty where all of them were.
        people: Vec<Pseudonym>,
    },
}

impl RecordChange {
    const fn index(&self) -> LogIndex {
        match self {
            Self::Opened { index, .. } | Self::Closed { index, .. } => *index,
        }
    }
}

/// What is looked for; what is empty or missing is not asked.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// The recipient's id, or what stands for the other party's name: either will do.
    pub party: Option<(String, Pseudonym)>,
    /// Of whose data.
    pub subject: Option<Pseudonym>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// What became of it.
    pub status: Option<RecordStatus>,
    /// Of which sort.
    pub kind: Option<RecordKind>,
    /// By which route.
    pub route: String,
}

/// Where a record stands among all of them: the newest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// When it was allowed, or received.
    pub at: Timestamp,
    /// The number of its log.
    pub log: u64,
    /// Its entry.
    pub index: LogIndex,
}

/// A record as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecord {
    /// Names it.
    pub id: RecordId,
    /// Where it stands.
    pub place: RecordPlace,
    /// Its log's name, and whether that is this daemon's.
    pub log: (String, bool),
    /// Of which sort.
    pub kind: RecordKind,
    /// What became of it.
    pub status: RecordStatus,
    /// Until when it is kept.
    pub keep_until: Timestamp,
    /// The recipient's id in the pack; empty for a receipt.
    pub party: String,
    /// By which route; empty for a receipt.
    pub route: String,
    /// The entry of the outcome.
    pub closed: Option<LogIndex>,
    /// Of how many people it is; once it is closed, of how many it really was.
    pub people: u64,
}

/// `$1` to `$10` as [`Store::records`] binds them; `$11` is how many.
const FOUND: &str = "
    SELECT r.id, r.log, r.log_index, l.name AS log_name, r.kind, r.status, r.at, r.keep_until, r.party,
        r.route, r.closed_index,
        (SELECT count(*) FROM record_people p
         WHERE p.log = r.log AND p.log_index = r.log_index AND p.provided) AS people
    FROM records r JOIN logs l ON l.number = r.log
    WHERE ($1 = '' OR r.party = $1 OR r.name_key = $2) AND r.at >= $3 AND r.at < $4
        AND ($5 = 0 OR r.status = $5) AND ($6 = 0 OR r.kind = $6) AND ($7 = '' OR r.route = $7)
        AND (r.at, r.log, r.log_index) < ($8, $9, $10)
    ORDER BY r.at DESC, r.log DESC, r.log_index DESC LIMIT $11";

/// The same of one person: `$12`.
const FOUND_OF: &str = "
    SELECT r.id, r.log, r.log_index, l.name AS log_name, r.kind, r.status, r.at, r.keep_until, r.party,
        r.route, r.closed_index,
        (SELECT count(*) FROM record_people p
         WHERE p.log = r.log AND p.log_index = r.log_index AND p.provided) AS people
    FROM record_people s
        JOIN records r ON r.log = s.log AND r.log_index = s.log_index
        JOIN logs l ON l.number = r.log
    WHERE ($1 = '' OR r.party = $1 OR r.name_key = $2) AND r.at >= $3 AND r.at < $4
        AND ($5 = 0 OR r.status = $5) AND ($6 = 0 OR r.kind = $6) AND ($7 = '' OR r.route = $7)
        AND (r.at, r.log, r.log_index) < ($8, $9, $10)
        AND s.subject = $12 AND s.provided
    ORDER BY r.at DESC, r.log DESC, r.log_index DESC LIMIT $11";

/// Whose time is over, but for what a hold of its log keeps.
const OVER: &str = "
    SELECT log, log_index FROM records r
    WHERE keep_until < $1 AND NOT EXISTS (
        SELECT 1 FROM log_holds h
        WHERE h.log = r.log
            AND (h.held_from IS NULL OR h.held_from <= COALESCE(r.written, r.at))
            AND (h.held_until IS NULL OR h.held_until > COALESCE(r.written, r.at)))
    LIMIT 1000";

impl Store {
    /// The length of the log up to which its records are here.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn recorded(&self) -> Result<u64, StoreError> {
        let row = query("SELECT recorded FROM logs WHERE number = $1")
            .bind(self.log()?)
            .fetch_one(&self.engine)
            .await?;
        from_stored(row.try_get("recorded")?)
    }

    /// Takes in what the entries up to `read` say of records, in one transaction. Durable when it returns.
    ///
    /// The caller must hand over every change between the mark and `read`, in the order of the log; what was taken in before may be
    /// among it, as long as everything behind it is too.
    ///
    /// # Errors
    /// When the store can't be written; then nothing is taken in, and the mark stays.
    pub async fn take_records(
        &self,
        changes: &[RecordChange],
        read: u64,
    ) -> Result<(), StoreError> {
        let log = self.log()?;
        let mut change = self.change().await?;
        // Takes the row: nobody else moves the mark before this is over.
        query("UPDATE logs SET recorded = recorded WHERE number = $1")
            .bind(log)
            .execute(&mut change)
            .await?;
        let mark: i64 = query("SELECT recorded FROM logs WHERE number = $1")
            .bind(log)
            .fetch_one(&mut change)
            .await?
            .try_get("recorded")?;
        let mark = from_stored(mark)?;
        for one in changes.iter().filter(|one| one.index().0 >= mark) {
            take(&mut change, log, one).await?;
        }
        query("UPDATE logs SET recorded = $2 WHERE number = $1")
            .bind(log)
            .bind(to_stored(mark.max(read))?)
            .execute(&mut change)
            .await?;
        change.commit().await
    }

    /// Forgets the records of this log from entry `length` on, and what entries from there on say of older ones: an older copy of the
    /// log took the place of the one that they were read from. The mark goes back to where all of it is read again.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_records_from(&self, length: u64) -> Result<(), StoreError> {
        let (log, length) = (self.log()?, to_stored(length)?);
        let mut change = self.change().await?;
        let reopened = query(
            "SELECT MIN(log_index) AS reopened FROM records
             WHERE log = $1 AND log_index < $2 AND closed_index >= $2",
        )
        .bind(log)
        .bind(length)
        .fetch_one(&mut change)
        .await?;
        let reopened: Option<i64> = reopened.try_get("reopened")?;
        for statement in [
            // Of whom one was when it was opened is read again.
            "DELETE FROM record_people WHERE log = $1 AND (log_index >= $2 OR log_index IN
                 (SELECT r.log_index FROM records r WHERE r.log = $1 AND r.closed_index >= $2))",
            "DELETE FROM records WHERE log = $1 AND log_index >= $2",
        ] {
            query(statement)
                .bind(log)
                .bind(length)
                .execute(&mut change)
                .await?;
        }
        query(
            "UPDATE records SET status = $3, closed_index = NULL WHERE log = $1 AND closed_index >= $2",
        )
        .bind(log)
        .bind(length)
        .bind(i64::from(RecordStatus::Open.number()))
        .execute(&mut change)
        .await?;
        query("UPDATE logs SET recorded = $2 WHERE number = $1 AND recorded > $2")
            .bind(log)
            .bind(reopened.map_or(length, |reopened| reopened.min(length)))
            .execute(&mut change)
            .await?;
        change.commit().await
    }

    /// Forgets records whose time is over at `now`, of all logs, but for what a hold of its log keeps: a thousand at most. Returns how
    /// many there were.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_old_records(&self, now: Timestamp) -> Result<u64, StoreError> {
        let over = query(OVER)
            .bind(now.micros())
            .fetch_all(&self.engine)
            .await?;
        if over.is_empty() {
            return Ok(0);
        }
        let mut change = self.change().await?;
        for row in &over {
            let (log, index): (i64, i64) = (row.try_get("log")?, row.try_get("log_index")?);
            for statement in [
                "DELETE FROM record_people WHERE log = $1 AND log_index = $2",
                "DELETE FROM records WHERE log = $1 AND log_index = $2",
            ] {
                query(statement)
                    .bind(log)
                    .bind(index)
                    .execute(&mut change)
                    .await?;
            }
        }
        change.commit().await?;
        Ok(over.len() as u64)
    }

    /// Records that fit, the newest first, at most `most`; `after` a place, those behind it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn records(
        &self,
        wanted: &RecordQuery,
        after: Option<RecordPlace>,
        most: u32,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        let statement = match wanted.subject {
            Some(_) => FOUND_OF,
            None => FOUND,
        };
        let at = |at: Option<Timestamp>, otherwise: i64| at.map_or(otherwise, Timestamp::micros);
        let after = after.unwrap_or(RecordPlace {
            at: Timestamp::from_micros(i64::MAX),
            log: 0,
            index: LogIndex(0),
        });
        let (party, name_key) = wanted
            .party
            .as_ref()
            .map_or(("", None), |(id, key)| (id.as_str(), Some(key.0.to_vec())));
        let mut found = query(statement)
            .bind(party)
            .bind(name_key)
            .bind(at(wanted.from, i64::MIN))
            .bind(at(wanted.until, i64::MAX))
            .bind(i64::from(wanted.status.map_or(0, RecordStatus::number)))
            .bind(i64::from(wanted.kind.map_or(0, RecordKind::number)))
            .bind(&wanted.route)
            .bind(after.at.micros())
            .bind(to_stored(after.log)?)
            .bind(to_stored(after.index.0)?)
            .bind(i64::from(most));
        if let Some(subject) = wanted.subject {
            found = found.bind(subject.0.as_slice());
        }
        let own = self.log()?;
        let rows = found.fetch_all(&self.engine).await?;
        rows.iter().map(|row| read(row, own)).collect()
    }

    /// A record by its id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn record(&self, id: RecordId) -> Result<Option<KeptRecord>, StoreError> {
        let row = query(
            "SELECT r.id, r.log, r.log_index, l.name AS log_name, r.kind, r.status, r.at,
                 r.keep_until, r.party, r.route, r.closed_index,
                 (SELECT count(*) FROM record_people p
                  WHERE p.log = r.log AND p.log_index = r.log_index AND p.provided) AS people
             FROM records r JOIN logs l ON l.number = r.log WHERE r.id = $1",
        )
        .bind(id.to_bytes())
        .fetch_optional(&self.engine)
        .await?;
        let own = self.log()?;
        row.map(|row| read(&row, own)).transpose()
    }

    /// Whose data a record is of; once it is closed, of whom it really was.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn people_of_record(&self, id: RecordId) -> Result<Vec<Pseudonym>, StoreError> {
        let rows = query(
            "SELECT p.subject FROM record_people p
                 JOIN records r ON r.log = p.log AND r.log_index = p.log_index
             WHERE r.id = $1 AND p.provided ORDER BY p.subject",
        )
        .bind(id.to_bytes())
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                Pseudonym::from_bytes(row.try_get("subject")?)
                    .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))
            })
            .collect()
    }
}

async fn take(change: &mut Transaction, log: i64, one: &RecordChange) -> Result<(), StoreError> {
    match one {
        RecordChange::Opened {
            index,
            id,
            kind,
            at,
            written,
            keep_until,
            party,
            name_key,
            route,
            people,
        } => {
            let status = match kind {
                RecordKind::Receipt => RecordStatus::Received,
                RecordKind::Provision => RecordStatus::Open,
            };
            query(
                "INSERT INTO records (log, log_index, id, kind, status, at, keep_until, party, route)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            )
            .bind(log)
            .bind(to_stored(index.0)?)
            .bind(id.to_bytes())
            .bind(i64::from(kind.number()))
            .bind(i64::from(status.number()))
            .bind(at.micros())
            .bind(keep_until.micros())
            .bind(party)
            .bind(route)
            .execute(&mut *change)
            .await?;
            // Where it was there, its name may not have been readable.
            query(
                "UPDATE records SET name_key = $3, written = $4 WHERE log = $1 AND log_index = $2",
            )
            .bind(log)
            .bind(to_stored(index.0)?)
            .bind(name_key.map(|key| key.0.to_vec()))
            .bind(written.micros())
            .execute(&mut *change)
            .await?;
            provided(change, log, to_stored(index.0)?, people).await
        }
        RecordChange::Closed {
            index,
            id,
            abandoned,
            people,
        } => {
            let found = query("SELECT log_index FROM records WHERE id = $1 AND log = $2")
                .bind(id.to_bytes())
                .bind(log)
                .fetch_optional(&mut *change)
                .await?;
            // Its time was over before it was closed.
            let Some(row) = found else { return Ok(()) };
            let opened: i64 = row.try_get("log_index")?;
            let status = if *abandoned {
                RecordStatus::Abandoned
            } else {
                RecordStatus::Provided
            };
            query("UPDATE records SET status = $3, closed_index = $4 WHERE log = $1 AND log_index = $2")
                .bind(log)
                .bind(opened)
                .bind(i64::from(status.number()))
                .bind(to_stored(index.0)?)
                .execute(change)
                .await?;
            if *abandoned || !people.is_empty() {
                query("UPDATE record_people SET provided = $3 WHERE log = $1 AND log_index = $2")
                    .bind(log)
                    .bind(opened)
                    .bind(false)
                    .execute(change)
                    .await?;
            }
            provided(change, log, opened, people).await
        }
    }
}

/// The data of these people are in a record.
async fn provided(
    change: &mut Transaction,
    log: i64,
    index: i64,
    people: &[Pseudonym],
) -> Result<(), StoreError> {
    for subject in people {
        query(
            "INSERT INTO record_people (subject, log, log_index, provided) VALUES ($1, $2, $3, $4)
             ON CONFLICT (subject, log, log_index) DO UPDATE SET provided = excluded.provided",
        )
        .bind(subject.0.as_slice())
        .bind(log)
        .bind(index)
        .bind(true)
        .execute(change)
        .await?;
    }
    Ok(())
}

fn read(row: &Row, own: i64) -> Result<KeptRecord, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(what.to_owned());
    let number = |column: &str| -> Result<i32, StoreError> {
        i32::try_from(row.try_get::<i64>(column)?).map_err(|_| StoreError::OutOfRange)
    };
    let log: i64 = row.try_get("log")?;
    let closed: Option<i64> = row.try_get("closed_index")?;
    Ok(KeptRecord {
        id: RecordId::from_bytes(row.try_get("id")?).ok_or_else(|| damaged("a record's id"))?,
        place: RecordPlace {
            at: Timestamp::from_micros(row.try_get("at")?),
            log: from_stored(log)?,
            index: LogIndex(from_stored(row.try_get("log_index")?)?),
        },
        log: (row.try_get("log_name")?, log == own),
        kind: RecordKind::from_number(number("kind")?)
            .ok_or_else(|| damaged("a kind of record"))?,
        status: RecordStatus::from_number(number("status")?)
            .ok_or_else(|| damaged("a status of a record"))?,
        keep_until: Timestamp::from_micros(row.try_get("keep_until")?),
        party: row.try_get("party")?,
        route: row.try_get("route")?,
        closed: closed.map(from_stored).transpose()?.map(LogIndex),
        people: from_stored(row.try_get("people")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::proto::{StoredLogHold, StoredLogHoldRelease};
    use crate::store::tests::{both, change};
    use uuid::Uuid;

    const fn id(number: u128) -> RecordId {
        RecordId(Uuid::from_u128(number))
    }

    fn people(numbers: &[u8]) -> Vec<Pseudonym> {
        numbers
            .iter()
            .map(|number| Pseudonym([*number; 32]))
            .collect()
    }

    /// Some key of a name.
    fn key(name: &str) -> Pseudonym {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Pseudonym(bytes)
    }

    fn party(name: &str) -> Option<(String, Pseudonym)> {
        Some((name.to_owned(), key(name)))
    }

    fn opened(index: u64, seconds: i64, party: &str, of: &[u8]) -> RecordChange {
        RecordChange::Opened {
            index: LogIndex(index),
            id: id(index.into()),
            kind: RecordKind::Provision,
            at: Timestamp::from_seconds(seconds),
            written: Timestamp::from_seconds(seconds),
            keep_until: Timestamp::from_seconds(seconds + 1_000),
            party: party.to_owned(),
            name_key: Some(key(&format!("{party}, Inc."))),
            route: "third-party-consent".to_owned(),
            people: people(of),
        }
    }

    fn closed(index: u64, of: u128, abandoned: bool, named: &[u8]) -> RecordChange {
        RecordChange::Closed {
            index: LogIndex(index),
            id: id(of),
            abandoned,
            people: people(named),
        }
    }

    async fn found(store: &Store, wanted: RecordQuery) -> Vec<u64> {
        let all = store.records(&wanted, None, 100).await.unwrap();
        all.iter().map(|record| record.place.index.0).collect()
    }

    both! {
    async fn records_are_found_by_party_person_time_status_and_route_also_after_a_restart(home) {
        let store = home.open().await;
        let receipt = RecordChange::Opened {
            index: LogIndex(9),
            id: id(9),
            kind: RecordKind::Receipt,
            at: Timestamp::from_seconds(90),
            written: Timestamp::from_seconds(95),
            keep_until: Timestamp::from_seconds(9_000),
            party: String::new(),
            name_key: Some(key("giver")),
            route: String::new(),
            people: people(&[1]),
        };
        let changes = [
            opened(2, 20, "employer", &[1, 2]),
            opened(3, 30, "employer", &[3]),
            opened(4, 40, "bank", &[1]),
            closed(5, 3, true, &[]),
            closed(6, 2, false, &[2, 7]),
            receipt,
        ];
        store.take_records(&changes, 10).await.unwrap();
        // Taken in twice, after a crash between the two writes.
        store.take_records(&changes, 10).await.unwrap();
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.recorded().await.unwrap(), 10);
        let any = RecordQuery::default;
        let subject = |number: u8| Some(Pseudonym([number; 32]));
        let at = |seconds| Some(Timestamp::from_seconds(seconds));
        for (wanted, expected) in [
            (any(), &[9, 4, 3, 2][..]),
            (RecordQuery { party: party("employer"), ..any() }, &[3, 2]),
            (RecordQuery { party: party("bank, Inc."), ..any() }, &[4]),
            (RecordQuery { party: party("giver"), subject: subject(1), ..any() }, &[9]),
            (RecordQuery { party: party("Bank"), ..any() }, &[]),
            (RecordQuery { subject: subject(1), ..any() }, &[9, 4]),
            (RecordQuery { subject: subject(7), ..any() }, &[2]),
            (RecordQuery { subject: subject(3), ..any() }, &[]),
            (RecordQuery { from: at(30), until: at(40), ..any() }, &[3]),
            (RecordQuery { status: Some(RecordStatus::Open), ..any() }, &[4]),
            (RecordQuery { status: Some(RecordStatus::Abandoned), ..any() }, &[3]),
            (RecordQuery { kind: Some(RecordKind::Receipt), ..any() }, &[9]),
            (RecordQuery { route: "third-party-consent".to_owned(), subject: subject(2), ..any() }, &[2]),
            (RecordQuery { route: "shared-use".to_owned(), ..any() }, &[]),
        ] {
            assert_eq!(found(&store, wanted.clone()).await, expected, "{wanted:?}");
        }
        let one = store.record(id(2)).await.unwrap().unwrap();
        assert_eq!((one.people, one.closed), (2, Some(LogIndex(6))));
        assert_eq!((one.status, &*one.log.0, one.log.1), (RecordStatus::Provided, "log-a", true));
        assert_eq!(store.people_of_record(id(2)).await.unwrap(), people(&[2, 7]));
        assert_eq!(store.record(id(77)).await.unwrap(), None);
    }
    }

    both! {
    async fn pages_follow_one_another_also_where_two_are_of_one_instant(home) {
        let store = home.open().await;
        let changes: Vec<_> = (0..7).map(|index| opened(index, 20, "employer", &[1])).collect();
        store.take_records(&changes, 7).await.unwrap();
        for subject in [None, Some(Pseudonym([1; 32]))] {
            let wanted = RecordQuery { subject, ..RecordQuery::default() };
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let page = store.records(&wanted, after, 3).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.place);
                seen.extend(page.iter().map(|record| record.place.index.0));
            }
            assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
        }
    }
    }

    both! {
    async fn records_go_when_their_time_is_over_and_with_a_part_of_the_log_that_is_lost(home) {
        let store = home.open().await;
        let changes = [
            opened(2, 20, "employer", &[1]),
            opened(3, 30, "employer", &[1]),
            opened(4, 40, "employer", &[1]),
        ];
        store.take_records(&changes, 5).await.unwrap();
        let at = Timestamp::from_seconds(1_025);
        assert_eq!(store.forget_old_records(at).await.unwrap(), 1);
        store.forget_records_from(4).await.unwrap();
        assert_eq!(found(&store, RecordQuery::default()).await, [3]);
        let of = RecordQuery { subject: Some(Pseudonym([1; 32])), ..RecordQuery::default() };
        assert_eq!(found(&store, of).await, [3]);
        assert_eq!(store.recorded().await.unwrap(), 4);
        // What came after its time closes nothing, and stops nothing.
        store.take_records(&[closed(5, 2, false, &[])], 6).await.unwrap();
        assert_eq!(store.recorded().await.unwrap(), 6);
    }
    }

    both! {
    async fn a_record_whose_closing_is_lost_with_a_part_of_the_log_is_open_again_and_of_whom_it_was(home) {
        let store = home.open().await;
        let changes = [
            opened(2, 20, "employer", &[1, 2]),
            opened(3, 30, "employer", &[3]),
            closed(4, 3, false, &[]),
            closed(5, 2, false, &[2, 7]),
        ];
        store.take_records(&changes, 6).await.unwrap();
        store.forget_records_from(5).await.unwrap();
        // Of whom it is, is read again from where it was opened.
        assert_eq!(store.recorded().await.unwrap(), 2);
        store.take_records(&changes[..3], 5).await.unwrap();
        let one = store.record(id(2)).await.unwrap().unwrap();
        assert_eq!((one.status, one.closed), (RecordStatus::Open, None));
        assert_eq!(store.people_of_record(id(2)).await.unwrap(), people(&[1, 2]));
        let other = store.record(id(3)).await.unwrap().unwrap();
        assert_eq!((other.status, other.closed), (RecordStatus::Provided, Some(LogIndex(4))));
        assert_eq!(store.recorded().await.unwrap(), 5);
    }
    }

    both! {
    async fn what_is_read_again_is_as_it_was_with_the_name_that_was_not_readable(home) {
        let store = home.open().await;
        let mut changes = [
            opened(2, 20, "employer", &[1, 2]),
            closed(4, 2, false, &[2]),
        ];
        if let RecordChange::Opened { name_key, .. } = &mut changes[0] {
            *name_key = None;
        }
        // The mark waits where something could not be read.
        store.take_records(&changes, 2).await.unwrap();
        let named = RecordQuery { party: party("employer, Inc."), ..RecordQuery::default() };
        assert_eq!(found(&store, named.clone()).await, [0; 0]);
        changes[0] = opened(2, 20, "employer", &[1, 2]);
        store.take_records(&changes, 5).await.unwrap();
        assert_eq!(found(&store, named).await, [2]);
        assert_eq!(store.people_of_record(id(2)).await.unwrap(), people(&[2]));
        assert_eq!(store.record(id(2)).await.unwrap().unwrap().status, RecordStatus::Provided);
    }
    }

    both! {
    async fn a_hold_of_the_log_keeps_records_of_its_time_to_be_found(home) {
        let store = home.open().await;
        let changes = [opened(2, 20, "employer", &[1]), opened(3, 30, "employer", &[1])];
        store.take_records(&changes, 5).await.unwrap();
        let hold = StoredLogHold { from_us: None, until_us: Some(30_000_000) };
        let placed = (LogIndex(5), change(Kind::PlaceLogHold(hold)));
        store.apply(&[placed], 6).await.unwrap();
        let late = Timestamp::from_seconds(9_000);
        assert_eq!(store.forget_old_records(late).await.unwrap(), 1);
        assert_eq!(found(&store, RecordQuery::default()).await, [2]);
        let release = StoredLogHoldRelease { hold: 5, settles: None };
        let released = (LogIndex(6), change(Kind::ReleaseLogHold(release)));
        store.apply(&[released], 7).await.unwrap();
        assert_eq!(store.forget_old_records(late).await.unwrap(), 1);
        assert_eq!(found(&store, RecordQuery::default()).await, [0; 0]);
    }
    }

    #[tokio::test]
    async fn daemons_on_one_store_see_each_others_records_and_whose_they_are() {
        let home = crate::store::tests::Home::postgres();
        let (one, two) = (home.open().await, home.open_shared("log-b").await);
        one.take_records(&[opened(2, 20, "employer", &[1])], 3)
            .await
            .unwrap();
        two.take_records(
            &[RecordChange::Opened {
                index: LogIndex(2),
                id: id(22),
                kind: RecordKind::Provision,
                at: Timestamp::from_seconds(21),
                written: Timestamp::from_seconds(21),
                keep_until: Timestamp::from_seconds(9_000),
                party: "bank".to_owned(),
                name_key: None,
                route: String::new(),
                people: people(&[1]),
            }],
            3,
        )
        .await
        .unwrap();
        let of = RecordQuery {
            subject: Some(Pseudonym([1; 32])),
            ..RecordQuery::default()
        };
        let seen = one.records(&of, None, 10).await.unwrap();
        let logs: Vec<_> = seen
            .iter()
            .map(|record| (&*record.log.0, record.log.1))
            .collect();
        assert_eq!(logs, [("log-b", false), ("log-a", true)]);
    }
}

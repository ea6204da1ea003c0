use uuid::{NoContext, Uuid};

use super::*;
use crate::domain::ids::DecisionId;
use crate::domain::time::Timestamp;
use crate::proto::EntryKind;

/// 1,000 entries over some segments, by a clock that jumps both ways.
async fn jumpy_log(home: &Path) -> (AccessLog, Vec<i64>) {
    let log = open(home);
    let mut times = Vec::new();
    let mut now = 1_000_000_i64;
    for number in 0..250_i64 {
        now += match number {
            60 => 400_000,
            61 => -400_000,
            150 => -100_000,
            _ => 1_000,
        };
        let unit: Vec<_> = (0..4)
            .map(|within| StoredEntry {
                time_us: now + within,
                ..entry(0)
            })
            .collect();
        times.extend(unit.iter().map(|entry| entry.time_us));
        log.append(&unit).unwrap().await.unwrap();
    }
    assert!(segments(home).len() > 3);
    (log, times)
}

#[tokio::test]
async fn forward_and_backward_give_the_same_entries() {
    let home = tempfile::tempdir().unwrap();
    let (log, times) = jumpy_log(home.path()).await;
    let offline = LogReader::open_directory(home.path().join("log")).unwrap();
    for reader in [log.reader(), offline] {
        assert_eq!(reader.len(), 1_000);
        assert_eq!(reader.name(), "log.example");
        for from in [0, 1, 63, 64, 65, 500, 998, 999, 1_000, u64::MAX] {
            let forward: Vec<_> = reader
                .forward(LogIndex(from))
                .map(|kept| {
                    (
                        kept.as_ref().unwrap().index.0,
                        kept.unwrap().time().micros(),
                    )
                })
                .collect();
            let expected: Vec<_> = (0..).zip(times.iter().copied()).collect();
            let start = usize::try_from(from.min(1_000)).unwrap();
            assert_eq!(forward, expected[start..]);
            let backward: Vec<_> = reader
                .backward(LogIndex(from))
                .map(|kept| {
                    (
                        kept.as_ref().unwrap().index.0,
                        kept.unwrap().time().micros(),
                    )
                })
                .collect();
            let end = usize::try_from(from.saturating_add(1).min(1_000)).unwrap();
            let newest_first: Vec<_> = expected[..end].iter().rev().copied().collect();
            assert_eq!(backward, newest_first);
        }
        assert!(reader.get(LogIndex(1_000)).unwrap().is_none());
        let kept = reader.get(LogIndex(777)).unwrap().unwrap();
        assert_eq!(
            kept.leaf_hash(),
            merkle::leaf_hash(&kept.entry().unwrap().encode_to_vec())
        );
    }
}

#[tokio::test]
async fn the_first_entry_of_a_time_is_found_whatever_the_clock_did() {
    let home = tempfile::tempdir().unwrap();
    let (log, times) = jumpy_log(home.path()).await;
    log.close();
    let reopened = open(home.path());
    for reader in [log.reader(), reopened.reader()] {
        let mut asked: Vec<i64> = times
            .iter()
            .flat_map(|time| [time - 1, *time, time + 1])
            .collect();
        asked.extend([i64::MIN, 0, i64::MAX]);
        for time in asked {
            let first = times
                .iter()
                .position(|other| *other >= time)
                .unwrap_or(times.len());
            let found = reader
                .first_at_or_after(Timestamp::from_micros(time))
                .unwrap();
            assert_eq!(found, LogIndex(first as u64), "at {time}");
        }
    }
}

#[tokio::test]
async fn a_decision_is_found_by_its_id_and_its_outcome_is_not_taken_for_it() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let mut ids = Vec::new();
    for number in 0..600_u64 {
        let seconds = 1_700_000_000 + number;
        let stamp = uuid::Timestamp::from_unix(NoContext, seconds, 5_000_000);
        let id = DecisionId(Uuid::new_v7(stamp));
        let decision = StoredEntry {
            time_us: i64::try_from(seconds).unwrap() * 1_000_000 + 5_999,
            kind: EntryKind::Decision.into(),
            decision_id: id.to_bytes(),
            ..entry(number)
        };
        let outcome = StoredEntry {
            kind: EntryKind::Outcome.into(),
            ..decision.clone()
        };
        // An outcome before its decision can't be; the order here is so that the test can fail.
        log.append(&[outcome, decision]).unwrap().await.unwrap();
        ids.push(id);
    }
    for (number, id) in ids.iter().enumerate() {
        let found = log.reader().find_decision(*id).unwrap().unwrap();
        assert_eq!(found.index, LogIndex(number as u64 * 2 + 1));
    }
    let stamp = uuid::Timestamp::from_unix(NoContext, 1_700_000_300, 0);
    for unknown in [Uuid::new_v7(stamp), Uuid::new_v4(), Uuid::nil()] {
        assert!(
            log.reader()
                .find_decision(DecisionId(unknown))
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_what_is_durable_while_the_writer_writes() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let reader = log.reader();
    let directory = home.path().join("log");
    let reading = tokio::task::spawn_blocking(move || {
        let mut seen = 0;
        while seen < 800 {
            let offline = LogReader::open_directory(&directory).unwrap();
            for reader in [&reader, &offline] {
                let length = reader.len();
                let stored = all(reader);
                assert!(stored.len() as u64 >= length && length >= seen || reader.len() == length);
                assert_eq!(stored, bytes_of(&entries(0..stored.len() as u64)));
            }
            seen = reader.len();
        }
    });
    write_batches(&log, 400, 2).await;
    reading.await.unwrap();
}

#[tokio::test]
async fn only_a_few_closed_segments_are_kept_open() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = jumpy_log(home.path()).await;
    write_batches(&log, 1_000, 4).await;
    assert!(segments(home.path()).len() > 20);
    assert_eq!(log.reader().forward(LogIndex(0)).count(), 5_000);
    assert!(log.shared.catalog.kept_open() <= 16);
}

/// Tells the tables of some segments, or false ones.
#[derive(Debug)]
struct Tables {
    reader: LogReader,
    /// By how much each offset is wrong.
    wrong_by: u64,
}

impl BlockTables for Tables {
    fn table(&self, first: u64) -> Option<Vec<u8>> {
        let mark = self.reader.mark_of(first).unwrap()?;
        let right = self.reader.table_of(first).unwrap()?;
        let span = self
            .reader
            .segments()
            .into_iter()
            .find(|span| span.first == first)?;
        let times = super::super::segment::Times::ALL;
        let closed = super::super::catalog::Closed {
            first_index: span.first,
            next_first: span.next,
            times,
            disposed: false,
        };
        let mut blocks = super::super::table::decode(&right, &mark, closed)?;
        blocks
            .blocks
            .iter_mut()
            .skip(1)
            .for_each(|block| block.offset += self.wrong_by);
        Some(super::super::table::encode(&blocks, &mark))
    }
}

/// A second look at a log, from whose tables the first is told.
fn told(home: &Path, wrong_by: u64) -> (LogReader, Arc<dyn BlockTables>) {
    let open = || LogReader::open_directory(home.join("log")).unwrap();
    let tables: Arc<dyn BlockTables> = Arc::new(Tables {
        reader: open(),
        wrong_by,
    });
    let reader = open();
    reader.ask_tables(Arc::downgrade(&tables));
    (reader, tables)
}

#[tokio::test]
async fn by_a_table_that_was_told_a_segment_is_read_without_a_scan_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = jumpy_log(home.path()).await;
    log.close();
    let expected = all(&log.reader());
    let (reader, _tables) = told(home.path(), 0);
    assert_eq!(all(&reader), expected);
    let (reader, tables) = told(home.path(), 0);
    // The tables were made while all was whole; a scan would stop at this.
    let path = &segments(home.path())[0];
    let (_, bytes) = (tables.table(0).unwrap(), std::fs::read(path).unwrap());
    let mut damaged = bytes.clone();
    damaged[4096 + 30] ^= 1;
    #[allow(clippy::disallowed_methods, reason = "damage needs no care")]
    std::fs::write(path, damaged).unwrap();
    let span = reader.segments()[0];
    assert!(
        span.next > 64,
        "the damage is in another block than the last entry"
    );
    assert!(reader.get(LogIndex(span.next - 1)).unwrap().is_some());
    assert!(reader.get(LogIndex(0)).is_err());
}

#[tokio::test]
async fn a_table_that_proves_wrong_is_not_believed() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = jumpy_log(home.path()).await;
    log.close();
    let expected = all(&log.reader());
    for wrong_by in [8, 64, 1 << 20] {
        let (reader, _tables) = told(home.path(), wrong_by);
        assert_eq!(all(&reader), expected);
    }
}

//! What is wrong with a sidecar hides nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::log::{AccessLog, Disposal, LogConfig, LogReader, Period, SegmentSpan, SigningSeed};

/// Writes whatever a test does to a file.
#[allow(clippy::disallowed_methods, reason = "damage needs no care")]
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn entry(number: u32) -> StoredEntry {
    StoredEntry {
        time_us: i64::from(number) * 1_000,
        kind: 1,
        person: format!("person-{}", number % 7),
        case_ref: format!("case-{number}"),
        caller: "service".to_owned(),
        client_ip: format!("10.0.{}.{}", number % 3, number % 200),
        basis_reference: "x".repeat(200),
        ..StoredEntry::default()
    }
}

/// A log of at least three closed segments.
async fn some_log(home: &Path) -> AccessLog {
    let config = LogConfig {
        segment_bytes: 128 << 10,
        deadline: Duration::from_secs(60),
        ..LogConfig::new(home.join("log"), SigningSeed::new(&[7; 32]))
    };
    let log = AccessLog::open(config, "log.example").unwrap().log;
    for start in (0..1_500).step_by(100) {
        let entries: Vec<_> = (start..start + 100).map(entry).collect();
        log.append(&entries).unwrap().await.unwrap();
    }
    assert!(log.reader().segments().len() > 3);
    log
}

fn config(home: &Path) -> IndexConfig {
    IndexConfig {
        directory: home.join("index"),
        spare_bytes: 0,
    }
}

fn make(home: &Path, log: &AccessLog) -> Rebuilt {
    rebuild(config(home), &log.reader(), &plain(), |_| {}).unwrap()
}

fn sidecar(home: &Path, first: u64) -> PathBuf {
    home.join("index").join(format!("{first:020}.index"))
}

/// What a query asks, as a plain look at an entry.
type Judge = fn(&StoredEntry) -> bool;

fn queries() -> Vec<(Query, Judge)> {
    vec![
        (Query::all().and(Condition::Person("person-3")), |entry| {
            entry.person == "person-3"
        }),
        (Query::all().and(Condition::CaseRef("case-60")), |entry| {
            entry.case_ref == "case-60"
        }),
        (
            Query::all()
                .and(Condition::Caller("service"))
                .from_block("10.0.1.0/24".parse().unwrap()),
            |entry| entry.client_ip.starts_with("10.0.1."),
        ),
        (Query::all().and(Condition::Kind(2)), |entry| {
            entry.kind == 2
        }),
    ]
}

/// How many candidates there were; fails when one that fits was not among them.
fn candidates(index: &Index, log: &AccessLog, context: &str) -> usize {
    let mut count = 0;
    for (query, fits) in queries() {
        let all = log.reader().forward(LogIndex(0)).map(Result::unwrap);
        let fitting = |kept: &Kept| fits(&kept.entry().unwrap());
        let expected: Vec<u64> = all.filter(fitting).map(|kept| kept.index.0).collect();
        let walk = Walk::new(
            log.reader(),
            Some(index),
            query,
            Period::default(),
            LogIndex(0),
            Order::OldestFirst,
        );
        let walked: Vec<Kept> = walk.map(Result::unwrap).collect();
        count += walked.len();
        let found: Vec<u64> = walked
            .iter()
            .filter(|kept| fitting(kept))
            .map(|kept| kept.index.0)
            .collect();
        assert_eq!(found, expected, "{context}");
    }
    count
}

fn still(home: &Path, log: &AccessLog) -> Index {
    Index::still(config(home), log.reader())
}

#[tokio::test]
async fn the_index_narrows() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let all = candidates(&still(home.path(), &log), &log, "without sidecars");
    assert_eq!(
        all,
        4 * 1_500,
        "without sidecars, every entry is a candidate"
    );
    let made = make(home.path(), &log);
    let closed = log.reader().segments().len() - 1;
    assert_eq!(usize::try_from(made.segments).unwrap(), closed);
    assert!(made.failed.is_empty() && made.bytes > 0);
    let live = log.reader().segments().last().unwrap().first;
    assert_eq!(made.entries, live);
    let narrowed = candidates(&still(home.path(), &log), &log, "with sidecars");
    let unindexed = usize::try_from(1_500 - live).unwrap() * 4;
    assert!(narrowed < unindexed + 214 + 1 + 500 + 10, "{narrowed}");
}

#[tokio::test]
async fn no_flipped_bit_in_a_sidecar_hides_an_entry() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    make(home.path(), &log);
    let path = sidecar(home.path(), 0);
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    for at in (0..300).chain((300..whole.len()).step_by(211)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        overwrite(&path, &bytes);
        let index = still(home.path(), &log);
        candidates(&index, &log, &format!("byte {at} of {}", whole.len()));
        noticed += index.status().errors;
    }
    assert!(noticed > 0);
    for length in [0, 1, 100, 4_096, whole.len() - 1] {
        overwrite(&path, &whole[..length]);
        let index = still(home.path(), &log);
        candidates(&index, &log, &format!("cut to {length}"));
        assert_eq!(index.status().errors, 1);
    }
}

#[tokio::test]
async fn a_sidecar_of_another_segment_or_of_another_log_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    make(home.path(), &log);
    let second = log.reader().segments()[1].first;
    fs::copy(sidecar(home.path(), 0), sidecar(home.path(), second)).unwrap();
    let index = still(home.path(), &log);
    candidates(&index, &log, "of another segment");
    assert_eq!(
        index.status().errors,
        1,
        "told once, however often it is met"
    );

    let other_home = tempfile::tempdir().unwrap();
    let other = some_log(other_home.path()).await;
    make(other_home.path(), &other);
    fs::copy(sidecar(other_home.path(), 0), sidecar(home.path(), 0)).unwrap();
    let index = still(home.path(), &log);
    candidates(&index, &log, "of another log");
    assert_eq!(index.status().errors, 2);
}

#[tokio::test]
async fn an_entry_that_cannot_be_opened_is_a_candidate_of_every_query() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let opener: Opener = Arc::new(|kept: &Kept| {
        kept.entry()
            .ok()
            .filter(|_| !kept.index.0.is_multiple_of(60))
    });
    rebuild(config(home.path()), &log.reader(), &opener, |_| {}).unwrap();
    candidates(&still(home.path(), &log), &log, "from sidecars");
    let index = Index::start(config(home.path()), log.reader(), opener);
    until(|| index.lag() == 0);
    candidates(&index, &log, "from memory");
}

#[tokio::test]
async fn what_is_no_sidecar_of_this_log_is_tidied_away() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    make(home.path(), &log);
    let gone = sidecar(home.path(), 77);
    let left_over = home
        .path()
        .join("index/.00000000000000000000.index.0123.new");
    let unknown = home.path().join("index/notes.txt");
    for path in [&gone, &left_over, &unknown] {
        overwrite(path, b"x");
    }
    make(home.path(), &log);
    assert!(!gone.exists() && !left_over.exists());
    assert!(unknown.exists(), "what nobody here made is left alone");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_makes_searches_slow_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    overwrite(&home.path().join("index"), b"in the way");
    let index = Index::start(config(home.path()), log.reader(), plain());
    until(|| index.status().errors > 0);
    let live = log.reader().segments().last().unwrap().first;
    until(|| index.lag() == live);
    candidates(&index, &log, "without a directory");
    assert!(index.status().trouble.is_some());
}

#[tokio::test]
async fn nothing_is_written_into_the_space_that_the_log_needs() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let config = IndexConfig {
        spare_bytes: u64::MAX,
        ..config(home.path())
    };
    let outcome = rebuild(config, &log.reader(), &plain(), |_| {});
    assert!(matches!(outcome, Err(IndexError::NoSpace { .. })));
    assert!(!sidecar(home.path(), 0).exists());
}

#[tokio::test]
async fn a_sidecar_is_made_anew_when_it_was_damaged_or_removed() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let index = Index::start(config(home.path()), log.reader(), plain());
    until(|| index.lag() == 0);
    let path = sidecar(home.path(), 0);
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    until(|| path.exists() && index.lag() == 0);
    // The index may be writing into it just now.
    until(|| fs::remove_dir_all(home.path().join("index")).is_ok());
    candidates(&index, &log, "removed");
    until(|| path.exists() && index.lag() == 0);
    assert_eq!(fs::read(&path).unwrap().len(), whole.len());
    let mut bytes = whole;
    bytes.truncate(5_000);
    overwrite(&path, &bytes);
    candidates(&index, &log, "cut while it was open");
    until(|| fs::metadata(&path).is_ok_and(|about| about.len() > 5_000) && index.lag() == 0);
    candidates(&index, &log, "mended");
    until(|| index.status().trouble.is_none());
}

#[tokio::test]
async fn what_was_in_the_clear_when_it_was_read_is_forgotten_with_its_key() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let sealed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let opener: Opener = {
        let sealed = Arc::clone(&sealed);
        Arc::new(move |kept: &Kept| {
            let entry = kept.entry().ok()?;
            Some(if sealed.load(Ordering::SeqCst) {
                StoredEntry::default()
            } else {
                entry
            })
        })
    };
    let index = Index::start(config(home.path()), log.reader(), opener);
    until(|| index.lag() == 0);
    let walked = || {
        let query = Query::all().and(Condition::Person("person-3"));
        Walk::new(
            log.reader(),
            Some(&index),
            query,
            Period::default(),
            LogIndex(0),
            Order::OldestFirst,
        )
        .count()
    };
    assert!(walked() > 200);
    sealed.store(true, Ordering::SeqCst);
    for span in log.reader().segments().iter().filter(|span| span.closed) {
        fs::remove_file(sidecar(home.path(), span.first)).unwrap();
    }
    index.begin_anew();
    until(|| index.lag() == 0 && walked() == 0);
}

/// Opens entries until its one key is destroyed; then it gives empty ones.
#[derive(Default)]
struct OneKey(AtomicU64);

impl Open for OneKey {
    fn open(&self, kept: &Kept) -> Option<StoredEntry> {
        match self.0.load(Ordering::SeqCst) {
            0 => kept.entry().ok(),
            _ => Some(StoredEntry::default()),
        }
    }

    fn keys_destroyed(&self) -> Result<u64, FileError> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_segment_that_closes_after_its_key_was_destroyed_is_read_anew_for_its_sidecar() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let key = Arc::new(OneKey::default());
    let opener = Arc::<OneKey>::clone(&key);
    let index = Index::start(config(home.path()), log.reader(), opener);
    until(|| index.lag() == 0);
    let live = log.reader().segments().last().unwrap().first;
    // Nobody tells the index: the process that destroyed the key may have ended just then.
    key.0.store(1, Ordering::SeqCst);
    while log.reader().segments().last().unwrap().first == live {
        let entries: Vec<_> = (0..100).map(entry).collect();
        log.append(&entries).unwrap().await.unwrap();
    }
    until(|| sidecar(home.path(), live).exists() && index.lag() == 0);
    let query = Query::all().and(Condition::Person("person-3"));
    let (found, known_until) = index.shared.shelf.candidates(live, &query).unwrap();
    assert!(known_until > live && found.is_empty());
}

#[tokio::test]
async fn two_writers_of_sidecars_do_each_other_no_harm() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let index = Index::start(config(home.path()), log.reader(), plain());
    for _ in 0..5 {
        let made = make(home.path(), &log);
        assert!(made.failed.is_empty());
        candidates(&index, &log, "while sidecars are replaced");
    }
    until(|| index.lag() == 0);
    assert_eq!(index.status().errors, 0);
}

/// Disposes of the second closed segment, once a checkpoint commits to it.
async fn dispose_of_the_second(log: &AccessLog) -> SegmentSpan {
    let second = log.reader().segments()[1];
    for _ in 0..3_000 {
        if log.is_committed(&second) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let disposal = Disposal {
        entry: LogIndex(1_400),
        at: Timestamp::from_seconds(1_800_000_000),
        rule: "3y".to_owned(),
    };
    log.dispose(&[(second.first, second.next)], &disposal)
        .unwrap();
    second
}

#[tokio::test]
async fn a_segment_before_one_that_was_disposed_of_is_indexed_like_any_other() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    make(home.path(), &log);
    let gone = dispose_of_the_second(&log).await;
    assert!(!sidecar(home.path(), gone.first).exists());
    // Used: what tells it from others is read from what stands in the place of the next.
    let closed = log.reader().readable_segments().len() - 1;
    let narrowed = candidates(&still(home.path(), &log), &log, "made before");
    let held = tempfile::tempdir().unwrap();
    let all = candidates(&still(held.path(), &log), &log, "without sidecars");
    assert!(narrowed < all / 2, "{narrowed} of {all}");
    // Made anew, by the daemon's reader and by one that opens the directory afterwards.
    let beside = LogReader::open_directory(home.path().join("log")).unwrap();
    for reader in [log.reader(), beside] {
        fs::remove_dir_all(home.path().join("index")).unwrap();
        let made = rebuild(config(home.path()), &reader, &plain(), |_| {}).unwrap();
        assert!(made.failed.is_empty(), "{made:?}");
        assert_eq!(usize::try_from(made.segments).unwrap(), closed);
        assert!(sidecar(home.path(), 0).exists() && !sidecar(home.path(), gone.first).exists());
        let index = still(home.path(), &log);
        assert_eq!(candidates(&index, &log, "made after"), narrowed);
        assert_eq!(index.status().errors, 0);
    }
    let index = Index::start(config(home.path()), log.reader(), plain());
    fs::remove_file(sidecar(home.path(), 0)).unwrap();
    until(|| sidecar(home.path(), 0).exists() && index.lag() == 0);
    assert_eq!(index.status().errors, 0);
}

#[tokio::test]
async fn a_segment_that_is_disposed_of_while_it_is_read_gets_no_sidecar() {
    let home = tempfile::tempdir().unwrap();
    let log = some_log(home.path()).await;
    let second = log.reader().segments()[1];
    for _ in 0..3_000 {
        if log.is_committed(&second) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Opened before: it knows of no disposal.
    let beside = LogReader::open_directory(home.path().join("log")).unwrap();
    let disposal = Disposal {
        entry: LogIndex(1_400),
        at: Timestamp::from_seconds(1_800_000_000),
        rule: "3y".to_owned(),
    };
    let made = rebuild(config(home.path()), &beside, &plain(), |at| {
        if at.done == second.next {
            log.dispose(&[(second.first, second.next)], &disposal)
                .unwrap();
        }
    })
    .unwrap();
    assert!(!sidecar(home.path(), second.first).exists());
    assert!(made.failed.is_empty(), "{made:?}");
    assert!(made.segments > 1);
}

fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never came to that");
}

use super::*;
use crate::domain::time::Timestamp;
use crate::log::proof::verify_consistency;

fn disposal() -> Disposal {
    Disposal {
        entry: LogIndex(77),
        at: Timestamp::from_seconds(1_800_000_000),
        rule: "default 3y".to_owned(),
    }
}

/// A log of some closed segments, each of which a checkpoint commits to.
async fn committed(disk: &TestDisk, home: &Path) -> (AccessLog, Vec<(u64, u64)>) {
    let log = open_on(disk, &config(home)).unwrap().log;
    write_batches(&log, 14, 50).await;
    let closed = || -> Vec<SegmentSpan> {
        let spans = log.reader().segments().into_iter();
        spans.filter(|span| span.closed).collect()
    };
    for _ in 0..3_000 {
        if closed().iter().all(|span| log.is_committed(span)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spans: Vec<(u64, u64)> = closed()
        .iter()
        .map(|span| (span.first, span.next))
        .collect();
    assert!(spans.len() >= 3, "{spans:?}");
    assert!(closed().iter().all(|span| log.is_committed(span)));
    (log, spans)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

fn indexes(reader: &LogReader) -> Vec<u64> {
    reader
        .forward(LogIndex(0))
        .map(|kept| kept.unwrap().index.0)
        .collect()
}

#[tokio::test]
async fn what_went_is_passed_over_and_told_and_the_log_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), home.path()).await;
    let old = log.checkpoints().borrow().checkpoint.clone();
    let stale = LogReader::open_directory(home.path().join("log")).unwrap();
    // The first, and one in the middle: a longer class may keep what lies between.
    log.dispose(&[spans[0], spans[2]], &disposal()).unwrap();
    log.dispose(&[spans[0], spans[2]], &disposal()).unwrap();
    let left: Vec<u64> = (0..log.len())
        .filter(|index| !(spans[0].0..spans[0].1).contains(index))
        .filter(|index| !(spans[2].0..spans[2].1).contains(index))
        .collect();
    write_batches(&log, 1, 1).await;
    log.close();
    drop(log);
    let log = open(home.path());
    let fresh = LogReader::open_directory(home.path().join("log")).unwrap();
    for reader in [log.reader(), fresh, stale] {
        let found = indexes(&reader);
        assert_eq!(found[..left.len()], left);
        let mut back: Vec<u64> = reader
            .backward(LogIndex(reader.len()))
            .map(|kept| kept.unwrap().index.0)
            .collect();
        back.reverse();
        assert_eq!(back, found);
        for (first, next) in [spans[0], spans[2]] {
            for index in [first, next - 1] {
                let gone = reader.get(LogIndex(index)).unwrap_err();
                assert_eq!(
                    gone.to_string(),
                    format!(
                        "entries {first} to {} of the access log were disposed of on 2027-01-15T08:00:00Z under the rule: default 3y",
                        next - 1
                    )
                );
            }
        }
        assert_eq!(
            reader.get(LogIndex(spans[1].0)).unwrap().unwrap().index.0,
            spans[1].0
        );
    }
    let proof = log.consistency_proof(old.size).unwrap().unwrap();
    let new = &proof.signed.checkpoint;
    verify_consistency((old.size, &old.root), (new.size, &new.root), &proof.path).unwrap();
    for (first, _) in &spans {
        assert!(log.inclusion_proof(LogIndex(*first)).unwrap().is_some());
    }
}

#[tokio::test]
async fn only_closed_segments_that_are_committed_to_go() {
    let home = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), home.path()).await;
    let live = log.reader().segments().pop().unwrap();
    let (first, next) = spans[1];
    for wrong in [
        (live.first, live.next),
        (first, next - 1),
        (first + 1, next),
        (0, log.len()),
    ] {
        let refused = log.dispose(&[spans[0], wrong], &disposal()).unwrap_err();
        assert!(
            matches!(refused, DisposeError::NotASegment { .. }),
            "{refused}"
        );
    }
    let checkpoint = segment::path_of(&home.path().join("log"), first).with_extension("checkpoint");
    std::fs::remove_file(checkpoint).unwrap();
    let refused = log.dispose(&[spans[0], spans[1]], &disposal()).unwrap_err();
    assert!(
        matches!(refused, DisposeError::NotCommitted { first: at } if at == first),
        "{refused}"
    );
    assert_eq!(
        indexes(&log.reader()).len() as u64,
        log.len(),
        "nothing went"
    );
}

#[tokio::test]
async fn whatever_call_fails_the_next_start_or_attempt_completes_it() {
    let template = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), template.path()).await;
    log.close();
    drop(log);
    let going = &spans[..2];
    for restarts in [false, true] {
        let mut failed = 0;
        for n in 1.. {
            let home = tempfile::tempdir().unwrap();
            copy(&template.path().join("log"), &home.path().join("log"));
            let disk = TestDisk::new();
            let log = open_on(&disk, &config(home.path())).unwrap().log;
            let me = std::thread::current().id();
            let mut seen = 0;
            disk.fail(move |_| {
                // The log's own threads go on.
                seen += usize::from(std::thread::current().id() == me);
                (std::thread::current().id() == me && seen == n).then_some(io::ErrorKind::Other)
            });
            let outcome = log.dispose(going, &disposal());
            disk.heal();
            let log = if restarts {
                log.close();
                drop(log);
                open_on(&disk, &config(home.path())).unwrap().log
            } else {
                log
            };
            // Each is there whole, or is gone and told so.
            for (first, next) in going {
                match log.reader().get(LogIndex(*first)) {
                    Ok(Some(kept)) => assert_eq!(kept.index.0, *first, "call {n}"),
                    Err(ReadError::Disposed { next: told, .. }) => assert_eq!(told, *next),
                    other => panic!("call {n}: {other:?}"),
                }
            }
            log.dispose(going, &disposal()).unwrap();
            for (first, _) in going {
                let segment = segment::path_of(&home.path().join("log"), *first);
                assert!(!segment.exists(), "call {n}");
            }
            assert_eq!(indexes(&log.reader()).first(), Some(&spans[2].0));
            write_batches(&log, 1, 1).await;
            if outcome.is_ok() {
                break;
            }
            failed = n;
        }
        assert!(failed >= 10, "only {failed} calls were made to fail");
    }
}

#[tokio::test]
async fn hashes_of_what_went_are_never_made_anew_nor_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), home.path()).await;
    // More than the 256 that one hash of the next level stands for.
    log.dispose(&spans[..2], &disposal()).unwrap();
    log.close();
    drop(log);
    let (leaves, upper) = (
        home.path().join("log/tree/0"),
        home.path().join("log/tree/1"),
    );
    for file in [&leaves, &upper] {
        let whole = [&leaves, &upper].map(|file| std::fs::read(file).unwrap());
        let there = std::fs::read(file).unwrap();
        let mut altered = there.clone();
        altered[5] ^= 1;
        let mut spoilt = vec![Vec::new(), there[..there.len().min(100)].to_vec()];
        if file == &upper {
            spoilt = vec![Vec::new(), altered];
        }
        for bad in spoilt {
            std::fs::write(file, &bad).unwrap();
            let refused = AccessLog::open(config(home.path()), "log.example").unwrap_err();
            assert_eq!(refused.exit_code(), 65, "{refused}");
            assert!(refused.to_string().contains("disposed of"), "{refused}");
            assert_eq!(std::fs::read(file).unwrap(), bad, "left as it was");
            std::fs::write(file, &there).unwrap();
        }
        assert_eq!(
            whole,
            [&leaves, &upper].map(|file| std::fs::read(file).unwrap())
        );
    }
    open(home.path());
}

#[tokio::test]
async fn a_damaged_note_refuses_the_start_and_names_the_file() {
    let home = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), home.path()).await;
    log.dispose(&spans[..1], &disposal()).unwrap();
    log.close();
    drop(log);
    let note = home.path().join("log/00000000000000000000.disposed");
    let whole = std::fs::read(&note).unwrap();
    for at in [0, 50, 4_100, 4_112, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&note, &altered).unwrap();
        let refused = AccessLog::open(config(home.path()), "log.example").unwrap_err();
        assert!(refused.to_string().contains(".disposed"), "{at}: {refused}");
    }
    std::fs::remove_file(&note).unwrap();
    let refused = AccessLog::open(config(home.path()), "log.example").unwrap_err();
    assert!(refused.to_string().contains("is missing"), "{refused}");
}

/// The calls of this thread that remove names or make that durable.
fn record(disk: &TestDisk) -> Arc<Mutex<Vec<Call>>> {
    let calls = Arc::<Mutex<Vec<Call>>>::default();
    let (kept, me) = (Arc::clone(&calls), std::thread::current().id());
    disk.fail(move |call| {
        if std::thread::current().id() == me && matches!(call, Call::Remove | Call::SyncDirectory) {
            kept.lock().unwrap().push(call);
        }
        None
    });
    calls
}

#[tokio::test]
async fn no_power_failure_brings_back_what_the_index_knew_of_what_went() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let (log, spans) = committed(&disk, home.path()).await;
    let index = home.path().join("index");
    std::fs::create_dir(&index).unwrap();
    let sidecar = |first: u64| index.join(format!("{first:020}.index"));
    for (first, _) in &spans {
        std::fs::write(sidecar(*first), b"terms").unwrap();
    }
    // What a writer that was killed left behind.
    let left_over = index.join(".00000000000000000000.index.00.new");
    std::fs::write(&left_over, b"terms").unwrap();
    let calls = record(&disk);
    log.dispose(&spans[..1], &disposal()).unwrap();
    use Call::{Remove, SyncDirectory};
    assert!(!sidecar(spans[0].0).exists() && !left_over.exists());
    // The note; the sidecar and what was left; only when these are gone for good, the segment.
    let expected = [
        SyncDirectory,
        Remove,
        Remove,
        SyncDirectory,
        Remove,
        SyncDirectory,
    ];
    assert_eq!(*calls.lock().unwrap(), expected);
    calls.lock().unwrap().clear();
    let all = (
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
    );
    for _ in 0..2 {
        // Again: whoever did it before may have ended before the removal was durable.
        log.forgetting_sidecars(all.0, all.1, || Ok::<_, io::Error>(()))
            .unwrap();
        assert_eq!(calls.lock().unwrap().last(), Some(&SyncDirectory));
        calls.lock().unwrap().clear();
    }
    assert!(spans.iter().all(|(first, _)| !sidecar(*first).exists()));
}

#[tokio::test]
async fn nobody_puts_a_sidecar_in_place_between_the_end_of_a_key_and_of_what_it_opened() {
    let home = tempfile::tempdir().unwrap();
    let (log, spans) = committed(&TestDisk::new(), home.path()).await;
    let index = home.path().join("index");
    let sidecar = index.join("00000000000000000000.index");
    let all = (
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
    );
    // As another process, or the daemon's own index, when it puts one in place.
    let lock = SidecarLock::take(&index).unwrap();
    let destroyed = Arc::new(AtomicBool::new(false));
    let disposing = {
        let (log, destroyed) = (log.clone(), Arc::clone(&destroyed));
        std::thread::spawn(move || {
            let destroy = || {
                destroyed.store(true, Ordering::SeqCst);
                Ok::<_, io::Error>(())
            };
            log.forgetting_sidecars(all.0, all.1, destroy)?;
            log.dispose(&spans[..1], &disposal())
        })
    };
    std::thread::sleep(Duration::from_millis(300));
    assert!(!destroyed.load(Ordering::SeqCst));
    std::fs::write(&sidecar, b"terms").unwrap();
    drop(lock);
    disposing.join().unwrap().unwrap();
    assert!(destroyed.load(Ordering::SeqCst) && !sidecar.exists());

    let refused = log.forgetting_sidecars(all.0, all.1, || {
        let lock = std::fs::File::open(index.join("lock")).unwrap();
        assert!(lock.try_lock().is_err(), "held while it is destroyed");
        Err(io::Error::other("no"))
    });
    assert!(refused.is_err());
}

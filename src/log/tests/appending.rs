use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[tokio::test]
async fn what_was_appended_is_read_back_after_reopening() {
    let home = tempfile::tempdir().unwrap();
    let opened = AccessLog::open(config(home.path()), "関所.example").unwrap();
    assert!(opened.created && opened.log.is_empty() && opened.torn_tails.is_empty());
    let receipts = opened.log.append(&entries(0..3)).unwrap().await.unwrap();
    let indexes: Vec<_> = receipts.iter().map(|receipt| receipt.index().0).collect();
    assert_eq!((indexes, receipts.len()), (vec![0, 1, 2], 3));
    assert_eq!(opened.log.len(), 3);
    drop(opened);

    let opened = AccessLog::open(config(home.path()), "another name").unwrap();
    assert!(!opened.created && opened.torn_tails.is_empty());
    assert_eq!(opened.log.name(), "関所.example");
    assert_eq!(opened.log.len(), 3);
    assert_eq!(all(&opened.log.reader()), bytes_of(&entries(0..3)));
    let receipts = opened.log.append(&entries(3..4)).unwrap().await.unwrap();
    assert_eq!(receipts.first().index(), LogIndex(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_concurrent_appends_get_consecutive_indexes_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let log = log.clone();
        tasks.spawn(async move {
            let receipts = log.append(&[entry(number)]).unwrap().await.unwrap();
            let index = receipts.first().index();
            // A receipt means that it can be read.
            let kept = log.reader().get(index).unwrap().unwrap();
            assert_eq!(kept.entry().unwrap(), entry(number));
            (index, number)
        });
    }
    let mut given: Vec<_> = tasks.join_all().await;
    given.sort_unstable();
    log.close();
    let reopened = open(home.path());
    assert_eq!(reopened.len(), 1_000);
    for (at, (index, number)) in given.into_iter().enumerate() {
        assert_eq!(index, LogIndex(at as u64));
        let kept = reopened.reader().get(index).unwrap().unwrap();
        assert_eq!(kept.entry().unwrap(), entry(number));
    }
    check_tree(home.path());
}

#[tokio::test]
async fn an_append_whose_caller_is_gone_is_written_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    for number in 0..50 {
        drop(log.append(&[entry(number)]).unwrap());
    }
    log.close();
    assert_eq!(log.len(), 50);
    assert_eq!(all(&open(home.path()).reader()), bytes_of(&entries(0..50)));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let small = LogConfig {
        queue_entries: 4,
        ..config(home.path())
    };
    let log = open_on(&disk, &small).unwrap().log;
    let stalled = disk.stall();
    let first = log.append(&[entry(0)]).unwrap();
    while log.shared.queue.waits() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = log.append(&entries(1..4)).unwrap();
    assert_eq!(
        log.append(&entries(4..6)).unwrap_err(),
        AppendError::QueueFull
    );
    let third = log.append(&[entry(4)]).unwrap();
    assert_eq!(log.append(&[entry(5)]).unwrap_err(), AppendError::QueueFull);
    drop(stalled);
    for appending in [first, second, third] {
        appending.await.unwrap();
    }
    log.append(&[entry(5)]).unwrap().await.unwrap();
    assert_eq!(all(&log.reader()), bytes_of(&entries(0..6)));
}

#[tokio::test]
async fn what_gathers_during_a_sync_shares_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let made = Arc::clone(&calls);
    disk.fail(move |call| {
        made.lock().unwrap().push(call);
        None
    });
    let stalled = disk.stall();
    let first = log.append(&[entry(0)]).unwrap();
    while log.shared.queue.waits() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rest: Vec<_> = (1..50)
        .map(|number| log.append(&[entry(number)]).unwrap())
        .collect();
    drop(stalled);
    for (index, appending) in std::iter::once(first).chain(rest).enumerate() {
        let receipts = appending.await.unwrap();
        assert_eq!(receipts.first().index(), LogIndex(index as u64));
    }
    let batch = [Call::Look, Call::Write, Call::SyncData];
    assert_eq!(*calls.lock().unwrap(), [batch, batch].concat());
    let last = log.reader().get(LogIndex(49)).unwrap().unwrap();
    assert_eq!(last.batch, 1);
}

#[tokio::test]
async fn a_disk_that_hangs_costs_the_caller_no_more_than_the_deadline() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let hasty = LogConfig {
        deadline: Duration::from_millis(50),
        ..config(home.path())
    };
    let log = open_on(&disk, &hasty).unwrap().log;
    let stalled = disk.stall();
    let asked = std::time::Instant::now();
    assert_eq!(
        log.append(&[entry(0)]).unwrap().await,
        Err(AppendError::Deadline)
    );
    assert!(asked.elapsed() >= Duration::from_millis(50));
    assert!(log.is_empty() && log.reader().get(LogIndex(0)).unwrap().is_none());
    // Operators are told, although the writer can't tell anybody.
    let is_silent = |health: &LogHealth| matches!(health, LogHealth::Refusing(why) if why.contains("has not answered"));
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !is_silent(&log.health()) && std::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (told, known) = (log.health(), log.watch().borrow().health.clone());
    drop(stalled);
    assert!(is_silent(&told), "{told:?}");
    assert_eq!(known, LogHealth::Writing);
    while log.health() != LogHealth::Writing {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    log.close();
    assert_eq!(log.len(), 1);
}

#[tokio::test]
async fn entries_that_no_frame_can_hold_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let sized = |bytes| StoredEntry {
        rule: "x".repeat(bytes),
        ..StoredEntry::default()
    };
    assert_eq!(log.append(&[]).unwrap_err(), AppendError::Empty);
    let empty = StoredEntry::default();
    assert_eq!(
        log.append(&[entry(0), empty]).unwrap_err(),
        AppendError::Empty
    );
    let too_large = log.append(&[sized(65_535)]).unwrap_err();
    assert!(matches!(too_large, AppendError::TooLarge { bytes: 65_540 }));
    let beyond_a_segment = log
        .append(&[sized(6_000), sized(6_000), sized(6_000)])
        .unwrap_err();
    assert!(matches!(beyond_a_segment, AppendError::TooLarge { .. }));
    log.close();

    let large = LogConfig {
        segment_bytes: 1 << 20,
        directory: home.path().join("large"),
        ..config(home.path())
    };
    let log = AccessLog::open(large, "large").unwrap().log;
    let largest = sized(65_530);
    assert_eq!(largest.encoded_len(), 65_535);
    log.append(std::slice::from_ref(&largest))
        .unwrap()
        .await
        .unwrap();
    let kept = log.reader().get(LogIndex(0)).unwrap().unwrap();
    assert_eq!(kept.entry().unwrap(), largest);
}

#[tokio::test]
async fn segments_roll_and_the_tree_goes_on_from_each_header() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    for round in 0..5 {
        write_batches(&log, 80, 1 + round % 3).await;
        check_tree(home.path());
    }
    log.close();
    let paths = segments(home.path());
    assert!(paths.len() > 2, "{} segments", paths.len());
    let stored = all(&LogReader::open_directory(home.path().join("log")).unwrap());
    for path in paths {
        let header = catalog::read_header(&File::open(path).unwrap()).unwrap();
        let before = usize::try_from(header.first_index).unwrap();
        assert_eq!(header.tree.root(), naive_root(&stored[..before]));
    }
    let log = open(home.path());
    write_batches(&log, 40, 2).await;
    log.close();
    check_tree(home.path());
}

#[tokio::test]
async fn a_log_that_is_open_is_not_opened_again() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let clone = log.clone();
    drop(log);
    let refused = AccessLog::open(config(home.path()), "x").unwrap_err();
    assert!(matches!(&refused, OpenError::InUse { directory } if directory.ends_with("log")));
    assert_eq!(refused.exit_code(), 75);
    // Nor when somebody took the lock's file for a leftover.
    std::fs::remove_file(home.path().join("log/lock")).unwrap();
    let refused = AccessLog::open(config(home.path()), "x").unwrap_err();
    assert_eq!(refused.exit_code(), 75);
    drop(clone);
    open(home.path());
}

#[tokio::test]
async fn a_closed_log_refuses_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let queued = log.append(&[entry(0)]).unwrap();
    log.close();
    log.close();
    assert_eq!(queued.await.unwrap().first().index(), LogIndex(0));
    assert!(matches!(
        log.append(&[entry(1)]),
        Err(AppendError::Stopped(_))
    ));
    assert_eq!(log.watch().borrow().health, LogHealth::Stopped);
}

#[test]
fn nobody_else_may_read_the_files() {
    let home = tempfile::tempdir().unwrap();
    open(home.path());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.path().join("log")), 0o700);
    for item in std::fs::read_dir(home.path().join("log")).unwrap() {
        let path = item.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

use super::*;

fn nth(call: Call, n: usize, kind: io::ErrorKind) -> impl FnMut(Call) -> Option<io::ErrorKind> {
    let mut seen = 0;
    move |made| {
        seen += usize::from(made == call);
        (made == call && seen == n).then_some(kind)
    }
}

async fn health(log: &AccessLog, wanted: impl FnMut(&LogHealth) -> bool) {
    let mut wanted = wanted;
    let mut watch = log.watch();
    let waiting = watch.wait_for(|state| wanted(&state.health));
    tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_sync_that_failed_is_never_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    write_batches(&log, 3, 1).await;
    let synced = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&synced);
    let mut failed = false;
    disk.fail(move |call| {
        if failed {
            seen.store(true, Ordering::SeqCst);
        }
        failed |= call == Call::SyncData;
        failed.then_some(io::ErrorKind::Other)
    });
    let refused = log.append(&[entry(3)]).unwrap().await.unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(_)), "{refused}");
    assert!(matches!(
        log.append(&[entry(4)]),
        Err(AppendError::Stopped(_))
    ));
    health(&log, |health| matches!(health, LogHealth::Failed(_))).await;
    assert_eq!(log.len(), 3);
    tokio::time::sleep(Duration::from_millis(700)).await;
    log.close();
    assert!(matches!(log.watch().borrow().health, LogHealth::Failed(_)));
    assert!(
        !synced.load(Ordering::SeqCst),
        "the disk was touched after the failure"
    );
    // What the page cache holds is written and synced anew before it counts.
    disk.fail(nth(Call::SyncAll, 1, io::ErrorKind::Other));
    assert!(open_on(&disk, &config(home.path())).is_err());
    disk.heal();
    assert_eq!(open_on(&disk, &config(home.path())).unwrap().log.len(), 4);
}

#[tokio::test]
async fn a_write_that_fails_for_good_stops_the_log() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    disk.fail(nth(Call::Write, 1, io::ErrorKind::Other));
    let refused = log.append(&entries(0..3)).unwrap().await.unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(_)), "{refused}");
    log.close();
    let opened = open_on(&disk, &config(home.path())).unwrap();
    assert_eq!(opened.log.len(), 0);
    assert!(
        !opened.torn_tails.is_empty(),
        "half of the write is on the disk"
    );
}

#[tokio::test]
async fn a_full_disk_refuses_until_there_is_space_again() {
    for call in [Call::Create, Call::Allocate, Call::Rename] {
        let home = tempfile::tempdir().unwrap();
        let disk = TestDisk::new();
        let log = open_on(&disk, &config(home.path())).unwrap().log;
        disk.fail(move |made| (made == call).then_some(io::ErrorKind::StorageFull));
        let mut written = 0;
        let refused = loop {
            match log.append(&[entry(written)]).unwrap().await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, AppendError::Refused(_)), "{refused}");
        assert!(written > 50, "the segment at hand was preallocated");
        health(&log, |health| matches!(health, LogHealth::Refusing(_))).await;
        let refused = log.append(&[entry(written)]).unwrap().await.unwrap_err();
        assert!(matches!(refused, AppendError::Refused(_)), "{refused}");
        disk.heal();
        // By itself: who asks for health first would never append.
        health(&log, |health| *health == LogHealth::Writing).await;
        assert_eq!(log.len(), written);
        write_batches(&log, 100, 1).await;
        log.close();
        assert_eq!(
            all(&open(home.path()).reader()),
            bytes_of(&entries(0..written + 100))
        );
        check_tree(home.path());
    }
}

#[tokio::test]
async fn half_a_write_on_a_full_disk_leaves_nothing_behind() {
    for wait in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let disk = TestDisk::new();
        let log = open_on(&disk, &config(home.path())).unwrap().log;
        write_batches(&log, 1, 1).await;
        disk.fail(nth(Call::Write, 1, io::ErrorKind::StorageFull));
        let refused = log.append(&entries(100..120)).unwrap().await.unwrap_err();
        assert!(matches!(refused, AppendError::Refused(_)), "{refused}");
        if wait {
            health(&log, |health| *health == LogHealth::Writing).await;
        }
        write_batches(&log, 1, 1).await;
        log.close();
        let opened = open_on(&disk, &config(home.path())).unwrap();
        assert!(opened.torn_tails.is_empty());
        assert_eq!(all(&opened.log.reader()), bytes_of(&entries(0..2)));
    }
}

#[tokio::test]
async fn a_segment_removed_underneath_takes_no_more_entries() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 1, 1).await;
    std::fs::remove_dir_all(home.path().join("log")).unwrap();
    let refused = log.append(&[entry(1)]).unwrap().await.unwrap_err();
    assert!(
        matches!(&refused, AppendError::Refused(why) if why.contains("removed")),
        "{refused}"
    );
    health(&log, |health| matches!(health, LogHealth::Refusing(_))).await;
}

#[test]
fn a_disk_that_refuses_at_the_start_is_told_by_kind() {
    let kinds = [
        (io::ErrorKind::StorageFull, 71),
        (io::ErrorKind::QuotaExceeded, 71),
        (io::ErrorKind::PermissionDenied, 73),
        (io::ErrorKind::ReadOnlyFilesystem, 73),
        (io::ErrorKind::Other, 72),
    ];
    for (kind, code) in kinds {
        let home = tempfile::tempdir().unwrap();
        let disk = TestDisk::new();
        disk.fail(nth(Call::Create, 1, kind));
        assert_eq!(
            open_on(&disk, &config(home.path()))
                .unwrap_err()
                .exit_code(),
            code
        );
        disk.heal();
        assert!(open_on(&disk, &config(home.path())).unwrap().created);
    }
}

/// Faults at each call that the log makes, alone or several in a row: whatever they are, what was acknowledged is there
/// afterwards, once, in order.
#[tokio::test]
async fn no_failure_at_any_call_loses_what_was_acknowledged() {
    const CALLS: usize = 200;
    let kinds = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::ReadOnlyFilesystem,
        io::ErrorKind::Other,
    ];
    let hit = Arc::new(Mutex::new(Vec::new()));
    for (kind, in_a_row) in kinds.into_iter().flat_map(|kind| [(kind, 1), (kind, 3)]) {
        let mut reached = 0;
        for at in 1..=CALLS {
            let home = scratch();
            let disk = TestDisk::new();
            let mut made = 0;
            let calls = Arc::clone(&hit);
            disk.fail(move |call| {
                made += 1;
                let fails = (at..at + in_a_row).contains(&made);
                if fails {
                    calls.lock().unwrap().push(call);
                }
                fails.then_some(kind)
            });
            let tight = LogConfig {
                segment_bytes: 8 << 10,
                ..config(home.path())
            };
            let before = hit.lock().unwrap().len();
            let mut acknowledged = Vec::new();
            let mut next = 0;
            for _ in 0..2 {
                let Ok(opened) = open_on(&disk, &tight) else {
                    continue;
                };
                for _ in 0..12 {
                    let unit = entries(next..next + 4);
                    next += 4;
                    let Ok(appending) = opened.log.append(&unit) else {
                        continue;
                    };
                    if let Ok(receipts) = appending.await {
                        acknowledged.extend(receipts.iter().map(|r| r.index()).zip(unit));
                    }
                }
            }
            reached += usize::from(hit.lock().unwrap().len() > before);
            disk.heal();
            let opened = open_on(&disk, &tight).unwrap();
            for (index, entry) in &acknowledged {
                let kept = opened.log.reader().get(*index).unwrap().unwrap();
                assert_eq!(kept.entry().unwrap(), *entry, "{kind} at call {at}");
            }
            // Not acknowledged and yet there may be one unit, whole: the one whose sync failed.
            let extra = opened.log.len() - acknowledged.len() as u64;
            assert!(
                extra == 0 || extra == 4,
                "{extra} more for {kind} at call {at}"
            );
            assert!(!acknowledged.is_empty() || at < 10 || in_a_row > 1);
            opened.log.close();
            check_tree(home.path());
        }
        assert!(reached > 100, "only {reached} faults came");
    }
    let hit = hit.lock().unwrap();
    for call in [
        Call::Create,
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::SyncDirectory,
        Call::Allocate,
        Call::Truncate,
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::Look,
    ] {
        assert!(hit.contains(&call), "no {call:?} failed");
    }
}

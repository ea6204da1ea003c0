//! What the log does when the ground moves: space, identity of the file, days.

use super::*;
use crate::log::durable::Volume;

const DAY_US: i64 = 86_400_000_000;

fn volume(free: u64) -> Volume {
    Volume {
        free,
        read_only: false,
    }
}

async fn until(log: &AccessLog, mut wanted: impl FnMut(&LogState) -> bool) -> Duration {
    let began = std::time::Instant::now();
    let mut watch = log.watch();
    let waiting = watch.wait_for(|state| wanted(state));
    tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    began.elapsed()
}

fn refuses(state: &LogState) -> bool {
    matches!(state.health, LogHealth::Refusing(_))
}

fn writes(state: &LogState) -> bool {
    state.health == LogHealth::Writing
}

#[tokio::test]
async fn little_space_warns_then_refuses_all_but_the_logs_own_words_and_passes_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    write_batches(&log, 1, 1).await;
    *disk.volume.lock().unwrap() = Some(volume(500 << 20));
    until(&log, |state| state.warning.is_some()).await;
    write_batches(&log, 1, 1).await;

    let (mut full, mut refusal, mut free) = (SOON, SOON, SOON);
    for _ in 0..TRIES {
        *disk.volume.lock().unwrap() = Some(volume(100 << 20));
        full = full.min(until(&log, refuses).await);
        let next = log.len();
        let began = std::time::Instant::now();
        let refused = log.append(&[entry(next)]).unwrap().await.unwrap_err();
        refusal = refusal.min(began.elapsed());
        assert!(matches!(refused, AppendError::Refused(_)), "{refused}");
        let own = log.append_reserved(&[entry(next)]).unwrap().await.unwrap();
        assert_eq!(own.first().index(), LogIndex(next));

        *disk.volume.lock().unwrap() = Some(volume(5 << 30));
        free = free.min(until(&log, writes).await);
        write_batches(&log, 1, 1).await;
    }
    assert_eq!(all(&log.reader()), bytes_of(&entries(0..log.len())));
    assert!(full < Duration::from_secs(1), "{full:?}");
    assert!(refusal < Duration::from_millis(50), "{refusal:?}");
    assert!(free < Duration::from_secs(1), "{free:?}");
}

#[tokio::test]
async fn the_last_words_fit_when_a_segment_is_full_and_no_other_can_be_made() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    disk.fail(|call| (call == Call::Allocate).then_some(io::ErrorKind::StorageFull));
    let mut written = 0;
    while let Ok(appending) = log.append(&[entry(written)]) {
        if appending.await.is_err() {
            break;
        }
        written += 1;
    }
    let own = log
        .append_reserved(&[entry(written)])
        .unwrap()
        .await
        .unwrap();
    assert_eq!(own.first().index(), LogIndex(written));
    // The log's own words went into the old segment: others still find no room, and nobody is told otherwise.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(refuses(&log.watch().borrow()));
    disk.heal();
    until(&log, writes).await;
    let after = log.append(&[entry(written + 1)]).unwrap().await.unwrap();
    assert_eq!(after.first().index(), LogIndex(written + 1));
    log.close();
    check_tree(home.path());
    assert_eq!(
        all(&LogReader::open_directory(home.path().join("log")).unwrap()),
        bytes_of(&entries(0..written + 2))
    );
}

#[tokio::test]
async fn a_segment_that_was_made_and_cant_be_read_ends_the_log_and_the_next_start_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    let directory = home.path().join("log");
    let first = segments(home.path());
    let made = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&made);
    disk.fail(move |call| {
        let path = (call == Call::SyncDirectory)
            .then(|| segments(directory.parent().unwrap()).pop())
            .flatten()
            .filter(|path| !first.contains(path));
        if let Some(path) = path {
            // It is there, and nobody can open it.
            std::fs::rename(&path, path.with_extension("aside")).unwrap();
            std::os::unix::fs::symlink("nowhere", &path).unwrap();
            *seen.lock().unwrap() = Some(path);
        }
        None
    });
    let mut written = 0;
    while let Ok(appending) = log.append(&[entry(written)]) {
        match appending.await {
            Ok(_) => written += 1,
            Err(error) => assert!(matches!(error, AppendError::Stopped(_)), "{error}"),
        }
    }
    until(&log, |state| matches!(state.health, LogHealth::Failed(_))).await;
    log.close();
    let path = made.lock().unwrap().take().unwrap();
    std::fs::rename(path.with_extension("aside"), &path).unwrap();
    let log = open(home.path());
    assert_eq!(log.len(), written);
    write_batches(&log, 1, 1).await;
    log.close();
    check_tree(home.path());
}

#[tokio::test]
async fn what_is_kept_back_is_bounded_and_not_for_others() {
    let home = tempfile::tempdir().unwrap();
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    disk.fail(|call| (call == Call::Allocate).then_some(io::ErrorKind::StorageFull));
    let mut number = 0;
    while log.append(&[entry(number)]).unwrap().await.is_ok() {
        number += 1;
    }
    let mut own = 0;
    while log.append_reserved(&[entry(number)]).unwrap().await.is_ok() {
        number += 1;
        own += 1;
    }
    assert!((1..100).contains(&own), "{own}");
    let refused = log.append_reserved(&[entry(number)]).unwrap().await;
    assert!(matches!(refused, Err(AppendError::Refused(_))));
}

#[tokio::test]
async fn a_segment_that_was_moved_away_replaced_or_made_read_only_is_noticed_without_an_append() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 2, 1).await;
    let directory = home.path().join("log");
    let aside = home.path().join("aside");
    let path = segments(home.path()).pop().unwrap();

    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    let kept = home.path().join("kept");
    let mut soonest = [SOON; 6];
    for _ in 0..TRIES {
        let mut took = Vec::new();
        std::fs::rename(&directory, &aside).unwrap();
        took.push(until(&log, refuses).await);
        assert!(log.append(&[entry(2)]).unwrap().await.is_err());
        let own = log.append_reserved(&[entry(2)]).unwrap().await;
        assert!(matches!(own, Err(AppendError::Refused(_))));
        std::fs::rename(&aside, &directory).unwrap();
        took.push(until(&log, writes).await);

        mode(0o400).unwrap();
        took.push(until(&log, refuses).await);
        mode(0o600).unwrap();
        took.push(until(&log, writes).await);

        std::fs::rename(&path, &kept).unwrap();
        std::fs::copy(&kept, &path).unwrap();
        took.push(until(&log, refuses).await);
        std::fs::rename(&kept, &path).unwrap();
        took.push(until(&log, writes).await);
        soonest = std::array::from_fn(|at| soonest[at].min(took[at]));
        if soonest.iter().all(|took| *took < Duration::from_secs(1)) {
            break;
        }
    }
    write_batches(&log, 1, 1).await;
    assert_eq!(all(&log.reader()), bytes_of(&entries(0..3)));
    assert!(
        soonest.iter().all(|took| *took < Duration::from_secs(1)),
        "{soonest:?}"
    );
}

#[tokio::test]
async fn each_day_has_its_own_segment_and_a_clock_set_back_makes_none() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let on = |day: i64, second: i64| StoredEntry {
        time_us: (20_000 + day) * DAY_US + second * 1_000_000,
        ..entry(0)
    };
    for (entry, count) in [
        (on(0, 10), 1),
        (on(0, 86_399), 1),
        (on(1, 0), 2),
        (on(0, 50), 2),
        (on(1, 5), 2),
        (on(3, 0), 3),
    ] {
        log.append(&[entry]).unwrap().await.unwrap();
        assert_eq!(log.reader().segments().len(), count);
    }
    log.close();
    // A closed segment takes no more than it holds.
    let paths = segments(home.path());
    let length = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    assert!(length(&paths[0]) < 5_000 && length(&paths[1]) < 5_000);
    let log = open(home.path());
    log.append(&[on(3, 9)]).unwrap().await.unwrap();
    assert_eq!(log.reader().segments().len(), 3);
    log.append(&[on(4, 0)]).unwrap().await.unwrap();
    assert_eq!(log.reader().segments().len(), 4);
    // Also where the log's own words are the first of a day.
    let own = log.append_reserved(&[on(5, 0)]).unwrap();
    own.await.unwrap();
    assert_eq!(log.reader().segments().len(), 5);
    log.append(&[on(5, 1)]).unwrap().await.unwrap();
    assert_eq!(log.reader().segments().len(), 5);
    log.close();
    check_tree(home.path());
}

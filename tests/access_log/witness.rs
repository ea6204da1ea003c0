//! Checkpoints in the hands of others: a real log, witnesses over real sockets, directories on a real disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sekisho::http_client::Endpoint;
use sekisho::log::{
    AccessLog, Checkpoint, LogConfig, Signed, SignedNote, SigningKey, SigningSeed, VerifierKey,
    cosigned,
};
use sekisho::proto::{EntryKind, StoredEntry};
use sekisho::vitals::{Vitals, prometheus};
use sekisho::witness::{
    Contradiction, EndpointConfig, Handing, Pace, WitnessConfig, WitnessError, Witnesses,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::support::port::Port;
use crate::support::witness::{HOSTILE_NAME, Manner, Witness, misbehave, misbehave_at};

const ORIGIN: &str = "log.example/a";
const SEED: [u8; 32] = [7; 32];
/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn open_with(directory: &Path, seed: &[u8; 32]) -> AccessLog {
    let config = LogConfig {
        segment_bytes: 64 << 10,
        ..LogConfig::new(directory.to_owned(), SigningSeed::new(seed))
    };
    AccessLog::open(config, ORIGIN).unwrap().log
}

fn open(home: &TempDir) -> AccessLog {
    open_with(&home.path().join("log"), &SEED)
}

fn key() -> VerifierKey {
    SigningKey::new(ORIGIN, &SEED)
        .unwrap()
        .verifier_key()
        .clone()
}

/// Appends entries that differ by `mark`.
async fn write(log: &AccessLog, count: usize, mark: i64) {
    for number in 0..count {
        let entry = StoredEntry {
            time_us: mark + i64::try_from(number).unwrap(),
            kind: EntryKind::LogState.into(),
            ..StoredEntry::default()
        };
        log.append(&[entry]).unwrap().await.unwrap();
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn endpoint(url: &str, key: &str, ca: Option<&Path>) -> EndpointConfig {
    EndpointConfig {
        url: Endpoint::parse(&format!("{url}/add-checkpoint")).unwrap(),
        key: VerifierKey::parse(key).unwrap(),
        ca: ca.map(Path::to_owned),
    }
}

/// Everything in a hurry.
fn config(witnesses: &[&Witness], directories: &[&Path]) -> WitnessConfig {
    WitnessConfig {
        required: false,
        directories: directories.iter().map(PathBuf::from).collect(),
        endpoints: witnesses
            .iter()
            .map(|witness| endpoint(&witness.url(), &witness.key(), witness.ca()))
            .collect(),
        timeout: Duration::from_secs(5),
        pace: Pace {
            every: Duration::from_millis(50),
            required_within: Duration::from_secs(300),
        },
    }
}

/// Looks and hands out; alarms come out of the other end.
async fn hand(config: WitnessConfig, log: &AccessLog) -> (Handing, mpsc::Receiver<String>) {
    let (alarms, alarmed) = mpsc::channel(8);
    let looked = Witnesses::look(config, log, Vec::new()).await.unwrap();
    (looked.start(&alarms), alarmed)
}

async fn refused(config: WitnessConfig, log: &AccessLog) -> WitnessError {
    let before = log.len();
    let error = Witnesses::look(config, log, Vec::new()).await.unwrap_err();
    assert_eq!(log.len(), before, "an entry was written");
    error
}

fn contradictions(error: WitnessError) -> Vec<Contradiction> {
    match error {
        WitnessError::Contradicted(found) => found,
        other => panic!("not contradicted: {other}"),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

fn kept_file(directory: &Path) -> PathBuf {
    directory.join("log.example%2Fa.checkpoint")
}

fn kept_size(directory: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(kept_file(directory)).ok()?;
    let note = SignedNote::parse(&text).unwrap();
    Some(note.checkpoint(&key()).unwrap().size)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_checkpoint_gathers_the_cosignatures_of_all_and_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let plain = Witness::open("witness.example/plain");
    let secure = Witness::open_secure("witness.example/secure", home.path());
    let witnesses = [&plain, &secure];
    for witness in witnesses {
        witness.trust(&key());
    }
    let log = open(&home);
    write(&log, 3, 0).await;
    let (handing, _) = hand(config(&witnesses, &[]), &log).await;
    write(&log, 40, 100).await;
    let keys = witnesses.map(|witness| VerifierKey::parse(&witness.key()).unwrap());
    let both = |note: &SignedNote| keys.iter().all(|key| cosigned(note, key).is_ok());
    until("both sign the newest", || {
        log.cosigned()
            .is_some_and(|found| found.checkpoint.size == 43 && both(&found.note))
    })
    .await;
    assert!(handing.standing().warnings().is_empty());

    let text = std::fs::read_to_string(home.path().join("log/checkpoint.cosigned")).unwrap();
    let kept = SignedNote::parse(&text).unwrap();
    let checkpoint = kept.checkpoint(&key()).unwrap();
    assert_eq!(checkpoint.size, 43);
    assert_eq!(Some(checkpoint.root), log.root_at(43).unwrap());
    assert!(both(&kept));
    for witness in witnesses {
        assert_eq!(witness.saw(ORIGIN), Some(checkpoint.clone()));
    }
    handing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_checkpoint_is_handed_out_at_the_stop() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let witness = Witness::open("witness.example/1");
    witness.trust(&key());
    let log = open(&home);
    let mut slow = config(&[&witness], &[directory.path()]);
    slow.pace.every = Duration::from_secs(3_600);
    let (handing, _) = hand(slow, &log).await;
    write(&log, 2, 0).await;
    until("the first round", || witness.saw(ORIGIN).is_some()).await;
    write(&log, 20, 100).await;
    log.close();
    handing.finish().await;
    assert_eq!(witness.saw(ORIGIN).unwrap().size, 22);
    assert_eq!(kept_size(directory.path()), Some(22));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_down_is_told_of_and_catches_up_when_it_is_back() {
    let home = tempfile::tempdir().unwrap();
    let mut witness = Witness::open("witness.example/1");
    witness.trust(&key());
    witness.go_down();
    let log = open(&home);
    write(&log, 5, 0).await;
    let mut soon_late = config(&[&witness], &[]);
    soon_late.pace.required_within = Duration::from_millis(100);
    let (handing, _) = hand(soon_late, &log).await;
    let standing = handing.standing();
    until("it is late", || {
        let warnings = standing.warnings();
        warnings.len() == 2 && warnings[0].contains(" 5 entries behind")
    })
    .await;
    let warnings = standing.warnings();
    assert!(
        warnings[0]
            .starts_with("witness witness.example/1: 5 entries behind: can't connect to http://"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("no witness has taken a checkpoint for over"),
        "{warnings:?}"
    );
    let text = prometheus(standing.metrics());
    assert!(
        text.contains("sekisho_witness_behind_entries{witness=\"witness.example/1\"} 5\n"),
        "{text}"
    );
    assert!(
        !text.contains("sekisho_witness_errors_total{witness=\"witness.example/1\"} 0\n"),
        "{text}"
    );

    write(&log, 5, 100).await;
    witness.listen();
    until("it catches up", || {
        witness.saw(ORIGIN).is_some_and(|seen| seen.size == 10)
    })
    .await;
    until("it is well", || {
        let text = prometheus(standing.metrics());
        standing.warnings().is_empty()
            && text.contains("sekisho_witness_behind_entries{witness=\"witness.example/1\"} 0\n")
    })
    .await;

    // And again while serving: the connection that was kept is gone.
    witness.go_down();
    write(&log, 1, 200).await;
    until("it is told", || !standing.warnings().is_empty()).await;
    witness.listen();
    until("it catches up again", || {
        witness.saw(ORIGIN).is_some_and(|seen| seen.size == 11)
    })
    .await;
    handing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_witness_that_is_not_reached_or_does_not_sign_refuses_the_start() {
    let home = tempfile::tempdir().unwrap();
    let mut witness = Witness::open("witness.example/1");
    let log = open(&home);
    let required = |witnesses: &[&Witness], directories: &[&Path]| WitnessConfig {
        required: true,
        ..config(witnesses, directories)
    };
    let error = refused(required(&[&witness], &[]), &log).await;
    assert_eq!(error.exit_code(), 75);
    assert!(
        error
            .to_string()
            .contains("witness.example/1: it answers 404: it does not know this log"),
        "{error}"
    );
    let stranger = SigningKey::new(ORIGIN, &[8; 32]).unwrap();
    witness.trust(stranger.verifier_key());
    let error = refused(required(&[&witness], &[]), &log).await;
    assert!(error.to_string().contains("403"), "{error}");
    witness.go_down();
    let error = refused(required(&[&witness], &[]), &log).await;
    assert_eq!(error.exit_code(), 75);
    let unmounted = home.path().join("unmounted");
    let error = refused(required(&[], &[&unmounted]), &log).await;
    assert_eq!(error.exit_code(), 75);
    assert!(error.to_string().contains("unmounted"), "{error}");
    // Not required: served, and told.
    let looked = hand(config(&[&witness], &[&unmounted]), &log).await.0;
    assert_eq!(looked.standing().warnings().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rolled_back_is_refused_by_whoever_saw_more() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let witness = Witness::open("witness.example/1");
    witness.trust(&key());
    let log = open(&home);
    write(&log, 9, 0).await;
    log.close();
    let older = tempfile::tempdir().unwrap();
    copy(&home.path().join("log"), &older.path().join("log"));

    let log = open(&home);
    let all = || config(&[&witness], &[directory.path()]);
    let (handing, _) = hand(all(), &log).await;
    write(&log, 30, 100).await;
    log.close();
    handing.finish().await;
    // Honest so far.
    let log = open(&home);
    Witnesses::look(all(), &log, Vec::new()).await.unwrap();
    drop(log);

    let log = open(&older);
    let expected = |who: &str| Contradiction::KnowsMore {
        witness: who.to_owned(),
        size: 39,
        log: 9,
    };
    let found = contradictions(refused(config(&[&witness], &[]), &log).await);
    assert_eq!(found, [expected("witness.example/1")]);
    let file = kept_file(directory.path());
    let found = contradictions(refused(config(&[], &[directory.path()]), &log).await);
    assert_eq!(found, [expected(file.to_str().unwrap())]);
    // Also with nobody configured: what was kept beside the log.
    let cosigned = older.path().join("log/checkpoint.cosigned");
    assert!(!cosigned.exists());
    std::fs::copy(home.path().join("log/checkpoint.cosigned"), &cosigned).unwrap();
    let error = refused(WitnessConfig::default(), &log).await;
    assert_eq!(error.exit_code(), 65);
    assert_eq!(
        contradictions(error),
        [expected(cosigned.to_str().unwrap())]
    );
    // All who know better are named at once.
    let found = contradictions(refused(all(), &log).await);
    assert_eq!(found.len(), 2);
    assert_eq!(kept_size(directory.path()), Some(39));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_a_gap_names_is_told_of_and_anything_else_still_contradicts() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let witness = Witness::open("witness.example/1");
    witness.trust(&key());
    let log = open(&home);
    write(&log, 9, 0).await;
    log.close();
    let restored = tempfile::tempdir().unwrap();
    copy(&home.path().join("log"), &restored.path().join("log"));
    let log = open(&home);
    let all = || config(&[&witness], &[directory.path()]);
    let (handing, _) = hand(all(), &log).await;
    write(&log, 21, 100).await;
    log.close();
    handing.finish().await;
    let lost = Signed::clone(&log.checkpoints().borrow());
    assert_eq!(lost.checkpoint.size, 30);
    let other = SigningKey::new(ORIGIN, &SEED).unwrap();
    let named = |size: u64, root: [u8; 32]| {
        let checkpoint = Checkpoint {
            size,
            root,
            ..lost.checkpoint.clone()
        };
        Signed {
            note: other.sign(&checkpoint).unwrap(),
            checkpoint,
        }
    };
    let file = std::fs::read(kept_file(directory.path())).unwrap();

    // The log that goes on from the backup: shorter than the lost one, as long, longer.
    for more in [1, 19, 35] {
        let log = open(&restored);
        write(&log, more, 1_000).await;
        log.close();
        let log = open(&restored);
        for wrong in [named(30, [9; 32]), named(29, lost.checkpoint.root)] {
            for config in [config(&[&witness], &[]), config(&[], &[directory.path()])] {
                let looked = Witnesses::look(config, &log, vec![wrong.clone()]).await;
                assert_eq!(contradictions(looked.unwrap_err()).len(), 1, "{more}");
            }
        }
        let looked = Witnesses::look(all(), &log, vec![lost.clone()]).await;
        let (alarms, mut alarmed) = mpsc::channel(8);
        let handing = looked.unwrap().start(&alarms);
        write(&log, 1, 2_000).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let standing = handing.standing();
        let told = standing.warnings();
        assert_eq!(told.len(), 2, "{told:?}");
        for (told, then) in told
            .iter()
            .zip(["have its operator reset", "aside, and keep it"])
        {
            let before = "holds a state of 30 entries from before a declared gap";
            assert!(told.contains(before) && told.contains(then), "{told}");
        }
        let text = prometheus(standing.metrics());
        assert!(
            !text.contains("sekisho_witness_alarm{witness=\"witness.example/1\"} 1")
                && text.contains("sekisho_witness_before_gap{witness=\"witness.example/1\"} 1"),
            "{text}"
        );
        assert!(alarmed.try_recv().is_err(), "{more}");
        let required = WitnessConfig {
            required: true,
            ..all()
        };
        let refused = Witnesses::look(required, &log, vec![lost.clone()]).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.exit_code(), 75);
        assert!(
            refused.to_string().contains("before a declared gap"),
            "{refused}"
        );
        log.close();
        handing.finish().await;
    }
    assert_eq!(witness.saw(ORIGIN), Some(lost.checkpoint.clone()));
    assert_eq!(std::fs::read(kept_file(directory.path())).unwrap(), file);
    assert!(!restored.path().join("log/checkpoint.cosigned").exists());

    // Their operators do what is said, while it serves.
    let log = open(&restored);
    let looked = Witnesses::look(all(), &log, vec![lost.clone()]).await;
    let (alarms, _alarmed) = mpsc::channel(8);
    let handing = looked.unwrap().start(&alarms);
    witness.forget(ORIGIN);
    std::fs::remove_file(kept_file(directory.path())).unwrap();
    write(&log, 1, 3_000).await;
    let standing = handing.standing();
    until("all is well", || standing.warnings().is_empty()).await;
    assert!(kept_size(directory.path()).unwrap() > 30);
    log.close();
    handing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_under_the_stolen_key_is_refused_at_any_size() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let witness = Witness::open("witness.example/1");
    witness.trust(&key());
    let log = open(&home);
    write(&log, 20, 0).await;
    let (handing, _) = hand(config(&[&witness], &[directory.path()]), &log).await;
    log.close();
    handing.finish().await;
    for count in [20, 21, 33, 64] {
        let forged = tempfile::tempdir().unwrap();
        let log = open(&forged);
        // The first ten are the true ones.
        write(&log, 10, 0).await;
        write(&log, count - 10, 1_000).await;
        log.close();
        let log = open(&forged);
        for (witnesses, directories, who) in [
            (vec![&witness], vec![], "witness.example/1".to_owned()),
            (
                vec![],
                vec![directory.path()],
                kept_file(directory.path()).display().to_string(),
            ),
        ] {
            let error = refused(config(&witnesses, &directories), &log).await;
            assert_eq!(error.exit_code(), 65);
            let expected = Contradiction::OtherHistory {
                witness: who,
                size: 20,
            };
            assert_eq!(contradictions(error), [expected], "{count}");
        }
    }
    assert_eq!(witness.saw(ORIGIN).unwrap().size, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_file_that_is_not_this_logs_is_named_and_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    let log = open(&home);
    write(&log, 3, 0).await;
    let strangers = tempfile::tempdir().unwrap();
    drop(open_with(&strangers.path().join("log"), &[8; 32]));
    let stranger = std::fs::read_to_string(strangers.path().join("log/checkpoint")).unwrap();
    let own = log.checkpoints().borrow().note.to_string();
    let tampered = own
        .replacen("\n0\n", "\n1\n", 1)
        .replacen("\n3\n", "\n2\n", 1);
    assert_ne!(own, tampered);
    for bad in [stranger.as_str(), &tampered, "", "nothing", "\u{0}"] {
        let directory = tempfile::tempdir().unwrap();
        let file = kept_file(directory.path());
        std::fs::write(&file, bad).unwrap();
        let error = refused(config(&[], &[directory.path()]), &log).await;
        assert_eq!(error.exit_code(), 65);
        assert!(
            error
                .to_string()
                .starts_with(&format!("{}: is no checkpoint of this log", file.display())),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bad);
    }
    let cosigned = home.path().join("log/checkpoint.cosigned");
    std::fs::write(&cosigned, &stranger).unwrap();
    let error = refused(WitnessConfig::default(), &log).await;
    assert_eq!(error.exit_code(), 65);
    assert!(
        error.to_string().starts_with(cosigned.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_serving_a_kept_checkpoint_that_knows_more_raises_one_alarm_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = open(&home);
    write(&log, 3, 0).await;
    let (handing, mut alarmed) = hand(config(&[], &[directory.path()]), &log).await;
    until("it is handed out", || {
        kept_size(directory.path()) == Some(3)
    })
    .await;
    // Somebody with the key went on elsewhere.
    let other = tempfile::tempdir().unwrap();
    let elsewhere = open(&other);
    write(&elsewhere, 50, 500).await;
    elsewhere.close();
    let larger = std::fs::read(other.path().join("log/checkpoint")).unwrap();
    std::fs::write(kept_file(directory.path()), &larger).unwrap();
    write(&log, 3, 100).await;
    let alarm = tokio::time::timeout(SOON, alarmed.recv()).await.unwrap();
    assert!(
        alarm
            .as_ref()
            .unwrap()
            .contains("knows 50 entries of this log"),
        "{alarm:?}"
    );
    write(&log, 3, 200).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(alarmed.try_recv().is_err(), "a second alarm");
    assert_eq!(std::fs::read(kept_file(directory.path())).unwrap(), larger);
    let standing = handing.standing();
    assert!(standing.warnings()[0].contains("ALARM"));
    assert!(prometheus(standing.metrics()).contains("sekisho_witness_alarm{"));
    // Entries are taken all the same.
    write(&log, 1, 300).await;
    handing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_forgot_is_handed_everything_again() {
    let home = tempfile::tempdir().unwrap();
    let witness = Witness::open("witness.example/1");
    witness.trust(&key());
    let log = open(&home);
    let (handing, _) = hand(config(&[&witness], &[]), &log).await;
    write(&log, 7, 0).await;
    until("it signs", || {
        witness.saw(ORIGIN).is_some_and(|seen| seen.size == 7)
    })
    .await;
    witness.forget(ORIGIN);
    write(&log, 7, 100).await;
    until("it signs again", || {
        witness.saw(ORIGIN).is_some_and(|seen| seen.size == 14)
    })
    .await;
    assert!(witness.answers().contains(&409));
    assert!(handing.standing().warnings().is_empty());
    handing.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_lies_or_stalls_does_no_harm_and_is_told_of() {
    let configured = Witness::open(HOSTILE_NAME);
    for (manner, words) in [
        (Manner::WrongKey, "no cosignature that counts"),
        (Manner::Garbage, "no cosignature that counts"),
        (Manner::Endless, "is over 65536 bytes"),
        (Manner::EndlessHeaders, ""),
        (Manner::Slow, "gave no answer within 1 s"),
        (Manner::Silent, "gave no answer within 1 s"),
        (Manner::NoSize, "is no number"),
        (Manner::Restless, ""),
        (Manner::Broken, "it answers 500"),
        (Manner::Redirect, "it answers 307"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let log = open(&home);
        write(&log, 3, 0).await;
        let hostile = WitnessConfig {
            endpoints: vec![endpoint(&misbehave(manner), &configured.key(), None)],
            // A busy machine may be late with an answer that is to come.
            timeout: match manner {
                Manner::Slow | Manner::Silent => Duration::from_secs(1),
                _ => Duration::from_secs(10),
            },
            ..config(&[], &[])
        };
        let began = Instant::now();
        let (handing, _) = hand(hostile, &log).await;
        assert!(began.elapsed() < SOON, "{manner:?}");
        let warnings = handing.standing().warnings();
        assert_eq!(warnings.len(), 1, "{manner:?}: {warnings:?}");
        assert!(warnings[0].contains(words), "{manner:?}: {warnings:?}");
        assert!(warnings[0].len() < 600 && !warnings[0].contains('\u{1b}'));
        assert!(log.cosigned().is_none(), "{manner:?}");
        assert!(!home.path().join("log/checkpoint.cosigned").exists());
        // Nobody waits for it.
        let mut soonest = SOON;
        for number in 1..5 {
            let began = Instant::now();
            write(&log, 3, number * 100).await;
            soonest = soonest.min(began.elapsed());
        }
        assert!(soonest < Duration::from_secs(1), "{manner:?}: {soonest:?}");
        drop(handing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_beyond_any_log_refuses_a_start_and_while_serving_is_an_alarm() {
    let home = tempfile::tempdir().unwrap();
    let log = open(&home);
    let configured = Witness::open(HOSTILE_NAME);
    let hostile = || WitnessConfig {
        endpoints: vec![endpoint(
            &misbehave(Manner::HugeSize),
            &configured.key(),
            None,
        )],
        ..config(&[], &[])
    };
    let error = refused(hostile(), &log).await;
    assert_eq!(error.exit_code(), 65);
    assert!(
        error
            .to_string()
            .contains("witness.example/configured knows 18446744073709551615 entries"),
        "{error}"
    );

    // Down at the start, and a liar when it is back.
    let mut place = Port::free();
    let address = place.address();
    let later = WitnessConfig {
        endpoints: vec![endpoint(
            &format!("http://{address}"),
            &configured.key(),
            None,
        )],
        ..config(&[], &[])
    };
    let (handing, mut alarmed) = hand(later, &log).await;
    misbehave_at(&mut place, Manner::HugeSize);
    let alarm = tokio::time::timeout(SOON, alarmed.recv()).await.unwrap();
    assert!(alarm.unwrap().contains("18446744073709551615"));
    write(&log, 3, 0).await;
    let warnings = handing.standing().warnings();
    assert!(
        warnings.iter().any(|line| line.contains("ALARM")),
        "{warnings:?}"
    );
    drop(handing);
}

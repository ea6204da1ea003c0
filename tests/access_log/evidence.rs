//! The log as evidence: what `sekisho log verify` says of a directory and of an export, and whether a verifier that somebody
//! else wrote agrees.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sekisho::log::{AccessLog, LogConfig, SigningSeed};
use sekisho::proto::StoredEntry;
use serde_json::Value;

use crate::support::dev_house::{House, done, run, told};

/// It looks at a few files; a minute is for a busy machine.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(60);
/// On a log that is not whole it may wait for ever; one that is takes it a fraction of a second.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

fn log_of(house: &House) -> String {
    let log = house.daemon.data().join("log");
    log.to_str().unwrap().to_owned()
}

/// A log of so many entries, stopped.
fn log_with(home: &Path, entries: u64) -> PathBuf {
    let directory = home.join("log");
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..LogConfig::new(directory.clone(), SigningSeed::new(&[7; 32]))
    };
    let log = AccessLog::open(config, "log.example/evidence").unwrap().log;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut next = 0;
    while next < entries {
        let until = (next + 2_000).min(entries);
        let batch: Vec<StoredEntry> = (next..until)
            .map(|number| StoredEntry {
                time_us: 1_700_000_000_000_000 + i64::try_from(number).unwrap(),
                kind: 1,
                request_id: format!("request {number}"),
                ..StoredEntry::default()
            })
            .collect();
        runtime.block_on(log.append(&batch).unwrap()).unwrap();
        next = until;
    }
    log.close();
    directory
}

/// What `fsck` of the Go module `github.com/transparency-dev/tessera` says of an export. It is judged by its words: it ends
/// with 0 whatever it finds.
fn fsck(out: &Path, within: Duration) -> Result<(), String> {
    let fsck = std::env::var_os("FSCK").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/fsck")),
        PathBuf::from,
    );
    assert!(fsck.is_file(), "{}: `tests/run` gets it", fsck.display());
    let told = out.with_added_extension("fsck");
    let file = std::fs::File::create(&told).unwrap();
    let mut child = Command::new(fsck)
        .arg("--ui=false")
        .arg(format!("--storage_url=file://{}", out.display()))
        .arg(format!("--public_key={}", out.join("log.vkey").display()))
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap();
    let until = Instant::now() + within;
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let words = std::fs::read_to_string(&told).unwrap();
    if words.contains("Successfully fsck'd") {
        Ok(())
    } else {
        Err(words)
    }
}

fn export(home: &Path, out: &Path, log: &Path) {
    let arguments = [
        "log",
        "export",
        "--tlog-tiles",
        out.to_str().unwrap(),
        log.to_str().unwrap(),
    ];
    done(home, "", &arguments);
}

#[test]
fn the_live_log_of_a_daemon_is_whole_and_its_export_is_accepted_by_a_verifier_of_others() {
    let mut house = House::open();
    let log = log_of(&house);
    house.log_in("adviser-1");
    let kept = house.home().join("kept");
    std::fs::copy(Path::new(&log).join("checkpoint"), &kept).unwrap();
    house.log_in("security-1");
    let key = Path::new(&log).join("log.vkey");
    let arguments = [
        "log",
        "verify",
        &log,
        "--key",
        key.to_str().unwrap(),
        "--checkpoint",
        kept.to_str().unwrap(),
        "--json",
    ];
    let told = done(house.home(), "", &arguments);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["whole"], true);
    assert_eq!(told["key_from_directory"], false);
    let number = |field: &str| told[field].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number("entries") >= number("signed_entries"));
    assert!(number("signed_entries") >= number("kept_entries"));

    let out = house.home().join("tiles");
    export(house.home(), &out, Path::new(&log));
    fsck(&out, ACCEPTED_WITHIN).unwrap();
    let words = done(house.home(), "", &["log", "verify", out.to_str().unwrap()]);
    assert!(words.contains("whole: log "), "{words}");
    assert!(
        words.contains("compare it with the key that you kept"),
        "{words}"
    );
}

#[test]
fn an_export_with_tiles_of_three_levels_is_accepted_and_a_changed_one_is_not() {
    let home = tempfile::tempdir().unwrap();
    let log = log_with(home.path(), 66_000);
    let out = home.path().join("tiles");
    export(home.path(), &out, &log);
    assert!(out.join("tile/2/000.p/1").is_file());
    fsck(&out, ACCEPTED_WITHIN).unwrap();
    done(home.path(), "", &["log", "verify", out.to_str().unwrap()]);

    let bundle = out.join("tile/entries/013");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    assert!(fsck(&out, REFUSED_WITHIN).is_err());
    let output = run(home.path(), "", &["log", "verify", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    // The first of the bundle.
    assert!(
        told(&output).contains("NOT whole: entry 3328"),
        "{}",
        told(&output)
    );
}

#[test]
fn the_first_bad_entry_is_named_for_people_and_programs() {
    let home = tempfile::tempdir().unwrap();
    let log = log_with(home.path(), 40_000);
    let log = log.to_str().unwrap();
    let words = done(home.path(), "", &["log", "verify", log, "--progress"]);
    assert!(words.contains("40000 entries"), "{words}");

    let segments = |extension: &str| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(log)
            .unwrap()
            .map(|item| item.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect();
        paths.sort();
        paths
    };
    let segment = segments("segment").remove(1);
    let first: u64 = segment
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 30] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let output = run(home.path(), "", &["log", "verify", log, "--json"]);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    let finding: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(finding["whole"], false);
    assert_eq!(finding["entry"], first.to_string());
    assert_eq!(finding["path"], segment.to_str().unwrap());
    assert_eq!(finding["offset"], "4096");

    let output = run(home.path(), "", &["log", "verify", log, "--lang", "ja"]);
    let words = told(&output);
    assert!(words.contains(&format!("エントリ {first}")), "{words}");
}

#[test]
fn a_kept_checkpoint_and_key_tell_another_log_in_the_place_of_one() {
    let home = tempfile::tempdir().unwrap();
    let log = log_with(home.path(), 50);
    let kept = home.path().join("kept");
    std::fs::copy(log.join("checkpoint"), &kept).unwrap();
    std::fs::remove_dir_all(&log).unwrap();
    // Signed with the very key, but shorter.
    let log = log_with(home.path(), 20);
    let log = log.to_str().unwrap();
    done(home.path(), "", &["log", "verify", log]);
    let arguments = ["log", "verify", log, "--checkpoint", kept.to_str().unwrap()];
    let output = run(home.path(), "", &arguments);
    assert_eq!(output.status.code(), Some(65), "{}", told(&output));
    assert!(
        told(&output).contains("does NOT hold what was kept"),
        "{}",
        told(&output)
    );
}

#[test]
fn what_is_no_log_or_no_place_for_an_export_is_told_apart_from_damage() {
    let home = tempfile::tempdir().unwrap();
    let log = log_with(home.path(), 5);
    let log = log.to_str().unwrap();
    let here = home.path().to_str().unwrap();
    for (arguments, code) in [
        (vec!["log", "verify", here], 66),
        (vec!["log", "verify", log, "--key", "nothing"], 64),
        (vec!["log", "export", "--tlog-tiles", here, log], 73),
        (vec!["log", "export", "--tlog-tiles", "out", here], 66),
        (vec!["log", "export", "--tlog-tiles", "out"], 2),
        (
            vec![
                "log",
                "export",
                "--tlog-tiles",
                "out",
                log,
                "--format",
                "csv",
            ],
            2,
        ),
        (
            vec![
                "log",
                "export",
                "--tlog-tiles",
                "out",
                log,
                "--person",
                "adviser-1",
            ],
            64,
        ),
    ] {
        let output = run(home.path(), "", &arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            told(&output)
        );
    }
    assert!(!home.path().join("out").exists());
}

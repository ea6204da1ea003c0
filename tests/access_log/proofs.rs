//! What the shipped daemon proves to somebody who doesn't trust it, asked with grpcurl and at the terminal.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use sekisho::log::{
    Checkpoint, InclusionProof, SignedNote, VerifierKey, leaf_hash, verify_consistency,
};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, MovedClock};
use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::play::{Door, Metadata};

const CHECKPOINT: &str = "sekisho.v1.AccessLogService/GetCheckpoint";
const PROOF: &str = "sekisho.v1.AccessLogService/GetInclusionProof";
const ENTRY: &str = "sekisho.v1.AccessLogService/GetEntry";
const SEARCH: &str = "sekisho.v1.AccessLogService/Search";
/// A checkpoint is signed every second.
const SIGNED_WITHIN: Duration = Duration::from_secs(60);

fn key_file(house: &House) -> PathBuf {
    house.daemon.data().join("log/log.vkey")
}

fn key(house: &House) -> VerifierKey {
    VerifierKey::parse(&std::fs::read_to_string(key_file(house)).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn checkpoint(house: &House, old_size: u64) -> (Checkpoint, Vec<[u8; 32]>, String) {
    let request = json!({ "old_size": old_size.to_string() });
    let answer = house.answer(CHECKPOINT, &request, &Metadata::new());
    let text = answer["checkpoint"].as_str().unwrap().to_owned();
    let note = SignedNote::parse(&text).unwrap();
    let path = answer["consistencyProof"].as_array();
    let path = path.into_iter().flatten();
    (
        note.checkpoint(&key(house)).unwrap(),
        path.map(|hash| bytes(hash).try_into().unwrap()).collect(),
        text,
    )
}

/// Asks for checkpoints until one commits to `size` entries.
fn until_signed(house: &House, size: u64) -> (Checkpoint, String) {
    let until = Instant::now() + SIGNED_WITHIN;
    loop {
        let (newest, _, text) = checkpoint(house, 0);
        if newest.size >= size {
            return (newest, text);
        }
        assert!(Instant::now() < until, "no checkpoint of {size} entries");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn any_service_gets_a_checkpoint_that_continues_the_one_it_kept() {
    let mut house = House::open();
    let (older, kept) = until_signed(&house, 1);
    house.log_in("adviser-1");
    until_signed(&house, older.size + 2);
    let (newest, path, _) = checkpoint(&house, older.size);
    verify_consistency(
        (older.size, &older.root),
        (newest.size, &newest.root),
        &path,
    )
    .unwrap();

    let kept_file = house.home().join("kept");
    std::fs::write(&kept_file, &kept).unwrap();
    let key_file = key_file(&house);
    let arguments = [
        "log",
        "checkpoint",
        "--data",
        house.data(),
        "--log-key",
        key_file.to_str().unwrap(),
        "--since",
        kept_file.to_str().unwrap(),
    ];
    let output = run(house.home(), "", &arguments);
    assert!(
        told(&output).contains("continues the checkpoint of"),
        "{}",
        told(&output)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    SignedNote::parse(&printed)
        .unwrap()
        .checkpoint(&key(&house))
        .unwrap();

    std::fs::write(&kept_file, kept.replacen('\n', "\n1", 1)).unwrap();
    let output = run(house.home(), "", &arguments);
    assert_eq!(output.status.code(), Some(64), "{}", told(&output));
}

#[test]
fn a_checkpoint_larger_than_the_log_is_told_by_its_field() {
    let house = House::open();
    let error = house
        .send(
            CHECKPOINT,
            &json!({ "old_size": "1000000" }),
            &Metadata::new(),
        )
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.fields()),
        ("INVALID_ARGUMENT", vec!["old_size".to_owned()])
    );
}

#[test]
fn who_may_read_an_entry_gets_the_proof_that_it_is_in_the_log() {
    let mut house = House::open();
    let reader = house.log_in("security-1").metadata();
    let index = 1_u64;
    until_signed(&house, index + 1);
    let entry = house.answer(ENTRY, &json!({ "log_index": index.to_string() }), &reader);
    let answer = house.answer(PROOF, &json!({ "log_index": index.to_string() }), &reader);
    let proof = InclusionProof::parse(answer["proof"].as_str().unwrap()).unwrap();
    assert_eq!(proof.index, index);
    let leaf = leaf_hash(&bytes(&entry["stored"]));
    proof.verify(&leaf, &key(&house)).unwrap();
    assert_eq!(bytes(&entry["entry"]["leafHash"]), leaf);
    assert!(proof.verify(&leaf_hash(b"another"), &key(&house)).is_err());

    // Reading is logged, also of a proof; and nobody gets one of an entry that they may not read.
    let found = house.answer(SEARCH, &json!({ "kind": "ENTRY_KIND_LOG_READ" }), &reader);
    assert!(found.to_string().contains("GetInclusionProof"), "{found}");
    let beyond = house.send(PROOF, &json!({ "log_index": "1000000" }), &reader);
    assert_eq!(beyond.unwrap_err().code, "NOT_FOUND");
    let adviser = house.log_in("adviser-1").metadata();
    let refused = house.send(PROOF, &json!({ "log_index": "1" }), &adviser);
    assert_eq!(refused.unwrap_err().code, "PERMISSION_DENIED");
    let nobody = house.send(PROOF, &json!({ "log_index": "1" }), &Metadata::new());
    assert_eq!(nobody.unwrap_err().code, "PERMISSION_DENIED");
}

#[test]
fn a_proof_is_verified_at_the_terminal_and_not_believed() {
    let house = House::open();
    let password = house.people.get("security-1").password.clone();
    let input = credentials(house.home(), house.data(), "security-1", &password);
    done(house.home(), &input, &["login", "--data", house.data()]);
    until_signed(&house, 3);
    let key_file = key_file(&house);
    let key_path = key_file.to_str().unwrap();
    let arguments = [
        "log",
        "proof",
        "1",
        "--data",
        house.data(),
        "--log-key",
        key_path,
    ];
    let printed = done(house.home(), "", &arguments);
    assert_eq!(InclusionProof::parse(&printed).unwrap().index, 1);

    let other = "log.example+3ddbb5d9+AaLuCiMBdqHcWJR9ImJk1OUQ8gTQkCrNlgUMHPpKRNBC";
    let other_file = house.home().join("other.vkey");
    std::fs::write(&other_file, other).unwrap();
    let other_path = other_file.to_str().unwrap();
    let arguments = [
        "log",
        "proof",
        "1",
        "--data",
        house.data(),
        "--log-key",
        other_path,
    ];
    assert!(!run(house.home(), "", &arguments).status.success());
}

#[test]
fn a_clock_that_is_set_is_recorded_and_entries_keep_their_order() {
    let mut house = House::with_clock();
    let reader = house.log_in("security-1").metadata();
    house.advance(Duration::from_secs(300));
    let until = Instant::now() + SIGNED_WITHIN;
    let request = json!({ "kind": "ENTRY_KIND_LOG_STATE" });
    let found = loop {
        let found = house.answer(SEARCH, &request, &reader).to_string();
        if found.contains("the clock jumped") || Instant::now() > until {
            break found;
        }
        sleep(Duration::from_millis(100));
    };
    assert!(found.contains("the clock jumped"), "{found}");
    let all = house.answer(SEARCH, &json!({ "oldest_first": true }), &reader);
    let indexes: Vec<u64> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            found["entry"]["logIndex"]
                .as_str()
                .map_or(0, |index| index.parse().unwrap())
        })
        .collect();
    assert!(
        indexes
            .iter()
            .zip(indexes.iter().skip(1))
            .all(|(one, next)| next == &(one + 1))
    );
}

#[test]
fn a_clock_that_was_set_back_while_nobody_served_is_recorded_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut clock = MovedClock::new(folder.path()).unwrap();
    clock.advance(Duration::from_hours(1));
    Daemon::start(&data, Some(&clock)).stop();
    let log = data.join("log");
    let arguments = [
        "log",
        "export",
        "--format",
        "jsonl",
        "--directory",
        log.to_str().unwrap(),
    ];
    let jumps = || {
        done(folder.path(), "", &arguments)
            .matches("the clock jumped")
            .count()
    };
    assert_eq!(jumps(), 0);
    clock.set_back(Duration::from_hours(1));
    Daemon::start(&data, Some(&clock)).stop();
    assert_eq!(jumps(), 1);
    Daemon::start(&data, Some(&clock)).stop();
    assert_eq!(jumps(), 1, "told once");
}

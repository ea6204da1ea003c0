//! Exports: every entry in every format, valid by the rules of that format, through the library and through the shipped binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use sekisho::domain::ids::LogIndex;
use sekisho::export::{Format, OCSF_VERSION, reading};
use sekisho::proto::{Action, Decision, EntryKind, StoredDetail, StoredEntry, StoredReason};
use serde_json::Value;

use super::load::{break_glass, checks, done, log_in, sekisho, workload};
use super::ocsf_schema::Schema;
use super::receivers::index_of;
use super::support::daemon::Daemon;

fn event(stored: StoredEntry) -> Value {
    let entry = reading(stored, LogIndex(u64::MAX), &[7; 32], "test/log/1");
    let line = Format::Ocsf.line(entry).unwrap();
    assert!(line.ends_with("}\n") && line.trim_end().lines().count() == 1);
    serde_json::from_str(&line).unwrap()
}

fn details(facts: &[(&str, &str)]) -> Vec<StoredDetail> {
    let detail = |(key, value): &(&str, &str)| StoredDetail {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    facts.iter().map(detail).collect()
}

#[test]
fn every_kind_of_entry_is_a_valid_event_also_where_it_says_next_to_nothing() {
    let schema = Schema::read();
    assert_eq!(schema.version, OCSF_VERSION);
    for kind in 0..=20 {
        let mut classes = Vec::new();
        for action in 0..=8 {
            for decision in 0..=2 {
                let bare = StoredEntry {
                    kind,
                    action,
                    decision,
                    ..StoredEntry::default()
                };
                let event = event(bare);
                let faults = schema.faults(&event);
                assert!(faults.is_empty(), "kind {kind}: {faults:#?}\n{event:#}");
                classes.push(event["class_uid"].clone());
            }
        }
        classes.dedup();
        assert_eq!(classes.len(), 1, "kind {kind} has one class");
    }
}

#[test]
fn decisions_and_reading_of_the_log_are_datastore_activity() {
    for kind in [EntryKind::Decision, EntryKind::Outcome, EntryKind::LogRead] {
        let stored = StoredEntry {
            kind: kind.into(),
            action: Action::Read.into(),
            ..StoredEntry::default()
        };
        assert_eq!(event(stored)["class_uid"], 6_005, "{kind:?}");
    }
}

#[test]
fn each_step_and_each_change_has_its_activity() {
    let schema = Schema::read();
    for (kind, facts, class, activity) in [
        (EntryKind::Authentication, [("step", "password")], 3_002, 6),
        (
            EntryKind::Authentication,
            [("step", "second-factor")],
            3_002,
            1,
        ),
        (
            EntryKind::Authentication,
            [("step", "end-session")],
            3_002,
            2,
        ),
        (
            EntryKind::Authentication,
            [("step", "exchange-ticket")],
            3_002,
            4,
        ),
        (EntryKind::Authentication, [("step", "step-up")], 3_002, 99),
        (
            EntryKind::Administration,
            [("change", "register-hold")],
            3_004,
            1,
        ),
        (
            EntryKind::Administration,
            [("change", "release-hold")],
            3_004,
            4,
        ),
        (
            EntryKind::Administration,
            [("change", "set-date")],
            3_004,
            3,
        ),
        (
            EntryKind::Administration,
            [("call", "FilterSubjects")],
            3_004,
            99,
        ),
        (EntryKind::LogRead, [("call", "GetEntry")], 6_005, 1),
        (EntryKind::LogRead, [("call", "Search")], 6_005, 4),
        (EntryKind::RefusedCall, [("call", "Check")], 6_003, 99),
        (EntryKind::DaemonStart, [("start", "1")], 6_002, 3),
        (EntryKind::DaemonStop, [("version", "1")], 6_002, 4),
    ] {
        let event = event(StoredEntry {
            kind: kind.into(),
            details: details(&facts),
            ..StoredEntry::default()
        });
        assert_eq!(schema.faults(&event), Vec::<String>::new(), "{event:#}");
        assert_eq!(
            (&event["class_uid"], &event["activity_id"]),
            (&Value::from(class), &Value::from(activity)),
            "{kind:?} {facts:?}"
        );
    }
}

#[test]
fn a_reason_for_break_glass_stays_sealed_and_the_event_is_told_as_grave() {
    let event = event(StoredEntry {
        kind: EntryKind::Decision.into(),
        decision: Decision::Allow.into(),
        break_glass: true,
        break_glass_reason_sealed: b"sealed bytes".to_vec(),
        ..StoredEntry::default()
    });
    assert_eq!(event["severity_id"], 4);
    assert_eq!(event["unmapped"]["breakGlass"], true);
    assert_eq!(event["unmapped"].get("breakGlassReason"), None);
}

#[test]
fn the_schema_notices_what_is_wrong() {
    let schema = Schema::read();
    let good = event(StoredEntry {
        kind: EntryKind::Decision.into(),
        ..StoredEntry::default()
    });
    assert_eq!(schema.faults(&good), Vec::<String>::new());
    for (path, bad) in [
        ("/class_uid", Value::from(1)),
        ("/category_uid", Value::from(5)),
        ("/activity_id", Value::from(11)),
        ("/type_uid", Value::from(600_500 + 98)),
        ("/severity_id", Value::from(42)),
        ("/time", Value::from("now")),
        ("/metadata/product", Value::Null),
        ("/metadata/profiles/0", Value::from("cloud")),
        ("/actor", Value::from(serde_json::Map::new())),
        ("/src_endpoint", Value::from("10.0.0.1")),
        ("/database/type_id", Value::from("0")),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(path).unwrap() = bad;
        assert!(!schema.faults(&event).is_empty(), "{path}");
    }
    for required in ["database", "actor", "metadata", "time", "src_endpoint"] {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(required).unwrap();
        assert!(!schema.faults(&event).is_empty(), "{required}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_entry_makes_an_invalid_event_or_a_line_that_is_not_json(
        (kind, action, decision, reason) in (any::<i32>(), any::<i32>(), any::<i32>(), any::<i32>()),
        time_us in any::<i64>(),
        texts in proptest::collection::vec(any::<String>(), 12),
        amr in proptest::collection::vec(prop_oneof![Just("pwd".to_owned()), Just("otp".to_owned()), any::<String>()], 0..4),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        known in any::<bool>(),
    ) {
        let limit = |number: i32, most: i32| if known { number.rem_euclid(most) } else { number };
        let stored = StoredEntry {
            time_us,
            kind: limit(kind, 14),
            action: limit(action, 8),
            decision: limit(decision, 3),
            reasons: vec![StoredReason { code: limit(reason, 99), about: texts[0].clone() }],
            caller: texts[1].clone(),
            caller_ip: texts[2].clone(),
            client_ip: texts[3].clone(),
            person: texts[4].clone(),
            roles: texts[5..7].to_vec(),
            department: texts[7].clone(),
            system: texts[8].clone(),
            amr,
            session: bytes.clone(),
            subjects: vec![bytes.clone()],
            policy_revision: bytes,
            details: details(&[("change", &texts[9]), ("filter", &texts[10]), ("step", &texts[11])]),
            ..StoredEntry::default()
        };
        let event = event(stored.clone());
        prop_assert_eq!(Schema::read().faults(&event), Vec::<String>::new());
        let entry = reading(stored, LogIndex(1), &[0; 32], "l");
        let line = Format::JsonLines.line(entry).unwrap();
        prop_assert_eq!(line.lines().count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&read["logIndex"], "1");
    }
}

/// What the reason for break glass says, and what no export may.
const REASON: &str = "The candidate collapsed during the interview";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_exports_is_the_same_over_the_daemon_and_from_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (home, data) = (folder.path(), folder.path().join("data"));
    let daemon = Daemon::start(&data, None);
    checks(&mut workload(&daemon).await, 40).await;
    break_glass(&daemon, "manager-1", REASON).await;
    log_in(home, &data, "security-1");
    let at = data.to_str().unwrap();
    let log = data.join("log");
    let log = log.to_str().unwrap();

    let out = |name: &str| home.join(name).to_str().unwrap().to_owned();
    for format in ["jsonl", "csv", "ocsf"] {
        let file = out(&format!("online.{format}"));
        let arguments = [
            "log", "export", "--format", format, "--output", &file, "--data", at,
        ];
        let printed = done(home, "", &arguments);
        assert_eq!(printed, "");
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
        let again = sekisho(home, "", &arguments);
        assert_eq!(
            again.status.code(),
            Some(64),
            "what is there is never overwritten"
        );
    }
    let read = |name: &str| fs::read_to_string(out(name)).unwrap();
    let (json, csv, ocsf) = (
        read("online.jsonl"),
        read("online.csv"),
        read("online.ocsf"),
    );
    for text in [&json, &csv, &ocsf] {
        assert!(!text.contains(REASON));
        assert!(
            !text.contains("seeker-streamed"),
            "subjects go by pseudonym"
        );
    }
    let indexes: Vec<u64> = json.lines().map(index_of).collect();
    assert_eq!(
        indexes,
        (0..indexes.len() as u64).collect::<Vec<_>>(),
        "the oldest first, none left out"
    );
    assert!(indexes.len() > 45);
    assert!(csv.starts_with("\u{feff}\"logIndex\",\"time\",") && csv.ends_with("\r\n"));
    let schema = Schema::read();
    let mut classes = std::collections::BTreeSet::new();
    for line in ocsf.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(schema.faults(&event), Vec::<String>::new(), "{event:#}");
        classes.insert(event["class_uid"].as_u64().unwrap());
    }
    assert!(
        classes.is_superset(&[3_002, 6_002, 6_005].into()),
        "{classes:?}"
    );

    // Filters, to standard output.
    let denied = done(
        home,
        "",
        &[
            "log",
            "export",
            "--format",
            "jsonl",
            "--decision",
            "deny",
            "--caller",
            "notice-mailer",
            "--data",
            at,
        ],
    );
    assert_eq!(denied.lines().count(), 14);
    let from_search = done(
        home,
        "",
        &[
            "log",
            "search",
            "--json",
            "--oldest-first",
            "--limit",
            "0",
            "--decision",
            "deny",
            "--caller",
            "notice-mailer",
            "--data",
            at,
        ],
    );
    assert_eq!(denied, from_search, "an export says what a search says");

    // The same from the directory, while the daemon writes and after it has stopped.
    let offline = |rest: &[&str]| {
        let mut arguments = vec!["log", "export", "--directory", log];
        arguments.extend_from_slice(rest);
        done(home, "", &arguments)
    };
    for (format, online) in [("jsonl", &json), ("csv", &csv), ("ocsf", &ocsf)] {
        let all = offline(&["--format", format]);
        assert!(all.starts_with(online.as_str()), "{format}");
    }
    assert!(daemon.stop().success());
    assert!(offline(&["--format", "jsonl"]).starts_with(&json));
    assert_eq!(offline(&["--format", "jsonl", "--until", "1w"]), "");
    let refused = |arguments: &[&str], code: i32| {
        let output = sekisho(home, "", arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
    };
    refused(
        &[
            "log",
            "export",
            "--directory",
            log,
            "--format",
            "jsonl",
            "--person",
            "x",
        ],
        64,
    );
    refused(
        &["log", "export", "--directory", at, "--format", "jsonl"],
        66,
    );
    refused(&["log", "export", "--directory", log, "--format", "xml"], 2);
    refused(
        &[
            "log",
            "export",
            "--directory",
            log,
            "--format",
            "csv",
            "--data",
            at,
        ],
        2,
    );

    // A damaged log gives no file.
    let segment = data.join("log/00000000000000000000.segment");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let file = out("damaged.jsonl");
    refused(
        &[
            "log",
            "export",
            "--directory",
            log,
            "--format",
            "jsonl",
            "--output",
            &file,
        ],
        65,
    );
    assert!(!Path::new(&file).exists());
    assert_eq!(
        fs::read_dir(home)
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().contains("damaged")
            })
            .count(),
        0,
        "nothing half written is left behind"
    );
}

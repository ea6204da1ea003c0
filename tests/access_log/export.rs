//! Exports: every entry in every format, valid by the rules of that format, through the library and through the shipped binary.

use proptest::prelude::*;
use sekisho::domain::ids::LogIndex;
use sekisho::export::{Format, OCSF_VERSION, reading};
use sekisho::proto::{Action, Decision, EntryKind, StoredDetail, StoredEntry, StoredReason};
use serde_json::Value;

use super::ocsf_schema::Schema;

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

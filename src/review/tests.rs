//! Each detector on a few days made by hand: what it finds, and what it leaves alone.

use std::path::Path;

use time::{Date, UtcOffset};

use super::finding::{Actor, Case};
use super::{Days, Scan};
use crate::decision::rules::{DetectorRule, RuleSet};
use crate::domain::detector::Detector;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::proto::{
    Action, Decision, EntryKind, ReasonCode, Relation, StoredChange, StoredDeclined, StoredDetail,
    StoredEntry, StoredObligation, StoredReason, stored_change,
};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// 2026-03-02 00:00 UTC, a Monday.
const MONDAY: i64 = 1_772_409_600_000_000;

fn rules() -> RuleSet {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
    let mut rules = crate::policy::load(&pack).unwrap().rules;
    rules.utc_offset = UtcOffset::UTC;
    rules
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn date(day: i64) -> Date {
    let at = Timestamp::from_micros(MONDAY + day * DAY);
    at.to_utc().unwrap().date()
}

/// Somebody reads somebody's data, so many days after the Monday.
fn read(person: &str, day: i64, hour: i64, subject: u64) -> StoredEntry {
    StoredEntry {
        time_us: MONDAY + day * DAY + hour * HOUR,
        kind: EntryKind::Decision.into(),
        decision_id: vec![0; 16],
        caller: "crm".into(),
        person: person.into(),
        roles: vec!["career-adviser".into()],
        department: "career".into(),
        client_ip: "192.0.2.1".into(),
        session: vec![1; 16],
        action: Action::Read.into(),
        subjects: vec![pseudonym(subject).0.to_vec()],
        record_count: 1,
        allowed_records: 1,
        purpose: "recruitment-service".into(),
        decision: Decision::Allow.into(),
        ..StoredEntry::default()
    }
}

fn pseudonym(number: u64) -> Pseudonym {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Pseudonym(bytes)
}

/// A past of working days with so many looks each, from nine on, before day 42.
fn past(person: &str, looks: u64) -> Vec<StoredEntry> {
    let days = (0..42).filter(|day| day % 7 < 5);
    days.flat_map(|day| {
        (0..looks).map(move |look| {
            let mut entry = read(person, day, 9, 1_000 + look);
            entry.time_us += i64::try_from(look).unwrap() * 20 * 60_000_000;
            entry
        })
    })
    .collect()
}

fn find(rules: &RuleSet, people: &[Person], mut entries: Vec<StoredEntry>) -> Vec<Case> {
    entries.sort_by_key(|entry| entry.time_us);
    look_through(rules, people, &entries)
}

/// The findings of days 42 to 48.
fn look_through(rules: &RuleSet, people: &[Person], entries: &[StoredEntry]) -> Vec<Case> {
    let days = Days::new(date(42), date(48)).unwrap();
    let as_of = entries.iter().map(|entry| entry.time_us).max().unwrap_or(0);
    let as_of = Timestamp::from_micros(as_of);
    let mut scan = Scan::new(rules, people.iter(), days, as_of);
    for (index, entry) in (0..).map(LogIndex).zip(entries) {
        scan.take(index, entry);
    }
    scan.finish()
}

fn detectors(cases: &[Case]) -> Vec<&'static str> {
    let findings = cases.iter().flat_map(|case| &case.findings);
    findings.map(|finding| finding.detector.word()).collect()
}

fn with(past: Vec<StoredEntry>, now: impl IntoIterator<Item = StoredEntry>) -> Vec<StoredEntry> {
    past.into_iter().chain(now).collect()
}

fn set(detector: Detector) -> DetectorRule {
    DetectorRule {
        detector,
        roles: None,
        off: false,
        score: None,
        least: None,
        within: None,
        line: 1,
    }
}

#[test]
fn many_more_records_than_on_other_days_stand_out_and_the_pack_says_from_when() {
    let mut rules = rules();
    let week = DetectorRule {
        off: true,
        ..set(Detector::ManySubjects)
    };
    rules.detectors = vec![week.clone()];
    let many = || (0..60).map(|look| read("a", 44, 9 + look % 4, 5_000 + look.unsigned_abs()));
    let entries = with(past("a", 12), many());
    let cases = find(&rules, &[], entries.clone());
    assert_eq!(detectors(&cases), ["volume-above-own"]);
    let case = &cases[0];
    assert_eq!((case.day, &*case.department), (date(44), "career"));
    assert_eq!(case.actor, Actor::Person(name("a")));
    assert_eq!(
        (
            case.findings[0].entries.len(),
            case.findings[0].entries_in_all
        ),
        (50, 60)
    );
    let facts: Vec<&str> = case.findings[0]
        .facts
        .iter()
        .map(|(_, value)| &**value)
        .collect();
    assert_eq!(facts, ["60", "12.0", "2.3", "30", "13.9", "3.5", "20"]);
    // The same again is the same.
    assert_eq!(find(&rules, &[], entries.clone()), cases);
    let hundred = DetectorRule {
        least: Some(100),
        ..set(Detector::VolumeAboveOwn)
    };
    rules.detectors = vec![week.clone(), hundred];
    assert_eq!(find(&rules, &[], entries.clone()), []);
    // For people of another role; then of this one, too, which goes before.
    let of = |role: &str| {
        let id = rules.roles.id(role).unwrap();
        Some(std::iter::once(id).collect())
    };
    let for_role = |role: &str| DetectorRule {
        roles: of(role),
        off: true,
        ..set(Detector::VolumeAboveOwn)
    };
    let (other, own) = (for_role("reception"), for_role("career-adviser"));
    rules.detectors = vec![week.clone(), other];
    assert_eq!(
        detectors(&find(&rules, &[], entries.clone())),
        ["volume-above-own"]
    );
    rules.detectors = vec![week, set(Detector::VolumeAboveOwn), own];
    assert_eq!(find(&rules, &[], entries), []);
}

#[test]
fn a_little_more_each_day_adds_up_within_a_week() {
    let rules = rules();
    let more = (42_i64..47).flat_map(|day| {
        (0_u64..18).map(move |look| {
            let number = 5_000 + day.unsigned_abs() * 100 + look;
            read("a", day, 9 + i64::try_from(look % 4).unwrap(), number)
        })
    });
    let cases = find(&rules, &[], with(past("a", 12), more));
    assert_eq!(detectors(&cases), ["many-subjects", "many-subjects"]);
    // Not again on each day after, but when it is half as much again.
    let days: Vec<Date> = cases.iter().map(|case| case.day).collect();
    assert_eq!(days, [date(43), date(45)]);
}

#[test]
fn a_little_more_is_nothing_and_one_look_after_the_other_counts_a_person_once() {
    let rules = rules();
    let again = (0..300).map(|look| read("a", 44, 9 + look % 4, 1_003));
    assert_eq!(find(&rules, &[], with(past("a", 12), again)), []);
    let more = (0..19).map(|look| read("a", 44, 9 + look % 4, 5_000 + look.unsigned_abs()));
    assert_eq!(find(&rules, &[], with(past("a", 12), more)), []);
}

#[test]
fn break_glass_is_found_whatever_the_pack_sets_and_a_repeat_is_one() {
    let mut rules = rules();
    rules.detectors = vec![DetectorRule {
        off: true,
        ..set(Detector::BreakGlass)
    }];
    let broken = StoredEntry {
        break_glass: true,
        ..read("a", 43, 10, 1)
    };
    let again = StoredEntry {
        repeat_of: vec![0; 16],
        ..broken.clone()
    };
    let denied = StoredEntry {
        decision: Decision::Deny.into(),
        ..broken.clone()
    };
    let cases = find(&rules, &[], vec![broken, again, denied]);
    assert_eq!(detectors(&cases), ["break-glass"]);
    assert_eq!(cases[0].findings[0].entries_in_all, 1);
}

#[test]
fn an_unusual_hour_alone_is_no_case_and_at_a_new_address_it_is() {
    let rules = rules();
    let night = read("a", 43, 2, 1_001);
    assert_eq!(find(&rules, &[], with(past("a", 12), [night.clone()])), []);
    let elsewhere = StoredEntry {
        client_ip: "198.51.100.9".into(),
        ..night
    };
    let by_day = StoredEntry {
        client_ip: "198.51.100.9".into(),
        ..read("a", 44, 10, 1_001)
    };
    let cases = find(
        &rules,
        &[],
        with(past("a", 12), [elsewhere, by_day.clone()]),
    );
    assert_eq!(detectors(&cases), ["out-of-hours", "new-address"]);
    assert_eq!(cases[0].findings[1].facts[0].1, "198.51.100.0/24");
    assert_eq!(find(&rules, &[], with(past("a", 12), [by_day])), []);
}

#[test]
fn ones_own_record_and_a_colleagues_are_found_but_not_where_they_are_daily_work() {
    let rules = rules();
    let mut people = ["a", "b"].map(|id| Person::new(name(id), name("career")));
    people[0].subjects = vec![pseudonym(77)];
    let looks = [read("a", 43, 10, 77), read("b", 43, 10, 77)];
    let cases = find(&rules, &people, looks.to_vec());
    assert_eq!(detectors(&cases), ["own-record", "colleagues-record"]);
    // Personnel has them every day.
    let daily = (0..42).map(|day| read("b", day, 10, 77));
    let cases = find(&rules, &people, with(daily.collect(), looks));
    assert_eq!(detectors(&cases), ["own-record"]);
}

#[test]
fn a_machines_pace_is_told_from_a_list_and_from_a_batch() {
    let rules = rules();
    let looks = |gap: i64| {
        (0..40_u64).map(move |look| {
            let mut entry = read("a", 43, 10, 5_000 + look);
            entry.time_us += i64::try_from(look).unwrap() * gap;
            entry
        })
    };
    let cases = find(&rules, &[], looks(1_000_000).collect());
    assert_eq!(detectors(&cases), ["machine-pace"]);
    assert_eq!(cases[0].findings[0].facts[0].1, "40");
    assert_eq!(find(&rules, &[], looks(0).collect()), [], "one batch");
    assert_eq!(
        find(&rules, &[], looks(3_000_000).collect()),
        [],
        "a person"
    );
}

#[test]
fn one_subject_seen_by_many_is_told_to_each_of_them_but_not_to_who_is_in_charge() {
    let rules = rules();
    let looks: Vec<StoredEntry> = (0..11)
        .map(|person| {
            let mut entry = read(&format!("p{person}"), 42 + person % 4, 10, 5);
            if person == 10 {
                entry.relation = Relation::Assigned.into();
            }
            entry
        })
        .collect();
    let cases = find(&rules, &[], looks.clone());
    assert_eq!(cases.len(), 10, "{cases:?}");
    assert!(
        detectors(&cases)
            .iter()
            .all(|one| *one == "subject-seen-by-many")
    );
    assert_eq!(find(&rules, &[], looks.into_iter().skip(1).collect()), []);
}

#[test]
fn denials_that_other_declarations_get_around_are_told_from_mistakes() {
    let rules = rules();
    let around = |times: i64| {
        (0..times).flat_map(|time| {
            let denied = StoredEntry {
                decision: Decision::Deny.into(),
                purpose: "other".into(),
                reasons: vec![StoredReason {
                    code: ReasonCode::PurposeNotForCategory.into(),
                    about: String::new(),
                }],
                ..read("a", 43, 9 + time, 5)
            };
            let mut allowed = read("a", 43, 9 + time, 5);
            allowed.time_us += 60_000_000;
            [denied, allowed]
        })
    };
    let cases = find(&rules, &[], around(3).collect());
    assert_eq!(detectors(&cases), ["changed-after-denial"]);
    assert_eq!(cases[0].findings[0].entries_in_all, 6);
    assert_eq!(find(&rules, &[], around(2).collect()), []);
}

#[test]
fn an_account_in_two_places_and_one_that_returns_are_found() {
    let rules = rules();
    let turns = (0..8).map(|turn| {
        let mut entry = read("a", 43, 10, 5);
        entry.time_us += turn * 120_000_000;
        if turn % 2 == 1 {
            entry.client_ip = "198.51.100.1".into();
        }
        entry
    });
    assert_eq!(
        detectors(&find(&rules, &[], turns.collect())),
        ["two-places"]
    );
    let returns = [read("a", -20, 10, 5), read("a", 43, 10, 5)];
    let cases = find(&rules, &[], returns.to_vec());
    assert_eq!(detectors(&cases), ["dormant-returns"]);
    assert_eq!(cases[0].findings[0].facts[0].1, "63");
    // A login that failed is no use: it has no session.
    let failed = StoredEntry {
        session: Vec::new(),
        kind: EntryKind::Authentication.into(),
        ..read("a", 30, 10, 5)
    };
    let cases = find(&rules, &[], with(returns.to_vec(), [failed]));
    assert_eq!(detectors(&cases), ["dormant-returns"]);
}

#[test]
fn all_people_of_a_service_at_one_address_are_the_services_matter() {
    let mut rules = rules();
    let of_day = |day: i64, addresses: i64| {
        (0..12).map(move |person| StoredEntry {
            client_ip: format!("192.0.2.{}", 1 + person % addresses),
            ..read(&format!("p{person}"), day, 10, 1)
        })
    };
    // One whom all look at would be told, too.
    rules.detectors = vec![DetectorRule {
        off: true,
        ..set(Detector::SubjectSeenByMany)
    }];
    let before: Vec<StoredEntry> = (20..42).flat_map(|day| of_day(day, 5)).collect();
    let cases = find(&rules, &[], with(before.clone(), of_day(43, 1)));
    assert_eq!(detectors(&cases), ["one-address"]);
    assert_eq!(cases[0].actor, Actor::Workload(name("crm")));
    assert_eq!(find(&rules, &[], with(before, of_day(43, 2))), []);
}

#[test]
fn outcomes_that_are_missing_are_the_persons_or_the_services() {
    let rules = rules();
    let export = |number: u8, hour: i64| StoredEntry {
        decision_id: vec![number; 16],
        obligations: vec![StoredObligation {
            report_outcome_by_us: MONDAY + 44 * DAY,
            ..StoredObligation::default()
        }],
        ..read("a", 43, hour, 5)
    };
    let outcome = |number: u8, read: u64| StoredEntry {
        kind: EntryKind::Outcome.into(),
        decision_id: vec![number; 16],
        records_accessed: read,
        time_us: MONDAY + 43 * DAY + 20 * HOUR,
        ..StoredEntry::default()
    };
    let late = StoredEntry {
        time_us: MONDAY + 60 * DAY,
        ..outcome(99, 0)
    };
    let ten: Vec<StoredEntry> = (0..10).map(|number| export(number, 10)).collect();
    let reported = (0..7)
        .map(|number| outcome(number, 1))
        .chain([late.clone()]);
    let cases = find(&rules, &[], with(ten.clone(), reported));
    assert_eq!(detectors(&cases), ["no-outcome"]);
    assert_eq!(cases[0].actor, Actor::Person(name("a")));
    assert_eq!(cases[0].findings[0].facts[0].1, "3");
    // Of a service that reports nothing it is not each person's.
    let cases = find(&rules, &[], with(ten.clone(), [late]));
    assert_eq!(cases[0].actor, Actor::Workload(name("crm")));
    assert_eq!(cases.len(), 1);
    // Not yet due.
    assert_eq!(find(&rules, &[], ten), []);
    let larger = [export(1, 10), outcome(1, 200)];
    let cases = find(&rules, &[], larger.to_vec());
    assert_eq!(detectors(&cases), ["outcome-larger"]);
}

#[test]
fn what_one_did_alone_stands_out_until_it_was_reviewed() {
    let rules = rules();
    let alone = StoredEntry {
        kind: EntryKind::Disposal.into(),
        details: [("alone", "true"), ("request_entry", "7")]
            .map(|(key, value)| StoredDetail {
                key: key.into(),
                value: value.into(),
            })
            .to_vec(),
        ..read("a", 43, 10, 5)
    };
    let cases = find(&rules, &[], vec![alone.clone()]);
    assert_eq!(detectors(&cases), ["done-alone"]);
    let reviewed = StoredEntry {
        kind: EntryKind::Administration.into(),
        change: Some(StoredChange {
            kind: Some(stored_change::Kind::Decline(StoredDeclined { request: 7 })),
        }),
        ..read("b", 60, 10, 5)
    };
    assert_eq!(find(&rules, &[], vec![alone, reviewed]), []);
}

#[test]
fn looks_at_whom_one_is_not_assigned_to_are_told_above_what_is_usual() {
    let rules = rules();
    let none = |day: i64, count: u64| {
        (0..count).map(move |look| StoredEntry {
            relation: Relation::None.into(),
            ..read("a", day, 10, 7_000 + look)
        })
    };
    let cases = find(&rules, &[], with(past("a", 12), none(43, 9)));
    assert_eq!(detectors(&cases), ["not-assigned"]);
    // A reception has them every day.
    let daily: Vec<StoredEntry> = (0..42).flat_map(|day| none(day, 8)).collect();
    assert_eq!(find(&rules, &[], with(daily, none(43, 10))), []);
}

#[test]
fn exports_and_a_rare_purpose_are_found() {
    let rules = rules();
    let export = |day: i64, records: u64| StoredEntry {
        action: Action::Export.into(),
        subjects: Vec::new(),
        record_count: records,
        allowed_records: records,
        ..read("a", day, 10, 5)
    };
    let cases = find(&rules, &[], with(past("a", 12), [export(43, 400)]));
    assert_eq!(detectors(&cases), ["volume-above-own", "export-burst"]);
    // What is done each month recurs.
    let monthly = [export(0, 400), export(28, 380), export(43, 410)];
    assert_eq!(find(&rules, &[], with(past("a", 12), monthly)), []);
    let odd = (0..5).map(|look| StoredEntry {
        purpose: "research".into(),
        ..read("a", 43, 10 + look, 1_003)
    });
    let cases = find(&rules, &[], with(past("a", 20), odd));
    assert_eq!(detectors(&cases), ["rare-purpose"]);
}

#[test]
fn a_clock_that_was_wrong_takes_no_day_along() {
    let rules = rules();
    let broken = |day: i64| StoredEntry {
        break_glass: true,
        ..read("a", day, 10, 1)
    };
    // Set back by ten days, then right again.
    let entries = [broken(43), broken(33), broken(44)];
    let cases = look_through(&rules, &[], &entries);
    let days: Vec<Date> = cases.iter().map(|case| case.day).collect();
    assert_eq!(days, [date(43), date(44)]);
    assert_eq!(cases[0].findings[0].entries_in_all, 2);
}

#[test]
fn days_are_in_order_and_no_more_than_a_quarter() {
    assert!(Days::new(date(1), date(0)).is_err());
    assert!(Days::new(date(0), date(91)).is_ok());
    assert!(Days::new(date(0), date(92)).is_err());
}

//! The scenarios as data: they are read, they are whole, and every request in them is a message of the API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::HashSet;

use sekisho::domain::reason::ReasonCode;
use support::{pack, say, scenario, wire};

/// Codes that no rule of this pack and no interface of this version can bring about.
const OUT_OF_REACH: &[&str] = &[
    "CLIENT_IP_IS_PROXY",
    "SECOND_STEP_REQUIRED",
    "ACCOUNT_LOCKED",
    "OUTSIDE_HOURS",
    "PERSON_RELATED_LINKAGE",
    "CONSENT_REQUIRED",
    "CONSENT_WITHDRAWN",
    "USE_SUSPENDED",
    "RETENTION_REQUIRED",
    "LEGAL_HOLD",
    "AUTOMATED_DECISION_FORBIDDEN",
    "SUBJECT_UNVERIFIED",
    "REFERENCE_UNKNOWN",
    // The only outsourcee's contract lasts as long as everybody's training.
    "OUTSOURCEE_NO_CONTRACT",
    "FOREIGN_CONSENT_REQUIRED",
    "SAFEGUARD_REQUIRED",
    "OPTED_OUT_OF_SALE_OR_SHARING",
    "CONFIDENTIALITY_DUTY",
    "OPT_OUT_SPECIAL_CARE_FORBIDDEN",
    "RATE_LIMIT_EXCEEDED",
    "BREAK_GLASS_REVIEW_OVERDUE",
];

#[test]
fn every_scenario_is_whole_and_all_rows_of_the_pack_file_are_there() {
    let all = scenario::load(&pack()).unwrap();
    let rows: HashSet<&str> = all
        .iter()
        .filter_map(|scenario| scenario.from.as_deref())
        .collect();
    for row in 1..=18 {
        let row = format!("scenario {row}");
        assert!(
            rows.contains(row.as_str()),
            "{row} of the pack file is missing"
        );
    }
    let own = all.len() - 18;
    assert!(own >= 3 * 18, "only {own} scenarios of our own");
    say(&format!(
        "{} scenarios, 18 of them from the pack file",
        all.len()
    ));
}

#[test]
fn every_reason_that_the_pack_can_give_is_expected_somewhere() {
    let all = scenario::load(&pack()).unwrap();
    let mut expected: HashSet<&str> = HashSet::new();
    for scenario in &all {
        let expect = &scenario.expect;
        expected.extend(expect.reason.as_deref());
        expected.extend(
            expect
                .withheld_categories
                .iter()
                .flat_map(|map| map.values())
                .map(String::as_str),
        );
        expected.extend(
            expect
                .withheld_subjects
                .iter()
                .flat_map(|map| map.values())
                .map(String::as_str),
        );
    }
    for reason in &expected {
        assert!(
            ReasonCode::ALL.iter().any(|code| code.name() == *reason),
            "{reason} is no reason code"
        );
    }
    for code in ReasonCode::ALL {
        let (name, is) = (code.name(), expected.contains(code.name()));
        assert_ne!(
            OUT_OF_REACH.contains(&name),
            is,
            "{name}: expected by a scenario: {is}"
        );
    }
}

#[test]
fn every_request_and_entry_field_is_one_of_the_api() {
    let pool = wire::pool();
    let entry = pool.get_message_by_name("sekisho.v1.Entry").unwrap();
    for scenario in scenario::load(&pack()).unwrap() {
        let request = scenario.request().unwrap();
        wire::check_request(&request)
            .unwrap_or_else(|error| panic!("{:?}: {error}", scenario.name));
        for name in scenario.expect.entry.keys() {
            assert!(
                entry.get_field_by_name(name).is_some(),
                "{:?}: an entry has no {name}",
                scenario.name
            );
        }
    }
}

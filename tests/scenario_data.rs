//! The scenarios as data: they are read, they are whole, and every request in them is a message of the API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::HashMap;

use support::{pack, packs, say, scenario, wire};

/// What must come of the rows of each pack's table of scenarios, from its first: ALLOW, or the first reason of the denial.
const ROWS: [(&str, &[&str]); 5] = [
    (
        "recruitment",
        &[
            "ALLOW",
            "IP_NOT_ALLOWED",
            "TICKET_MISSING",
            "CATEGORY_NOT_PERMITTED",
            "PURPOSE_NOT_SPECIFIED",
            "TRAINING_NOT_CURRENT",
            "ALLOW",
            "CATEGORY_NOT_PERMITTED",
            "EQUIVALENT_MEASURES_REVIEW_OVERDUE",
            "OUTSOURCING_BEYOND_SCOPE",
            "SPECIAL_CARE_CONSENT_REQUIRED",
            "ALLOW",
            "STEP_UP_REQUIRED",
            "PROVISION_STOPPED",
            "THIRD_PARTY_CONSENT_REQUIRED",
            "ALLOW",
            "WORKLOAD_NOT_ALLOWED",
            "ALLOW BREAK_GLASS_USED",
        ],
    ),
    (
        "scrivener-office",
        &[
            "ALLOW",
            "IP_NOT_ALLOWED",
            "PURPOSE_NOT_SPECIFIED",
            "EMPLOYMENT_ENDED",
            "THIRD_PARTY_CONSENT_REQUIRED",
            "ALLOW",
            "ALLOW",
            "LEGAL_BASIS_REF_REQUIRED",
            "CONFIDENTIALITY_DUTY",
            "ALLOW",
            "ALLOW",
            "ACTION_NOT_PERMITTED",
            "CATEGORY_NOT_PERMITTED",
            "ALLOW",
        ],
    ),
    (
        "multi-jurisdiction",
        &[
            "ALLOW",
            "SPECIAL_CARE_CONSENT_REQUIRED",
            "AUTOMATED_DECISION_FORBIDDEN",
            "THIRD_PARTY_CONSENT_REQUIRED",
            "CONSENT_OBTAINABLE",
            "FOREIGN_CONSENT_REQUIRED",
            "SAFEGUARD_REQUIRED",
            "ALLOW",
            "OPTED_OUT_OF_SALE_OR_SHARING",
            "USE_SUSPENDED",
            "RETENTION_EXPIRED",
            "RETENTION_REQUIRED",
        ],
    ),
    (
        "housing-and-care",
        &[
            "ALLOW",
            "PURPOSE_NOT_FOR_SUBJECT_KIND",
            "PURPOSE_NOT_FOR_CATEGORY",
            "SPECIAL_CARE_CONSENT_REQUIRED",
            "ALLOW",
            "SHARED_USE_ITEM_NOT_LISTED",
            "SHARED_USE_PURPOSE_NOT_LISTED",
            "ITEM_NOT_LISTED",
            "PROVISION_STOPPED",
            "FOREIGN_CONSENT_REQUIRED",
            "ALLOW",
            "SUBJECT_UNVERIFIED",
        ],
    ),
    (
        "filing-office",
        &[
            "ALLOW",
            "CASE_REF_REQUIRED",
            "ALLOW",
            "PERSON_RELATED_LINKAGE",
            "PURPOSE_NOT_FOR_CATEGORY",
            "ALLOW",
            "ALLOW",
            "OUTSOURCEE_NO_CONTRACT",
            "OUTSOURCEE_INSPECTION_OVERDUE",
            "OUTSOURCING_BEYOND_SCOPE",
            "THIRD_PARTY_CONSENT_REQUIRED",
            "ALLOW",
            "TRAINING_NOT_CURRENT",
        ],
    ),
];

#[test]
fn every_row_of_every_packs_table_is_played_with_its_outcome_and_many_more() {
    for (id, rows) in ROWS {
        let folder = packs()
            .into_iter()
            .find(|pack| pack.ends_with(id))
            .unwrap_or_else(|| panic!("no pack {id}"));
        let all = scenario::load(&folder).unwrap();
        let mut found = HashMap::new();
        for scenario in &all {
            let Some(from) = scenario.from.as_deref() else {
                continue;
            };
            if let Some(number) = from.strip_prefix("scenario ") {
                let expect = &scenario.expect;
                let decision = expect.decision.as_deref().unwrap_or_default();
                let outcome = match (decision, expect.reason.as_deref()) {
                    ("DENY", Some(reason)) => reason.to_owned(),
                    ("ALLOW", Some(remark)) => format!("ALLOW {remark}"),
                    (other, _) => other.to_owned(),
                };
                let number: usize = number.parse().unwrap();
                let twice = found.insert(number, outcome);
                assert_eq!(twice, None, "{id}: scenario {number} is there twice");
            }
        }
        for (position, expected) in rows.iter().enumerate() {
            let number = position + 1;
            let outcome = found.get(&number).map(String::as_str);
            assert_eq!(outcome, Some(*expected), "{id}: scenario {number}");
        }
        assert_eq!(found.len(), rows.len(), "{id}");
        let own = all.len() - rows.len();
        assert!(own >= 40, "{id}: only {own} scenarios of our own");
        say(&format!(
            "{id}: {} scenarios, {} of them from the pack file",
            all.len(),
            rows.len()
        ));
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

//! People from and to CSV, over gRPC: a dry run changes nothing and tells all, an import is whole or nothing, an export reads
//! back as what is there.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::people::{call, details, done};
use crate::support::dev_house::House;
use crate::support::play::Session;

fn import(house: &House, by: &Session, csv: &str, dry_run: bool) -> Vec<Value> {
    let request = json!({ "csv": BASE64.encode(csv.as_bytes()), "dry_run": dry_run });
    match done(house, by, "ImportPeople", &request) {
        Value::Array(all) => all,
        one => vec![one],
    }
}

fn export(house: &House, by: &Session) -> String {
    let answer = done(house, by, "ExportPeople", &json!({}));
    let pieces = match answer {
        Value::Array(all) => all,
        one => vec![one],
    };
    let bytes: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| {
            BASE64
                .decode(piece["csv"].as_str().unwrap().as_bytes())
                .unwrap()
        })
        .collect();
    String::from_utf8(bytes).unwrap()
}

const MIXED: &str = "\
id,department,roles,employment_kind,employer,employment_end,pledge
adviser-9,career,career-adviser,,,,yes
Adviser-8,career,career-adviser,,,,yes
adviser-1,sales,career-adviser,,,,yes
adviser-2,career,wizard,,,,yes
adviser-3,career,career-adviser,派遣,,,yes
adviser-4,career,career-adviser,,,2021-02-30,yes
adviser-l,career,career-adviser,,,,yes
adviser-9,career,career-adviser,,,,yes
administrator-1,administration,administrator;legal,,,,yes
";

#[test]
fn a_dry_run_tells_every_change_and_every_error_and_changes_nothing() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let before = export(&house, &by);
    let told = import(&house, &by, MIXED, true);
    let changes: Vec<(u64, &str)> = told
        .iter()
        .filter_map(|message| message.get("person"))
        .map(|person| {
            (
                person["line"].as_u64().unwrap(),
                person["id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(changes, [(2, "adviser-9"), (4, "adviser-1")], "{told:?}");
    let errors: Vec<(u64, &str)> = told
        .iter()
        .filter_map(|message| message.get("error"))
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["field"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (3, "id"),
        (5, "roles[0].role"),
        (6, "employer"),
        (6, "employment_end"),
        (7, "employment_end"),
        (8, "id"),
        (9, "id"),
        (10, "roles"),
    ];
    assert_eq!(errors, expected, "{told:?}");
    let summary = &told.last().unwrap()["summary"];
    assert_eq!(
        (&summary["created"], &summary["changed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(summary["errors"], 8);
    assert!(summary["logIndex"].is_null(), "{summary}");
    let request = json!({ "csv": BASE64.encode(MIXED.as_bytes()) });
    let refused = call(&house, &by, "ImportPeople", &request).unwrap_err();
    assert_eq!(refused.code, "INVALID_ARGUMENT");
    assert!(
        refused.message.contains("csv[5].roles[0].role"),
        "{refused}"
    );
    assert_eq!(export(&house, &by), before);
}

#[test]
fn an_import_writes_an_entry_for_each_person_and_an_export_reads_back() {
    let mut house = House::open();
    let by = house.log_in("administrator-1");
    let reader = house.log_in("security-1");
    let csv = "\u{feff}id,display_name,departments,roles,network_exceptions,leave,subject_refs,disabled\r\n\
        \"new-1\",\"'=1+1\",\"career;人事, 本社\",\"legal|2026-01-01|2099-12-31|manager-1|R-1\",\"198.51.100.0/24|2099-01-01|R-2\",,seeker-5,no\r\n\
        adviser-1,,career,career-adviser,,2099-01-01|2099-01-31,,yes\r\n\
        adviser-2,,career,career-adviser,,,,no\r\n";
    let told = import(&house, &by, csv, false);
    let summary = told.last().unwrap()["summary"].clone();
    assert_eq!(
        (&summary["created"], &summary["changed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(summary["unchanged"], 1);
    let last: u64 = summary["logIndex"].as_str().unwrap().parse().unwrap();
    let entry = |index: u64| details(&house, &reader, &json!(index))["details"].clone();
    assert_eq!(entry(last)["outcome"], "imported");
    assert_eq!(entry(last)["created"], "1");
    let disabled = entry(last - 1);
    assert_eq!(
        (&disabled["account"], &disabled["import_line"]),
        (&json!("adviser-1"), &json!("3"))
    );
    assert_eq!(
        (&disabled["before.disabled"], &disabled["after.disabled"]),
        (&json!("no"), &json!("yes"))
    );
    assert_eq!(disabled["sessions"], "ended");
    assert_eq!(entry(last - 2)["account"], "new-1");
    assert_eq!(entry(last - 2)["after.display_name"], "=1+1");
    // Whole again, and nothing to do.
    let exported = export(&house, &by);
    assert!(exported.contains("\"'=1+1\""), "{exported}");
    assert!(!exported.contains("seeker-5"));
    let again = import(&house, &by, &exported, false);
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0]["summary"]["unchanged"], 16);
    assert!(again[0]["summary"]["logIndex"].is_null());
    // The pack's own samples read, too.
    let samples = std::fs::read_to_string(crate::support::pack().join("people.csv")).unwrap();
    let told = import(&house, &by, &samples, true);
    assert!(
        told.iter().all(|message| message.get("error").is_none()),
        "{told:?}"
    );
}

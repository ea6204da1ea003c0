//! Periodic review from outside: what stands out in the log, and campaigns from their opening to the signature. Each test is named by the rule that it checks, and
//! goes through the shipped binary with real grpcurl or as people type it. `SEKISHO_TEST_STORE=postgres` runs all of them with the
//! store in PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

mod support;

#[path = "review/campaign.rs"]
mod campaign;
#[path = "review/finding_quality.rs"]
mod finding_quality;
#[path = "review/findings.rs"]
mod findings;
#[path = "review/roles.rs"]
mod roles;
#[path = "review/schedule.rs"]
mod schedule;
#[path = "review/transcript.rs"]
mod transcript;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset};

use support::dev_house::House;
use support::machine_now;
use support::play::{CallError, Session};

/// Today by the pack's clock.
fn today() -> time::Date {
    let now = i64::try_from(machine_now()).unwrap();
    let tokyo = UtcOffset::from_hms(9, 0, 0).unwrap();
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap();
    now.to_offset(tokyo).date()
}

/// A campaign of yesterday and today: a test may begin right before midnight.
fn two_days() -> Value {
    let (from, until) = (today() - Duration::days(1), today());
    json!({ "from_day": from.to_string(), "until_day": until.to_string() })
}

fn send(house: &House, by: &Session, method: &str, request: &Value) -> Result<Value, CallError> {
    let method = format!("sekisho.v1.ReviewService/{method}");
    house.send(&method, request, &by.metadata())
}

fn answer(house: &House, by: &Session, method: &str, request: &Value) -> Value {
    send(house, by, method, request).unwrap_or_else(|error| panic!("{method} {request}: {error}"))
}

/// The code of a call that must be refused.
fn refused(house: &House, by: &Session, method: &str, request: &Value) -> (String, Vec<String>) {
    match send(house, by, method, request) {
        Ok(answer) => panic!("{method} {request} was answered: {answer}"),
        Err(error) => (error.code.clone(), error.fields()),
    }
}

/// Somebody reads what a job seeker's career was; or, with a reason, medical data in an emergency.
fn reads(house: &House, by: &Session, subject: &str, emergency: Option<&str>) {
    let category = emergency.map_or("career", |_| "special.medical");
    let mut request = json!({
        "actor": {
            "session_ticket": by.ticket, "client_ip": by.client_ip, "session_ref": by.session_ref,
        },
        "action": "ACTION_READ",
        "data": {
            "system": "crm", "subject_kind": "job-seeker", "subject_ref": subject,
            "categories": [category],
        },
        "purpose": "recruitment-service",
    });
    if let Some(reason) = emergency {
        request["basis"] = json!({ "consent": "CONSENT_STATE_PRIOR" });
        request["break_glass"] = json!({ "reason": reason });
    }
    let method = "sekisho.v1.AccessService/Check";
    let answer = house.answer(method, &request, &Vec::new());
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
}

/// The items of a campaign, as somebody sees them.
fn items(house: &House, by: &Session, review: &Value) -> Vec<Value> {
    let found = answer(house, by, "ListItems", &json!({ "review": review }));
    found["items"].as_array().cloned().unwrap_or_default()
}

/// The number of the item about a person.
fn item_of(items: &[Value], person: &str) -> Value {
    let found = items.iter().find(|item| item["case"]["person"] == person);
    found.unwrap_or_else(|| panic!("none of {person} in {items:?}"))["item"].clone()
}

/// A report in one piece.
fn report(house: &House, by: &Session, review: &Value, format: &str, language: &str) -> String {
    let request = json!({
        "review": review, "format": format!("REVIEW_REPORT_FORMAT_{format}"), "language": language,
    });
    let found = answer(house, by, "GetReviewReport", &request);
    let pieces = match found {
        Value::Array(pieces) => pieces,
        one => vec![one],
    };
    let bytes = pieces.iter().flat_map(|piece| {
        let piece = piece["piece"].as_str().unwrap();
        data_encoding::BASE64.decode(piece.as_bytes()).unwrap()
    });
    String::from_utf8(bytes.collect()).unwrap()
}

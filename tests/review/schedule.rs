//! Campaigns that the pack schedules, and break glass that nobody judges in time: on a clock that the test holds.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::house::House;
use crate::support::play::{Door, Metadata, Session, log_in};
use crate::support::scenario::{OFFICE, SESSION};
use crate::support::{repository, until};

const DESK: &str = "career-crm";
const DAY: Duration = Duration::from_hours(24);

fn logged_in(house: &mut House, person: &str) -> Session {
    house.advance(Duration::from_secs(60));
    log_in(house, person, (DESK, OFFICE, SESSION))
        .unwrap_or_else(|error| panic!("login of {person}: {error}"))
}

fn asked(house: &mut House, by: &Session, method: &str, request: &Value) -> Value {
    let method = format!("sekisho.v1.{method}");
    house
        .call(DESK, &method, request, &by.metadata())
        .unwrap_or_else(|error| panic!("{method} {request}: {error}"))
}

fn passes(house: &House, time: Duration) {
    let now = house.clock.as_ref();
    let later = sekisho::domain::time::Clock::now(now).plus(time);
    house.set_clock(later);
}

#[test]
fn a_schedule_opens_a_campaign_of_the_day_before_and_late_break_glass_goes_up() {
    let pack = tempfile::tempdir().unwrap();
    let from = repository().join("policies/recruitment");
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        fs::copy(from.join(file), pack.path().join(file)).unwrap();
    }
    let file = pack.path().join("pack.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("\n[[review]]\nid = \"every-day\"\nevery = \"daily\"\ndepartments = [\"career\"]\ndue_in_days = 1\n");
    fs::write(&file, text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), pack.path());
    let adviser = logged_in(&mut house, "adviser-1");
    let emergency = json!({
        "actor": {
            "session_ticket": adviser.ticket, "client_ip": OFFICE, "session_ref": SESSION,
        },
        "action": "ACTION_READ",
        "data": {
            "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-1",
            "categories": ["special.medical"],
        },
        "purpose": "recruitment-service",
        "basis": { "consent": "CONSENT_STATE_PRIOR" },
        "break_glass": { "reason": "The candidate collapsed during the interview" },
    });
    let method = "sekisho.v1.AccessService/Check";
    let answer = house
        .call(DESK, method, &emergency, &Metadata::new())
        .unwrap();
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");

    passes(&house, DAY);
    let lead = logged_in(&mut house, "security-1");
    let mut reviews = Vec::new();
    until(Duration::from_secs(60), "a campaign of yesterday", || {
        let listed = asked(&mut house, &lead, "ReviewService/ListReviews", &json!({}));
        reviews = listed["reviews"].as_array().cloned().unwrap_or_default();
        !reviews.is_empty()
    });
    let review = &reviews[0];
    assert_eq!(
        (reviews.len(), &review["schedule"]),
        (1, &json!("every-day"))
    );
    assert_eq!(review["fromDay"], review["untilDay"]);
    assert_eq!(review["departments"], json!(["career"]));
    let number = &review["review"];
    let which = json!({ "review": number, "item": 1 });
    let item = asked(&mut house, &lead, "ReviewService/GetItem", &which);
    let item = &item["item"];
    assert_eq!(item["case"]["findings"][0]["detector"], "break-glass");
    assert_eq!(
        (&item["reviewer"], &item["escalated"]),
        (&json!("manager-1"), &Value::Null)
    );
    // Once more in the same day: it stays one.
    passes(&house, Duration::from_secs(60));

    passes(&house, DAY * 2);
    let lead = logged_in(&mut house, "security-1");
    let item = asked(&mut house, &lead, "ReviewService/GetItem", &which);
    let item = &item["item"];
    assert_eq!(
        (&item["reviewer"], &item["escalated"]),
        (&json!("security-1"), &json!(true))
    );
    assert_eq!(item["overdue"], true);
    let listed = asked(&mut house, &lead, "ReviewService/ListReviews", &json!({}));
    let all = listed["reviews"].as_array().unwrap();
    let of_day = |day: &Value| all.iter().filter(|one| one["fromDay"] == *day).count();
    assert_eq!(of_day(&review["fromDay"]), 1);
    assert_eq!(all.last().unwrap()["overdue"], true);
    house.close();
}

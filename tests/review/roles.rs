//! A campaign of roles (棚卸し).

use serde_json::{Value, json};

use crate::support::dev_house::House;
use crate::{answer, items, reads, refused, report};

#[test]
fn every_role_is_kept_changed_or_removed_and_leavers_stand_out() {
    let mut house = House::open();
    let adviser = house.log_in("adviser-1");
    reads(&house, &adviser, "seeker-1", None);
    let lead = house.log_in("security-1");
    let opened = answer(
        &house,
        &lead,
        "OpenReview",
        &json!({ "kind": "REVIEW_KIND_ENTITLEMENT" }),
    );
    let number = &opened["review"]["review"];
    let found = items(&house, &lead, number);
    let of = |person: &str| -> &Value {
        let found = found.iter().find(|item| item["case"]["person"] == person);
        found.unwrap_or_else(|| panic!("none of {person}: {found:?}"))
    };
    assert_eq!(found.len(), 15, "one for each role that somebody has");
    let used = &of("adviser-1")["entitlement"];
    assert_eq!(used["role"], "career-adviser");
    assert!(used["lastUse"].is_string(), "{used}");
    assert!(of("adviser-2")["entitlement"]["lastUse"].is_null());
    let left = &of("adviser-4")["entitlement"];
    assert_eq!(left["employmentEnd"], "2021-03-31T14:59:59.999999Z");
    // Nobody's own.
    for item in &found {
        assert_ne!(item["reviewer"], item["case"]["person"]);
    }
    let manager = house.log_in("manager-1");
    let second = house.log_in("security-2");
    let judge = |item: &Value, how: &str| {
        let by = match item["reviewer"].as_str().unwrap() {
            "manager-1" => &manager,
            "security-1" => &lead,
            "security-2" => &second,
            other => panic!("{other} in {item}"),
        };
        let request = json!({
            "review": number, "items": [item["item"]], "why": "as of the list of staff",
            "judgement": format!("REVIEW_ITEM_STATE_{how}"),
        });
        (by, request)
    };
    let (by, request) = judge(of("adviser-1"), "JUSTIFIED");
    assert_eq!(
        refused(&house, by, "JudgeItem", &request).0,
        "INVALID_ARGUMENT"
    );
    for item in &found {
        let how = match item["case"]["person"].as_str().unwrap() {
            "adviser-4" => "REMOVE",
            "legal-1" => "CHANGE",
            _ => "KEEP",
        };
        let (by, request) = judge(item, how);
        answer(&house, by, "JudgeItem", &request);
    }
    let (code, _) = refused(&house, &lead, "RedrawSample", &json!({ "review": number }));
    assert_eq!(code, "FAILED_PRECONDITION");
    answer(&house, &lead, "SignReview", &json!({ "review": number }));
    let english = report(&house, &lead, number, "HTML", "en");
    for words in [
        "an administrator takes the role career-adviser from adviser-4",
        "an administrator changes the role legal of legal-1",
        "not used in these days",
        "employment ends: 2021-03-31",
    ] {
        assert!(english.contains(words), "{words}: {english}");
    }
    let japanese = report(&house, &lead, number, "HTML", "ja");
    assert!(japanese.contains("管理者が adviser-4 の役割 career-adviser を外す"));
    let csv = report(&house, &lead, number, "CSV", "ja");
    assert_eq!(csv.lines().count(), found.len() + 1);
}

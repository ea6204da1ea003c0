//! A campaign of accesses: opened, assigned, asked, answered, judged, signed; and everything that is refused on the way, each with its
//! entry.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::dev_house::House;
use crate::support::play::Session;
use crate::{answer, item_of, items, reads, refused, report, two_days};

const EMERGENCY: &str = "The candidate collapsed during the interview";

/// People who did something, and who look at it.
struct Office {
    house: House,
    adviser: Session,
    other: Session,
    manager: Session,
    lead: Session,
}

impl Office {
    fn open() -> Self {
        let mut house = House::open();
        let mut log_in = |person: &str| house.log_in(person);
        let (adviser, other) = (log_in("adviser-1"), log_in("adviser-2"));
        let (manager, lead) = (log_in("manager-1"), log_in("security-1"));
        reads(&house, &adviser, "seeker-1", None);
        reads(&house, &adviser, "seeker-2", Some(EMERGENCY));
        reads(&house, &other, "seeker-1", None);
        reads(&house, &manager, "seeker-3", None);
        Self {
            house,
            adviser,
            other,
            manager,
            lead,
        }
    }

    fn opened(&self) -> Value {
        let opened = answer(&self.house, &self.lead, "OpenReview", &two_days());
        opened["review"]["review"].clone()
    }

    fn judge(&self, by: &Session, review: &Value, items: &Value, how: &str) -> Value {
        let request = judgement(review, items, how);
        answer(&self.house, by, "JudgeItem", &request)
    }
}

fn judgement(review: &Value, items: &Value, how: &str) -> Value {
    json!({
        "review": review, "items": items, "judgement": format!("REVIEW_ITEM_STATE_{how}"),
        "why": "an interview was held that day",
    })
}

/// Calls that were refused to a person, and are in the log.
fn refusals(house: &House, reader: &Session, person: &str) -> Vec<String> {
    let request = json!({
        "kind": "ENTRY_KIND_REFUSED_CALL", "person": person, "page_size": 200, "oldest_first": true,
    });
    let method = "sekisho.v1.AccessLogService/Search";
    let found = house.answer(method, &request, &reader.metadata());
    let messages = match found {
        Value::Array(messages) => messages,
        one => vec![one],
    };
    let calls = messages.iter();
    let calls = calls.filter_map(|message| message["entry"]["details"]["call"].as_str());
    calls.map(str::to_owned).collect()
}

#[test]
fn a_campaign_has_every_case_all_break_glass_and_a_sample_and_nobody_gets_their_own() {
    let office = Office::open();
    let house = &office.house;
    let opened = answer(house, &office.lead, "OpenReview", &two_days());
    let review = &opened["review"];
    assert_eq!(review["openedBy"], "security-1");
    assert_eq!(review["rootHash"].as_str().unwrap().len(), 64);
    assert!(review["logSize"].as_str().unwrap().parse::<u64>().unwrap() > 4);
    assert_eq!(review["decisions"], "4");
    let number = &review["review"];
    let found = items(house, &office.lead, number);
    assert_eq!(review["items"], found.len(), "{found:?}");
    // What stands out comes first.
    let first = &found[0];
    assert_eq!(first["case"]["person"], "adviser-1", "{first}");
    let broken = &first["case"]["findings"][0];
    assert_eq!(broken["detector"], "break-glass");
    assert!(
        broken["sentenceJa"]
            .as_str()
            .unwrap()
            .contains("緊急アクセス")
    );
    // Their department's manager; and of the manager's own day somebody else.
    assert_eq!(first["reviewer"], "manager-1");
    for item in &found {
        assert_ne!(item["reviewer"], item["case"]["person"], "{item}");
    }
    let own = found
        .iter()
        .find(|item| item["case"]["person"] == "manager-1");
    assert_eq!(own.unwrap()["reviewer"], "security-1");
    // Three days of people: all of them are drawn.
    let populations = review["populations"].as_array().unwrap();
    assert_eq!(populations.len(), 1, "{populations:?}");
    assert_eq!(
        (
            &populations[0]["stratum"],
            &populations[0]["population"],
            &populations[0]["drawn"]
        ),
        (&json!("career"), &json!(3), &json!(3))
    );
    // A manager sees their department's, and never their own.
    let theirs = items(house, &office.manager, number);
    assert!(
        theirs
            .iter()
            .all(|item| item["case"]["person"] != "manager-1")
    );
    assert_eq!(theirs.len(), found.len() - 1);
    let one = json!({ "review": number, "item": item_of(&found, "manager-1") });
    let (code, _) = refused(house, &office.manager, "GetItem", &one);
    assert_eq!(code, "NOT_FOUND");
    let (code, _) = refused(
        house,
        &office.adviser,
        "ListItems",
        &json!({ "review": number }),
    );
    assert_eq!(code, "PERMISSION_DENIED");
}

#[test]
fn an_item_goes_from_a_question_to_a_judgement_and_the_campaign_to_its_signature() {
    let mut office = Office::open();
    let number = office.opened();
    let house = &office.house;
    let found = items(house, &office.lead, &number);
    let (broken, plain) = (item_of(&found, "adviser-1"), item_of(&found, "adviser-2"));
    let own = item_of(&found, "manager-1");
    let ask = json!({ "review": number, "item": broken, "question": "Who else was there?" });
    let asked = answer(house, &office.manager, "AskPerson", &ask);
    let mine = answer(house, &office.adviser, "ListMyQuestions", &json!({}));
    let question = &mine["questions"][0];
    assert_eq!(question["question"], "Who else was there?");
    assert_eq!(question["questionLogIndex"], asked["logIndex"]);
    // Asked anew: the first question is stale.
    let anew = answer(house, &office.manager, "AskPerson", &ask);
    let reply = |to: &Value| {
        json!({
            "review": number, "item": broken, "question_log_index": to,
            "answer": "The reception called the ambulance",
        })
    };
    let stale = reply(&asked["logIndex"]);
    let (code, _) = refused(house, &office.adviser, "AnswerQuestion", &stale);
    assert_eq!(code, "ABORTED");
    let right = reply(&anew["logIndex"]);
    let (code, _) = refused(house, &office.other, "AnswerQuestion", &right);
    assert_eq!(code, "PERMISSION_DENIED");
    answer(house, &office.adviser, "AnswerQuestion", &right);
    let (code, _) = refused(house, &office.adviser, "AnswerQuestion", &right);
    assert_eq!(code, "ABORTED");
    let seen = answer(
        house,
        &office.manager,
        "GetItem",
        &json!({ "review": number, "item": broken }),
    );
    assert_eq!(seen["item"]["state"], "REVIEW_ITEM_STATE_ANSWERED");
    assert_eq!(seen["item"]["answer"], "The reception called the ambulance");

    // Signed while something is open, several at once, somebody else's, one's own.
    let sign = json!({ "review": number });
    assert_eq!(
        refused(house, &office.lead, "SignReview", &sign).0,
        "FAILED_PRECONDITION"
    );
    let both = judgement(&number, &json!([broken, plain]), "JUSTIFIED");
    let (code, fields) = refused(house, &office.manager, "JudgeItem", &both);
    assert_eq!(
        (&*code, fields),
        ("INVALID_ARGUMENT", vec!["items".to_owned()])
    );
    let of_manager = judgement(&number, &json!([own]), "JUSTIFIED");
    assert_eq!(
        refused(house, &office.manager, "JudgeItem", &of_manager).0,
        "PERMISSION_DENIED"
    );
    let anothers = judgement(&number, &json!([broken]), "JUSTIFIED");
    assert_eq!(
        refused(house, &office.lead, "JudgeItem", &anothers).0,
        "PERMISSION_DENIED"
    );
    let alone = judgement(&number, &json!([broken]), "SELF_UNREVIEWED");
    assert_eq!(
        refused(house, &office.manager, "JudgeItem", &alone).0,
        "FAILED_PRECONDITION"
    );
    let as_role = judgement(&number, &json!([broken]), "KEEP");
    assert_eq!(
        refused(house, &office.manager, "JudgeItem", &as_role).0,
        "INVALID_ARGUMENT"
    );
    let to_themself = json!({ "review": number, "item": own, "reviewer": "manager-1" });
    assert_eq!(
        refused(house, &office.lead, "AssignItem", &to_themself).0,
        "INVALID_ARGUMENT"
    );
    let to_nobody = json!({ "review": number, "item": own, "reviewer": "adviser-1" });
    assert_eq!(
        refused(house, &office.lead, "AssignItem", &to_nobody).0,
        "INVALID_ARGUMENT"
    );

    // A substitute takes the manager's own day; the others are judged.
    let substitute = json!({ "review": number, "item": own, "reviewer": "security-2" });
    answer(house, &office.lead, "AssignItem", &substitute);
    office.judge(&office.manager, &number, &json!([broken]), "MISUSE");
    assert_eq!(
        refused(house, &office.manager, "JudgeItem", &anothers).0,
        "FAILED_PRECONDITION"
    );
    office.judge(&office.manager, &number, &json!([plain]), "JUSTIFIED");
    let lead = &office.lead;
    assert_eq!(
        refused(house, lead, "JudgeItem", &of_manager).0,
        "PERMISSION_DENIED"
    );
    let second = office.house.log_in("security-2");
    office.judge(&second, &number, &json!([own]), "JUSTIFIED");
    let house = &office.house;

    // The draft has the digest that the signature gets.
    let draft: Value = serde_json::from_str(&report(house, &second, &number, "JSON", "")).unwrap();
    assert!(draft["signature"].is_null());
    let signed = answer(house, &second, "SignReview", &sign);
    assert_eq!(signed["reportDigest"], draft["digest"]);
    assert_eq!(
        refused(house, &office.lead, "SignReview", &sign).0,
        "FAILED_PRECONDITION"
    );
    let after = judgement(&number, &json!([plain]), "MISUSE");
    assert_eq!(
        refused(house, &office.manager, "JudgeItem", &after).0,
        "FAILED_PRECONDITION"
    );
    let ask = json!({ "review": number, "item": plain, "question": "?" });
    assert_eq!(
        refused(house, &office.manager, "AskPerson", &ask).0,
        "FAILED_PRECONDITION"
    );
    let seen = answer(
        house,
        &office.lead,
        "GetReview",
        &json!({ "review": number }),
    );
    assert_eq!(seen["review"]["signedBy"], "security-2");
    assert_eq!(seen["review"]["reportDigest"], signed["reportDigest"]);

    // Each refusal is in the log.
    let of_lead = refusals(house, &office.lead, "security-1");
    assert_eq!(
        of_lead,
        [
            "SignReview",
            "JudgeItem",
            "AssignItem",
            "AssignItem",
            "JudgeItem",
            "SignReview"
        ]
    );
    let of_adviser = refusals(house, &office.lead, "adviser-1");
    assert_eq!(of_adviser, ["AnswerQuestion", "AnswerQuestion"]);
    let of_manager = refusals(house, &office.lead, "manager-1");
    assert_eq!(of_manager.len(), 7, "{of_manager:?}");
}

#[test]
fn a_report_is_of_what_was_signed_and_says_what_it_proves_and_what_not() {
    let office = Office::open();
    let number = office.opened();
    let house = &office.house;
    let found = items(house, &office.lead, &number);
    for item in &found {
        let by = if item["reviewer"] == "manager-1" {
            &office.manager
        } else {
            &office.lead
        };
        let how = if item["case"]["person"] == "adviser-1" {
            "MISUSE"
        } else {
            "JUSTIFIED"
        };
        office.judge(by, &number, &json!([item["item"]]), how);
    }
    let signed = answer(
        house,
        &office.lead,
        "SignReview",
        &json!({ "review": number }),
    );
    let json: Value =
        serde_json::from_str(&report(house, &office.lead, &number, "JSON", "en")).unwrap();
    assert_eq!(json["signature"]["digest"], signed["reportDigest"]);
    // As jq -cjS .content | sha256sum has it: keys in order, no white space.
    let content = in_order(&json["content"]);
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
    assert_eq!(json["digest"], digest);
    assert_eq!(json["digest"], json["signature"]["digest"]);
    let decided = json["content"]["items"].as_array().unwrap();
    assert_eq!(decided.len(), found.len());
    assert_eq!(decided[0]["state"], "misuse");
    assert_eq!(
        decided[0]["judgement"]["text"],
        "an interview was held that day"
    );

    let english = report(house, &office.lead, &number, "HTML", "en");
    let japanese = report(house, &office.lead, &number, "HTML", "ja");
    let root = json["content"]["rootHash"].as_str().unwrap();
    for text in [&*english, &*japanese] {
        assert!(
            text.contains(root) && text.contains("an interview was held"),
            "{text}"
        );
        assert!(text.contains(signed["reportDigest"].as_str().unwrap()));
        assert!(text.contains("security-1") && !text.contains("<script"));
    }
    for words in [
        "All 3 days of people were looked at",
        "Systems that hold personal data",
        "an incident follows",
        "Break glass was used once",
        "The last day was not over",
    ] {
        assert!(english.contains(words), "{words}: {english}");
    }
    for words in [
        "3 日のすべてを確認しました",
        "不正利用",
        "個人データを取り扱うシステム",
    ] {
        assert!(japanese.contains(words), "{words}: {japanese}");
    }
    let csv = report(house, &office.lead, &number, "CSV", "en");
    assert_eq!(csv.lines().count(), found.len() + 1);
    assert!(
        csv.starts_with('\u{feff}') && csv.contains(",\"misuse\","),
        "{csv}"
    );
    // Only for who reviews everything or audits.
    let request = json!({ "review": number });
    let (code, _) = refused(house, &office.manager, "GetReviewReport", &request);
    assert_eq!(code, "PERMISSION_DENIED");
}

/// Without white space, keys in order.
fn in_order(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", json!(key), in_order(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(in_order).collect();
            format!("[{}]", values.join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn a_second_person_draws_the_same_sample_from_the_log_alone() {
    let mut office = Office::open();
    let number = office.opened();
    let opened = answer(
        &office.house,
        &office.lead,
        "GetReview",
        &json!({ "review": number }),
    );
    // What comes later is not part of it.
    reads(&office.house, &office.other, "seeker-9", None);
    let second = office.house.log_in("security-2");
    let house = &office.house;
    let drawn = answer(house, &second, "RedrawSample", &json!({ "review": number }));
    assert_eq!(drawn["same"], true, "{drawn}");
    assert_eq!(drawn["rootHash"], opened["review"]["rootHash"]);
    assert_eq!(drawn["drawn"].as_array().unwrap().len(), 3);
    assert_eq!(drawn["populations"], opened["review"]["populations"]);
    // Where an item was taken away behind the daemon's back, it is not.
    let review = number.as_str().unwrap();
    house.sql(&format!(
        "DELETE FROM {}review_items WHERE review = {review} AND person = 'adviser-2'",
        if house.database.is_some() {
            "sekisho."
        } else {
            ""
        }
    ));
    let drawn = answer(house, &second, "RedrawSample", &json!({ "review": number }));
    assert!(drawn.get("same").is_none(), "{drawn}");
    assert!(
        drawn["difference"]
            .as_str()
            .unwrap()
            .starts_with("1 of the days")
    );
    let (code, _) = refused(
        house,
        &office.manager,
        "RedrawSample",
        &json!({ "review": number }),
    );
    assert_eq!(code, "PERMISSION_DENIED");
}

#[test]
fn what_nobody_else_could_look_at_is_closed_with_a_reservation_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    fs::create_dir(&pack).unwrap();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        let text = fs::read_to_string(crate::support::pack().join(file)).unwrap();
        // One security manager alone.
        let lines = text.lines().filter(|line| !line.starts_with("security-2,"));
        let text: Vec<&str> = lines.collect();
        fs::write(pack.join(file), text.join("\n") + "\n").unwrap();
    }
    let mut house = House::of_pack(folder);
    let lead = house.log_in("security-1");
    let denied = json!({
        "actor": {
            "session_ticket": lead.ticket, "client_ip": lead.client_ip,
            "session_ref": lead.session_ref,
        },
        "action": "ACTION_READ",
        "data": {
            "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-1",
            "categories": ["career"],
        },
        "purpose": "recruitment-service",
    });
    let decided = house.answer("sekisho.v1.AccessService/Check", &denied, &Vec::new());
    assert_eq!(decided["decision"], "DECISION_DENY");
    let opened = answer(&house, &lead, "OpenReview", &two_days());
    let number = &opened["review"]["review"];
    let found = items(&house, &lead, number);
    let own = item_of(&found, "security-1");
    assert!(found[0].get("reviewer").is_none(), "{found:?}");
    let justified = judgement(number, &json!([own]), "JUSTIFIED");
    assert_eq!(
        refused(&house, &lead, "JudgeItem", &justified).0,
        "PERMISSION_DENIED"
    );
    let closed = judgement(number, &json!([own]), "SELF_UNREVIEWED");
    answer(&house, &lead, "JudgeItem", &closed);
    answer(&house, &lead, "SignReview", &json!({ "review": number }));
    let english = report(&house, &lead, number, "HTML", "en");
    assert!(english.contains("They are NOT reviewed"), "{english}");
    let japanese = report(&house, &lead, number, "HTML", "ja");
    assert!(japanese.contains("留保付き"), "{japanese}");
}

#[test]
fn what_can_not_be_opened_names_its_fields() {
    let office = Office::open();
    let (house, lead) = (&office.house, &office.lead);
    let refused_fields = |request: Value| refused(house, lead, "OpenReview", &request);
    let fields = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned());
        ("INVALID_ARGUMENT".to_owned(), names.collect::<Vec<_>>())
    };
    assert_eq!(refused_fields(json!({})), fields(&["from_day"]));
    let days = |from: &str, until: &str| json!({ "from_day": from, "until_day": until });
    assert_eq!(
        refused_fields(days("2026-13-01", "x")),
        fields(&["from_day", "until_day"])
    );
    assert_eq!(
        refused_fields(days("2020-02-01", "")),
        fields(&["until_day"])
    );
    assert_eq!(
        refused_fields(days("2020-02-02", "2020-02-01")),
        fields(&["until_day"])
    );
    assert_eq!(
        refused_fields(days("2020-01-01", "2020-06-01")),
        fields(&["until_day"])
    );
    assert_eq!(
        refused_fields(days("9998-01-01", "9998-01-02")),
        fields(&["until_day"])
    );
    let mut odd = two_days();
    odd["confidence_percent"] = 100.into();
    odd["rate_percent"] = 51.into();
    odd["due_in_days"] = 366.into();
    let all = ["confidence_percent", "due_in_days", "rate_percent"];
    assert_eq!(refused_fields(odd), fields(&all));
    let mut odd = two_days();
    odd["kind"] = 7.into();
    odd["departments"] = json!([""]);
    assert_eq!(refused_fields(odd), fields(&["departments", "kind"]));
    let (code, _) = refused(house, &office.manager, "OpenReview", &two_days());
    assert_eq!(code, "PERMISSION_DENIED");
    let (code, _) = refused(house, lead, "GetReview", &json!({ "review": 1 }));
    assert_eq!(code, "NOT_FOUND");
}

#[test]
fn a_campaign_of_one_department_has_no_others() {
    let mut office = Office::open();
    let accounting = office.house.log_in("reception-1");
    let house = &office.house;
    let denied = json!({
        "actor": {
            "session_ticket": accounting.ticket, "client_ip": accounting.client_ip,
            "session_ref": accounting.session_ref,
        },
        "action": "ACTION_READ",
        "data": {
            "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-1",
            "categories": ["special.medical"],
        },
        "purpose": "recruitment-service",
    });
    house.answer("sekisho.v1.AccessService/Check", &denied, &Vec::new());
    let mut wish = two_days();
    wish["departments"] = json!(["support"]);
    let opened = answer(house, &office.lead, "OpenReview", &wish);
    let number = &opened["review"]["review"];
    let found = items(house, &office.lead, number);
    assert!(!found.is_empty());
    for item in &found {
        assert_eq!(item["case"]["department"], "support", "{item}");
    }
    // Nobody manages that department: who reviews everything looks at it.
    assert_eq!(found[0]["reviewer"], "security-1");
    let listed = answer(
        house,
        &office.manager,
        "ListReviews",
        &json!({ "open_only": true }),
    );
    assert_eq!(listed["reviews"].as_array().unwrap().len(), 1);
}

#[test]
fn a_campaign_outlives_kill_9_in_its_midst() {
    let mut office = Office::open();
    let number = office.opened();
    let found = items(&office.house, &office.lead, &number);
    let (broken, plain) = (item_of(&found, "adviser-1"), item_of(&found, "adviser-2"));
    let ask = json!({ "review": number, "item": broken, "question": "Why?" });
    answer(&office.house, &office.manager, "AskPerson", &ask);
    office.judge(&office.manager, &number, &json!([plain]), "JUSTIFIED");
    let before = items(&office.house, &office.lead, &number);
    office.house = office.house.kill_and_start();
    let house = &office.house;
    assert_eq!(items(house, &office.lead, &number), before);
    let mine = answer(house, &office.adviser, "ListMyQuestions", &json!({}));
    assert_eq!(mine["questions"][0]["question"], "Why?");
    let drawn = answer(
        house,
        &office.lead,
        "RedrawSample",
        &json!({ "review": number }),
    );
    assert_eq!(drawn["same"], true, "{drawn}");
}

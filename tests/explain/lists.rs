//! `ListAllowedActors`, `ListAllowedAccess` and `ListMyAccess`: who could be allowed what, page by page, for who may know.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::play::{CallError, Door, Metadata, Session};
use crate::support::scenario::{OFFICE, SESSION};
use crate::{ADMINISTRATOR, Served, career};

const MY_ACCESS: &str = "sekisho.v1.AccessService/ListMyAccess";

fn who(action: &str) -> Value {
    json!({
        "data": { "subject_kind": "job-seeker", "categories": ["career"] },
        "action": action,
        "purpose": "recruitment-service",
    })
}

fn ids(answer: &Value) -> Vec<String> {
    let actors = answer["actors"].as_array().map_or(&[][..], Vec::as_slice);
    let ids = actors.iter().map(|actor| actor["person"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// All pages of a list, one item at a time.
fn all(
    served: &mut Served,
    by: &Session,
    method: &str,
    field: &str,
    asked: &Value,
    page_size: usize,
) -> Vec<Value> {
    let mut asked = asked.clone();
    asked["page_size"] = page_size.into();
    let mut all = Vec::new();
    loop {
        let answer = served.answer(by, method, &asked);
        let page = answer[field].as_array().cloned().unwrap_or_default();
        assert!(page.len() <= page_size);
        all.extend(page);
        match answer["nextPageToken"].as_str() {
            Some(token) => asked["page_token"] = token.into(),
            None => return all,
        }
    }
}

#[test]
fn who_could_be_allowed_is_whose_roles_grant_it_and_who_may_work() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR);
    // Not the adviser whose training lapsed, who has gone, or who gave no pledge.
    let reading = served.answer(&by, "ListAllowedActors", &who("ACTION_READ"));
    let expected = ["adviser-1", "adviser-2", "manager-1", "newcomer-1"];
    assert_eq!(ids(&reading), expected);
    let first = &reading["actors"][0];
    assert_eq!(first["roles"], json!(["career-adviser"]));
    assert!(
        first["rule"].as_str().unwrap().starts_with("policy.csv:"),
        "{first}"
    );
    assert_eq!(first["promise"], "carry out our Services");
    assert_eq!(first["promiseJa"], "当社サービスの提供");
    let exporting = served.answer(&by, "ListAllowedActors", &who("ACTION_EXPORT"));
    assert_eq!(ids(&exporting), ["manager-1"]);
    // All categories together, and for a purpose that doesn't extend to them nobody.
    let mut both = who("ACTION_READ");
    both["data"]["categories"] = json!(["career", "special.medical"]);
    assert_eq!(
        ids(&served.answer(&by, "ListAllowedActors", &both)),
        [""; 0]
    );
    let mut settlement = who("ACTION_READ");
    settlement["purpose"] = "settlement".into();
    assert_eq!(
        ids(&served.answer(&by, "ListAllowedActors", &settlement)),
        [""; 0]
    );
    // Page by page it is the same.
    for size in [1, 3] {
        let paged = all(
            &mut served,
            &by,
            "ListAllowedActors",
            "actors",
            &who("ACTION_READ"),
            size,
        );
        let people: Vec<&str> = paged
            .iter()
            .map(|one| one["person"].as_str().unwrap())
            .collect();
        assert_eq!(people, expected);
    }
}

#[test]
fn what_a_row_asks_the_persons_request_for_is_marked() {
    let mut served = Served::open("scrivener-office", "case-desk");
    let by = served.log_in(ADMINISTRATOR);
    let asked = json!({
        "data": { "subject_kind": "client", "categories": ["contact"] },
        "action": "ACTION_UPDATE",
        "purpose": "service-communication",
    });
    let answer = served.answer(&by, "ListAllowedActors", &asked);
    let actors = answer["actors"].as_array().unwrap();
    assert!(
        !actors.is_empty() && actors.iter().all(|actor| actor["onRequest"] == true),
        "{answer}"
    );
    let asked = json!({ "person": "staff-1", "page_size": 1000 });
    let answer = served.answer(&by, "ListAllowedAccess", &asked);
    for access in answer["accesses"].as_array().unwrap() {
        let on_request = access["onRequest"] == true;
        assert_eq!(on_request, access["action"] == "ACTION_UPDATE", "{access}");
    }
}

#[test]
fn what_somebody_could_be_allowed_is_listed_whole_page_by_page() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR);
    let asked = json!({ "person": "adviser-1" });
    let whole = all(
        &mut served,
        &by,
        "ListAllowedAccess",
        "accesses",
        &asked,
        1_000,
    );
    let paged = all(&mut served, &by, "ListAllowedAccess", "accesses", &asked, 7);
    assert_eq!(whole, paged);
    let key = |access: &Value| {
        let text = |field: &str| access[field].as_str().unwrap().to_owned();
        (
            text("subjectKind"),
            text("category"),
            text("action"),
            text("purpose"),
        )
    };
    let keys: Vec<_> = whole.iter().map(key).collect();
    let different: BTreeSet<_> = keys.iter().cloned().collect();
    assert_eq!(different.len(), keys.len(), "each once");
    let has = |kind: &str, category: &str, action: &str, purpose: &str| {
        let wanted = (kind, category, action, purpose);
        keys.iter()
            .any(|(a, b, c, d)| (&**a, &**b, &**c, &**d) == wanted)
    };
    assert!(has(
        "job-seeker",
        "career.history",
        "ACTION_SEARCH",
        "recruitment-service"
    ));
    // Inherited from the reception.
    assert!(has(
        "inquirer",
        "contact",
        "ACTION_PROVIDE",
        "affiliate-referral"
    ));
    assert!(
        keys.iter()
            .all(|(_, category, _, _)| !category.starts_with("special"))
    );
    // Who may not work could be allowed nothing.
    let gone = json!({ "person": "adviser-4" });
    let nothing = served.answer(&by, "ListAllowedAccess", &gone);
    assert!(nothing.get("accesses").is_none(), "{nothing}");
}

#[test]
fn who_reviews_a_department_sees_those_who_work_there() {
    let mut served = Served::open("recruitment", "career-crm");
    let manager = served.log_in("manager-1");
    let reading = served.answer(&manager, "ListAllowedActors", &who("ACTION_READ"));
    assert_eq!(
        ids(&reading),
        ["adviser-1", "adviser-2", "manager-1", "newcomer-1"]
    );
    let legal = json!({
        "data": { "subject_kind": "job-seeker", "categories": ["special"] },
        "action": "ACTION_READ",
        "purpose": "legal-duty",
    });
    assert_eq!(
        ids(&served.answer(&manager, "ListAllowedActors", &legal)),
        [""; 0]
    );
    served.answer(
        &manager,
        "ListAllowedAccess",
        &json!({ "person": "adviser-1" }),
    );
    for person in ["legal-1", "nobody-1"] {
        let asked = json!({ "person": person });
        let (code, _) = served.refused(&manager.metadata(), "ListAllowedAccess", &asked);
        assert_eq!(code, "NOT_FOUND", "{person}");
    }
    let reviewer = served.log_in("security-1");
    assert_eq!(
        ids(&served.answer(&reviewer, "ListAllowedActors", &legal)),
        ["legal-1"]
    );
    let adviser = served.log_in("adviser-1");
    for by in [adviser.metadata(), Metadata::new()] {
        for (method, asked) in [
            ("ListAllowedActors", who("ACTION_READ")),
            ("ListAllowedAccess", json!({ "person": "adviser-1" })),
        ] {
            let (code, _) = served.refused(&by, method, &asked);
            assert_eq!(code, "PERMISSION_DENIED", "{method}");
        }
    }
}

#[test]
fn every_field_of_a_list_that_cannot_be_taken_is_named() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR).metadata();
    let with = |field: &str, value: Value| {
        let mut asked = who("ACTION_READ");
        asked[field] = value;
        asked
    };
    let data = |field: &str, value: Value| {
        let mut asked = who("ACTION_READ");
        asked["data"][field] = value;
        asked
    };
    for (asked, field) in [
        (with("action", json!(0)), "action"),
        (with("action", json!(99)), "action"),
        (with("purpose", json!("")), "purpose"),
        (with("purpose", json!("recruitment")), "purpose"),
        (with("page_size", json!(1001)), "page_size"),
        (with("page_size", json!(-1)), "page_size"),
        (with("page_token", json!("from-7")), "page_token"),
        (data("system", json!("ledgers")), "data.system"),
        (data("subject_kind", json!("")), "data.subject_kind"),
        (data("subject_kind", json!("tenant")), "data.subject_kind"),
        (data("categories", json!([])), "data.categories"),
        (data("categories", json!(["carrier"])), "data.categories"),
        (data("subject_ref", json!("seeker-1")), "data.subject_ref"),
        (
            data("subject_refs", json!(["seeker-1"])),
            "data.subject_refs",
        ),
        (data("record_count", json!(3)), "data.record_count"),
        (
            data("collected_via", json!("website")),
            "data.collected_via",
        ),
        (data("origin_country", json!("FR")), "data.origin_country"),
    ] {
        let (code, named) = served.refused(&by, "ListAllowedActors", &asked);
        assert_eq!(
            (&*code, named),
            ("INVALID_ARGUMENT", vec![field.to_owned()]),
            "{asked}"
        );
    }
    for (asked, field) in [
        (json!({}), "person"),
        (json!({ "person": "a", "page_size": 1001 }), "page_size"),
        (
            json!({ "person": "a", "page_token": "after-a/b/LOOK/c" }),
            "page_token",
        ),
        (
            json!({ "person": "a", "page_token": "after-a/b/READ" }),
            "page_token",
        ),
        (
            json!({ "person": "a", "page_token": "after-a/b/READ/c/d" }),
            "page_token",
        ),
    ] {
        let (code, named) = served.refused(&by, "ListAllowedAccess", &asked);
        assert_eq!(
            (&*code, named),
            ("INVALID_ARGUMENT", vec![field.to_owned()]),
            "{asked}"
        );
    }
}

fn mine(served: &mut Served, service: &str, asked: &Value) -> Result<Value, CallError> {
    served
        .house
        .call(service, MY_ACCESS, asked, &Metadata::new())
}

fn actor(session: &Session) -> Value {
    json!({ "session_ticket": session.ticket, "client_ip": OFFICE, "session_ref": SESSION })
}

#[test]
fn an_actor_learns_what_they_may_by_their_own_proof() {
    let mut served = Served::open("recruitment", "career-crm");
    let adviser = served.log_in("adviser-1");
    let answer = mine(
        &mut served,
        "career-crm",
        &json!({ "actor": actor(&adviser) }),
    )
    .unwrap();
    let all = answer["accesses"].as_array().unwrap().clone();
    let administrator = served.log_in(ADMINISTRATOR);
    let asked = json!({ "person": "adviser-1", "page_size": 1000 });
    let told = served.answer(&administrator, "ListAllowedAccess", &asked);
    assert_eq!(
        &all,
        told["accesses"].as_array().unwrap(),
        "the same as others are told"
    );
    let asked = json!({ "actor": actor(&adviser), "subject_kind": "inquirer" });
    let of_kind = mine(&mut served, "career-crm", &asked).unwrap();
    let of_kind = of_kind["accesses"].as_array().unwrap();
    assert!(of_kind.len() < all.len() && !of_kind.is_empty());
    assert!(
        of_kind
            .iter()
            .all(|access| access["subjectKind"] == "inquirer")
    );
    // A service by itself, for its own role.
    let workload = json!({ "actor": { "workload": true } });
    let answer = mine(&mut served, "notice-mailer", &workload).unwrap();
    let categories: Vec<&str> = answer["accesses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|access| access["category"].as_str().unwrap())
        .collect();
    assert_eq!(categories, ["contact.email", "identity.name"]);
}

#[test]
fn an_actor_who_would_not_come_in_learns_nothing() {
    let mut served = Served::open("recruitment", "career-crm");
    let adviser = served.log_in("adviser-1");
    let lapsed = served.log_in("adviser-3");
    let moved = |field: &str, value: &str| {
        let mut actor = actor(&adviser);
        actor[field] = value.into();
        actor
    };
    for (service, asked, code, reason) in [
        (
            "career-crm",
            json!({ "actor": { "client_ip": OFFICE } }),
            "UNAUTHENTICATED",
            "TICKET_MISSING",
        ),
        (
            "career-crm",
            json!({ "actor": moved("session_ticket", "sk1.a.b.c") }),
            "UNAUTHENTICATED",
            "TICKET_INVALID",
        ),
        (
            "career-crm",
            json!({ "actor": moved("session_ref", "other") }),
            "UNAUTHENTICATED",
            "TICKET_BINDING_MISMATCH",
        ),
        (
            "career-crm",
            json!({ "actor": moved("client_ip", "198.51.100.7") }),
            "PERMISSION_DENIED",
            "IP_NOT_ALLOWED",
        ),
        (
            "career-crm",
            json!({ "actor": actor(&lapsed) }),
            "PERMISSION_DENIED",
            "TRAINING_NOT_CURRENT",
        ),
        (
            "career-crm",
            json!({ "actor": { "workload": true } }),
            "PERMISSION_DENIED",
            "WORKLOAD_NOT_ALLOWED",
        ),
        (
            "billing",
            json!({ "actor": actor(&adviser) }),
            "UNAUTHENTICATED",
            "TICKET_BINDING_MISMATCH",
        ),
        (
            "notice-mailer",
            json!({ "actor": actor(&adviser) }),
            "PERMISSION_DENIED",
            "CALLER_MAY_NOT_ACT_FOR_PEOPLE",
        ),
        (
            "shadow-crm",
            json!({ "actor": actor(&adviser) }),
            "PERMISSION_DENIED",
            "CALLER_UNKNOWN",
        ),
    ] {
        let error = mine(&mut served, service, &asked).expect_err(reason);
        let told = error.detail("ErrorInfo").map(|info| info["reason"].clone());
        assert_eq!(
            (&*error.code, told),
            (code, Some(reason.into())),
            "{service} {asked}"
        );
    }
    for (field, asked) in [
        (
            "subject_kind",
            json!({ "actor": actor(&adviser), "subject_kind": "tenant" }),
        ),
        (
            "subject_kind",
            json!({ "actor": actor(&adviser), "subject_kind": "x".repeat(129) }),
        ),
        (
            "actor.client_ip",
            json!({ "actor": moved("client_ip", "here") }),
        ),
        ("actor.id_token", json!({ "actor": { "id_token": "x" } })),
    ] {
        let error = mine(&mut served, "career-crm", &asked).expect_err(field);
        assert_eq!(
            (&*error.code, error.fields()),
            ("INVALID_ARGUMENT", vec![field.to_owned()])
        );
    }
}

/// A program draws the menu; the person may have left their desk.
#[test]
fn a_menu_is_no_use_of_the_session() {
    let mut served = Served::open("recruitment", "career-crm");
    let adviser = served.log_in("adviser-1");
    for _ in 0..3 {
        served.house.advance(Duration::from_secs(280));
        let asked = json!({ "actor": actor(&adviser) });
        mine(&mut served, "career-crm", &asked).unwrap();
    }
    served.house.advance(Duration::from_secs(120));
    let mut check = career("ACTION_READ");
    check["actor"] = actor(&adviser);
    let method = "sekisho.v1.AccessService/Check";
    let answer = served
        .house
        .call("career-crm", method, &check, &Metadata::new())
        .unwrap();
    assert_eq!(
        answer["reasons"][0]["code"], "REASON_CODE_TICKET_EXPIRED",
        "{answer}"
    );
}

#[test]
fn what_is_more_than_fits_is_found_out_without_making_the_list() {
    use sekisho::decision::entitlements::all_allowed;
    let pack = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
    let rules = sekisho::policy::load(&pack).unwrap().rules;
    let roles: Vec<_> = rules.roles.iter().map(|(id, ..)| id).collect();
    let all = all_allowed(&rules, &roles, None, usize::MAX).unwrap();
    assert_eq!(
        all_allowed(&rules, &roles, None, all.len()).unwrap().len(),
        all.len()
    );
    assert!(all_allowed(&rules, &roles, None, all.len() - 1).is_none());
    let kind = rules.kinds.id("inquirer").unwrap();
    let of_kind = all.iter().filter(|(used, _)| used.kind == kind).count();
    assert!((1..all.len()).contains(&of_kind));
    let found = all_allowed(&rules, &roles, Some(kind), of_kind).unwrap();
    assert_eq!(found.len(), of_kind);
}

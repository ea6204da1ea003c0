//! `Explain`: every stage's verdict, as a check would decide it, and nothing else comes of it.

use std::time::Duration;

use sekisho::policy::scenarios;
use serde_json::{Value, json};

use crate::support::packs;
use crate::support::play::{Door, Metadata};
use crate::support::scenario::{OFFICE, SESSION};
use crate::{ADMINISTRATOR, Served, career, first_reason, line_of, stage};

#[test]
fn who_is_gone_is_explained_as_if_they_had_logged_in() {
    let mut served = Served::open("scrivener-office", "case-desk");
    let by = served.log_in(ADMINISTRATOR);
    let request = json!({
        "actor": { "client_ip": OFFICE },
        "action": "ACTION_READ",
        "data": { "system": "client-files", "subject_kind": "client", "categories": ["identity.name", "contact.email"] },
        "purpose": "service-communication",
    });
    let asked = |person: &str| json!({ "request": request, "as_person": person });
    let answer = served.answer(&by, "Explain", &asked("specialist-3"));
    assert_eq!(answer["decision"], "DECISION_DENY");
    assert_eq!(first_reason(&answer), "EMPLOYMENT_ENDED");
    for name in [
        "CALLER",
        "NETWORK",
        "TWO_STEP",
        "GRANT",
        "SUBJECT",
        "PROVISION",
        "LIMITS",
    ] {
        assert_eq!(stage(&answer, name)["passed"], true, "{name}: {answer}");
    }
    let granted = stage(&answer, "GRANT");
    assert!(
        granted["rule"].as_str().unwrap().starts_with("policy.csv:"),
        "{granted}"
    );
    assert_eq!(
        granted["promise"],
        "in relation to the performance of services"
    );
    assert_eq!(granted["promiseJa"], "業務の遂行に関する連絡");
    // No pledge: the rule that asks for it, and what it promises.
    let answer = served.answer(&by, "Explain", &asked("staff-3"));
    let person = stage(&answer, "PERSON");
    assert_eq!(first_reason(&answer), "CONFIDENTIALITY_PLEDGE_MISSING");
    let line = line_of("scrivener-office", "[standing]");
    assert_eq!(person["rule"], format!("pack.toml:{line}"));
    assert!(
        person["promise"]
            .as_str()
            .unwrap()
            .contains("lifelong and binding")
    );
    // One who may.
    let answer = served.answer(&by, "Explain", &asked("specialist-1"));
    assert_eq!(answer["decision"], "DECISION_ALLOW");
    let network = line_of("scrivener-office", "[[network]]\nid = \"office\"");
    assert_eq!(
        stage(&answer, "NETWORK")["rule"],
        format!("pack.toml:{network}")
    );
}

/// A scenario that says nothing of what came before is the same to a check and to an explanation.
#[test]
fn an_explanation_says_what_a_check_decides() {
    let mut compared = 0;
    for (pack, desk) in [
        ("filing-office", "filing-desk"),
        ("housing-and-care", "care-desk"),
        ("multi-jurisdiction", "customer-desk"),
        ("recruitment", "career-crm"),
        ("scrivener-office", "case-desk"),
    ] {
        let folder = packs()
            .into_iter()
            .find(|path| path.ends_with(pack))
            .unwrap();
        let rules = sekisho::policy::load(&folder).unwrap().rules;
        let mut served = Served::open(pack, desk);
        let mut by = served.log_in(ADMINISTRATOR);
        for (number, scenario) in scenarios::load(&folder).unwrap().iter().enumerate() {
            let plain = scenario.needs_a_socket().is_none()
                && scenario.needs_held_facts().is_none()
                && scenario.needs_held_clock().is_none()
                && scenario.given.is_empty()
                && scenario.ticket.is_none()
                && scenario.second_step_age().unwrap().is_none();
            let (login_service, login_ip, login_ref) = scenario.login_at();
            let here = login_service == scenario.service
                && Some(login_ip) == scenario.client_ip()
                && login_ref == scenario.session_ref;
            let Some(person) = scenario.person.as_ref().filter(|_| plain && here) else {
                continue;
            };
            if number % 100 == 0 {
                by = served.log_in(ADMINISTRATOR);
            }
            let mut request = scenario.request().unwrap();
            request["actor"] = json!({ "client_ip": scenario.client_ip(), "session_ref": SESSION });
            let known = rules.services.id(&scenario.service).is_some();
            if !known {
                continue;
            }
            let asked =
                json!({ "request": request, "as_person": person, "as_service": scenario.service });
            let answer = served.answer(&by, "Explain", &asked);
            let expect = &scenario.expect;
            let decision = format!("DECISION_{}", expect.decision.as_deref().unwrap());
            assert_eq!(
                answer["decision"], decision,
                "{pack}: {}: {answer}",
                scenario.name
            );
            if decision == "DECISION_DENY" {
                let reason = expect.reason.as_deref().unwrap();
                assert_eq!(first_reason(&answer), reason, "{pack}: {}", scenario.name);
            }
            compared += 1;
        }
    }
    assert!(compared > 500, "only {compared} scenarios were compared");
}

#[test]
fn nothing_comes_of_an_explanation() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR);
    let mut whole = career("ACTION_READ");
    whole["request_id"] = "once".into();
    whole["data"]["record_count"] = 200.into();
    for _ in 0..3 {
        let asked = json!({ "request": whole, "as_person": "adviser-1" });
        let answer = served.answer(&by, "Explain", &asked);
        assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
        let limit = line_of("recruitment", "[[limit]]\nid = \"read-and-search\"");
        assert_eq!(
            stage(&answer, "LIMITS")["rule"],
            format!("pack.toml:{limit}")
        );
    }
    // Nothing was counted, no request id was spent: the same is still allowed, once.
    let adviser = served.log_in("adviser-1");
    let mut check = whole.clone();
    check["actor"]["session_ticket"] = adviser.ticket.clone().into();
    let method = "sekisho.v1.AccessService/Check";
    let allowed = served
        .house
        .call("career-crm", method, &check, &Metadata::new())
        .unwrap();
    assert_eq!(allowed["decision"], "DECISION_ALLOW", "{allowed}");
    // Now it is counted, and the explanation knows.
    let asked = json!({ "request": whole, "as_person": "adviser-1" });
    let by = served.log_in(ADMINISTRATOR);
    let answer = served.answer(&by, "Explain", &asked);
    assert_eq!(first_reason(&answer), "BULK_LIMIT_EXCEEDED");
    // The adviser's own session was not used by any of it: ten minutes and ten more are too long.
    served.house.advance(Duration::from_secs(600));
    let by = served.log_in(ADMINISTRATOR);
    let mut own = career("ACTION_READ");
    own["actor"]["session_ticket"] = adviser.ticket.clone().into();
    let answer = served.answer(&by, "Explain", &json!({ "request": own }));
    assert_eq!(stage(&answer, "TWO_STEP")["passed"], true, "{answer}");
    served.house.advance(Duration::from_secs(400));
    let by = served.log_in(ADMINISTRATOR);
    let answer = served.answer(&by, "Explain", &json!({ "request": own }));
    assert_eq!(first_reason(&answer), "TICKET_EXPIRED");
    assert_eq!(stage(&answer, "GRANT")["notEvaluated"], true, "{answer}");
}

#[test]
fn a_grant_that_is_missing_is_explained_by_what_the_role_promises() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR);
    let asked = json!({ "request": career("ACTION_READ"), "as_person": "accounting-1" });
    let answer = served.answer(&by, "Explain", &asked);
    let grant = stage(&answer, "GRANT");
    assert_eq!(
        grant["reasons"][0]["code"],
        "REASON_CODE_CATEGORY_NOT_PERMITTED"
    );
    assert_eq!(grant["reasons"][0]["about"], "career");
    assert!(
        grant["promise"]
            .as_str()
            .unwrap()
            .starts_with("limitation of employees")
    );
    assert!(grant.get("rule").is_none(), "{grant}");
    // From a place of which nothing is said, the network's promise.
    let mut elsewhere = career("ACTION_READ");
    elsewhere["actor"]["client_ip"] = "198.51.100.7".into();
    let asked = json!({ "request": elsewhere, "as_person": "adviser-1" });
    let answer = served.answer(&by, "Explain", &asked);
    assert_eq!(first_reason(&answer), "IP_NOT_ALLOWED");
    assert_eq!(
        stage(&answer, "NETWORK")["promiseJa"],
        "IPアドレスによる接続元の制限"
    );
    // What would be withheld is told.
    let mut partial = career("ACTION_READ");
    partial["data"]["categories"] = json!(["career", "special.medical"]);
    partial["allow_partial"] = true.into();
    let asked = json!({ "request": partial, "as_person": "adviser-1" });
    let answer = served.answer(&by, "Explain", &asked);
    assert_eq!(answer["decision"], "DECISION_ALLOW");
    assert_eq!(
        answer["withheldCategories"][0]["category"],
        "special.medical"
    );
}

#[test]
fn what_is_registered_for_somebody_is_told_to_nobody_who_may_not_know() {
    let mut served = Served::open("recruitment", "career-crm");
    let hold =
        json!({ "subject_ref": "seeker-7", "hold": "provision-stopped", "reference": "R-1" });
    let register = "sekisho.v1.SubjectService/RegisterHold";
    served
        .house
        .call("career-crm", register, &hold, &Metadata::new())
        .unwrap();
    let about = |subject: Option<&str>| {
        let mut request = json!({
            "actor": { "client_ip": OFFICE },
            "action": "ACTION_PROVIDE",
            "data": { "system": "crm", "subject_kind": "inquirer", "categories": ["inquiry"] },
            "purpose": "affiliate-referral",
            "provision": { "recipient": "affiliate" },
        });
        if let Some(subject) = subject {
            request["data"]["subject_ref"] = subject.into();
        }
        request
    };
    let by = served.log_in(ADMINISTRATOR);
    let asked = json!({ "request": about(Some("seeker-7")), "as_person": "reception-1" });
    let answer = served.answer(&by, "Explain", &asked);
    assert_eq!(first_reason(&answer), "PROVISION_STOPPED", "{answer}");
    // Its entry has the pseudonym, and who asked from where.
    let entry = json!({ "log_index": answer["logIndex"] });
    let reader = served.log_in("security-1");
    let method = "sekisho.v1.AccessLogService/GetEntry";
    let entry = served
        .house
        .call("career-crm", method, &entry, &reader.metadata())
        .unwrap();
    let entry = &entry["entry"];
    assert_eq!(entry["person"], ADMINISTRATOR, "{entry}");
    assert_eq!(entry["details"]["call"], "Explain", "{entry}");
    assert_eq!(entry["details"]["as_person"], "reception-1", "{entry}");
    assert_eq!(entry["details"]["would_be"], "denied", "{entry}");
    assert_eq!(
        entry["subjectPseudonyms"].as_array().map(Vec::len),
        Some(1),
        "{entry}"
    );
    assert!(!entry.to_string().contains("seeker-7"), "{entry}");
    // Who reviews everything may know of subjects, but not stand for others.
    let own = json!({ "request": about(Some("seeker-7")) });
    served.answer(&reader, "Explain", &own);
    for more in [
        json!({ "as_person": "reception-1" }),
        json!({ "as_service": "billing" }),
    ] {
        let mut asked = json!({ "request": about(None) });
        asked
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (code, _) = served.refused(&reader.metadata(), "Explain", &asked);
        assert_eq!(code, "PERMISSION_DENIED", "{asked}");
    }
    // Who reviews a department may ask of rules, and not of a person's data.
    let manager = served.log_in("manager-1");
    served.answer(&manager, "Explain", &json!({ "request": about(None) }));
    for (field, value) in [
        ("subject_ref", json!("seeker-7")),
        ("subject_refs", json!(["seeker-7"])),
    ] {
        let mut request = about(None);
        request["data"][field] = value;
        let asked = json!({ "request": request });
        let (code, _) = served.refused(&manager.metadata(), "Explain", &asked);
        assert_eq!(code, "PERMISSION_DENIED", "{field}");
    }
    // Nobody else at all.
    let adviser = served.log_in("adviser-1");
    for by in [adviser.metadata(), Metadata::new()] {
        let (code, _) = served.refused(&by, "Explain", &own);
        assert_eq!(code, "PERMISSION_DENIED");
    }
}

#[test]
fn every_field_that_cannot_be_taken_is_named() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR).metadata();
    let with = |field: &str, value: Value| {
        let mut asked = json!({ "request": career("ACTION_READ"), "as_person": "adviser-1" });
        asked[field] = value;
        asked
    };
    let request = |field: &str, value: Value| {
        let mut request = career("ACTION_READ");
        request[field] = value;
        with("request", request)
    };
    for (asked, fields) in [
        (json!({}), vec!["request"]),
        (with("as_person", json!("nobody-1")), vec!["as_person"]),
        (with("as_person", json!("x".repeat(129))), vec!["as_person"]),
        (with("as_service", json!("nowhere")), vec!["as_service"]),
        (request("action", json!(0)), vec!["request.action"]),
        (
            request("action", json!("ACTION_PROVIDE")),
            vec!["request.provision"],
        ),
        (
            request("purpose", json!("x".repeat(129))),
            vec!["request.purpose"],
        ),
        (
            request("data", json!({ "system": "crm" })),
            vec!["request.data.categories"],
        ),
        (
            request("actor", json!({ "client_ip": "somewhere" })),
            vec!["request.actor.client_ip"],
        ),
        (
            request("actor", json!({ "client_ip": OFFICE, "workload": true })),
            vec!["request.actor"],
        ),
        (
            request(
                "actor",
                json!({ "session_ticket": "sk1.x", "client_ip": OFFICE }),
            ),
            vec!["request.actor"],
        ),
    ] {
        let (code, named) = served.refused(&by, "Explain", &asked);
        assert_eq!(
            (&*code, named),
            (
                "INVALID_ARGUMENT",
                fields.into_iter().map(str::to_owned).collect()
            ),
            "{asked}"
        );
    }
}

/// A service by itself, explained as itself: its certificate is its proof.
#[test]
fn a_workload_is_explained_as_the_service_that_asks() {
    let mut served = Served::open("recruitment", "career-crm");
    let by = served.log_in(ADMINISTRATOR);
    let request = json!({
        "actor": { "workload": true },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "categories": ["contact.email"] },
        "purpose": "recruitment-service",
    });
    let answer = served.answer(&by, "Explain", &json!({ "request": request }));
    assert_eq!(first_reason(&answer), "WORKLOAD_NOT_ALLOWED");
    let asked = json!({ "request": request, "as_service": "notice-mailer" });
    let answer = served.answer(&by, "Explain", &asked);
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
}

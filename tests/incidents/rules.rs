//! Each rule of incidents by itself, on either store.

use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{
    answer, clock, fields, get, last, newest, open, read, scope, send, send_as, trigger,
};
use crate::support::dev_house::House;
use crate::support::postgres::Postgres;

const DAY: Duration = Duration::from_hours(24);

/// The same on both stores, on the machine's clock.
fn both(test: impl Fn(House)) {
    test(House::open());
    test(House::with_store(&Postgres::shared().database()));
}

fn summary(text: &str) -> Value {
    json!({ "summary": text })
}

#[test]
fn a_scope_tells_who_and_whose_and_can_be_made_anew() {
    both(|mut house| {
        let [adviser, other, health, reviewer] =
            ["adviser-1", "adviser-2", "health-1", "security-1"].map(|id| house.log_in(id));
        read(&house, &adviser, &["s-1", "s-2"], &["contact", "career"]);
        read(&house, &adviser, &["s-2", "s-3"], &["contact"]);
        read(&house, &other, &["s-9"], &["contact"]);
        read(&house, &health, &["s-1"], &["special.medical"]);
        let id = open(&house, &reviewer, &summary("a list was sent by mistake"));
        let people =
            json!([{ "person": "adviser-1" }, { "person": "health-1", "category": "special" }]);
        let found = scope(&house, &reviewer, &id, &people);
        assert_eq!(found["accesses"], "3", "{found}");
        assert_eq!(found["people"], "3", "{found}");
        assert_eq!(
            found["persons"][0],
            json!({ "id": "adviser-1", "accesses": "2" })
        );
        assert_eq!(found["personsInAll"], "2");
        let categories = found["categories"].to_string();
        for category in ["contact", "career", "special.medical"] {
            assert!(categories.contains(category), "{categories}");
        }
        assert_eq!(found["systems"][0]["id"], "crm");
        assert_eq!(found["purposes"][0]["id"], "recruitment-service");
        // What fits two filters is one access.
        let twice =
            json!([{ "person": "adviser-1" }, { "category": "contact", "person": "adviser-1" }]);
        assert_eq!(scope(&house, &reviewer, &id, &twice)["accesses"], "2");
        let found = scope(&house, &reviewer, &id, &people);
        // More accesses come; the scope stays what it was.
        read(&house, &adviser, &["s-4"], &["contact"]);
        let listed = answer(
            &house,
            &reviewer,
            "ListAffected",
            &json!({ "incident": id }),
        );
        let listed = listed.as_array().unwrap().clone();
        assert_eq!(listed.len(), 4, "{listed:?}");
        let end = json!({ "people": "3", "accesses": "3", "same": true });
        assert_eq!(listed[3]["end"], end);
        let pseudonyms: std::collections::BTreeSet<String> = listed[..3]
            .iter()
            .map(|one| one["person"]["pseudonym"].to_string())
            .collect();
        assert_eq!(pseudonyms.len(), 3);
        // The root is the log's own at that size.
        let size = found["logSize"].as_str().unwrap();
        assert_eq!(
            found["rootHash"].as_str().unwrap().len(),
            44,
            "{size}: SHA-256 in base64"
        );
        let seen = get(&house, &reviewer, &id);
        assert_eq!(seen["scope"]["rootHash"], found["rootHash"]);
        let special = trigger(&seen, "INCIDENT_TRIGGER_SPECIAL_CARE");
        assert_eq!(special["verdict"], "TRIGGER_VERDICT_APPLIES", "{special}");
        let many = trigger(&seen, "INCIDENT_TRIGGER_MANY_PEOPLE");
        assert_eq!(many["verdict"], "TRIGGER_VERDICT_DOES_NOT_APPLY", "{many}");
        let malice = trigger(&seen, "INCIDENT_TRIGGER_MALICE");
        assert_eq!(malice["verdict"], "TRIGGER_VERDICT_UNKNOWN", "{malice}");
        assert_eq!(seen["toBeReported"], "TRIGGER_VERDICT_APPLIES");
    });
}

#[test]
fn who_reviews_works_on_them_and_others_are_refused_with_an_entry() {
    both(|mut house| {
        let [adviser, manager, reviewer, administrator] =
            ["adviser-1", "manager-1", "security-1", "administrator-1"].map(|id| house.log_in(id));
        let own = open(&house, &manager, &summary("a folder was lost"));
        let whole = open(
            &house,
            &reviewer,
            &json!({ "summary": "x", "department": "finance" }),
        );
        assert_eq!(get(&house, &manager, &own)["department"], "career");
        // Of another department there is nothing to see.
        let not_theirs = send(
            &house,
            &manager,
            "GetIncident",
            &json!({ "incident": whole }),
        );
        assert_eq!(not_theirs.unwrap_err().code, "NOT_FOUND");
        let listed = answer(&house, &manager, "ListIncidents", &json!({}));
        assert_eq!(listed["incidents"].as_array().unwrap().len(), 1, "{listed}");
        let elsewhere = json!({ "summary": "x", "department": "finance" });
        assert_eq!(
            fields(send(&house, &manager, "OpenIncident", &elsewhere)),
            ["department"]
        );
        // Administrators see all of them, and do nothing about them.
        let listed = answer(&house, &administrator, "ListIncidents", &json!({}));
        assert_eq!(listed["incidents"].as_array().unwrap().len(), 2, "{listed}");
        let refused = send(&house, &administrator, "OpenIncident", &summary("x"));
        assert_eq!(refused.unwrap_err().code, "PERMISSION_DENIED");
        for (method, request) in [
            ("OpenIncident", summary("x")),
            ("ListIncidents", json!({})),
            ("GetIncident", json!({ "incident": own })),
            (
                "CloseIncident",
                json!({ "incident": own, "conclusion": "x" }),
            ),
            ("ListAffected", json!({ "incident": own })),
            (
                "DraftReport",
                json!({ "incident": own, "stage": "REPORT_STAGE_FINAL" }),
            ),
        ] {
            let refused = send(&house, &adviser, method, &request).unwrap_err();
            assert_eq!(refused.code, "PERMISSION_DENIED", "{method}: {refused}");
            let entry = newest(&house, &reviewer, "ENTRY_KIND_REFUSED_CALL");
            assert_eq!(entry["person"], "adviser-1", "{entry}");
            assert_eq!(entry["details"]["call"], method, "{entry}");
        }
        let nobody = send_as(&mut house, "career-crm", "ListIncidents", &json!({}));
        assert_eq!(nobody.unwrap_err().code, "PERMISSION_DENIED");
        // A scope of a department's manager looks at that department alone.
        let accounting = house.log_in("accounting-1");
        let pay = json!({
            "actor": { "session_ticket": accounting.ticket, "client_ip": accounting.client_ip, "session_ref": accounting.session_ref },
            "action": "ACTION_READ",
            "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "s-1", "categories": ["contact"] },
            "purpose": "settlement",
        });
        let paid = house.answer("sekisho.v1.AccessService/Check", &pay, &Vec::new());
        assert_eq!(paid["decision"], "DECISION_ALLOW", "{paid}");
        read(&house, &adviser, &["s-1"], &["contact"]);
        let by = json!([{ "category": "contact" }]);
        let found = scope(&house, &manager, &own, &by);
        assert_eq!(
            (&found["accesses"], &found["personsInAll"]),
            (&json!("1"), &json!("1")),
            "{found}"
        );
        let found = scope(&house, &reviewer, &whole, &by);
        assert_eq!(found["accesses"], "2", "{found}");
    });
}

#[test]
fn nobody_judges_or_closes_an_incident_that_they_are_part_of() {
    both(|mut house| {
        let [manager, reviewer, second] =
            ["manager-1", "security-1", "security-2"].map(|id| house.log_in(id));
        read(&house, &manager, &["s-1"], &["contact"]);
        let id = open(&house, &manager, &summary("my own slip"));
        scope(&house, &manager, &id, &json!([{ "person": "manager-1" }]));
        // A later scope that leaves them out changes nothing.
        scope(&house, &manager, &id, &json!([{ "person": "adviser-1" }]));
        let judge = json!({ "incident": id, "trigger": "INCIDENT_TRIGGER_MALICE", "verdict": "TRIGGER_VERDICT_DOES_NOT_APPLY", "why": "it was me" });
        let waive = json!({ "incident": id, "clock": "ppc-final", "not_required": true, "note": "no need" });
        let close = json!({ "incident": id, "conclusion": "fine" });
        for (method, request) in [
            ("JudgeTrigger", &judge),
            ("RecordFiling", &waive),
            ("CloseIncident", &close),
        ] {
            let refused = send(&house, &manager, method, request).unwrap_err();
            assert_eq!(refused.code, "PERMISSION_DENIED", "{method}: {refused}");
            let entry = newest(&house, &reviewer, "ENTRY_KIND_REFUSED_CALL");
            assert_eq!(
                (&entry["person"], &entry["details"]["call"]),
                (&json!("manager-1"), &json!(method))
            );
        }
        answer(&house, &reviewer, "JudgeTrigger", &judge);
        // Named when it was opened.
        let about = json!({ "summary": "of a reviewer", "about": ["security-1"] });
        let about = open(&house, &second, &about);
        let judge = json!({ "incident": about, "trigger": "INCIDENT_TRIGGER_MALICE", "verdict": "TRIGGER_VERDICT_DOES_NOT_APPLY", "why": "no" });
        let refused = send(&house, &reviewer, "JudgeTrigger", &judge).unwrap_err();
        assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
        answer(&house, &second, "JudgeTrigger", &judge);
    });
}

#[test]
fn what_can_t_be_taken_is_named_and_leaves_an_entry() {
    both(|mut house| {
        let reviewer = house.log_in("security-1");
        let id = open(&house, &reviewer, &summary("x"));
        let long = "x".repeat(8_193);
        let known = get(&house, &reviewer, &id)["awareAt"].clone();
        let cases: [(&str, Value, &[&str]); 27] = [
            ("OpenIncident", json!({}), &["summary"]),
            ("OpenIncident", json!({ "summary": " " }), &["summary"]),
            ("OpenIncident", json!({ "summary": long }), &["summary"]),
            (
                "OpenIncident",
                json!({ "summary": "x", "aware_at": "2099-01-01T00:00:00Z" }),
                &["aware_at"],
            ),
            (
                "OpenIncident",
                json!({ "summary": "x", "aware_at": "1999-01-01T00:00:00Z" }),
                &["aware_at"],
            ),
            (
                "OpenIncident",
                json!({ "summary": "x", "about": ["nobody-1"] }),
                &["about"],
            ),
            (
                "OpenIncident",
                json!({ "summary": "x", "campaign": "c".repeat(129), "case": "k".repeat(129) }),
                &["campaign", "case"],
            ),
            ("ScopeIncident", json!({ "incident": id }), &["any_of"]),
            (
                "ScopeIncident",
                json!({ "incident": id, "any_of": [{}] }),
                &["any_of"],
            ),
            (
                "ScopeIncident",
                json!({ "incident": id, "any_of": [{ "client_ip": "10.0.0.1/8" }] }),
                &["any_of.client_ip"],
            ),
            (
                "ScopeIncident",
                json!({ "incident": id, "any_of": [{ "from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" }] }),
                &["any_of.until"],
            ),
            ("ListAffected", json!({ "incident": id }), &["incident"]),
            (
                "UpdateIncident",
                json!({ "incident": id, "text": "x" }),
                &["item"],
            ),
            (
                "UpdateIncident",
                json!({ "incident": id, "item": 10, "text": "x" }),
                &["item"],
            ),
            (
                "UpdateIncident",
                json!({ "incident": id, "item": "INCIDENT_ITEM_CAUSE" }),
                &["text"],
            ),
            (
                "AddTimelineNote",
                json!({ "incident": id, "text": "x" }),
                &["at"],
            ),
            (
                "AddTimelineNote",
                json!({ "incident": id, "text": "x", "at": "2099-01-01T00:00:00Z" }),
                &["at"],
            ),
            (
                "JudgeTrigger",
                json!({ "incident": id, "why": "x" }),
                &["trigger", "verdict"],
            ),
            (
                "RecordFiling",
                json!({ "incident": id, "note": "x", "clock": "moon" }),
                &["clock", "filed_at", "reference"],
            ),
            (
                "RecordFiling",
                json!({ "incident": id, "note": "x", "clock": "ppc-final", "reference": "R", "filed_at": "2020-01-01T00:00:00Z" }),
                &["filed_at"],
            ),
            (
                "RecordFiling",
                json!({ "incident": id, "note": "x", "clock": "subjects", "reference": "R", "filed_at": "2020-01-01T00:00:00Z" }),
                &["clock", "filed_at"],
            ),
            (
                "RecordFiling",
                json!({ "incident": id, "note": "x", "clock": "ppc-final", "not_required": true, "reference": "R" }),
                &["reference"],
            ),
            (
                "RecordNotification",
                json!({ "incident": id, "how": "x" }),
                &["notified_at"],
            ),
            (
                "RecordNotification",
                json!({ "incident": id, "how": "x", "notified_at": known }),
                &["people"],
            ),
            ("DraftReport", json!({ "incident": id }), &["stage"]),
            (
                "CloseIncident",
                json!({ "incident": id }),
                &["conclusion", "incident"],
            ),
            (
                "ListIncidents",
                json!({ "page_token": "before-x", "page_size": 1001 }),
                &["page_size", "page_token"],
            ),
        ];
        for (method, request, wrong) in cases {
            assert_eq!(
                fields(send(&house, &reviewer, method, &request)),
                wrong,
                "{method} {request}"
            );
            let entry = newest(&house, &reviewer, "ENTRY_KIND_REFUSED_CALL");
            assert_eq!(entry["details"]["call"], method, "{entry}");
        }
        for nothing in ["999999", "0", "18446744073709551615"] {
            let asked = json!({ "incident": nothing, "item": "INCIDENT_ITEM_CAUSE", "text": "x" });
            let refused = send(&house, &reviewer, "UpdateIncident", &asked).unwrap_err();
            assert_eq!(refused.code, "NOT_FOUND", "{nothing}: {refused}");
        }
    });
}

#[test]
fn clocks_run_out_and_operators_hear_of_it_until_it_is_recorded() {
    let mut house = House::with_clock();
    let reviewer = house.log_in("security-1");
    let id = open(&house, &reviewer, &summary("x"));
    let seen = get(&house, &reviewer, &id);
    let preliminary = clock(&seen, "ppc-preliminary");
    assert_eq!(preliminary["state"], "CLOCK_STATE_RUNNING", "{preliminary}");
    assert_eq!(
        clock(&seen, "subjects").get("dueAt"),
        None,
        "the law names no day"
    );
    let ready = house.daemon.get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200") && !ready.contains("incident"),
        "{ready}"
    );
    crate::support::play::Door::advance(&mut house, 6 * DAY);
    // A start looks at them, as every minute does.
    let mut house = house.kill_and_start();
    let ready = house.daemon.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(
        ready.contains(&format!("incident {id}: ppc-preliminary was due")),
        "{ready}"
    );
    let metrics = house.daemon.get("/metrics");
    assert!(
        metrics.contains("sekisho_incident_clocks_overdue 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("sekisho_incidents_open 1\n"));
    let reviewer = house.log_in("security-2");
    let seen = get(&house, &reviewer, &id);
    assert_eq!(
        clock(&seen, "ppc-preliminary")["state"],
        "CLOCK_STATE_OVERDUE"
    );
    let filed = json!({ "incident": id, "clock": "ppc-preliminary", "filed_at": seen["awareAt"], "reference": "R-1", "note": "by the form of the Commission" });
    answer(&house, &reviewer, "RecordFiling", &filed);
    let seen = get(&house, &reviewer, &id);
    let done = clock(&seen, "ppc-preliminary");
    assert_eq!(
        (&done["state"], &done["reference"]),
        (&json!("CLOCK_STATE_DONE"), &json!("R-1"))
    );
    assert_eq!(
        done.get("late"),
        None,
        "when it was filed counts, not when it was recorded"
    );
    let ready = house.daemon.get("/readyz");
    assert!(!ready.contains("incident"), "{ready}");
}

#[test]
fn closing_takes_a_fresh_second_step_and_nothing_due_and_what_is_closed_stays() {
    let mut house = House::with_clock();
    let reviewer = house.log_in("security-1");
    let id = open(&house, &reviewer, &summary("the printer kept a page"));
    let close = json!({ "incident": id, "conclusion": "nothing left the office" });
    let open_clocks = send(&house, &reviewer, "CloseIncident", &close).unwrap_err();
    assert!(
        open_clocks
            .to_string()
            .contains("ppc-preliminary, ppc-final, subjects"),
        "{open_clocks}"
    );
    // No trigger applies: each is judged, and nothing is due.
    for name in ["SPECIAL_CARE", "PROPERTY_DAMAGE", "MALICE", "MANY_PEOPLE"] {
        let judge = json!({ "incident": id, "trigger": format!("INCIDENT_TRIGGER_{name}"), "verdict": "TRIGGER_VERDICT_DOES_NOT_APPLY", "why": "one back at once" });
        answer(&house, &reviewer, "JudgeTrigger", &judge);
    }
    let seen = get(&house, &reviewer, &id);
    assert_eq!(
        clock(&seen, "ppc-final")["state"],
        "CLOCK_STATE_DOES_NOT_APPLY"
    );
    crate::support::play::Door::advance(&mut house, Duration::from_secs(301));
    let stale = send(&house, &reviewer, "CloseIncident", &close).unwrap_err();
    assert_eq!(stale.code, "PERMISSION_DENIED", "{stale}");
    assert!(
        stale.to_string().contains("second step is too old"),
        "{stale}"
    );
    let reviewer = house.log_in("security-2");
    answer(&house, &reviewer, "CloseIncident", &close);
    let again = send(&house, &reviewer, "CloseIncident", &close);
    assert_eq!(fields(again), ["incident"]);
    let note = json!({ "incident": id, "item": "INCIDENT_ITEM_CAUSE", "text": "later" });
    assert_eq!(
        fields(send(&house, &reviewer, "UpdateIncident", &note)),
        ["incident"]
    );
    let listed = answer(&house, &reviewer, "ListIncidents", &json!({}));
    assert_eq!(listed.get("incidents"), None, "{listed}");
    let mut house = house.kill_and_start();
    house.next_code();
    let reviewer = house.log_in("security-1");
    let seen = get(&house, &reviewer, &id);
    assert_eq!(seen["closedBy"], "security-2", "{seen}");
    let listed = answer(
        &house,
        &reviewer,
        "ListIncidents",
        &json!({ "closed": true }),
    );
    assert_eq!(listed["incidents"][0]["incident"], id.as_str());
    let texts = seen["timeline"].to_string();
    for told in [
        "the printer kept a page",
        "one back at once",
        "nothing left the office",
    ] {
        assert!(texts.contains(told), "{texts}");
    }
    // Sealed: no file of the daemon's has what people wrote.
    for told in ["printer kept", "back at once", "left the office"] {
        let found = std::process::Command::new("grep")
            .args(["-rlaF", told, house.data()])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{told}");
    }
    let entry = newest(&house, &reviewer, "ENTRY_KIND_INCIDENT");
    assert_eq!(entry["details"]["change"], "close", "{entry}");
}

#[test]
fn a_list_pages() {
    both(|mut house| {
        let reviewer = house.log_in("security-1");
        let opened: Vec<String> = (0..5)
            .map(|number| open(&house, &reviewer, &summary(&format!("{number}"))))
            .collect();
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let asked = json!({ "page_size": 2, "page_token": token });
            let page = answer(&house, &reviewer, "ListIncidents", &asked);
            for incident in page["incidents"].as_array().unwrap() {
                found.push(incident["incident"].as_str().unwrap().to_owned());
            }
            match page.get("nextPageToken") {
                Some(next) => token = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        found.reverse();
        assert_eq!(found, opened);
        let whole = last(answer(&house, &reviewer, "ListIncidents", &json!({})));
        assert_eq!(whole["incidents"].as_array().unwrap().len(), 5);
    });
}

//! Passwords: one that somebody else set opens nothing but its own change, and a change ends every other session.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, detail, not_genuine, reason, refused_with};
use crate::support::play::{CallError, Door, Session};

const STEP: Duration = Duration::from_secs(30);
const NEW: &str = "雨の月曜 plum 47";

fn change(
    site: &Site,
    challenge: &Value,
    new: &str,
    code: Option<&str>,
) -> Result<Value, CallError> {
    let mut request = json!({ "challenge_id": challenge["challengeId"], "new_password": new });
    if let Some(code) = code {
        request["totp"] = code.into();
    }
    site.ask("ChangePassword", &request)
}

#[test]
fn a_password_that_an_administrator_set_opens_nothing_but_its_own_change() {
    let mut site = Site::open();
    let before = site.person("adviser-1");
    let administrator = site.administrator();
    let set = |person: &str| {
        let request = json!({ "person": person });
        site.administer("SetPassword", &request, &administrator)
    };
    for nobody in ["nobody", crate::site::ADMINISTRATOR] {
        assert_eq!(set(nobody).unwrap_err().fields(), ["person"]);
    }
    let not_allowed = site.send(
        "sekisho.v1.CredentialService/SetPassword",
        &json!({ "person": "adviser-2" }),
        &before.metadata(),
    );
    refused_with(not_allowed, "PERMISSION_DENIED", "NOT_AUTHORISED");
    let old_challenge = site.first_step("adviser-1");
    let told = set("adviser-1").unwrap();
    let password = told["password"].as_str().unwrap().to_owned();
    // Every session of the person ended, and so did what they had begun.
    let denied = site.check(&before).unwrap();
    assert_eq!(reason(&denied), "REASON_CODE_TICKET_REVOKED", "{denied}");
    let code = site.code("adviser-1");
    not_genuine(site.second_step(&old_challenge, &code));
    not_genuine(site.first_step_with("adviser-1", &site.people.get("adviser-1").password));

    let challenge = site.first_step_with("adviser-1", &password).unwrap();
    assert_eq!(challenge["passwordChangeRequired"], true);
    site.advance(STEP);
    let code = site.code("adviser-1");
    refused_with(
        site.second_step(&challenge, &code),
        "FAILED_PRECONDITION",
        "PASSWORD_CHANGE_REQUIRED",
    );
    // Nor does the password alone change itself where a second factor is enrolled.
    refused_with(
        change(&site, &challenge, NEW, None),
        "FAILED_PRECONDITION",
        "SECOND_STEP_FIRST",
    );
    not_genuine(change(
        &site,
        &challenge,
        NEW,
        Some(&site.wrong_code("adviser-1")),
    ));
    // The code is not spent for a password that can't be chosen.
    let weak = change(&site, &challenge, "password2026", Some(&code)).unwrap_err();
    assert_eq!(weak.fields(), ["new_password"], "{weak}");
    let changed = change(&site, &challenge, NEW, Some(&code)).unwrap();
    assert_eq!(changed, json!({}));
    not_genuine(site.first_step_with("adviser-1", &password));
    let challenge = site.first_step_with("adviser-1", NEW).unwrap();
    assert!(challenge.get("passwordChangeRequired").is_none());
    site.advance(STEP);
    site.second_step(&challenge, &site.code("adviser-1"))
        .unwrap();
    // A kill forgets nothing of it, and the log has neither.
    site.kill_and_start();
    site.first_step_with("adviser-1", NEW).unwrap();
    let entries = site.entries();
    let told = format!("{entries:?}");
    assert!(!told.contains(&password) && !told.contains("plum"));
    let changes: Vec<_> = entries
        .iter()
        .filter_map(|entry| {
            Some((
                detail(entry, "change")?,
                detail(entry, "before")?,
                detail(entry, "after")?,
            ))
        })
        .collect();
    assert_eq!(
        changes,
        [
            ("set-password", "in force", "to be changed"),
            ("change-password", "to be changed", "in force"),
        ]
    );
}

#[test]
fn a_change_of_the_password_ends_every_session_but_the_one_it_was_made_in() {
    let mut site = Site::open();
    let elsewhere = site.person("adviser-1");
    let mut here = site.person("adviser-1");
    let challenge = site.step_up(&here).unwrap();
    refused_with(
        change(&site, &challenge, NEW, None),
        "FAILED_PRECONDITION",
        "SECOND_STEP_FIRST",
    );
    site.advance(STEP);
    site.second_step(&challenge, &site.code("adviser-1"))
        .unwrap();
    let known = site.people.get("adviser-1").password.clone();
    for (bad, why) in [
        ("short 1", "fewer than 8"),
        ("Password1!", "most used"),
        ("adviser-1adviser-1", "your ID"),
        ("12345678", "a row"),
    ] {
        let error = change(&site, &challenge, bad, None).unwrap_err();
        assert!(error.message.contains(why), "{bad}: {error}");
        assert_eq!(error.fields(), ["new_password"]);
    }
    let same = change(&site, &challenge, &known, None).unwrap_err();
    assert!(same.message.contains("in force"), "{same}");
    // Five tries were used up by now.
    not_genuine(change(&site, &challenge, NEW, None));
    let challenge = site.step_up(&here).unwrap();
    site.advance(STEP);
    let code = site.code("adviser-1");
    let changed = change(&site, &challenge, NEW, Some(&code)).unwrap();
    for (session, expected) in [(&elsewhere, "ended"), (&here, "ended")] {
        let denied = site.check(session).unwrap();
        assert_eq!(reason(&denied), "REASON_CODE_TICKET_REVOKED", "{expected}");
    }
    here.ticket = changed["sessionTicket"].as_str().unwrap().to_owned();
    assert_eq!(site.check(&here).unwrap()["decision"], "DECISION_ALLOW");
    // The code of the change was spent by it, and the challenge is closed.
    not_genuine(change(&site, &challenge, "another plum 48", None));
    let first = site.first_step_with("adviser-1", NEW).unwrap();
    not_genuine(site.second_step(&first, &code));
    let _: &Session = &elsewhere;
}

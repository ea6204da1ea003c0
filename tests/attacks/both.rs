//! One administrator who tries to be both of the two that sensitive things take.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::Site;
use crate::support::play::{CallError, Door, Session};

const DAY: Duration = Duration::from_hours(24);
const ONE: &str = "administrator-1";
const TWO: &str = "administrator-2";

/// A call of an administrator.
fn call(site: &Site, by: &Session, method: &str, request: &Value) -> Result<Value, CallError> {
    site.send(&format!("sekisho.v1.{method}"), request, &by.metadata())
}

fn with_role(id: &str, role: &Value) -> Value {
    json!({ "id": id, "departments": ["career"], "roles": [role] })
}

fn changed(id: &str, roles: &Value) -> Value {
    json!({ "person": { "id": id, "roles": roles }, "update_mask": ["roles"] })
}

fn import(csv: &str) -> Value {
    json!({ "csv": data_encoding::BASE64.encode(csv.as_bytes()) })
}

/// Asked for, and nothing else came of it.
fn waits(answer: &Value) -> String {
    let number = answer["pending"].as_str();
    let number = number.unwrap_or_else(|| panic!("one alone did it: {answer}"));
    assert!(answer.get("pendingUntil").is_some(), "{answer}");
    for secret in ["password", "enrollmentCode"] {
        assert!(answer.get(secret).is_none(), "{answer}");
    }
    number.to_owned()
}

#[test]
fn nobody_alone_makes_somebody_an_administrator_or_gets_at_ones_credentials() {
    let mut site = Site::open();
    let one = site.person(ONE);
    let administers = json!({ "role": "administrator" });
    let later = json!({ "role": "administrator", "validFrom": "2090-01-01" });
    let reviews = json!({ "role": "security-manager" });
    let csv = "id,departments,roles\nsecond-me,career,administrator\n";
    for (method, request) in [
        ("DirectoryService/CreatePerson", json!({ "person": with_role("second-me", &administers) })),
        ("DirectoryService/CreatePerson", json!({ "person": with_role("second-me", &later) })),
        ("DirectoryService/CreatePerson", json!({ "person": with_role("second-me", &reviews) })),
        ("DirectoryService/ChangePerson", changed("adviser-1", &json!([administers]))),
        ("DirectoryService/ChangePerson", changed("adviser-1", &json!([later]))),
        ("CredentialService/SetPassword", json!({ "person": TWO })),
        ("CredentialService/IssueEnrollmentCode", json!({ "person": TWO })),
    ] {
        let answer = call(&site, &one, method, &request).unwrap();
        waits(&answer);
    }
    let answer = call(&site, &one, "DirectoryService/ImportPeople", &import(csv)).unwrap();
    waits(answer.as_array().and_then(|all| all.last()).unwrap_or(&answer).get("summary").unwrap());
    let read = |id: &str| call(&site, &one, "DirectoryService/GetPerson", &json!({ "id": id }));
    assert_eq!(read("second-me").unwrap_err().code, "NOT_FOUND");
    assert_eq!(read("adviser-1").unwrap()["person"]["roles"][0]["role"], "career-adviser");
    site.person(TWO);
    let _ = DAY;
}

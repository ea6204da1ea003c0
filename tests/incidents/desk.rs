//! Who is asked, and what people did before.

use serde_json::{Value, json};

use crate::support::dev_house::House;
use crate::support::play::{CallError, Door as _, Metadata, Session};

const CHECK: &str = "sekisho.v1.AccessService/Check";
const SEARCH: &str = "sekisho.v1.AccessLogService/Search";

/// A call of the service.
pub(crate) fn call(method: &str) -> String {
    format!("sekisho.v1.IncidentService/{method}")
}

pub(crate) fn send(
    house: &House,
    by: &Session,
    method: &str,
    request: &Value,
) -> Result<Value, CallError> {
    house.send(&call(method), request, &by.metadata())
}

pub(crate) fn answer(house: &House, by: &Session, method: &str, request: &Value) -> Value {
    send(house, by, method, request).unwrap_or_else(|error| panic!("{method} {request}: {error}"))
}

/// An access that is allowed.
pub(crate) fn read(house: &House, by: &Session, of: &[&str], categories: &[&str]) {
    let request = json!({
        "actor": {
            "session_ticket": by.ticket,
            "client_ip": by.client_ip,
            "session_ref": by.session_ref,
        },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_refs": of, "categories": categories },
        "purpose": "recruitment-service",
        "basis": { "consent": "CONSENT_STATE_PRIOR" },
    });
    let answer = house.answer(CHECK, &request, &Metadata::new());
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
}

/// Opens one; its number.
pub(crate) fn open(house: &House, by: &Session, request: &Value) -> String {
    let opened = answer(house, by, "OpenIncident", request);
    opened["incident"].as_str().unwrap().to_owned()
}

/// The last message of a stream.
pub(crate) fn last(answers: Value) -> Value {
    match answers {
        Value::Array(mut all) => all.pop().unwrap(),
        one => one,
    }
}

/// Looks for a scope; what was found.
pub(crate) fn scope(house: &House, by: &Session, incident: &str, any_of: &Value) -> Value {
    let request = json!({ "incident": incident, "any_of": any_of });
    last(answer(house, by, "ScopeIncident", &request))["found"]["scope"].clone()
}

pub(crate) fn get(house: &House, by: &Session, incident: &str) -> Value {
    answer(house, by, "GetIncident", &json!({ "incident": incident }))["incident"].clone()
}

/// A clock of an incident as it is seen.
pub(crate) fn clock(incident: &Value, id: &str) -> Value {
    let clocks = incident["clocks"].as_array().unwrap();
    let found = clocks.iter().find(|clock| clock["clock"] == id);
    found.unwrap_or_else(|| panic!("{id}: {incident}")).clone()
}

/// A trigger of an incident as it is seen.
pub(crate) fn trigger(incident: &Value, name: &str) -> Value {
    let triggers = incident["triggers"].as_array().unwrap();
    let found = triggers.iter().find(|one| one["trigger"] == name);
    found
        .unwrap_or_else(|| panic!("{name}: {incident}"))
        .clone()
}

/// Refused as invalid, with exactly these fields.
pub(crate) fn fields(result: Result<Value, CallError>) -> Vec<String> {
    let refused = result.unwrap_err();
    assert_eq!(refused.code, "INVALID_ARGUMENT", "{refused}");
    refused.fields()
}

/// The newest entry of a kind, as somebody who reviews sees it.
pub(crate) fn newest(house: &House, by: &Session, kind: &str) -> Value {
    let query = json!({ "kind": kind, "page_size": 1 });
    let found = last(house.answer(SEARCH, &query, &by.metadata()));
    found["entry"].clone()
}

/// As another service than the usual one would.
pub(crate) fn send_as(
    house: &mut House,
    service: &str,
    method: &str,
    request: &Value,
) -> Result<Value, CallError> {
    house.call(service, &call(method), request, &Metadata::new())
}

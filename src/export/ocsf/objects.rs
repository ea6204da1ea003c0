//! The objects of events: who acted from where, on what.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{
    API, AUTHENTICATION, DATASTORE, ENTITY, LIFECYCLE, NOT_KNOWN, OTHER, PRODUCT, action_name,
    detail, kind, or_not_known, short,
};
use crate::proto::{Entry, EntryKind};

/// What each class has of its own.
pub(super) fn of_class(entry: &Entry, class: (i64, &str)) -> Vec<(&'static str, Value)> {
    match class {
        DATASTORE => {
            let mut told = vec![
                ("actor", actor(entry)),
                ("src_endpoint", source(entry)),
                ("database", database(entry)),
                ("type_id", json!(1)),
            ];
            let filter = detail(entry, "filter");
            if kind(entry) == EntryKind::LogRead && !filter.is_empty() {
                let query = json!({ "name": detail(entry, "call"), "query_string": filter });
                told.push(("query_info", query));
            }
            told
        }
        AUTHENTICATION => {
            let mut told = vec![
                ("user", user(entry)),
                ("actor", actor(entry)),
                ("src_endpoint", source(entry)),
                ("service", json!({ "name": or_not_known(&entry.caller) })),
                ("is_mfa", json!(is_second_step(entry))),
                ("is_remote", json!(true)),
                ("logon_type_id", json!(3)),
            ];
            let factors: Vec<Value> = entry
                .amr
                .iter()
                .filter_map(|method| factor(method))
                .collect();
            if !factors.is_empty() {
                told.push(("auth_factors", Value::Array(factors)));
            }
            if !entry.session.is_empty() {
                told.push(("session", session(entry)));
            }
            told
        }
        ENTITY => vec![
            ("actor", actor(entry)),
            ("src_endpoint", source(entry)),
            ("entity", entity(entry)),
        ],
        API => vec![
            ("actor", actor(entry)),
            ("src_endpoint", source(entry)),
            (
                "api",
                json!({ "operation": operation(entry), "service": { "name": PRODUCT } }),
            ),
        ],
        LIFECYCLE => vec![(
            "app",
            json!({ "name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION") }),
        )],
        // A base event has no place for who acted.
        _ => Vec::new(),
    }
}

fn is_second_step(entry: &Entry) -> bool {
    matches!(detail(entry, "step"), "second-factor" | "step-up") || entry.amr.len() > 1
}

/// A method of RFC 8176; `mfa` says that there was more than one and is none itself.
fn factor(method: &str) -> Option<Value> {
    match method {
        "mfa" => None,
        "pwd" => Some(json!({ "factor_type_id": 11, "factor_type": "Password" })),
        "otp" => Some(json!({ "factor_type_id": 7, "factor_type": "OTP", "is_totp": true })),
        other => Some(json!({ "factor_type_id": OTHER, "factor_type": other })),
    }
}

fn operation(entry: &Entry) -> &str {
    match detail(entry, "call") {
        "" => or_not_known(short(action_name(entry), "ACTION_")),
        call => call,
    }
}

/// The person; the service itself where none acted.
fn user(entry: &Entry) -> Value {
    if entry.person.is_empty() {
        return if entry.caller.is_empty() {
            json!({ "name": NOT_KNOWN, "type_id": 0 })
        } else {
            json!({ "uid": entry.caller, "type": "Service", "type_id": 4 })
        };
    }
    let mut groups: Vec<Value> = entry
        .roles
        .iter()
        .map(|role| json!({ "name": role, "type": "role" }))
        .collect();
    let departments = std::iter::once(&entry.department).chain(&entry.further_departments);
    for department in departments.filter(|name| !name.is_empty()) {
        groups.push(json!({ "name": department, "type": "department" }));
    }
    let mut user = json!({ "uid": entry.person, "type": "User", "type_id": 1 });
    if let (Some(user), false) = (user.as_object_mut(), groups.is_empty()) {
        user.insert("groups".to_owned(), Value::Array(groups));
    }
    user
}

fn actor(entry: &Entry) -> Value {
    let app = match kind(entry) {
        // What the daemon does of itself.
        _ if entry.caller.is_empty() && entry.person.is_empty() => PRODUCT,
        _ => or_not_known(&entry.caller),
    };
    let mut actor = json!({ "user": user(entry), "app_name": app });
    if let (Some(actor), false) = (actor.as_object_mut(), entry.session.is_empty()) {
        actor.insert("session".to_owned(), session(entry));
    }
    actor
}

fn session(entry: &Entry) -> Value {
    json!({ "uid": entry.session, "is_mfa": entry.amr.len() > 1, "is_remote": true })
}

/// The person's device where it is known, and the service between; else the service.
fn source(entry: &Entry) -> Value {
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .ok()
            .map(|address| address.to_string())
    };
    let mut endpoint = Map::new();
    let service = if entry.caller.is_empty() {
        PRODUCT
    } else {
        &entry.caller
    };
    endpoint.insert("svc_name".to_owned(), json!(service));
    match (address(&entry.client_ip), address(&entry.caller_ip)) {
        (Some(device), between) => {
            endpoint.insert("ip".to_owned(), json!(device));
            if let Some(between) = between.filter(|between| *between != device) {
                endpoint.insert("intermediate_ips".to_owned(), json!([between]));
            }
        }
        (None, Some(caller)) => {
            endpoint.insert("ip".to_owned(), json!(caller));
        }
        (None, None) => {}
    }
    Value::Object(endpoint)
}

/// Type 0: the checkpoint isn't told what kind of datastore a system is.
fn database(entry: &Entry) -> Value {
    match kind(entry) {
        EntryKind::Decision | EntryKind::Outcome => {
            json!({ "name": or_not_known(&entry.system), "type_id": 0 })
        }
        _ => json!({ "name": or_not_known(&entry.log), "type_id": OTHER, "type": "access log" }),
    }
}

fn entity(entry: &Entry) -> Value {
    if kind(entry) == EntryKind::PolicyChange {
        return json!({ "name": "policy pack", "type": "Policy", "type_id": 5 });
    }
    let (name, sort) = match (detail(entry, "hold"), detail(entry, "date")) {
        ("", "") => (or_not_known(detail(entry, "change")), "Other"),
        ("", date) => (date, "date"),
        (hold, _) => (hold, "hold"),
    };
    let mut entity = json!({ "name": name, "type": sort, "type_id": OTHER });
    // Of whom: one change is about one subject.
    if let (Some(entity), [subject]) = (entity.as_object_mut(), entry.subject_pseudonyms.as_slice())
    {
        entity.insert("uid".to_owned(), json!(subject));
    }
    entity
}

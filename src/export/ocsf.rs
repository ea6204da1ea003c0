//! Events of the Open Cybersecurity Schema Framework (schema.ocsf.io), version [`VERSION`], with its profile `security_control`.
//!
//! | entry | class | activity |
//! |---|---|---|
//! | decision, outcome | 6005 Datastore Activity on the system asked for | by action: Read, Query (SEARCH), Create, Update, Delete; Other for EXPORT and PROVIDE |
//! | log read | 6005 on the access log itself | Query; Read for one entry |
//! | disposal | 6005 on the access log itself | Delete |
//! | authentication | 3002 Authentication | Logon for a second step passed or refused; Preauth for the password and for the beginning of a step-up; Service Ticket Request; Logoff; Other |
//! | administration | 3004 Entity Management of a hold or a date | Create, Delete, Update; Other |
//! | policy change | 3004 of the policy | Update |
//! | refused call | 6003 API Activity | Other |
//! | start, stop, state of the log | 6002 Application Lifecycle | Start, Stop; Other |
//! | review, incident, kinds newer than this | 0 Base Event | Other |
//!
//! What the schema has no place for (purpose, categories, pseudonyms, leaf hash and the like) is in `unmapped`, by the names of
//! the API's JSON.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::fields::{EntryFields, escaped};
use super::is_unsafe;
use crate::domain::reason::ReasonCode;
use crate::proto::{Action, Decision, Entry, EntryKind};

/// The version of the schema that events are of: the newest that was released when this was written.
pub const VERSION: &str = "1.8.0";

/// This product's name, and its vendor's.
const PRODUCT: &str = "sekisho";
/// Stands where the schema requires a name and nobody gave one.
const NOT_KNOWN: &str = "unknown";
/// The profile whose attributes an event may have beside its class's.
const PROFILE: &str = "security_control";
/// Fields of an entry whose place is the same in every event; all others are in `unmapped` too, so that nothing is lost where a
/// class has no place for one.
const PLACED: [&str; 2] = ["time", "log"];
const OTHER: i64 = 99;

/// One event as a line of JSON without its end.
pub(super) fn line(entry: &Entry) -> Result<String, serde_json::Error> {
    Ok(escaped(&serde_json::to_string(&event(entry))?, is_unsafe))
}

/// A class and an activity of it.
struct Activity {
    class: (i64, &'static str),
    id: i64,
    name: String,
}

impl Activity {
    fn new(class: (i64, &'static str), id: i64, name: impl Into<String>) -> Self {
        Self {
            class,
            id,
            name: name.into(),
        }
    }
}

const BASE: (i64, &str) = (0, "Base Event");
const AUTHENTICATION: (i64, &str) = (3_002, "Authentication");
const ENTITY: (i64, &str) = (3_004, "Entity Management");
const LIFECYCLE: (i64, &str) = (6_002, "Application Lifecycle");
const API: (i64, &str) = (6_003, "API Activity");
const DATASTORE: (i64, &str) = (6_005, "Datastore Activity");

fn event(entry: &Entry) -> Value {
    let activity = activity(entry);
    let (class_uid, class_name) = activity.class;
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| {
        event.insert(name.to_owned(), value);
    };
    put("class_uid", json!(class_uid));
    put("class_name", json!(class_name));
    put("category_uid", json!(class_uid / 1_000));
    put("activity_id", json!(activity.id));
    put("activity_name", json!(activity.name));
    put("type_uid", json!(class_uid * 100 + activity.id));
    put("severity_id", json!(severity(entry)));
    put("time", json!(milliseconds(entry)));
    put("message", json!(message(entry)));
    let mut metadata = json!({
        "version": VERSION,
        "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION") },
        "profiles": [PROFILE],
        "log_name": entry.log,
        "uid": format!("{}/{}", entry.log, entry.log_index),
        "event_code": kind_name(entry.kind),
    });
    if let (Some(metadata), Some(id)) = (metadata.as_object_mut(), correlation(entry)) {
        metadata.insert("correlation_uid".to_owned(), json!(id));
    }
    put("metadata", metadata);
    for (name, value) in outcome(entry) {
        put(name, value);
    }
    for (name, value) in of_class(entry, activity.class) {
        put(name, value);
    }
    if !entry.policy_revision.is_empty() {
        put(
            "policy",
            json!({ "name": "policy pack", "uid": entry.policy_revision }),
        );
    }
    let unmapped: Map<String, Value> = EntryFields::of(entry)
        .0
        .into_iter()
        .filter(|(name, _)| !PLACED.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    put("unmapped", Value::Object(unmapped));
    Value::Object(event)
}

fn kind(entry: &Entry) -> EntryKind {
    EntryKind::try_from(entry.kind).unwrap_or(EntryKind::Unspecified)
}

fn kind_name(kind: i32) -> String {
    match EntryKind::try_from(kind) {
        Ok(kind) => short(kind.as_str_name(), "ENTRY_KIND_").to_owned(),
        Err(_) => kind.to_string(),
    }
}

fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn action_name(entry: &Entry) -> &'static str {
    Action::try_from(entry.action).map_or("", |action| action.as_str_name())
}

fn detail<'a>(entry: &'a Entry, key: &str) -> &'a str {
    entry.details.get(key).map_or("", String::as_str)
}

fn or_not_known(text: &str) -> &str {
    if text.is_empty() { NOT_KNOWN } else { text }
}

fn activity(entry: &Entry) -> Activity {
    match kind(entry) {
        EntryKind::Decision | EntryKind::Outcome => {
            let (id, name) = data_activity(entry.action);
            Activity::new(DATASTORE, id, name)
        }
        EntryKind::LogRead if detail(entry, "call") == "GetEntry" => {
            Activity::new(DATASTORE, 1, "Read")
        }
        EntryKind::LogRead => Activity::new(DATASTORE, 4, "Query"),
        EntryKind::Disposal => Activity::new(DATASTORE, 7, "Delete"),
        EntryKind::Authentication => match detail(entry, "step") {
            "second-factor" => Activity::new(AUTHENTICATION, 1, "Logon"),
            "end-session" => Activity::new(AUTHENTICATION, 2, "Logoff"),
            "exchange-ticket" => Activity::new(AUTHENTICATION, 4, "Service Ticket Request"),
            "password" | "begin-step-up" => Activity::new(AUTHENTICATION, 6, "Preauth"),
            step => Activity::new(AUTHENTICATION, OTHER, or_not_known(step)),
        },
        EntryKind::Administration => match detail(entry, "change") {
            "register-hold" => Activity::new(ENTITY, 1, "Create"),
            "set-date" => Activity::new(ENTITY, 3, "Update"),
            "release-hold" => Activity::new(ENTITY, 4, "Delete"),
            "" => Activity::new(ENTITY, OTHER, or_not_known(detail(entry, "call"))),
            change => Activity::new(ENTITY, OTHER, change),
        },
        EntryKind::PolicyChange => Activity::new(ENTITY, 3, "Update"),
        EntryKind::RefusedCall => Activity::new(API, OTHER, "Refused"),
        EntryKind::DaemonStart => Activity::new(LIFECYCLE, 3, "Start"),
        EntryKind::DaemonStop => Activity::new(LIFECYCLE, 4, "Stop"),
        EntryKind::LogState => Activity::new(LIFECYCLE, OTHER, "Log state"),
        EntryKind::Review | EntryKind::Incident | EntryKind::Unspecified => {
            Activity::new(BASE, OTHER, kind_name(entry.kind))
        }
    }
}

fn data_activity(action: i32) -> (i64, &'static str) {
    match Action::try_from(action).unwrap_or(Action::Unspecified) {
        Action::Read => (1, "Read"),
        Action::Search => (4, "Query"),
        Action::Create => (6, "Create"),
        Action::Update => (2, "Update"),
        Action::Delete => (7, "Delete"),
        Action::Export => (OTHER, "Export"),
        Action::Provide => (OTHER, "Provide"),
        Action::Unspecified => (0, "Unknown"),
    }
}

/// Informational; low where something was refused; high where break glass was used or the log has something to say of itself.
fn severity(entry: &Entry) -> i64 {
    let denied = entry.decision == i32::from(Decision::Deny);
    match kind(entry) {
        _ if entry.break_glass => 4,
        EntryKind::LogState | EntryKind::Incident => 4,
        _ if denied => 2,
        _ => 1,
    }
}

fn milliseconds(entry: &Entry) -> i64 {
    entry.time.as_ref().map_or(0, |at| {
        let within = i64::from(at.nanos / 1_000_000);
        at.seconds.saturating_mul(1_000).saturating_add(within)
    })
}

fn message(entry: &Entry) -> String {
    let decision = Decision::try_from(entry.decision).map_or("", |value| value.as_str_name());
    [
        kind_name(entry.kind).as_str(),
        short(action_name(entry), "ACTION_"),
        short(decision, "DECISION_"),
    ]
    .into_iter()
    .filter(|word| !word.is_empty() && *word != "UNSPECIFIED")
    .collect::<Vec<_>>()
    .join(" ")
}

/// What ties an entry to others: the decision, else the session, else the caller's own id.
fn correlation(entry: &Entry) -> Option<&String> {
    [&entry.decision_id, &entry.session, &entry.request_id]
        .into_iter()
        .find(|id| !id.is_empty())
}

/// Whether it was allowed, and why not.
fn outcome(entry: &Entry) -> Vec<(&'static str, Value)> {
    let mut told = Vec::new();
    let status = match (Decision::try_from(entry.decision), kind(entry)) {
        (Ok(Decision::Deny), _) => Some((2, "Failure")),
        (Ok(Decision::Allow), _) => Some((1, "Success")),
        (_, EntryKind::LogState | EntryKind::Incident | EntryKind::Unspecified) => None,
        (_, EntryKind::Outcome) if detail(entry, "abandoned") == "true" => {
            Some((OTHER, "Abandoned"))
        }
        _ => Some((1, "Success")),
    };
    if let Some((id, name)) = status {
        told.push(("status_id", json!(id)));
        told.push(("status", json!(name)));
    }
    match Decision::try_from(entry.decision) {
        Ok(Decision::Allow) => {
            told.push(("action_id", json!(1)));
            told.push(("disposition_id", json!(1)));
        }
        Ok(Decision::Deny) => {
            told.push(("action_id", json!(2)));
            told.push(("disposition_id", json!(2)));
        }
        _ => {}
    }
    if let Some(number) = entry.reasons.first() {
        let code = ReasonCode::from_number(*number);
        let name = code.map_or_else(|| number.to_string(), |code| code.name().to_owned());
        told.push(("status_code", json!(name)));
        if let Some(code) = code {
            told.push(("status_detail", json!(code.message())));
        }
    }
    told
}

/// What each class has of its own.
fn of_class(entry: &Entry, class: (i64, &str)) -> Vec<(&'static str, Value)> {
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
            let factors: Vec<Value> = entry.amr.iter().map(|method| factor(method)).collect();
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

/// The methods of RFC 8176 that a ticket can carry.
fn factor(method: &str) -> Value {
    match method {
        "pwd" => json!({ "factor_type_id": 11, "factor_type": "Password" }),
        "otp" => json!({ "factor_type_id": 7, "factor_type": "OTP", "is_totp": true }),
        other => json!({ "factor_type_id": OTHER, "factor_type": other }),
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
    if !entry.department.is_empty() {
        groups.push(json!({ "name": entry.department, "type": "department" }));
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

#[cfg(test)]
mod tests {
    use super::super::fields::tests::full;
    use super::*;

    #[test]
    fn a_decision_is_an_activity_on_the_datastore_it_is_about() {
        let event = event(&full());
        assert_eq!(event["class_uid"], 6_005);
        assert_eq!(event["type_uid"], 600_599);
        assert_eq!(event["activity_name"], "Provide");
        assert_eq!(event["time"], 1_780_000_000_005_i64);
        assert_eq!(event["actor"]["user"]["uid"], "高橋");
        assert_eq!(event["src_endpoint"]["ip"], "10.20.0.5");
        assert_eq!(event["src_endpoint"]["intermediate_ips"][0], "10.0.0.1");
        assert_eq!(event["database"]["name"], "crm");
        assert_eq!(event["status_code"], "IP_NOT_ALLOWED");
        assert_eq!(event["unmapped"]["purpose"], "placement");
        assert_eq!(event["unmapped"]["leafHash"], "00ff");
    }

    #[test]
    fn every_field_of_an_entry_is_in_its_event() {
        let entry = full();
        let event = event(&entry).to_string();
        for (name, _) in EntryFields::of(&entry).0 {
            assert!(
                PLACED.contains(&name) || event.contains(&format!("\"{name}\":")),
                "{name}"
            );
        }
    }
}

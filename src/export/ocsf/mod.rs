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

mod objects;

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
    for (name, value) in objects::of_class(entry, activity.class) {
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

//! Compares an answer, an error or a log entry, as proto3 JSON, with what a scenario expects.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use sekisho::domain::time::Timestamp;
use sekisho::policy::scenarios::Answered;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::play::CallError;
use super::scenario::{Expect, Scenario};

/// An allowance holds no longer than this.
const VALID_AT_MOST_MICROS: i64 = 60_000_000;
/// An outcome is due within this.
const REPORT_WITHIN_MICROS: i64 = 24 * 3_600_000_000;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn short_code(code: &str) -> &str {
    code.strip_prefix("REASON_CODE_").unwrap_or(code)
}

fn differs(
    problems: &mut Vec<String>,
    what: &str,
    expected: impl PartialEq<String> + std::fmt::Debug,
    got: String,
) {
    if expected != got {
        problems.push(format!("{what}: expected {expected:?}, got {got:?}"));
    }
}

/// What of an answer differs.
pub fn answer_differs(expect: &Expect, answer: &Value) -> Vec<String> {
    let mut problems = expect.differs(&answered(answer));
    for reason in list(answer, "reasons") {
        if text(reason, "message").is_empty() || text(reason, "messageJa").is_empty() {
            problems.push(format!("{} says nothing", text(reason, "code")));
        }
    }
    let step_up = answer.get("stepUp");
    if step_up.is_some_and(|step_up| list(step_up, "amr").is_empty()) {
        problems.push("step_up names no method".into());
    }
    // A repeat keeps the first answer's times.
    if expect.error.is_none() && !expect.repeats {
        let allowed = expect.decision.as_deref() == Some("ALLOW");
        always_holds(&mut problems, allowed, answer);
    }
    problems
}

/// An answer of the API in the words in which scenarios expect one.
fn answered(answer: &Value) -> Answered {
    let withheld = |field: &str, key: fn(&Value) -> String| -> BTreeMap<String, String> {
        let code = |item: &Value| short_code(text(&item["reason"], "code")).to_owned();
        let items = list(answer, field).iter();
        items.map(|item| (key(item), code(item))).collect()
    };
    let reason = |reason: &Value| {
        let code = short_code(text(reason, "code")).to_owned();
        (code, text(reason, "about").to_owned())
    };
    let seconds = |step_up: &Value| {
        let age = text(step_up, "maxAge").strip_suffix('s')?;
        age.parse().ok()
    };
    Answered {
        allowed: text(answer, "decision") == "DECISION_ALLOW",
        reasons: list(answer, "reasons").iter().map(reason).collect(),
        obligations: list(answer, "obligations").iter().map(obligation).collect(),
        // One that can't be read is none that is expected.
        step_up_seconds: answer
            .get("stepUp")
            .map(|step_up| seconds(step_up).unwrap_or(u64::MAX)),
        withheld_categories: withheld("withheldCategories", |item| {
            text(item, "category").to_owned()
        }),
        withheld_subjects: withheld("withheldSubjects", |item| {
            let index = item.get("index").and_then(Value::as_u64);
            index.unwrap_or(0).to_string()
        }),
    }
}

/// "kind" or "kind:a,b".
fn obligation(obligation: &Value) -> String {
    let names = |field: &str, inner: &str| {
        let names: Vec<&str> = list(&obligation[field], inner)
            .iter()
            .filter_map(Value::as_str)
            .collect();
        names.join(",")
    };
    if obligation.get("mask").is_some() {
        format!("mask:{}", names("mask", "categories"))
    } else if obligation.get("excludeHeld").is_some() {
        format!("exclude_held:{}", names("excludeHeld", "holds"))
    } else if obligation.get("provisionRecord").is_some() {
        "provision_record".into()
    } else if obligation.get("reportOutcomeBy").is_some() {
        "report_outcome".into()
    } else if obligation.get("notifySubject").is_some() {
        "notify_subject".into()
    } else {
        format!("unknown: {obligation}")
    }
}

/// What holds for every answer, whatever a scenario says.
fn always_holds(problems: &mut Vec<String>, allowed: bool, answer: &Value) {
    let id = text(answer, "decisionId");
    if !uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7) {
        problems.push(format!("decision_id {id:?} is no UUIDv7"));
    }
    let revision = text(answer, "policyRevision");
    if revision.len() != 64
        || !revision
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        problems.push(format!(
            "policy_revision {revision:?} is no lower-case SHA-256"
        ));
    }
    let Ok(decided) = Timestamp::parse(text(answer, "decidedAt")) else {
        problems.push("decided_at is missing".into());
        return;
    };
    if allowed {
        let within = |field: &str, value: &Value, at_most: i64, problems: &mut Vec<String>| {
            let later =
                Timestamp::parse(text(value, field)).map(|until| until.micros() - decided.micros());
            if !later.is_ok_and(|later| (0..=at_most).contains(&later)) {
                problems.push(format!(
                    "{field} is {:?}, decided at {decided}",
                    text(value, field)
                ));
            }
        };
        within("validUntil", answer, VALID_AT_MOST_MICROS, problems);
        for obligation in list(answer, "obligations") {
            if text(obligation, "id").is_empty() {
                problems.push(format!("{obligation} has no id"));
            }
            if obligation.get("reportOutcomeBy").is_some() {
                within(
                    "reportOutcomeBy",
                    obligation,
                    REPORT_WITHIN_MICROS,
                    problems,
                );
            }
        }
    } else if !list(answer, "obligations").is_empty() {
        problems.push("a denial carries obligations".into());
    }
}

/// What of an error differs.
pub fn error_differs(expect: &Expect, error: &CallError) -> Vec<String> {
    let Some(code) = &expect.error else {
        return vec![format!("expected an answer, got {error}")];
    };
    let mut problems = Vec::new();
    differs(&mut problems, "status", code.clone(), error.code.clone());
    if let Some(fields) = &expect.fields {
        let got = error.fields();
        let named = |field: &String| {
            field
                .split('|')
                .any(|either| got.iter().any(|got| got == either))
        };
        let asked = |got: &String| {
            fields
                .iter()
                .any(|field| field.split('|').any(|either| got == either))
        };
        if !fields.iter().all(named) || !got.iter().all(asked) {
            problems.push(format!(
                "fields: expected {fields:?}, got {got:?} ({})",
                error.message
            ));
        }
    }
    problems
}

/// What of a decision's log entry differs: `GetEntryResponse` as JSON.
pub fn entry_differs(scenario: &Scenario, decision_id: &str, answer: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let expect = &scenario.expect;
    let Some(entry) = answer.get("entry") else {
        return vec![format!("no entry in {answer}")];
    };
    let mut field = |name: &str, expected: &Value| {
        let got = entry.get(camel(name)).unwrap_or(&Value::Null);
        if !same(name, expected, got) {
            problems.push(format!("entry.{name}: expected {expected}, got {got}"));
        }
    };
    field("decision_id", &decision_id.into());
    field("kind", &"ENTRY_KIND_DECISION".into());
    if let Some(decision) = &expect.decision {
        field("decision", &format!("DECISION_{decision}").into());
    }
    if let Some(reason) = &expect.reason {
        field("reasons", &vec![format!("REASON_CODE_{reason}")].into());
    }
    for (name, expected) in &expect.entry {
        field(name, expected);
    }
    let stored = BASE64
        .decode(text(answer, "stored").as_bytes())
        .unwrap_or_default();
    let leaf = Sha256::new()
        .chain_update([0])
        .chain_update(&stored)
        .finalize();
    if stored.is_empty() || text(entry, "leafHash") != BASE64.encode(&leaf) {
        problems.push("leaf_hash is not the RFC 6962 hash of the stored bytes".into());
    }
    if let Some(subject) = clear_subject(scenario, &stored) {
        problems.push(format!("the stored bytes have {subject} in the clear"));
    }
    problems
}

/// A person of the request whose id stands in the stored bytes as it is.
fn clear_subject(scenario: &Scenario, stored: &[u8]) -> Option<String> {
    let request = scenario.request().ok()?;
    let data = request.get("data")?;
    let one = data.get("subject_ref").into_iter();
    one.chain(list(data, "subject_refs"))
        .filter_map(Value::as_str)
        .find(|subject| {
            stored
                .windows(subject.len())
                .any(|window| window == subject.as_bytes())
        })
        .map(str::to_owned)
}

/// `second_step_age_seconds` as JSON names it: `secondStepAgeSeconds`.
fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut up = false;
    for char in name.chars() {
        match (char, up) {
            ('_', _) => up = true,
            (char, true) => {
                out.extend(char.to_uppercase());
                up = false;
            }
            (char, false) => out.push(char),
        }
    }
    out
}

/// proto3 JSON leaves defaults out and writes 64-bit numbers as text. The reasons of an entry may go on where those of the
/// answer end.
fn same(name: &str, expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::String(text), Value::Null) => text.is_empty() || text.ends_with("_UNSPECIFIED"),
        (Value::Bool(is), Value::Null) => !is,
        (Value::Number(number), Value::Null) => number.as_u64() == Some(0),
        (Value::Array(items), Value::Null) => items.is_empty(),
        (Value::Number(number), Value::String(text)) => number.to_string() == *text,
        (Value::Array(expected), Value::Array(got)) if name == "reasons" => {
            got.starts_with(expected)
        }
        (expected, got) => expected == got,
    }
}

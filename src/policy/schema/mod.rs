//! The JSON Schema of pack.toml, so that an editor completes keys and marks what is wrong while somebody types. It knows the form of
//! each section; what only the whole pack can tell (ids that are declared nowhere, rules that contradict) is the loader's to say.
//!
//! It can't drift from the loader: the words that a key takes come from the same lists, and a test loads packs that use every section
//! and compares the keys that the loader asked for with those that are named here.

mod sections;

use serde_json::{Map, Value, json};

use super::{accepted, pack_toml, words};
use crate::decision::rules::{
    ClockKind, Coverage, Every, LeastConsent, LoggedKind, MeasureKind, Mechanism, NoRecord,
    ReferenceField,
};
use crate::domain::access::{Action, Consent, LegalException};
use crate::domain::calendar::Period;
use crate::domain::detector::Detector;
use crate::domain::reference::ReferenceKind;

use sections::{Form, Key, SECTIONS, Section};

const ID: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";
const CATEGORY: &str = "^[a-z0-9]+(-[a-z0-9]+)*(\\.[a-z0-9]+(-[a-z0-9]+)*)?$";

/// JSON Schema, draft 7: what the editors' TOML servers read.
#[must_use]
pub fn schema() -> Value {
    let required = SECTIONS.iter().filter(|section| section.required);
    let required: Vec<&str> = required.map(|section| section.name).collect();
    let properties: Map<String, Value> = SECTIONS
        .iter()
        .map(|section| (section.name.to_owned(), of_section(section)))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pack.toml",
        "description": "A policy pack of sekisho. / sekisho のポリシーパック",
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn of_section(section: &Section) -> Value {
    let about = format!("{} / {}", section.about.en, section.about.ja);
    let mut table = of_table(section.keys);
    if section.many {
        json!({
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "description": about,
            "items": table,
        })
    } else {
        if let Some(table) = table.as_object_mut() {
            table.insert("description".into(), about.into());
        }
        table
    }
}

fn of_table(keys: &[Key]) -> Value {
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut form = of_form(key.form);
            if let Some(form) = form.as_object_mut() {
                let about = format!("{} / {}", key.about.en, key.about.ja);
                form.insert("description".into(), about.into());
            }
            (key.name.to_owned(), form)
        })
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn of_form(form: Form) -> Value {
    match form {
        Form::Id => json!({ "type": "string", "pattern": ID, "maxLength": 128 }),
        Form::Text => json!({ "type": "string", "minLength": 1 }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Number(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Form::Decimal(least, most) => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Form::Day => json!({ "type": "string", "format": "date" }),
        Form::LengthOfTime => json!({ "type": "string", "pattern": "^[1-9][0-9]*[smhd]$" }),
        Form::Period => json!({
            "type": "string",
            "pattern": "^[1-9][0-9]*(d|mo|y)$",
            "description": format!("{} d – {} y", Period::DAYS_MIN, Period::YEARS_MAX),
        }),
        Form::Offset => json!({ "type": "string", "pattern": "^[+-][0-9]{2}:[0-9]{2}$" }),
        Form::Country => one_of(words::countries()),
        Form::Countries => some_of(words::countries()),
        Form::Ids => list(&json!({ "type": "string", "pattern": ID })),
        Form::IdsOrAll => or_all(&json!({ "type": "string", "pattern": ID })),
        Form::Categories => list(&json!({ "type": "string", "pattern": CATEGORY })),
        Form::CategoriesOrAll => or_all(&json!({ "type": "string", "pattern": CATEGORY })),
        Form::Texts => list(&json!({ "type": "string", "minLength": 1 })),
        Form::Blocks => list(&json!({ "type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]+$" })),
        Form::Items => items(),
        Form::Reviews => one_of(pack_toml::callers::REVIEWS.into_iter()),
        Form::Route => one_of(routes()),
        Form::Routes => some_of(routes()),
        Form::NoRecord => one_of(NoRecord::ALL.into_iter().map(NoRecord::name)),
        Form::Actions => some_of(Action::ALL.iter().map(|action| action.name())),
        Form::Least => one_of(LeastConsent::ALL.into_iter().map(|(_, name)| name)),
        Form::Consents => some_of(Consent::ALL.iter().map(|consent| consent.name())),
        Form::Exceptions => some_of(exceptions()),
        Form::ExceptionsOrAll => or_all(&one_of(exceptions())),
        Form::ConsentDenial => one_of(
            pack_toml::basis::CONSENT_DENIALS
                .map(|code| code.name())
                .into_iter(),
        ),
        Form::WithdrawnDenial => one_of(
            pack_toml::basis::WITHDRAWN_DENIALS
                .map(|code| code.name())
                .into_iter(),
        ),
        Form::SuspensionDenial => one_of(
            pack_toml::basis::SUSPENSION_DENIALS
                .map(|code| code.name())
                .into_iter(),
        ),
        Form::Every => one_of(Every::ALL.into_iter().map(Every::name)),
        Form::Coverage => one_of(Coverage::ALL.into_iter().map(Coverage::name)),
        Form::Field => one_of(ReferenceField::ALL.into_iter().map(|(_, name)| name)),
        Form::References => some_of(ReferenceKind::ALL.iter().map(|kind| kind.name())),
        Form::Warning => one_of(accepted::ACCEPTABLE.into_iter()),
        Form::Entries => some_of(LoggedKind::ALL.into_iter().map(LoggedKind::name)),
        Form::Detector => one_of(Detector::ALL.into_iter().map(Detector::word)),
        Form::Days => list(&json!({ "type": "string", "format": "date" })),
        Form::Within => json!({ "type": "string", "pattern": "^[1-9][0-9]*[dh]$" }),
        Form::MeasureKind => one_of(MeasureKind::NAMES.into_iter()),
        Form::Mechanism => one_of(Mechanism::ALL.into_iter().map(Mechanism::name)),
        Form::ClockKind => one_of(ClockKind::ALL.into_iter().map(ClockKind::name)),
    }
}

fn routes() -> impl Iterator<Item = &'static str> {
    pack_toml::recipients::ROUTES
        .into_iter()
        .map(|route| route.name())
}

fn exceptions() -> impl Iterator<Item = &'static str> {
    LegalException::ALL.iter().map(|exception| exception.name())
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Value {
    json!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

fn some_of(words: impl Iterator<Item = &'static str>) -> Value {
    list(&one_of(words))
}

/// A list of these; an empty one reads like "none" to one and like "any" to another.
fn list(items: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": items })
}

fn or_all(items: &Value) -> Value {
    json!({ "anyOf": [{ "type": "string", "enum": ["all"] }, list(items)] })
}

/// `["a.b", { id = "a.c", masked_except_to = [...] }]`.
fn items() -> Value {
    let id = json!({ "type": "string", "pattern": CATEGORY });
    let mut table = of_table(sections::ITEM);
    if let Some(properties) = table.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("id".into(), id.clone());
    }
    json!({ "type": "array", "minItems": 1, "items": { "anyOf": [id, table] } })
}

#[cfg(test)]
mod tests;

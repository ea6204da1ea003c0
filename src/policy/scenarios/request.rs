//! A scenario's request: `CheckRequest` as the JSON that grpcurl takes, read strictly into the domain. What the API itself would
//! refuse (a field over its limit, a number that an enum lacks) is a mistake of the scenario here, since nothing is decided by it.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

use crate::domain::access::{
    AccessRequest, Action, Basis, Consent, LegalException, Proof, Provision, Relation, SubjectRef,
    Subjects, UnlistedRecipient,
};
use crate::domain::ids::{Name, NameError};

/// The message, by its names in JSON and in the proto.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default, alias = "requestId", deserialize_with = "name")]
    request_id: Option<Name>,
    #[serde(deserialize_with = "action")]
    action: Action,
    #[serde(default)]
    data: Data,
    #[serde(default, deserialize_with = "name")]
    purpose: Option<Name>,
    #[serde(default)]
    basis: BasisFields,
    #[serde(default)]
    provision: ProvisionFields,
    #[serde(default, alias = "caseRef", deserialize_with = "name")]
    case_ref: Option<Name>,
    #[serde(default, alias = "breakGlass")]
    break_glass: Option<BreakGlass>,
    #[serde(default, alias = "automatedDecision")]
    automated_decision: bool,
    #[serde(default, alias = "allowPartial")]
    allow_partial: bool,
    #[serde(default, deserialize_with = "relation")]
    relation: Option<Relation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Data {
    #[serde(deserialize_with = "name")]
    system: Option<Name>,
    #[serde(alias = "subjectKind", deserialize_with = "name")]
    subject_kind: Option<Name>,
    #[serde(alias = "subjectRef", deserialize_with = "name")]
    subject_ref: Option<Name>,
    #[serde(alias = "subjectRefs", deserialize_with = "names")]
    subject_refs: Vec<Name>,
    #[serde(deserialize_with = "names")]
    categories: Vec<Name>,
    #[serde(alias = "recordCount", deserialize_with = "count")]
    record_count: u64,
    #[serde(alias = "collectedVia", deserialize_with = "name")]
    collected_via: Option<Name>,
    #[serde(alias = "originCountry", deserialize_with = "name")]
    origin_country: Option<Name>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BasisFields {
    #[serde(deserialize_with = "consent")]
    consent: Option<Consent>,
    #[serde(deserialize_with = "exception")]
    exception: Option<LegalException>,
    #[serde(deserialize_with = "name")]
    reference: Option<Name>,
    #[serde(alias = "consentDifficult")]
    consent_difficult: bool,
    #[serde(alias = "subjectRequest")]
    subject_request: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProvisionFields {
    #[serde(deserialize_with = "name")]
    recipient: Option<Name>,
    #[serde(alias = "recipientOwnPurpose")]
    recipient_own_purpose: bool,
    #[serde(deserialize_with = "name")]
    safeguard: Option<Name>,
    #[serde(alias = "recipientName", deserialize_with = "name")]
    recipient_name: Option<Name>,
    #[serde(alias = "recipientAddress", deserialize_with = "name")]
    recipient_address: Option<Name>,
    #[serde(alias = "recipientRepresentative", deserialize_with = "name")]
    recipient_representative: Option<Name>,
    #[serde(alias = "recipientCountry", deserialize_with = "name")]
    recipient_country: Option<Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakGlass {
    #[serde(default)]
    reason: String,
}

/// A name that may be missing; white space counts as missing.
fn name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Name>, D::Error> {
    match Name::parse(&String::deserialize(from)?) {
        Ok(name) => Ok(Some(name)),
        Err(NameError::Missing) => Ok(None),
        Err(error) => Err(D::Error::custom(error)),
    }
}

fn names<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Name>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let names = texts.iter().map(|text| Name::parse(text));
    names
        .collect::<Result<_, _>>()
        .map_err(|error: NameError| D::Error::custom(error))
}

/// A 64-bit number, which JSON has as a number or as text.
fn count<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    let count = match &value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    count.ok_or_else(|| D::Error::custom(format!("{value} is no number of people")))
}

/// A value of an enum: its name with this prefix, or its number; none where it is unspecified.
fn one_of<'de, D: serde::Deserializer<'de>, T>(
    from: D,
    prefix: &str,
    from_name: impl Fn(&str) -> Option<T>,
    from_number: impl Fn(i32) -> Option<T>,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(from)?;
    let found = match &value {
        Value::String(text) => match text.strip_prefix(prefix) {
            Some("UNSPECIFIED") => return Ok(None),
            Some(name) => from_name(name),
            None => None,
        },
        Value::Number(number) if number.as_i64() == Some(0) => return Ok(None),
        other => other
            .as_i64()
            .and_then(|number| from_number(i32::try_from(number).ok()?)),
    };
    found
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{value} is none of {prefix}…")))
}

fn action<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
    let action = one_of(from, "ACTION_", Action::from_name, Action::from_number)?;
    action.ok_or_else(|| D::Error::custom("action is missing"))
}

fn consent<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Consent>, D::Error> {
    one_of(
        from,
        "CONSENT_STATE_",
        Consent::from_name,
        Consent::from_number,
    )
}

fn exception<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<LegalException>, D::Error> {
    one_of(
        from,
        "LEGAL_EXCEPTION_",
        LegalException::from_name,
        LegalException::from_number,
    )
}

fn relation<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Relation>, D::Error> {
    one_of(
        from,
        "RELATION_",
        Relation::from_name,
        Relation::from_number,
    )
}

/// Reads the message; who asks, from where and in which session is said beside it.
pub(super) fn read(json: &Value, proof: Proof) -> Result<AccessRequest, String> {
    let request = Request::deserialize(json).map_err(|error| format!("request: {error}"))?;
    let Request {
        data,
        basis,
        provision,
        ..
    } = request;
    let list: Vec<SubjectRef> = data.subject_refs.iter().map(SubjectRef::new).collect();
    let subjects = match (data.subject_ref, list.is_empty()) {
        (None, true) => Subjects::Unnamed,
        (Some(one), true) => Subjects::One(SubjectRef::new(&one)),
        (None, false) => Subjects::List(list),
        (Some(_), false) => return Err("request: both subject_ref and subject_refs".into()),
    };
    if data.categories.is_empty() {
        return Err("request: no category".into());
    }
    let people = subjects.all_people();
    Ok(AccessRequest {
        request_id: request.request_id,
        proof,
        client_ip: None,
        session_ref: None,
        action: request.action,
        system: data.system,
        subject_kind: data.subject_kind,
        subjects,
        categories: data.categories,
        record_count: data.record_count.max(people).max(1),
        collected_via: data.collected_via,
        origin_country: data.origin_country,
        purpose: request.purpose,
        basis: Basis {
            consent: basis.consent.unwrap_or(Consent::None),
            exception: basis.exception,
            reference: basis.reference,
            consent_difficult: basis.consent_difficult,
            subject_request: basis.subject_request,
        },
        provision: if request.action == Action::Provide {
            Provision {
                recipient: provision.recipient,
                unlisted: UnlistedRecipient {
                    name: provision.recipient_name,
                    address: provision.recipient_address,
                    representative: provision.recipient_representative,
                    country: provision.recipient_country,
                },
                own_purpose: provision.recipient_own_purpose,
                safeguard: provision.safeguard,
            }
        } else {
            Provision::default()
        },
        case_ref: request.case_ref,
        break_glass: request.break_glass.map(|glass| glass.reason.into()),
        automated_decision: request.automated_decision,
        allow_partial: request.allow_partial,
        relation: request.relation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_read_by_the_names_of_the_proto_and_of_json() {
        for json in [
            json!({ "action": "ACTION_PROVIDE", "data": { "subject_kind": "patient", "subject_ref": "p-1", "categories": ["contact"],
                "record_count": "7" }, "purpose": "care", "basis": { "consent": "CONSENT_STATE_PRIOR", "consent_difficult": true },
                "provision": { "recipient": "clinic", "recipient_own_purpose": true }, "break_glass": { "reason": "x" } }),
            json!({ "action": 7, "data": { "subjectKind": "patient", "subjectRef": "p-1", "categories": ["contact"],
                "recordCount": 7 }, "purpose": "care", "basis": { "consent": 3, "consentDifficult": true },
                "provision": { "recipient": "clinic", "recipientOwnPurpose": true }, "breakGlass": { "reason": "x" } }),
        ] {
            let request = read(&json, Proof::Missing).unwrap();
            assert_eq!(request.action, Action::Provide);
            assert_eq!(request.subject_kind.as_deref(), Some("patient"));
            assert_eq!(request.record_count, 7);
            assert_eq!(request.basis.consent, Consent::Prior);
            assert!(request.basis.consent_difficult && request.provision.own_purpose);
            assert_eq!(request.break_glass.as_deref(), Some("x"));
        }
    }

    #[test]
    fn a_misspelt_field_or_value_is_no_request() {
        let base = json!({ "action": "ACTION_READ", "data": { "categories": ["contact"] } });
        assert!(read(&base, Proof::Missing).is_ok());
        for (field, value, told) in [
            ("porpose", json!("care"), "unknown field `porpose`"),
            ("action", json!("ACTION_LOOK"), "ACTION_LOOK"),
            ("action", json!("ACTION_UNSPECIFIED"), "action is missing"),
            (
                "data",
                json!({ "category": ["contact"] }),
                "unknown field `category`",
            ),
            ("data", json!({ "categories": [] }), "no category"),
            (
                "data",
                json!({ "categories": ["a"], "subject_ref": "a", "subject_refs": ["b"] }),
                "both subject_ref",
            ),
            (
                "data",
                json!({ "categories": ["a"], "record_count": "many" }),
                "no number of people",
            ),
            ("purpose", json!("x".repeat(129)), "request: "),
            ("actor", json!({}), "unknown field `actor`"),
        ] {
            let mut json = base.clone();
            json[field] = value;
            let error = read(&json, Proof::Missing).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}

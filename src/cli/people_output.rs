//! People, and what an import comes to, at a terminal or as JSON with the names that grpcurl shows.

use serde_json::{Value, json};

use super::requests::told;
use super::table::{Cell, Column, Tone, drawn};
use super::words::{Language, Word};
use crate::domain::person::EmploymentKind;
use crate::proto::import_people_response::What;
use crate::proto::{ChangePersonResponse, EmploymentKind as Kind, Person};

/// A person, without what is empty.
pub(super) fn person(person: &Person) -> Value {
    let mut value = json!({
        "id": person.id,
        "displayName": person.display_name,
        "departments": person.departments,
        "employmentKind": Kind::try_from(person.employment_kind)
            .map_or("", |kind| kind.as_str_name()),
        "employer": person.employer,
        "employmentEnd": person.employment_end,
        "leave": person.leave.as_ref().map(|leave| without_empty(json!({
            "from": leave.from,
            "until": leave.until,
        }))),
        "roles": person.roles.iter().map(|role| without_empty(json!({
            "role": role.role,
            "validFrom": role.valid_from,
            "validUntil": role.valid_until,
            "approvedBy": role.approved_by,
            "request": role.request,
        }))).collect::<Vec<_>>(),
        "networkExceptions": person.network_exceptions.iter().map(|exception| json!({
            "block": exception.block,
            "until": exception.until,
            "why": exception.why,
        })).collect::<Vec<_>>(),
        "trainedUntil": person.trained_until,
        "pledge": person.pledge,
        "subjectPseudonyms": person.subject_pseudonyms,
    });
    value = without_empty(value);
    if let Value::Object(fields) = &mut value {
        fields.insert("disabled".to_owned(), person.disabled.into());
        fields.insert("active".to_owned(), person.active.into());
        // 64-bit numbers are texts.
        fields.insert("revision".to_owned(), person.revision.to_string().into());
    }
    value
}

fn without_empty(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(values) => !values.is_empty(),
            _ => true,
        });
    }
    value
}

/// What became of a change.
pub(super) fn changed(answer: &ChangePersonResponse) -> Value {
    let mut value = json!({
        "person": answer.person.as_ref().map(person),
        "logIndex": answer.log_index.to_string(),
        "unchanged": answer.unchanged,
        "sessionsEnded": answer.sessions_ended,
    });
    told!(answer).json(&mut value);
    value
}

/// One thing of an import.
pub(super) fn imported(what: &What) -> Value {
    match what {
        What::Person(person) => json!({ "person": {
            "line": person.line,
            "id": person.id,
            "created": person.created,
            "changes": person.changes.iter().map(|change| json!({
                "field": change.field,
                "before": change.before,
                "after": change.after,
            })).collect::<Vec<_>>(),
            "sessionsEnded": person.sessions_ended,
            "takesTwo": person.takes_two,
        }}),
        What::Error(error) => json!({ "error": {
            "line": error.line,
            "field": error.field,
            "description": error.description,
        }}),
        What::Summary(summary) => {
            let mut value = json!({
                "created": summary.created,
                "changed": summary.changed,
                "unchanged": summary.unchanged,
                "errors": summary.errors,
                "logIndex": summary.log_index.to_string(),
            });
            told!(summary).json(&mut value);
            json!({ "summary": value })
        }
    }
}

/// The same as lines.
pub(super) fn import_lines(what: &What, dry_run: bool, language: Language) -> Vec<String> {
    match what {
        What::Person(person) => {
            let line = person.line.to_string();
            let word = if person.created {
                Word::LineAdds
            } else {
                Word::LineChanges
            };
            let mut lines = vec![word.fill(language, &[&line, &person.id])];
            lines.extend(person.changes.iter().map(|change| {
                let (before, after) = (quoted(&change.before), quoted(&change.after));
                format!("  {}: {before} -> {after}", change.field)
            }));
            if person.sessions_ended {
                lines.push(format!("  {}", Word::SessionsEnded.text(language)));
            }
            if person.takes_two {
                lines.push(format!("  {}", Word::TakesTwo.text(language)));
            }
            lines
        }
        What::Error(error) => {
            let line = error.line.to_string();
            let about = if error.field.is_empty() {
                error.description.clone()
            } else {
                format!("{}: {}", error.field, error.description)
            };
            vec![Word::LineWrong.fill(language, &[&line, &about])]
        }
        What::Summary(summary) => {
            let counts = [
                summary.created.to_string(),
                summary.changed.to_string(),
                summary.unchanged.to_string(),
                summary.errors.to_string(),
            ];
            let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
            let two = told!(summary);
            let awaits = two.awaits(language);
            let word = if dry_run || awaits.is_some() {
                Word::WouldImport
            } else {
                Word::Imported
            };
            let mut lines = vec![word.fill(language, &counts)];
            lines.extend(awaits);
            lines.extend(two.marked(language).map(str::to_owned));
            lines
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        format!("{text:?}")
    }
}

/// What the account is worth now, in a word.
fn state(person: &Person, language: Language) -> (&'static str, Tone) {
    let (word, tone) = match (person.active, person.disabled) {
        (true, _) => (Word::StateActive, Tone::Good),
        (false, true) => (Word::StateDisabled, Tone::Bad),
        (false, false) => (Word::StateInactive, Tone::Warning),
    };
    (word.text(language), tone)
}

/// Everybody, a line each.
pub(super) fn table(people: &[Person], language: Language) -> Vec<String> {
    let column = |head, least| Column::of(head, least, language);
    let columns = [
        column(Word::HeadId, 8),
        column(Word::HeadName, 6),
        column(Word::HeadDepartments, 8),
        column(Word::HeadEmployment, 8),
        column(Word::HeadRoles, 10),
        column(Word::HeadState, 6),
    ];
    let rows: Vec<Vec<Cell>> = people
        .iter()
        .map(|person| {
            let plain = |text: &str| Cell::new(text, Tone::Plain);
            let roles: Vec<&str> = person.roles.iter().map(|role| &*role.role).collect();
            let (state, tone) = state(person, language);
            vec![
                plain(&person.id),
                plain(&person.display_name),
                plain(&person.departments.join(",")),
                plain(kind(person)),
                plain(&roles.join(",")),
                Cell::new(state, tone),
            ]
        })
        .collect();
    if rows.is_empty() {
        return vec![Word::NobodyFits.text(language).to_owned()];
    }
    drawn(&columns, &rows)
}

fn kind(person: &Person) -> &'static str {
    EmploymentKind::from_number(person.employment_kind).map_or("", EmploymentKind::name)
}

/// Everything about one person.
pub(super) fn shown(who: &Person, json: bool, language: Language) -> Vec<String> {
    if json {
        return vec![person(who).to_string()];
    }
    let together = |parts: &[&str]| {
        let text = parts.join("|");
        text.trim_end_matches('|').to_owned()
    };
    let roles = who.roles.iter().map(|role| {
        together(&[
            &role.role,
            &role.valid_from,
            &role.valid_until,
            &role.approved_by,
            &role.request,
        ])
    });
    let exceptions = who
        .network_exceptions
        .iter()
        .map(|exception| together(&[&exception.block, &exception.until, &exception.why]));
    let leave = who.leave.as_ref();
    let leave = leave.map_or_else(String::new, |leave| together(&[&leave.from, &leave.until]));
    let fields: [(Word, Vec<String>); 13] = [
        (Word::HeadId, vec![who.id.clone()]),
        (Word::HeadName, vec![who.display_name.clone()]),
        (Word::HeadState, vec![state(who, language).0.to_owned()]),
        (Word::HeadDepartments, who.departments.clone()),
        (Word::HeadEmployment, vec![kind(who).to_owned()]),
        (Word::FieldEmployer, vec![who.employer.clone()]),
        (Word::FieldEmploymentEnd, vec![who.employment_end.clone()]),
        (Word::FieldLeave, vec![leave]),
        (Word::HeadRoles, roles.collect()),
        (Word::FieldExceptions, exceptions.collect()),
        (Word::FieldTrained, vec![who.trained_until.clone()]),
        (Word::FieldPledge, vec![who.pledge.clone()]),
        (Word::FieldRevision, vec![who.revision.to_string()]),
    ];
    let own = who
        .subject_pseudonyms
        .iter()
        .map(|own| (Word::FieldOwnSubject, own.clone()));
    fields
        .into_iter()
        .flat_map(|(word, values)| values.into_iter().map(move |value| (word, value)))
        .chain(own)
        .filter(|(_, value)| !value.is_empty())
        .map(|(word, value)| format!("{}: {value}", word.text(language)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{FieldChange, ImportError, ImportSummary, ImportedPerson};

    #[test]
    fn an_import_tells_every_change_and_every_error_with_its_line() {
        let person = What::Person(ImportedPerson {
            line: 3,
            id: "adviser-1".to_owned(),
            created: false,
            changes: vec![FieldChange {
                field: "disabled".to_owned(),
                before: "no".to_owned(),
                after: "yes".to_owned(),
            }],
            sessions_ended: true,
            takes_two: true,
        });
        let lines = import_lines(&person, true, Language::English);
        assert_eq!(lines[0], "line 3: changes adviser-1");
        assert_eq!(lines[1], "  disabled: \"no\" -> \"yes\"");
        assert_eq!(lines[3], "  takes a second administrator");
        assert_eq!(lines.len(), 4);
        let error = What::Error(ImportError {
            line: 4,
            field: "pledge".to_owned(),
            description: "is odd".to_owned(),
        });
        let told = import_lines(&error, true, Language::English);
        assert_eq!(told, ["line 4: pledge: is odd"]);
        let summary = What::Summary(ImportSummary {
            created: 1,
            errors: 2,
            ..ImportSummary::default()
        });
        let told = import_lines(&summary, true, Language::Japanese);
        assert!(told[0].contains('2'), "{told:?}");
    }

    #[test]
    fn json_leaves_out_what_is_empty_and_keeps_what_counts() {
        let value = person(&Person {
            id: "a".to_owned(),
            revision: 7,
            ..Person::default()
        });
        let text = value.to_string();
        assert!(
            !text.contains("employer") && !text.contains("leave"),
            "{text}"
        );
        assert_eq!(value["revision"], "7");
        assert_eq!(value["disabled"], false);
    }
}

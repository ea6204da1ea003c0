//! People as CSV (RFC 4180): what an import reads, and what an export writes so that an import reads it again. What a
//! spreadsheet would take for a formula has an apostrophe before it, which is taken away when it comes back.

use std::sync::Arc;

use time::UtcOffset;

use super::csv::{BYTE_ORDER_MARK, Record, plain, records};
use crate::domain::access::SubjectRef;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::person::form::{self, BETWEEN_VALUES, FIELDS, Form};
use crate::export::cell;
use crate::gate::{ImportFault, ImportRow, PersonSort, PersonWish};

/// The most people of one import.
const ROWS_MAX: usize = 10_000;
/// The most errors that are told.
const FAULTS_MAX: usize = 10_000;
const ID: &str = "id";
/// Ids in clear, in place of the pseudonyms that an export has.
const SUBJECT_REFS: &str = "subject_refs";
const PSEUDONYMS: &str = "subject_pseudonyms";
/// The samples of a pack have it; people enrol themselves.
const PASSED_OVER: &str = "second_factor";

/// What a file says: rows that could be read, and what is wrong with the others.
pub(super) fn read(
    csv: &[u8],
    reference: Option<&Name>,
    offset: UtcOffset,
) -> (Vec<ImportRow>, Vec<ImportFault>) {
    let mut faults = Vec::new();
    let rows = rows(csv, reference, offset, &mut faults);
    faults.truncate(FAULTS_MAX);
    (rows, faults)
}

/// The people that a file tells of, as an import would read them into an empty directory.
///
/// # Errors
/// Everything that is wrong with the file.
pub(crate) fn people(csv: &[u8], offset: UtcOffset) -> Result<Vec<Person>, Vec<ImportFault>> {
    let (rows, faults) = read(csv, None, offset);
    if faults.is_empty() {
        Ok(rows.into_iter().map(|row| row.wish.values).collect())
    } else {
        Err(faults)
    }
}

fn fault(line: u32, field: impl Into<String>, what: impl Into<String>) -> ImportFault {
    ImportFault {
        line,
        field: field.into(),
        what: what.into(),
    }
}

fn rows(
    csv: &[u8],
    reference: Option<&Name>,
    offset: UtcOffset,
    faults: &mut Vec<ImportFault>,
) -> Vec<ImportRow> {
    let text = match std::str::from_utf8(csv) {
        Ok(text) => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
        Err(error) => {
            let (valid, _) = csv.split_at(error.valid_up_to());
            let line = valid.iter().filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1);
            faults.push(fault(line, "", "is not UTF-8: save as CSV UTF-8"));
            return Vec::new();
        }
    };
    let mut records = match records(text) {
        Ok(records) => records.into_iter(),
        Err((line, what)) => {
            faults.push(fault(line, "", what));
            return Vec::new();
        }
    };
    let Some(header) = records.next() else {
        faults.push(fault(0, "", "is empty: it needs a header"));
        return Vec::new();
    };
    if !header_is_known(&header, faults) {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for record in records {
        if rows.len() >= ROWS_MAX {
            let what = format!("is one more than the {ROWS_MAX} people that one import may have");
            faults.push(fault(record.line, "", what));
            break;
        }
        rows.extend(row(&header, &record, reference, offset, faults));
    }
    rows
}

fn header_is_known(header: &Record, faults: &mut Vec<ImportFault>) -> bool {
    let before = faults.len();
    let mut told = |what: String| faults.push(fault(header.line, "", what));
    let same = |one: &str, other: &str| {
        let plain = |name: &str| match name {
            "department" => "departments".to_owned(),
            SUBJECT_REFS => PSEUDONYMS.to_owned(),
            name => name.to_owned(),
        };
        plain(one) == plain(other)
    };
    for (position, column) in header.cells.iter().enumerate() {
        let known = matches!(
            column.as_str(),
            ID | "department" | SUBJECT_REFS | PASSED_OVER
        ) || FIELDS.contains(&column.as_str());
        if !known {
            let shown: String = column.chars().take(80).collect();
            told(format!(
                "unknown column {shown:?}: expected id and any of {}",
                FIELDS.join(", ")
            ));
        } else if header
            .cells
            .iter()
            .take(position)
            .any(|other| same(other, column))
        {
            told(format!("column {column:?} is there twice"));
        }
    }
    if !header.cells.iter().any(|column| column == ID) {
        told("the column id is missing".to_owned());
    }
    faults.len() == before
}

fn row(
    header: &Record,
    record: &Record,
    reference: Option<&Name>,
    offset: UtcOffset,
    faults: &mut Vec<ImportFault>,
) -> Option<ImportRow> {
    let (expected, found) = (header.cells.len(), record.cells.len());
    if expected != found {
        let what = format!("expected {expected} columns, found {found}");
        faults.push(fault(record.line, "", what));
        return None;
    }
    let mut form = Form::new(offset);
    let columns = || header.cells.iter().zip(&record.cells);
    let (_, id) = columns().find(|(column, _)| *column == ID)?;
    let id = form.id(ID, plain(id));
    // Without a good id the other columns are read all the same, so that all that is wrong is told at once.
    let stand_in = || Name::parse("-").ok();
    let mut values = id
        .clone()
        .or_else(stand_in)
        .map(|id| Person::new(id.clone(), id))?;
    let mut fields = Vec::new();
    let mut subject_refs = None;
    for (column, text) in columns() {
        let text = plain(text);
        match column.as_str() {
            ID | PASSED_OVER => {}
            SUBJECT_REFS => {
                subject_refs = Some(refs(&mut form, text));
                fields.push(PSEUDONYMS);
            }
            column => {
                form::read_into(&mut form, &mut values, column, text);
                let field = if column == "department" {
                    "departments"
                } else {
                    column
                };
                fields.extend(FIELDS.into_iter().find(|known| *known == field));
            }
        }
    }
    let told = form.finish();
    let good = told.is_empty();
    faults.extend(
        told.into_iter()
            .map(|wrong| fault(record.line, wrong.field, wrong.what)),
    );
    id.filter(|_| good).map(|_| ImportRow {
        line: record.line,
        wish: PersonWish {
            // Which of the two it is, is looked up where it is carried out.
            sort: PersonSort::Change { expected: None },
            values,
            fields,
            subject_refs,
            reference: reference.cloned(),
            approve: None,
        },
    })
}

fn refs(form: &mut Form, text: &str) -> Vec<SubjectRef> {
    let values = text
        .split(BETWEEN_VALUES)
        .map(str::trim)
        .filter(|_| !text.is_empty());
    values
        .enumerate()
        .filter_map(|(position, value)| match Name::parse(value) {
            Ok(name) => Some(SubjectRef::new(&name)),
            Err(error) => {
                form.wrong(format!("{SUBJECT_REFS}[{position}]"), error);
                None
            }
        })
        .collect()
}

/// The header of an export, with a byte order mark, without which spreadsheets read Japanese as something else.
pub(super) fn head() -> String {
    let mut head = String::from(BYTE_ORDER_MARK);
    let names = std::iter::once(ID).chain(FIELDS);
    head.push_str(&line(names.map(ToOwned::to_owned)));
    head
}

/// One person.
pub(super) fn row_of(person: &Arc<Person>, offset: UtcOffset) -> String {
    let between = BETWEEN_VALUES.to_string();
    let fields = form::texts(person, offset);
    let fields = fields.iter().map(|(_, values)| values.join(&between));
    line(std::iter::once(person.id.to_string()).chain(fields))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let escaped = cells.map(|text| match text.as_str() {
        // Else it would lose its own when it comes back.
        own if own.starts_with('\'') => cell(&format!("'{own}")),
        text => cell(text),
    });
    let mut line = escaped.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::person::{Pledge, RoleAssignment};
    use time::macros::offset;

    fn read_text(text: &str) -> (Vec<ImportRow>, Vec<ImportFault>) {
        read(text.as_bytes(), None, offset!(+9))
    }

    fn faults(text: &str) -> Vec<(u32, String)> {
        let (_, faults) = read_text(text);
        faults
            .into_iter()
            .map(|wrong| (wrong.line, format!("{}: {}", wrong.field, wrong.what)))
            .collect()
    }

    #[test]
    fn an_export_reads_back_as_the_same_people() {
        let name = |text: &str| Name::parse(text).unwrap();
        let mut person = Person::new(name("adviser-1"), name("人事, \"本社\""));
        for display_name in [
            "=1+1", "'quoted", "''twice", "'=x", "＝１", "-", "plain", "@a",
        ] {
            person.display_name = Some(display_name.into());
            person.pledge = Pledge::Given;
            person.roles = vec![RoleAssignment::for_good(name("legal"))];
            let text = format!(
                "{}{}",
                head(),
                row_of(&Arc::new(person.clone()), offset!(+9))
            );
            assert!(!text.contains("\"="), "{text}");
            let (rows, faults) = read_text(&text);
            assert_eq!(faults, [], "{text}");
            assert_eq!(rows[0].wish.values, person);
            assert_eq!(rows[0].wish.fields, FIELDS);
        }
    }

    #[test]
    fn only_the_columns_that_are_there_are_set_and_lines_are_those_of_the_file() {
        let (rows, faults) =
            read_text("id,department,second_factor\r\n\r\na-1,\"x\r\nz\",no\nb-1,y,yes\n");
        assert_eq!(faults.len(), 1, "a department with a line end: {faults:?}");
        assert_eq!(faults[0].line, 3);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].line, &*rows[0].wish.values.id), (5, "b-1"));
        assert_eq!(rows[0].wish.fields, ["departments"]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let told = faults(
            "id,departments,employment_kind,pledge\nAdviser-9,x,employee,no\nb,x,temp,maybe\nc,x\nd,,employee,2026-02-30\n",
        );
        let lines: Vec<u32> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 3, 4, 5], "{told:?}");
        assert!(told[0].1.contains("write \"adviser-9\""), "{told:?}");
        for (text, line, what) in [
            ("", 0, "is empty"),
            ("id,wages\n", 1, "unknown column \"wages\""),
            ("departments\n", 1, "the column id is missing"),
            ("id,id\n", 1, "twice"),
            ("id,department,departments\n", 1, "twice"),
            ("id,subject_refs,subject_pseudonyms\n", 1, "twice"),
            ("id\n\"a", 2, "never closed"),
            ("id\n\"a\"b\n", 2, "after a closing quote"),
            ("id\na\"b\n", 2, "within a cell"),
        ] {
            let told = faults(text);
            assert_eq!(told[0].0, line, "{text:?} {told:?}");
            assert!(told[0].1.contains(what), "{text:?} {told:?}");
        }
        let (rows, told) = read(b"id\na\n\xff\n", None, offset!(+9));
        assert!(rows.is_empty() && told[0].line == 3, "{told:?}");
    }

    #[test]
    fn more_people_than_one_import_may_have_are_refused() {
        let mut text = String::from("id\n");
        for number in 0..=ROWS_MAX {
            text.push_str(&format!("p{number}\n"));
        }
        let (rows, told) = read_text(&text);
        assert_eq!(rows.len(), ROWS_MAX);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].line, 10_002);
    }
}

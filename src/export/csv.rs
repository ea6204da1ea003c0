//! CSV (RFC 4180) for spreadsheets. It starts with a byte order mark, without which they read Japanese as something else; every
//! cell is quoted, so that no separator of any locale splits one; and no cell can be taken for a formula (OWASP, "CSV
//! Injection"): one that begins like one gets an apostrophe before it.

use serde_json::Value;

use super::fields::EntryFields;
use crate::proto::Entry;

const BYTE_ORDER_MARK: char = '\u{feff}';
/// Sealed, so no column stands empty for ever.
const LEFT_OUT: &str = "breakGlassReason";
/// Between the values of a list.
const SEPARATOR: &str = ";";

/// The names of the columns: those of the API's JSON, in its order.
pub(super) fn head() -> String {
    let names = EntryFields::all(&Entry::default());
    let names = names.iter().map(|(name, _)| *name);
    let mut head = String::from(BYTE_ORDER_MARK);
    head.push_str(&line(names.filter(|name| *name != LEFT_OUT).map(cell)));
    head
}

/// One entry.
pub(super) fn row(entry: &Entry) -> String {
    let fields = EntryFields::all(entry);
    let fields = fields.iter().filter(|(name, _)| *name != LEFT_OUT);
    line(fields.map(|(_, value)| match value {
        None => String::new(),
        Some(value) => cell(&flat(value)),
    }))
}

pub(super) fn line(cells: impl Iterator<Item = String>) -> String {
    let mut line = cells.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

pub(super) fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(flat).collect::<Vec<_>>().join(SEPARATOR),
        Value::Object(facts) => facts
            .iter()
            .map(|(key, value)| format!("{key}={}", flat(value)))
            .collect::<Vec<_>>()
            .join(SEPARATOR),
        other => other.to_string(),
    }
}

/// A cell, quoted, and harmless in a spreadsheet.
pub(crate) fn cell(text: &str) -> String {
    let apostrophe = if starts_a_formula(text) { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

/// Whether a spreadsheet might take a cell for a formula; some take the full-width forms too, and some pass over white space.
pub(crate) fn starts_a_formula(text: &str) -> bool {
    let formula = |character| {
        matches!(
            character,
            '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'
        )
    };
    text.starts_with(['\t', '\r', '\n'])
        || text
            .trim_start_matches(|character: char| {
                character.is_whitespace() || super::is_unsafe(character)
            })
            .starts_with(formula)
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::full;
    use super::*;
    use proptest::prelude::*;

    /// As RFC 4180 reads it.
    fn read(line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut rest = line.strip_suffix("\r\n").unwrap().chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '"' if quoted && rest.peek() == Some(&'"') => {
                    rest.next();
                    cells.last_mut().unwrap().push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                other => cells.last_mut().unwrap().push(other),
            }
        }
        assert!(!quoted, "{line}");
        cells
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_and_says_what_the_entry_says() {
        let head = head();
        let names = read(head.strip_prefix(BYTE_ORDER_MARK).unwrap());
        let cells = read(&row(&full()));
        assert_eq!(names.len(), cells.len());
        let of = |name: &str| {
            let at = names.iter().position(|other| other == name).unwrap();
            cells[at].as_str()
        };
        assert_eq!(of("logIndex"), "7");
        assert_eq!(of("person"), "高橋");
        assert_eq!(of("roles"), "advisor;advisor-2");
        assert_eq!(of("details"), "a=b;sum_of=2");
        assert_eq!(of("breakGlass"), "true");
    }

    #[test]
    fn what_begins_like_a_formula_is_neutralised() {
        for bad in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\rx",
            "\nx",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            " =1",
            "\u{3000}=1",
            "\u{200b}=1",
        ] {
            let entry = Entry {
                case_ref: bad.to_owned(),
                ..Entry::default()
            };
            assert!(row(&entry).contains(&format!("\"'{bad}\"")), "{bad:?}");
        }
    }

    #[test]
    fn quotes_separators_and_newlines_stay_in_their_cell() {
        let bad = "a\",=1;=2\r\n=3\"";
        let entry = Entry {
            purpose: bad.to_owned(),
            ..Entry::default()
        };
        let cells = read(&row(&entry));
        assert_eq!(cells.iter().filter(|cell| *cell == bad).count(), 1);
    }

    proptest! {
        #[test]
        fn no_cell_begins_like_a_formula_whatever_an_entry_says(text in any::<String>()) {
            let entry = Entry { person: text.clone(), roles: vec![text.clone()], details: [("a".to_owned(), text.clone())].into(), ..Entry::default() };
            let cells = read(&row(&entry));
            let columns = EntryFields::all(&entry).len() - 1;
            prop_assert_eq!(cells.len(), columns);
            for cell in cells {
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']), "{:?}", cell);
            }
        }
    }
}

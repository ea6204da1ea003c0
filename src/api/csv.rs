//! CSV (RFC 4180) as spreadsheets write it.

use crate::export::starts_a_formula;

pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A row, and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u32,
    pub(super) cells: Vec<String>,
}

/// A cell without the apostrophe that kept a spreadsheet from taking it for a formula.
pub(super) fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with('\'') || starts_a_formula(rest) => rest,
        _ => cell,
    }
}

/// The rows of a text as RFC 4180 has them; lines may end with LF too. Empty lines are passed over. `Err` is the line, and what is
/// wrong there.
pub(super) fn records(text: &str) -> Result<Vec<Record>, (u32, &'static str)> {
    let mut records = Vec::new();
    let mut line = 1_u32;
    let mut rest = text;
    while !rest.is_empty() {
        let begins = line;
        let mut cells = Vec::new();
        loop {
            let (cell, after, lines) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted_cell(quoted).ok_or((begins, "has a quote that is never closed"))?
            } else {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                let (cell, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let cell = match after.starts_with(',') {
                    true => cell,
                    false => cell.strip_suffix('\r').unwrap_or(cell),
                };
                if cell.contains('"') {
                    return Err((line, "has a quote within a cell that is not quoted"));
                }
                (cell.trim_matches([' ', '\t']).to_owned(), after, 0)
            };
            line = line.saturating_add(lines);
            cells.push(cell);
            let after = after.strip_prefix('\r').unwrap_or(after);
            if let Some(next) = after.strip_prefix(',') {
                rest = next;
                if rest.is_empty() {
                    cells.push(String::new());
                    break;
                }
            } else if let Some(next) = after.strip_prefix('\n') {
                rest = next;
                line = line.saturating_add(1);
                break;
            } else if after.is_empty() {
                rest = after;
                break;
            } else {
                return Err((line, "has something after a closing quote"));
            }
        }
        let empty = cells.iter().all(String::is_empty) && cells.len() == 1;
        if !empty {
            records.push(Record {
                line: begins,
                cells,
            });
        }
    }
    Ok(records)
}

/// The cell after its opening quote, what comes after its closing one, and how many lines it goes over.
fn quoted_cell(text: &str) -> Option<(String, &str, u32)> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        cell.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None => {
                let lines = cell.matches('\n').count();
                return Some((cell, after, u32::try_from(lines).unwrap_or(u32::MAX)));
            }
        }
    }
}

//! Entries of the access log on standard output: JSON lines, a table, or one entry in full.

use std::collections::BTreeMap;
use std::io::{BufWriter, Stdout, Write};

use serde_json::Value;

use super::error::CliError;
use super::table::{Cell, Column, Screen, Table, Tone, neutralise, width};
use super::ticket_file::to_the_second;
use super::words::{self, Language, Word};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::export::EntryFields;
use crate::proto::{Action, Decision, Entry, EntryKind};

/// Standard output: JSON lines as they come, or a table that its first page lays out.
pub(super) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    /// Every field of each entry that is set, one per line, in place of a table.
    full: bool,
    language: Language,
    screen: Screen,
    table: Option<Table>,
    /// Of the page that lays the table out; never more than a page.
    waiting: Vec<Vec<Cell>>,
    /// How many entries were taken.
    pub(super) printed: u64,
}

impl Output {
    /// Starts output to standard output; `json` or a table.
    pub(super) fn new(json: bool, language: Language) -> Self {
        Self {
            out: BufWriter::new(std::io::stdout()),
            json,
            full: false,
            language,
            screen: Screen::of_output(|name| std::env::var_os(name)),
            table: None,
            waiting: Vec::new(),
            printed: 0,
        }
    }

    /// As [`Self::new`], with every field of each entry in place of a table.
    pub(super) fn in_full(json: bool, language: Language) -> Self {
        Self {
            full: true,
            ..Self::new(json, language)
        }
    }

    /// Whether a program reads it.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    fn print(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.out, "{line}").map_err(|error| CliError::of_output(&error, self.language))
    }

    /// Takes one entry; in a table it may wait for its page.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), CliError> {
        self.printed = self.printed.saturating_add(1);
        if self.json {
            let line = EntryFields::of(entry)
                .json_line()
                .map_err(|error| CliError::of_output(&error.into(), self.language))?;
            return self.print(&line);
        }
        if self.full {
            if self.printed > 1 {
                self.print("")?;
            }
            for line in shown(entry, self.language) {
                self.print(&line)?;
            }
            return Ok(());
        }
        let row = row(entry);
        match &self.table {
            Some(table) => {
                let line = table.line(&row);
                self.print(&line)
            }
            None => {
                self.waiting.push(row);
                Ok(())
            }
        }
    }

    /// Lays the table out by what is there, and prints its heads.
    ///
    /// # Errors
    /// When they can't be written.
    pub(super) fn begin(&mut self) -> Result<(), CliError> {
        if !self.json && self.table.is_none() {
            let rows = std::mem::take(&mut self.waiting);
            let table = Table::new(&columns(self.language), &rows, self.screen);
            self.print(&table.heads())?;
            for row in &rows {
                self.print(&table.line(row))?;
            }
            self.table = Some(table);
        }
        self.send()
    }

    /// The end of a page: all that was taken is written.
    ///
    /// # Errors
    /// When it can't be.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        if self.waiting.is_empty() {
            return self.send();
        }
        self.begin()
    }

    fn send(&mut self) -> Result<(), CliError> {
        let sent = self.out.flush();
        sent.map_err(|error| CliError::of_output(&error, self.language))
    }
}

fn columns(language: Language) -> [Column; 10] {
    [
        (Word::HeadIndex, 3, 8, true),
        // Never cut: half a time is another time.
        (Word::HeadTime, 20, 20, false),
        (Word::HeadKind, 4, 14, false),
        (Word::HeadWho, 4, 16, false),
        (Word::HeadAction, 4, 7, false),
        (Word::HeadSubjectKind, 4, 14, false),
        (Word::HeadCategories, 4, 24, false),
        (Word::HeadPurpose, 4, 16, false),
        (Word::HeadDecision, 4, 8, false),
        (Word::HeadReason, 6, 28, false),
    ]
    .map(|(head, least, usual, right)| Column {
        head: head.text(language),
        least,
        usual,
        right,
    })
}

fn row(entry: &Entry) -> Vec<Cell> {
    let plain = |text: &str| Cell::new(text, Tone::Plain);
    let time = entry.time.as_ref().map_or_else(String::new, |at| {
        to_the_second(Timestamp::from_seconds(at.seconds))
    });
    let who = if entry.person.is_empty() {
        &entry.caller
    } else {
        &entry.person
    };
    let decision_tone = match Decision::try_from(entry.decision) {
        _ if entry.break_glass => Tone::Warning,
        Ok(Decision::Allow) => Tone::Good,
        Ok(Decision::Deny) => Tone::Bad,
        _ => Tone::Plain,
    };
    let kind = EntryKind::try_from(entry.kind).map(|kind| kind.as_str_name());
    let action = Action::try_from(entry.action).map(|action| action.as_str_name());
    let decision = Decision::try_from(entry.decision).map(|decision| decision.as_str_name());
    vec![
        plain(&entry.log_index.to_string()),
        plain(&time),
        plain(&short(entry.kind, kind.ok(), "ENTRY_KIND_")),
        plain(who),
        plain(&short(entry.action, action.ok(), "ACTION_")),
        plain(&entry.subject_kind),
        plain(&entry.categories.join(",")),
        plain(&entry.purpose),
        Cell::new(
            &short(entry.decision, decision.ok(), "DECISION_"),
            decision_tone,
        ),
        plain(&why(entry)),
    ]
}

/// A value's name without what all its kin begin with; nothing for 0; its number where the daemon is newer than this client.
fn short(number: i32, name: Option<&str>, prefix: &str) -> String {
    match (number, name) {
        (0, _) => String::new(),
        (_, Some(name)) => name.strip_prefix(prefix).unwrap_or(name).to_owned(),
        (number, None) => number.to_string(),
    }
}

/// The reason to act on, and how many more there are; what happened, where nothing was decided.
fn why(entry: &Entry) -> String {
    let Some((first, more)) = entry.reasons.split_first() else {
        let sorted: BTreeMap<&String, &String> = entry.details.iter().collect();
        let facts: Vec<String> = sorted
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        return facts.join(" ");
    };
    let first = reason_name(*first);
    match more.len() {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

fn reason_name(number: i32) -> String {
    ReasonCode::from_number(number)
        .map_or_else(|| number.to_string(), |code| code.name().to_owned())
}

/// Every field that is set, one per line.
fn shown(entry: &Entry, language: Language) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let EntryFields(fields) = EntryFields::of(entry);
    for (name, value) in fields {
        match (name, value) {
            ("reasons", _) => {
                let label = words::label(name, language);
                for number in &entry.reasons {
                    let message =
                        ReasonCode::from_number(*number).map_or("", |code| match language {
                            Language::English => code.message(),
                            Language::Japanese => code.message_ja(),
                        });
                    let code = reason_name(*number);
                    lines.push((
                        label.to_owned(),
                        format!("{code} {message}").trim_end().to_owned(),
                    ));
                }
            }
            (_, Value::Object(details)) => {
                for (key, value) in details {
                    let key = format!("details.{key}");
                    lines.push((words::label(&key, language).to_owned(), flat(&value)));
                }
            }
            (_, value) => lines.push((words::label(name, language).to_owned(), flat(&value))),
        }
    }
    let lines: Vec<(String, String)> = lines
        .into_iter()
        .map(|(label, value)| (neutralise(&label), neutralise(&value)))
        .collect();
    let widest = lines
        .iter()
        .map(|(label, _)| width(label))
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(label, value)| {
            let space = " ".repeat(widest.saturating_sub(width(&label)).saturating_add(2));
            format!("{label}{space}{value}")
        })
        .collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(flat).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fields::tests::full;
    use crate::export::is_unsafe;

    #[test]
    fn a_row_tells_who_did_what_and_why_it_was_decided_so() {
        let table = Table::new(
            &columns(Language::English),
            &[],
            Screen {
                width: None,
                colours: false,
            },
        );
        let line = table.line(&row(&full()));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "7",
                "2026-05-28T20:26:40Z",
                "DECISION",
                "高橋",
                "PROVIDE",
                "job-seeker",
                "contact.email,contact.email-2",
                "placement",
                "DENY",
                "IP_NOT_ALLOWED",
                "+1"
            ]
        );
    }

    #[test]
    fn where_nothing_was_decided_the_table_tells_what_happened() {
        let facts = [("step", "code"), ("outcome", "refused"), ("note", "")];
        let entry = Entry {
            details: facts
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Entry::default()
        };
        assert_eq!(why(&entry), "outcome=refused step=code");
    }

    #[test]
    fn where_no_person_acted_the_service_is_named() {
        let entry = Entry {
            person: String::new(),
            caller: "batch".to_owned(),
            ..Entry::default()
        };
        assert_eq!(row(&entry)[3], Cell::new("batch", Tone::Plain));
    }

    #[test]
    fn everything_shown_is_labelled_in_the_persons_language_and_harmless() {
        let lines = shown(&full(), Language::Japanese);
        assert!(!lines.iter().any(|line| line.chars().any(is_unsafe)));
        let reason = lines
            .iter()
            .find(|line| line.contains("IP_NOT_ALLOWED"))
            .unwrap();
        assert!(reason.starts_with("理由 "), "{reason}");
        assert!(
            reason.ends_with(ReasonCode::IpNotAllowed.message_ja()),
            "{reason}"
        );
        // As many fields as JSON has; of two details and two reasons each has a line.
        assert_eq!(lines.len(), EntryFields::of(&full()).0.len() + 2);
        assert!(lines.iter().any(|line| line.starts_with("details.a ")));
        assert!(lines.iter().any(|line| line.starts_with("まとめた件数 ")));
    }

    #[test]
    fn a_line_of_the_table_fits_a_common_terminal() {
        for screen_width in [80, 100, 132, 200] {
            let screen = Screen {
                width: Some(screen_width),
                colours: false,
            };
            let rows = vec![row(&full())];
            for language in [Language::English, Language::Japanese] {
                let table = Table::new(&columns(language), &rows, screen);
                assert!(width(&table.line(&rows[0])) <= screen_width);
                assert!(width(&table.heads()) <= screen_width);
            }
        }
    }
}

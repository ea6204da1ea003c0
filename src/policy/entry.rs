//! Reads pack.toml table by table, with the line of every value. A key is known because it was asked for: what nobody asked for
//! is refused at the end, so that a mistyped key can't be a rule that isn't there.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use time::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{FileFaults, shown};
use super::words;
use crate::decision::rules::{Promise, Promises};

/// A value and the line it is on.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: u32,
}

/// A list of ids, or all there are.
#[derive(Debug)]
pub(super) enum Choice<'a> {
    All,
    These(Vec<At<&'a str>>),
}

/// The longest promise, in each language: a sentence, not the policy.
const PROMISE_MAX_BYTES: usize = 1_024;

/// The rules that were read so far, by line, each with its promise if it has one.
type Promised = RefCell<Vec<(u32, Option<Promise>)>>;

/// pack.toml, parsed.
#[derive(Debug)]
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    lines: Lines,
    promised: Promised,
}

impl<'t> Document<'t> {
    /// Parses; `None` when the text is not TOML, and every place where it is not is told.
    pub(super) fn parse(text: &'t str, faults: FileFaults<'_>) -> Option<Self> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(0, |span| lines.line_of(span.start));
            faults.tell(line, || format!("is not TOML: {}", error.message()));
        }
        errors.is_empty().then(|| Self {
            root: root.into_inner(),
            lines,
            promised: RefCell::default(),
        })
    }

    /// The promises of all rules that were read: a rule is known by its line, so one with a promise shares its line with no other.
    pub(super) fn promises(&self, faults: FileFaults<'_>) -> Promises {
        let mut promised = self.promised.borrow().clone();
        promised.sort_by_key(|(line, _)| *line);
        for rules in promised.chunk_by(|(one, _), (other, _)| one == other) {
            if let [(line, first), others @ ..] = rules
                && !others.is_empty()
                && (first.is_some() || others.iter().any(|(_, promise)| promise.is_some()))
            {
                faults.tell(*line, || {
                    "promise: two rules are on this line: a rule with a promise takes a line of its own"
                        .into()
                });
            }
        }
        let told = promised.into_iter();
        told.filter_map(|(line, promise)| Some((line, promise?)))
            .collect()
    }

    /// The whole file as one table, whose keys are the sections.
    pub(super) fn root<'a>(&'a self, faults: FileFaults<'a>) -> Entry<'a> {
        Entry {
            what: String::new(),
            line: 1,
            table: &self.root,
            lines: &self.lines,
            promised: &self.promised,
            faults,
            asked: RefCell::default(),
        }
    }
}

/// Where lines begin.
#[derive(Debug)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            text.bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    fn line_of(&self, offset: usize) -> u32 {
        let before = self.0.partition_point(|newline| *newline < offset);
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// One table of pack.toml.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// What it is about, for messages: `service "billing"`.
    pub(super) what: String,
    /// The line of its header.
    pub(super) line: u32,
    table: &'a DeTable<'a>,
    lines: &'a Lines,
    promised: &'a Promised,
    faults: FileFaults<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Entry<'a> {
    /// Tells a fault of this table.
    pub(super) fn fault(&self, line: u32, message: impl FnOnce() -> String) {
        self.faults.tell(line, || {
            if self.what.is_empty() {
                message()
            } else {
                format!("{}: {}", self.what, message())
            }
        });
    }

    /// Tells that a word is unknown.
    pub(super) fn unknown<'k>(
        &self,
        sort: &str,
        word: At<&str>,
        known: impl Iterator<Item = &'k str>,
    ) {
        self.faults
            .unknown(word.line, &self.what, sort, word.value, known);
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> u32 {
        self.lines.line_of(value.span().start)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        self.fault(self.line_of(value), || {
            let found = match value.get_ref() {
                DeValue::String(text) => shown(text),
                other => format!("a value of type {}", other.type_str()),
            };
            format!("{key}: expected {expected}, found {found}")
        });
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Tells which of these keys are missing.
    pub(super) fn require(&self, keys: &[&'static str]) {
        for key in keys {
            if !self.has(key) {
                self.fault(self.line, || format!("{key} is missing"));
            }
        }
    }

    /// Tells that a key has no business here.
    pub(super) fn refuse(&self, key: &'static str, why: &str) {
        if let Some(value) = self.value(key) {
            self.fault(self.line_of(value), || format!("{key}: {why}"));
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, value, "text in quotes");
        }
        Some(At {
            value: text?,
            line: self.line_of(value),
        })
    }

    /// true or false; false where it is not said.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.value(key) else {
            return false;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false");
            false
        })
    }

    /// A list of words, each there once; empty where it is not said.
    pub(super) fn words(&self, key: &'static str) -> Vec<At<&'a str>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        self.words_of(key, value, "a list like [\"a\", \"b\"]")
    }

    /// A list of words, or "all".
    pub(super) fn choice(&self, key: &'static str) -> Option<Choice<'a>> {
        let value = self.value(key)?;
        if value.get_ref().as_str() == Some("all") {
            return Some(Choice::All);
        }
        let expected = "a list like [\"a\", \"b\"], or \"all\"";
        Some(Choice::These(self.words_of(key, value, expected)))
    }

    fn words_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &str,
    ) -> Vec<At<&'a str>> {
        let mut words: Vec<At<&'a str>> = Vec::new();
        let mut seen = HashSet::new();
        for element in self.elements_of(key, value, expected) {
            let line = self.line_of(element);
            match element.get_ref().as_str() {
                Some(word) if seen.insert(word) => words.push(At { value: word, line }),
                Some(word) => self.fault(line, || format!("{key}: {} is there twice", shown(word))),
                None => self.wrong(key, element, "text in quotes"),
            }
        }
        words
    }

    fn elements_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &str,
    ) -> &'a [Spanned<DeValue<'a>>] {
        match value.get_ref().as_array() {
            None => {
                self.wrong(key, value, expected);
                &[]
            }
            Some(array) => {
                if array.is_empty() {
                    // An empty list reads like "none" to one and like "any" to another.
                    self.fault(self.line_of(value), || format!("{key}: the list is empty"));
                }
                array
            }
        }
    }

    /// A length of time, e.g. "15m".
    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.value(key)?;
        let duration = value.get_ref().as_str().and_then(words::duration);
        if duration.is_none() {
            let expected = "a length of time like \"15m\" (s, m, h or d, at most 366d)";
            self.wrong(key, value, expected);
        }
        duration
    }

    /// A whole number.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(self.line_of(value), || {
                let (first, last) = (range.start(), range.end());
                format!("{key}: expected a whole number from {first} to {last}")
            });
        }
        number
    }

    /// A day, e.g. 2099-12-31, without quotes.
    pub(super) fn date(&self, key: &'static str) -> Option<Date> {
        let value = self.value(key)?;
        let date = value
            .get_ref()
            .as_datetime()
            .filter(|at| at.time.is_none() && at.offset.is_none())
            .and_then(|at| at.date)
            .and_then(|date| words::calendar_date(date.year, date.month, date.day));
        if date.is_none() {
            self.wrong(key, value, "a day like 2099-12-31, without quotes");
        }
        date
    }

    /// The table `[key]`.
    pub(super) fn section(&self, key: &'static str) -> Option<Entry<'a>> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(key, value, &format!("one section [{key}]"));
        }
        Some(self.inner(key.to_owned(), value, table?))
    }

    /// The tables `[[key]]`, in order; each is named by its id, where it has one.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Entry<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let expected = format!("sections [[{key}]]");
        self.elements_of(key, value, &expected)
            .iter()
            .filter_map(|element| self.named(key, element, &expected))
            .collect()
    }

    fn named(
        &self,
        key: &str,
        element: &'a Spanned<DeValue<'a>>,
        expected: &str,
    ) -> Option<Entry<'a>> {
        let Some(table) = element.get_ref().as_table() else {
            self.wrong(key, element, expected);
            return None;
        };
        let what = match table.get("id").and_then(|id| id.get_ref().as_str()) {
            Some(id) => format!("{key} {}", shown(id)),
            None => key.to_owned(),
        };
        Some(self.inner(what, element, table))
    }

    /// The elements of a list whose elements are ids or tables with an id: `["a", { id = "b", key = true }]`. The table is
    /// given only for the second form.
    pub(super) fn ids_or_tables(&self, key: &'static str) -> Vec<(At<&'a str>, Option<Entry<'a>>)> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let expected = "a list like [\"a\", { id = \"b\" }]";
        let mut found = Vec::new();
        for element in self.elements_of(key, value, expected) {
            let line = self.line_of(element);
            if let Some(id) = element.get_ref().as_str() {
                found.push((At { value: id, line }, None));
            } else if let Some(entry) = self.named("item", element, expected) {
                entry.require(&["id"]);
                if let Some(id) = entry.text("id") {
                    found.push((id, Some(entry)));
                }
            }
        }
        found
    }

    fn inner(
        &self,
        what: String,
        value: &Spanned<DeValue<'_>>,
        table: &'a DeTable<'a>,
    ) -> Entry<'a> {
        Entry {
            what,
            line: self.line_of(value),
            table,
            lines: self.lines,
            promised: self.promised,
            faults: self.faults,
            asked: RefCell::default(),
        }
    }

    /// The sentence of the privacy policy that this rule keeps, where it gives one.
    fn promise(&self) -> Option<Promise> {
        let text = self.sentence("promise");
        let ja = self.sentence("promise_ja");
        if let (None, Some(ja)) = (&text, &ja) {
            self.fault(ja.line, || {
                "promise_ja: is the Japanese of a promise, and there is none".into()
            });
        }
        Some(Promise::new(text?.value, ja.map(|ja| ja.value)))
    }

    fn sentence(&self, key: &'static str) -> Option<At<&'a str>> {
        let text = self.text(key)?;
        let value = text.value;
        if value.trim().is_empty()
            || value.len() > PROMISE_MAX_BYTES
            || value.chars().any(char::is_control)
        {
            self.fault(text.line, || {
                format!("{key}: expected one line of 1 to {PROMISE_MAX_BYTES} bytes")
            });
        }
        Some(text)
    }

    /// Takes up the rule's promise, and tells every key that nobody asked for. Call it once all keys have been asked for.
    pub(super) fn finish(&self) {
        if !self.what.is_empty() {
            let promise = self.promise();
            self.promised.borrow_mut().push((self.line, promise));
        }
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            if asked.iter().any(|known| *known == &**key.get_ref()) {
                continue;
            }
            let sort = if self.what.is_empty() {
                "section"
            } else {
                "key"
            };
            let word = At {
                value: &**key.get_ref(),
                line: self.lines.line_of(key.span().start),
            };
            self.unknown(sort, word, asked.iter().copied());
        }
    }
}

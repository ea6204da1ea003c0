//! Reads pack.toml table by table, with the line of every value. A key is known because it was asked for: what nobody asked for
//! is refused at the end, so that a mistyped key can't be a rule that isn't there.

use std::cell::RefCell;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use time::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::{FileFaults, Lines, Place, shown};
use super::kinds::{Both, Kind, Said, Severity, Sort, Words, words as both};
use super::words;
use crate::decision::rules::{Promise, Promises};

/// A value, the line it is on, and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: u32,
    pub(super) place: Place,
}

impl<T> From<At<T>> for Place {
    fn from(at: At<T>) -> Self {
        at.place
    }
}

/// A list of ids, or all there are.
#[derive(Debug)]
pub(super) enum Choice<'a> {
    All,
    These(Vec<At<&'a str>>),
}

const TEXT: Words = both("text in quotes", "引用符で囲んだ文字列");
const FLAG: Words = both("true or false", "true か false");
const LIST: Words = both(
    "a list like [\"a\", \"b\"]",
    "[\"a\", \"b\"] のようなリスト",
);
const LIST_OR_ALL: Words = both(
    "a list like [\"a\", \"b\"], or \"all\"",
    "[\"a\", \"b\"] のようなリストか \"all\" ",
);
const LIST_OF_ITEMS: Words = both(
    "a list like [\"a\", { id = \"b\" }]",
    "[\"a\", { id = \"b\" }] のようなリスト",
);
const LENGTH_OF_TIME: Words = both(
    "a length of time like \"15m\" (s, m, h or d, at most 366d)",
    "\"15m\" のような期間(s、m、h、d。366d まで)",
);
const DAY: Words = both(
    "a day like 2099-12-31, without quotes",
    "2099-12-31 のような引用符のない日付",
);
const LIST_OF_DAYS: Words = both(
    "a list of days like [2099-12-30, 2099-12-31], without quotes",
    "[2099-12-30, 2099-12-31] のような引用符のない日付のリスト",
);

/// The longest promise, in each language: a sentence, not the policy.
const PROMISE_MAX_BYTES: usize = 1_024;

/// The rules that were read so far, by line, each with its promise if it has one.
type Promised = RefCell<Vec<(u32, Option<Promise>)>>;

/// The sections of pack.toml in which an error was told, by their names: what they say isn't known. That of the root is "".
#[derive(Debug, Clone, Default)]
pub(super) struct Broken(HashSet<String>);

impl Broken {
    /// Whether none of these has errors, nor the file as a whole.
    pub(super) fn none_of(&self, sections: &[&str]) -> bool {
        let broken = |section: &&str| self.0.contains(*section);
        !self.0.contains("") && !sections.iter().any(broken)
    }
}

/// Where ids are declared, by the name of the section.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(HashMap<(&'static str, Box<str>), Place>);

impl Places {
    /// Where it is; the line where that isn't known.
    pub(super) fn of(&self, section: &'static str, id: &str, line: u32) -> Place {
        let place = self.0.get(&(section, id.into())).copied();
        place.unwrap_or(Place::from(line))
    }
}

/// pack.toml, parsed.
#[derive(Debug)]
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    shared: Shared<'t>,
}

/// What all tables of a document share.
#[derive(Debug)]
struct Shared<'t> {
    lines: Lines<'t>,
    promised: Promised,
    /// The sections in which an error was told, by their names.
    broken: RefCell<Broken>,
    /// Where the id of each section or item is.
    places: RefCell<Places>,
    /// Every number that was asked for, with its section and range: what the schema must say of it.
    #[cfg(test)]
    ranges: RefCell<std::collections::BTreeSet<(String, &'static str, u64, u64)>>,
    /// Every key that was asked for, with its section: what the schema must name.
    #[cfg(test)]
    asked: RefCell<std::collections::BTreeSet<(String, &'static str)>>,
}

impl<'t> Document<'t> {
    /// Parses what [`recover::readable`](super::recover::readable) gave.
    pub(super) fn parse(text: &'t str) -> Self {
        let (root, _) = DeTable::parse_recoverable(text);
        Self {
            root: root.into_inner(),
            shared: Shared {
                lines: Lines::of(text),
                promised: RefCell::default(),
                broken: RefCell::default(),
                places: RefCell::default(),
                #[cfg(test)]
                ranges: RefCell::default(),
                #[cfg(test)]
                asked: RefCell::default(),
            },
        }
    }

    /// The sections in which an error was told so far.
    pub(super) fn broken(&self) -> Broken {
        self.shared.broken.borrow().clone()
    }

    /// Where ids are declared.
    pub(super) fn places(&self) -> Places {
        self.shared.places.borrow().clone()
    }

    /// Every number that was asked for, with its section and range.
    #[cfg(test)]
    pub(super) fn ranges(&self) -> std::collections::BTreeSet<(String, &'static str, u64, u64)> {
        self.shared.ranges.borrow().clone()
    }

    /// Every key that was asked for, with its section; that of the root is "".
    #[cfg(test)]
    pub(super) fn asked(&self) -> std::collections::BTreeSet<(String, &'static str)> {
        self.shared.asked.borrow().clone()
    }

    /// The promises of all rules that were read: a rule is known by its line, so one with a promise shares its line with no other.
    pub(super) fn promises(&self, faults: FileFaults<'_>) -> Promises {
        let mut promised = self.shared.promised.borrow().clone();
        promised.sort_by_key(|(line, _)| *line);
        for rules in promised.chunk_by(|(one, _), (other, _)| one == other) {
            if let [(line, first), others @ ..] = rules
                && !others.is_empty()
                && (first.is_some() || others.iter().any(|(_, promise)| promise.is_some()))
            {
                faults.tell(*line, Kind::PromiseSharesLine, &[]);
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
            place: Place::File,
            section: String::new(),
            table: &self.root,
            shared: &self.shared,
            faults,
            asked: RefCell::default(),
        }
    }
}

/// One table of pack.toml.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// What it is about, for messages: `service "billing"`.
    pub(super) what: String,
    /// The line of its header.
    pub(super) line: u32,
    /// Its header.
    pub(super) place: Place,
    /// Of which sort it is: the key that it stands under.
    section: String,
    table: &'a DeTable<'a>,
    shared: &'a Shared<'a>,
    faults: FileFaults<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Entry<'a> {
    /// Tells a fault of this table.
    pub(super) fn fault(&self, place: impl Into<Place>, kind: Kind, values: &[&dyn Said]) {
        self.fault_near(place, kind, values, || None);
    }

    /// Tells a fault of this table, and what may be meant.
    pub(super) fn fault_near(
        &self,
        place: impl Into<Place>,
        kind: Kind,
        values: &[&dyn Said],
        meant: impl FnOnce() -> Option<String>,
    ) {
        self.breaks(kind);
        self.faults.tell_in(place, &self.what, kind, values, meant);
    }

    /// Remembers that what this section says isn't known, where the fault is of that sort.
    fn breaks(&self, kind: Kind) {
        if kind.severity() == Severity::Error && !kind.rests_on_other_sections() {
            self.shared
                .broken
                .borrow_mut()
                .0
                .insert(self.section.clone());
        }
    }

    /// Where an id is declared; the line where that isn't known.
    pub(super) fn place_of_id(&self, section: &'static str, id: &str, line: u32) -> Place {
        self.shared.places.borrow().of(section, id, line)
    }

    /// Remembers where an id of this section is declared.
    pub(super) fn declared(&self, section: &'static str, id: At<&str>) {
        let mut places = self.shared.places.borrow_mut();
        places
            .0
            .entry((section, id.value.into()))
            .or_insert(id.place);
    }

    /// Tells that a word is unknown.
    pub(super) fn unknown<'k>(
        &self,
        sort: Sort,
        word: At<&str>,
        known: impl Iterator<Item = &'k str>,
    ) {
        self.breaks(sort.kind());
        self.faults
            .unknown(word.place, &self.what, sort, word.value, known);
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> u32 {
        self.shared.lines.line_of(value.span().start)
    }

    fn at<T>(&self, value: T, spanned: &Spanned<DeValue<'_>>) -> At<T> {
        At {
            value,
            line: self.line_of(spanned),
            place: Place::span(spanned.span()),
        }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &dyn Said) {
        let found = match value.get_ref() {
            DeValue::String(text) => shown(text).said(),
            other => Both {
                en: format!("a value of type {}", other.type_str()),
                ja: format!("{} 型の値", other.type_str()),
            },
        };
        let place = Place::span(value.span());
        self.fault(place, Kind::Expected, &[&key, expected, &found]);
    }

    /// Tells that a word is none of what its key takes.
    pub(super) fn wrong_word(&self, key: &str, word: At<&str>, expected: Words) {
        let found = shown(word.value);
        self.fault(word, Kind::Expected, &[&key, &expected, &found]);
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Tells which of these keys are missing.
    pub(super) fn require(&self, keys: &[&'static str]) {
        for key in keys {
            if !self.has(key) {
                let kind = match &*self.what {
                    "" => Kind::MissingSection,
                    _ => Kind::MissingKey,
                };
                self.fault(self.place, kind, &[key]);
            }
        }
    }

    /// Tells that a key has no business here.
    pub(super) fn refuse(&self, key: &'static str, why: Words) {
        if let Some(value) = self.value(key) {
            self.fault(Place::span(value.span()), Kind::MisplacedKey, &[&key, &why]);
        }
    }

    /// Where a key's value is; the header of the table where it is not there.
    pub(super) fn place_of(&self, key: &'static str) -> Place {
        self.value(key)
            .map_or(self.place, |value| Place::span(value.span()))
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, value, &TEXT);
        }
        Some(self.at(text?, value))
    }

    /// A text, where it is one; nothing is told where it isn't.
    pub(super) fn peek(&self, key: &'static str) -> Option<&'a str> {
        self.value(key)?.get_ref().as_str()
    }

    /// true or false; false where it is not said.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.value(key) else {
            return false;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, value, &FLAG);
            false
        })
    }

    /// A list of words, each there once; empty where it is not said.
    pub(super) fn words(&self, key: &'static str) -> Vec<At<&'a str>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        self.words_of(key, value, LIST)
    }

    /// A list of words, or "all".
    pub(super) fn choice(&self, key: &'static str) -> Option<Choice<'a>> {
        let value = self.value(key)?;
        if value.get_ref().as_str() == Some("all") {
            return Some(Choice::All);
        }
        Some(Choice::These(self.words_of(key, value, LIST_OR_ALL)))
    }

    fn words_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: Words,
    ) -> Vec<At<&'a str>> {
        let mut words: Vec<At<&'a str>> = Vec::new();
        let mut seen = HashSet::new();
        for element in self.elements_of(key, value, &expected) {
            match element.get_ref().as_str() {
                Some(word) if seen.insert(word) => words.push(self.at(word, element)),
                Some(word) => {
                    let place = Place::span(element.span());
                    self.fault(place, Kind::Twice, &[&key, &shown(word)]);
                }
                None => self.wrong(key, element, &TEXT),
            }
        }
        words
    }

    fn elements_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &dyn Said,
    ) -> &'a [Spanned<DeValue<'a>>] {
        match value.get_ref().as_array() {
            None => {
                self.wrong(key, value, expected);
                &[]
            }
            Some(array) => {
                if array.is_empty() {
                    // An empty list reads like "none" to one and like "any" to another.
                    self.fault(Place::span(value.span()), Kind::EmptyList, &[&key]);
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
            self.wrong(key, value, &LENGTH_OF_TIME);
        }
        duration
    }

    /// A whole number.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        #[cfg(test)]
        self.shared.ranges.borrow_mut().insert((
            self.section.clone(),
            key,
            *range.start(),
            *range.end(),
        ));
        let value = self.value(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let place = Place::span(value.span());
            let values: [&dyn Said; 3] = [&key, range.start(), range.end()];
            self.fault(place, Kind::OutOfRange, &values);
        }
        number
    }

    /// A number with one decimal at most, in tenths.
    pub(super) fn tenths(&self, key: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        let value = self.value(key)?;
        let tenths = match value.get_ref() {
            DeValue::Integer(number) => u16::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|number| number.checked_mul(10)),
            DeValue::Float(number) => number.as_str().split_once('.').and_then(|(whole, tenth)| {
                let tenth: u16 = tenth.parse().ok().filter(|tenth| *tenth < 10)?;
                whole
                    .parse::<u16>()
                    .ok()?
                    .checked_mul(10)?
                    .checked_add(tenth)
            }),
            _ => None,
        };
        let tenths = tenths.filter(|tenths| range.contains(tenths));
        if tenths.is_none() {
            let (from, to) = (range.start() / 10, range.end() / 10);
            let expected = Both {
                en: format!("a number like 3.5 from {from} to {to}, with one decimal at most"),
                ja: format!("3.5 のような {from} から {to} までの、小数第一位までの数"),
            };
            self.wrong(key, value, &expected);
        }
        tenths
    }

    /// A day, e.g. 2099-12-31, without quotes.
    pub(super) fn date(&self, key: &'static str) -> Option<Date> {
        self.date_of(key, self.value(key)?)
    }

    /// A list of days, each there once; empty where it is not said.
    pub(super) fn dates(&self, key: &'static str) -> Vec<Date> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let mut days = Vec::new();
        for element in self.elements_of(key, value, &LIST_OF_DAYS) {
            let Some(day) = self.date_of(key, element) else {
                continue;
            };
            if days.contains(&day) {
                let place = Place::span(element.span());
                self.fault(place, Kind::Twice, &[&key, &day]);
            }
            days.push(day);
        }
        days
    }

    fn date_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Date> {
        let date = value
            .get_ref()
            .as_datetime()
            .filter(|at| at.time.is_none() && at.offset.is_none())
            .and_then(|at| at.date)
            .and_then(|date| words::calendar_date(date.year, date.month, date.day));
        if date.is_none() {
            self.wrong(key, value, &DAY);
        }
        date
    }

    /// The table `[key]`.
    pub(super) fn section(&self, key: &'static str) -> Option<Entry<'a>> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            let expected = Both {
                en: format!("one section [{key}]"),
                ja: format!("一つのセクション [{key}] "),
            };
            self.wrong(key, value, &expected);
        }
        Some(self.inner(key, key.to_owned(), value, table?))
    }

    /// The tables `[[key]]`, in order; each is named by its id, where it has one.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Entry<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let expected = Both {
            en: format!("sections [[{key}]]"),
            ja: format!("セクション [[{key}]] "),
        };
        // Those without an id must differ in what they say.
        let mut said: HashMap<String, u32> = HashMap::new();
        let mut sections = Vec::new();
        for element in self.elements_of(key, value, &expected) {
            let Some(entry) = self.named(key, key, element, &expected) else {
                continue;
            };
            if !entry.table.contains_key("id") {
                match said.entry(spelt(element.get_ref())) {
                    Occupied(first) => {
                        entry.fault(entry.place, Kind::SectionTwice, &[first.get()]);
                    }
                    Vacant(free) => {
                        free.insert(entry.line);
                    }
                }
            }
            sections.push(entry);
        }
        sections
    }

    /// A table of a list; `sort` is what it is, for messages.
    fn named(
        &self,
        key: &str,
        sort: &str,
        element: &'a Spanned<DeValue<'a>>,
        expected: &dyn Said,
    ) -> Option<Entry<'a>> {
        let Some(table) = element.get_ref().as_table() else {
            self.wrong(key, element, expected);
            return None;
        };
        let what = match table.get("id").and_then(|id| id.get_ref().as_str()) {
            Some(id) => format!("{sort} {}", shown(id)),
            None => sort.to_owned(),
        };
        Some(self.inner(sort, what, element, table))
    }

    /// The elements of a list whose elements are ids or tables with an id: `["a", { id = "b", key = true }]`. The table is
    /// given only for the second form.
    pub(super) fn ids_or_tables(&self, key: &'static str) -> Vec<(At<&'a str>, Option<Entry<'a>>)> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for element in self.elements_of(key, value, &LIST_OF_ITEMS) {
            if let Some(id) = element.get_ref().as_str() {
                found.push((self.at(id, element), None));
            } else if let Some(entry) = self.named(key, "item", element, &LIST_OF_ITEMS) {
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
        section: &str,
        what: String,
        value: &Spanned<DeValue<'_>>,
        table: &'a DeTable<'a>,
    ) -> Entry<'a> {
        Entry {
            what,
            line: self.line_of(value),
            place: Place::span(value.span()),
            section: section.to_owned(),
            table,
            shared: self.shared,
            faults: self.faults,
            asked: RefCell::default(),
        }
    }

    /// The sentence of the privacy policy that this rule keeps, where it gives one.
    fn promise(&self) -> Option<Promise> {
        let text = self.sentence("promise");
        let ja = self.sentence("promise_ja");
        if let (None, Some(ja)) = (&text, &ja) {
            self.fault(*ja, Kind::PromiseJaAlone, &[]);
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
            self.fault(text, Kind::BadSentence, &[&key, &PROMISE_MAX_BYTES]);
        }
        Some(text)
    }

    /// Takes up the rule's promise, and tells every key that nobody asked for. Call it once all keys have been asked for.
    pub(super) fn finish(&self) {
        if !self.what.is_empty() {
            let promise = self.promise();
            let mut promised = self.shared.promised.borrow_mut();
            promised.push((self.line, promise));
        }
        let asked = self.asked.borrow();
        #[cfg(test)]
        self.shared
            .asked
            .borrow_mut()
            .extend(asked.iter().map(|key| (self.section.clone(), *key)));
        for (key, _) in self.table {
            if asked.iter().any(|known| *known == &**key.get_ref()) {
                continue;
            }
            let sort = if self.section.is_empty() {
                Sort::SECTION
            } else {
                Sort::KEY
            };
            let word = At {
                value: &**key.get_ref(),
                line: self.shared.lines.line_of(key.span().start),
                place: Place::span(key.span()),
            };
            self.unknown(sort, word, asked.iter().copied());
        }
    }
}

/// What a value says, the same for the same: keys in order, without where it stands.
fn spelt(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => format!("{}_{}", number.radix(), number.as_str()),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(at) => at.to_string(),
        DeValue::Array(values) => {
            let values = values.iter().map(|value| spelt(value.get_ref()));
            format!("[{}]", values.collect::<Vec<_>>().join(", "))
        }
        DeValue::Table(table) => {
            let mut keys: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{:?} = {}", key.get_ref(), spelt(value.get_ref())))
                .collect();
            keys.sort_unstable();
            format!("{{ {} }}", keys.join(", "))
        }
    }
}

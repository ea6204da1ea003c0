//! Collects what is found wrong with a pack, so that all of it is told at once: errors and warnings, each with its place. All of
//! it is the doing of whoever wrote the pack or put it there.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use crate::domain::text::is_unsafe;

use super::finding::Finding;
use super::kinds::{Both, Kind, Said, Severity, Sort};
use super::show::EXCERPT_MAX_CHARACTERS;
use super::source::Sources;
use super::suggest::did_you_mean;

/// So many errors are told, and so many warnings; a file with more is broken as a whole, and the first ones show how.
const FAULTS_MAX: usize = 500;
/// A word of the pack is shown with at most so many characters.
const SHOWN_MAX: usize = 80;

/// The files of a pack, in the order in which their faults are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PackFile {
    Pack,
    Model,
    Policy,
    People,
    Signature,
}

impl PackFile {
    pub(super) const ALL: [Self; 5] = [
        Self::Pack,
        Self::Model,
        Self::Policy,
        Self::People,
        Self::Signature,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pack => "pack.toml",
            Self::Model => "model.conf",
            Self::Policy => "policy.csv",
            Self::People => "people.csv",
            Self::Signature => super::SIGNATURE_FILE,
        }
    }
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The file as a whole.
    File,
    /// What stands on a line, from 1.
    Line(u32),
    /// Bytes of the text, from the first to before the second.
    Span(u32, u32),
    /// A line and a character, of a file that has no text.
    At(u32, u32),
}

impl Place {
    pub(super) fn span(span: std::ops::Range<usize>) -> Self {
        match (u32::try_from(span.start), u32::try_from(span.end)) {
            (Ok(start), Ok(end)) => Self::Span(start, end),
            _ => Self::File,
        }
    }
}

/// A line by its number; 0 is the file as a whole.
impl From<u32> for Place {
    fn from(line: u32) -> Self {
        match line {
            0 => Self::File,
            line => Self::Line(line),
        }
    }
}

/// A text by its lines.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// The line on which a byte is, from 1.
    pub(super) fn line_of(&self, offset: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Where a line begins, and what stands on it.
    fn line(&self, number: u32) -> (usize, &'t str) {
        let position = (number as usize).saturating_sub(1);
        let start = self
            .starts
            .get(position)
            .copied()
            .unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        (start, line.strip_suffix('\r').unwrap_or(line))
    }

    /// What stands on a line, as far as it is shown.
    fn excerpt(&self, number: u32) -> Box<str> {
        let (_, line) = self.line(number);
        line.chars().take(EXCERPT_MAX_CHARACTERS).collect()
    }

    /// Line, column and length. What goes over several lines is shown to the end of its first.
    fn locate(&self, place: Place) -> (u32, u32, u32) {
        let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        match place {
            Place::File => (0, 0, 0),
            Place::At(line, column) => (line, column, 1),
            Place::Line(number) => {
                let (_, line) = self.line(number);
                let blank = line.len() - line.trim_start().len();
                let before = line.get(..blank).unwrap_or_default();
                (
                    number,
                    characters(before) + 1,
                    characters(line.trim()).max(1),
                )
            }
            Place::Span(from, to) => {
                let number = self.line_of(from as usize);
                let (start, line) = self.line(number);
                let within = |offset: u32| {
                    let offset = (offset as usize).saturating_sub(start);
                    line.floor_char_boundary(offset.min(line.len()))
                };
                let (from, to) = (within(from), within(to));
                let before = line.get(..from).unwrap_or_default();
                let meant = line.get(from..to.max(from)).unwrap_or_default();
                (number, characters(before) + 1, characters(meant).max(1))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    severity: Severity,
    file: PackFile,
    place: Place,
    code: &'static str,
    message: Both,
    suggestion: Option<String>,
}

/// What was found so far. Shared by all readers of one load.
#[derive(Debug)]
pub(super) struct Faults<'t> {
    texts: [&'t str; PackFile::ALL.len()],
    found: RefCell<Vec<Fault>>,
    errors: Room,
    warnings: Room,
    /// The words of the sections of pack.toml that could not be read: nothing is told that may be so only because those are left
    /// out.
    lost: RefCell<HashSet<String>>,
}

/// How many there are of a severity: warnings never take the place of an error that is found later.
#[derive(Debug, Default)]
struct Room {
    told: Cell<usize>,
    left_out: Cell<usize>,
}

impl Room {
    /// Whether there is room for one more, which is counted either way.
    fn take(&self) -> bool {
        let (count, is_room) = match self.told.get() {
            FAULTS_MAX => (&self.left_out, false),
            _ => (&self.told, true),
        };
        count.set(count.get() + 1);
        is_room
    }
}

impl<'t> Faults<'t> {
    /// For a pack of these files; those that can't be read are told.
    pub(super) fn over(sources: &'t Sources) -> Self {
        let faults = Self {
            texts: PackFile::ALL.map(|file| sources.text(file).unwrap_or_default()),
            found: RefCell::default(),
            errors: Room::default(),
            warnings: Room::default(),
            lost: RefCell::default(),
        };
        for (file, unreadable) in sources.unreadable() {
            let (place, kind, value) = unreadable.told();
            faults.of(file).tell(place, kind, &[&value]);
        }
        faults
    }

    /// For what is read from elsewhere than files.
    #[cfg(test)]
    pub(super) fn without_text() -> Self {
        Self {
            texts: [""; PackFile::ALL.len()],
            found: RefCell::default(),
            errors: Room::default(),
            warnings: Room::default(),
            lost: RefCell::default(),
        }
    }

    pub(super) const fn of(&self, file: PackFile) -> FileFaults<'_> {
        FileFaults { all: self, file }
    }

    /// Whether the pack is refused.
    pub(super) fn any_error(&self) -> bool {
        self.errors.told.get() > 0
    }

    /// A section of pack.toml can't be read.
    pub(super) fn lose(&self, section: &str) {
        let of_ids = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
        let words = section.split(|c| !of_ids(c)).map(str::to_owned);
        self.lost.borrow_mut().extend(words);
    }

    /// Whether some of pack.toml can't be read.
    pub(super) fn is_lossy(&self) -> bool {
        !self.lost.borrow().is_empty()
    }

    /// All of them: errors before warnings, each ordered by file and place.
    pub(super) fn into_findings(self, directory: &Path) -> Vec<Finding> {
        let mut found = self.found.into_inner();
        let lines = self.texts.map(Lines::of);
        let mut told: Vec<(_, Fault)> = found
            .drain(..)
            .map(|fault| {
                let place = lines
                    .get(fault.file as usize)
                    .map_or((0, 0, 0), |lines| lines.locate(fault.place));
                ((fault.severity, fault.file, place), fault)
            })
            .collect();
        told.sort();
        told.dedup();
        let mut findings: Vec<Finding> = told
            .into_iter()
            .map(
                |((severity, file, (line, column, length)), fault)| Finding {
                    severity,
                    code: fault.code,
                    file: directory.join(file.name()),
                    line,
                    column,
                    length,
                    message: harmless(fault.message.en),
                    message_ja: harmless(fault.message.ja),
                    suggestion: fault.suggestion.map(harmless),
                    excerpt: lines
                        .get(file as usize)
                        .filter(|lines| line > 0 && !lines.text.is_empty())
                        .map(|lines| lines.excerpt(line)),
                },
            )
            .collect();
        for (room, kind) in [
            (&self.errors, Kind::MoreFaults),
            (&self.warnings, Kind::MoreWarnings),
        ] {
            let left_out = room.left_out.get();
            if left_out == 0 {
                continue;
            }
            let message = kind.fill(&[&left_out]);
            let place = findings.partition_point(|finding| finding.severity <= kind.severity());
            let last = Finding {
                severity: kind.severity(),
                code: kind.code(),
                file: directory.to_path_buf(),
                line: 0,
                column: 0,
                length: 0,
                message: message.en,
                message_ja: message.ja,
                suggestion: None,
                excerpt: None,
            };
            findings.insert(place, last);
        }
        findings
    }
}

/// Takes what is wrong with one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileFaults<'a> {
    all: &'a Faults<'a>,
    file: PackFile,
}

impl FileFaults<'_> {
    /// Tells a fault.
    pub(super) fn tell(self, place: impl Into<Place>, kind: Kind, values: &[&dyn Said]) {
        self.tell_in(place, "", kind, values, || None);
    }

    /// Tells a fault of something that has a name, and what may be meant. Sentences are made only of what will be shown.
    pub(super) fn tell_in(
        self,
        place: impl Into<Place>,
        what: &str,
        kind: Kind,
        values: &[&dyn Said],
        suggestion: impl FnOnce() -> Option<String>,
    ) {
        if kind.rests_on_other_sections() && self.all.is_lossy() {
            return;
        }
        let room = match kind.severity() {
            Severity::Error => &self.all.errors,
            Severity::Warning => &self.all.warnings,
        };
        if !room.take() {
            return;
        }
        let mut found = self.all.found.borrow_mut();
        let mut message = kind.fill(values);
        if !what.is_empty() {
            message.en.insert_str(0, &format!("{what}: "));
            message.ja.insert_str(0, &format!("{what}: "));
        }
        found.push(Fault {
            severity: kind.severity(),
            file: self.file,
            place: place.into(),
            code: kind.code(),
            message,
            suggestion: suggestion(),
        });
    }

    /// Where a word stands that is a piece of this file's text.
    pub(super) fn place_of(self, word: &str) -> Option<Place> {
        let text = self.all.texts.get(self.file as usize)?;
        let start = word.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let end = start.checked_add(word.len())?;
        (text.get(start..end)? == word).then(|| Place::span(start..end))
    }

    /// A section of this file can't be read.
    pub(super) fn lose(self, section: &str) {
        self.all.lose(section);
    }

    /// Whether no error of this file was told yet.
    pub(super) fn none(self) -> bool {
        let found = self.all.found.borrow();
        self.all.errors.left_out.get() == 0
            && !found
                .iter()
                .any(|fault| fault.file == self.file && fault.severity == Severity::Error)
    }

    /// Tells that `word` is none of `known`, and which of them may be meant.
    pub(super) fn unknown<'k>(
        self,
        place: impl Into<Place>,
        what: &str,
        sort: Sort,
        word: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        // It may be declared where nothing could be read.
        if sort.is_of_ids() && self.all.lost.borrow().contains(word) {
            return;
        }
        let near = || did_you_mean(word, known).map(str::to_owned);
        self.tell_in(place, what, sort.kind(), &[&sort, &shown(word)], near);
    }
}

/// What the pack says stands in sentences in many ways: in none does it steer a terminal.
fn harmless(text: String) -> String {
    if !text.contains(is_unsafe) {
        return text;
    }
    text.replace(is_unsafe, "\u{fffd}")
}

/// A word of the pack in quotes, shortened and without control characters.
pub(super) fn shown(word: &str) -> Shown<'_> {
    Shown(word)
}

/// See [`shown`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0;
        match word.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => write!(f, "{:?}...", word.get(..end).unwrap_or_default()),
            None => write!(f, "{word:?}"),
        }
    }
}

/// What a reader tells about a text.
#[cfg(test)]
pub(super) fn told_of(
    file: PackFile,
    text: &str,
    read: impl FnOnce(&str, FileFaults<'_>),
) -> String {
    let sources = Sources::of(file, text);
    let faults = Faults::over(&sources);
    read(sources.text(file).unwrap(), faults.of(file));
    let told = faults.into_findings(Path::new(""));
    let lines: Vec<String> = told.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_severity_file_and_place_one_a_line() {
        let sources = Sources::of(PackFile::Policy, "a, b\n  é, bb, 所 c\r\nd");
        let faults = Faults::over(&sources);
        let of_policy = faults.of(PackFile::Policy);
        of_policy.tell(3, Kind::DuplicateLine, &[&1]);
        of_policy.tell(Place::Span(1, 2), Kind::UnusedPurpose, &[&"x"]);
        of_policy.tell(Place::Span(11, 13), Kind::EmptyField, &[&"y"]);
        let place = of_policy.place_of(&sources.text(PackFile::Policy).unwrap()[15..18]);
        of_policy.tell_in(place.unwrap(), "z", Kind::Quote, &[], || Some("所".into()));
        of_policy.tell(2, Kind::Quote, &[]);
        faults.of(PackFile::Model).tell(0, Kind::FileMissing, &[]);
        assert!(!of_policy.none() && faults.any_error());
        assert!(faults.of(PackFile::People).none());
        let findings = faults.into_findings(Path::new("p"));
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines.join("\n"),
            "p/model.conf: error[file-missing]: is missing\n\
             p/policy.csv:2:3: error[quote]: has a quote: fields stand between commas as they are\n\
             p/policy.csv:2:6: error[empty-field]: y is empty\n\
             p/policy.csv:2:10: error[quote]: z: has a quote: fields stand between commas as they are (did you mean \"所\"?)\n\
             p/policy.csv:3:1: error[duplicate-line]: is the same as line 1\n\
             p/policy.csv:1:2: warning[unused-purpose]: purpose x: no rule of policy.csv allows anything for it"
        );
    }

    #[test]
    fn a_place_beyond_the_text_or_amid_a_character_is_no_panic() {
        let lines = Lines::of("é\n所");
        for from in 0..10 {
            for to in 0..10 {
                let (line, column, length) = lines.locate(Place::Span(from, to));
                assert!((1..=2).contains(&line) && (1..=2).contains(&column) && length == 1);
            }
        }
        assert_eq!(lines.locate(Place::Line(99)), (99, 1, 1));
    }

    #[test]
    fn the_first_of_very_many_are_told_and_the_rest_is_counted() {
        let sources = Sources::of(PackFile::Policy, "");
        let faults = Faults::over(&sources);
        for line in 1..=600 {
            let of_policy = faults.of(PackFile::Policy);
            of_policy.tell(line, Kind::ShadowedRule, &[&1]);
            of_policy.tell(line, Kind::ShadowedRule, &[&2]);
        }
        for line in 1..=600 {
            faults.of(PackFile::Policy).tell(line, Kind::Quote, &[]);
        }
        let findings = faults.into_findings(Path::new("pack"));
        assert_eq!(findings.len(), 1_002);
        let errors = findings
            .iter()
            .filter(|one| one.severity == Severity::Error);
        assert_eq!(errors.count(), 501);
        assert_eq!(
            findings[500].to_string(),
            "pack: error[more-faults]: 100 more faults are left out here"
        );
        assert_eq!(
            findings.last().unwrap().to_string(),
            "pack: warning[more-faults]: 700 more warnings are left out here"
        );
    }

    #[test]
    fn a_word_is_shown_without_what_a_terminal_would_obey() {
        assert_eq!(shown("a\u{1b}[31mb").to_string(), "\"a\\u{1b}[31mb\"");
        assert_eq!(shown(&"所".repeat(200)).to_string().chars().count(), 85);
    }
}

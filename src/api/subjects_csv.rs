//! Holds, dates and references as CSV, read piece by piece: a row is a line, so that a file of any length takes little memory and
//! one bad line says nothing of the others.

use time::UtcOffset;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::csv::{BYTE_ORDER_MARK, plain, records};
use crate::domain::access::SubjectRef;
use crate::domain::ids::Name;
use crate::domain::person::form::BETWEEN_VALUES;
use crate::domain::reference::{PURPOSES_MAX, ReferenceKind};
use crate::domain::time::Timestamp;
use crate::gate::{SubjectRow, SubjectRowWhat};

/// The longest line, in bytes.
const LINE_MAX: usize = 16 * 1_024;
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

const COLUMNS: [&str; 7] = [
    "subject",
    "what",
    "id",
    "value",
    "reference",
    "purposes",
    "given",
];

/// What is wrong: column (empty for the row as a whole) and why.
type Wrong = (&'static str, String);

/// Reads lines as they come.
#[derive(Debug)]
pub(super) struct Lines {
    /// What came after the last end of a line.
    rest: Vec<u8>,
    /// Lines that were read.
    line: u32,
    /// Which column each cell is.
    columns: Option<Vec<&'static str>>,
    /// The line that is coming is too long, which was told: the rest of it is passed over.
    too_long: bool,
    /// The header can't be read: nothing after it can.
    hopeless: bool,
    /// Where days end.
    offset: UtcOffset,
}

impl Lines {
    pub(super) const fn new(offset: UtcOffset) -> Self {
        Self {
            rest: Vec::new(),
            line: 0,
            columns: None,
            too_long: false,
            hopeless: false,
            offset,
        }
    }

    /// Whether nothing more can be read.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    /// Takes the next piece; what its lines say goes to `each`.
    pub(super) fn take(&mut self, piece: &[u8], each: &mut Vec<SubjectRow>) {
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = piece.split_at(end);
            piece = after.split_first().map_or(&[][..], |(_, after)| after);
            if self.too_long {
                self.too_long = false;
                self.line = self.line.saturating_add(1);
            } else if self.rest.is_empty() {
                self.whole(line, each);
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.whole(&whole, each);
            }
            if self.hopeless {
                return;
            }
        }
        if self.too_long {
            return;
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() > LINE_MAX {
            let line = self.line.saturating_add(1);
            self.rest = Vec::new();
            self.too_long = true;
            self.hopeless = self.columns.is_none();
            each.push(unread(line, format!("is over {LINE_MAX} bytes")));
        }
    }

    /// There is no more.
    pub(super) fn end(&mut self, each: &mut Vec<SubjectRow>) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() && !self.hopeless {
            self.whole(&rest, each);
        }
        if self.columns.is_none() && !self.hopeless {
            each.push(unread(0, "is empty: it needs a header".to_owned()));
        }
    }

    fn whole(&mut self, line: &[u8], each: &mut Vec<SubjectRow>) {
        self.line = self.line.saturating_add(1);
        let number = self.line;
        let wrong = |what: &str| unread(number, what.to_owned());
        if line.len() > LINE_MAX {
            self.hopeless = self.columns.is_none();
            each.push(wrong(&format!("is over {LINE_MAX} bytes")));
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            self.hopeless = self.columns.is_none();
            each.push(wrong("is not UTF-8: save as CSV UTF-8"));
            return;
        };
        let text = match number {
            1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
            _ => text,
        };
        let record = match records(text.strip_suffix('\r').unwrap_or(text)) {
            Ok(mut records) => match records.pop() {
                Some(record) => record,
                None => return,
            },
            Err((_, what)) => {
                self.hopeless = self.columns.is_none();
                each.push(wrong(what));
                return;
            }
        };
        match &self.columns {
            None => match header(&record.cells) {
                Ok(columns) => self.columns = Some(columns),
                Err(what) => {
                    self.hopeless = true;
                    each.push(wrong(&what));
                }
            },
            Some(columns) if columns.len() != record.cells.len() => {
                let (expected, found) = (columns.len(), record.cells.len());
                each.push(wrong(&format!(
                    "expected {expected} columns, found {found}"
                )));
            }
            Some(columns) => each.push(row(columns, &record.cells, number, self.offset)),
        }
    }
}

fn header(cells: &[String]) -> Result<Vec<&'static str>, String> {
    let mut columns: Vec<&'static str> = Vec::new();
    for cell in cells {
        let Some(known) = COLUMNS.into_iter().find(|column| column == cell) else {
            let shown: String = cell.chars().take(80).collect();
            let known = COLUMNS.join(", ");
            return Err(format!("unknown column {shown:?}: expected {known}"));
        };
        if columns.contains(&known) {
            return Err(format!("column {known:?} is there twice"));
        }
        columns.push(known);
    }
    for needed in COLUMNS.into_iter().take(3) {
        if !columns.contains(&needed) {
            return Err(format!("the column {needed} is missing"));
        }
    }
    Ok(columns)
}

/// A line that can't be read at all.
fn unread(line: u32, what: String) -> SubjectRow {
    SubjectRow {
        line,
        what: None,
        subject: None,
        id: None,
        value: None,
        given: None,
        purposes: Vec::new(),
        reference: None,
        wrong: vec![("", what)],
    }
}

/// What is wrong with the cells of one line.
#[derive(Default)]
struct Faults(Vec<Wrong>);

impl Faults {
    fn tell(&mut self, column: &'static str, what: impl Into<String>) {
        self.0.push((column, what.into()));
    }

    fn name(&mut self, column: &'static str, text: &str) -> Option<Name> {
        match Name::parse(text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.tell(column, error.to_string());
                None
            }
        }
    }

    /// A cell that has no business here.
    fn refuse(&mut self, column: &'static str, text: &str, what: &str) {
        if !text.is_empty() {
            self.tell(column, format!("a {what} has none"));
        }
    }

    /// A cell that may be empty.
    fn instant(
        &mut self,
        column: &'static str,
        text: &str,
        read: impl Fn(&str) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        if text.is_empty() {
            return None;
        }
        let at = read(text);
        if at.is_none() {
            self.tell(column, NO_INSTANT);
        }
        at
    }
}

const NO_INSTANT: &str = "is no instant (RFC 3339) and no day (2026-01-31)";

/// Every cell is read, whatever is wrong with others: what is wrong with the row is told at once.
fn row(columns: &[&'static str], cells: &[String], line: u32, offset: UtcOffset) -> SubjectRow {
    let cell = |column: &str| {
        let at = columns.iter().position(|known| *known == column);
        at.and_then(|at| cells.get(at))
            .map_or("", |cell| plain(cell))
    };
    let mut faults = Faults::default();
    let word = cell("what");
    let what = match word {
        "hold" => Some(SubjectRowWhat::Hold),
        "date" => Some(SubjectRowWhat::Date),
        other => kind(other).map(SubjectRowWhat::Reference),
    };
    // A reference may be for nobody in particular.
    let subject = match (what, cell("subject")) {
        (Some(SubjectRowWhat::Reference(_)), "") => None,
        (_, text) => faults.name("subject", text),
    };
    let id = faults.name("id", cell("id"));
    let reference = match cell("reference") {
        "" => None,
        text => faults.name("reference", text),
    };
    let at_end = |text: &str| instant(text, |day| Timestamp::end_of(day, offset));
    let at_beginning = |text: &str| instant(text, |day| Timestamp::beginning_of(day, offset));
    let value = cell("value");
    let (mut read, mut given, mut covered) = (None, None, Vec::new());
    match what {
        Some(SubjectRowWhat::Hold) => {
            faults.refuse("value", value, word);
            faults.refuse("purposes", cell("purposes"), word);
            faults.refuse("given", cell("given"), word);
        }
        Some(SubjectRowWhat::Date) => {
            faults.refuse("purposes", cell("purposes"), word);
            faults.refuse("given", cell("given"), word);
            read = at_end(value);
            if read.is_none() {
                faults.tell("value", NO_INSTANT);
            }
        }
        Some(SubjectRowWhat::Reference(_)) => {
            faults.refuse("reference", cell("reference"), word);
            read = faults.instant("value", value, at_end);
            // The first instant: on the day of a withdrawal the withdrawal counts.
            given = faults.instant("given", cell("given"), at_beginning);
            covered = purposes(&mut faults, cell("purposes"));
        }
        None => faults.tell("what", no_such(word)),
    }
    SubjectRow {
        line,
        what,
        subject: subject.map(|subject| SubjectRef::new(&subject)),
        id,
        value: read,
        given,
        purposes: covered,
        reference,
        wrong: faults.0,
    }
}

fn no_such(what: &str) -> String {
    if matches!(what, "release" | "release-hold" | "withdraw" | "withdrawal") {
        return "is not taken from a file: a release needs an administrator, hold by hold, and a withdrawal is made one by one".to_owned();
    }
    let kinds: Vec<String> = ReferenceKind::ALL.iter().map(|kind| kind.word()).collect();
    let shown: String = what.chars().take(80).collect();
    format!("{shown:?} is none of hold, date, {}", kinds.join(", "))
}

fn kind(text: &str) -> Option<ReferenceKind> {
    let mut all = ReferenceKind::ALL.iter().copied();
    all.find(|kind| kind.name().eq_ignore_ascii_case(text))
}

/// An instant, or one of a day.
fn instant(text: &str, of_day: impl Fn(time::Date) -> Timestamp) -> Option<Timestamp> {
    Timestamp::parse(text)
        .ok()
        .or_else(|| time::Date::parse(text, DAY).ok().map(of_day))
}

fn purposes(faults: &mut Faults, text: &str) -> Vec<Name> {
    let named: Vec<&str> = text
        .split(BETWEEN_VALUES)
        .map(str::trim)
        .filter(|_| !text.trim().is_empty())
        .collect();
    if named.len() > PURPOSES_MAX {
        faults.tell(
            "purposes",
            format!("names more than {PURPOSES_MAX} purposes"),
        );
        return Vec::new();
    }
    named
        .into_iter()
        .filter_map(|purpose| faults.name("purposes", purpose))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::offset;

    fn read(pieces: &[&[u8]]) -> Vec<SubjectRow> {
        let mut lines = Lines::new(offset!(+9));
        let mut all = Vec::new();
        for piece in pieces {
            lines.take(piece, &mut all);
        }
        lines.end(&mut all);
        all
    }

    fn told(row: &SubjectRow) -> String {
        assert_eq!(row.wrong, []);
        let subject = row.subject.as_ref().map_or("nobody", SubjectRef::expose);
        let id = row.id.as_ref().unwrap();
        match row.what.unwrap() {
            SubjectRowWhat::Hold => format!("{subject} hold {id} {:?}", row.reference),
            SubjectRowWhat::Date => format!("{subject} date {id} {}", row.value.unwrap()),
            SubjectRowWhat::Reference(kind) => format!(
                "{subject} {kind} {id} {:?} {:?} {:?}",
                row.purposes, row.value, row.given
            ),
        }
    }

    const FILE: &str = "\u{feff}subject,what,id,value,reference,purposes,given\r\n\
        s-1,hold,stop,,R-1,,\r\n\
        \r\n\
        \"s, 2\",date,end,2031-04-01,,,\n\
        s-3,consent,C-1,2031-04-01T00:00:00Z,,news; sale,2025-04-01\n\
        ,notice,N-1,,,news,\n\
        '=s-4,hold,stop,,,,";

    #[test]
    fn rows_come_as_they_were_written_however_they_are_cut() {
        let expected = [
            (2, "s-1 hold stop Some(\"R-1\")"),
            (4, "s, 2 date end 2031-04-01T14:59:59.999999Z"),
            (
                5,
                "s-3 CONSENT C-1 [\"news\", \"sale\"] Some(2031-04-01T00:00:00Z) Some(2025-03-31T15:00:00Z)",
            ),
            (6, "nobody NOTICE N-1 [\"news\"] None None"),
            (7, "=s-4 hold stop None"),
        ];
        for size in [1, 2, 7, 64, 4_096] {
            let pieces: Vec<&[u8]> = FILE.as_bytes().chunks(size).collect();
            let found: Vec<(u32, String)> = read(&pieces)
                .iter()
                .map(|row| (row.line, told(row)))
                .collect();
            let found: Vec<(u32, &str)> = found.iter().map(|(n, text)| (*n, &**text)).collect();
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_column_and_the_rest_is_read() {
        let long = "x".repeat(LINE_MAX + 1);
        let none = "a hold has none";
        let bad: [(&str, &[(&str, &str)]); 10] = [
            ("s-1,hold", &[("", "expected 7 columns, found 2")]),
            (",hold,stop,,,,", &[("subject", "is missing")]),
            ("s-1,hold,stop,2031-01-01,,,", &[("value", none)]),
            ("s-1,date,end,soon,,,", &[("value", NO_INSTANT)]),
            ("s-1,date,end,,,,", &[("value", NO_INSTANT)]),
            (
                "s-1,release,stop,,,,",
                &[(
                    "what",
                    "is not taken from a file: a release needs an administrator, hold by hold, and a withdrawal is made one by one",
                )],
            ),
            (
                ",konsent,,,,,",
                &[
                    ("subject", "is missing"),
                    ("id", "is missing"),
                    (
                        "what",
                        "\"konsent\" is none of hold, date, notice, engagement, consent, request, order",
                    ),
                ],
            ),
            (
                "s-1,hold,,2031-01-01,,news,2025-01-01",
                &[
                    ("id", "is missing"),
                    ("value", none),
                    ("purposes", none),
                    ("given", none),
                ],
            ),
            (
                "s-1,consent,C-1,soon,,news,long ago",
                &[("value", NO_INSTANT), ("given", NO_INSTANT)],
            ),
            (
                "s-1,\"hold,stop,,,,",
                &[("", "has a quote that is never closed")],
            ),
        ];
        let mut text = "subject,what,id,value,reference,purposes,given\n".to_owned();
        for (line, ..) in bad {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&long);
        text.push_str("\ns-9,hold,stop,,,,\n");
        let bytes = [text.as_bytes(), b"\xff\n", b"s-10,hold,stop,,,,"].concat();
        let mut found = read(&[&bytes]).into_iter();
        for (line, (_, expected)) in (2..).zip(bad) {
            let row = found.next().unwrap();
            let wrong: Vec<(&str, &str)> = row
                .wrong
                .iter()
                .map(|(field, what)| (*field, &**what))
                .collect();
            assert_eq!((row.line, &*wrong), (line, expected));
        }
        let mut whole = |line: u32, words: &str| {
            let row = found.next().unwrap();
            assert_eq!(row.line, line);
            match row.wrong.first() {
                None => assert_eq!(words, ""),
                Some((field, what)) => assert!(field.is_empty() && what.contains(words), "{what}"),
            }
        };
        whole(12, "is over 16384 bytes");
        whole(13, "");
        whole(14, "UTF-8");
        whole(15, "");
        assert!(found.next().is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_what_follows_is_read() {
        let long = "x".repeat(3 * LINE_MAX);
        let file = format!("subject,what,id\n{long}\ns-1,hold,stop\n{long}");
        for size in [1_000, LINE_MAX, 4 * LINE_MAX, file.len()] {
            let pieces: Vec<&[u8]> = file.as_bytes().chunks(size).collect();
            let found = read(&pieces);
            let lines: Vec<(u32, bool)> = found
                .iter()
                .map(|row| (row.line, row.wrong.is_empty()))
                .collect();
            assert_eq!(lines, [(2, false), (3, true), (4, false)], "{size}");
        }
        let found = read(&[long.as_bytes()]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn without_a_good_header_nothing_is_read() {
        for (file, what) in [
            ("", "is empty: it needs a header"),
            (
                "subject,what,id,color\ns,hold,stop,x\n",
                "unknown column \"color\"",
            ),
            ("subject,what\ns,hold\n", "the column id is missing"),
            ("subject,what,id,id\n", "column \"id\" is there twice"),
        ] {
            let found = read(&[file.as_bytes()]);
            assert_eq!(found.len(), 1, "{file}");
            assert!(found[0].wrong[0].1.contains(what), "{found:?}");
        }
    }
}

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
use crate::gate::{DateSet, HoldChange, ReferenceWish, SubjectRow, SubjectRowWhat};

/// The longest line, in bytes.
const LINE_MAX: usize = 16 * 1_024;
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

const COLUMNS: [&str; 6] = ["subject", "what", "id", "value", "reference", "purposes"];

/// What is wrong: line (0 for the file as a whole), column (empty for the row as a whole) and why.
pub(super) type Wrong = (u32, &'static str, String);

/// What a line says.
pub(super) type Read = Result<SubjectRow, Vec<Wrong>>;

/// Reads lines as they come.
#[derive(Debug)]
pub(super) struct Lines {
    /// What came after the last end of a line.
    rest: Vec<u8>,
    /// Lines that were read.
    line: u32,
    /// Which column each cell is.
    columns: Option<Vec<&'static str>>,
    /// The header or a line can't be read at all: nothing after it can.
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
            hopeless: false,
            offset,
        }
    }

    /// Whether nothing more can be read.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    /// Takes the next piece; what its lines say goes to `each`.
    pub(super) fn take(&mut self, piece: &[u8], each: &mut Vec<Read>) {
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = piece.split_at(end);
            piece = after.split_first().map_or(&[][..], |(_, after)| after);
            if self.rest.is_empty() {
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
        self.rest.extend_from_slice(piece);
        if self.rest.len() > LINE_MAX {
            let line = self.line.saturating_add(1);
            self.hopeless = true;
            each.push(Err(vec![(line, "", format!("is over {LINE_MAX} bytes"))]));
        }
    }

    /// There is no more.
    pub(super) fn end(&mut self, each: &mut Vec<Read>) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() && !self.hopeless {
            self.whole(&rest, each);
        }
        if self.columns.is_none() && !self.hopeless {
            each.push(Err(vec![(0, "", "is empty: it needs a header".to_owned())]));
        }
    }

    fn whole(&mut self, line: &[u8], each: &mut Vec<Read>) {
        self.line = self.line.saturating_add(1);
        let number = self.line;
        let wrong = |what: &str| Err(vec![(number, "", what.to_owned())]);
        if line.len() > LINE_MAX {
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

/// What is wrong with the cells of one line.
struct Faults(u32, Vec<Wrong>);

impl Faults {
    fn tell(&mut self, column: &'static str, what: impl Into<String>) {
        self.1.push((self.0, column, what.into()));
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
}

fn row(columns: &[&'static str], cells: &[String], line: u32, offset: UtcOffset) -> Read {
    let cell = |column: &str| {
        let at = columns.iter().position(|known| *known == column);
        at.and_then(|at| cells.get(at))
            .map_or("", |cell| plain(cell))
    };
    let mut faults = Faults(line, Vec::new());
    let subject = faults.name("subject", cell("subject"));
    let id = faults.name("id", cell("id"));
    let reference = match cell("reference") {
        "" => None,
        text => faults.name("reference", text),
    };
    let what = cell("what");
    let value = cell("value");
    let read = match what {
        "hold" => {
            faults.refuse("value", value, what);
            faults.refuse("purposes", cell("purposes"), what);
            subject.zip(id).map(|(subject, hold)| {
                SubjectRowWhat::Hold(HoldChange {
                    subject: SubjectRef::new(&subject),
                    hold,
                    reference,
                })
            })
        }
        "date" => {
            faults.refuse("purposes", cell("purposes"), what);
            let value = instant(value, offset);
            if value.is_none() {
                faults.tell("value", "is no instant (RFC 3339) and no day (2026-01-31)");
            }
            subject.zip(id).zip(value).map(|((subject, date), value)| {
                SubjectRowWhat::Date(DateSet {
                    subject: SubjectRef::new(&subject),
                    date,
                    value,
                    reference,
                })
            })
        }
        "release" | "release-hold" | "withdraw" | "withdrawal" => {
            let what = "is not taken from a file: a release needs an administrator, hold by hold, and a withdrawal is made one by one";
            faults.tell("what", what);
            None
        }
        other => match kind(other) {
            Some(kind) => {
                faults.refuse("reference", cell("reference"), what);
                let until = match value {
                    "" => None,
                    text => {
                        let until = instant(text, offset);
                        if until.is_none() {
                            faults
                                .tell("value", "is no instant (RFC 3339) and no day (2026-01-31)");
                        }
                        until
                    }
                };
                let purposes = purposes(&mut faults, cell("purposes"));
                subject.zip(id).map(|(subject, reference)| {
                    SubjectRowWhat::Reference(ReferenceWish {
                        subject: Some(SubjectRef::new(&subject)),
                        kind,
                        reference,
                        purposes,
                        until,
                    })
                })
            }
            None => {
                let kinds: Vec<String> =
                    ReferenceKind::ALL.iter().map(|kind| kind.word()).collect();
                let shown: String = other.chars().take(80).collect();
                let known = kinds.join(", ");
                faults.tell("what", format!("{shown:?} is none of hold, date, {known}"));
                None
            }
        },
    };
    match read {
        Some(what) if faults.1.is_empty() => Ok(SubjectRow { line, what }),
        _ => Err(faults.1),
    }
}

fn kind(text: &str) -> Option<ReferenceKind> {
    let mut all = ReferenceKind::ALL.iter().copied();
    all.find(|kind| kind.name().eq_ignore_ascii_case(text))
}

/// An instant, or the last one of a day.
fn instant(text: &str, offset: UtcOffset) -> Option<Timestamp> {
    Timestamp::parse(text).ok().or_else(|| {
        let day = time::Date::parse(text, DAY).ok()?;
        Some(Timestamp::end_of(day, offset))
    })
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

    fn read(pieces: &[&[u8]]) -> Vec<Result<(u32, String), Vec<Wrong>>> {
        let mut lines = Lines::new(offset!(+9));
        let mut all = Vec::new();
        for piece in pieces {
            lines.take(piece, &mut all);
        }
        lines.end(&mut all);
        all.into_iter()
            .map(|read| read.map(|row| (row.line, told(&row.what))))
            .collect()
    }

    fn told(what: &SubjectRowWhat) -> String {
        match what {
            SubjectRowWhat::Hold(hold) => {
                let subject = hold.subject.expose();
                format!("{subject} hold {} {:?}", hold.hold, hold.reference)
            }
            SubjectRowWhat::Date(date) => {
                format!(
                    "{} date {} {}",
                    date.subject.expose(),
                    date.date,
                    date.value
                )
            }
            SubjectRowWhat::Reference(wish) => format!(
                "{} {} {} {:?} {:?}",
                wish.subject.as_ref().unwrap().expose(),
                wish.kind,
                wish.reference,
                wish.purposes,
                wish.until
            ),
        }
    }

    const FILE: &str = "\u{feff}subject,what,id,value,reference,purposes\r\n\
        s-1,hold,stop,,R-1,\r\n\
        \r\n\
        \"s, 2\",date,end,2031-04-01,,\n\
        s-3,consent,C-1,2031-04-01T00:00:00Z,,news; sale\n\
        '=s-4,hold,stop,,,";

    #[test]
    fn rows_come_as_they_were_written_however_they_are_cut() {
        let expected = [
            (2, "s-1 hold stop Some(\"R-1\")"),
            (4, "s, 2 date end 2031-04-01T14:59:59.999999Z"),
            (
                5,
                "s-3 CONSENT C-1 [\"news\", \"sale\"] Some(2031-04-01T00:00:00Z)",
            ),
            (6, "=s-4 hold stop None"),
        ];
        for size in [1, 2, 7, 64, 4_096] {
            let pieces: Vec<&[u8]> = FILE.as_bytes().chunks(size).collect();
            let found: Vec<(u32, String)> = read(&pieces).into_iter().map(Result::unwrap).collect();
            let found: Vec<(u32, &str)> = found.iter().map(|(n, text)| (*n, &**text)).collect();
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_column_and_the_rest_is_read() {
        let long = "x".repeat(LINE_MAX + 1);
        let bad = [
            ("s-1,hold", "", "expected 6 columns, found 2"),
            (",hold,stop,,,", "subject", "is missing"),
            ("s-1,hold,stop,2031-01-01,,", "value", "a hold has none"),
            (
                "s-1,date,end,soon,,",
                "value",
                "is no instant (RFC 3339) and no day (2026-01-31)",
            ),
            (
                "s-1,date,end,,,",
                "value",
                "is no instant (RFC 3339) and no day (2026-01-31)",
            ),
            (
                "s-1,release,stop,,,",
                "what",
                "is not taken from a file: a release needs an administrator, hold by hold, and a withdrawal is made one by one",
            ),
            (
                "s-1,konsent,C,,,",
                "what",
                "\"konsent\" is none of hold, date, notice, engagement, consent, request, order",
            ),
            ("s-1,\"hold,stop,,,", "", "has a quote that is never closed"),
        ];
        let mut text = "subject,what,id,value,reference,purposes\n".to_owned();
        for (line, ..) in bad {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&long);
        text.push_str("\ns-9,hold,stop,,,\n");
        let bytes = [text.as_bytes(), b"\xff\n", b"s-10,hold,stop,,,"].concat();
        let mut found = read(&[&bytes]).into_iter();
        for (line, (_, column, what)) in (2..).zip(bad) {
            let wrong = found.next().unwrap().unwrap_err();
            assert_eq!(wrong, [(line, column, what.to_owned())]);
        }
        assert!(
            found.next().unwrap().unwrap_err()[0]
                .2
                .contains("is over 16384 bytes")
        );
        assert_eq!(found.next().unwrap().unwrap().0, 11);
        assert!(found.next().unwrap().unwrap_err()[0].2.contains("UTF-8"));
        assert_eq!(found.next().unwrap().unwrap().0, 13);
        assert!(found.next().is_none());
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
            assert!(
                found[0].as_ref().unwrap_err()[0].2.contains(what),
                "{found:?}"
            );
        }
    }
}

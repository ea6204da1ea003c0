//! pack.toml with slips of its form in it: what is whole is read all the same, so that one missing quote doesn't hide what else is
//! wrong. A section with a slip is left out whole, since nobody knows what it says: to tell more of it would be guessing.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::DeTable;

use super::faults::{FileFaults, Place};
use super::kinds::Kind;

/// So many sections are left out one after another before all is. Each costs reading the file once more.
const LEFT_OUT_MAX: usize = 100;

/// The text with its unreadable sections blanked, byte by byte, so that everything else is where it was. What makes them unreadable is
/// told. A key that is there twice leaves its section readable: the first one is meant.
pub(super) fn readable<'t>(text: &'t str, faults: FileFaults<'_>) -> Cow<'t, str> {
    let sections = sections(text);
    let mut whole = Cow::Borrowed(text);
    if slips(text, 0).any(|slip| !slip.leaves_whole(text)) {
        // Each by itself: what one leaves open would take the next ones with it.
        for section in &sections {
            let alone = text.get(section.clone()).unwrap_or_default().trim_end();
            let found: Vec<Slip> = slips(alone, section.start).collect();
            if found.iter().any(|slip| slip.kind == Kind::NotToml) {
                tell(&found, text, faults);
                whole = Cow::Owned(without(&whole, section.clone(), faults));
            }
        }
    }
    // What only the whole shows: a section that is there twice.
    for _ in 0..LEFT_OUT_MAX {
        let found: Vec<Slip> = slips(&whole, 0).collect();
        let first = found.iter().find(|slip| !slip.leaves_whole(&whole));
        let Some(first) = first else {
            tell(&found, text, faults);
            return whole;
        };
        let Some(section) = section_at(&sections, first.at, &whole) else {
            break;
        };
        tell(std::slice::from_ref(first), text, faults);
        whole = Cow::Owned(without(&whole, section, faults));
    }
    let all = 0..whole.len();
    Cow::Owned(without(&whole, all, faults))
}

/// Where a text is not TOML.
struct Slip {
    at: usize,
    place: Place,
    kind: Kind,
    message: String,
}

impl Slip {
    /// Whether its section says all the same what it says: a key of it is there twice, and the first one is meant.
    fn leaves_whole(&self, text: &str) -> bool {
        let line = text.get(line_at(text, self.at)).unwrap_or_default();
        self.kind == Kind::DuplicateKey && !line.trim_start().starts_with('[')
    }
}

/// The slips of a part that begins at a byte, in their order.
fn slips(part: &str, from: usize) -> impl Iterator<Item = Slip> {
    let (_, errors) = DeTable::parse_recoverable(part);
    let mut slips: Vec<Slip> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or_default();
            let span = span.start + from..span.end + from;
            Slip {
                at: span.start,
                place: Place::span(span),
                kind: match error.message() {
                    "duplicate key" => Kind::DuplicateKey,
                    _ => Kind::NotToml,
                },
                message: error.message().to_owned(),
            }
        })
        .collect();
    slips.sort_by_key(|slip| slip.at);
    slips.into_iter()
}

/// Tells the first slip of each line: the others of it follow from that.
fn tell(slips: &[Slip], text: &str, faults: FileFaults<'_>) {
    let mut last_line = None;
    for slip in slips {
        let line = line_at(text, slip.at).start;
        if last_line.replace(line) != Some(line) {
            faults.tell(slip.place, slip.kind, &[&slip.message]);
        }
    }
}

/// Blanks a part, and lets its words be known as lost.
fn without(text: &str, part: Range<usize>, faults: FileFaults<'_>) -> String {
    let (before, rest) = text.split_at(part.start);
    let (lost, after) = rest.split_at(part.len());
    faults.lose(lost);
    let blank = lost
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    before.chars().chain(blank).chain(after.chars()).collect()
}

/// Where the line of a byte is.
fn line_at(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at);
    let (before, after) = text.split_at(at);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| at + end);
    start..end
}

/// Where each section begins, from what stands before the first.
fn sections(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let name = line.strip_prefix("[[").or_else(|| line.strip_prefix('['));
        if name.is_some_and(|name| name.starts_with(|first: char| first.is_ascii_alphabetic())) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let sections = starts.iter().copied().zip(ends);
    sections.map(|(start, end)| start..end).collect()
}

/// The section that a byte is in; the last before it that isn't blanked yet, where what is missed at the end of the file was opened
/// further up.
fn section_at(sections: &[Range<usize>], at: usize, text: &str) -> Option<Range<usize>> {
    let next = sections.partition_point(|section| section.start <= at);
    let mut before = sections.iter().take(next).rev();
    let is_left = |section: &&Range<usize>| {
        let section = text.get((*section).clone());
        section.is_some_and(|section| !section.trim().is_empty())
    };
    before.find(is_left).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::faults::{PackFile, told_of};
    use super::*;

    fn read(text: &str) -> (String, String) {
        let mut whole = String::new();
        let told = told_of(PackFile::Pack, text, |text, faults| {
            whole = readable(text, faults).into_owned();
        });
        (whole, told)
    }

    #[test]
    fn what_is_whole_stays_where_it_is() {
        let text = "[a]\nx = 1\n[b\ny = 2\n[[c]]\nz = [1,\n[[d]]\nw = 所\n[e]\nv = 1\nv = 2\n";
        let (whole, told) = read(text);
        assert_eq!(whole.len(), text.len());
        let kept: Vec<&str> = whole.split_whitespace().collect();
        assert_eq!(kept.join(" "), "[a] x = 1 [e] v = 1 v = 2", "{told}");
        assert_eq!(whole.find("[e]"), text.find("[e]"));
        for place in [":3:", ":6:", ":8:", ":11:1: error[duplicate-key]"] {
            assert!(told.contains(place), "{place} in {told}");
        }
        assert!(!told.contains(":10:"), "{told}");
    }

    #[test]
    fn what_is_open_takes_its_own_section_with_it_and_no_other() {
        let text = "[[a]]\nx = \"\"\"\n".repeat(301) + "[b]\ny = 1\n";
        let (whole, told) = read(&text);
        assert_eq!(whole.trim(), "[b]\ny = 1");
        assert_eq!(told.lines().count(), 301);
        // So very many are no slips any more.
        let text = "[a]\n".repeat(1_001);
        let (whole, told) = read(&text);
        assert_eq!((whole.trim(), whole.len()), ("", text.len()));
        assert!(told.contains("duplicate-key"), "{told}");
    }

    #[test]
    fn a_text_without_slips_is_not_touched() {
        let text = "a = [\n[1],\n]\n[b]\nx = \"[c\"\n";
        assert_eq!(read(text), (text.to_owned(), String::new()));
    }
}

//! The one form of CSV that a pack has: fields between commas, no quotes. Narrower than what casbin takes, so that both can only
//! read the same.

use super::faults::FileFaults;
use super::kinds::Kind;

/// A line that is neither empty nor a comment.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: u32,
    /// At least one; without the spaces around them.
    pub(super) fields: Vec<&'a str>,
}

/// The lines of a file; what is no such line is told and left out. Line ends may be LF or CRLF.
pub(super) fn lines<'a>(text: &'a str, faults: FileFaults<'_>) -> Vec<Line<'a>> {
    (1_u32..)
        .zip(text.split('\n'))
        .filter_map(|(number, line)| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = line.trim_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            if line.contains('"') {
                faults.tell(number, Kind::Quote, &[]);
                return None;
            }
            if line.contains(|character: char| character.is_control() && character != '\t') {
                faults.tell(number, Kind::ControlCharacter, &[]);
                return None;
            }
            let fields = line
                .split(',')
                .map(|field| field.trim_matches([' ', '\t']))
                .collect();
            Some(Line { number, fields })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::faults::{PackFile, told_of};
    use super::*;

    #[test]
    fn comments_and_line_ends_of_both_kinds_are_passed_over() {
        let text = "# a, b\r\n\r\n  x ,\ty,\r\n\t# c\nz";
        let told = told_of(PackFile::Policy, text, |text, faults| {
            let read: Vec<_> = lines(text, faults)
                .into_iter()
                .map(|line| (line.number, line.fields))
                .collect();
            assert_eq!(read, [(3, vec!["x", "y", ""]), (5, vec!["z"])]);
        });
        assert_eq!(told, "");
    }

    #[test]
    fn what_other_readers_could_read_otherwise_is_told() {
        let text = "a,\"b\"\nc\rd\ne\u{0}";
        let told = told_of(PackFile::Policy, text, |text, faults| {
            assert!(lines(text, faults).is_empty());
        });
        assert_eq!(
            told,
            "policy.csv:1:1: error[quote]: has a quote: fields stand between commas as they are\n\
             policy.csv:2:1: error[control-character]: has a control character\n\
             policy.csv:3:1: error[control-character]: has a control character"
        );
    }
}

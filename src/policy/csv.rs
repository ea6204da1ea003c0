//! The one form of CSV that a pack has: fields between commas, no quotes. Narrower than what casbin takes, so that both can only
//! read the same.

use super::errors::FileFaults;

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
                faults.tell(number, || {
                    "has a quote: fields stand between commas as they are".into()
                });
                return None;
            }
            if line.contains(|character: char| character.is_control() && character != '\t') {
                faults.tell(number, || "has a control character".into());
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
    use super::super::errors::{Faults, PackFile};
    use super::*;
    use std::path::Path;

    #[test]
    fn comments_and_line_ends_of_both_kinds_are_passed_over() {
        let faults = Faults::default();
        let read = lines(
            "# a, b\r\n\r\n  x ,\ty,\r\n\t# c\nz",
            faults.of(PackFile::Policy),
        );
        let read: Vec<_> = read
            .into_iter()
            .map(|line| (line.number, line.fields))
            .collect();
        assert_eq!(read, [(3, vec!["x", "y", ""]), (5, vec!["z"])]);
        assert!(faults.is_empty());
    }

    #[test]
    fn what_other_readers_could_read_otherwise_is_told() {
        let faults = Faults::default();
        assert!(lines("a,\"b\"\nc\rd\ne\u{0}", faults.of(PackFile::Policy)).is_empty());
        assert_eq!(
            faults.into_errors(Path::new("")).to_string(),
            "policy.csv:1: has a quote: fields stand between commas as they are\n\
             policy.csv:2: has a control character\npolicy.csv:3: has a control character"
        );
    }
}

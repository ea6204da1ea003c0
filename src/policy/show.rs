//! A finding as a terminal shows it: with the line that it is about, and what is meant underlined.

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};

use super::finding::Finding;
use super::kinds::Severity;
use crate::domain::text::is_unsafe;

/// A line further down is told without being drawn: what draws counts lines from the first, so that it is given them all, empty.
const LINE_MAX: u32 = 100_000;
/// A longer line is shown so far; what is meant beyond that is told without it.
pub(super) const EXCERPT_MAX_CHARACTERS: usize = 500;
const TAB: usize = 4;

impl Finding {
    /// Some lines, the last without an end: the message, its place, the line of the file with a mark, and what may be meant. Where
    /// there is no line to show, as [`Finding::plain`].
    #[must_use]
    pub fn pretty(&self, japanese: bool, colours: bool) -> String {
        self.drawn(japanese, colours)
            .unwrap_or_else(|| harmless(&self.plain(japanese)))
    }

    fn drawn(&self, japanese: bool, colours: bool) -> Option<String> {
        let excerpt = harmless(self.excerpt.as_deref()?);
        let from = (self.column as usize).checked_sub(1)?;
        let all = excerpt.chars().count();
        if from >= all.max(1) || self.line > LINE_MAX {
            return None;
        }
        let to = from.saturating_add(self.length as usize).min(all);
        let above = (self.line as usize).checked_sub(1)?;
        let (name, colour) = match (self.severity, japanese) {
            (Severity::Error, false) => ("error", Color::Red),
            (Severity::Error, true) => ("エラー", Color::Red),
            (Severity::Warning, false) => ("warning", Color::Yellow),
            (Severity::Warning, true) => ("警告", Color::Yellow),
        };
        let message = if japanese {
            &self.message_ja
        } else {
            &self.message
        };
        let file = harmless(&self.file.display().to_string());
        let span = (file.clone(), above + from..above + to.max(from));
        let config = Config::new()
            .with_color(colours)
            .with_char_set(CharSet::Unicode)
            .with_index_type(IndexType::Char)
            .with_tab_width(TAB);
        let mut report = Report::build(ReportKind::Custom(name, colour), span.clone())
            .with_config(config)
            .with_code(self.code)
            .with_message(harmless(message));
        let hint = self.hint(japanese).unwrap_or_default();
        let label = Label::new(span).with_color(colour);
        report = report.with_label(label.with_message(harmless(&hint)));
        let source = Source::from("\n".repeat(above) + excerpt.as_str());
        let mut drawn = Vec::new();
        report.finish().write((file, source), &mut drawn).ok()?;
        let drawn = String::from_utf8(drawn).ok()?;
        let drawn = drawn.trim_end();
        Some(if colours {
            drawn.to_owned()
        } else {
            uncoloured(drawn)
        })
    }
}

/// Without the colour of a kind of one's own, which is drawn whatever the configuration says; all other text is harmless.
fn uncoloured(drawn: &str) -> String {
    let mut pieces = drawn.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
}

/// What could steer a terminal becomes U+FFFD; a tabulator stays.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => '\t',
            other if is_unsafe(other) => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(excerpt: &str, column: u32, length: u32) -> Finding {
        Finding {
            severity: Severity::Error,
            code: "unknown-id",
            file: "p/pack.toml".into(),
            line: 7,
            column,
            length,
            message: "role \"nurse\": unknown network \"ofice\"".into(),
            message_ja: "role \"nurse\": \"ofice\" というネットワークはありません".into(),
            suggestion: Some("office".into()),
            excerpt: Some(excerpt.into()),
        }
    }

    #[test]
    fn the_line_is_shown_and_what_is_meant_underlined() {
        let shown = finding("networks = [\"ofice\"]", 13, 7).pretty(false, false);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "[unknown-id] error: role \"nurse\": unknown network \"ofice\"",
                "   ╭─[ p/pack.toml:7:13 ]",
                "   │",
                " 7 │ networks = [\"ofice\"]",
                "   │             ───┬───",
                "   │                ╰───── did you mean \"office\"?",
                "───╯",
            ],
            "{shown}"
        );
        let shown = finding("networks = [\"ofice\"]", 13, 7).pretty(true, false);
        assert!(
            shown.contains("エラー: role \"nurse\": \"ofice\" という"),
            "{shown}"
        );
        assert!(shown.contains("\"office\" のことですか?"), "{shown}");
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let one = finding("networks = [\"ofice\"]", 13, 7);
        assert!(one.pretty(false, true).contains('\u{1b}'));
        assert!(!one.pretty(false, false).contains('\u{1b}'));
    }

    #[test]
    fn nothing_of_a_pack_steers_the_terminal() {
        let mut hostile = finding("a\u{1b}[2J\u{202e}\u{2028}b\rc\u{85}d\te", 2, 4);
        hostile.message = "\u{1b}]0;x\u{7}".into();
        hostile.file = "p\u{1b}/pack.toml".into();
        for colours in [false, true] {
            let shown = hostile.pretty(false, colours);
            assert!(
                !shown.contains("\u{1b}[2J") && !shown.contains("\u{1b}]"),
                "{shown:?}"
            );
            assert!(
                !shown.contains(['\r', '\u{85}', '\u{2028}', '\u{202e}']),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn what_has_no_line_or_is_beyond_it_is_told_plainly() {
        for (excerpt, column, length) in [("", 1, 1), ("所", 1, 9), ("a", 2, 1), ("", 0, 0)] {
            let shown = finding(excerpt, column, length).pretty(false, false);
            assert!(shown.contains("unknown network"), "{shown}");
        }
        let mut whole = finding("", 0, 0);
        whole.line = 0;
        assert_eq!(whole.pretty(false, false), whole.plain(false));
    }
}

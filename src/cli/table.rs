//! Lines on a terminal: made harmless, measured as a terminal shows them, cut to what fits.

use std::ffi::OsString;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthChar;

use super::words::{Language, Word};
use crate::export::is_unsafe;

/// Between two columns.
const GAP: usize = 1;
/// What a terminal may claim to be wide; more is a mistake.
const WIDTH_MAX: usize = 10_000;
/// Where there is no edge, cells are never cut, but a single long one doesn't move all others to the right either.
const PADDED_MAX: usize = 48;
/// Stands for a character that may not reach the terminal.
const REPLACEMENT: char = '\u{fffd}';

/// Text from anywhere, safe to print on one line: what [`is_unsafe`] becomes U+FFFD.
pub(super) fn neutralise(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_unsafe(character) {
                REPLACEMENT
            } else {
                character
            }
        })
        .collect()
}

/// How many columns of a terminal a text fills; full-width characters fill two.
pub(super) fn width(text: &str) -> usize {
    text.chars()
        .map(|character| character.width().unwrap_or(0))
        .fold(0, usize::saturating_add)
}

/// The text, cut to `room` columns with an ellipsis where it is wider.
fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .map_while(|character| {
            left = left.checked_sub(character.width().unwrap_or(0))?;
            Some(character)
        })
        .collect();
    if room > 0 {
        kept.push('…');
    }
    kept
}

/// What standard output shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// Columns; `None` where there is no edge to fit into.
    pub(super) width: Option<usize>,
    /// Whether it shows colours, and whether they are wanted.
    pub(super) colours: bool,
}

impl Screen {
    /// Looks at standard output and at `COLUMNS`, `NO_COLOR` (no-color.org) and `TERM`.
    pub(super) fn of_output(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let measured = if terminal {
            rustix::termios::tcgetwinsize(std::io::stdout())
                .ok()
                .map(|size| usize::from(size.ws_col))
        } else {
            None
        };
        Self::of(terminal, measured, environment)
    }

    fn of(
        terminal: bool,
        measured: Option<usize>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let told = set("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
        let dumb = set("TERM").is_some_and(|kind| kind == "dumb");
        Self {
            width: told
                .or(measured)
                .filter(|columns| (1..=WIDTH_MAX).contains(columns)),
            colours: terminal && !dumb && set("NO_COLOR").is_none(),
        }
    }
}

/// How a cell stands out, where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Not at all.
    Plain,
    /// Allowed.
    Good,
    /// Denied.
    Bad,
    /// To be looked at.
    Warning,
}

/// One cell, made harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with text from anywhere.
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self {
            text: neutralise(text),
            tone,
        }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its head.
    pub(super) head: &'static str,
    /// Never cut below this width.
    pub(super) least: usize,
    /// Its width when nothing is known yet of what comes.
    pub(super) usual: usize,
    /// Numbers stand at the right.
    pub(super) right: bool,
}

impl Column {
    /// One with words in it.
    pub(super) const fn of(head: Word, least: usize, language: Language) -> Self {
        Self {
            head: head.text(language),
            least,
            usual: 12,
            right: false,
        }
    }
}

/// Heads and rows, as standard output shows them, where all rows are there.
pub(super) fn drawn(columns: &[Column], rows: &[Vec<Cell>]) -> Vec<String> {
    let screen = Screen::of_output(|name| std::env::var_os(name));
    let table = Table::new(columns, rows, screen);
    std::iter::once(table.heads())
        .chain(rows.iter().map(|row| table.line(row)))
        .collect()
}

/// Columns with their widths. They stay as they are once chosen, so that what comes later stands below what came before.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(Column, usize)>,
    screen: Screen,
}

/// A column's width while widths are chosen.
struct Width {
    now: usize,
    least: usize,
    /// None of the rows has anything there.
    empty: bool,
}

/// Takes columns off until all fit `room` or are at their least: from those with nothing in them first, then from the widest.
fn narrow(widths: &mut [Width], room: usize) {
    loop {
        let total = widths
            .iter()
            .map(|width| width.now)
            .fold(0, usize::saturating_add);
        let next = widths
            .iter_mut()
            .filter(|width| width.now > width.least)
            .max_by_key(|width| (width.empty, width.now));
        match next {
            Some(width) if total > room => width.now = width.now.saturating_sub(1),
            _ => return,
        }
    }
}

impl Table {
    /// Chooses widths by the first rows, or the usual ones where there are none yet, and narrows the widest columns until a
    /// line fits the screen. A screen narrower than all columns at their least gets lines that it wraps.
    pub(super) fn new(columns: &[Column], rows: &[Vec<Cell>], screen: Screen) -> Self {
        let mut widths: Vec<Width> = columns
            .iter()
            .enumerate()
            .map(|(position, column)| {
                let cells = rows.iter().filter_map(|row| row.get(position));
                let content = cells
                    .map(|cell| width(&cell.text))
                    .max()
                    .unwrap_or(column.usual);
                Width {
                    now: content
                        .min(screen.width.unwrap_or(PADDED_MAX))
                        .max(width(column.head)),
                    least: column.least,
                    empty: content == 0,
                }
            })
            .collect();
        if let Some(edge) = screen.width {
            let gaps = columns.len().saturating_sub(1).saturating_mul(GAP);
            narrow(&mut widths, edge.saturating_sub(gaps));
        }
        let columns = columns
            .iter()
            .zip(widths)
            .map(|(column, width)| (*column, width.now))
            .collect();
        Self { columns, screen }
    }

    /// The heads.
    pub(super) fn heads(&self) -> String {
        let heads: Vec<Cell> = self
            .columns
            .iter()
            .map(|(column, _)| Cell::new(column.head, Tone::Plain))
            .collect();
        self.line(&heads)
    }

    /// One row, without the end of the line. Without an edge to fit into, nothing is cut.
    pub(super) fn line(&self, cells: &[Cell]) -> String {
        let mut line = String::new();
        let last = self.columns.len().saturating_sub(1);
        for (position, ((column, room), cell)) in self.columns.iter().zip(cells).enumerate() {
            let text = match self.screen.width {
                Some(_) => cut(&cell.text, *room),
                None => cell.text.clone(),
            };
            let space = " ".repeat(room.saturating_sub(width(&text)));
            let text = self.toned(&text, cell.tone);
            if column.right {
                line.push_str(&space);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                if position != last {
                    line.push_str(&space);
                }
            }
            if position != last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        // Columns that are empty leave no blanks at the end.
        line.truncate(line.trim_end_matches(' ').len());
        line
    }

    fn toned(&self, text: &str, tone: Tone) -> String {
        let colour = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warning => "33",
        };
        if self.screen.colours {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column {
            head: "N",
            least: 3,
            usual: 4,
            right: true,
        },
        Column {
            head: "WHO",
            least: 4,
            usual: 12,
            right: false,
        },
        Column {
            head: "WHY",
            least: 4,
            usual: 12,
            right: false,
        },
    ];

    fn row(cells: [&str; 3]) -> Vec<Cell> {
        cells
            .iter()
            .map(|text| Cell::new(text, Tone::Plain))
            .collect()
    }

    fn screen(width: Option<usize>) -> Screen {
        Screen {
            width,
            colours: false,
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "a\u{1b}]0;x\u{7}b\u{9b}31mc\r\nd\u{202e}e\u{7f}f\u{2028}g\u{e0041}";
        let safe = neutralise(hostile);
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        assert_eq!(safe.chars().count(), hostile.chars().count());
        assert_eq!(neutralise("求職者 – café 👩‍💻"), "求職者 – café 👩‍💻");
    }

    #[test]
    fn japanese_characters_fill_two_columns() {
        assert_eq!(width("求職者"), 6);
        assert_eq!(width("ｶﾅ"), 2);
        assert_eq!(cut("求職者の連絡先", 8), "求職者…");
        assert_eq!(width(&cut("求職者の連絡先", 8)), 7);
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn every_line_fits_the_screen_and_columns_stay_in_line() {
        let rows = vec![
            row(["7", "高橋さくら", "IP_NOT_ALLOWED"]),
            row([
                "12345",
                "s.takahashi-with-a-long-id",
                "求職者の同意がありません",
            ]),
        ];
        for room in 20..60 {
            let table = Table::new(&COLUMNS, &rows, screen(Some(room)));
            for cells in &rows {
                assert!(width(&table.line(cells)) <= room, "{room}");
            }
        }
        let table = Table::new(&COLUMNS, &rows, screen(Some(30)));
        let starts: Vec<usize> = rows
            .iter()
            .map(|cells| {
                let line = table.line(cells);
                let (before, _) = line.split_once(['I', '求']).unwrap();
                width(before)
            })
            .collect();
        assert_eq!(starts[0], starts[1]);
    }

    #[test]
    fn without_an_edge_nothing_is_cut() {
        let table = Table::new(&COLUMNS, &[], screen(None));
        let long = "x".repeat(300);
        assert!(table.line(&row(["1", &long, "y"])).contains(&long));
        assert_eq!(table.heads(), "   N WHO          WHY");
    }

    #[test]
    fn columns_with_nothing_in_them_give_way_first() {
        let rows = vec![row(["1", "", "0123456789"])];
        let columns = [
            COLUMNS[0],
            Column {
                head: "PURPOSE OF USE",
                ..COLUMNS[1]
            },
            COLUMNS[2],
        ];
        let table = Table::new(&columns, &rows, screen(Some(19)));
        assert_eq!(table.line(&rows[0]), "1        0123456789");
        assert_eq!(table.heads(), "N PURPO… WHY");
    }

    #[test]
    fn one_long_cell_does_not_pad_all_lines_of_a_pipe() {
        let rows = vec![row(["1", &"x".repeat(9_000), "y"]), row(["2", "a", "b"])];
        let table = Table::new(&COLUMNS, &rows, screen(None));
        assert!(table.line(&rows[1]).len() < 100);
        assert!(table.line(&rows[0]).len() > 9_000);
    }

    #[test]
    fn a_cell_that_came_later_is_cut_to_the_columns_chosen_before() {
        let table = Table::new(&COLUMNS, &[row(["1", "abcd", "e"])], screen(Some(80)));
        assert_eq!(table.line(&row(["2", "abcdefgh", "i"])), "2 abc… i");
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let none = |_: &str| None;
        assert!(Screen::of(true, None, none).colours);
        assert!(!Screen::of(false, None, none).colours);
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let screen = Screen::of(true, None, |asked| (asked == name).then(|| value.into()));
            assert!(!screen.colours, "{name}");
        }
        let coloured = Screen {
            width: None,
            colours: true,
        };
        let table = Table::new(&COLUMNS, &[], coloured);
        let line = table.line(&[Cell::new("\u{1b}[1m", Tone::Bad)]);
        assert!(line.contains("\u{1b}[31m\u{fffd}[1m\u{1b}[0m"), "{line:?}");
    }

    #[test]
    fn columns_told_by_the_environment_go_before_the_measured_ones() {
        let told = |name: &str| (name == "COLUMNS").then(|| "132".into());
        assert_eq!(Screen::of(true, Some(80), told).width, Some(132));
        assert_eq!(Screen::of(true, Some(80), |_| None).width, Some(80));
        assert_eq!(Screen::of(true, Some(0), |_| None).width, None);
    }
}

//! HTML that prints: one file without scripts and without anything from elsewhere. Text gets in by [`Page::text`] and what builds on it
//! alone, and is escaped there.

use std::fmt::Write as _;

use super::Language;
use crate::export::is_unsafe;

const STYLE: &str = "\
@page{size:A4 landscape;margin:12mm}\
body{font:10pt/1.5 'Noto Sans JP','Hiragino Sans','Yu Gothic',Meiryo,sans-serif;color:#111;margin:2em auto;max-width:80em;padding:0 1em}\
h1{font-size:16pt;margin:0 0 .3em}h2{font-size:12pt;margin:1.6em 0 .4em}\
p{margin:.3em 0}table{border-collapse:collapse;width:100%;margin:.4em 0}\
th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:#eee}thead{display:table-header-group}tr{break-inside:avoid}\
.first{break-after:page}.warn{font-weight:bold;background:#fde8e8}.note{color:#444}\
@media print{body{margin:0;max-width:none;padding:0}}";

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    html: String,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    lines: Vec<String>,
    warns: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::lines(vec![text.into()])
    }

    /// One below the other.
    pub(super) const fn lines(lines: Vec<String>) -> Self {
        Self {
            lines,
            warns: false,
        }
    }

    /// One that stands out, in print too.
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            warns: true,
            ..Self::new(text)
        }
    }
}

impl Page {
    pub(super) fn new(title: &str, language: Language) -> Self {
        let mut page = Self {
            html: String::new(),
        };
        let lang = language.of("en", "ja");
        page.raw("<!DOCTYPE html>\n<html lang=\"");
        page.raw(lang);
        page.raw("\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n");
        // Nothing is fetched and nothing runs, whatever a text may say.
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
        page.text(title);
        page.raw("</title>\n<style>");
        page.raw(STYLE);
        page.raw("</style>\n</head>\n<body>\n");
        page
    }

    pub(super) fn finish(mut self) -> String {
        self.raw("</body>\n</html>\n");
        self.html
    }

    fn raw(&mut self, html: &'static str) {
        self.html.push_str(html);
    }

    /// Text from anywhere.
    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                // What a terminal or a reader's eye would be misled by.
                other if is_unsafe(other) => self.raw("\u{fffd}"),
                other => self.html.push(other),
            }
        }
    }

    pub(super) fn heading(&mut self, level: u8, text: &str) {
        // Numbers need no escaping; the level is one digit.
        let level = level.clamp(1, 6);
        let _ = write!(self.html, "<h{level}>");
        self.text(text);
        let _ = writeln!(self.html, "</h{level}>");
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.raw("<p>");
        self.text(text);
        self.raw("</p>\n");
    }

    pub(super) fn note(&mut self, text: &str) {
        self.raw("<p class=\"note\">");
        self.text(text);
        self.raw("</p>\n");
    }

    /// What is within is on a sheet of its own.
    pub(super) fn sheet(&mut self, within: impl FnOnce(&mut Self)) {
        self.raw("<section class=\"first\">\n");
        within(self);
        self.raw("</section>\n");
    }

    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<Cell>]) {
        self.begin_table(heads);
        for row in rows {
            self.row(row);
        }
        self.end_table();
    }

    /// A table whose rows come one by one.
    pub(super) fn begin_table(&mut self, heads: &[&str]) {
        self.raw("<table>\n<thead><tr>");
        for head in heads {
            self.raw("<th>");
            self.text(head);
            self.raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
    }

    pub(super) fn row(&mut self, cells: &[Cell]) {
        self.raw("<tr>");
        for cell in cells {
            self.raw(if cell.warns {
                "<td class=\"warn\">"
            } else {
                "<td>"
            });
            for (number, line) in cell.lines.iter().enumerate() {
                if number > 0 {
                    self.raw("<br>");
                }
                self.text(line);
            }
            self.raw("</td>");
        }
        self.raw("</tr>\n");
    }

    pub(super) fn end_table(&mut self) {
        self.raw("</tbody>\n</table>\n");
    }

    /// What was written since the last time: a long page needs not be in memory as a whole.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.html)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(text: &str) -> String {
        let mut page = Page::new(text, Language::Japanese);
        page.heading(1, text);
        page.paragraph(text);
        page.note(text);
        page.sheet(|page| page.table(&[text], &[vec![Cell::new(text), Cell::warning(text)]]));
        page.finish()
    }

    #[test]
    fn whatever_a_text_says_it_stays_text() {
        let html = page("<script>alert('x')</script>\"&\u{202e}");
        assert!(
            !html.contains("<script") && !html.contains('\u{202e}'),
            "{html}"
        );
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}")
        );
    }

    proptest! {
        #[test]
        fn no_text_opens_or_closes_a_tag(text in any::<String>()) {
            let tags = |html: &str| html.matches(['<', '>']).count();
            prop_assert_eq!(tags(&page(&text)), tags(&page("")));
        }
    }
}

//! Pieces of a page: one that shows and prints by itself, without a script, a font or an image from anywhere.

use super::Language;
use crate::export::is_unsafe;

/// Nothing is loaded and nothing runs, whatever a browser is told to.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = "\
body{font:11pt/1.6 sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#000;background:#fff}\
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em}\
table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #777;padding:.3em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:#eee}thead{display:table-header-group}tr{break-inside:avoid}\
p.note{color:#333;font-size:.9em}\
@page{margin:15mm}@media print{body{margin:0;max-width:none;font-size:9pt}th{background:none}}";

/// Text for an element or an attribute in quotes. What would steer the reading becomes U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(' '),
            unsafe_one if is_unsafe(unsafe_one) => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The beginning of a page, up to its title.
pub(super) fn begin(title: &str, language: Language) -> String {
    let (title, tag) = (escape(title), language.tag());
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

/// The head of a table.
pub(super) fn table(heads: &[&str]) -> String {
    let cells: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{}</th>", escape(head)))
        .collect();
    format!("<table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n")
}

/// A row; in each cell its lines, those that are empty left out.
pub(super) fn row(cells: &[Vec<String>]) -> String {
    let cells: String = cells
        .iter()
        .map(|lines| {
            let lines: Vec<String> = lines
                .iter()
                .filter(|line| !line.is_empty())
                .map(|line| escape(line))
                .collect();
            format!("<td>{}</td>", lines.join("<br>"))
        })
        .collect();
    format!("<tr>{cells}</tr>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_becomes_markup() {
        let hostile = "<script>alert(1)</script>\" onload='x' &amp; \u{202e}";
        let escaped = escape(hostile);
        for bad in ['<', '>', '"', '\'', '\u{202e}'] {
            assert!(!escaped.contains(bad), "{escaped}");
        }
        assert!(escaped.contains("&amp;amp;"));
        assert!(!begin(hostile, Language::English).contains("<script>"));
        assert!(!row(&[vec![hostile.to_owned()]]).contains("<script>"));
    }
}

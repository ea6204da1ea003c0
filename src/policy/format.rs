//! The canonical form of a pack's files: how they are written, never what they mean. What other people wrote stays in its place:
//! order, comments, and the empty lines between groups.

/// Why a file can't be brought into its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// pack.toml has a text of several lines, within which blanks count.
    #[error(
        "has a text of several lines (\"\"\" or '''): write it on one line, or leave the file as it is"
    )]
    SeveralLines,
    /// It would mean something else, which must not be.
    #[error("would mean something else: left as it is")]
    OtherMeaning,
}

/// The most empty lines in a row.
const EMPTY_LINES_MAX: usize = 2;

/// Lines without blanks at their ends, at most two empty ones in a row, none at the beginning or the end; the last ends with a line
/// feed.
fn tidy(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    let mut empty = 0_usize;
    for line in lines {
        if line.is_empty() {
            empty = empty.saturating_add(1);
            continue;
        }
        if !text.is_empty() {
            for _ in 0..empty.min(EMPTY_LINES_MAX) {
                text.push('\n');
            }
        }
        empty = 0;
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Blanks as a pack's readers take them.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// The columns of each line, comments and empty lines left out: all that policy.csv says.
fn columns(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.split('\n').map(|line| line.trim_matches(BLANKS));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        line.split(',')
            .map(|column| column.trim_matches(BLANKS))
            .collect()
    })
}

/// policy.csv: one blank after each comma and none before, none around a line.
///
/// # Errors
/// When it would say something else than before.
pub fn policy_csv(text: &str) -> Result<String, FormatError> {
    let lines = text.split('\n').map(|line| {
        let line = line.trim_matches(BLANKS);
        if line.starts_with('#') {
            return line.to_owned();
        }
        let columns: Vec<&str> = line
            .split(',')
            .map(|one| one.trim_matches(BLANKS))
            .collect();
        columns.join(", ")
    });
    let formatted = tidy(lines);
    if columns(text).eq(columns(&formatted)) {
        Ok(formatted)
    } else {
        Err(FormatError::OtherMeaning)
    }
}

/// pack.toml: one blank around the `=` after a plain key and none in a header; lists stay as they are broken.
///
/// # Errors
/// When it has a text of several lines, or would say something else than before.
pub fn pack_toml(text: &str) -> Result<String, FormatError> {
    if text.contains("\"\"\"") || text.contains("'''") {
        return Err(FormatError::SeveralLines);
    }
    let formatted = tidy(text.split('\n').map(toml_line));
    let read = |text: &str| toml::from_str::<toml::Table>(text).ok();
    match (read(text), read(&formatted)) {
        (Some(old), Some(new)) if old == new => Ok(formatted),
        _ => Err(FormatError::OtherMeaning),
    }
}

fn toml_line(line: &str) -> String {
    let line = line.trim_end_matches(BLANKS);
    if let Some(header) = header(line) {
        return header;
    }
    let is_bare = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let plain = line.trim_end().split_once('=').and_then(|(key, value)| {
        // What is further in belongs to a list, or is how somebody aligned it.
        let key = key.trim_end_matches(BLANKS);
        let bare = !key.is_empty() && key.chars().all(is_bare);
        bare.then(|| format!("{key} = {}", value.trim_start_matches(BLANKS)))
    });
    plain.unwrap_or_else(|| line.to_owned())
}

/// `[[ service ]]` as `[[service]]`, with what stands after it.
fn header(line: &str) -> Option<String> {
    let inner = line.trim_start_matches(BLANKS);
    for (open, close) in [("[[", "]]"), ("[", "]")] {
        let Some((name, rest)) = inner
            .strip_prefix(open)
            .and_then(|rest| rest.split_once(close))
        else {
            continue;
        };
        let name = name.trim_matches(BLANKS);
        let bare = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        let after = rest.trim_matches(BLANKS);
        let is_header = !name.is_empty()
            && name.chars().all(bare)
            && (after.is_empty() || after.starts_with('#'));
        if !is_header {
            return None;
        }
        let gap = if after.is_empty() { "" } else { " " };
        return Some(format!("{open}{name}{close}{gap}{after}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_csv_has_one_blank_after_each_comma_and_keeps_comments_and_order() {
        let text = "\n\n# a,b \r\n\tp ,a,  b,READ , c,always,allow  \r\n\n\n\n\n#z\ng,a,b";
        let expected = "# a,b\np, a, b, READ, c, always, allow\n\n\n#z\ng, a, b\n";
        assert_eq!(policy_csv(text).unwrap(), expected);
        assert_eq!(policy_csv(expected).unwrap(), expected, "once is enough");
    }

    #[test]
    fn pack_toml_keeps_what_it_says() {
        let text = "# x \n  [[ service ]]   # y\nid=\"a = b\"\nblocks   =   [\n    \"10.0.0.0/8\",   \n  \"x\", # z\n]\n\n\n\n\n[pack]\na.b = 1\r\n";
        let expected = "# x\n[[service]] # y\nid = \"a = b\"\nblocks = [\n    \"10.0.0.0/8\",\n  \"x\", # z\n]\n\n\n[pack]\na.b = 1\n";
        assert_eq!(pack_toml(text).unwrap(), expected);
        assert_eq!(pack_toml(expected).unwrap(), expected, "once is enough");
        assert_eq!(
            pack_toml("a = \"\"\"\n  x  \n\"\"\""),
            Err(FormatError::SeveralLines)
        );
        assert_eq!(pack_toml("a = "), Err(FormatError::OtherMeaning));
        // A list whose items stand alone on a line is no header.
        let nested = "a = [\n[1],\n[ 2 ]\n]\n";
        assert_eq!(
            pack_toml(nested).map(|text| text.replace(' ', "")).unwrap(),
            nested.replace(' ', "")
        );
    }
}

//! What a command prints: lines on standard output, free of what a terminal would obey.

use std::io::Write as _;

use super::error::CliError;
use super::table::neutralise;
use super::words::Language;

/// Prints the lines.
///
/// # Errors
/// When standard output can't be written.
pub(super) fn print<S: AsRef<str>>(lines: &[S], language: Language) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", neutralise(line.as_ref()))
            .map_err(|error| CliError::of_output(&error, language))?;
    }
    out.flush()
        .map_err(|error| CliError::of_output(&error, language))
}

/// The same for a text of some lines.
///
/// # Errors
/// As for [`print()`].
pub(super) fn print_text(text: &str, language: Language) -> Result<(), CliError> {
    print(&text.lines().collect::<Vec<_>>(), language)
}

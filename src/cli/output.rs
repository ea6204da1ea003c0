//! What a command prints: lines on standard output, free of what a terminal would obey.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::path::Path;

use super::error::CliError;
use super::table::neutralise;
use super::words::Language;
use crate::files::NewFile;

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

/// Where text for other programs goes, as it is: to a new file of mode 0600, which is there when it is whole, or to standard output.
pub(super) enum Destination {
    File(BufWriter<NewFile>),
    Standard(BufWriter<Stdout>),
}

impl Destination {
    /// Begins a file at `path`, or takes standard output.
    ///
    /// # Errors
    /// When the file is there already, or can't be made.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, CliError> {
        Ok(match path {
            Some(path) => {
                let file = NewFile::create(path).map_err(|error| CliError::of_file(&error))?;
                Self::File(BufWriter::new(file))
            }
            None => Self::Standard(BufWriter::new(io::stdout())),
        })
    }

    /// Writes some of it.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn write(&mut self, text: &str, language: Language) -> Result<(), CliError> {
        match self {
            Self::File(file) => file.write_all(text.as_bytes()),
            Self::Standard(out) => out.write_all(text.as_bytes()),
        }
        .map_err(|error| CliError::of_output(&error, language))
    }

    /// The file is whole, and put in its place.
    ///
    /// # Errors
    /// When it can't be; then there is none.
    pub(super) fn finish(self, language: Language) -> Result<(), CliError> {
        match self {
            Self::File(file) => {
                let file = file
                    .into_inner()
                    .map_err(|error| CliError::of_output(error.error(), language))?;
                file.finish().map_err(|error| CliError::of_file(&error))
            }
            Self::Standard(mut out) => out
                .flush()
                .map_err(|error| CliError::of_output(&error, language)),
        }
    }
}

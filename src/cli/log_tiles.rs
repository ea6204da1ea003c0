//! `sekisho log export --tlog-tiles`: a log as files that others' verifiers read. Needs no daemon and no ticket, only the right
//! to read the log's files.

use std::path::PathBuf;

use super::error::{CliError, Fault};
use super::log_finding;
use super::log_verify::Teller;
use super::login::say;
use super::words::{Language, Word};
use crate::log::{ExportError, export_tiles};

/// Writes the log in `directory` into `out`.
///
/// # Errors
/// When `out` holds something, or there is no log that is whole up to its newest checkpoint.
pub(super) async fn export(
    out: PathBuf,
    directory: PathBuf,
    language: Language,
) -> Result<(), CliError> {
    let teller = Teller::new(false, language);
    let shown = out.display().to_string();
    let outcome = tokio::task::spawn_blocking(move || {
        let outcome = export_tiles(&directory, &out, &|progress| teller.tell(progress));
        teller.clear();
        outcome
    });
    let failed = |fault, error: &dyn std::fmt::Display| {
        CliError::new(fault, Word::CantExport, language, &[&error.to_string()])
    };
    let outcome = outcome
        .await
        .map_err(|error| failed(Fault::Internal, &error))?;
    match outcome {
        Ok(checkpoint) => {
            let values = [&*checkpoint.size.to_string(), &shown];
            say(&Word::ExportedTiles.fill(language, &values));
            Ok(())
        }
        Err(ExportError::Verify(error)) => Err(log_finding::failed(&error, language)),
        Err(ExportError::NotEmpty(_)) => Err(CliError::new(
            Fault::Output,
            Word::NotEmpty,
            language,
            &[&shown],
        )),
        Err(error) => {
            let fault = match error.exit_code() {
                65 => Fault::Refused,
                66 => Fault::NotFound,
                73 => Fault::Output,
                _ => Fault::Disk,
            };
            Err(failed(fault, &error))
        }
    }
}

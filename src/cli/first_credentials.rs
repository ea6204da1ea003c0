//! `people.json`: the passwords and seeds that `init` and `dev` drew, in clear, for those who hand them out. Delete it once
//! that is done.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::files;

const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// One person's first credentials.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstCredentials {
    pub(super) id: String,
    pub(super) password: String,
    /// Base32; absent for a person who has not enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) totp_secret: Option<String>,
}

/// Where `dev` keeps it, then where `init` does.
pub(super) fn places(data: &Path) -> [PathBuf; 2] {
    [data.join("dev/people.json"), data.join("init/people.json")]
}

pub(super) fn write(path: &Path, people: &[FirstCredentials]) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(people).map_err(Failure::cannot_create)?;
    files::write_private(path, text.as_bytes()).map_err(Failure::cannot_create)
}

pub(super) fn read(path: &Path) -> Result<Vec<FirstCredentials>, Failure> {
    let bytes = files::read_private(path, FILE_MAX_BYTES).map_err(Failure::configuration)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))
}

/// The credentials of one person, wherever they are kept.
pub(super) fn find(data: &Path, id: &str) -> Result<FirstCredentials, Failure> {
    for path in places(data) {
        if path.exists()
            && let Some(found) = read(&path)?.into_iter().find(|person| person.id == id)
        {
            return Ok(found);
        }
    }
    Err(Failure::new(
        66,
        format!(
            "no person {id:?} in {}/dev/people.json or {}/init/people.json",
            data.display(),
            data.display()
        ),
    ))
}

//! Whole packs: as they are shipped, as they must not be, and the compiled grants against casbin.

mod bad_packs;
mod casbin_agrees;
mod recruitment;

use std::path::{Path, PathBuf};

use super::*;

fn recruitment_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment")
}

fn recruitment() -> Pack {
    load(&recruitment_directory()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A copy of recruitment's files that may be spoilt.
fn copy_of_recruitment() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        let from = recruitment_directory().join(file);
        std::fs::copy(from, directory.path().join(file)).unwrap();
    }
    directory
}

/// Overwrites one file of a copy.
#[allow(clippy::disallowed_methods)]
fn write(directory: &Path, file: &str, contents: impl AsRef<[u8]>) {
    std::fs::write(directory.join(file), contents).unwrap();
}

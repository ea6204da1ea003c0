//! Imports that the log has and the store lacks, as after a restore of a backup that was made by other means: what is registered is
//! not all that there should be, so nothing is decided by it until the same rows were imported again.

use std::sync::Arc;

use crate::gate::Gate;
use crate::gate::running::upkeep::Task;
use crate::store::{LostImport, StoreError};

impl Gate {
    /// Reads which imports are lost.
    ///
    /// # Errors
    /// When the store can't be read; what was known of them stays.
    pub(in crate::gate) async fn read_lost_imports(&self) -> Result<usize, StoreError> {
        let lost = self.store.lost_imports().await?;
        let count = lost.len();
        self.upkeep.tell(Task::Imports, why(&lost));
        self.lost_imports.store(Arc::new(lost));
        Ok(count)
    }

    /// As [`Self::read_lost_imports`], where that may wait: it is tried again every minute.
    pub(in crate::gate) async fn look_for_lost_imports(&self) {
        if let Err(error) = self.read_lost_imports().await {
            tracing::warn!(%error, "whether imports of subjects are missing from the store is not known");
        }
    }

    /// Whether all that the log registered of subjects is known.
    #[must_use]
    pub fn knows_all_subjects(&self) -> bool {
        self.lost_imports.load().is_empty()
    }

    /// Whether these rows are those of an import that is lost.
    pub(super) fn is_lost(&self, rows: u64, digest: &[u8]) -> bool {
        let lost = self.lost_imports.load();
        lost.iter().any(|lost| lost.is(rows, digest))
    }
}

/// Says which files to look for.
fn why(lost: &[LostImport]) -> Option<String> {
    const SHOWN: usize = 8;
    if lost.is_empty() {
        return None;
    }
    let which: Vec<String> = lost
        .iter()
        .take(SHOWN)
        .map(|lost| {
            let of = if lost.own { "" } else { " of another log" };
            let digest = lost.digest.as_deref().unwrap_or_default();
            let digest = data_encoding::HEXLOWER.encode(digest);
            format!(
                "entry {}{of}, {} rows, sha256 {digest}",
                lost.index.0, lost.rows
            )
        })
        .collect();
    let more = lost.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "imports of subjects that the log has are not in the store: what depends on holds, dates or references is refused until the same files are imported again ({}{more})",
        which.join("; ")
    ))
}

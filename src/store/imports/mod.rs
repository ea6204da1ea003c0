//! Many holds, dates and references at once: laid ready first, in force by one entry of the log, and then moved to their place
//! bit by bit, so that nobody else waits for long. What no entry put in force is dropped by the next start.
//!
//! ```text
//! stage ──► entry ──► in force (one row of `imports`) ──► folded, 2,000 rows at a time ──► done
//! ```
//! Until it is folded a row of an import counts before what is in the tables, unless something newer came: whoever changes what
//! it is about drops it. Each fold tells other daemons of its subjects. Imports are folded, and read where they are not yet, in
//! the order in which they were put in force, whichever log's they are.
//!
//! | file | job |
//! |---|---|
//! | `staging` | lays rows ready, and drops what is not wanted |
//! | `force` | what an entry puts in force; what of it was not there, and that a later one makes up for it |
//! | `folding` | moves what is in force to its place, and forgets it |
//! | `reading` | what is in force and not in its place yet |
//!
//! What this room never does: let a part of an import count for the whole.

mod folding;
mod force;
mod reading;
mod staging;

use uuid::Uuid;

pub(super) use folding::Folded;
pub use force::LostImport;
pub(super) use reading::{all_on_the_way, on_the_way};

use super::engine::{Transaction, query};
use super::error::StoreError;
use crate::domain::reference::ReferenceKind;
use crate::domain::subject::{Pseudonym, Word};
use crate::domain::time::Timestamp;

/// Names an import in the store: 16 random bytes.
pub type BatchId = Uuid;

/// How many rows one transaction lays ready, folds or drops.
pub(super) const CHUNK: usize = 2_000;

/// Greater than any pseudonym.
const LAST: [u8; 33] = [0xff; 33];

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A hold.
    Hold,
    /// A date.
    Date,
    /// A reference.
    Reference(ReferenceKind),
}

impl Sort {
    /// As the tables number it.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Hold => 1,
            Self::Date => 2,
            Self::Reference(kind) => 10 + kind as i64,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Hold),
            2 => Some(Self::Date),
            other => {
                let kind = i32::try_from(other.checked_sub(10)?).ok()?;
                ReferenceKind::from_number(kind).map(Self::Reference)
            }
        }
    }
}

/// A row to lay ready.
#[derive(Debug, Clone)]
pub struct ImportedRow<'a> {
    /// Whose; `None` for nobody in particular, which only a reference is for.
    pub subject: Option<Pseudonym>,
    /// What it is.
    pub sort: Sort,
    /// The hold's or the date's id; of a reference what callers say.
    pub name: &'a str,
    /// A date's value, a reference's end.
    pub value: Option<Timestamp>,
    /// When a consent was given, where that is known.
    pub given: Option<Timestamp>,
    /// Of a reference.
    pub purposes: &'a [Word],
    /// The request or order behind a hold or a date; empty for none.
    pub reference: &'a str,
}

/// The last subject of the next chunk after `after`; `None` when the rest is no larger.
async fn chunk_end(
    change: &mut Transaction,
    batch: &[u8],
    after: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query(
        "SELECT subject FROM imported WHERE batch = $1 AND subject > $2
         ORDER BY subject LIMIT 1 OFFSET $3",
    )
    .bind(batch)
    .bind(after)
    .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
    .fetch_optional(change)
    .await?;
    row.map(|row| row.try_get("subject")).transpose()
}

#[cfg(test)]
mod tests;

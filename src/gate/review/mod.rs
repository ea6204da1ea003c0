//! The periodic review: what stands out in the log, campaigns, their items, and what becomes of them. Everything here reads the log
//! as it is; every call has its entry, and every step is an entry first.
//!
//! | file | job |
//! |---|---|
//! | `findings` | what stands out, as of a size of the log |
//! | `reading` | that, told to those who review |
//! | `admission` | who may look, judge, lead |
//! | `scope` | what the log has of a campaign's days: the population, break glass, last uses |
//! | `open` | opens a campaign |
//! | `items` | lists, questions, answers |
//! | `judging` | judgements, substitutes |
//! | `sign` | the report, and its signature |
//! | `redraw` | the sample, drawn anew |
//! | `upkeep` | reminds of what is overdue, and gives it to somebody else |

mod admission;
pub(super) mod findings;
mod items;
mod judging;
mod open;
pub(super) mod reading;
mod redraw;
mod scope;
mod sign;
pub(super) mod upkeep;

pub use items::{ItemFilter, ItemSeen, Question, Text};
pub use judging::Judgement;
pub use open::ReviewWish;
pub use redraw::Redrawn;

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::{Gate, GateError};
use crate::store::KeptReview;

/// A campaign as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewSeen {
    /// As it is kept.
    pub kept: KeptReview,
    /// Who signed it, and when.
    pub signed: Option<(String, Timestamp)>,
    /// Past its date, and not signed.
    pub overdue: bool,
}

impl Gate {
    /// A campaign that there is.
    pub(in crate::gate) async fn kept_review(&self, id: LogIndex) -> Result<KeptReview, GateError> {
        let kept = self.store.review(id).await?;
        kept.ok_or(GateError::NotFound("there is no such campaign of review"))
    }

    pub(in crate::gate) async fn review_seen(
        &self,
        kept: KeptReview,
        now: Timestamp,
    ) -> Result<ReviewSeen, GateError> {
        let signed = match kept.signed {
            Some((index, _)) => Some(self.step_of(index).await?),
            None => None,
        };
        let due = Timestamp::from_micros(kept.opened.due_us);
        Ok(ReviewSeen {
            overdue: kept.signed.is_none() && now > due,
            signed: signed.map(|step| (step.by, step.at)),
            kept,
        })
    }
}

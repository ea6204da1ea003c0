//! What looks for something: a small file for each detector, or for those that share what they count. Each sees every decision in the
//! order of time, then the end of each day; what it tells of days that nobody wants to know of is dropped.
//!
//! | file | looks for |
//! |---|---|
//! | `amount` | more records than usual, for the person or the role; more different people in a week |
//! | `exports` | exports in a burst |
//! | `pace` | subject after subject at a machine's pace |
//! | `watched` | one subject seen by many |
//! | `relatives` | one's own record, or a colleague's |
//! | `assigned` | somebody whom the person isn't assigned to |
//! | `hours` | unusual hours |
//! | `addresses` | an address block that is new |
//! | `places` | one account in two places; all people of a service at one address |
//! | `dormant` | an account that wasn't used for long |
//! | `purposes` | a purpose that is rare for the role |
//! | `retries` | an allowance after a denial, with something else declared |
//! | `outcomes` | allowances without outcome, or with a larger one |
//! | `break_glass` | break glass |
//! | `alone` | what takes two, done by one |

mod addresses;
mod alone;
mod amount;
mod assigned;
mod break_glass;
mod dormant;
mod exports;
mod hours;
mod outcomes;
mod pace;
mod places;
mod purposes;
mod relatives;
mod retries;
mod watched;

pub(super) use alone::DoneAlone;
pub(super) use dormant::Dormant;
pub(super) use outcomes::Outcomes;

use super::seen::Seen;
use super::world::{Day, Look, Notes, Today, World};

/// Looks for something in decisions.
pub(super) trait Detect: std::fmt::Debug + Send {
    /// The next decision, in the order of time. What it tells of is in the log before.
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, notes: &mut Notes);

    /// A day is over; `today` is what each actor did who was allowed something, and `seen` who looked at whom lately.
    fn day_ends(
        &mut self,
        world: &World<'_>,
        day: Day,
        today: &[Today],
        seen: &Seen,
        notes: &mut Notes,
    );
}

/// All that look at decisions alone.
pub(super) fn all() -> Vec<Box<dyn Detect>> {
    vec![
        Box::<break_glass::BreakGlass>::default(),
        Box::<amount::Amount>::default(),
        Box::<exports::Exports>::default(),
        Box::<pace::Pace>::default(),
        Box::<watched::Watched>::default(),
        Box::<relatives::Relatives>::default(),
        Box::<assigned::Assigned>::default(),
        Box::<hours::Hours>::default(),
        Box::<addresses::Addresses>::default(),
        Box::<places::TwoPlaces>::default(),
        Box::<places::OneAddress>::default(),
        Box::<purposes::Purposes>::default(),
        Box::<retries::Retries>::default(),
    ]
}

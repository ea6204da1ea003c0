//! What of the access log has been kept long enough: looked at entry by entry, by the class of each, with what a hold withholds.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::GateError;
use crate::gate::ledger::{Ledger, kept_until};
use crate::identity::seals::SealName;
use crate::log::{ReadError, SegmentSpan};
use crate::proto::{StoredDisposal, StoredKey, StoredSpan};
use crate::store::LogHold;

/// How many segments are read at one call: 64 MiB take a few tenths of a second.
const LOOKED_AT_MAX: usize = 32;
/// How many go at one call.
const SEGMENTS_MAX: usize = 256;
/// How many keys are destroyed at one call: three durable writes each.
const KEYS_MAX: usize = 256;
/// How much is told of what is withheld.
const WITHHELD_MAX: usize = 1_000;
/// Of how many segments it is remembered until when they are kept: 16 bytes each.
const REMEMBERED_MAX: usize = 100_000;

/// What is kept in spite of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithheldThing {
    /// Entries from the first up to, but not including, the second.
    Segment(u64, u64),
    /// A key.
    Key(SealName),
}

/// Something that is kept, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// What.
    pub what: WithheldThing,
    /// By which hold; `None` where it is another reason.
    pub hold: Option<LogIndex>,
    /// In words.
    pub why: String,
}

/// What may go, and what may not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disposable {
    /// Closed segments, in order: first index, and index after the last.
    pub segments: Vec<(u64, u64)>,
    /// Keys, in order.
    pub keys: Vec<SealName>,
    /// What is kept in spite of its age; at most 1,000 are told.
    pub withheld: Vec<Withheld>,
    /// Whether there is more to look at or to dispose of.
    pub more: bool,
}

impl Disposable {
    /// How many entries the segments have.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.segments
            .iter()
            .map(|(first, next)| next.saturating_sub(*first))
            .fold(0, u64::saturating_add)
    }

    /// Whether nothing may go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.keys.is_empty()
    }

    /// As its entry says it.
    pub(in crate::gate) fn stored(&self, rule: &str) -> StoredDisposal {
        StoredDisposal {
            settles: None,
            segments: self
                .segments
                .iter()
                .map(|(first, next)| StoredSpan {
                    first: *first,
                    next: *next,
                })
                .collect(),
            keys: self
                .keys
                .iter()
                .map(|name| StoredKey {
                    class: name.class().to_owned(),
                    month: name.month().to_string(),
                })
                .collect(),
            rule: rule.to_owned(),
        }
    }

    fn withhold(&mut self, what: WithheldThing, hold: Option<LogIndex>, why: String) {
        if self.withheld.len() < WITHHELD_MAX {
            self.withheld.push(Withheld { what, hold, why });
        }
    }
}

/// Until when segments are kept, by their first index: what was read once is not read again under the same pack.
#[derive(Debug, Default)]
pub(in crate::gate) struct DueDates {
    revision: [u8; 32],
    dates: HashMap<u64, Timestamp>,
}

/// What the looking needs.
pub(in crate::gate) struct Look {
    pub(in crate::gate) ledger: Ledger,
    pub(in crate::gate) rules: Arc<RuleSet>,
    pub(in crate::gate) holds: Vec<LogHold>,
    pub(in crate::gate) before: Timestamp,
    pub(in crate::gate) now: Timestamp,
}

impl Look {
    /// Looks. Blocks on the disk: it reads up to 32 whole segments.
    pub(in crate::gate) fn find(&self, due: &mut DueDates) -> Result<Disposable, GateError> {
        if due.revision != self.rules.revision || due.dates.len() > REMEMBERED_MAX {
            due.dates.clear();
            due.revision = self.rules.revision;
        }
        let placed = self.placed()?;
        let mut found = Disposable::default();
        self.segments(due, &mut found)?;
        self.keys(&placed, &mut found)?;
        Ok(found)
    }

    fn segments(&self, due: &mut DueDates, found: &mut Disposable) -> Result<(), GateError> {
        let mut looked_at = 0_usize;
        for span in self.ledger.reader().segments() {
            let old = span
                .times
                .filter(|(_, latest)| span.closed && !span.disposed && *latest < self.before);
            let Some((earliest, latest)) = old else {
                continue;
            };
            let retention = &self.rules.log_retention;
            if retention.shortest().after(latest, self.rules.utc_offset) > self.now {
                continue;
            }
            let what = WithheldThing::Segment(span.first, span.next);
            if let Some(hold) = self.hold_of(&span, earliest, latest) {
                found.withhold(what, Some(hold), format!("hold {hold} of the log"));
                continue;
            }
            if !self.ledger.is_committed(&span) {
                let why = "no checkpoint commits to it yet".to_owned();
                found.withhold(what, None, why);
                continue;
            }
            if found.segments.len() >= SEGMENTS_MAX {
                found.more = true;
                break;
            }
            let kept_until = match due.dates.get(&span.first) {
                Some(known) => *known,
                None if looked_at >= LOOKED_AT_MAX => {
                    found.more = true;
                    break;
                }
                None => {
                    looked_at = looked_at.saturating_add(1);
                    let until = self.kept_until(&span)?;
                    due.dates.insert(span.first, until);
                    until
                }
            };
            if kept_until <= self.now {
                found.segments.push((span.first, span.next));
            } else {
                let why = format!("the longest period among its entries ends at {kept_until}");
                found.withhold(what, None, why);
            }
        }
        Ok(())
    }

    /// When the longest period among a segment's entries ends.
    fn kept_until(&self, span: &SegmentSpan) -> Result<Timestamp, GateError> {
        let unreadable = |error: ReadError| {
            tracing::error!(%error, "a segment that is to be disposed of can't be read");
            GateError::Internal("a segment that is to be disposed of can't be read")
        };
        let mut until = Timestamp::from_micros(i64::MIN);
        let mut seen = 0_u64;
        for kept in self.ledger.reader().forward(LogIndex(span.first)) {
            let kept = kept.map_err(unreadable)?;
            if kept.index.0 >= span.next {
                break;
            }
            let entry = kept.entry().map_err(unreadable)?;
            until = until.max(kept_until(&self.rules.log_retention, &self.rules, &entry));
            seen = seen.saturating_add(1);
        }
        if seen == span.next.saturating_sub(span.first) {
            return Ok(until);
        }
        Err(GateError::Internal(
            "a segment that is to be disposed of has not all its entries",
        ))
    }

    fn keys(
        &self,
        placed: &[(LogIndex, Timestamp)],
        found: &mut Disposable,
    ) -> Result<(), GateError> {
        let keys = self.ledger.seals().keys().map_err(|error| {
            tracing::error!(%error, "the keys of the log can't be listed");
            GateError::Internal("the keys of the log can't be listed")
        })?;
        let offset = self.rules.utc_offset;
        for name in keys {
            let (begins, ends) = (name.month().beginning(offset), name.month().end(offset));
            let period = self.rules.log_retention.period(name.class());
            if ends > self.before || period.after(ends, offset) > self.now {
                continue;
            }
            let last = Timestamp::from_micros(ends.micros().saturating_sub(1));
            let held = self
                .holds
                .iter()
                .find(|hold| overlaps(hold, begins, last))
                .map(|hold| hold.id)
                .or_else(|| {
                    // Why a hold was placed stays readable for as long as it lasts.
                    let own = placed.iter().find(|(_, at)| begins <= *at && *at < ends);
                    own.map(|(id, _)| *id)
                });
            if let Some(hold) = held {
                let why = format!("hold {hold} of the log");
                found.withhold(WithheldThing::Key(name), Some(hold), why);
            } else if found.keys.len() >= KEYS_MAX {
                found.more = true;
                break;
            } else {
                found.keys.push(name);
            }
        }
        Ok(())
    }

    /// The hold that a segment is under, or that was placed by one of its entries.
    fn hold_of(
        &self,
        span: &SegmentSpan,
        earliest: Timestamp,
        latest: Timestamp,
    ) -> Option<LogIndex> {
        self.holds
            .iter()
            .find(|hold| {
                overlaps(hold, earliest, latest) || (span.first..span.next).contains(&hold.id.0)
            })
            .map(|hold| hold.id)
    }

    /// When each hold was placed.
    fn placed(&self) -> Result<Vec<(LogIndex, Timestamp)>, GateError> {
        let reader = self.ledger.reader();
        self.holds
            .iter()
            .map(|hold| match reader.get(hold.id) {
                Ok(Some(kept)) => Ok((hold.id, kept.time())),
                Ok(None) => Err(GateError::Internal("the entry of a hold is gone")),
                Err(error) => {
                    tracing::error!(%error, "the entry of a hold can't be read");
                    Err(GateError::Internal("the entry of a hold can't be read"))
                }
            })
            .collect()
    }
}

/// Whether something from `earliest` to `latest`, both included, is under a hold.
fn overlaps(hold: &LogHold, earliest: Timestamp, latest: Timestamp) -> bool {
    hold.from.is_none_or(|from| latest >= from) && hold.until.is_none_or(|until| earliest < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_for_what_lies_from_its_beginning_up_to_its_end() {
        let at = Timestamp::from_seconds;
        let hold = |from: Option<i64>, until: Option<i64>| LogHold {
            id: LogIndex(1),
            from: from.map(at),
            until: until.map(at),
        };
        for (hold, earliest, latest, held) in [
            (hold(None, None), 0, 1, true),
            (hold(Some(5), None), 0, 4, false),
            (hold(Some(5), None), 0, 5, true),
            (hold(None, Some(5)), 5, 9, false),
            (hold(None, Some(5)), 4, 9, true),
            (hold(Some(5), Some(6)), 0, 9, true),
            (hold(Some(5), Some(6)), 6, 9, false),
        ] {
            assert_eq!(
                overlaps(&hold, at(earliest), at(latest)),
                held,
                "{hold:?} {earliest} {latest}"
            );
        }
    }
}

//! The candidates of a query, in the order of the log. Where the index knows nothing of an entry, the entry is a candidate.

use std::ops::Range;

use super::postings::Set;
use super::{Index, Query};
use crate::domain::ids::LogIndex;
use crate::log::{Kept, LogReader, Period, ReadError, SegmentSpan};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// The segment that the walk is in.
#[derive(Debug)]
struct Here {
    span: SegmentSpan,
    set: Set,
    /// The index after the last entry that `set` knows of.
    known_until: u64,
}

/// Walks over all entries that may fit a query and a period, each read from the log: some don't fit, but none that fits is
/// left out. Ends after the first error. Its methods block on the disk; it holds the candidates of one segment in memory, a
/// bit for each entry at most.
#[derive(Debug)]
pub struct Walk<'a> {
    reader: LogReader,
    index: Option<&'a Index>,
    query: Query,
    period: Period,
    order: Order,
    /// The next index to look at.
    next: Option<u64>,
    /// The log's length when the walk began.
    end: u64,
    spans: Vec<SegmentSpan>,
    here: Option<Here>,
    /// Entries that were read together with the last one.
    block: Vec<Kept>,
}

impl<'a> Walk<'a> {
    /// From `from` on, or back from there, through what is the log at this moment. Without an index every entry of the
    /// period is a candidate.
    #[must_use]
    pub fn new(
        reader: LogReader,
        index: Option<&'a Index>,
        query: Query,
        period: Period,
        from: LogIndex,
        order: Order,
    ) -> Self {
        let spans = reader.readable_segments();
        let end = spans.last().map_or(0, |live| live.next);
        let next = match order {
            Order::OldestFirst => Some(from.0).filter(|from| *from < end),
            Order::NewestFirst => end.checked_sub(1).map(|last| from.0.min(last)),
        };
        Self {
            index: index.filter(|_| !query.is_all()),
            reader,
            query,
            period,
            order,
            next,
            end,
            spans,
            here: None,
            block: Vec::new(),
        }
    }

    /// The next index to look at; `None` at the end.
    #[must_use]
    pub fn position(&self) -> Option<LogIndex> {
        self.next.map(LogIndex)
    }

    fn step(&mut self) -> Result<Option<Kept>, ReadError> {
        while let Some(at) = self.next {
            let Some(candidate) = self.candidate(at) else {
                continue;
            };
            if !self.holds(candidate) {
                let within = match self.order {
                    Order::OldestFirst => {
                        self.reader.first_within(LogIndex(candidate), self.period)?
                    }
                    Order::NewestFirst => {
                        self.reader.last_within(LogIndex(candidate), self.period)?
                    }
                };
                let within = within
                    .map(|within| within.0)
                    .filter(|within| *within < self.end);
                if within != Some(candidate) {
                    self.next = within;
                    continue;
                }
                self.block = self.reader.around(LogIndex(candidate))?;
            }
            self.next = self.after(candidate);
            let kept = self.block.iter_mut().find(|kept| kept.index.0 == candidate);
            if let Some(kept) = kept {
                // Nobody comes here twice.
                let bytes = std::mem::take(&mut kept.bytes);
                return Ok(Some(Kept { bytes, ..*kept }));
            }
        }
        Ok(None)
    }

    /// Whether the entry was read together with the last one.
    fn holds(&self, index: u64) -> bool {
        let first = self.block.first().map(|kept| kept.index.0);
        let last = self.block.last().map(|kept| kept.index.0);
        first.is_some_and(|first| first <= index) && last.is_some_and(|last| index <= last)
    }

    fn after(&self, index: u64) -> Option<u64> {
        match self.order {
            Order::OldestFirst => index.checked_add(1).filter(|next| *next < self.end),
            Order::NewestFirst => index.checked_sub(1),
        }
    }

    /// The first candidate at `at` or after it in the walk's direction, as far as the segment goes; else `next` has moved.
    fn candidate(&mut self, at: u64) -> Option<u64> {
        let Some(index) = self.index else {
            return self.in_some_segment(at).is_some().then_some(at);
        };
        let span = self.in_some_segment(at)?;
        if self
            .here
            .as_ref()
            .is_none_or(|here| here.span.first != span.first)
        {
            self.here = Some(look(index, &self.query, span));
        }
        let here = self.here.as_ref()?;
        if at >= here.known_until {
            return Some(at);
        }
        let position = u32::try_from(at.saturating_sub(span.first)).ok()?;
        let found = match self.order {
            Order::OldestFirst => here.set.next_from(position),
            Order::NewestFirst => here.set.last_until(position),
        };
        let found = found.map(|position| span.first.saturating_add(u64::from(position)));
        if let Some(found) = found.filter(|found| *found < here.known_until) {
            return Some(found);
        }
        self.next = match self.order {
            Order::OldestFirst => Some(here.known_until).filter(|next| *next < self.end),
            Order::NewestFirst => span.first.checked_sub(1),
        };
        None
    }

    /// The segment that holds `at`; where there is none, `next` moves over the gap.
    fn in_some_segment(&mut self, at: u64) -> Option<SegmentSpan> {
        let after = self.spans.partition_point(|span| span.first <= at);
        let before = after
            .checked_sub(1)
            .and_then(|before| self.spans.get(before));
        if let Some(span) = before.filter(|span| at < span.next) {
            return Some(*span);
        }
        self.next = match self.order {
            Order::OldestFirst => self.spans.get(after).map(|span| span.first),
            Order::NewestFirst => before.and_then(|span| span.next.checked_sub(1)),
        };
        None
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Kept, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            self.next = None;
        }
        step
    }
}

/// What the index knows of a segment.
fn look(index: &Index, query: &Query, span: SegmentSpan) -> Here {
    let Range {
        start: first,
        end: next,
    } = span.first..span.next;
    let shared = &index.shared;
    let live =
        shared.live(|live| (live.first() == first).then(|| (live.candidates(query), live.next())));
    let found = live.or_else(|| shared.shelf.candidates(first, query));
    let (set, known_until) = found.unwrap_or((Set::All, first));
    Here {
        span,
        set,
        known_until: known_until.min(next),
    }
}

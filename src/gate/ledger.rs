//! The access log as the gate writes and reads it: what is to be readable for a time only is sealed on its way in, and opened
//! here and nowhere else. No entry reaches the log but through [`Ledger::append`].

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prost::Message as _;
use zeroize::Zeroizing;

use crate::decision::rules::{LogRetention, LoggedKind, RuleSet};
use crate::domain::calendar::{Month, Period};
use crate::domain::time::Timestamp;
use crate::files::FileError;
use crate::identity::keyring::SealingKey;
use crate::identity::seals::{SealName, Seals, SealsError, UnsealError};
use crate::index::{Open, Opener};
use crate::log::{AccessLog, AppendError, Appending, Kept, ReadError};
use crate::proto::{EntryKind, StoredEntry, StoredRecord, StoredSealed};

/// How long before a month begins its keys are made ready.
const AHEAD: Duration = Duration::from_hours(24);
/// How long after a month its keys are held: a call that began in it may still be under way.
const BEHIND: Duration = Duration::from_hours(1);

/// What stands in the place of a text that can't be read any more.
const UNREADABLE: &str = "(can't be opened: its key is not here)";

/// The access log with its seals. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    log: AccessLog,
    pub(super) rules: Arc<ArcSwap<RuleSet>>,
    unsealer: Unsealer,
}

/// What opens entries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Unsealer {
    seals: Arc<Seals>,
    /// For the texts of entries that were written before there were seals.
    log_text: SealingKey,
}

/// The log itself: its name, its length, its readers, its state.
impl Deref for Ledger {
    type Target = AccessLog;

    fn deref(&self) -> &AccessLog {
        &self.log
    }
}

/// An entry, opened as far as its keys are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What it says. Where all of it was sealed and the key is gone, only its time, kind and decision's id are left.
    pub entry: StoredEntry,
    /// What can't be read any more.
    pub lost: Option<Lost>,
}

/// What of an entry can't be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// All but time, kind and decision's id; else the free text alone.
    pub whole: bool,
    /// Whether its key was destroyed, as it should be. If not, it is missing.
    pub disposed_of: bool,
    /// The class that it was kept in.
    pub class: String,
    /// The month of its key.
    pub month: String,
    /// In words, to stand in its place.
    pub words: String,
}

/// The class of retention of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class<'a> {
    pub(super) id: &'a str,
    pub(super) period: Period,
}

impl Unsealer {
    /// With the seals of a data directory, and its keyring's key for text of the log.
    #[must_use]
    pub const fn new(seals: Arc<Seals>, log_text: SealingKey) -> Self {
        Self { seals, log_text }
    }

    /// Opens an entry: the one way to read one. Blocks on the disk when a key is not among the few last used.
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn open(&self, kept: &Kept) -> Result<Opened, ReadError> {
        let mut entry = kept.entry()?;
        if !entry.break_glass_reason_sealed.is_empty() {
            let text = self
                .log_text
                .open(&entry.decision_id, &entry.break_glass_reason_sealed)
                .ok()
                .and_then(|plain| String::from_utf8(plain.to_vec()).ok());
            entry.free_text = text.unwrap_or_else(|| UNREADABLE.to_owned());
        }
        let Some(sealed) = entry.sealed.take() else {
            return Ok(Opened { entry, lost: None });
        };
        match self.unseal(&entry, &sealed) {
            Ok(inner) => {
                let not_an_entry = |source| ReadError::NotAnEntry {
                    index: kept.index,
                    source,
                };
                entry.merge(inner.as_slice()).map_err(not_an_entry)?;
                Ok(Opened { entry, lost: None })
            }
            Err(why) => {
                let disposed_of = why == UnsealError::Destroyed;
                let words = if disposed_of {
                    let (class, month) = (&sealed.class, &sealed.month);
                    format!("(disposed of: the period of class {class} for {month} is over)")
                } else {
                    UNREADABLE.to_owned()
                };
                // Of what is sealed of a record, who reads it tells.
                if !sealed.whole && (entry.record.is_none() || entry.break_glass) {
                    entry.free_text.clone_from(&words);
                }
                let lost = Lost {
                    whole: sealed.whole,
                    disposed_of,
                    class: sealed.class,
                    month: sealed.month,
                    words,
                };
                Ok(Opened {
                    entry,
                    lost: Some(lost),
                })
            }
        }
    }

    /// Opens entries for the index.
    #[must_use]
    pub fn into_opener(self) -> Opener {
        Arc::new(self)
    }

    fn unseal(
        &self,
        outer: &StoredEntry,
        sealed: &StoredSealed,
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let name = Month::parse(&sealed.month)
            .and_then(|month| SealName::new(&sealed.class, month))
            .ok_or(UnsealError::NotGenuine)?;
        let context = context(outer, sealed.whole);
        self.seals
            .unseal(&name, &sealed.key_id, &context, &sealed.content)
    }
}

/// The index finds an entry by what it could be opened to when it was indexed. One whose key is missing, and not destroyed, may
/// yet be readable to whoever searches: it is not opened.
impl Open for Unsealer {
    fn open(&self, kept: &Kept) -> Option<StoredEntry> {
        let opened = Self::open(self, kept).ok()?;
        let may_come_back = |lost: &Lost| lost.whole && !lost.disposed_of;
        (!opened.lost.as_ref().is_some_and(may_come_back)).then_some(opened.entry)
    }

    fn keys_destroyed(&self) -> Result<u64, FileError> {
        self.seals.destroyed()
    }
}

impl Ledger {
    pub(super) fn new(
        log: AccessLog,
        rules: Arc<ArcSwap<RuleSet>>,
        seals: Arc<Seals>,
        log_text: SealingKey,
    ) -> Self {
        Self {
            log,
            rules,
            unsealer: Unsealer::new(seals, log_text),
        }
    }

    /// What opens this log's entries.
    #[must_use]
    pub const fn unsealer(&self) -> &Unsealer {
        &self.unsealer
    }

    /// As [`AccessLog::append`]; free text, whom a record names, and all of what belongs to a class that is kept for less time
    /// than the default one, is sealed first, under keys that [`Self::prepare`] made ready before. Waits for no disk.
    ///
    /// # Errors
    /// As for [`AccessLog::append`], and `Refused` where a key is not ready: nothing is written in the clear.
    pub(super) fn append(&self, entries: &[StoredEntry]) -> Result<Appending, AppendError> {
        let rules = self.rules.load();
        let is_open = |entry: &StoredEntry| {
            entry.free_text.is_empty()
                && entry.record.is_none()
                && !rules.log_retention.is_short(class_of(&rules, entry).period)
        };
        if entries.iter().all(is_open) {
            return self.log.append(entries);
        }
        let sealed = entries
            .iter()
            .map(|entry| self.seal(&rules, entry))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| AppendError::Refused(error.to_string()))?;
        self.log.append(&sealed)
    }

    fn seal(&self, rules: &RuleSet, entry: &StoredEntry) -> Result<StoredEntry, SealsError> {
        let Some((class, whole)) = sealed_under(rules, entry) else {
            return Ok(entry.clone());
        };
        let (mut outer, inner) = if whole {
            let mut inner = entry.clone();
            let outer = StoredEntry {
                time_us: std::mem::take(&mut inner.time_us),
                kind: std::mem::take(&mut inner.kind),
                decision_id: std::mem::take(&mut inner.decision_id),
                ..StoredEntry::default()
            };
            (outer, inner)
        } else {
            let mut outer = entry.clone();
            let inner = StoredEntry {
                free_text: std::mem::take(&mut outer.free_text),
                record: outer.record.as_mut().map(named_by),
                ..StoredEntry::default()
            };
            (outer, inner)
        };
        let at = Timestamp::from_micros(entry.time_us);
        let name = Month::of(at, rules.utc_offset)
            .and_then(|month| SealName::new(class.id, month))
            .ok_or(crate::identity::keyring::SealError::TooLong)?;
        let plain = Zeroizing::new(inner.encode_to_vec());
        let (key_id, content) = self
            .unsealer
            .seals
            .seal(&name, &context(&outer, whole), &plain)?;
        outer.sealed = Some(StoredSealed {
            class: class.id.to_owned(),
            month: name.month().to_string(),
            key_id,
            content,
            whole,
        });
        Ok(outer)
    }

    /// Where the pack's clock is, from UTC.
    pub(super) fn offset(&self) -> time::UtcOffset {
        self.rules.load().utc_offset
    }

    /// As [`Unsealer::open`].
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn open(&self, kept: &Kept) -> Result<Opened, ReadError> {
        self.unsealer.open(kept)
    }

    /// Makes ready the keys that entries of `now` and of the next day will want under `rules`, so that no call waits for them.
    /// Another pack is put in force only after this was done with its rules: what its classes have to be sealed is refused
    /// until then. Blocks on the disk.
    ///
    /// # Errors
    /// The first that can't be made ready. Calls that want it are refused.
    pub(super) fn prepare(&self, rules: &RuleSet, now: Timestamp) -> Result<(), SealsError> {
        let of = |at| Month::of(at, rules.utc_offset);
        let (this, next) = (of(now), of(now.plus(AHEAD)));
        let mut wanted = BTreeSet::new();
        for class in rules.log_retention.ids() {
            let months = this.into_iter().chain(next);
            wanted.extend(months.filter_map(|month| SealName::new(class, month)));
        }
        let wanted: Vec<SealName> = wanted.into_iter().collect();
        let (Some(earliest), Some(latest)) = (of(now.minus(BEHIND)).or(this), next.or(this)) else {
            return Ok(());
        };
        self.unsealer
            .seals
            .prepare_all(&wanted, &(earliest..=latest))
    }

    pub(super) fn seals(&self) -> Arc<Seals> {
        Arc::clone(&self.unsealer.seals)
    }
}

/// What a seal is bound to: it is worth nothing in another entry.
fn context(outer: &StoredEntry, whole: bool) -> Vec<u8> {
    let mut context = b"entry 1\0".to_vec();
    context.extend(outer.time_us.to_be_bytes());
    context.extend(outer.kind.to_be_bytes());
    context.push(u8::from(whole));
    context.extend(&outer.decision_id);
    context
}

/// The class of an entry that is not sealed.
pub(super) fn class_of<'a>(rules: &'a RuleSet, entry: &StoredEntry) -> Class<'a> {
    let kind = match entry.kind() {
        EntryKind::Decision => Some(LoggedKind::Decision),
        EntryKind::Outcome => Some(LoggedKind::Outcome),
        EntryKind::Authentication => Some(LoggedKind::Authentication),
        EntryKind::LogRead => Some(LoggedKind::LogRead),
        EntryKind::RefusedCall => Some(LoggedKind::RefusedCall),
        _ => None,
    };
    let (id, period) = rules.log_retention.class_of(
        kind,
        rules.kinds.id(&entry.subject_kind),
        entry.categories.iter().map(|id| rules.categories.id(id)),
    );
    Class { id, period }
}

/// The class under whose key something of an entry is sealed, and whether that is all of it.
///
/// A record is readable for as long as it has to be kept, and whom it names for no longer; where free text is sealed with it, for
/// as long as the longer of both asks.
fn sealed_under<'a>(rules: &'a RuleSet, entry: &StoredEntry) -> Option<(Class<'a>, bool)> {
    let retention = &rules.log_retention;
    let own = class_of(rules, entry);
    let is_short = retention.is_short(own.period);
    let years = entry.record.as_ref().map(|record| record.years);
    let of_record = years
        .and_then(|years| retention.record_class(u16::try_from(years).unwrap_or(u16::MAX)))
        .map(|(id, period)| Class { id, period });
    match of_record {
        None if is_short => Some((own, true)),
        None => (!entry.free_text.is_empty()).then_some((own, false)),
        Some(record) if own.period.length() <= record.period.length() => {
            // Without its record it would be as short.
            Some((record, is_short && retention.is_short(record.period)))
        }
        Some(_) if is_short => Some((own, true)),
        Some(record) if entry.free_text.is_empty() => Some((record, false)),
        Some(_) => Some((own, false)),
    }
}

/// Takes out of a record what is to be sealed.
fn named_by(record: &mut StoredRecord) -> StoredRecord {
    StoredRecord {
        name: std::mem::take(&mut record.name),
        address: std::mem::take(&mut record.address),
        representative: std::mem::take(&mut record.representative),
        subject_refs: std::mem::take(&mut record.subject_refs),
        acquisition: std::mem::take(&mut record.acquisition),
        ..StoredRecord::default()
    }
}

/// How long an entry is kept, as it is stored. One that is sealed as a whole tells its class, which counts for no less than the
/// default where the pack has it no longer. Else what is seen of it tells, and what is sealed in it, and the record that it is.
pub(super) fn kept_until(
    retention: &LogRetention,
    rules: &RuleSet,
    entry: &StoredEntry,
) -> Timestamp {
    let at = Timestamp::from_micros(entry.time_us);
    let sealed = entry.sealed.as_ref();
    let of_sealed = sealed.map(|sealed| retention.period(&sealed.class));
    let own = match (sealed, of_sealed) {
        (Some(sealed), Some(period)) if sealed.whole => period,
        _ => class_of(rules, entry).period,
    };
    let of_record = entry.record.as_ref();
    std::iter::once(own)
        .chain(of_sealed)
        .map(|period| period.after(at, rules.utc_offset))
        .chain(of_record.map(|record| Timestamp::from_micros(record.keep_until_us)))
        .fold(Timestamp::from_micros(i64::MIN), Timestamp::max)
}

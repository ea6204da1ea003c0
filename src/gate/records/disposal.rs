//! Disposing of the access log when its time is over: never earlier than the pack says, never what is held, by an administrator
//! with a fresh second step, and where two are needed, by two. The entry comes first, then files and keys go.

use std::sync::Arc;

use crate::decision::rules::RuleSet;
use crate::domain::calendar::Month;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::changes::StillWanted as _;
use crate::gate::ledger::Ledger;
use crate::gate::peer::Peer;
use crate::gate::pending::{StillPending, Wish};
pub(in crate::gate) use crate::gate::records::due::DueDates;
use crate::gate::records::due::Look;
pub use crate::gate::records::due::{Disposable, Withheld, WithheldThing};
use crate::gate::records::log_holds::{Administrator, DATES, by_whom};
use crate::gate::running::upkeep::Task;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::identity::seals::SealName;
use crate::log::Disposal;
use crate::proto::{EntryKind, StoredChange, StoredDisposal, StoredEntry, stored_change};

/// What is asked for.
#[derive(Debug)]
pub struct DisposeWish {
    /// Entries before it; not with `approve`.
    pub before: Option<Timestamp>,
    /// Only tell what would go.
    pub dry_run: bool,
    /// Another administrator's request.
    pub approve: Option<LogIndex>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisposeOutcome {
    /// What went, or would go.
    pub found: Disposable,
    /// The request that another administrator must approve, and until when.
    pub pending: Option<(LogIndex, Timestamp)>,
    /// The entry that says what was done.
    pub index: LogIndex,
}

const CALL: &str = "Dispose";

impl Gate {
    /// Disposes of what was kept long enough, or tells what would go, or asks another administrator.
    ///
    /// # Errors
    /// When nobody who administers asks, a field can't be taken, or the entry can't be written: then nothing went.
    /// [`GateError::Unfinished`] when it was begun and a file can't be removed.
    pub async fn dispose(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: DisposeWish,
    ) -> Result<DisposeOutcome, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let person = administrator.admitted.person.id.clone();
        // What was begun comes first: what is found now would be told as if that were still there.
        self.carry_out_disposals().await?;
        let mut due = self.disposing.lock().await;
        let (before, asked_by) = match self.wanted(&rules, &wish, &person, now).await? {
            Ok(wanted) => wanted,
            Err(violation) => {
                return Err(self
                    .refuse_administrator(peer, &administrator, CALL, vec![violation], now)
                    .await);
            }
        };
        let holds = self.store.log_holds().await?;
        let look = Look {
            ledger: self.log.clone(),
            rules: Arc::clone(&rules),
            holds: holds.clone(),
            before,
            now,
        };
        let mut dates = std::mem::take(&mut *due);
        let (found, dates) = tokio::task::spawn_blocking(move || (look.find(&mut dates), dates))
            .await
            .map_err(|_| GateError::Internal("looking at the log ended early"))?;
        *due = dates;
        let found = found?;
        let asks = self.settings.dispose_needs_two && asked_by.is_none();
        if wish.dry_run || asks || found.is_empty() {
            let what = match (wish.dry_run, found.is_empty()) {
                (true, _) => "dry-run",
                (false, true) => "nothing-to-dispose-of",
                (false, false) => "request",
            };
            let mut entry = self.entry_of(peer, &administrator, &found, before, now);
            entry.kind = EntryKind::Administration.into();
            entry::detail(&mut entry, "call", CALL);
            entry::detail(&mut entry, "outcome", what);
            let (index, pending) = if what == "request" {
                let revision = rules.revision;
                let wish = Wish::Dispose { before, revision };
                let (index, until) = self.ask(entry, &wish, &person, None, now).await?;
                (index, Some((index, until)))
            } else {
                let receipt = self.log.append(std::slice::from_ref(&entry))?.await?;
                (receipt.first().index(), None)
            };
            return Ok(DisposeOutcome {
                found,
                pending,
                index,
            });
        }
        let mut entry = self.entry_of(peer, &administrator, &found, before, now);
        by_whom(&mut entry, asked_by.as_ref(), wish.approve);
        let rule = rule(&rules, before);
        entry::detail(&mut entry, "rule", rule.as_str());
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::Dispose(StoredDisposal {
                settles: wish.approve.map(|request| request.0),
                ..found.stored(&rule)
            })),
        });
        let gate = Arc::clone(self);
        let approved = wish.approve.map(StillPending);
        let found_under = rules.revision;
        // Runs to its end, whoever hangs up: what the entry says must come to be.
        let work = async move {
            let mut changes = gate.changes.lock().await;
            gate.store_waiting(&mut changes).await?;
            if gate.store.log_holds().await? != holds {
                return Err(GateError::Busy {
                    what: "the holds of the log changed meanwhile",
                    retry_after: std::time::Duration::from_secs(1),
                });
            }
            if gate.rules.load().revision != found_under {
                // It may keep for longer what was found.
                return Err(GateError::Busy {
                    what: "another policy was put in force meanwhile",
                    retry_after: std::time::Duration::from_secs(1),
                });
            }
            if let Some(still) = approved {
                still.look(&gate).await?;
            }
            let appending = gate.log.append(std::slice::from_ref(&entry))?;
            let index = appending.without_deadline().await?.first().index();
            if let Some(change) = entry.change {
                changes.waiting.push((index, change));
            }
            gate.store_waiting(&mut changes).await?;
            // Files may take their time, or refuse: nothing else that is changed waits for them.
            drop(changes);
            gate.carry_out_disposals().await?;
            Ok(index)
        };
        let index = tokio::spawn(work)
            .await
            .map_err(|_| GateError::Internal("a disposal ended early"))??;
        Ok(DisposeOutcome {
            found,
            pending: None,
            index,
        })
    }

    /// Up to when is to be disposed of, and who asked for it where another did.
    async fn wanted(
        &self,
        rules: &RuleSet,
        wish: &DisposeWish,
        person: &Name,
        now: Timestamp,
    ) -> Result<Result<(Timestamp, Option<Name>), Violation>, GateError> {
        let Some(id) = wish.approve else {
            let Some(before) = wish.before else {
                return Ok(Err(Violation::new("before", "is missing")));
            };
            return Ok(may_be_asked(rules, before, now).map(|()| (before, None)));
        };
        if wish.before.is_some() {
            let what = "is told by the request that is approved: leave it out";
            return Ok(Err(Violation::new("before", what)));
        }
        let pending = match self.to_approve(rules, id, person, now).await? {
            Ok(pending) => pending,
            Err(violation) => return Ok(Err(violation)),
        };
        Ok(match pending.wish {
            // The pack, or the clock, may have changed since.
            Wish::Dispose { revision, .. } if revision != rules.revision => {
                let what = "was asked for under another policy pack: ask again";
                Err(Violation::new("approve", what))
            }
            Wish::Dispose { before, .. } => {
                may_be_asked(rules, before, now).map(|()| (before, Some(pending.by)))
            }
            _ => Err(Violation::new("approve", "is no request for a disposal")),
        })
    }

    fn entry_of(
        &self,
        peer: &Peer,
        administrator: &Administrator<'_>,
        found: &Disposable,
        before: Timestamp,
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry = self.administrators_entry(EntryKind::Disposal, peer, administrator, now);
        entry::detail(&mut entry, "before", before.to_string());
        entry::detail(&mut entry, "entries", found.entries().to_string());
        let spans: Vec<String> = found
            .segments
            .iter()
            .map(|(first, next)| format!("{first}-{}", next.saturating_sub(1)))
            .collect();
        let keys: Vec<String> = found.keys.iter().map(ToString::to_string).collect();
        let withheld = found.withheld.len().to_string();
        for (key, value) in [
            ("segments", spans.join(", ")),
            ("keys", keys.join(", ")),
            ("withheld", withheld),
        ] {
            entry::detail(&mut entry, key, value);
        }
        entry
    }

    /// Does what durable entries say: segments go, keys are destroyed. What can't be done now stays in the store, is told as a
    /// warning, and is tried again from time to time and at the next start.
    ///
    /// # Errors
    /// [`GateError::Unfinished`]; and when the store can't be read or written.
    pub(in crate::gate) async fn carry_out_disposals(&self) -> Result<(), GateError> {
        let _one_at_a_time = self.carrying_out.lock().await;
        let mut failed: Option<String> = None;
        for (index, disposal) in self.store.disposals().await? {
            let (ledger, index_of_log) = (self.log.clone(), self.index.get().cloned());
            let now = self.now();
            let done = tokio::task::spawn_blocking(move || {
                ledger.carry_out(index, &disposal, now)?;
                // What it is reading just now was opened while the keys were there.
                if let Some(index) = index_of_log {
                    index.begin_anew();
                }
                Ok(())
            });
            match done
                .await
                .unwrap_or_else(|_| Err("it ended early".to_owned()))
            {
                Ok(()) => self.store.disposal_done(index).await?,
                Err(why) => {
                    tracing::error!(entry = index.0, %why, "a disposal could not be carried out");
                    failed.get_or_insert_with(|| format!("the disposal of entry {index}: {why}"));
                }
            }
        }
        let told = failed.as_ref();
        let told = told.map(|why| format!("not done yet, tried again every minute: {why}"));
        self.upkeep.tell(Task::Disposal, told);
        failed.map_or(Ok(()), |why| Err(GateError::Unfinished(why)))
    }
}

impl Ledger {
    /// Does what the durable entry `index` says. Doing it again completes it. Blocks on the disk.
    pub(in crate::gate) fn carry_out(
        &self,
        index: LogIndex,
        disposal: &StoredDisposal,
        now: Timestamp,
    ) -> Result<(), String> {
        let how = Disposal {
            entry: index,
            at: now,
            rule: disposal.rule.clone(),
        };
        let spans: Vec<(u64, u64)> = disposal
            .segments
            .iter()
            .map(|span| (span.first, span.next))
            .collect();
        self.dispose(&spans, &how)
            .map_err(|error| error.to_string())?;
        let offset = self.offset();
        for key in &disposal.keys {
            let nameless = || format!("{}-{} names no key", key.class, key.month);
            let month = Month::parse(&key.month).ok_or_else(nameless)?;
            let name = SealName::new(&key.class, month).ok_or_else(nameless)?;
            let destroy = || self.seals().destroy(&name, &disposal.rule, now);
            self.forgetting_sidecars(month.beginning(offset), month.end(offset), destroy)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Whether `before` is a day on which one would rightly ask for this.
fn may_be_asked(rules: &RuleSet, before: Timestamp, now: Timestamp) -> Result<(), Violation> {
    let wrong = |what: String| Err(Violation::new("before", what));
    if !DATES.contains(&before.seconds()) {
        return wrong("must be from 1900 to now".to_owned());
    }
    if before > now {
        return wrong(format!("lies in the future: it is {now}"));
    }
    let shortest = rules.log_retention.shortest();
    let earliest = shortest.after(before, rules.utc_offset);
    if earliest > now {
        return wrong(format!(
            "the shortest period of the log is {shortest}: what is before {before} may be disposed of from {earliest} on"
        ));
    }
    Ok(())
}

/// The rule in words, for the entry and for what stands in the place of what went.
fn rule(rules: &RuleSet, before: Timestamp) -> String {
    let retention = &rules.log_retention;
    let classes: Vec<String> = retention
        .ids()
        .map(|id| format!("{id} {}", retention.period(id)))
        .collect();
    format!(
        "before {before}, kept by class: {} (pack {})",
        classes.join(", "),
        rules.pack
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keyring::SealingKey;
    use crate::policy;
    use std::path::Path;

    #[test]
    fn what_is_asked_too_early_is_told_when_it_may_be_asked() {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        let rules = policy::load(&pack).unwrap().rules;
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let now = at("2029-07-01T09:00:00+09:00");
        for good in ["2026-07-01T09:00:00+09:00", "1900-01-01T00:00:00Z"] {
            assert_eq!(may_be_asked(&rules, at(good), now), Ok(()), "{good}");
        }
        for (bad, told) in [
            ("2026-07-01T09:00:01+09:00", "from 2029-07-01T00:00:01Z on"),
            ("2029-07-01T09:00:01+09:00", "in the future"),
            ("1899-12-31T23:59:59Z", "from 1900"),
            ("2999-01-01T00:00:00Z", "from 1900"),
        ] {
            let refused = may_be_asked(&rules, at(bad), now).unwrap_err();
            assert_eq!(refused.field, "before");
            assert!(
                refused.description.contains(told),
                "{bad}: {}",
                refused.description
            );
        }
    }

    const ENTRIES: u64 = 1_500;

    /// A log of at least three closed segments in which all of the first was sealed as a whole, under a key of July 2026.
    async fn short_lived(home: &Path) -> (Ledger, SealingKey) {
        use crate::decision::rules::{LogClass, LogRetention};
        use crate::domain::calendar::Period;
        use crate::identity::keyring::Keyring;
        use crate::identity::seals::Seals;
        use crate::log::{AccessLog, LogConfig, SigningSeed};

        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        let mut rules = policy::load(&pack).unwrap().rules;
        let medical = LogClass {
            id: "medical".into(),
            period: Period::parse("30d").unwrap(),
            categories: Some(
                [rules.categories.id("special.medical").unwrap()]
                    .into_iter()
                    .collect(),
            ),
            kinds: None,
            entries: Vec::new(),
            line: 1,
        };
        rules.log_retention = LogRetention::new(Period::years(3), vec![medical]);
        let keyring = Keyring::ephemeral().unwrap();
        let config = LogConfig {
            segment_bytes: 128 << 10,
            deadline: std::time::Duration::from_secs(60),
            ..LogConfig::new(home.join("log"), SigningSeed::new(&[7; 32]))
        };
        let seals = Seals::open(home.join("seals"), keyring.log_text.clone()).unwrap();
        let ledger = Ledger::new(
            AccessLog::open(config, "log.example").unwrap().log,
            Arc::new(arc_swap::ArcSwap::from_pointee(rules)),
            Arc::new(seals),
            keyring.log_text.clone(),
        );
        let july = Timestamp::parse("2026-07-10T12:00:00Z").unwrap();
        ledger.prepare(&ledger.rules.load(), july).unwrap();
        for start in (0..ENTRIES).step_by(100) {
            let entries: Vec<_> = (start..start + 100)
                .map(|number| StoredEntry {
                    time_us: july.plus(std::time::Duration::from_secs(number)).micros(),
                    kind: EntryKind::Decision.into(),
                    person: format!("person-{}", number % 7),
                    categories: vec!["special.medical".to_owned()],
                    basis_reference: "x".repeat(200),
                    ..StoredEntry::default()
                })
                .collect();
            ledger.append(&entries).unwrap().await.unwrap();
        }
        assert!(ledger.reader().segments().len() > 3);
        (ledger, keyring.log_text)
    }

    fn of_july() -> StoredDisposal {
        StoredDisposal {
            keys: vec![crate::proto::StoredKey {
                class: "medical".to_owned(),
                month: "2026-07".to_owned(),
            }],
            rule: "medical 30d".to_owned(),
            ..StoredDisposal::default()
        }
    }

    #[tokio::test]
    async fn a_class_of_another_pack_seals_once_its_keys_were_prepared_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let (ledger, _) = short_lived(home.path()).await;
        let now = Timestamp::parse("2026-07-11T00:00:00Z").unwrap();
        let mut next = RuleSet::clone(&ledger.rules.load());
        let classes = next.log_retention.classes().iter().cloned();
        let renamed = classes.map(|class| crate::decision::rules::LogClass {
            id: "health".into(),
            ..class
        });
        next.log_retention = crate::decision::rules::LogRetention::new(
            next.log_retention.default,
            renamed.collect(),
        );
        let (old, next) = (ledger.rules.load_full(), Arc::new(next));
        let entry = StoredEntry {
            time_us: now.micros(),
            kind: EntryKind::Decision.into(),
            categories: vec!["special.medical".to_owned()],
            ..StoredEntry::default()
        };
        ledger.rules.store(Arc::clone(&next));
        let refused = ledger.append(std::slice::from_ref(&entry)).unwrap_err();
        assert!(
            refused.to_string().contains("health-2026-07 is not ready"),
            "{refused}"
        );
        // With the rules of the pack that is to be put in force, while the other is.
        ledger.rules.store(Arc::clone(&old));
        ledger.prepare(&next, now).unwrap();
        for rules in [old, next] {
            ledger.rules.store(rules);
            let appending = ledger.append(std::slice::from_ref(&entry)).unwrap();
            appending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_index_that_was_being_made_when_a_key_was_destroyed_tells_nothing_of_what_it_opened()
    {
        use crate::gate::Unsealer;
        use crate::identity::seals::Seals;
        use crate::index::{self, IndexConfig};
        use crate::log::LogReader;

        let home = tempfile::tempdir().unwrap();
        let (ledger, log_text) = short_lived(home.path()).await;
        let now = Timestamp::parse("2026-11-01T00:00:00Z").unwrap();
        // As `sekisho log reindex` does beside the daemon that disposes.
        let rebuild = |tell: &mut dyn FnMut(index::Progress)| {
            let config = IndexConfig {
                directory: home.path().join("index"),
                spare_bytes: 0,
            };
            let seals = Seals::beside(home.path().join("seals"), log_text.clone());
            let opener = Unsealer::new(Arc::new(seals), log_text.clone()).into_opener();
            let reader = LogReader::open_directory(home.path().join("log")).unwrap();
            let made = index::rebuild(config, &reader, &opener, tell).unwrap();
            assert!(made.failed.is_empty(), "{made:?}");
            let sidecars = reader.segments().into_iter().filter(|span| span.closed);
            sidecars
                .map(|span| {
                    let name = format!("index/{:020}.index", span.first);
                    std::fs::read(home.path().join(name)).unwrap()
                })
                .collect::<Vec<_>>()
        };
        let before = rebuild(&mut |_| {});
        let mut disposed = false;
        // The first segment has been read, and its sidecar is not yet in its place.
        let during = rebuild(&mut |_| {
            if !std::mem::replace(&mut disposed, true) {
                ledger.carry_out(LogIndex(9), &of_july(), now).unwrap();
            }
        });
        let after = rebuild(&mut |_| {});
        assert_ne!(before, after, "what was sealed was found by what it says");
        assert!(
            during == after,
            "something that was disposed of is found again"
        );
    }
}

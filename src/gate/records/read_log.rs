//! Reading the access log, for the people who review it. Every call is itself logged before anything is shown.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::rules::Reviews;
use crate::domain::ids::{DecisionId, LogIndex, SessionId};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::admission::{Admitted, reviews};
use crate::gate::ledger::Ledger;
use crate::gate::peer::{Caller, Peer};
use crate::gate::records::sieve::{EntryFilter, Sieve};
use crate::gate::telling::{self, Told};
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::index::{Order, Walk};
use crate::log::{Kept, ReadError};
use crate::proto::{Decision, EntryKind, StoredEntry};

/// Which part of what fits.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Oldest first; newest first otherwise.
    pub oldest_first: bool,
    /// How many, 1 to 1,000.
    pub size: usize,
    /// Where to go on.
    pub start: Option<LogIndex>,
    /// Nothing at all where entries of the time that is wanted were disposed of: what is left would pass for all there was.
    pub whole: bool,
}

/// An entry as a reviewer may see it.
#[derive(Debug, Clone)]
pub struct ReadEntry {
    /// Where it is.
    pub index: LogIndex,
    /// What it says.
    pub entry: StoredEntry,
    /// Its bytes as kept.
    pub stored: Vec<u8>,
    /// RFC 6962 leaf hash of the bytes.
    pub leaf_hash: [u8; 32],
    /// What was reported of it since.
    pub records_accessed: Option<u64>,
}

/// The session that a stream ends with.
#[derive(Debug, Clone, Copy)]
struct Reader {
    session: SessionId,
    until: Timestamp,
}

/// One message of a search: an entry, and where the next page starts when this is the last of its page.
pub type Found = (ReadEntry, Option<LogIndex>);

/// Where a scan stands.
#[derive(Debug, Clone, Copy)]
pub(in crate::gate) struct Scan {
    /// The next entry to look at; `None` when there are no more.
    next: Option<LogIndex>,
    /// The last entry that was looked at.
    last: Option<LogIndex>,
    order: Order,
}

impl Scan {
    /// Of all entries there are, the newest first.
    pub(in crate::gate) const fn newest_first(newest: Option<LogIndex>) -> Self {
        Self {
            next: newest,
            last: None,
            order: Order::NewestFirst,
        }
    }

    /// Whether there are no more.
    pub(in crate::gate) const fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

/// How many entries one turn of a scan looks at, and how many that fit it brings.
const TURN_ENTRIES: usize = 20_000;
const TURN_FOUND: usize = 64;
/// How many scans look at the disk at once; the others wait for their turn.
pub(in crate::gate) const SCANS_AT_ONCE: usize = 4;

impl Gate {
    /// Streams a page of what fits.
    ///
    /// # Errors
    /// When nobody who reviews asks, or the call can't be logged; [`GateError::DisposedOf`] where the whole is wanted and
    /// isn't there any more.
    pub async fn search(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        filter: EntryFilter,
        page: Page,
    ) -> Result<Told<Found>, GateError> {
        let what = [("page_start", page.start.map(|start| start.to_string()))];
        let (sieve, _) = self
            .admit_reader(peer, credentials, "Search", filter, what)
            .await?;
        if page.whole {
            let (reader, period) = (self.log.reader(), sieve.period());
            let gone = tokio::task::spawn_blocking(move || reader.disposed_within(period)).await;
            gone.map_err(|_| GateError::Internal("reading ended early"))?
                .map_err(unread)?;
        }
        let newest = self.log.len().checked_sub(1).map(LogIndex);
        let (next, order) = if page.oldest_first {
            let start = page.start.unwrap_or(LogIndex(0));
            (Some(start), Order::OldestFirst)
        } else {
            (page.start.or(newest), Order::NewestFirst)
        };
        let mut scan = Scan {
            next,
            last: None,
            order,
        };
        let gate = Arc::clone(self);
        Ok(telling::begin(TURN_FOUND, |teller| async move {
            // One is held back until it is known whether another follows.
            let mut last: Option<ReadEntry> = None;
            let mut sent = 0_usize;
            while scan.next.is_some() && !teller.is_unheard() {
                for next in gate.turn(&sieve, &mut scan, true).await? {
                    let more = (sent + 1 == page.size).then_some(next.index);
                    if let Some(entry) = last.replace(next) {
                        teller.tell((gate.with_outcome(entry).await?, more)).await?;
                        if more.is_some() {
                            return Ok(());
                        }
                        sent += 1;
                    }
                }
            }
            if let Some(entry) = last {
                teller.tell((gate.with_outcome(entry).await?, None)).await?;
            }
            Ok(())
        }))
    }

    /// Streams what fits as it comes, until the reader hangs up, their session ends or the daemon stops.
    ///
    /// # Errors
    /// As for [`Self::search`].
    pub async fn tail(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        filter: EntryFilter,
    ) -> Result<Told<Found>, GateError> {
        let (sieve, reader) = self
            .admit_reader(peer, credentials, "Tail", filter, [])
            .await?;
        let gate = Arc::clone(self);
        let mut log = self.log.follow();
        let mut stopping = self.stopping.subscribe();
        Ok(telling::begin(TURN_FOUND, |teller| async move {
            let mut next = LogIndex(log.durable());
            loop {
                tokio::select! {
                    () = teller.unheard() => return Ok(()),
                    _ = stopping.changed() => return Ok(()),
                    // Looks at the session at least every second, whether or not there is news.
                    more = tokio::time::timeout(Duration::from_secs(1), log.more()) => {
                        if more == Ok(false) { return Ok(()) }
                    }
                }
                if gate.now() >= reader.until || gate.sessions.is_revoked(reader.session) {
                    return Err(GateError::Refused(ReasonCode::TicketExpired).into());
                }
                let durable = log.durable();
                while next.0 < durable {
                    let mut scan = Scan {
                        next: Some(next),
                        last: None,
                        order: Order::OldestFirst,
                    };
                    for entry in gate.turn(&sieve, &mut scan, false).await? {
                        teller.tell((entry, None)).await?;
                    }
                    // A turn may have met entries that came meanwhile: they are not to be told twice.
                    let after = scan
                        .last
                        .map_or(next, |last| LogIndex(last.0.saturating_add(1)));
                    next = match scan.next {
                        Some(_) => after,
                        None => after.max(LogIndex(durable)),
                    };
                }
            }
        }))
    }

    /// Looks at the next entries of a scan, off the threads that serve; by the index those only that may fit. Bounded in what
    /// it reads and in what it brings, so that a reader who doesn't take what was found holds up nobody.
    pub(in crate::gate) async fn turn(
        self: &Arc<Self>,
        sieve: &Sieve,
        scan: &mut Scan,
        by_index: bool,
    ) -> Result<Vec<ReadEntry>, GateError> {
        self.turn_of(sieve, scan, by_index, TURN_FOUND).await
    }

    /// The same, bringing so many at most.
    pub(in crate::gate) async fn turn_of(
        self: &Arc<Self>,
        sieve: &Sieve,
        scan: &mut Scan,
        by_index: bool,
        at_most: usize,
    ) -> Result<Vec<ReadEntry>, GateError> {
        let Some(from) = scan.next else {
            return Ok(Vec::new());
        };
        let place = self
            .scans
            .acquire()
            .await
            .map_err(|_| GateError::Internal("no scans any more"))?;
        let (gate, sieve, order) = (Arc::clone(self), sieve.clone(), scan.order);
        let turn = tokio::task::spawn_blocking(move || -> Result<_, GateError> {
            let index = gate.index().filter(|_| by_index);
            let reader = gate.log.reader();
            let (query, period) = (sieve.query(), sieve.period());
            let mut walk = Walk::new(reader, index, query, period, from, order);
            let mut found = Vec::new();
            let mut last = None;
            for kept in walk.by_ref().take(TURN_ENTRIES) {
                let kept = match kept {
                    // Disposed of since the turn began: the next one goes on behind it.
                    Err(ReadError::Disposed { first, next, .. }) => {
                        let on = match order {
                            Order::OldestFirst => Some(LogIndex(next)),
                            Order::NewestFirst => first.checked_sub(1).map(LogIndex),
                        };
                        return Ok((found, on, last));
                    }
                    kept => kept.map_err(unreadable)?,
                };
                last = Some(kept.index);
                found.extend(sift(&gate.log, &sieve, kept)?);
                if found.len() >= at_most {
                    break;
                }
            }
            Ok((found, walk.position(), last))
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))?;
        drop(place);
        let (found, next, last) = turn?;
        scan.next = next;
        scan.last = last.or(scan.last);
        Ok(found)
    }

    /// One entry, by its position or by its decision.
    ///
    /// # Errors
    /// When nobody who reviews asks, the call can't be logged, or there is no such entry that they may see.
    pub async fn get_entry(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        by: Result<LogIndex, DecisionId>,
        log: &str,
    ) -> Result<ReadEntry, GateError> {
        let entry = self
            .entry_for(peer, credentials, "GetEntry", by, log)
            .await?;
        self.with_outcome(entry).await
    }

    /// The entry that `call` is about, for a reader who may see it. The call is logged.
    pub(in crate::gate) async fn entry_for(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        by: Result<LogIndex, DecisionId>,
        log: &str,
    ) -> Result<ReadEntry, GateError> {
        let what = match by {
            Ok(index) => ("log_index", Some(index.to_string())),
            Err(decision) => ("decision_id", Some(decision.to_string())),
        };
        let (sieve, _) = self
            .admit_reader(peer, credentials, call, EntryFilter::default(), [what])
            .await?;
        let missing = GateError::NotFound("there is no such entry, or it is not for this reader");
        if !log.is_empty() && log != self.log.name() {
            return Err(missing);
        }
        let ledger = self.log.clone();
        // Opening it may read a key.
        tokio::task::spawn_blocking(move || {
            let reader = ledger.reader();
            let kept = match by {
                Ok(index) => reader.get(index),
                Err(decision) => reader.find_decision(decision),
            };
            let sifted = kept
                .map_err(unread)?
                .map(|kept| sift(&ledger, &sieve, kept));
            Ok::<_, GateError>(sifted.transpose()?.flatten())
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))??
        .ok_or(missing)
    }

    /// The entry at a position, as a reader may see it; `None` where they may not, or where it was disposed of.
    pub(in crate::gate) async fn read_for(
        &self,
        sieve: &Sieve,
        index: LogIndex,
    ) -> Result<Option<ReadEntry>, GateError> {
        let (ledger, sieve) = (self.log.clone(), sieve.clone());
        let read = tokio::task::spawn_blocking(move || match ledger.reader().get(index) {
            Ok(Some(kept)) => sift(&ledger, &sieve, kept),
            Ok(None) | Err(ReadError::Disposed { .. }) => Ok(None),
            Err(error) => Err(unreadable(error)),
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))??;
        match read {
            Some(entry) => self.with_outcome(entry).await.map(Some),
            None => Ok(None),
        }
    }

    async fn admit_reader<const N: usize>(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        filter: EntryFilter,
        what: [(&'static str, Option<String>); N],
    ) -> Result<(Sieve, Reader), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let (admitted, only_departments) = self
            .admitted_or_refused(
                &rules,
                (peer, &caller),
                credentials,
                (call, "none of this person's roles reviews the access log"),
                now,
                |person| match reviews(&rules, person, now) {
                    Reviews::Everything => Some(None),
                    Reviews::Department => Some(Some(person.departments.clone())),
                    Reviews::Nothing => None,
                },
            )
            .await?;
        let subject = filter
            .subject
            .as_ref()
            .map(|subject| self.keyring.pseudonyms.pseudonym(subject));
        let sieve = Sieve::new(filter, subject, only_departments);
        let mut entry = read_entry(peer, &caller, &admitted, call, &sieve, now);
        for (key, value) in what {
            if let Some(value) = value {
                entry::detail(&mut entry, key, value);
            }
        }
        entry.session_used = true;
        self.sessions.used(admitted.ticket.session, now);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let reader = Reader {
            session: admitted.ticket.session,
            until: admitted.ticket.expires,
        };
        Ok((sieve, reader))
    }

    /// Adds what was reported of a decision since.
    async fn with_outcome(&self, mut read: ReadEntry) -> Result<ReadEntry, GateError> {
        if read.entry.kind != i32::from(EntryKind::Decision)
            || read.entry.decision != i32::from(Decision::Allow)
        {
            return Ok(read);
        }
        let Some(decision) = DecisionId::from_bytes(&read.entry.decision_id) else {
            return Ok(read);
        };
        if let Some(index) = self.store.outcome_of(decision).await? {
            read.records_accessed = match self.entry_at(index).await {
                Ok(outcome) => Some(outcome.records_accessed),
                Err(GateError::DisposedOf(_)) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(read)
    }

    /// The entry at a position that is known to be durable.
    pub(in crate::gate) async fn entry_at(
        &self,
        index: LogIndex,
    ) -> Result<StoredEntry, GateError> {
        let ledger = self.log.clone();
        tokio::task::spawn_blocking(move || match ledger.reader().get(index)? {
            Some(kept) => ledger.open(&kept).map(Some),
            None => Ok(None),
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))?
        .map_err(unread)?
        .map(|opened| opened.entry)
        .ok_or(GateError::Internal("an entry is gone"))
    }

    pub(in crate::gate) async fn find_decision(
        &self,
        decision: DecisionId,
    ) -> Result<Option<(LogIndex, StoredEntry)>, GateError> {
        let ledger = self.log.clone();
        let found =
            tokio::task::spawn_blocking(move || match ledger.reader().find_decision(decision)? {
                Some(kept) => Ok(Some((kept.index, ledger.open(&kept)?))),
                None => Ok(None),
            })
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
            .map_err(unread)?;
        match found {
            Some((_, opened)) if opened.lost.as_ref().is_some_and(|lost| lost.whole) => {
                let words = opened.lost.map_or_else(String::new, |lost| lost.words);
                Err(GateError::DisposedOf(words))
            }
            found => Ok(found.map(|(index, opened)| (index, opened.entry))),
        }
    }
}

/// The entry as the reader may see it, where it fits. Blocks on the disk when its key is not held.
fn sift(ledger: &Ledger, sieve: &Sieve, kept: Kept) -> Result<Option<ReadEntry>, GateError> {
    let opened = ledger.open(&kept).map_err(unreadable)?;
    if !sieve.fits(&opened.entry) {
        return Ok(None);
    }
    let mut entry = opened.entry;
    if let Some(lost) = opened.lost.filter(|lost| lost.whole) {
        entry::detail(&mut entry, "class", lost.class);
        entry::detail(&mut entry, "disposed_of", lost.words);
    }
    Ok(Some(ReadEntry {
        index: kept.index,
        leaf_hash: kept.leaf_hash(),
        stored: kept.bytes,
        entry,
        records_accessed: None,
    }))
}

/// What was disposed of is told to who asks for it; anything else is ours.
pub(in crate::gate) fn unread(error: ReadError) -> GateError {
    match error {
        ReadError::Disposed { .. } => GateError::DisposedOf(error.to_string()),
        error => unreadable(error),
    }
}

pub(in crate::gate) fn unreadable<E: std::fmt::Display>(error: E) -> GateError {
    tracing::error!(%error, "the access log can't be read");
    GateError::Internal("the access log can't be read")
}

fn read_entry(
    peer: &Peer,
    caller: &Caller<'_>,
    admitted: &Admitted,
    call: &'static str,
    sieve: &Sieve,
    now: Timestamp,
) -> StoredEntry {
    let mut entry = entry::event(EntryKind::LogRead, now, caller, peer);
    entry::acted_by(&mut entry, &admitted.person);
    entry::in_session(&mut entry, &admitted.ticket);
    entry.client_ip = admitted.client_ip.to_string();
    entry.subjects = sieve
        .subject
        .iter()
        .map(|subject| subject.0.to_vec())
        .collect();
    entry::detail(&mut entry, "call", call);
    // Whose data is told by pseudonym above: `Display` leaves the subject out.
    entry::detail(&mut entry, "filter", sieve.filter.to_string());
    entry
}

//! Listing, showing and exporting records, for people who review everything, audit or administer. Each call is logged before
//! anything is shown.

use std::collections::HashSet;
use std::sync::Arc;

use time::UtcOffset;

use crate::decision::rules::Reviews;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name, RecordId};
use crate::domain::record::{RecordKind, RecordStatus};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::admission::{administers, reviews};
use crate::gate::ledger::Ledger;
use crate::gate::peer::Peer;
use crate::gate::provisions::follow::allowed_people;
use crate::gate::records::read_log::unreadable;
use crate::gate::telling::{self, Ended, Teller, Told};
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::identity::keyring::PseudonymKey;
use crate::log::ReadError;
use crate::proto::{EntryKind, StoredEntry};
use crate::report::SystemRow;
use crate::store::{KeptRecord, RecordPlace, RecordQuery};

/// How many records are read at once for an export.
const EXPORT_PAGE: u32 = 100;
/// How far a reader may be behind.
pub(in crate::gate) const AHEAD: usize = 16;

/// What a report says of itself.
#[derive(Debug, Clone)]
pub struct ReportHead {
    /// The pack's title, in English and in Japanese.
    pub titles: (String, String),
    /// When it was made.
    pub made_at: Timestamp,
    /// Where the pack's clock is.
    pub utc_offset: UtcOffset,
    /// The systems that hold personal data, each with its coverage: what a report can know of.
    pub systems: Vec<SystemRow>,
}

/// What is looked for; what is missing is not asked.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// The recipient's id, or the other party's name.
    pub party: Option<Name>,
    /// Of whose data.
    pub subject: Option<SubjectRef>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// What became of it.
    pub status: Option<RecordStatus>,
    /// Of which sort.
    pub kind: Option<RecordKind>,
    /// By which route.
    pub route: Option<Name>,
}

/// Without the subject and the other party, who may be a natural person too.
impl std::fmt::Display for RecordFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = Vec::new();
        let mut tell = |key: &str, value: Option<String>| {
            told.extend(value.map(|value| format!("{key}={value}")));
        };
        tell("from", self.from.map(|at| at.to_string()));
        tell("until", self.until.map(|at| at.to_string()));
        tell("status", self.status.map(|status| format!("{status:?}")));
        tell("kind", self.kind.map(|kind| format!("{kind:?}")));
        tell("route", self.route.as_ref().map(ToString::to_string));
        f.write_str(&told.join(" "))
    }
}

/// A record as it is shown.
#[derive(Debug, Clone)]
pub struct RecordSeen {
    /// What the store finds it by.
    pub kept: KeptRecord,
    /// The entry that opened it, opened; `None` where it is in another daemon's log, or gone.
    pub opened: Option<StoredEntry>,
    /// The entry that closed it.
    pub closed: Option<StoredEntry>,
    /// Whose data it is of, where that is asked for, with the ids as far as they can be read.
    pub people: Vec<(Pseudonym, Option<String>)>,
    /// Why something is not told, in words.
    pub unreadable: Option<String>,
}

impl RecordSeen {
    /// Whom the outcome names, and no decision allowed: what was provided is recorded whatever it was.
    #[must_use]
    pub fn undecided(&self) -> Vec<Pseudonym> {
        let (Some(opened), Some(closed)) = (&self.opened, &self.closed) else {
            return Vec::new();
        };
        let decided: HashSet<Pseudonym> = allowed_people(opened).into_iter().collect();
        let mut reported = allowed_people(closed);
        reported.retain(|subject| !decided.contains(subject));
        reported
    }
}

/// All that a call asks for, and what its entry says of that.
type Asked = (RecordQuery, Vec<(&'static str, String)>);

/// A page of a list, and where the next one starts.
pub type RecordPage = (Vec<RecordSeen>, Option<RecordPlace>);

impl Gate {
    /// A page of records, the newest first, without the people.
    ///
    /// # Errors
    /// When nobody who may asks, or the call can't be logged.
    pub async fn list_records(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        filter: RecordFilter,
        (size, after): (u32, Option<RecordPlace>),
    ) -> Result<RecordPage, GateError> {
        let (wanted, what) = self.wanted_records(filter);
        self.records_reader(peer, credentials, "ListRecords", wanted.subject, what)
            .await?;
        self.take_in_records(false).await?;
        let mut found = self
            .store
            .records(&wanted, after, size.saturating_add(1))
            .await?;
        let more = found.len() > usize::try_from(size).unwrap_or(usize::MAX);
        if more {
            found.pop();
        }
        let next = found.last().filter(|_| more).map(|last| last.place);
        Ok((self.seen(found, false).await?, next))
    }

    /// One record, with the people.
    ///
    /// # Errors
    /// When nobody who may asks, there is no such record, or the call can't be logged.
    pub async fn get_record(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        id: RecordId,
    ) -> Result<RecordSeen, GateError> {
        let what = vec![("record", id.to_string())];
        self.records_reader(peer, credentials, "GetRecord", None, what)
            .await?;
        self.take_in_records(false).await?;
        let kept = self.store.record(id).await?;
        let kept = kept.ok_or(GateError::NotFound("there is no such record"))?;
        let mut seen = self.seen(vec![kept], true).await?;
        seen.pop()
            .ok_or(GateError::Internal("one record, but not one to show"))
    }

    /// Streams all records that fit, the newest first, with the people.
    ///
    /// # Errors
    /// When nobody who may asks, or the call can't be logged.
    pub async fn export_records(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        filter: RecordFilter,
    ) -> Result<(ReportHead, Told<RecordSeen>), GateError> {
        let (wanted, what) = self.wanted_records(filter);
        self.records_reader(peer, credentials, "ExportRecords", wanted.subject, what)
            .await?;
        self.take_in_records(false).await?;
        let gate = Arc::clone(self);
        let told = telling::begin(AHEAD, |teller| async move {
            gate.tell_records(&wanted, true, &teller, Some).await
        });
        Ok((self.report_head(), told))
    }

    /// Tells all records that fit, as what `shown` makes of each.
    pub(in crate::gate) async fn tell_records<T: Send>(
        &self,
        wanted: &RecordQuery,
        with_people: bool,
        teller: &Teller<T>,
        shown: impl Fn(RecordSeen) -> Option<T> + Send + Sync,
    ) -> Result<(), Ended> {
        let mut after = None;
        loop {
            let page = self.record_page(wanted, after, with_people).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.kept.place);
            for found in page.into_iter().filter_map(&shown) {
                teller.tell(found).await?;
            }
        }
    }

    /// What a report says of itself as of now.
    pub(in crate::gate) fn report_head(&self) -> ReportHead {
        let rules = self.rules.load_full();
        ReportHead {
            titles: (
                rules.words.title.to_string(),
                rules.words.title_ja.to_string(),
            ),
            made_at: self.now(),
            utc_offset: rules.utc_offset,
            systems: SystemRow::all(&rules),
        }
    }

    /// The next records that fit; empty behind the last.
    async fn record_page(
        &self,
        wanted: &RecordQuery,
        after: Option<RecordPlace>,
        with_people: bool,
    ) -> Result<Vec<RecordSeen>, GateError> {
        let found = self.store.records(wanted, after, EXPORT_PAGE).await?;
        self.seen(found, with_people).await
    }

    /// What is asked of the store, and what the entry of the call says of it: the other party by the id of the pack's row, else by what
    /// stands for the name.
    pub(in crate::gate) fn wanted_records(&self, filter: RecordFilter) -> Asked {
        let pseudonyms = &self.keyring.pseudonyms;
        let mut what = vec![("filter", filter.to_string())];
        let party = filter.party.map(|party| {
            let key = pseudonyms.party(&party);
            what.push(match self.rules.load().recipients.id(&party) {
                Some(_) => ("party", party.to_string()),
                None => ("party_key", key.to_string()),
            });
            (party.into(), key)
        });
        let wanted = RecordQuery {
            party,
            subject: filter
                .subject
                .as_ref()
                .map(|subject| pseudonyms.pseudonym(subject)),
            from: filter.from,
            until: filter.until,
            status: filter.status,
            kind: filter.kind,
            route: filter.route.map_or_else(String::new, String::from),
        };
        (wanted, what)
    }

    /// Admits who reviews everything, audits or administers, and logs the call; anyone else is refused.
    pub(in crate::gate) async fn records_reader(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        subject: Option<Pseudonym>,
        what: Vec<(&'static str, String)>,
    ) -> Result<(), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let otherwise =
            "records of provision are for who reviews everything, audits or administers";
        let (admitted, ()) = self
            .admitted_or_refused(
                &rules,
                (peer, &caller),
                credentials,
                (call, otherwise),
                now,
                |person| {
                    let may = reviews(&rules, person, now) == Reviews::Everything
                        || administers(&rules, person, now);
                    may.then_some(())
                },
            )
            .await?;
        let mut entry = entry::event(EntryKind::LogRead, now, &caller, peer);
        entry::acted_by(&mut entry, &admitted.person);
        entry::in_session(&mut entry, &admitted.ticket);
        entry.client_ip = admitted.client_ip.to_string();
        entry.subjects = subject.iter().map(|subject| subject.0.to_vec()).collect();
        entry::detail(&mut entry, "call", call);
        for (key, value) in what {
            entry::detail(&mut entry, key, value);
        }
        entry.session_used = true;
        self.sessions.used(admitted.ticket.session, now);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(())
    }

    /// With what the entries say.
    async fn seen(
        &self,
        found: Vec<KeptRecord>,
        with_people: bool,
    ) -> Result<Vec<RecordSeen>, GateError> {
        let mut known = Vec::new();
        if with_people {
            for kept in &found {
                known.push(self.store.people_of_record(kept.id).await?);
            }
        }
        let (ledger, pseudonyms) = (self.log.clone(), self.keyring.pseudonyms.clone());
        // Reads the disk, opens seals and makes a pseudonym of everybody.
        let read = move || -> Result<Vec<RecordSeen>, GateError> {
            let seen = found.into_iter().map(|kept| look_up(&ledger, kept));
            let mut seen = seen.collect::<Result<Vec<_>, _>>()?;
            for (one, known) in seen.iter_mut().zip(known) {
                one.people = people_of(one, known, &pseudonyms);
            }
            Ok(seen)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
    }
}

/// As the outcome names them, else as the decision does; where neither can be read, as the store knows them.
fn people_of(
    seen: &RecordSeen,
    known: Vec<Pseudonym>,
    pseudonyms: &PseudonymKey,
) -> Vec<(Pseudonym, Option<String>)> {
    let names = |entry: &Option<StoredEntry>| {
        let record = entry.as_ref().and_then(|entry| entry.record.as_ref());
        record.map_or_else(Vec::new, |record| record.subject_refs.clone())
    };
    let known: HashSet<Pseudonym> = known.into_iter().collect();
    let mut told = HashSet::new();
    let mut people = Vec::new();
    for id in names(&seen.closed).into_iter().chain(names(&seen.opened)) {
        let Ok(name) = Name::parse(&id) else { continue };
        let pseudonym = pseudonyms.pseudonym(&SubjectRef::new(&name));
        if known.contains(&pseudonym) && told.insert(pseudonym) {
            people.push((pseudonym, Some(id)));
        }
    }
    let mut nameless: Vec<Pseudonym> = known.difference(&told).copied().collect();
    nameless.sort_unstable();
    people.extend(nameless.into_iter().map(|pseudonym| (pseudonym, None)));
    people
}

/// Reads the entries of a record. Blocks on the disk.
fn look_up(ledger: &Ledger, kept: KeptRecord) -> Result<RecordSeen, GateError> {
    let mut unreadable = None;
    if !kept.log.1 {
        let (log, _) = &kept.log;
        unreadable = Some(format!(
            "is in the log {log}: ask the daemon that writes it"
        ));
        return Ok(RecordSeen {
            kept,
            opened: None,
            closed: None,
            people: Vec::new(),
            unreadable,
        });
    }
    let opened = open(ledger, kept.place.index, &mut unreadable)?;
    let closed = match kept.closed {
        Some(index) => open(ledger, index, &mut unreadable)?,
        None => None,
    };
    Ok(RecordSeen {
        kept,
        opened,
        closed,
        people: Vec::new(),
        unreadable,
    })
}

/// An entry as far as it can be read; why not, where it can't.
fn open(
    ledger: &Ledger,
    index: LogIndex,
    why: &mut Option<String>,
) -> Result<Option<StoredEntry>, GateError> {
    let kept = match ledger.reader().get(index) {
        Err(error @ ReadError::Disposed { .. }) => {
            *why = Some(error.to_string());
            return Ok(None);
        }
        kept => kept.map_err(unreadable)?,
    };
    let Some(kept) = kept else {
        return Err(GateError::Internal("the entry of a record is gone"));
    };
    let opened = ledger.open(&kept).map_err(unreadable)?;
    if let Some(lost) = opened.lost {
        *why = Some(lost.words);
    }
    Ok(Some(opened.entry))
}

//! Listing, showing and exporting records, for people who review everything, audit or administer. Each call is logged before
//! anything is shown.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::decision::rules::Reviews;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name, RecordId};
use crate::domain::reason::ReasonCode;
use crate::domain::record::{RecordKind, RecordStatus};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::admission::{administers, reviews};
use crate::gate::ledger::Ledger;
use crate::gate::peer::Peer;
use crate::gate::records::read_log::unreadable;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::log::ReadError;
use crate::proto::{EntryKind, StoredEntry};
use crate::store::{KeptRecord, RecordPlace, RecordQuery};

/// How many records are read at once for an export.
const EXPORT_PAGE: u32 = 100;
/// How long a reader may leave a record untaken before their stream ends.
const UNTAKEN: Duration = Duration::from_secs(30);

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

/// Without the subject.
impl std::fmt::Display for RecordFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = Vec::new();
        let mut tell = |key: &str, value: Option<String>| {
            told.extend(value.map(|value| format!("{key}={value}")));
        };
        tell("party", self.party.as_ref().map(ToString::to_string));
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

/// One message of an export.
pub type FoundRecord = Result<RecordSeen, GateError>;

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
        let told = filter.to_string();
        let wanted = self.wanted_records(filter);
        let what = [("filter", told)];
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
        let what = [("record", id.to_string())];
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
    ) -> Result<mpsc::Receiver<FoundRecord>, GateError> {
        let told = filter.to_string();
        let wanted = self.wanted_records(filter);
        let what = [("filter", told)];
        self.records_reader(peer, credentials, "ExportRecords", wanted.subject, what)
            .await?;
        self.take_in_records(false).await?;
        let (send, found) = mpsc::channel(16);
        let gate = Arc::clone(self);
        tokio::spawn(async move { gate.send_records(&wanted, &send).await });
        Ok(found)
    }

    async fn send_records(&self, wanted: &RecordQuery, send: &mpsc::Sender<FoundRecord>) {
        let deliver = async |found: FoundRecord| {
            let sent = tokio::time::timeout(UNTAKEN, send.send(found)).await;
            matches!(sent, Ok(Ok(())))
        };
        let mut after = None;
        loop {
            let page = match self.record_page(wanted, after).await {
                Ok(page) => page,
                Err(error) => {
                    deliver(Err(error)).await;
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = Some(last.kept.place);
            for seen in page {
                if !deliver(Ok(seen)).await {
                    return;
                }
            }
        }
    }

    /// The next records that fit, with the people; empty behind the last.
    pub(in crate::gate) async fn record_page(
        &self,
        wanted: &RecordQuery,
        after: Option<RecordPlace>,
    ) -> Result<Vec<RecordSeen>, GateError> {
        let found = self.store.records(wanted, after, EXPORT_PAGE).await?;
        self.seen(found, true).await
    }

    pub(in crate::gate) fn wanted_records(&self, filter: RecordFilter) -> RecordQuery {
        let text = |name: Option<Name>| name.map_or_else(String::new, String::from);
        let pseudonyms = &self.keyring.pseudonyms;
        RecordQuery {
            party: text(filter.party),
            subject: filter
                .subject
                .as_ref()
                .map(|subject| pseudonyms.pseudonym(subject)),
            from: filter.from,
            until: filter.until,
            status: filter.status,
            kind: filter.kind,
            route: text(filter.route),
        }
    }

    /// Admits who reviews everything, audits or administers, and logs the call; anyone else is refused.
    pub(in crate::gate) async fn records_reader<const N: usize>(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        subject: Option<Pseudonym>,
        what: [(&'static str, String); N],
    ) -> Result<(), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let admitted = match self.admit(&rules, &caller, credentials, now) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let error = GateError::Refused(refused.code);
                return Err(self
                    .refuse_person(peer, &caller, call, refused, error, now)
                    .await);
            }
        };
        let person = &admitted.person;
        let may =
            reviews(&rules, person, now) == Reviews::Everything || administers(&rules, person, now);
        if !may {
            let error = GateError::NotAuthorised(
                "records of provision are for who reviews everything, audits or administers",
            );
            let refused = admitted.refused(ReasonCode::ActionNotPermitted);
            return Err(self
                .refuse_person(peer, &caller, call, refused, error, now)
                .await);
        }
        let mut entry = entry::event(EntryKind::LogRead, now, &caller, peer);
        entry::acted_by(&mut entry, person);
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
        let ledger = self.log.clone();
        let read = move || -> Result<Vec<RecordSeen>, GateError> {
            found
                .into_iter()
                .map(|kept| look_up(&ledger, kept))
                .collect()
        };
        let mut seen = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| GateError::Internal("reading ended early"))??;
        if with_people {
            for one in &mut seen {
                one.people = self.people_of(one).await?;
            }
        }
        Ok(seen)
    }

    /// As the outcome names them, else as the decision does; where neither can be read, as the store knows them.
    async fn people_of(
        &self,
        seen: &RecordSeen,
    ) -> Result<Vec<(Pseudonym, Option<String>)>, GateError> {
        let names = |entry: &Option<StoredEntry>| {
            let record = entry.as_ref().and_then(|entry| entry.record.as_ref());
            record.map_or_else(Vec::new, |record| record.subject_refs.clone())
        };
        let known: HashSet<Pseudonym> = self
            .store
            .people_of_record(seen.kept.id)
            .await?
            .into_iter()
            .collect();
        let mut told = HashSet::new();
        let mut people = Vec::new();
        for id in names(&seen.closed).into_iter().chain(names(&seen.opened)) {
            let Ok(name) = Name::parse(&id) else { continue };
            let pseudonym = self.keyring.pseudonyms.pseudonym(&SubjectRef::new(&name));
            if known.contains(&pseudonym) && told.insert(pseudonym) {
                people.push((pseudonym, Some(id)));
            }
        }
        let mut nameless: Vec<Pseudonym> = known.difference(&told).copied().collect();
        nameless.sort_unstable();
        people.extend(nameless.into_iter().map(|pseudonym| (pseudonym, None)));
        Ok(people)
    }
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

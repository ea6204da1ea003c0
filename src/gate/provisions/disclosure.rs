//! What a person is told of their data (開示, APPI Art. 33(5)): the records of provision and of receipt, and for the company's own
//! use each access. Of who did it nothing is told.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::access::SubjectRef;
use crate::domain::ids::LogIndex;
use crate::domain::record::RecordStatus;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::provisions::follow::allowed_people;
use crate::gate::provisions::read::{AHEAD, RecordFilter, RecordSeen, ReportHead};
use crate::gate::records::read_log::{Scan, unread, unreadable};
use crate::gate::records::sieve::{EntryFilter, Sieve};
use crate::gate::telling::{self, Ended, Teller, Told};
use crate::gate::{Credentials, Gate, GateError, ReadEntry};
use crate::log::AccessLog;
use crate::proto::{Decision, EntryKind};
use crate::store::RecordQuery;

const CALL: &str = "DisclosureReport";
/// How long a report waits for a checkpoint that commits to the newest entry: one is signed every second.
const SIGNED_WITHIN: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Debug)]
pub struct DisclosureWish {
    /// About whom.
    pub subject: SubjectRef,
    /// Each access, too.
    pub accesses: bool,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// The log that accesses are told from, as far as it was there: each daemon writes its own, and knows no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSeen {
    /// Its name.
    pub name: String,
    /// The first entry that was not disposed of, and when it was written; `None` where there is none.
    pub first: Option<(LogIndex, Timestamp)>,
    /// When the last one was.
    pub last: Option<Timestamp>,
    /// How many entries it has had.
    pub size: u64,
    /// The root of the tree of so many, which a signed checkpoint commits to.
    pub root: [u8; 32],
}

/// One part of a report.
#[derive(Debug, Clone)]
pub enum Disclosed {
    /// A record, without its people.
    Record {
        /// The record.
        record: Box<RecordSeen>,
        /// The outcome names this person, and no decision allowed that.
        undecided: bool,
    },
    /// An access that was allowed.
    Access(Box<ReadEntry>),
}

/// A report: how it begins, the log that accesses are of where they are asked for, and its parts.
pub type Disclosure = (ReportHead, Option<LogSeen>, Told<Disclosed>);

impl Gate {
    /// Streams what is told of a person's data.
    ///
    /// # Errors
    /// When nobody who reviews everything, audits or administers asks, or the call can't be logged.
    pub async fn disclosure(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: DisclosureWish,
    ) -> Result<Disclosure, GateError> {
        let subject = self.keyring.pseudonyms.pseudonym(&wish.subject);
        let scope = if wish.accesses { "all" } else { "provision" };
        let filter = RecordFilter {
            from: wish.from,
            until: wish.until,
            ..RecordFilter::default()
        };
        let (wanted, mut what) = self.wanted_records(filter);
        what.push(("scope", scope.to_owned()));
        self.records_reader(peer, credentials, CALL, Some(subject), what)
            .await?;
        self.take_in_records(false).await?;
        let head = self.report_head();
        let records = RecordQuery {
            subject: Some(subject),
            ..wanted
        };
        let (mut log, mut accesses) = (None, None);
        if wish.accesses {
            let seen = self.log_seen().await?;
            let filter = EntryFilter {
                from: wish.from,
                until: wish.until,
                subject: Some(wish.subject),
                kind: Some(EntryKind::Decision.into()),
                decision: Some(Decision::Allow.into()),
                ..EntryFilter::default()
            };
            let newest = seen.size.checked_sub(1).map(LogIndex);
            accesses = Some((Sieve::new(filter, Some(subject), None), newest));
            log = Some(seen);
        }
        let gate = Arc::clone(self);
        let told = telling::begin(AHEAD, |teller| async move {
            let shown = |mut record: RecordSeen| {
                let undecided = record.undecided().contains(&subject);
                // Whoever else it is of is nothing to this person.
                record.people.clear();
                (record.kept.status != RecordStatus::Abandoned).then(|| Disclosed::Record {
                    record: Box::new(record),
                    undecided,
                })
            };
            gate.tell_records(&records, false, &teller, shown).await?;
            match accesses {
                Some((sieve, newest)) => gate.tell_accesses(&sieve, newest, &teller).await,
                None => Ok(()),
            }
        });
        Ok((head, log, told))
    }

    async fn tell_accesses(
        self: &Arc<Self>,
        sieve: &Sieve,
        newest: Option<LogIndex>,
        teller: &Teller<Disclosed>,
    ) -> Result<(), Ended> {
        let mut scan = Scan::newest_first(newest);
        while !scan.is_over() {
            if teller.is_unheard() {
                return Err(Ended::Unheard);
            }
            for read in self.turn(sieve, &mut scan, true).await? {
                let entry = &read.entry;
                let theirs = sieve
                    .subject
                    .is_some_and(|subject| allowed_people(entry).contains(&subject));
                if theirs && entry.repeat_of.is_empty() {
                    teller.tell(Disclosed::Access(Box::new(read))).await?;
                }
            }
        }
        Ok(())
    }

    /// The log as a checkpoint commits to it that was signed after everything up to now.
    pub(in crate::gate) async fn log_seen(&self) -> Result<LogSeen, GateError> {
        let length = self.log.len();
        let mut checkpoints = self.log.checkpoints();
        let signed = checkpoints.wait_for(|signed| signed.checkpoint.size >= length);
        let size = match tokio::time::timeout(SIGNED_WITHIN, signed).await {
            Ok(Ok(signed)) => signed.checkpoint.size,
            // Told from what there is: how much that is, is said.
            Ok(Err(_)) | Err(_) => self.log.checkpoints().borrow().checkpoint.size,
        };
        let log = AccessLog::clone(&self.log);
        tokio::task::spawn_blocking(move || look_at(&log, size))
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
    }
}

/// Blocks on the disk.
fn look_at(log: &AccessLog, size: u64) -> Result<LogSeen, GateError> {
    let root = log.root_at(size).map_err(unreadable)?;
    let root = root.ok_or(GateError::Internal("a checkpoint went back"))?;
    let reader = log.reader();
    let time = |index: u64| -> Result<Option<Timestamp>, GateError> {
        let kept = reader.get(LogIndex(index)).map_err(unread)?;
        Ok(kept.map(|kept| kept.time()))
    };
    let first = reader.readable_segments().first().map(|span| span.first);
    let first = match first.filter(|first| *first < size) {
        Some(first) => time(first)?.map(|at| (LogIndex(first), at)),
        None => None,
    };
    let last = match (&first, size.checked_sub(1)) {
        (Some(_), Some(last)) => time(last)?,
        _ => None,
    };
    Ok(LogSeen {
        name: log.name().to_owned(),
        first,
        last,
        size,
        root,
    })
}

//! What a person is told of their data (開示, APPI Art. 33(5)): the records of provision and of receipt, and for the company's own
//! use each access. Of who did it nothing is told.

use std::sync::Arc;
use std::time::Duration;

use time::UtcOffset;
use tokio::sync::mpsc;

use crate::domain::access::SubjectRef;
use crate::domain::ids::LogIndex;
use crate::domain::record::RecordStatus;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::provisions::follow::allowed_people;
use crate::gate::provisions::read::{RecordFilter, RecordSeen};
use crate::gate::records::read_log::Scan;
use crate::gate::records::sieve::{EntryFilter, Sieve};
use crate::gate::{Credentials, Gate, GateError, ReadEntry};
use crate::proto::{Decision, EntryKind};
use crate::store::RecordQuery;

const CALL: &str = "DisclosureReport";
/// How long a reader may leave a part untaken before their stream ends.
const UNTAKEN: Duration = Duration::from_secs(30);

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

/// What a report says of itself.
#[derive(Debug, Clone)]
pub struct DisclosureHead {
    /// The pack's title, in English and in Japanese.
    pub titles: (String, String),
    /// When it was made.
    pub made_at: Timestamp,
    /// Where the pack's clock is.
    pub utc_offset: UtcOffset,
}

/// One part of a report.
#[derive(Debug, Clone)]
pub enum Disclosed {
    /// A record, without its people.
    Record(Box<RecordSeen>),
    /// An access that was allowed.
    Access(Box<ReadEntry>),
}

/// One message of a report.
pub type FoundDisclosed = Result<Disclosed, GateError>;

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
    ) -> Result<(DisclosureHead, mpsc::Receiver<FoundDisclosed>), GateError> {
        let subject = self.keyring.pseudonyms.pseudonym(&wish.subject);
        let scope = if wish.accesses { "all" } else { "provision" };
        let filter = RecordFilter {
            from: wish.from,
            until: wish.until,
            ..RecordFilter::default()
        };
        let what = [("scope", scope.to_owned()), ("filter", filter.to_string())];
        self.records_reader(peer, credentials, CALL, Some(subject), what)
            .await?;
        self.take_in_records(false).await?;
        let rules = self.rules.load_full();
        let head = DisclosureHead {
            titles: (
                rules.words.title.to_string(),
                rules.words.title_ja.to_string(),
            ),
            made_at: self.now(),
            utc_offset: rules.utc_offset,
        };
        let records = RecordQuery {
            subject: Some(subject),
            ..self.wanted_records(filter)
        };
        let accesses = wish.accesses.then(|| {
            let filter = EntryFilter {
                from: wish.from,
                until: wish.until,
                subject: Some(wish.subject),
                kind: Some(EntryKind::Decision.into()),
                decision: Some(Decision::Allow.into()),
                ..EntryFilter::default()
            };
            Sieve::new(filter, Some(subject), None)
        });
        let (send, found) = mpsc::channel(16);
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = gate.tell(&records, accesses.as_ref(), &send).await {
                let _ = tokio::time::timeout(UNTAKEN, send.send(Err(error))).await;
            }
        });
        Ok((head, found))
    }

    async fn tell(
        self: &Arc<Self>,
        records: &RecordQuery,
        accesses: Option<&Sieve>,
        send: &mpsc::Sender<FoundDisclosed>,
    ) -> Result<(), GateError> {
        let deliver = async |found: Disclosed| {
            let sent = tokio::time::timeout(UNTAKEN, send.send(Ok(found))).await;
            matches!(sent, Ok(Ok(())))
        };
        let mut after = None;
        loop {
            let page = self.record_page(records, after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.kept.place);
            for mut seen in page {
                if seen.kept.status == RecordStatus::Abandoned {
                    continue;
                }
                // Whoever else it is of is nothing to this person.
                seen.people.clear();
                if !deliver(Disclosed::Record(Box::new(seen))).await {
                    return Ok(());
                }
            }
        }
        let Some(sieve) = accesses else { return Ok(()) };
        let newest = self.log.len().checked_sub(1).map(LogIndex);
        let mut scan = Scan::newest_first(newest);
        while !scan.is_over() && !send.is_closed() {
            for read in self.turn(sieve, &mut scan, true).await? {
                let entry = &read.entry;
                let theirs = sieve
                    .subject
                    .is_some_and(|subject| allowed_people(entry).contains(&subject));
                if theirs
                    && entry.repeat_of.is_empty()
                    && !deliver(Disclosed::Access(Box::new(read))).await
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

//! A record that data were received from a third party (APPI Art. 30(3); Rules of the Commission Art. 22 and 23).

use std::sync::Arc;
use std::time::Duration;

use crate::decision::rules::{LogRetention, RuleSet};
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name, RecordId};
use crate::domain::record::ReceiptBasis;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::peer::{Caller, Peer};
use crate::gate::repeats::{ContentDigest, Guard, Key, Known};
use crate::gate::subjects::Registrar;
use crate::gate::{Credentials, Gate, GateError, Violation, content, entry};
use crate::log::AppendError;
use crate::proto::{EntryKind, ReferenceStanding, StoredEntry, StoredRecord, StoredRecordKind};

/// A receipt, its texts within their bounds.
#[derive(Debug)]
pub struct ReceiptWish {
    /// The caller's own id of the call, by which a repeat is told.
    pub request_id: Option<Name>,
    /// From whom.
    pub provider_name: Name,
    /// Where they are.
    pub provider_address: String,
    /// Who represents them; empty for an individual.
    pub provider_representative: String,
    /// ISO 3166-1 alpha-2; empty where it is not told.
    pub provider_country: String,
    /// How the provider acquired the data.
    pub acquisition: String,
    /// Whose data, each once or more.
    pub subjects: Vec<SubjectRef>,
    /// The kind of person.
    pub subject_kind: Name,
    /// The items.
    pub categories: Vec<Name>,
    /// When.
    pub received: Timestamp,
    /// On which ground.
    pub basis: ReceiptBasis,
    /// The document behind it.
    pub basis_reference: Option<Name>,
}

/// What was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRegistered {
    /// Names the record.
    pub id: RecordId,
    /// Its entry.
    pub index: LogIndex,
    /// Until when it is kept.
    pub keep_until: Timestamp,
}

const CALL: &str = "RegisterReceipt";
/// 1900-01-01: what is earlier is a slip of the pen.
const EARLIEST: i64 = -2_208_988_800;

impl Gate {
    /// Records a receipt.
    ///
    /// # Errors
    /// When neither a service that may register asks nor a person who administers, a field can't be taken, or the entry can't be
    /// written.
    pub async fn register_receipt(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ReceiptWish,
    ) -> Result<ReceiptRegistered, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self.registrar(&rules, peer, credentials, CALL, now).await?;
        let mut entry = self.registrars_entry(&registrar, peer, now);
        let caller = &registrar.caller;
        let violations = violations(&rules, &wish, now);
        if !violations.is_empty() {
            entry.kind = EntryKind::RefusedCall.into();
            let error = GateError::Malformed(violations);
            return Err(self.refuse(peer, caller, entry, CALL, error).await);
        }
        let guard = match &wish.request_id {
            None => None,
            Some(id) => {
                let content = self.content_of(&registrar, &wish);
                match self.first_of_its_id(peer, caller, id, content).await? {
                    Ok(guard) => Some(guard),
                    Err(index) => return self.registered_before(entry, id, index).await,
                }
            }
        };
        let years = LogRetention::RECEIPT_YEARS;
        // Counted from the day on which it is recorded (APPI Art. 30(4)).
        let keep_until = now.plus_years(years, rules.utc_offset);
        let id = RecordId(entry::new_id(now).0);
        entry::detail(&mut entry, "change", "register-receipt");
        entry::detail(&mut entry, "record", id.to_string());
        if let Some(guard) = &guard {
            entry.request_digest = guard.content().to_vec();
        }
        self.describe(&mut entry, wish);
        if let Some(record) = &mut entry.record {
            record.record_id = id.to_bytes();
            record.years = years.into();
            record.keep_until_us = keep_until.micros();
        }
        let mut appending = match self.log.append(std::slice::from_ref(&entry)) {
            Err(error @ AppendError::TooLarge { .. }) => {
                return Err(self
                    .refuse_call(peer, caller, CALL, error.into(), now)
                    .await);
            }
            appending => appending?,
        };
        let receipts = match (&mut appending).await {
            Ok(receipts) => receipts,
            Err(AppendError::Deadline) => {
                // It may still be written: its id is not free before that is known.
                tokio::spawn(async move {
                    if let (Ok(receipts), Some(guard)) = (appending.without_deadline().await, guard)
                    {
                        guard.answered(receipts.first().index(), now);
                    }
                });
                return Err(AppendError::Deadline.into());
            }
            Err(error) => return Err(error.into()),
        };
        let index = receipts.first().index();
        if let Some(guard) = guard {
            guard.answered(index, now);
        }
        Ok(ReceiptRegistered {
            id,
            index,
            keep_until,
        })
    }

    fn content_of(&self, registrar: &Registrar<'_>, wish: &ReceiptWish) -> ContentDigest {
        let pseudonyms = &self.keyring.pseudonyms;
        let subjects = wish.subjects.iter();
        let subjects: Vec<Pseudonym> = subjects.map(|one| pseudonyms.pseudonym(one)).collect();
        let person = registrar.person.as_ref();
        let person = person.map(|admitted| &*admitted.person.id);
        content::receipt_digest(wish, &subjects, person)
    }

    /// Takes the id of a request, or finds where the first of it is in the log; waits for one that is in flight.
    async fn first_of_its_id(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        id: &Name,
        content: ContentDigest,
    ) -> Result<Result<Guard, LogIndex>, GateError> {
        loop {
            let now = self.now();
            let error = match self.repeats.begin(Key::of(caller.id, id), content, now) {
                Known::First(guard) => return Ok(Ok(guard)),
                Known::Answered(index) => return Ok(Err(index)),
                // Ends in an error when the first is through, whatever came of it.
                Known::InFlight(mut first) => {
                    while first.changed().await.is_ok() {}
                    continue;
                }
                Known::OtherContent => GateError::Malformed(vec![Violation::new(
                    "request_id",
                    "was used within the last ten minutes for another request: use a new one",
                )]),
                Known::Full => GateError::Busy {
                    what: "too many request ids within ten minutes",
                    retry_after: Duration::from_secs(10),
                },
            };
            return Err(self.refuse_call(peer, caller, CALL, error, now).await);
        }
    }

    /// What the first call of an id registered. The repeat has an entry of its own.
    async fn registered_before(
        &self,
        mut entry: StoredEntry,
        id: &Name,
        index: LogIndex,
    ) -> Result<ReceiptRegistered, GateError> {
        let first = self.entry_at(index).await?;
        let record = first.record.unwrap_or_default();
        let Some(record_id) = RecordId::from_bytes(&record.record_id) else {
            return Err(GateError::Internal("a receipt has no record"));
        };
        entry::detail(&mut entry, "call", CALL);
        entry::detail(&mut entry, "repeats", index.to_string());
        entry::detail(&mut entry, "record", record_id.to_string());
        entry.request_id = id.to_string();
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(ReceiptRegistered {
            id: record_id,
            index,
            keep_until: Timestamp::from_micros(record.keep_until_us),
        })
    }

    fn describe(&self, entry: &mut StoredEntry, wish: ReceiptWish) {
        let mut told = std::collections::HashSet::new();
        let people: Vec<(Pseudonym, &SubjectRef)> = wish
            .subjects
            .iter()
            .map(|subject| (self.keyring.pseudonyms.pseudonym(subject), subject))
            .filter(|(pseudonym, _)| told.insert(*pseudonym))
            .collect();
        entry.subjects = people
            .iter()
            .map(|(pseudonym, _)| pseudonym.0.to_vec())
            .collect();
        entry.subject_kind = wish.subject_kind.into();
        entry.categories = wish.categories.into_iter().map(String::from).collect();
        // What a registrar says of a receipt is no more than said.
        if wish.basis_reference.is_some() {
            entry.basis_reference_standing = ReferenceStanding::Declared.into();
        }
        entry.basis_reference = wish.basis_reference.map_or_else(String::new, String::from);
        entry.request_id = wish.request_id.map_or_else(String::new, String::from);
        entry.record = Some(StoredRecord {
            kind: StoredRecordKind::Receipt.into(),
            country: wish.provider_country,
            basis: wish.basis.number(),
            received_us: wish.received.micros(),
            name: wish.provider_name.into(),
            address: wish.provider_address,
            representative: wish.provider_representative,
            subject_refs: people
                .iter()
                .map(|(_, id)| id.expose().to_owned())
                .collect(),
            acquisition: wish.acquisition,
            ..StoredRecord::default()
        });
    }
}

fn violations(rules: &RuleSet, wish: &ReceiptWish, now: Timestamp) -> Vec<Violation> {
    let mut violations = Vec::new();
    if rules.kinds.id(&wish.subject_kind).is_none() {
        let what = "the pack has no such kind of person";
        violations.push(Violation::new("subject_kind", what));
    }
    for (position, category) in wish.categories.iter().enumerate() {
        if rules.categories.id(category).is_none() {
            let field = format!("categories[{position}]");
            violations.push(Violation::new(field, "the pack has no such category"));
        }
    }
    if wish.received.seconds() < EARLIEST || wish.received > now {
        violations.push(Violation::new("received_at", "must be from 1900 to now"));
    }
    violations
}

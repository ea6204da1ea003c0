//! A record that data were received from a third party (APPI Art. 30(3); Rules of the Commission Art. 22 to 25).

use std::sync::Arc;

use crate::decision::rules::{LogRetention, RuleSet};
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name, RecordId};
use crate::domain::record::ReceiptBasis;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::log::AppendError;
use crate::proto::{EntryKind, StoredEntry, StoredRecord, StoredRecordKind};

/// A receipt, its texts within their bounds.
#[derive(Debug)]
pub struct ReceiptWish {
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
        let caller = registrar.caller;
        let violations = violations(&rules, &wish, now);
        if !violations.is_empty() {
            entry.kind = EntryKind::RefusedCall.into();
            let error = GateError::Malformed(violations);
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        }
        let years = LogRetention::RECEIPT_YEARS;
        // Counted from the day on which it is recorded (Rules Art. 25).
        let keep_until = now.plus_years(years, rules.utc_offset);
        let id = RecordId(entry::new_id(now).0);
        entry::detail(&mut entry, "change", "register-receipt");
        entry::detail(&mut entry, "record", id.to_string());
        self.describe(&mut entry, wish);
        if let Some(record) = &mut entry.record {
            record.record_id = id.to_bytes();
            record.years = years.into();
            record.keep_until_us = keep_until.micros();
        }
        let appending = match self.log.append(std::slice::from_ref(&entry)) {
            Err(error @ AppendError::TooLarge { .. }) => {
                return Err(self
                    .refuse_call(peer, &caller, CALL, error.into(), now)
                    .await);
            }
            appending => appending?,
        };
        let receipt = appending.await?.first();
        Ok(ReceiptRegistered {
            id,
            index: receipt.index(),
            keep_until,
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
        entry.basis_reference = wish.basis_reference.map_or_else(String::new, String::from);
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

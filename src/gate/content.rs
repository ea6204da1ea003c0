//! The content of a request as bytes, by which a repeat is told from another request under the same id. Written out field by
//! field: the digest is kept in the log and must mean the same in every version.

use sha2::{Digest, Sha256};

use crate::domain::access::{AccessRequest, LegalException, Proof, Relation, Subjects};
use crate::domain::ids::Name;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::ReceiptWish;

/// First in every digest: another way of writing needs another.
const VERSION: &[u8] = b"sekisho request content 1";

/// SHA-256 over all fields but the request id; the proof counts as person and time of second step, subjects as pseudonyms.
pub(super) fn digest(
    request: &AccessRequest,
    subjects: &[Pseudonym],
    person: Option<(&str, Timestamp)>,
) -> [u8; 32] {
    let AccessRequest {
        request_id: _,
        proof,
        client_ip,
        session_ref,
        action,
        system,
        subject_kind,
        subjects: named,
        categories,
        record_count,
        collected_via,
        origin_country,
        purpose,
        basis,
        provision,
        case_ref,
        break_glass,
        automated_decision,
        allow_partial,
        relation,
    } = request;
    let mut content = Content(Sha256::new_with_prefix(VERSION));
    content.number(u64::from(*proof == Proof::Workload));
    let (person, second_step) = person.unzip();
    content.text(person);
    content.number(second_step.map_or(0, |at| at.micros().cast_unsigned()));
    content.text(client_ip.map(|address| address.to_string()).as_deref());
    content.name(session_ref.as_ref());
    content.number(u64::from(action.number().unsigned_abs()));
    content.name(system.as_ref());
    content.name(subject_kind.as_ref());
    content.number(u64::from(matches!(named, Subjects::List(_))));
    content.number(length(subjects.len()));
    for subject in subjects {
        content.bytes(&subject.0);
    }
    content.number(length(categories.len()));
    for category in categories {
        content.name(Some(category));
    }
    content.number(*record_count);
    for name in [
        collected_via,
        origin_country,
        purpose,
        &basis.reference,
        case_ref,
    ] {
        content.name(name.as_ref());
    }
    content.number(u64::from(basis.consent.number().unsigned_abs()));
    content.number(u64::from(
        basis
            .exception
            .map_or(0, LegalException::number)
            .unsigned_abs(),
    ));
    for flag in [
        basis.consent_difficult,
        basis.subject_request,
        provision.own_purpose,
        *automated_decision,
        *allow_partial,
    ] {
        content.number(u64::from(flag));
    }
    let unlisted = &provision.unlisted;
    for name in [
        &provision.recipient,
        &provision.safeguard,
        &unlisted.name,
        &unlisted.address,
        &unlisted.representative,
        &unlisted.country,
    ] {
        content.name(name.as_ref());
    }
    content.text(break_glass.as_deref());
    content.number(u64::from(
        relation.map_or(0, Relation::number).unsigned_abs(),
    ));
    content.0.finalize().into()
}

/// First in every digest of a receipt.
const RECEIPT_VERSION: &[u8] = b"sekisho receipt content 1";

/// The same of a receipt: all fields but the request id, and who registers where that is a person.
pub(super) fn receipt_digest(
    receipt: &ReceiptWish,
    subjects: &[Pseudonym],
    person: Option<&str>,
) -> [u8; 32] {
    let ReceiptWish {
        request_id: _,
        provider_name,
        provider_address,
        provider_representative,
        provider_country,
        acquisition,
        subjects: _,
        subject_kind,
        categories,
        received,
        basis,
        basis_reference,
    } = receipt;
    let mut content = Content(Sha256::new_with_prefix(RECEIPT_VERSION));
    content.text(person);
    content.name(Some(provider_name));
    for text in [
        provider_address,
        provider_representative,
        provider_country,
        acquisition,
    ] {
        content.text(Some(text));
    }
    content.number(length(subjects.len()));
    for subject in subjects {
        content.bytes(&subject.0);
    }
    content.name(Some(subject_kind));
    content.number(length(categories.len()));
    for category in categories {
        content.name(Some(category));
    }
    content.number(received.micros().cast_unsigned());
    content.number(u64::from(basis.number().unsigned_abs()));
    content.name(basis_reference.as_ref());
    content.0.finalize().into()
}

struct Content(Sha256);

impl Content {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(length(bytes.len()));
        self.0.update(bytes);
    }

    /// Nothing and an empty text differ.
    fn text(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.bytes(text.unwrap_or("").as_bytes());
    }

    fn name(&mut self, name: Option<&Name>) {
        self.text(name.map(|name| &**name));
    }
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

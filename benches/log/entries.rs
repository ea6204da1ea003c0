//! Entries like those that the gate writes for decisions, made up from a number: the same number makes the same entry.

use super::numbers::Numbers;
use sekisho::proto::{
    Action, Decision, EntryKind, ReasonCode, StoredCharge, StoredEntry, StoredObligation,
    StoredReason,
};

pub(crate) const PERSONS: u64 = 2_000;
pub(crate) const SUBJECTS: u64 = 200_000;
pub(crate) const DEPARTMENTS: u64 = 40;
pub(crate) const PURPOSES: u64 = 12;
/// One entry in so many has both of two things that are frequent alone.
pub(crate) const SELDOM: u64 = 250_000;
/// 2023-01-01.
const BEGIN_US: i64 = 1_672_531_200_000_000;
const DAY_US: i64 = 86_400_000_000;

/// What the entries are made by.
#[derive(Clone, Copy)]
pub(crate) struct House {
    /// How many entries a day has; a segment holds a day at most.
    pub(crate) per_day: u64,
}

impl House {
    pub(crate) fn time_us(self, number: u64) -> i64 {
        let step = DAY_US / i64::try_from(self.per_day).unwrap_or(i64::MAX).max(1);
        BEGIN_US + i64::try_from(number).unwrap_or(0) * step
    }

    pub(crate) fn entry(self, number: u64) -> StoredEntry {
        entry(number, self.time_us(number))
    }
}

pub(crate) fn person(number: u64) -> String {
    format!("adviser-{number}")
}

pub(crate) fn subject(number: u64) -> [u8; 32] {
    let mut numbers = Numbers(number);
    std::array::from_fn(|_| u8::try_from(numbers.below(256)).unwrap_or(0))
}

/// Sixty of them, in twelve groups.
pub(crate) fn category(number: u64) -> String {
    format!("group-{}.category-{number}", number % 12)
}

/// Each half of the persons has departments of its own.
pub(crate) fn department(person: u64) -> String {
    let half = DEPARTMENTS / 2;
    let first = if person < PERSONS / 2 { 0 } else { half };
    format!("department-{}", first + person % half)
}

/// A person's device has always the same address.
pub(crate) fn address(person: u64) -> String {
    // The upper half of the persons is in another half of the network.
    let half = if person < PERSONS / 2 { 10 } else { 138 };
    format!("10.{half}.{}.{}", person / 250, person % 250 + 1)
}

fn entry(number: u64, time_us: i64) -> StoredEntry {
    let mut n = Numbers(number.wrapping_mul(0x0001_0001));
    let seldom = number % SELDOM == 7;
    let person_number = n.below(PERSONS);
    let denied = n.below(20) == 0;
    let service = n.below(6);
    let kind = if service < 2 && !seldom {
        "job-seeker"
    } else {
        match n.below(3) {
            0 => "employee",
            1 => "contact",
            _ => "applicant",
        }
    };
    let mut id = [0; 16];
    id.iter_mut()
        .for_each(|byte| *byte = u8::try_from(n.below(256)).unwrap_or(0));
    let reason = |code: ReasonCode| StoredReason {
        code: code.into(),
        about: String::new(),
    };
    let mut entry = StoredEntry {
        time_us,
        kind: EntryKind::Decision.into(),
        decision_id: id.to_vec(),
        caller: format!("service-{service}"),
        caller_ip: format!("10.0.0.{service}"),
        person: person(person_number),
        roles: vec!["career-adviser".to_owned()],
        department: department(person_number),
        client_ip: address(person_number),
        amr: vec!["pwd".to_owned(), "otp".to_owned()],
        second_step_us: time_us - 1_000_000,
        network: "office".to_owned(),
        session: id.to_vec(),
        action: match n.below(4) {
            0 | 1 => Action::Read,
            2 => Action::Search,
            _ => Action::Update,
        }
        .into(),
        system: format!("system-{}", service / 2),
        subject_kind: kind.to_owned(),
        subjects: vec![subject(n.below(SUBJECTS)).to_vec()],
        categories: (0..=n.below(2)).map(|_| category(n.below(60))).collect(),
        record_count: 1,
        purpose: format!("purpose-{}", n.below(PURPOSES)),
        policy_revision: vec![7; 32],
        rule: format!("policy.csv:{}", n.below(300)),
        decision: Decision::Allow.into(),
        valid_until_us: time_us + 60_000_000,
        charges: vec![StoredCharge {
            limit: "daily".to_owned(),
            unnamed: 0,
            named: vec![0],
        }],
        allowed_records: 1,
        session_used: true,
        ..StoredEntry::default()
    };
    if n.below(3) == 0 {
        entry.case_ref = format!("case-{}", number / 8);
    }
    if n.below(2) == 0 {
        entry.request_id = format!("request-{number}");
        entry.request_digest = subject(number).to_vec();
    }
    if n.below(50) == 0 {
        entry.recipient = format!("client-{}", n.below(300));
        entry.action = Action::Provide.into();
    }
    if n.below(5_000) == 0 {
        entry.break_glass = true;
    }
    if denied {
        entry.decision = Decision::Deny.into();
        entry.reasons = vec![reason(ReasonCode::ActionNotPermitted)];
        entry.further_reasons = vec![reason(ReasonCode::TicketExpired)];
        entry.valid_until_us = 0;
        entry.charges.clear();
    } else if n.below(4) == 0 {
        entry.obligations = vec![StoredObligation {
            id: "report-outcome".to_owned(),
            report_outcome_by_us: time_us + 86_400_000_000,
            ..StoredObligation::default()
        }];
    }
    entry
}

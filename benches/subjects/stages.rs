//! Decisions about subjects of whom much is registered, beside some of whom nothing is: what the stages `subject` and `provision`
//! do about it is the difference.

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho::decision::{CallerFacts, Facts, GenuineTicket, LimitOutcome, TicketFacts, decide};
use sekisho::domain::access::{
    AccessRequest, Action, Basis, Consent, Proof, Provision, SubjectRef, Subjects, TicketText,
};
use sekisho::domain::ids::Name;
use sekisho::domain::subject::SubjectState;
use sekisho::domain::time::Timestamp;
use sekisho::gate::Register;
use sekisho::policy::{self, Pack};

use super::{Outcome, each, pseudonym, scattered, tell};

struct Asked {
    what: &'static str,
    person: &'static str,
    request: AccessRequest,
}

fn name(text: &str) -> Outcome<Name> {
    Ok(Name::parse(text)?)
}

fn asked() -> Outcome<[Asked; 2]> {
    let read = AccessRequest {
        request_id: None,
        proof: Proof::Ticket(TicketText::new("ticket")),
        client_ip: Some("203.0.113.10".parse()?),
        session_ref: None,
        action: Action::Read,
        system: Some(name("crm")?),
        subject_kind: Some(name("job-seeker")?),
        subjects: Subjects::One(SubjectRef::new(&name("subject")?)),
        categories: vec![name("identity")?],
        record_count: 1,
        collected_via: None,
        origin_country: None,
        purpose: Some(name("recruitment-service")?),
        basis: Basis {
            consent: Consent::Prior,
            exception: None,
            reference: Some(name("C-1")?),
            consent_difficult: false,
            subject_request: false,
        },
        provision: Provision::default(),
        case_ref: None,
        break_glass: None,
        automated_decision: false,
        allow_partial: false,
        relation: None,
    };
    let provide = AccessRequest {
        action: Action::Provide,
        subject_kind: Some(name("inquirer")?),
        categories: vec![name("inquiry")?],
        purpose: Some(name("affiliate-referral")?),
        provision: Provision {
            recipient: Some(name("affiliate")?),
            ..Provision::default()
        },
        ..read.clone()
    };
    Ok([
        Asked {
            what: "a read",
            person: "adviser-1",
            request: read,
        },
        Asked {
            what: "a provision that stops on request",
            person: "reception-1",
            request: provide,
        },
    ])
}

/// All eight stages, of many subjects one after the other; where nothing is registered the look is made all the same.
fn time(
    pack: &Pack,
    asked: &Asked,
    register: &Register,
    subjects: u32,
    empty: bool,
) -> Outcome<Duration> {
    let rules = &pack.rules;
    let service = rules.services.id("career-crm");
    let person = pack
        .people
        .iter()
        .find(|person| &*person.id == asked.person);
    let now = Timestamp::from_seconds(1_600_000_000);
    let nothing = Arc::new(SubjectState::default());
    let began = Instant::now();
    for number in scattered(subjects) {
        let found = register.state(&pseudonym(number));
        let state = if empty { Arc::clone(&nothing) } else { found };
        let states = [state];
        let facts = Facts {
            now,
            request: &asked.request,
            caller: CallerFacts {
                service: service.and_then(|id| rules.services.get(id)),
                address: IpAddr::from([127, 0, 0, 1]),
            },
            ticket: TicketFacts::Genuine(GenuineTicket {
                revoked: false,
                bound: true,
                second_step: Some(now),
                expires: now.plus(Duration::from_secs(3_600)),
            }),
            person,
            locked: false,
            subjects: &states,
            references: &[],
            all_known: true,
        };
        black_box(decide(rules, black_box(&facts), |_, _| {
            LimitOutcome::Within
        }));
    }
    Ok(each(began.elapsed(), subjects))
}

/// Each of both kinds, in turns.
pub(super) fn measure(register: &Register, subjects: u32) -> Outcome<()> {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
    let pack = policy::load(&pack)?;
    tell("decisions, the look and all eight stages, with so many registered:");
    for asked in asked()? {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..5 {
            for (times, empty) in times.iter_mut().zip([true, false]) {
                times.push(time(&pack, &asked, register, subjects, empty)?);
            }
        }
        let median = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        let [empty, registered] = &mut times;
        let (empty, registered) = (median(empty), median(registered));
        let more = registered.saturating_sub(empty);
        tell(&format!(
            "    {}: {registered:.2?}; where nothing is registered {empty:.2?}; so `subject` and `provision` spend {more:.0?} on it",
            asked.what
        ));
    }
    Ok(())
}

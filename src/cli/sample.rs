//! The lines that `dev` prints: a login, an allowed and a denied check, found by asking the decision itself what the pack
//! would allow one of its sample people.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{Failure, first_credentials};
use crate::decision::rules::RuleSet;
use crate::decision::{self, CallerFacts, Facts, GenuineTicket, LimitOutcome, TicketFacts};
use crate::domain::access::{AccessRequest, Action, Basis, Consent, Proof, Provision, Subjects};
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::policy::Pack;

/// A purpose that no policy would name.
const UNHEARD_OF: &str = "curiosity";

struct Sample<'a> {
    person: &'a Person,
    service: &'a str,
    system: &'a str,
    client_ip: IpAddr,
    kind: &'a str,
    category: &'a str,
    purpose: &'a str,
}

/// The first thing that the pack allows one of its people to read.
fn find(pack: &Pack, now: Timestamp) -> Option<Sample<'_>> {
    let rules = &pack.rules;
    let (service_name, service) = rules
        .services
        .iter()
        .find(|(_, _, service)| service.acts_for_people)
        .map(|(_, name, service)| (name, service))?;
    let system = service.systems.first()?;
    let people = pack
        .people
        .iter()
        .filter(|person| !pack.people_without_second_factor.contains(&person.id));
    for person in people {
        let Some(client_ip) = device_of(rules, person, now) else {
            continue;
        };
        for (_, kind, _) in rules.kinds.iter() {
            for (_, category, _) in rules.categories.iter() {
                for (_, purpose, _) in rules.purposes.iter() {
                    let request = request(system, client_ip, kind, category, purpose)?;
                    let facts = Facts {
                        now,
                        request: &request,
                        caller: CallerFacts {
                            service: Some(service),
                            address: IpAddr::from([127, 0, 0, 1]),
                        },
                        ticket: TicketFacts::Genuine(GenuineTicket {
                            revoked: false,
                            bound: true,
                            second_step: Some(now),
                            expires: now.plus(rules.session.absolute),
                        }),
                        person: Some(person),
                        locked: false,
                        subjects: &[],
                        references: &[],
                        all_known: true,
                    };
                    if decision::decide(rules, &facts, |_, _| LimitOutcome::Within).is_allowed() {
                        return Some(Sample {
                            person,
                            service: service_name,
                            system,
                            client_ip,
                            kind,
                            category,
                            purpose,
                        });
                    }
                }
            }
        }
    }
    None
}

/// The tenth address of the first network that the person may work from.
fn device_of(rules: &RuleSet, person: &Person, now: Timestamp) -> Option<IpAddr> {
    let role = rules
        .roles
        .get(rules.roles.id(person.roles_at(now).next()?)?)?;
    let network = rules.networks.get(*role.networks.first()?)?;
    let block = network.blocks.first()?;
    block.hosts().take(10).last()
}

fn request(
    system: &str,
    client_ip: IpAddr,
    kind: &str,
    category: &str,
    purpose: &str,
) -> Option<AccessRequest> {
    Some(AccessRequest {
        request_id: None,
        proof: Proof::Missing,
        client_ip: Some(client_ip),
        session_ref: None,
        action: Action::Read,
        system: Name::parse(system).ok(),
        subject_kind: Name::parse(kind).ok(),
        subjects: Subjects::Unnamed,
        categories: vec![Name::parse(category).ok()?],
        record_count: 1,
        collected_via: None,
        origin_country: None,
        purpose: Name::parse(purpose).ok(),
        basis: Basis {
            consent: Consent::None,
            exception: None,
            reference: None,
            consent_difficult: false,
            subject_request: false,
        },
        provision: Provision::default(),
        case_ref: None,
        break_glass: None,
        automated_decision: false,
        allow_partial: false,
        relation: None,
    })
}

/// What `dev` prints.
pub(super) fn guide(
    data: &Path,
    pack: &Pack,
    grpc: SocketAddr,
    http: SocketAddr,
    now: Timestamp,
) -> Result<String, Failure> {
    let data_shown = data.display();
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "sekisho".to_owned());
    let Some(sample) = find(pack, now) else {
        return Ok(format!(
            "sekisho serves the pack {} on {grpc}; none of its sample people may read anything right away.",
            pack.rules.pack
        ));
    };
    let Sample {
        person,
        service,
        system,
        client_ip,
        kind,
        category,
        purpose,
    } = sample;
    let person = &person.id;
    let password = first_credentials::find(data, person)?.password;
    let check = |purpose: &str| {
        format!(
            r#"call -d "{{\"actor\":{{\"session_ticket\":\"$TICKET\",\"client_ip\":\"{client_ip}\",\"session_ref\":\"s-1\"}},\"action\":\"ACTION_READ\",\"data\":{{\"system\":\"{system}\",\"subject_kind\":\"{kind}\",\"subject_ref\":\"subject-1\",\"categories\":[\"{category}\"]}},\"purpose\":\"{purpose}\"}}" {grpc} sekisho.v1.AccessService/Check"#
        )
    };
    let (allowed, denied) = (check(purpose), check(UNHEARD_OF));
    Ok(format!(
        r#"
sekisho (関所) serves the pack `{pack}`: gRPC on {grpc}, metrics on http://{http}/metrics (the console is not supported yet).
Sample people, their passwords and seeds: {data_shown}/dev/people.json. Stop with Ctrl-C; the data stay.

Paste into another terminal, in this folder. First {person} logs in by both steps, through the service {service}
(a code works once: for another login within 30 seconds wait for the next one):

call() {{ grpcurl -cacert {data_shown}/dev/ca.pem -cert {data_shown}/dev/services/{service}.pem -key {data_shown}/dev/services/{service}.key "$@"; }}
CHALLENGE=$(call -d '{{"person":"{person}","password":"{password}","client_ip":"{client_ip}","session_ref":"s-1"}}' {grpc} sekisho.v1.AuthenticationService/VerifyPassword | sed -n 's/.*"challengeId": "\(.*\)".*/\1/p')
TICKET=$(call -d "{{\"challenge_id\":\"$CHALLENGE\",\"totp\":\"$({program} code --data {data_shown} {person})\"}}" {grpc} sekisho.v1.AuthenticationService/VerifySecondFactor | sed -n 's/.*"sessionTicket": "\(.*\)".*/\1/p')

May they read {category} of a {kind} for {purpose}? Allowed:

{allowed}

And for a purpose that the policy doesn't name? Denied, with the reason:

{denied}

Who looked at what? A security manager reads the access log (ID, password and code are asked):

{program} login --data {data_shown} && {program} log search --data {data_shown}
"#,
        pack = pack.rules.pack,
    ))
}

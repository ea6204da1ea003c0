//! The scenarios on the decision alone: facts and rules in, a verdict out. What surrounds it (a ticket's fate, the counts)
//! is told here in the plainest words there are, so that a mistake of the daemon's own has something to differ from.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use sekisho::decision::rules::RuleSet;
use sekisho::decision::{
    CallerFacts, Demand, Facts, GenuineTicket, LimitOutcome, ObligationKind, TicketFacts, Verdict,
    Withheld, decide,
};
use sekisho::domain::access::{
    AccessRequest, Action, Basis, Consent, LegalException, Proof, Provision, Relation, SubjectRef,
    Subjects, TicketText,
};
use sekisho::domain::ids::Name;
use sekisho::domain::network::{device_network, parse_address};
use sekisho::domain::person::Person;
use sekisho::domain::reason::Reason;
use sekisho::domain::subject::SubjectState;
use sekisho::domain::time::Timestamp;
use sekisho::policy::{self, Pack};
use sekisho::proto;
use serde_json::{Value, json};
use support::compare::answer_differs;
use support::scenario::{Scenario, Step, load};
use support::{packs, say, wire};

/// Any instant would do.
const BEGIN: &str = "2031-04-01T01:00:00Z";

/// Why this is not for the decision to say, if so.
fn left(scenario: &Scenario) -> Option<&'static str> {
    if scenario.expect.error.is_some() {
        Some("refused before there is a request to decide")
    } else if scenario.expect.decision.is_none() {
        Some("refused at the login")
    } else if scenario.expect.repeats {
        Some("answered without deciding again")
    } else {
        None
    }
}

/// A login as its ticket tells it.
#[derive(Clone)]
struct Login {
    person: String,
    service: String,
    device: IpAddr,
    session_ref: String,
    begun: Timestamp,
    second_step: Timestamp,
    used: Timestamp,
    ended: bool,
}

/// One allowed access on a person's count.
struct Charge {
    at: Timestamp,
    person: String,
    limit: usize,
    named: Vec<String>,
    unnamed: u64,
}

struct World<'a> {
    pack: &'a Pack,
    scenario: &'a Scenario,
    now: Timestamp,
    login: Option<Login>,
    subjects: HashMap<String, SubjectState>,
    charges: Vec<Charge>,
}

fn name(text: &str) -> Option<Name> {
    (!text.trim().is_empty()).then(|| Name::parse(text).expect("a name within its bounds"))
}

impl World<'_> {
    fn log_in(&mut self, person: &str) {
        let (service, ip, session_ref) = self.scenario.login_at();
        self.login = Some(Login {
            person: person.into(),
            service: service.into(),
            device: device_network(parse_address(ip).expect("an address to log in from")),
            session_ref: session_ref.into(),
            begun: self.now,
            second_step: self.now,
            used: self.now,
            ended: false,
        });
    }

    fn set(&mut self, step: Step<'_>) -> Result<(), String> {
        match step {
            Step::Hold { subject, hold } => {
                let hold = name(hold).ok_or("no hold")?;
                self.subjects
                    .entry(subject.into())
                    .or_default()
                    .holds
                    .push(hold);
            }
            Step::Date {
                subject,
                date,
                value,
            } => {
                let value = Timestamp::parse(value).map_err(|error| format!("{value}: {error}"))?;
                let date = name(date).ok_or("no date")?;
                let dates = &mut self.subjects.entry(subject.into()).or_default().dates;
                dates.retain(|(other, _)| *other != date);
                dates.push((date, value));
            }
            Step::Earlier {
                request,
                times,
                every,
                allowed,
                person,
            } => {
                let own = self.login.clone();
                if let Some(person) = person {
                    self.log_in(person);
                }
                for _ in 0..times {
                    self.now = self.now.plus(every);
                    let verdict = self.ask(&request)?;
                    if verdict.is_allowed() != allowed {
                        return Err(format!("earlier request: {verdict:?}"));
                    }
                    if let Some(login) = &mut self.login {
                        login.used = self.now;
                    }
                }
                if person.is_some() {
                    self.login = own;
                }
            }
            Step::Wait(by) => self.now = self.now.plus(by),
            Step::LogIn => self.log_in(self.scenario.person.as_deref().ok_or("nobody to log in")?),
            Step::Refresh => {
                let now = self.now;
                let login = self.login.as_mut().ok_or("nobody is logged in")?;
                (login.second_step, login.used) = (now, now);
            }
            Step::EndSession => self.login.as_mut().ok_or("nobody is logged in")?.ended = true,
            Step::Exchange => {
                let login = self.login.as_mut().ok_or("nobody is logged in")?;
                login.service.clone_from(&self.scenario.service);
                login.session_ref.clone_from(&self.scenario.session_ref);
            }
        }
        Ok(())
    }

    fn person(&self, id: &str) -> Option<Person> {
        let mut person = self
            .pack
            .people
            .iter()
            .find(|person| &*person.id == id)?
            .clone();
        if self
            .scenario
            .standing
            .as_ref()
            .is_some_and(|standing| standing.disabled)
        {
            person.disabled = true;
        }
        Some(person)
    }

    fn ticket(&self, request: &AccessRequest) -> TicketFacts {
        if request.proof == Proof::Missing || request.proof == Proof::Workload {
            return TicketFacts::Missing;
        }
        let Some(login) = self
            .login
            .as_ref()
            .filter(|_| self.scenario.ticket.is_none())
        else {
            return TicketFacts::Invalid;
        };
        let session = self.pack.rules.session;
        let expires = login.begun.plus(session.absolute);
        if self.now >= expires {
            return TicketFacts::Expired { may_step_up: false };
        }
        if self.now.since(login.used) > session.idle {
            return TicketFacts::Expired { may_step_up: true };
        }
        TicketFacts::Genuine(GenuineTicket {
            revoked: login.ended,
            bound: login.service == self.scenario.service
                && request.client_ip.map(device_network) == Some(login.device)
                && request.session_ref.as_deref() == Some(&*login.session_ref),
            second_step: Some(login.second_step),
            expires,
        })
    }

    fn ask(&mut self, request: &Value) -> Result<Verdict, String> {
        let request = self.read(request)?;
        let ticket = self.ticket(&request);
        let known = matches!(ticket, TicketFacts::Genuine(_));
        let person = self
            .login
            .as_ref()
            .filter(|_| known)
            .and_then(|login| self.person(&login.person));
        let named: Vec<String> = request
            .subjects
            .named()
            .iter()
            .map(|subject| subject.expose().to_owned())
            .collect();
        let subjects: Vec<Arc<SubjectState>> = named
            .iter()
            .map(|subject| Arc::new(self.subjects.get(subject).cloned().unwrap_or_default()))
            .collect();
        let rules = &self.pack.rules;
        let service = rules
            .services
            .id(&self.scenario.service)
            .and_then(|id| rules.services.get(id));
        let address = match &self.scenario.peer {
            Some(peer) => parse_address(peer).map_err(|error| format!("{peer} {error}"))?,
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let facts = Facts {
            now: self.now,
            request: &request,
            caller: CallerFacts { service, address },
            ticket,
            person: person.as_ref(),
            locked: false,
            subjects: &subjects,
        };
        let who = person
            .as_ref()
            .map(|person| person.id.to_string())
            .unwrap_or_default();
        let verdict = decide(rules, &facts, |demand, _| self.within(&who, demand, &named));
        if let Verdict::Allow(permit) = &verdict
            && let Some(demand) = &permit.demand
        {
            self.charge(&who, demand, &named);
        }
        Ok(verdict)
    }

    /// People of this person's count within the window: those named, and how many more.
    fn counted(&self, who: &str, limit: usize) -> (HashSet<&str>, u64) {
        let window = self.pack.rules.limits[limit].window;
        let charges = || {
            self.charges
                .iter()
                .filter(move |charge| charge.person == who && charge.limit == limit)
                .filter(move |charge| self.now.since(charge.at) < window)
        };
        let named = charges()
            .flat_map(|charge| charge.named.iter().map(String::as_str))
            .collect();
        (named, charges().map(|charge| charge.unnamed).sum())
    }

    fn within(&self, who: &str, demand: &Demand, named: &[String]) -> LimitOutcome {
        for limit in demand.limits.iter().copied() {
            let (mut people, unnamed) = self.counted(who, limit);
            people.extend(
                demand
                    .subjects
                    .iter()
                    .map(|position| named[*position].as_str()),
            );
            let more = demand.records.saturating_sub(demand.subjects.len() as u64);
            let total = unnamed
                .saturating_add(more)
                .saturating_add(people.len() as u64);
            if total > self.pack.rules.limits[limit].people {
                return LimitOutcome::Exceeded(limit);
            }
        }
        LimitOutcome::Within
    }

    fn charge(&mut self, who: &str, demand: &Demand, named: &[String]) {
        for limit in demand.limits.iter().copied() {
            self.charges.push(Charge {
                at: self.now,
                person: who.into(),
                limit,
                named: demand
                    .subjects
                    .iter()
                    .map(|position| named[*position].clone())
                    .collect(),
                unnamed: demand.records.saturating_sub(demand.subjects.len() as u64),
            });
        }
    }

    fn read(&self, json: &Value) -> Result<AccessRequest, String> {
        let wire = wire::check_request(json)?;
        let scenario = self.scenario;
        let proof = if scenario.workload {
            Proof::Workload
        } else if let Some(text) = &scenario.ticket {
            if text.trim().is_empty() {
                Proof::Missing
            } else {
                Proof::Ticket(TicketText::new(text))
            }
        } else if self.login.is_some() {
            Proof::Ticket(TicketText::new("a ticket"))
        } else {
            Proof::Missing
        };
        let client_ip = scenario.client_ip().filter(|ip| !ip.trim().is_empty());
        let data = wire.data.clone().unwrap_or_default();
        let basis = wire.basis.clone().unwrap_or_default();
        let provision = wire.provision.clone().unwrap_or_default();
        let subject = |text: &String| SubjectRef::new(&name(text).expect("a subject"));
        let subjects = match (data.subject_ref.is_empty(), data.subject_refs.is_empty()) {
            (false, _) => Subjects::One(subject(&data.subject_ref)),
            (true, false) => Subjects::List(data.subject_refs.iter().map(subject).collect()),
            (true, true) => Subjects::Unnamed,
        };
        Ok(AccessRequest {
            request_id: name(&wire.request_id),
            proof,
            client_ip: client_ip.map(|ip| parse_address(ip).expect("an address")),
            session_ref: name(&scenario.session_ref),
            action: Action::from_number(wire.action).ok_or("no action")?,
            system: name(&data.system),
            subject_kind: name(&data.subject_kind),
            record_count: data.record_count.max(subjects.named().len() as u64).max(1),
            subjects,
            categories: data
                .categories
                .iter()
                .filter_map(|category| name(category))
                .collect(),
            collected_via: name(&data.collected_via),
            origin_country: name(&data.origin_country),
            purpose: name(&wire.purpose),
            basis: Basis {
                consent: Consent::from_number(basis.consent).unwrap_or(Consent::None),
                exception: LegalException::from_number(basis.exception),
                reference: name(&basis.reference),
                consent_difficult: basis.consent_difficult,
                subject_request: basis.subject_request,
            },
            provision: Provision {
                unlisted: Default::default(),
                recipient: name(&provision.recipient),
                own_purpose: provision.recipient_own_purpose,
                safeguard: name(&provision.safeguard),
            },
            case_ref: name(&wire.case_ref),
            break_glass: wire
                .break_glass
                .map(|break_glass| break_glass.reason.into()),
            automated_decision: wire.automated_decision,
            allow_partial: wire.allow_partial,
            relation: Relation::from_number(wire.relation),
        })
    }
}

fn reason_json(reason: &Reason) -> Value {
    json!({
        "code": proto::ReasonCode::try_from(reason.code.number()).unwrap().as_str_name(),
        "about": reason.about,
        "message": reason.code.message(),
        "messageJa": reason.code.message_ja(),
    })
}

/// The verdict as the API would answer it.
fn answer_json(rules: &RuleSet, now: Timestamp, request: &Value, verdict: &Verdict) -> Value {
    let category = |position: usize| request["data"]["categories"][position].clone();
    let categories = |withheld: &[Withheld]| -> Value {
        let one = |withheld: &Withheld| json!({ "category": category(withheld.position), "reason": reason_json(&withheld.reason) });
        withheld.iter().map(one).collect()
    };
    let subjects = |withheld: &[Withheld]| -> Value {
        let one = |withheld: &Withheld| json!({ "index": withheld.position, "reason": reason_json(&withheld.reason) });
        withheld.iter().map(one).collect()
    };
    let obligation = |(number, kind): (usize, &ObligationKind)| {
        let mut obligation = match kind {
            ObligationKind::Mask(names) => json!({ "mask": { "categories": names } }),
            ObligationKind::ProvisionRecord(record) => {
                json!({ "provisionRecord": { "keepUntil": record.keep_until.to_string() } })
            }
            ObligationKind::ReportOutcomeBy(by) => json!({ "reportOutcomeBy": by.to_string() }),
            ObligationKind::ExcludeHeld(holds) => json!({ "excludeHeld": { "holds": holds } }),
        };
        obligation["id"] = number.to_string().into();
        obligation
    };
    let mut answer = match verdict {
        Verdict::Allow(permit) => json!({
            "decision": "DECISION_ALLOW",
            "reasons": permit.remarks.iter().map(reason_json).collect::<Vec<_>>(),
            "obligations": permit.obligations.iter().enumerate().map(obligation).collect::<Vec<_>>(),
            "validUntil": permit.valid_until.to_string(),
            "withheldCategories": categories(&permit.withheld_categories),
            "withheldSubjects": subjects(&permit.withheld_subjects),
        }),
        Verdict::Deny(denial) => json!({
            "decision": "DECISION_DENY",
            "reasons": denial.reasons.iter().map(reason_json).collect::<Vec<_>>(),
            "stepUp": denial.step_up.map(|step_up| json!({
                "maxAge": format!("{}s", step_up.max_age.as_secs()),
                "amr": ["otp"],
            })),
        }),
    };
    if answer["stepUp"].is_null() {
        answer.as_object_mut().unwrap().remove("stepUp");
    }
    answer["decidedAt"] = now.to_string().into();
    answer["decisionId"] = "01890a5d-ac96-774b-bcce-b302099a8057".into();
    answer["policyRevision"] = data_encoding::HEXLOWER.encode(&rules.revision).into();
    answer
}

/// What the trace says of what the log keeps.
fn trace_differs(rules: &RuleSet, scenario: &Scenario, verdict: &Verdict) -> Vec<String> {
    let trace = verdict.trace();
    let mut kept: BTreeMap<&str, Value> = BTreeMap::new();
    kept.insert("break_glass", trace.break_glass.into());
    kept.insert(
        "network",
        trace
            .network
            .map(|id| rules.networks.name(id))
            .unwrap_or_default()
            .into(),
    );
    kept.insert(
        "provision_route",
        trace
            .route
            .map(|route| route.name())
            .unwrap_or_default()
            .into(),
    );
    let expected = &scenario.expect.entry;
    kept.iter()
        .filter_map(|(field, got)| expected.get(*field).map(|expected| (field, expected, got)))
        .filter(|(_, expected, got)| expected != got)
        .map(|(field, expected, got)| format!("{field}: expected {expected}, got {got}"))
        .collect()
}

fn play(pack: &Pack, scenario: &Scenario) -> Result<Vec<String>, String> {
    let now = scenario.now.as_deref().unwrap_or(BEGIN);
    let now = Timestamp::parse(now).map_err(|error| format!("{now}: {error}"))?;
    let mut world = World {
        pack,
        scenario,
        now,
        login: None,
        subjects: HashMap::new(),
        charges: Vec::new(),
    };
    if let Some(person) = &scenario.person {
        world.log_in(person);
    }
    for given in &scenario.given {
        world.set(given.step()?)?;
    }
    if let (Some(age), Some(login)) = (scenario.second_step_age()?, &world.login) {
        world.now = world.now.max(login.second_step.plus(age));
    }
    let request = scenario.request()?;
    let verdict = world.ask(&request)?;
    let answer = answer_json(&pack.rules, world.now, &request, &verdict);
    let mut problems = answer_differs(&scenario.expect, &answer);
    problems.extend(trace_differs(&pack.rules, scenario, &verdict));
    Ok(problems)
}

#[test]
fn every_scenario_holds_for_the_decision_alone() {
    let mut failed = 0;
    for folder in packs() {
        failed += scenarios_of(&folder);
    }
    assert_eq!(failed, 0, "{failed} scenarios failed");
}

/// How many fail.
fn scenarios_of(folder: &Path) -> usize {
    let began = std::time::Instant::now();
    let rules =
        policy::load(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let (mut passed, mut failed) = (0, 0);
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    let all = load(folder).unwrap();
    for scenario in &all {
        if let Some(reason) = left(scenario) {
            *why.entry(reason).or_default() += 1;
            continue;
        }
        let problems = play(&rules, scenario).unwrap_or_else(|problem| vec![problem]);
        if problems.is_empty() {
            passed += 1;
            continue;
        }
        failed += 1;
        say(&format!("FAILED {}: {}", scenario.file, scenario.name));
        for problem in problems {
            say(&format!("    {problem}"));
        }
    }
    let count: usize = why.values().sum();
    say(&format!(
        "{}, pure: {passed} passed, {failed} failed, {count} left to the other runners, in {:.0?}",
        rules.rules.pack,
        began.elapsed()
    ));
    for (reason, count) in why {
        say(&format!("    {count} left: {reason}"));
    }
    // Something to fail by, were the counts above to be of nothing.
    assert!(passed >= 40, "only {passed} scenarios were played");
    failed
}

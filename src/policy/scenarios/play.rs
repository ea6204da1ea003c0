//! A scenario on the decision alone: facts and rules in, a verdict out. What surrounds it (a ticket's fate, the counts) is told here
//! in the plainest words there are, and nothing of it is the daemon's: so a mistake of the daemon's own has something to differ from.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::Value;

use super::expected::Answered;
use super::form::{GivenReference, Scenario, Step};
use super::request;
use crate::decision::rules::RuleSet;
use crate::decision::{
    CallerFacts, Demand, Facts, GenuineTicket, LimitOutcome, ObligationKind, TicketFacts, Verdict,
    Withheld, decide,
};
use crate::domain::access::{AccessRequest, Proof, TicketText};
use crate::domain::ids::{Name, NameError};
use crate::domain::network::{device_network, parse_address};
use crate::domain::person::{Person, Pledge};
use crate::domain::reason::Reason;
use crate::domain::reference::{Reference, ReferenceKind};
use crate::domain::subject::SubjectState;
use crate::domain::time::Timestamp;
use crate::policy::Pack;

/// 2031-04-01T01:00:00Z; any instant would do.
const BEGIN: Timestamp = Timestamp::from_seconds(1_932_771_600);
/// An allowance holds no longer than this, and an outcome is due within that.
const VALID_AT_MOST_MICROS: i64 = 60_000_000;
const DAY_MICROS: i64 = 24 * 3_600_000_000;

/// What came of a request.
#[derive(Debug)]
pub struct Decided {
    /// The service that asked, where the pack knows it.
    pub service: Option<String>,
    /// What was asked.
    pub request: AccessRequest,
    /// What was decided.
    pub verdict: Verdict,
}

/// A scenario that was played.
#[derive(Debug)]
pub struct Played {
    /// What differs from what is expected; empty when nothing does.
    pub problems: Vec<String>,
    /// The decision that it is about.
    pub decided: Decided,
}

/// A login as its ticket tells it.
#[derive(Debug, Clone)]
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
#[derive(Debug)]
struct Charge {
    at: Timestamp,
    person: String,
    limit: usize,
    named: Vec<String>,
    unnamed: u64,
}

#[derive(Debug)]
struct World<'a> {
    pack: &'a Pack,
    scenario: &'a Scenario,
    now: Timestamp,
    login: Option<Login>,
    subjects: HashMap<String, SubjectState>,
    /// For nobody in particular.
    references: SubjectState,
    charges: Vec<Charge>,
}

/// Plays a scenario.
///
/// # Errors
/// When something in it can't be read, or what is given before does not come about.
pub(super) fn play(pack: &Pack, scenario: &Scenario) -> Result<Played, String> {
    let now = match &scenario.now {
        None => BEGIN,
        Some(now) => Timestamp::parse(now).map_err(|error| format!("now {now}: {error}"))?,
    };
    let mut world = World {
        pack,
        scenario,
        now,
        login: None,
        subjects: HashMap::new(),
        references: SubjectState::default(),
        charges: Vec::new(),
    };
    if let Some(person) = &scenario.person {
        world.log_in(person)?;
    }
    for given in &scenario.given {
        world.set(given.step()?)?;
    }
    if let (Some(age), Some(login)) = (scenario.second_step_age()?, &world.login) {
        world.now = world.now.max(login.second_step.plus(age));
    }
    let decided = world.ask(&scenario.request()?)?;
    let mut problems = scenario.expect.differs(&answered(&decided));
    problems.extend(always_holds(&decided.verdict, world.now));
    problems.extend(trace_differs(&pack.rules, scenario, &decided.verdict));
    Ok(Played { problems, decided })
}

fn name(text: &str) -> Result<Option<Name>, String> {
    match Name::parse(text) {
        Ok(name) => Ok(Some(name)),
        Err(NameError::Missing) => Ok(None),
        Err(error) => Err(format!("{text:?} {error}")),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    parse_address(text).map_err(|error| format!("{text:?} {error}"))
}

impl World<'_> {
    fn log_in(&mut self, person: &str) -> Result<(), String> {
        if !self.pack.people.iter().any(|one| &*one.id == person) {
            return Err(format!("people.csv has no {person:?}"));
        }
        let (service, ip, session_ref) = self.scenario.login_at();
        self.login = Some(Login {
            person: person.into(),
            service: service.into(),
            device: device_network(address(ip)?),
            session_ref: session_ref.into(),
            begun: self.now,
            second_step: self.now,
            used: self.now,
            ended: false,
        });
        Ok(())
    }

    fn reference(&self, given: &GivenReference, withdrawn: bool) -> Result<Reference, String> {
        let kind = ReferenceKind::from_name(&given.kind)
            .ok_or_else(|| format!("{:?} is no kind of reference", given.kind))?;
        let until = given.until.as_deref().map(Timestamp::parse).transpose();
        if let Some(unknown) = given
            .purposes
            .iter()
            .find(|purpose| self.pack.rules.purposes.id(purpose).is_none())
        {
            return Err(format!("the pack has no purpose {unknown:?}"));
        }
        Ok(Reference {
            kind,
            id: name(&given.reference)?.ok_or("a reference without a name")?,
            purposes: given
                .purposes
                .iter()
                .map(|one| one.as_str().into())
                .collect(),
            until: until.map_err(|error| format!("until: {error}"))?,
            since: self.now,
            given: (kind == ReferenceKind::Consent).then_some(self.now),
            withdrawn,
        })
    }

    fn set(&mut self, step: Step<'_>) -> Result<(), String> {
        let rules = &self.pack.rules;
        match step {
            Step::Hold { subject, hold } => {
                if rules.holds.id(hold).is_none() {
                    return Err(format!("the pack has no hold {hold:?}"));
                }
                let state = self.subjects.entry(subject.into()).or_default();
                state.add_hold(&hold.into());
            }
            Step::Date {
                subject,
                date,
                value,
            } => {
                if rules.dates.id(date).is_none() {
                    return Err(format!("the pack has no date {date:?}"));
                }
                let value = Timestamp::parse(value).map_err(|error| format!("{value}: {error}"))?;
                let state = self.subjects.entry(subject.into()).or_default();
                state.set_date(&date.into(), value);
            }
            Step::Reference {
                subject,
                reference,
                withdrawn,
            } => {
                let reference = self.reference(reference, withdrawn)?;
                let of = match subject {
                    Some(subject) => self.subjects.entry(subject.into()).or_default(),
                    None => &mut self.references,
                };
                of.put_reference(reference);
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
                    self.log_in(person)?;
                }
                for _ in 0..times {
                    self.now = self.now.plus(every);
                    let verdict = self.ask(&request)?.verdict;
                    if verdict.is_allowed() != allowed {
                        let stages = &verdict.trace().stages;
                        return Err(format!("an earlier request came out otherwise: {stages:?}"));
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
            Step::LogIn => {
                let scenario = self.scenario;
                let person = scenario.person.as_deref();
                self.log_in(person.ok_or("nobody to log in")?)?;
            }
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

    fn person(&self, id: &str) -> Result<Person, String> {
        let mut people = self.pack.people.iter();
        let person = people.find(|person| &*person.id == id);
        let mut person = person
            .ok_or("somebody is logged in who is not there")?
            .clone();
        if let Some(standing) = &self.scenario.standing {
            person.disabled |= standing.disabled;
            if standing.ended {
                person.employment_end = Some(Timestamp::from_micros(self.now.micros() - 1));
            }
            if standing.without_pledge {
                person.pledge = Pledge::NotGiven;
            }
            if let Some(until) = &standing.trained_until {
                let until = Timestamp::parse(until).map_err(|error| format!("{until}: {error}"))?;
                person.trained_until = Some(until);
            }
        }
        Ok(person)
    }

    fn locked(&self) -> bool {
        let standing = self.scenario.standing.as_ref();
        standing.is_some_and(|standing| standing.locked)
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

    fn ask(&mut self, request: &Value) -> Result<Decided, String> {
        let request = self.read(request)?;
        let ticket = self.ticket(&request);
        let known = matches!(ticket, TicketFacts::Genuine(_));
        let person = self
            .login
            .as_ref()
            .filter(|_| known)
            .map(|login| self.person(&login.person))
            .transpose()?;
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
        let said = [
            request.basis.reference.as_deref(),
            request.case_ref.as_deref(),
        ];
        let general: Vec<Arc<Reference>> = self
            .references
            .references
            .iter()
            .filter(|reference| said.contains(&Some(&*reference.id)))
            .map(|reference| Arc::new(reference.clone()))
            .collect();
        let rules = &self.pack.rules;
        let service = rules
            .services
            .id(&self.scenario.service)
            .and_then(|id| rules.services.get(id));
        let facts = Facts {
            now: self.now,
            request: &request,
            caller: CallerFacts {
                service,
                address: match &self.scenario.peer {
                    Some(peer) => address(peer)?,
                    None => IpAddr::V4(Ipv4Addr::LOCALHOST),
                },
            },
            ticket,
            person: person.as_ref(),
            locked: self.locked(),
            subjects: &subjects,
            references: &general,
            all_known: true,
        };
        let who = person
            .as_ref()
            .map_or_else(String::new, |person| person.id.to_string());
        let verdict = decide(rules, &facts, |demand, _| self.within(&who, demand, &named));
        if let Verdict::Allow(permit) = &verdict
            && let Some(demand) = &permit.demand
        {
            self.charge(&who, demand, &named);
        }
        Ok(Decided {
            service: service.map(|_| self.scenario.service.clone()),
            request,
            verdict,
        })
    }

    /// People of this person's count within the window: those named, and how many more.
    fn counted(&self, who: &str, limit: usize) -> (HashSet<&str>, u64) {
        let Some(window) = self.pack.rules.limits.get(limit).map(|limit| limit.window) else {
            return (HashSet::new(), 0);
        };
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
            people.extend(asked_for(demand, named));
            let more = not_named(demand);
            let total = unnamed
                .saturating_add(more)
                .saturating_add(u64::try_from(people.len()).unwrap_or(u64::MAX));
            let at_most = self.pack.rules.limits.get(limit).map(|limit| limit.people);
            if at_most.is_none_or(|at_most| total > at_most) {
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
                named: asked_for(demand, named).map(str::to_owned).collect(),
                unnamed: not_named(demand),
            });
        }
    }

    fn read(&self, json: &Value) -> Result<AccessRequest, String> {
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
        Ok(AccessRequest {
            client_ip: client_ip.map(address).transpose()?,
            session_ref: name(&scenario.session_ref)?,
            ..request::read(json, proof)?
        })
    }
}

fn asked_for<'a>(demand: &'a Demand, named: &'a [String]) -> impl Iterator<Item = &'a str> {
    let positions = demand.subjects.iter();
    positions.filter_map(|position| named.get(*position).map(String::as_str))
}

fn not_named(demand: &Demand) -> u64 {
    let named = u64::try_from(demand.subjects.len()).unwrap_or(u64::MAX);
    demand.records.saturating_sub(named)
}

fn reason(reason: &Reason) -> (String, String) {
    (reason.code.name().to_owned(), reason.about.to_string())
}

/// The verdict as the API would answer it.
fn answered(decided: &Decided) -> Answered {
    let withheld = |all: &[Withheld], key: &dyn Fn(usize) -> String| {
        all.iter()
            .map(|one| (key(one.position), one.reason.code.name().to_owned()))
            .collect()
    };
    let category = |position: usize| {
        let categories = &decided.request.categories;
        categories
            .get(position)
            .map_or_else(String::new, ToString::to_string)
    };
    match &decided.verdict {
        Verdict::Allow(permit) => Answered {
            allowed: true,
            reasons: permit.remarks.iter().map(reason).collect(),
            obligations: permit.obligations.iter().map(obligation).collect(),
            step_up_seconds: None,
            withheld_categories: withheld(&permit.withheld_categories, &category),
            withheld_subjects: withheld(&permit.withheld_subjects, &|position| {
                position.to_string()
            }),
        },
        Verdict::Deny(denial) => Answered {
            allowed: false,
            reasons: denial.reasons.iter().map(reason).collect(),
            step_up_seconds: denial.step_up.map(|step_up| step_up.max_age.as_secs()),
            ..Answered::default()
        },
    }
}

fn obligation(kind: &ObligationKind) -> String {
    match kind {
        ObligationKind::Mask(names) => format!("mask:{}", names.join(",")),
        ObligationKind::ProvisionRecord { .. } => "provision_record".into(),
        ObligationKind::ReportOutcomeBy(_) => "report_outcome".into(),
        ObligationKind::ExcludeHeld(holds) => format!("exclude_held:{}", holds.join(",")),
    }
}

/// What holds for every verdict, whatever a scenario says.
fn always_holds(verdict: &Verdict, now: Timestamp) -> Vec<String> {
    let Verdict::Allow(permit) = verdict else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    let mut within = |what: &str, until: Timestamp, at_most: i64| {
        if !(0..=at_most).contains(&(until.micros() - now.micros())) {
            problems.push(format!("{what} is {until}, decided at {now}"));
        }
    };
    within("valid_until", permit.valid_until, VALID_AT_MOST_MICROS);
    for kind in &permit.obligations {
        if let ObligationKind::ReportOutcomeBy(by) = kind {
            within("report_outcome_by", *by, 366 * DAY_MICROS);
        }
    }
    problems
}

/// What the trace says of what the log keeps; other fields of the entry are for the runs through a socket.
fn trace_differs(rules: &RuleSet, scenario: &Scenario, verdict: &Verdict) -> Vec<String> {
    let trace = verdict.trace();
    let network = trace.network.map_or("", |id| rules.networks.name(id));
    let route = trace.route.map_or("", |route| route.name());
    let rule = trace.rule.map_or_else(String::new, |rule| rule.to_string());
    let kept: [(&str, Value); 4] = [
        ("break_glass", trace.break_glass.into()),
        ("network", network.into()),
        ("provision_route", route.into()),
        ("rule", rule.into()),
    ];
    let expected = &scenario.expect.entry;
    kept.iter()
        .filter_map(|(field, got)| expected.get(*field).map(|expected| (field, expected, got)))
        .filter(|(_, expected, got)| expected != got)
        .map(|(field, expected, got)| format!("entry.{field}: expected {expected}, got {got}"))
        .collect()
}

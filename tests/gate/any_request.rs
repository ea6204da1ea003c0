//! For any request: an answer is what the eight stages say of the facts, and its entry is on the disk.
//!
//! The facts are kept here a second time, as naively as can be: who has which session, what is registered, and every count
//! as a plain list. `sekisho::decision::decide` is asked with these; the gate must have come to the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sekisho::decision::rules::RuleSet;
use sekisho::decision::{
    self, CallerFacts, Demand, Facts, GenuineTicket, LimitOutcome, ObligationKind, TicketFacts,
    Verdict,
};
use sekisho::domain::access::{
    AccessRequest, Action, Consent, LegalException, Proof, Provision, Relation, Subjects,
    TicketText,
};
use sekisho::domain::ids::Name;
use sekisho::domain::network::device_network;
use sekisho::domain::person::Person;
use sekisho::domain::reason::{Reason, ReasonCode, Stage};
use sekisho::domain::subject::SubjectState;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{Answer, Credentials, DateSet, HoldChange, Peer, StepUpRequest};
use sekisho::identity::certificate::ClaimedName;
use sekisho::policy::replay::{self, Compared, Logged, NotExactly, Outcome};
use sekisho::proto::{Decision, EntryKind, StoredEntry, StoredReason};

use crate::world::*;

/// How many requests the default run makes; `SEKISHO_TEST_REQUESTS` makes more, `SEKISHO_TEST_SEED` repeats a run.
const REQUESTS: u64 = 2_500;
/// After how many requests the log is read back from the disk.
const READ_BACK: usize = 50;

const PEOPLE: [&str; 12] = [
    "adviser-1",
    "adviser-2",
    "adviser-3",
    "adviser-5",
    "reception-1",
    "health-1",
    "accounting-1",
    "manager-1",
    "legal-1",
    "security-1",
    "security-2",
    "administrator-1",
];
const ADDRESSES: [&str; 6] = [
    OFFICE,
    "203.0.113.11",
    "2001:db8:1::1",
    VPN,
    OUTSIDE,
    "127.0.0.1",
];
const SUBJECTS: usize = 40;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What the test knows of one login.
#[derive(Debug, Clone)]
struct Login {
    ticket: TicketText,
    service: &'static str,
    address: &'static str,
    session_ref: Option<Name>,
    issued: Timestamp,
    last_use: Timestamp,
    second_step: Timestamp,
    expires: Timestamp,
    revoked: bool,
}

/// One count of one person: when, whom (where named), how many.
type Counted = Vec<(Timestamp, Option<usize>, u64)>;

struct Model {
    people: HashMap<Name, Person>,
    logins: BTreeMap<&'static str, Login>,
    /// The time step whose code each person used last.
    used_step: HashMap<&'static str, i64>,
    states: Vec<SubjectState>,
    counts: HashMap<(&'static str, Box<str>), Counted>,
    strangers: u64,
}

/// One request as the test made it.
#[derive(Debug)]
struct Asked {
    service: &'static str,
    peer: Peer,
    request: AccessRequest,
    /// Numbers of the subjects it names.
    subjects: Vec<usize>,
    /// Whose login's ticket it carries, where that is genuine.
    login: Option<&'static str>,
}

fn subject_name(number: usize) -> String {
    format!("subject-{number}")
}

impl Model {
    fn new(people: HashMap<Name, Person>) -> Self {
        Self {
            people,
            logins: BTreeMap::new(),
            used_step: HashMap::new(),
            states: vec![SubjectState::default(); SUBJECTS],
            counts: HashMap::new(),
            strangers: 1_000,
        }
    }

    fn ticket_facts(&self, rules: &RuleSet, asked: &Asked, now: Timestamp) -> TicketFacts {
        let request = &asked.request;
        let login = match (&request.proof, asked.login) {
            (Proof::Missing | Proof::Workload, _) => return TicketFacts::Missing,
            (Proof::Ticket(_), None) => return TicketFacts::Invalid,
            (Proof::Ticket(_), Some(person)) => &self.logins[person],
        };
        let bound = request.client_ip.is_some_and(|address| {
            device_network(address) == device_network(ip(login.address))
                && asked.service == login.service
                && request.session_ref == login.session_ref
        });
        let idle = now.since(login.last_use.max(login.issued)) > rules.session.idle;
        if idle || now >= login.expires {
            return TicketFacts::Expired {
                may_step_up: now < login.expires && !login.revoked && bound,
            };
        }
        TicketFacts::Genuine(GenuineTicket {
            revoked: login.revoked,
            bound,
            second_step: Some(login.second_step),
            expires: login.expires,
        })
    }

    /// Asks the counts, and charges them where everything before passed.
    fn limit(
        &mut self,
        rules: &RuleSet,
        asked: &Asked,
        demand: &Demand,
        passed: bool,
        now: Timestamp,
    ) -> LimitOutcome {
        let person = asked.login.unwrap();
        let mut named: Vec<usize> = demand
            .subjects
            .iter()
            .map(|position| asked.subjects[*position])
            .collect();
        named.sort_unstable();
        named.dedup();
        let unnamed = demand
            .records
            .saturating_sub(u64::try_from(named.len()).unwrap());
        let mut charges = Vec::new();
        for position in &demand.limits {
            let limit = &rules.limits[*position];
            let counted = self.counts.entry((person, limit.id.clone())).or_default();
            counted.retain(|(at, _, _)| *at >= now.minus(limit.window));
            let known = |subject: &usize| counted.iter().any(|(_, of, _)| *of == Some(*subject));
            let new: Vec<usize> = named.iter().copied().filter(|one| !known(one)).collect();
            let total = counted
                .iter()
                .fold(0, |total: u64, (_, _, count)| total + count);
            let newly = unnamed.saturating_add(u64::try_from(new.len()).unwrap());
            if total.saturating_add(newly) > limit.people {
                return LimitOutcome::Exceeded(*position);
            }
            charges.push((limit.id.clone(), new));
        }
        if passed {
            for (limit, new) in charges {
                let counted = self.counts.entry((person, limit)).or_default();
                counted.extend(new.into_iter().map(|subject| (now, Some(subject), 1)));
                counted.push((now, None, unnamed));
            }
        }
        LimitOutcome::Within
    }

    /// What the eight stages say of the facts as the test knows them.
    fn decide(&mut self, rules: &RuleSet, asked: &Asked, now: Timestamp) -> Verdict {
        let ticket = self.ticket_facts(rules, asked, now);
        let in_time = matches!(ticket, TicketFacts::Genuine(_));
        let person = asked
            .login
            .filter(|_| in_time)
            .map(|person| self.people[person].clone());
        let states: Vec<Arc<SubjectState>> = asked
            .subjects
            .iter()
            .map(|number| Arc::new(self.states[*number].clone()))
            .collect();
        let facts = Facts {
            now,
            request: &asked.request,
            caller: CallerFacts {
                service: rules
                    .services
                    .id(asked.service)
                    .and_then(|id| rules.services.get(id)),
                address: asked.peer.address,
            },
            ticket,
            person: person.as_ref(),
            locked: false,
            subjects: &states,
            references: &[],
            all_known: true,
        };
        decision::decide(rules, &facts, |demand, passed| {
            self.limit(rules, asked, demand, passed, now)
        })
    }
}

/// What a role of the pack asks for in its daily work; each is allowed if nothing else is wrong.
fn daily_work(dice: &mut Dice, person: &str, ticket: &TicketText) -> AccessRequest {
    let base = read(ticket);
    let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
    let to = |recipient: &str| Provision {
        recipient: Some(name(recipient)),
        ..Provision::default()
    };
    match person {
        "reception-1" if dice.once_in(3) => AccessRequest {
            action: Action::Provide,
            subject_kind: Some(name("inquirer")),
            purpose: Some(name("affiliate-referral")),
            categories: names(&["inquiry", "contact.email"]),
            // What goes out is recorded, with whose data it is.
            subjects: Subjects::One(subject("inquirer-1")),
            provision: to("affiliate"),
            ..base
        },
        "reception-1" => AccessRequest {
            subject_kind: Some(name("inquirer")),
            purpose: Some(name("inquiry-response")),
            categories: names(&["inquiry"]),
            ..base
        },
        "health-1" => {
            let mut request = AccessRequest {
                categories: names(&["special.medical"]),
                ..base
            };
            request.basis.consent = Consent::Explicit;
            request
        }
        "accounting-1" => AccessRequest {
            categories: names(&["payment", "identity.name"]),
            purpose: Some(name("settlement")),
            system: Some(name("ledger")),
            ..base
        },
        "manager-1" if dice.once_in(3) => {
            let mut request = AccessRequest {
                categories: names(&["special.medical"]),
                break_glass: Some("The hospital asks about an allergy.".into()),
                ..base
            };
            request.basis.consent = Consent::Prior;
            request
        }
        "manager-1" => AccessRequest {
            action: dice.pick(&[Action::Export, Action::Search]),
            ..base
        },
        "legal-1" => {
            let mut request = AccessRequest {
                purpose: Some(name("legal-duty")),
                ..base
            };
            request.basis.exception = Some(LegalException::Law);
            request.basis.reference = Some(name("order 12"));
            request
        }
        _ if dice.once_in(5) => {
            let mut request = AccessRequest {
                action: Action::Provide,
                provision: to(dice.pick(&["employer", "partner", "group-abroad"])),
                ..base
            };
            request.basis.consent = Consent::Prior;
            request
        }
        _ => AccessRequest {
            action: dice.pick(&[Action::Read, Action::Search, Action::Read, Action::Update]),
            categories: names(dice.pick(&[
                &["identity"][..],
                &["career", "contact.email"],
                &["career.history", "identity.name", "contact"],
            ])),
            ..base
        },
    }
}

/// Names of the pack with some that it doesn't know.
fn some_name<T>(dice: &mut Dice, table: &sekisho::decision::rules::Table<T>) -> Option<Name> {
    let known: Vec<&str> = table.iter().map(|(_, name, _)| name).collect();
    match dice.below(8) {
        0 => None,
        1 => Some(name("unheard-of")),
        _ => Some(name(dice.pick(&known))),
    }
}

/// Changes some fields to anything at all.
fn twist(dice: &mut Dice, rules: &RuleSet, request: &mut AccessRequest) {
    let rarely = |dice: &mut Dice| dice.once_in(14);
    if rarely(dice) {
        request.action = dice.pick(Action::ALL);
    }
    if rarely(dice) {
        request.subject_kind = some_name(dice, &rules.kinds);
    }
    if rarely(dice) {
        request.purpose = some_name(dice, &rules.purposes);
    }
    for _ in 0..3 {
        if rarely(dice) {
            let category = some_name(dice, &rules.categories);
            request.categories.push(category.unwrap_or(name("special")));
        }
    }
    if rarely(dice) {
        request.system = [
            None,
            Some(name("crm")),
            Some(name("ledger")),
            Some(name("x")),
        ][dice.below(4)]
        .clone();
    }
    if rarely(dice) {
        request.provision.recipient = some_name(dice, &rules.recipients);
        request.provision.own_purpose = dice.once_in(2);
        request.provision.safeguard = dice.once_in(2).then(|| name("scc"));
    }
    if rarely(dice) {
        request.basis.consent = dice.pick(Consent::ALL);
    }
    if rarely(dice) {
        request.basis.exception = Some(dice.pick(LegalException::ALL));
        request.basis.reference = dice.once_in(2).then(|| name("record 4"));
        request.basis.consent_difficult = dice.once_in(2);
    }
    if rarely(dice) {
        request.break_glass = Some(
            dice.pick(&["", "too short", "An ambulance waits in front of the house."])
                .to_owned()
                .into(),
        );
    }
    request.basis.subject_request = dice.once_in(10);
    request.case_ref = dice.once_in(4).then(|| name("case 9"));
    request.allow_partial = dice.once_in(3);
    request.automated_decision = dice.once_in(20);
    request.relation = dice.once_in(3).then(|| dice.pick(Relation::ALL));
    request.collected_via = dice.once_in(9).then(|| name("website"));
    request.origin_country = dice.once_in(9).then(|| name("FR"));
    request.record_count = match dice.below(12) {
        0 => 1 + dice.roll() % 90,
        1 => 1 + dice.roll() % 20,
        2 => u64::MAX,
        _ => 1,
    };
    if dice.once_in(40) {
        request.client_ip = None;
    } else if dice.once_in(12) {
        request.client_ip = Some(ip(dice.pick(&ADDRESSES)));
    }
    if dice.once_in(25) {
        request.session_ref = dice.once_in(2).then(|| name("browser-2"));
    }
}

struct Run {
    world: World,
    model: Model,
    dice: Dice,
}

impl Run {
    async fn log_in(&mut self, person: &'static str) {
        let (service, peer) = match person {
            "accounting-1" => ("billing", billing()),
            _ => ("career-crm", crm()),
        };
        self.unused_step(person);
        let given = self.world.log_in_at(&peer, person).await;
        let now = self.world.now();
        self.model.logins.insert(
            person,
            Login {
                ticket: given.ticket,
                service,
                address: OFFICE,
                session_ref: Some(name(SESSION)),
                issued: now,
                last_use: now,
                second_step: now,
                expires: given.expires,
                revoked: false,
            },
        );
    }

    /// Waits until this person's authenticator shows a code that was not used.
    fn unused_step(&mut self, person: &'static str) {
        let step = |now: Timestamp| now.seconds() / 30;
        let used = self.model.used_step.get(person).copied().unwrap_or(0);
        while step(self.world.now()) <= used {
            self.world.clock.advance(seconds(10));
        }
        let now = step(self.world.now());
        self.model.used_step.insert(person, now);
    }

    async fn step_up(&mut self, person: &'static str) {
        self.unused_step(person);
        let login = &self.model.logins[person];
        let peer = match login.service {
            "billing" => billing(),
            _ => crm(),
        };
        let request = StepUpRequest {
            credentials: Credentials {
                ticket: Some(login.ticket.clone()),
                client_ip: Some(ip(login.address)),
                session_ref: login.session_ref.clone(),
            },
        };
        let Ok(begun) = self.world.gate.begin_step_up(&peer, request).await else {
            return; // ended, or not of good standing
        };
        let given = self
            .world
            .gate
            .verify_second_factor(&peer, &begun.challenge, &self.world.code(person))
            .await
            .unwrap();
        let now = self.world.now();
        let login = self.model.logins.get_mut(person).unwrap();
        login.ticket = given.ticket;
        (login.issued, login.last_use, login.second_step) = (now, now, now);
    }

    /// Something that happens between requests.
    async fn let_things_happen(&mut self) {
        let pause = if self.dice.once_in(120) {
            seconds(15 * 60 + 1)
        } else {
            Duration::from_millis(self.dice.roll() % 30_000)
        };
        self.world.clock.advance(pause);
        let subject_number = self.dice.below(SUBJECTS);
        let of = subject(&subject_name(subject_number));
        let state = &mut self.model.states[subject_number];
        if self.dice.once_in(60) {
            let hold = name("provision-stopped");
            let change = HoldChange {
                subject: of,
                hold: hold.clone(),
                reference: None,
            };
            self.world
                .gate
                .register_hold(&crm(), &nobody(), change)
                .await
                .unwrap();
            state.add_hold(&(*hold).into());
        } else if self.dice.once_in(40) {
            let date = name(self.dice.pick(&["last-contact", "retention-end"]));
            // From four years ago to four years from now.
            let days = self.dice.roll() % (8 * 365);
            let four_years = Duration::from_hours(24 * 4 * 365);
            let value = self.world.now().plus(four_years);
            let value = value.minus(Duration::from_hours(24 * days));
            let change = DateSet {
                subject: of,
                date: date.clone(),
                value,
                reference: None,
            };
            self.world
                .gate
                .set_date(&crm(), &nobody(), change)
                .await
                .unwrap();
            state.set_date(&(*date).into(), value);
        } else if self.dice.once_in(120) {
            let person = self.dice.pick(&PEOPLE);
            let login = self.model.logins.get_mut(person).unwrap();
            let peer = peer(login.service, 0, "10.1.0.5");
            self.world
                .gate
                .end_session(&peer, &login.ticket)
                .await
                .unwrap();
            login.revoked = true;
        }
    }

    /// Mostly brings the person's login into a state in which they can work.
    async fn be_ready(&mut self, person: &'static str) {
        let now = self.world.now();
        let login = &self.model.logins[person];
        let idle = now.since(login.last_use.max(login.issued)) > minutes(15);
        let stale = now.since(login.second_step) > minutes(5);
        if login.revoked || now >= login.expires {
            if !self.dice.once_in(4) {
                self.log_in(person).await;
            }
        } else if idle && !self.dice.once_in(4) || stale && self.dice.once_in(4) {
            self.step_up(person).await;
        }
    }

    async fn ask(&mut self) -> Asked {
        if self.dice.once_in(25) {
            return self.ask_as_workload();
        }
        let person = self.dice.pick(&PEOPLE);
        self.be_ready(person).await;
        let login = self.model.logins[person].clone();
        let mut request = daily_work(&mut self.dice, person, &login.ticket);
        request.client_ip = Some(ip(login.address));
        request.session_ref.clone_from(&login.session_ref);
        twist(&mut self.dice, self.world.rules(), &mut request);
        let subjects = self.name_subjects(&mut request);
        let mut genuine = Some(person);
        match self.dice.below(60) {
            0 => {
                request.proof = Proof::Missing;
                genuine = None;
            }
            1 => {
                let mut text = login.ticket.expose().to_owned();
                text.pop();
                request.proof = Proof::Ticket(TicketText::new(&text));
                genuine = None;
            }
            2 => {
                request.proof = Proof::Workload;
                genuine = None;
            }
            _ => {}
        }
        let (service, peer) = self.some_peer(login.service);
        Asked {
            service,
            peer,
            request,
            subjects,
            login: genuine,
        }
    }

    fn ask_as_workload(&mut self) -> Asked {
        let mut request = AccessRequest {
            proof: Proof::Workload,
            client_ip: None,
            session_ref: None,
            categories: vec![name("identity.name"), name("contact.email")],
            ..read(&TicketText::new(""))
        };
        twist(&mut self.dice, self.world.rules(), &mut request);
        let subjects = self.name_subjects(&mut request);
        let (service, peer) = self.some_peer("notice-mailer");
        Asked {
            service,
            peer,
            request,
            subjects,
            login: None,
        }
    }

    fn name_subjects(&mut self, request: &mut AccessRequest) -> Vec<usize> {
        let numbers: Vec<usize> = match self.dice.below(4) {
            0 => Vec::new(),
            1 => (0..1 + self.dice.below(6))
                .map(|_| self.dice.below(SUBJECTS))
                .collect(),
            _ => vec![self.dice.below(SUBJECTS)],
        };
        let mut refs: Vec<_> = numbers
            .iter()
            .map(|number| subject(&subject_name(*number)))
            .collect();
        request.subjects = match (refs.len(), self.dice.once_in(2)) {
            (0, _) => Subjects::Unnamed,
            (1, true) => Subjects::One(refs.remove(0)),
            _ => Subjects::List(refs),
        };
        numbers
    }

    /// Mostly the service itself; at times another, from elsewhere, or nobody. Each stranger has a certificate of its own,
    /// since those of one would wait for their common entry.
    fn some_peer(&mut self, service: &'static str) -> (&'static str, Peer) {
        let home = |service| match service {
            "notice-mailer" => "10.2.0.7",
            _ => "10.1.0.5",
        };
        self.model.strangers += 1;
        let number = self.model.strangers;
        match self.dice.below(60) {
            0 => ("nobody", peer("nobody", number, "10.1.0.5")),
            1 => (service, peer(service, number, "192.0.2.7")),
            2 => {
                let other = self.dice.pick(&["career-crm", "billing", "notice-mailer"]);
                (other, peer(other, 0, home(other)))
            }
            3 => (service, peer(service, 0, "127.0.0.1")),
            _ => (service, peer(service, 0, home(service))),
        }
    }

    /// A use renews, and keeps the session from going idle.
    fn note_use(&mut self, asked: &Asked, expected: &Verdict, answer: &Answer) {
        let comes_in = expected
            .trace()
            .stages
            .iter()
            .filter(|stage| stage.stage <= Stage::Person)
            .all(|stage| stage.passed == Some(true));
        let idle = self.world.rules().session.idle;
        let now = self.world.now();
        let login = asked
            .login
            .filter(|_| comes_in)
            .and_then(|person| self.model.logins.get_mut(person));
        let Some(login) = login else {
            assert_eq!(answer.renewed_ticket, None);
            return;
        };
        login.last_use = now;
        let due = now.since(login.issued) >= idle / 5;
        assert_eq!(answer.renewed_ticket.is_some(), due, "renewed when due");
        if let Some(renewed) = &answer.renewed_ticket {
            login.ticket = renewed.clone();
            login.issued = now;
        }
    }
}

fn is_reasons(stored: &[StoredReason], expected: &[Reason]) -> bool {
    stored.len() == expected.len()
        && stored.iter().zip(expected).all(|(stored, reason)| {
            stored.code == reason.code.number() && *stored.about == *reason.about
        })
}

/// That the entry says what was asked and what the stages say of it.
fn compare(asked: &Asked, expected: &Verdict, entry: &StoredEntry) {
    let request = &asked.request;
    assert_eq!(entry.kind, i32::from(EntryKind::Decision));
    assert_eq!(entry.person, asked.login.unwrap_or(""), "the person");
    let first = match expected {
        Verdict::Deny(denial) => denial.reasons.first().map(|reason| reason.code),
        Verdict::Allow(_) => None,
    };
    // A stranger's lists are left out, so that it can't fill the disk.
    let is_stranger = matches!(
        first,
        Some(ReasonCode::CallerUnknown | ReasonCode::CallerNetworkNotAllowed)
    );
    if is_stranger {
        assert!(entry.categories.is_empty() && entry.subjects.is_empty());
        assert_eq!(entry.decision, i32::from(Decision::Deny), "denied");
        assert_eq!(entry.reasons[0].code, first.unwrap().number());
        return;
    }
    let categories: Vec<&str> = request.categories.iter().map(|one| &**one).collect();
    assert_eq!(entry.categories, categories);
    assert_eq!(entry.purpose, request.purpose.as_deref().unwrap_or(""));
    assert_eq!(entry.action, request.action.number());
    assert_eq!(entry.record_count, request.record_count);
    assert_eq!(entry.subjects.len(), asked.subjects.len());
    let address = request.client_ip.map_or(String::new(), |ip| ip.to_string());
    assert_eq!(entry.client_ip, address);
    match expected {
        Verdict::Allow(permit) => {
            assert_eq!(entry.decision, i32::from(Decision::Allow), "allowed");
            let stages: Vec<_> = permit
                .trace
                .stages
                .iter()
                .map(|stage| (stage.stage, stage.passed))
                .collect();
            assert_eq!(stages, Stage::ALL.map(|stage| (stage, Some(true))));
            assert!(is_reasons(&entry.reasons, &permit.remarks));
            assert_eq!(entry.valid_until_us, permit.valid_until.micros());
            assert_eq!(entry.break_glass, permit.trace.break_glass);
            let categories: Vec<_> = entry
                .withheld_categories
                .iter()
                .map(|one| (one.index, one.reason.clone().unwrap().code))
                .collect();
            let mut subjects: Vec<_> = entry
                .withheld_subjects
                .iter()
                .flat_map(|group| {
                    let code = group.reason.clone().unwrap().code;
                    group.indexes.iter().map(move |index| (*index, code))
                })
                .collect();
            subjects.sort_unstable();
            let due = |withheld: &[decision::Withheld]| -> Vec<_> {
                withheld
                    .iter()
                    .map(|one| {
                        (
                            u32::try_from(one.position).unwrap(),
                            one.reason.code.number(),
                        )
                    })
                    .collect()
            };
            assert_eq!(categories, due(&permit.withheld_categories));
            assert_eq!(subjects, due(&permit.withheld_subjects));
            let obligations: Vec<&str> = permit
                .obligations
                .iter()
                .map(|obligation| match obligation {
                    ObligationKind::Mask(_) => "mask",
                    ObligationKind::ProvisionRecord(_) => "provision-record",
                    ObligationKind::ReportOutcomeBy(_) => "report-outcome",
                    ObligationKind::ExcludeHeld(_) => "exclude-held",
                })
                .collect();
            let stored: Vec<&str> = entry.obligations.iter().map(|one| &*one.id).collect();
            assert_eq!(stored, obligations);
        }
        Verdict::Deny(denial) => {
            assert_eq!(entry.decision, i32::from(Decision::Deny), "denied");
            assert!(
                is_reasons(&entry.reasons, &denial.reasons),
                "{:?} but expected {:?}",
                entry.reasons,
                denial.reasons
            );
            assert_eq!(entry.valid_until_us, 0);
            assert!(entry.charges.is_empty() && entry.obligations.is_empty());
            // A stranger's counts are nobody's to know.
            if denial.reasons[0].code != ReasonCode::CallerUnknown
                && denial.reasons[0].code != ReasonCode::CallerNetworkNotAllowed
            {
                assert!(is_reasons(&entry.further_reasons, &denial.further_reasons));
                assert_eq!(entry.step_up.is_some(), denial.step_up.is_some());
            }
        }
    }
}

/// An entry says enough to decide it anew, or it is told what it lacks. What is decided anew is what was decided, with its terms.
fn decided_anew(rules: &RuleSet, expected: &Verdict, entry: &StoredEntry) -> Option<NotExactly> {
    let logged = Logged::of(entry).unwrap();
    match replay::compare(rules, rules, &logged) {
        Compared::Alike => {
            let anew = Outcome::of(&replay::redecide(rules, &logged), logged.at());
            assert_eq!(anew, Outcome::of(expected, logged.at()));
            None
        }
        Compared::NotExactly(lacking) => Some(lacking),
        Compared::Differs(difference) => panic!("differs from itself: {difference:?}"),
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Says where a run failed, so that it can be made again.
struct Whereabouts {
    seed: u64,
    number: u64,
    asked: String,
}

impl Drop for Whereabouts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "request {} of the run with SEKISHO_TEST_SEED={}: {}",
                self.number, self.seed, self.asked
            );
        }
    }
}

#[tokio::test]
async fn allowed_means_that_all_eight_stages_passed_and_the_entry_is_on_disk() {
    let seed = number_from("SEKISHO_TEST_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let requests = number_from("SEKISHO_TEST_REQUESTS").unwrap_or(REQUESTS);
    let mut whereabouts = Whereabouts {
        seed,
        number: 0,
        asked: String::new(),
    };
    let world = World::new().await;
    let people = world.people().await;
    let mut run = Run {
        world,
        model: Model::new(people),
        dice: Dice(seed),
    };
    for person in PEOPLE {
        run.log_in(person).await;
    }
    let mut answered: Vec<(Asked, Verdict, Answer)> = Vec::new();
    let (mut allowed, mut first_failed) = (0_u64, BTreeMap::<Stage, u64>::new());
    let mut not_anew = BTreeMap::<NotExactly, u64>::new();
    for number in 1..=requests {
        run.let_things_happen().await;
        let asked = run.ask().await;
        whereabouts.number = number;
        whereabouts.asked = format!("{asked:?}");
        assert!(matches!(
            &asked.peer.certificate.name,
            ClaimedName::Spiffe { .. }
        ));
        let now = run.world.now();
        let answer = run
            .world
            .gate
            .check(&asked.peer, asked.request.clone())
            .await
            .unwrap();
        let expected = run.model.decide(run.world.rules(), &asked, now);
        assert_eq!(answer.is_allowed(), expected.is_allowed());
        compare(&asked, &expected, &answer.entry);
        run.note_use(&asked, &expected, &answer);
        match &expected {
            Verdict::Allow(_) => allowed += 1,
            Verdict::Deny(denial) => {
                *first_failed
                    .entry(denial.reasons[0].code.stage())
                    .or_default() += 1;
            }
        }
        answered.push((asked, expected, answer));
        if answered.len() < READ_BACK && number < requests {
            continue;
        }
        let from = answered.iter().map(|(_, _, answer)| answer.index.0).min();
        let from = from.unwrap();
        let on_disk = run.world.on_disk_from(from);
        for (asked, expected, answer) in answered.drain(..) {
            whereabouts.asked = format!("{asked:?}");
            let entry = &on_disk[usize::try_from(answer.index.0 - from).unwrap()];
            assert_eq!(entry.decision_id, answer.entry.decision_id);
            compare(&asked, &expected, entry);
            let anew = decided_anew(run.world.rules(), &expected, &answer.entry);
            if let Some(lacking) = anew {
                assert_ne!(lacking, NotExactly::Otherwise, "{expected:?}");
                *not_anew.entry(lacking).or_default() += 1;
            }
        }
    }
    println!("not to be decided anew from their entries: {not_anew:?}");
    not_anew.remove(&NotExactly::Stranger);
    let inexact: u64 = not_anew.values().sum();
    assert!(inexact * 50 < requests, "{not_anew:?}");
    // A run that is allowed nothing, or never gets to a stage, would prove nothing.
    println!("{allowed} of {requests} allowed; first to fail: {first_failed:?}");
    assert!(allowed * 10 > requests, "{allowed} allowed");
    assert_eq!(first_failed.len(), Stage::ALL.len(), "{first_failed:?}");
}

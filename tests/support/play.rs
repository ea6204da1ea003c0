//! Plays a scenario through a door: logs in, sets the stage, asks, compares. Which door it is, real grpcurl or a client in
//! this process, is all the same here.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::compare::{answer_differs, error_differs};
use super::people::People;
use super::scenario::{Scenario, Step};

/// Request metadata.
pub type Metadata = Vec<(String, String)>;

/// Longer than the window of every limit and than an idle session, and a new step of every authenticator.
pub const APART: Duration = Duration::from_secs(61 * 60);

/// Why there was no answer.
#[derive(Debug, Clone)]
pub struct CallError {
    /// Name of the gRPC status; empty where there was no status at all, e.g. TLS refused.
    pub code: String,
    pub message: String,
    /// `google.rpc` details as JSON, each with its `@type`.
    pub details: Vec<Value>,
}

impl CallError {
    /// Not a status of the daemon.
    pub fn outside(message: String) -> Self {
        Self {
            code: String::new(),
            message,
            details: Vec::new(),
        }
    }

    /// The detail of this type, e.g. "BadRequest".
    pub fn detail(&self, name: &str) -> Option<&Value> {
        self.details.iter().find(|detail| {
            let at = detail
                .get("@type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            at.ends_with(&format!("google.rpc.{name}"))
        })
    }

    /// The fields that a `BadRequest` names, sorted, each once, positions in lists left out.
    pub fn fields(&self) -> Vec<String> {
        let violations = self
            .detail("BadRequest")
            .and_then(|detail| detail.get("fieldViolations"));
        let mut fields: Vec<String> = violations
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|violation| violation.get("field").and_then(Value::as_str))
            .map(without_positions)
            .collect();
        fields.sort();
        fields.dedup();
        fields
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.code, self.message, self.fields())
    }
}

fn without_positions(field: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for char in field.chars() {
        match char {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside => out.push(char),
            _ => {}
        }
    }
    out
}

/// The name of a gRPC status.
pub fn status_name(number: i32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(number)
        .ok()
        .and_then(|number| NAMES.get(number))
        .copied()
        .unwrap_or("UNKNOWN")
}

/// A way into a daemon whose clock the test moves.
pub trait Door {
    /// One call by a service; `method` is `sekisho.v1.Service/Method`.
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError>;
    /// Moves the daemon's clock ahead.
    fn advance(&mut self, by: Duration);
    /// What the daemon's clock reads, in seconds since the epoch.
    fn now(&self) -> u64;
    /// The pack's sample people.
    fn people(&self) -> &People;
    /// The service that registers holds and dates.
    fn registrar(&self) -> String {
        super::scenario::CALLER.to_owned()
    }
}

/// A person logged in.
#[derive(Debug, Clone)]
pub struct Session {
    pub ticket: String,
    pub service: String,
    pub client_ip: String,
    pub session_ref: String,
    /// When the second step was passed.
    pub second_step: u64,
}

impl Session {
    /// How a person proves themselves where there is no actor in the request.
    pub fn metadata(&self) -> Metadata {
        [
            ("sekisho-ticket", &self.ticket),
            ("sekisho-client-ip", &self.client_ip),
            ("sekisho-session-ref", &self.session_ref),
        ]
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .to_vec()
    }
}

/// Passes both steps.
pub fn log_in(
    door: &mut dyn Door,
    person: &str,
    (service, client_ip, session_ref): (&str, &str, &str),
) -> Result<Session, CallError> {
    let known = door.people().get(person);
    let password = known.password.clone();
    let first = door.call(
        service,
        "sekisho.v1.AuthenticationService/VerifyPassword",
        &json!({ "person": person, "password": password, "client_ip": client_ip, "session_ref": session_ref }),
        &Metadata::new(),
    )?;
    let (ticket, second_step) = second_factor(door, person, service, &first)?;
    Ok(Session {
        ticket,
        service: service.into(),
        client_ip: client_ip.into(),
        session_ref: session_ref.into(),
        second_step,
    })
}

fn second_factor(
    door: &mut dyn Door,
    person: &str,
    service: &str,
    challenge: &Value,
) -> Result<(String, u64), CallError> {
    let now = door.now();
    let code = door.people().get(person).code(now);
    let answer = door.call(
        service,
        "sekisho.v1.AuthenticationService/VerifySecondFactor",
        &json!({ "challenge_id": text(challenge, "challengeId")?, "totp": code }),
        &Metadata::new(),
    )?;
    Ok((text(&answer, "sessionTicket")?, now))
}

fn text(answer: &Value, field: &str) -> Result<String, CallError> {
    answer
        .get(field)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| CallError::outside(format!("no {field} in {answer}")))
}

/// What came of a scenario.
pub struct Played {
    /// What differs from what was expected.
    pub problems: Vec<String>,
    /// The decision whose entry is still to be compared.
    pub decision_id: Option<String>,
}

/// Plays one scenario.
pub fn play(door: &mut dyn Door, scenario: &Scenario) -> Played {
    door.advance(APART);
    let mut stage = Stage {
        door,
        scenario,
        session: None,
        last_answer: None,
    };
    match stage.run() {
        Ok(played) => played,
        Err(problem) => Played {
            problems: vec![problem],
            decision_id: None,
        },
    }
}

struct Stage<'a> {
    door: &'a mut dyn Door,
    scenario: &'a Scenario,
    session: Option<Session>,
    last_answer: Option<Value>,
}

impl Stage<'_> {
    fn run(&mut self) -> Result<Played, String> {
        let done = |problems| Played {
            problems,
            decision_id: None,
        };
        let scenario = self.scenario;
        if let Some(person) = &scenario.person {
            match (
                log_in(self.door, person, scenario.login_at()),
                &scenario.expect.login,
            ) {
                (Ok(session), None) => self.session = Some(session),
                (Ok(_), Some(code)) => {
                    return Ok(done(vec![format!(
                        "{person} was let in, not refused with {code}"
                    )]));
                }
                (Err(error), Some(code)) if error.code == *code => return Ok(done(Vec::new())),
                (Err(error), _) => return Err(format!("login of {person}: {error}")),
            }
        }
        for given in &scenario.given {
            self.set(given.step()?)?;
        }
        if let (Some(age), Some(session)) = (scenario.second_step_age()?, &self.session) {
            let due = (session.second_step + age.as_secs()).saturating_sub(self.door.now());
            self.door.advance(Duration::from_secs(due));
        }
        let request = self.with_actor(scenario.request()?)?;
        match self.check(&request) {
            Ok(answer) => {
                let mut problems = answer_differs(&scenario.expect, &answer);
                if scenario.expect.repeats {
                    problems.extend(self.not_repeated(&answer));
                }
                let decision_id = answer
                    .get("decisionId")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                Ok(Played {
                    problems,
                    decision_id,
                })
            }
            Err(error) => Ok(done(error_differs(&scenario.expect, &error))),
        }
    }

    fn check(&mut self, request: &Value) -> Result<Value, CallError> {
        let service = &self.scenario.service;
        self.door.call(
            service,
            "sekisho.v1.AccessService/Check",
            request,
            &Metadata::new(),
        )
    }

    fn set(&mut self, step: Step<'_>) -> Result<(), String> {
        let service = self.scenario.service.clone();
        match step {
            Step::Hold { subject, hold } => self.register(
                "RegisterHold",
                &json!({ "subject_ref": subject, "hold": hold, "reference": "scenario" }),
            ),
            Step::Date { subject, date, value } => self.register(
                "SetDate",
                &json!({ "subject_ref": subject, "date": date, "value": value, "reference": "scenario" }),
            ),
            Step::Reference { subject, reference, withdrawn } => {
                let mut request = json!({
                    "subject_ref": subject.unwrap_or_default(),
                    "kind": format!("REFERENCE_KIND_{}", reference.kind),
                    "reference": reference.reference,
                    "purposes": reference.purposes,
                });
                if let Some(until) = &reference.until {
                    request["until"] = until.as_str().into();
                }
                let method = if withdrawn { "WithdrawReference" } else { "RegisterReference" };
                self.register(method, &request)
            }
            Step::Earlier { request, times, every, allowed, person } => {
                let own = self.session.clone();
                if let Some(person) = person {
                    let other = log_in(self.door, person, self.scenario.login_at());
                    self.session = Some(other.map_err(|error| format!("login of {person}: {error}"))?);
                }
                for number in 1..=times {
                    self.door.advance(every);
                    self.earlier(&request, allowed).map_err(|why| format!("earlier request {number}: {why}"))?;
                }
                if person.is_some() {
                    self.session = own;
                }
                Ok(())
            }
            Step::Wait(by) => {
                self.door.advance(by);
                Ok(())
            }
            Step::LogIn => {
                let person = self.scenario.person.as_deref().ok_or("nobody to log in")?;
                let session = log_in(self.door, person, self.scenario.login_at());
                self.session = Some(session.map_err(|error| format!("login of {person}: {error}"))?);
                Ok(())
            }
            Step::Refresh => self.step_up().map_err(|error| format!("step-up: {error}")),
            Step::EndSession => {
                let ticket = self.session.as_ref().map(|session| session.ticket.clone()).ok_or("no session to end")?;
                self.door
                    .call(
                        &service,
                        "sekisho.v1.AuthenticationService/EndSession",
                        &json!({ "session_ticket": ticket }),
                        &Metadata::new(),
                    )
                    .map(|_| ())
                    .map_err(|error| format!("end of the session: {error}"))
            }
            Step::Exchange => self.exchange().map_err(|error| format!("exchange: {error}")),
        }
    }

    fn register(&mut self, method: &str, request: &Value) -> Result<(), String> {
        let registrar = self.door.registrar();
        self.door
            .call(
                &registrar,
                &format!("sekisho.v1.SubjectService/{method}"),
                request,
                &Metadata::new(),
            )
            .map(|_| ())
            .map_err(|error| format!("{method}: {error}"))
    }

    fn earlier(&mut self, request: &Value, allowed: bool) -> Result<(), String> {
        let request = self.with_actor(request.clone())?;
        let answer = self.check(&request).map_err(|error| error.to_string())?;
        let expected = if allowed {
            "DECISION_ALLOW"
        } else {
            "DECISION_DENY"
        };
        if answer.get("decision").and_then(Value::as_str) != Some(expected) {
            return Err(format!("{expected} expected, got {answer}"));
        }
        if let (Some(session), Some(renewed)) = (
            &mut self.session,
            answer.get("renewedTicket").and_then(Value::as_str),
        ) {
            session.ticket = renewed.into();
        }
        self.last_answer = Some(answer);
        Ok(())
    }

    fn step_up(&mut self) -> Result<(), CallError> {
        let none = || CallError::outside("nobody is logged in".into());
        let person = self.scenario.person.as_deref().ok_or_else(none)?;
        let mut session = self.session.clone().ok_or_else(none)?;
        let challenge = self.door.call(
            &session.service,
            "sekisho.v1.AuthenticationService/BeginStepUp",
            &json!({
                "session_ticket": session.ticket,
                "client_ip": session.client_ip,
                "session_ref": session.session_ref,
            }),
            &Metadata::new(),
        )?;
        (session.ticket, session.second_step) =
            second_factor(self.door, person, &session.service, &challenge)?;
        self.session = Some(session);
        Ok(())
    }

    fn exchange(&mut self) -> Result<(), CallError> {
        let mut session = self
            .session
            .clone()
            .ok_or_else(|| CallError::outside("nobody is logged in".into()))?;
        let answer = self.door.call(
            &self.scenario.service,
            "sekisho.v1.AuthenticationService/ExchangeTicket",
            &json!({
                "session_ticket": session.ticket,
                "client_ip": session.client_ip,
                "session_ref": session.session_ref,
                "new_session_ref": self.scenario.session_ref,
            }),
            &Metadata::new(),
        )?;
        session.ticket = text(&answer, "sessionTicket")?;
        session.service.clone_from(&self.scenario.service);
        session.session_ref.clone_from(&self.scenario.session_ref);
        self.session = Some(session);
        Ok(())
    }

    fn with_actor(&self, mut request: Value) -> Result<Value, String> {
        let scenario = self.scenario;
        let mut actor = Map::new();
        if let Some(ip) = scenario.client_ip() {
            actor.insert("client_ip".into(), ip.into());
        }
        if let Some(Value::Object(proof)) = &scenario.actor {
            actor.extend(proof.clone());
        } else if scenario.workload {
            actor.insert("workload".into(), true.into());
        } else {
            actor.insert("session_ref".into(), scenario.session_ref.clone().into());
            let ticket = scenario
                .ticket
                .as_ref()
                .or(self.session.as_ref().map(|session| &session.ticket));
            if let Some(ticket) = ticket {
                actor.insert("session_ticket".into(), ticket.clone().into());
            }
        }
        let fields = request.as_object_mut().ok_or("the request is no table")?;
        if fields
            .insert("actor".into(), Value::Object(actor))
            .is_some()
        {
            return Err("the request must leave the actor to the runner".into());
        }
        Ok(request)
    }

    fn not_repeated(&self, answer: &Value) -> Vec<String> {
        let Some(first) = &self.last_answer else {
            return vec!["there is no earlier answer to repeat".into()];
        };
        [
            "decision",
            "decisionId",
            "reasons",
            "obligations",
            "validUntil",
            "policyRevision",
        ]
        .into_iter()
        .filter(|field| first.get(field) != answer.get(field))
        .map(|field| {
            let null = Value::Null;
            let (first, again) = (
                first.get(field).unwrap_or(&null),
                answer.get(field).unwrap_or(&null),
            );
            format!("repeat: {field} was {first}, is {again}")
        })
        .collect()
    }
}

/// Reads a decision's entry as a security manager.
pub fn read_entry(
    door: &mut dyn Door,
    manager: &Session,
    decision_id: &str,
) -> Result<Value, CallError> {
    door.call(
        &manager.service,
        "sekisho.v1.AccessLogService/GetEntry",
        &json!({ "decision_id": decision_id }),
        &manager.metadata(),
    )
}

//! Scenarios as data: what stands in `policies/<pack>/scenarios/*.toml`, read strictly, so that a misspelt expectation is
//! an error and not an expectation that always holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use sekisho::policy;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where a person sits unless a scenario says otherwise.
pub const OFFICE: &str = "203.0.113.10";
/// The caller unless a scenario or its file says otherwise.
pub const CALLER: &str = "career-crm";
/// The caller's session unless a scenario says otherwise.
pub const SESSION: &str = "scenario";

/// Who reads all of the log in each pack, and the service where they log in.
pub const READERS: [(&str, &str, &str); 5] = [
    ("filing-office", "security-1", "filing-desk"),
    ("housing-and-care", "privacy-1", "care-desk"),
    ("multi-jurisdiction", "officer-1", "customer-desk"),
    ("recruitment", "security-1", CALLER),
    ("scrivener-office", "security-1", "case-desk"),
];

/// The same of the packs that only tests have.
const OWN_READERS: [(&str, &str, &str); 1] = [("registered-first", "security-1", "desk")];

/// The row of [`READERS`] of a pack.
pub fn reader_of(pack: &Path) -> (&'static str, &'static str, &'static str) {
    let rows = READERS.into_iter().chain(OWN_READERS);
    let row = rows.into_iter().find(|(id, ..)| pack.ends_with(id));
    row.unwrap_or_else(|| panic!("{}: who reads the log?", pack.display()))
}

/// The service that registers holds and dates in a pack; empty for none.
pub fn registrar_of(pack: &Path) -> String {
    let rules = policy::load(pack).expect("a pack that loads").rules;
    let mut services = rules.services.iter();
    services
        .find(|(_, _, service)| service.registers_subjects)
        .map_or_else(String::new, |(_, id, _)| id.to_owned())
}

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The caller of those that name none.
    service: Option<String>,
    scenario: Vec<Scenario>,
}

/// One request in its circumstances, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Says the rule; unique.
    pub name: String,
    /// The row or phrase of the pack file that it comes from.
    pub from: Option<String>,
    /// Who logs in by both steps; nobody when absent.
    #[serde(rename = "as")]
    pub person: Option<String>,
    /// The service asks for itself.
    #[serde(default)]
    pub workload: bool,
    /// The calling service; one that the pack lacks gets a certificate all the same.
    #[serde(default)]
    pub service: String,
    /// The device of the person; a workload has none unless one is given.
    client_ip: Option<String>,
    /// The caller's own session.
    #[serde(default = "session")]
    pub session_ref: String,
    /// Where the login happened, as far as it was elsewhere.
    #[serde(default)]
    pub login: Elsewhere,
    /// A ticket that nobody gave.
    pub ticket: Option<String>,
    /// The address that the service connects from; loopback when absent.
    pub peer: Option<String>,
    /// How old the second step is at the request.
    second_step_age: Option<String>,
    /// Holds at the second only: a clock that runs on its own would blur it.
    #[serde(default)]
    pub held_clock: bool,
    /// The instant of the request, RFC 3339.
    pub now: Option<String>,
    /// What the directory says instead of what the pack's samples say.
    pub standing: Option<Standing>,
    /// What happens before, in order.
    #[serde(default)]
    pub given: Vec<Given>,
    /// A proof in place of the one that follows from the above.
    pub actor: Option<Value>,
    /// `CheckRequest` as proto3 JSON, without `actor`.
    request: Value,
    /// What must come of it.
    pub expect: Expect,
    /// File, for messages.
    #[serde(skip)]
    pub file: String,
}

fn session() -> String {
    SESSION.into()
}

/// Where the login happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    pub service: Option<String>,
    pub client_ip: Option<String>,
    pub session_ref: Option<String>,
}

/// What the directory says of the person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    #[serde(default)]
    pub disabled: bool,
}

/// One thing that happens before the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// A hold is registered for `subject_ref`.
    pub hold: Option<String>,
    /// A date is registered for `subject_ref`: `value`, RFC 3339.
    pub date: Option<String>,
    pub value: Option<String>,
    pub subject_ref: Option<String>,
    /// A reference is registered for `subject_ref`, or for nobody in particular.
    pub reference: Option<GivenReference>,
    /// One is withdrawn.
    pub withdraw: Option<GivenReference>,
    /// Another request, `times` times, each after waiting `every`.
    earlier: Option<Value>,
    pub times: Option<usize>,
    every: Option<String>,
    /// By another person than the scenario's.
    #[serde(rename = "as")]
    pub person: Option<String>,
    /// What comes of it: ALLOW unless said otherwise.
    pub expect: Option<String>,
    /// Time passes.
    wait: Option<String>,
    /// The person logs in again.
    pub log_in: Option<bool>,
    /// The person passes a fresh second step.
    pub step_up: Option<bool>,
    /// The person's session is ended.
    pub end_session: Option<bool>,
    /// The ticket of the login is exchanged for one of the scenario's service.
    pub exchange: Option<bool>,
}

/// A reference: `kind` as the pack names it, `until` in RFC 3339.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenReference {
    pub kind: String,
    pub reference: String,
    #[serde(default)]
    pub purposes: Vec<String>,
    pub until: Option<String>,
}

/// What must come of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The login itself is refused with this status.
    pub login: Option<String>,
    /// ALLOW or DENY.
    pub decision: Option<String>,
    /// The first reason; an allowance without one has none.
    pub reason: Option<String>,
    /// All reasons, in order.
    pub reasons: Option<Vec<String>>,
    /// What the first reason is about.
    pub about: Option<String>,
    /// Exactly these obligations.
    pub obligations: Option<Vec<String>>,
    /// How fresh a second step would do; 0 for none offered.
    pub step_up_seconds: Option<u64>,
    pub withheld_categories: Option<BTreeMap<String, String>>,
    pub withheld_subjects: Option<BTreeMap<String, String>>,
    /// The answer is that of the last request before.
    #[serde(default)]
    pub repeats: bool,
    /// Fields of the log entry.
    #[serde(default)]
    pub entry: Map<String, Value>,
    /// A status in place of an answer, and every field that it names (`a|b` for either).
    pub error: Option<String>,
    pub fields: Option<Vec<String>>,
}

/// What a [`Given`] does.
#[derive(Debug)]
pub enum Step<'a> {
    Hold {
        subject: &'a str,
        hold: &'a str,
    },
    Date {
        subject: &'a str,
        date: &'a str,
        value: &'a str,
    },
    Reference {
        subject: Option<&'a str>,
        reference: &'a GivenReference,
        withdrawn: bool,
    },
    Earlier {
        request: Value,
        times: usize,
        every: Duration,
        allowed: bool,
        person: Option<&'a str>,
    },
    Wait(Duration),
    LogIn,
    Refresh,
    EndSession,
    Exchange,
}

impl Given {
    /// The one thing that it does.
    pub fn step(&self) -> Result<Step<'_>, String> {
        let subject = self.subject_ref.as_deref();
        let mut steps = Vec::new();
        if let Some(hold) = &self.hold {
            let subject = subject.ok_or("a hold needs subject_ref")?;
            steps.push(Step::Hold { subject, hold });
        }
        if let Some(date) = &self.date {
            let subject = subject.ok_or("a date needs subject_ref")?;
            let value = self.value.as_deref().ok_or("a date needs value")?;
            steps.push(Step::Date {
                subject,
                date,
                value,
            });
        }
        for (reference, withdrawn) in [(&self.reference, false), (&self.withdraw, true)] {
            if let Some(reference) = reference {
                steps.push(Step::Reference {
                    subject,
                    reference,
                    withdrawn,
                });
            }
        }
        if let Some(request) = &self.earlier {
            let allowed = match self.expect.as_deref() {
                None | Some("ALLOW") => true,
                Some("DENY") => false,
                Some(other) => return Err(format!("an earlier request can't be {other}")),
            };
            steps.push(Step::Earlier {
                request: expand(request)?,
                times: self.times.unwrap_or(1),
                every: self.every.as_deref().map_or(Ok(Duration::ZERO), duration)?,
                allowed,
                person: self.person.as_deref(),
            });
        }
        if let Some(wait) = &self.wait {
            steps.push(Step::Wait(duration(wait)?));
        }
        for (is, step) in [
            (self.log_in, Step::LogIn),
            (self.step_up, Step::Refresh),
            (self.end_session, Step::EndSession),
            (self.exchange, Step::Exchange),
        ] {
            if is == Some(true) {
                steps.push(step);
            }
        }
        match (steps.pop(), steps.is_empty()) {
            (Some(step), true) => Ok(step),
            _ => Err("exactly one thing can be given at a time".into()),
        }
    }
}

impl Scenario {
    /// The device that the request names, if any.
    pub fn client_ip(&self) -> Option<&str> {
        match (&self.client_ip, self.workload) {
            (Some(ip), _) => Some(ip),
            (None, true) => None,
            (None, false) => Some(OFFICE),
        }
    }

    /// The service, device and session of the login.
    pub fn login_at(&self) -> (&str, &str, &str) {
        (
            self.login.service.as_deref().unwrap_or(&self.service),
            self.login
                .client_ip
                .as_deref()
                .or(self.client_ip())
                .unwrap_or(OFFICE),
            self.login
                .session_ref
                .as_deref()
                .unwrap_or(&self.session_ref),
        )
    }

    /// How old the second step is at the request.
    pub fn second_step_age(&self) -> Result<Option<Duration>, String> {
        self.second_step_age.as_deref().map(duration).transpose()
    }

    /// `CheckRequest` as JSON, without `actor`.
    pub fn request(&self) -> Result<Value, String> {
        expand(&self.request)
    }

    /// Why this can't be played through a socket, if so.
    pub fn needs_held_facts(&self) -> Option<&'static str> {
        if self.peer.is_some() {
            Some("the service's address is not loopback's")
        } else if self.standing.is_some() {
            Some("no interface changes a standing yet")
        } else {
            None
        }
    }

    /// Why this can't be played against a clock that runs, if so.
    pub fn needs_held_clock(&self) -> Option<&'static str> {
        if self.now.is_some() {
            Some("the clock stands decades away")
        } else if self.held_clock {
            Some("the clock is held to the second")
        } else {
            None
        }
    }

    fn check(&self) -> Result<(), String> {
        self.request()?;
        self.second_step_age()?;
        for given in &self.given {
            given.step()?;
        }
        let expect = &self.expect;
        let answers = [
            expect.decision.is_some(),
            expect.error.is_some(),
            expect.login.is_some(),
        ];
        if !answers.contains(&true) || (expect.decision.is_some() && expect.error.is_some()) {
            return Err("expects neither a decision nor an error, or both".into());
        }
        match expect.decision.as_deref() {
            Some("DENY") if expect.reason.is_none() => Err("a denial needs its reason".into()),
            None | Some("ALLOW" | "DENY") => Ok(()),
            Some(other) => Err(format!("{other} is no decision")),
        }
    }
}

/// Reads "90s", "6m" or "8h".
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 90s, 6m or 8h");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = text
        .get(..text.len() - 1)
        .ok_or_else(wrong)?
        .parse()
        .map_err(|_| wrong())?;
    Ok(Duration::from_secs(number * unit))
}

/// Writes out `{ repeat = "x", times = 129 }` (a long text) and `{ many = "person-{}", times = 201 }` (a long list).
fn expand(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(fields) => {
            let times = fields.get("times").and_then(Value::as_u64);
            let times = times.and_then(|times| usize::try_from(times).ok());
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            match (text("repeat"), text("many"), times) {
                (Some(text), None, Some(times)) => Ok(Value::String(text.repeat(times))),
                (None, Some(pattern), Some(times)) => Ok((0..times)
                    .map(|number| Value::String(pattern.replace("{}", &number.to_string())))
                    .collect()),
                (None, None, _) => fields
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), expand(value)?)))
                    .collect::<Result<Map<_, _>, String>>()
                    .map(Value::Object),
                _ => Err(format!(
                    "{value} is neither a repeated text nor a list of many"
                )),
            }
        }
        Value::Array(items) => items.iter().map(expand).collect(),
        other => Ok(other.clone()),
    }
}

/// All scenarios of a pack, by file and in the file's order.
pub fn load(pack: &Path) -> Result<Vec<Scenario>, String> {
    let folder = pack.join("scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    files.sort();
    let mut all = Vec::new();
    let mut names = HashSet::new();
    for path in files {
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file: File =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for mut scenario in file.scenario {
            scenario.file.clone_from(&name);
            if scenario.service.is_empty() {
                scenario.service = file.service.as_deref().unwrap_or(CALLER).into();
            }
            scenario
                .check()
                .map_err(|error| format!("{name}: {:?}: {error}", scenario.name))?;
            if !names.insert(scenario.name.clone()) {
                return Err(format!("{name}: {:?} is there twice", scenario.name));
            }
            all.push(scenario);
        }
    }
    no_shared_subjects(&all)?;
    Ok(all)
}

/// A hold or date that one scenario registers must not reach into another: one daemon plays them all.
fn no_shared_subjects(all: &[Scenario]) -> Result<(), String> {
    let mut registered: HashMap<&str, &str> = HashMap::new();
    for scenario in all {
        for given in &scenario.given {
            if let Some(subject) = &given.subject_ref {
                registered.insert(subject, &scenario.name);
            }
        }
    }
    for scenario in all {
        let data = scenario.request.get("data");
        let one = data.and_then(|data| data.get("subject_ref")).into_iter();
        let list = data
            .and_then(|data| data.get("subject_refs"))
            .and_then(Value::as_array);
        for subject in one
            .chain(list.into_iter().flatten())
            .filter_map(Value::as_str)
        {
            if let Some(other) = registered
                .get(subject)
                .filter(|other| **other != scenario.name)
            {
                return Err(format!(
                    "{:?} asks about {subject}, whom {other:?} has registered",
                    scenario.name
                ));
            }
        }
    }
    Ok(())
}

//! Scenarios as data: what stands in a pack's `scenarios/*.toml`, read strictly, so that a misspelt expectation is an error and not
//! an expectation that always holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Where a person sits unless a scenario or its file says otherwise: of a block for documentation (RFC 5737), as samples are.
pub const DEVICE: &str = "203.0.113.10";
/// The caller's session unless a scenario says otherwise.
pub const SESSION: &str = "scenario";

/// The largest file, in bytes, and how many a pack has at most.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
const FILES_MAX: usize = 1_000;
/// The longest text and the longest list that are written out from a short form; longer than what the API takes, to show that.
const WRITTEN_OUT_MAX: usize = 1_000_000;
/// How often an earlier request is made at most.
const TIMES_MAX: usize = 100_000;

/// Why the scenarios of a pack can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct ScenarioError {
    file: PathBuf,
    what: String,
}

impl ScenarioError {
    fn new(file: &Path, what: impl ToString) -> Self {
        Self {
            file: file.to_path_buf(),
            what: what.to_string(),
        }
    }
}

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The caller of those that name none.
    service: Option<String>,
    /// The device of those that name none.
    client_ip: Option<String>,
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

/// Why a scenario is not for the decision alone to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// It is refused before there is a request to decide.
    NotARequest,
    /// It is refused at the login.
    AtTheLogin,
    /// It is answered without deciding again.
    Repeated,
}

impl Left {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotARequest => "refused before there is a request to decide",
            Self::AtTheLogin => "refused at the login",
            Self::Repeated => "answered without deciding again",
        }
    }
}

fn session() -> String {
    SESSION.into()
}

/// Where the login happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// At which service.
    pub service: Option<String>,
    /// From which device.
    pub client_ip: Option<String>,
    /// In which session of the service.
    pub session_ref: Option<String>,
}

/// What is known of the person besides what the pack's samples say: it came to be after they had logged in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The account was disabled.
    #[serde(default)]
    pub disabled: bool,
    /// The second factor was disabled after too many failures.
    #[serde(default)]
    pub locked: bool,
    /// The employment ended.
    #[serde(default)]
    pub ended: bool,
    /// The pledge turned out not to be given.
    #[serde(default)]
    pub without_pledge: bool,
    /// They were trained again, and it counts until this instant (RFC 3339).
    pub trained_until: Option<String>,
}

/// One thing that happens before the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// A hold is registered for `subject_ref`.
    pub hold: Option<String>,
    /// A date is registered for `subject_ref`: `value`, RFC 3339.
    pub date: Option<String>,
    /// When, for `date`.
    pub value: Option<String>,
    /// Whose hold, date or reference.
    pub subject_ref: Option<String>,
    /// A reference is registered for `subject_ref`, or for nobody in particular.
    pub reference: Option<GivenReference>,
    /// One is withdrawn.
    pub withdraw: Option<GivenReference>,
    /// Another request, `times` times, each after waiting `every`.
    earlier: Option<Value>,
    /// How often, 1 unless said otherwise.
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

/// A reference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenReference {
    /// As the pack names it.
    pub kind: String,
    /// As callers say it.
    pub reference: String,
    /// What it covers.
    #[serde(default)]
    pub purposes: Vec<String>,
    /// Until when it counts, RFC 3339.
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
    /// Exactly these categories, each with its code.
    pub withheld_categories: Option<BTreeMap<String, String>>,
    /// Exactly these positions, each with its code.
    pub withheld_subjects: Option<BTreeMap<String, String>>,
    /// The answer is that of the last request before.
    #[serde(default)]
    pub repeats: bool,
    /// Fields of the log entry.
    #[serde(default)]
    pub entry: Map<String, Value>,
    /// A status in place of an answer, and every field that it names (`a|b` for either).
    pub error: Option<String>,
    /// The fields that the error names.
    pub fields: Option<Vec<String>>,
}

/// What a [`Given`] does.
#[derive(Debug)]
pub enum Step<'a> {
    /// A hold is registered.
    Hold {
        /// Whose.
        subject: &'a str,
        /// Which.
        hold: &'a str,
    },
    /// A date is registered.
    Date {
        /// Whose.
        subject: &'a str,
        /// Which.
        date: &'a str,
        /// When, RFC 3339.
        value: &'a str,
    },
    /// A reference is registered or withdrawn.
    Reference {
        /// Whose; nobody's in particular where it is not said.
        subject: Option<&'a str>,
        /// Which.
        reference: &'a GivenReference,
        /// Withdrawn.
        withdrawn: bool,
    },
    /// Another request is made.
    Earlier {
        /// As JSON.
        request: Value,
        /// How often.
        times: usize,
        /// After so long, each time.
        every: Duration,
        /// What comes of it.
        allowed: bool,
        /// By whom, where it is another person than the scenario's.
        person: Option<&'a str>,
    },
    /// Time passes.
    Wait(Duration),
    /// The person logs in again.
    LogIn,
    /// The person passes a fresh second step.
    Refresh,
    /// The person's session is ended.
    EndSession,
    /// The ticket of the login is exchanged for one of the scenario's service.
    Exchange,
}

impl Given {
    /// The one thing that it does.
    ///
    /// # Errors
    /// When it is none, several, or can't be read.
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
                times: match self.times {
                    None => 1,
                    Some(times) if times <= TIMES_MAX => times,
                    Some(_) => return Err(format!("times: at most {TIMES_MAX}")),
                },
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
    #[must_use]
    pub fn client_ip(&self) -> Option<&str> {
        match (&self.client_ip, self.workload) {
            (Some(ip), _) => Some(ip),
            (None, true) => None,
            (None, false) => Some(DEVICE),
        }
    }

    /// The service, device and session of the login.
    #[must_use]
    pub fn login_at(&self) -> (&str, &str, &str) {
        (
            self.login.service.as_deref().unwrap_or(&self.service),
            self.login
                .client_ip
                .as_deref()
                .or(self.client_ip())
                .unwrap_or(DEVICE),
            self.login
                .session_ref
                .as_deref()
                .unwrap_or(&self.session_ref),
        )
    }

    /// How old the second step is at the request.
    ///
    /// # Errors
    /// When it is no length of time.
    pub fn second_step_age(&self) -> Result<Option<Duration>, String> {
        self.second_step_age.as_deref().map(duration).transpose()
    }

    /// `CheckRequest` as JSON, without `actor`.
    ///
    /// # Errors
    /// When a short form in it is none.
    pub fn request(&self) -> Result<Value, String> {
        expand(&self.request)
    }

    /// Why this is not for the decision alone to say, if so: it takes a daemon and a socket.
    #[must_use]
    pub fn needs_a_socket(&self) -> Option<Left> {
        if self.expect.error.is_some() || self.actor.is_some() {
            Some(Left::NotARequest)
        } else if self.expect.decision.is_none() {
            Some(Left::AtTheLogin)
        } else if self.expect.repeats {
            Some(Left::Repeated)
        } else {
            None
        }
    }

    /// Why this can't be played through a socket, if so.
    #[must_use]
    pub fn needs_held_facts(&self) -> Option<&'static str> {
        if self.peer.is_some() {
            Some("the service's address is not loopback's")
        } else if self.standing.is_some() {
            Some("what changes only after the login")
        } else {
            None
        }
    }

    /// Why this can't be played against a clock that runs, if so.
    #[must_use]
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
    let number = text.get(..text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number).saturating_mul(unit)))
}

/// Writes out `{ repeat = "x", times = 129 }` (a long text) and `{ many = "person-{}", times = 201 }` (a long list).
fn expand(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(fields) => {
            let times = fields.get("times").and_then(Value::as_u64);
            let times = times.and_then(|times| usize::try_from(times).ok());
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let short = |length: usize, times: usize| {
                let written = length.saturating_mul(times);
                if written > WRITTEN_OUT_MAX {
                    return Err(format!("{value} is over {WRITTEN_OUT_MAX} bytes long"));
                }
                Ok(())
            };
            match (text("repeat"), text("many"), times) {
                (Some(text), None, Some(times)) => {
                    short(text.len(), times)?;
                    Ok(Value::String(text.repeat(times)))
                }
                (None, Some(pattern), Some(times)) => {
                    short(pattern.len(), times)?;
                    Ok((0..times)
                        .map(|number| Value::String(pattern.replace("{}", &number.to_string())))
                        .collect())
                }
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

/// The files of the folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let unread = |error: io::Error| ScenarioError::new(folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(ScenarioError::new(&path, "is no .toml file"));
        }
        files.push(path);
        if files.len() > FILES_MAX {
            let what = format!("has more than {FILES_MAX} files");
            return Err(ScenarioError::new(folder, what));
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<File, ScenarioError> {
    let wrong = |what: String| ScenarioError::new(path, what);
    let length = fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if length > FILE_MAX_BYTES {
        return Err(wrong(format!("is over {FILE_MAX_BYTES} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// All scenarios of the pack in a folder, by file and in the file's order. Blocks on the disk.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn load(pack: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let folder = pack.join("scenarios");
    let mut all = Vec::new();
    let mut names = HashSet::new();
    for path in files(&folder)? {
        let file = read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for mut scenario in file.scenario {
            let wrong = |what: String, scenario: &Scenario| {
                ScenarioError::new(&path, format!("{:?}: {what}", scenario.name))
            };
            scenario.file = name.clone().into_owned();
            if scenario.service.is_empty() {
                match &file.service {
                    Some(service) => scenario.service.clone_from(service),
                    None => {
                        let what = "names no service, nor does its file".into();
                        return Err(wrong(what, &scenario));
                    }
                }
            }
            if scenario.client_ip.is_none() && !scenario.workload {
                scenario.client_ip.clone_from(&file.client_ip);
            }
            scenario.check().map_err(|what| wrong(what, &scenario))?;
            if !names.insert(scenario.name.clone()) {
                return Err(wrong("is there twice".into(), &scenario));
            }
            all.push(scenario);
        }
    }
    no_shared_subjects(&all).map_err(|what| ScenarioError::new(&folder, what))?;
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

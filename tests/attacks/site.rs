//! The daemon under attack, on a clock that the test moves, with its store in one engine or the other; and what an attacker, a
//! person and an administrator do to it.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use sekisho::domain::ids::LogIndex;
use sekisho::domain::time::Timestamp;
use sekisho::identity::totp::Seed;
use sekisho::log::LogReader;
use sekisho::proto::StoredEntry;
use serde_json::{Value, json};

use crate::support::dev_house::House;
use crate::support::play::{CallError, Door, Metadata, Session, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const AUTHENTICATION: &str = "sekisho.v1.AuthenticationService";
pub(crate) const ADMINISTRATOR: &str = "administrator-1";

/// A daemon, that can be started again.
pub(crate) struct Site {
    house: Option<House>,
}

impl Deref for Site {
    type Target = House;
    fn deref(&self) -> &House {
        self.house.as_ref().unwrap()
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut House {
        self.house.as_mut().unwrap()
    }
}

impl Site {
    /// A new one, with the engine that the environment names.
    pub(crate) fn open() -> Self {
        Self {
            house: Some(House::with_clock()),
        }
    }

    /// `kill -9`, and a start on what is left.
    pub(crate) fn kill_and_start(&mut self) {
        let house = self.house.take().unwrap();
        self.house = Some(house.kill_and_start());
    }

    /// Stops it, has something done in its folder, and starts it again.
    pub(crate) fn while_stopped(&mut self, meanwhile: impl FnOnce(&Path)) {
        let house = self.house.take().unwrap();
        self.house = Some(house.stop_and_start(meanwhile));
    }

    /// A call of the `AuthenticationService` by the service that people log in at.
    pub(crate) fn ask(&self, method: &str, request: &Value) -> Result<Value, CallError> {
        let method = format!("{AUTHENTICATION}/{method}");
        self.send(&method, request, &Metadata::new())
    }

    /// A call of an administrator, who has just passed the second step.
    pub(crate) fn administer(
        &self,
        method: &str,
        request: &Value,
        session: &Session,
    ) -> Result<Value, CallError> {
        let method = format!("sekisho.v1.CredentialService/{method}");
        self.send(&method, request, &session.metadata())
    }

    pub(crate) fn administrator(&mut self) -> Session {
        self.person(ADMINISTRATOR)
    }

    /// Somebody of the sample people, logged in with the code after the last one they used.
    pub(crate) fn person(&mut self, person: &str) -> Session {
        self.next_code();
        let found = log_in(&mut **self, person, (CALLER, OFFICE, SESSION));
        found.unwrap_or_else(|error| panic!("{person}: {error}\n{}", self.daemon.output()))
    }

    /// The first step, with the password of the sample people.
    pub(crate) fn first_step(&self, person: &str) -> Value {
        let password = self.people.get(person).password.clone();
        self.first_step_with(person, &password)
            .unwrap_or_else(|error| panic!("{person}: {error}"))
    }

    pub(crate) fn first_step_with(&self, person: &str, password: &str) -> Result<Value, CallError> {
        self.ask(
            "VerifyPassword",
            &json!({ "person": person, "password": password, "client_ip": OFFICE, "session_ref": SESSION }),
        )
    }

    pub(crate) fn second_step(&self, challenge: &Value, code: &str) -> Result<Value, CallError> {
        self.ask(
            "VerifySecondFactor",
            &json!({ "challenge_id": challenge["challengeId"], "totp": code }),
        )
    }

    pub(crate) fn recover(&self, challenge: &Value, code: &str) -> Result<Value, CallError> {
        self.ask(
            "VerifySecondFactor",
            &json!({ "challenge_id": challenge["challengeId"], "recovery_code": code }),
        )
    }

    /// Both steps with one code.
    pub(crate) fn try_code(&self, person: &str, code: &str) -> Result<Value, CallError> {
        self.second_step(&self.first_step(person), code)
    }

    /// A fresh challenge within a session.
    pub(crate) fn step_up(&self, session: &Session) -> Result<Value, CallError> {
        self.ask(
            "BeginStepUp",
            &json!({
                "session_ticket": session.ticket,
                "client_ip": session.client_ip,
                "session_ref": session.session_ref,
            }),
        )
    }

    /// What the person's authenticator shows now.
    pub(crate) fn code(&self, person: &str) -> String {
        self.people.get(person).code(self.now())
    }

    /// Six digits that no authenticator of the person shows about now.
    pub(crate) fn wrong_code(&self, person: &str) -> String {
        let known = self.people.get(person);
        let right: Vec<String> = (0..5)
            .map(|step| known.code(self.now() + 30 * step - 60))
            .collect();
        let wrong = (0..).map(|number| format!("{number:06}"));
        wrong
            .into_iter()
            .find(|code| !right.contains(code))
            .unwrap()
    }

    /// May the person read one item of a job-seeker?
    pub(crate) fn check(&self, session: &Session) -> Result<Value, CallError> {
        self.send(
            "sekisho.v1.AccessService/Check",
            &request(session),
            &Metadata::new(),
        )
    }

    /// The log as it is on the disk.
    pub(crate) fn entries(&self) -> Vec<StoredEntry> {
        LogReader::open_directory(self.daemon.data().join("log"))
            .unwrap()
            .forward(LogIndex(0))
            .map(|kept| kept.unwrap().entry().unwrap())
            .collect()
    }

    /// The numbers of all tries that the log knows, in its order.
    pub(crate) fn attempts(&self) -> Vec<u32> {
        let entries = self.entries();
        let attempts = entries.iter().filter_map(|entry| detail(entry, "attempt"));
        attempts.map(|attempt| attempt.parse().unwrap()).collect()
    }

    /// Why the last refusal was, for the log alone.
    pub(crate) fn last_why(&self) -> String {
        let entries = self.entries();
        let last = entries.iter().rev().find_map(|entry| detail(entry, "why"));
        last.unwrap_or_default().to_owned()
    }
}

/// A request for one item, in a session.
pub(crate) fn request(session: &Session) -> Value {
    json!({
        "actor": {
            "session_ticket": session.ticket,
            "client_ip": session.client_ip,
            "session_ref": session.session_ref,
        },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "S-1", "categories": ["career.history"] },
        "purpose": "recruitment-service",
    })
}

pub(crate) fn detail<'a>(entry: &'a StoredEntry, key: &str) -> Option<&'a str> {
    let found = entry.details.iter().find(|detail| detail.key == key)?;
    Some(&found.value)
}

/// The first reason of a denial.
pub(crate) fn reason(answer: &Value) -> &str {
    answer["reasons"][0]["code"].as_str().unwrap_or("none")
}

/// What a newly enrolled authenticator shows at `now`.
pub(crate) fn code_of(otpauth_uri: &str, now: u64) -> String {
    let (_, rest) = otpauth_uri.split_once("secret=").unwrap();
    let secret = rest.split('&').next().unwrap();
    let now = Timestamp::from_seconds(i64::try_from(now).unwrap());
    Seed::from_base32(secret).unwrap().code_at(now)
}

/// The refusal that all guesses get, whatever is wrong with them.
pub(crate) fn not_genuine(refused: Result<Value, CallError>) {
    let error = refused.expect_err("nobody is let in");
    assert_eq!(error.code, "UNAUTHENTICATED", "{error}");
    assert_eq!(
        error.message,
        "the id, the password or the code is not right"
    );
    assert_eq!(error.detail("ErrorInfo").unwrap()["reason"], "NOT_GENUINE");
}

pub(crate) fn refused_with(
    refused: Result<Value, CallError>,
    code: &str,
    reason: &str,
) -> CallError {
    let error = refused.expect_err("it is refused");
    assert_eq!(error.code, code, "{error}");
    let told = error.detail("ErrorInfo").map(|info| info["reason"].clone());
    assert_eq!(told, Some(reason.into()), "{error}");
    error
}

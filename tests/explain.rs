//! Why a decision is what it is, and who may what: over TLS in this process, where a clock can be held, and through the shipped
//! binary with real grpcurl and at a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

mod support;

#[path = "explain/changes.rs"]
mod changes;
#[path = "explain/lists.rs"]
mod lists;
#[path = "explain/terminal.rs"]
mod terminal;
#[path = "explain/why.rs"]
mod why;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::house::House;
use support::play::{CallError, Door, Metadata, Session, log_in};
use support::scenario::{OFFICE, SESSION};

/// A pack of the repository with an administrator among its people, and a daemon that serves it.
struct Served {
    _pack: TempDir,
    _folder: TempDir,
    house: House,
    /// Where people log in.
    desk: &'static str,
}

const ADMINISTRATOR: &str = "administrator-1";

impl Served {
    fn open(pack: &str, desk: &'static str) -> Self {
        let copy = copy_of(pack, &[]);
        let folder = tempfile::tempdir().unwrap();
        let house = House::open(folder.path(), copy.path());
        Self {
            _pack: copy,
            _folder: folder,
            house,
            desk,
        }
    }

    /// Logs in at a new step of the authenticator.
    fn log_in(&mut self, person: &str) -> Session {
        self.house.advance(std::time::Duration::from_secs(60));
        log_in(&mut self.house, person, (self.desk, OFFICE, SESSION))
            .unwrap_or_else(|error| panic!("login of {person}: {error}"))
    }

    fn explain(
        &mut self,
        by: &Metadata,
        method: &str,
        request: &Value,
    ) -> Result<Value, CallError> {
        let method = format!("sekisho.v1.ExplainService/{method}");
        self.house.call(self.desk, &method, request, by)
    }

    fn answer(&mut self, by: &Session, method: &str, request: &Value) -> Value {
        self.explain(&by.metadata(), method, request)
            .unwrap_or_else(|error| panic!("{method} {request}: {error}"))
    }

    /// Status and fields of a call that must be refused.
    fn refused(&mut self, by: &Metadata, method: &str, request: &Value) -> (String, Vec<String>) {
        match self.explain(by, method, request) {
            Ok(answer) => panic!("{method} {request} was answered: {answer}"),
            Err(error) => (error.code.clone(), error.fields()),
        }
    }
}

/// A pack of the repository, with an administrator and these rows more in its people.csv.
fn copy_of(pack: &str, rows: &[&str]) -> TempDir {
    let from = support::repository().join("policies").join(pack);
    let to = tempfile::tempdir().unwrap();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    let people = to.path().join("people.csv");
    let mut text = fs::read_to_string(&people).unwrap();
    text.push_str(&format!(
        "{ADMINISTRATOR},office,administrator,,2099-12-31,yes,yes\n"
    ));
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    fs::write(&people, text).unwrap();
    to
}

/// The line of pack.toml on which this text begins first.
fn line_of(pack: &str, text: &str) -> usize {
    let path = Path::new("policies").join(pack).join("pack.toml");
    let toml = fs::read_to_string(support::repository().join(path)).unwrap();
    let at = toml.find(text).unwrap_or_else(|| panic!("no {text}"));
    toml[..at].matches('\n').count() + 1
}

/// What a stage said.
fn stage<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let stages = answer["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 8, "{answer}");
    let name = format!("STAGE_{name}");
    let found = stages.iter().find(|stage| stage["stage"] == *name);
    found.unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// Code of the first reason of the first stage that failed.
fn first_reason(answer: &Value) -> String {
    let mut stages = answer["stages"].as_array().unwrap().iter();
    let failed = stages.find(|stage| stage["passed"] != true && stage["notEvaluated"] != true);
    let code = failed.and_then(|stage| stage["reasons"][0]["code"].as_str());
    let code = code.unwrap_or_default();
    code.strip_prefix("REASON_CODE_").unwrap_or(code).to_owned()
}

/// A request for `career` of a job seeker.
fn career(action: &str) -> Value {
    json!({
        "actor": { "client_ip": OFFICE, "session_ref": SESSION },
        "action": action,
        "data": { "system": "crm", "subject_kind": "job-seeker", "categories": ["career"] },
        "purpose": "recruitment-service",
    })
}

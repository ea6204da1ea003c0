//! Policy packs: files to a rule set. A pack loads whole or not at all: every word is checked against what the pack declares, and
//! every fault is told at once, with its file, line, column and what may be meant.
//!
//! The files of a pack, and who reads them:
//! ```text
//! pack.toml   systems, services, networks, roles, data, purposes, recipients  recover, entry, pack_toml, schema
//! model.conf  casbin's model, the same in every pack                          model
//! policy.csv  which role may do what; inheritance; hierarchy                  csv, rows, resolve, grants
//! people.csv  samples, which are no policy                                    csv, people
//! pack.sig    signatures, a note of its own                                   files
//! scenarios/  requests, and what must come of them                            scenarios
//! ```
//!
//! What is wrong is collected by `faults`, in the words of `kinds`; a `finding` is one of them with its place; `show` draws it;
//! `lint` tells what is in order and can't be meant so (`shadowed`: because of other rules; `accepted`: and is kept all the same), `care`
//! what reaches special care-required information without consent. `shelf` keeps the revisions that were in force, so that one of them can be
//! again.
//!
//! This room never decides anything (`scenarios` and `replay` ask the decision), never reads outside the pack's directory and the
//! shelf, keeps nothing in memory between two loads, and lets no type of casbin out: casbin only confirms, at load, that the compiled
//! grants mean what it reads in the same files (`judge`).

mod accepted;
mod care;
mod csv;
pub mod diff;
mod entry;
mod faults;
mod files;
mod finding;
pub mod format;
mod grants;
mod judge;
mod kinds;
mod lint;
mod model;
mod pack_toml;
mod people;
mod recover;
pub mod replay;
mod resolve;
mod rows;
pub mod scenarios;
mod schema;
mod shadowed;
pub mod shelf;
mod show;
mod source;
mod starting;
mod suggest;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;

pub use files::{PackFiles, SIGNATURE_FILE};
pub use finding::{Finding, PackErrors};
pub use kinds::Severity;
pub use rows::GrantRow;
pub use schema::schema;
pub use starting::starting_pack;

use faults::{Faults, PackFile};
use judge::{Judge, JudgeError};
use source::Sources;

/// A policy pack that loaded.
#[derive(Debug)]
pub struct Pack {
    /// The rules, compiled.
    pub rules: RuleSet,
    /// The sample people of people.csv, in its order; empty where the pack has no such file.
    pub people: Vec<Person>,
    /// Those of them who have not enrolled a second factor.
    pub people_without_second_factor: Vec<Name>,
    /// The rules of policy.csv as they are written, in its order.
    pub rows: Vec<GrantRow>,
    /// What is in order and yet can't be meant so: rules that allow nothing, purposes that no rule is for. By file and place.
    pub warnings: Vec<Finding>,
}

/// Loads the pack in `directory`. Reads at most 64 MiB and blocks for as long as that takes (about a second for 100,000 rules):
/// not to be called on an async thread that serves.
///
/// # Errors
/// Everything that is wrong with the pack. Then nothing of it may be used.
pub fn load(directory: &Path) -> Result<Pack, PackErrors> {
    load_with_files(directory).map(|(pack, _)| pack)
}

/// As [`load`], with the very bytes that the pack was made of: what is read a second time may be something else.
///
/// # Errors
/// As for [`load`].
pub fn load_with_files(directory: &Path) -> Result<(Pack, PackFiles), PackErrors> {
    let sources = Sources::read(directory);
    let faults = Faults::over(&sources);
    let read = read(&sources, &faults);
    let refused = faults.any_error();
    let findings = faults.into_findings(directory);
    match read.zip(PackFiles::of(&sources)) {
        Some((pack, files)) if !refused => Ok((
            Pack {
                warnings: findings,
                ..pack
            },
            files,
        )),
        _ => Err(PackErrors(findings)),
    }
}

/// Reads as far as it makes sense; what it gives is good only when no error was told, and it gives nothing only after one was.
fn read(sources: &Sources, faults: &Faults<'_>) -> Option<Pack> {
    if let Some(text) = sources.text(PackFile::Model) {
        model::check(text, faults.of(PackFile::Model));
    }
    let toml = sources.text(PackFile::Pack);
    let policy = sources.text(PackFile::Policy);
    let read = toml.map(|text| pack_toml::read(text, faults.of(PackFile::Pack)));
    let rows = policy.map(|text| rows::read(text, faults.of(PackFile::Policy)));
    let people = sources
        .text(PackFile::People)
        .map(|text| {
            people::read(
                text,
                read.as_ref().map(|read| &read.rules),
                faults.of(PackFile::People),
            )
        })
        .unwrap_or_default();

    let (mut read, rows) = (read?, rows?);
    let rules = resolve::resolve(&rows, &mut read.rules, &read.places, faults);
    people.check(&read.rules, faults.of(PackFile::People));
    lint::look(&rules, &rows, &read, faults);
    let of_policy = faults.of(PackFile::Policy);
    grants::are_few_enough(&rules, &read.rules, of_policy);
    if faults.any_error() {
        return None;
    }
    let mut pack = read.rules;
    let (toml, policy) = (toml?, policy?);
    let model = sources.text(PackFile::Model)?;
    pack.grants = grants::build(&rules, &pack);
    match Judge::new(model, policy, &rows) {
        Ok(judge) => judge::cross_check(&judge, &rules, &pack, &pack.grants, of_policy),
        Err(error) => tell_judge_error(&error, faults),
    }
    pack.revision = source::revision(toml, model, policy);
    Some(Pack {
        rules: pack,
        people: people.all,
        people_without_second_factor: people.without_second_factor,
        rows: rows.rules.iter().map(GrantRow::of).collect(),
        warnings: Vec::new(),
    })
}

fn tell_judge_error(error: &JudgeError, faults: &Faults<'_>) {
    let (file, line) = match error {
        JudgeError::Model => (PackFile::Model, 0),
        JudgeError::Row { line } => (PackFile::Policy, *line),
        JudgeError::Casbin(_) | JudgeError::Waits => (PackFile::Policy, 0),
    };
    faults
        .of(file)
        .tell(line, kinds::Kind::CasbinRefuses, &[error]);
}

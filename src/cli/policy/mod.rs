//! `sekisho policy`: look at packs (`check`, `test`), and ask the daemon why it decides as it does and who may what (`explain`,
//! `who`, `what`, `register`).

mod diff;
mod explain;
mod fmt;
mod junit;
mod lists;
mod register;
mod stages;
mod test;

use std::path::{Path, PathBuf};

use super::Failure;
use super::error::{CliError, Fault};

/// Look at policy packs, and at what they mean for people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyCommand {
    /// Load a pack and tell everything that is wrong with it
    Check {
        /// The pack's folder
        pack: PathBuf,
    },
    /// Play a pack's scenarios on the decision alone, and tell what they reach
    Test(test::TestArgs),
    /// Bring a pack's files into their canonical form; what they mean stays
    Fmt(fmt::FmtArgs),
    /// Make a small pack to start from, with comments and scenarios
    New(fmt::NewArgs),
    /// What a change of a pack means: who may what that they could not, whom it touches, what else changes. Exit code 0: the same, 1:
    /// differs
    Diff(Box<diff::DiffArgs>),
    /// Why a request is allowed or denied: every stage, with its rule and the promise that it keeps
    Explain(Box<explain::ExplainArgs>),
    /// Which people could be allowed something
    Who(lists::WhoArgs),
    /// What a person could be allowed
    What(lists::WhatArgs),
    /// The register of who has access to what: systems, access by role, recipients
    Register(register::RegisterArgs),
}

/// Carries out one of the commands. That whoever reads the output stops reading is no failure.
///
/// # Errors
/// When a pack is not in order, a scenario fails or something is not reached, the daemon can't be reached or refuses, or output
/// can't be written.
pub(super) async fn policy(command: PolicyCommand) -> Result<(), Failure> {
    let done = match command {
        PolicyCommand::Check { pack } => return check(&pack),
        PolicyCommand::Test(args) => return test::test(&args),
        PolicyCommand::Fmt(args) => return fmt::fmt(&args),
        PolicyCommand::New(args) => return fmt::new(&args),
        PolicyCommand::Diff(args) => return diff::diff(*args).await,
        PolicyCommand::Explain(args) => explain::explain(*args).await,
        PolicyCommand::Who(args) => lists::who(args).await,
        PolicyCommand::What(args) => lists::what(args).await,
        PolicyCommand::Register(args) => register::register(args).await,
    };
    closed_output_is_no_failure(done)
}

fn closed_output_is_no_failure(done: Result<(), CliError>) -> Result<(), Failure> {
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done.map_err(Failure::from),
    }
}

fn check(folder: &Path) -> Result<(), Failure> {
    let pack = crate::policy::load(folder).map_err(Failure::configuration)?;
    let rules = &pack.rules;
    println!(
        "{}: {} systems, {} services, {} networks, {} roles, {} kinds, {} categories, {} purposes, {} recipients, {} grants, {} promises",
        rules.pack,
        rules.systems.len(),
        rules.services.len(),
        rules.networks.len(),
        rules.roles.len(),
        rules.kinds.len(),
        rules.categories.len(),
        rules.purposes.len(),
        rules.recipients.len(),
        rules.grants.len(),
        rules.promises.len(),
    );
    println!(
        "revision {}",
        data_encoding::HEXLOWER.encode(&rules.revision)
    );
    Ok(())
}

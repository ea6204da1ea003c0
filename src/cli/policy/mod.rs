//! `sekisho policy`: look at packs (`check`, `test`, `schema`), and ask the daemon why it decides as it does and who may what
//! (`explain`, `who`, `what`, `register`).

mod check;
mod explain;
mod lists;
mod register;
mod stages;
mod test;

use super::Failure;
use super::error::{CliError, Fault};

/// Look at policy packs, and at what they mean for people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyCommand {
    /// Load a pack and tell everything that is wrong with it, with its place and what may be meant
    Check(check::CheckArgs),
    /// Print the JSON Schema of pack.toml, for editors
    Schema,
    /// Play a pack's scenarios on the decision alone, and tell what they reach
    Test(test::TestArgs),
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
        PolicyCommand::Check(args) => return check::check(&args),
        PolicyCommand::Schema => return check::schema(),
        PolicyCommand::Test(args) => return test::test(&args),
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

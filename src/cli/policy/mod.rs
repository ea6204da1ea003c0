//! `sekisho policy`: look at packs (`check`, `test`, `schema`), compare and shape them (`diff`, `fmt`), and ask the daemon why it decides
//! as it does and who may what (`explain`, `who`, `what`, `register`); the policy of a running daemon (`life`), and signatures of packs
//! (`sign`).

mod check;
mod diff;
mod explain;
mod fmt;
mod junit;
mod life;
mod lists;
mod register;
mod sign;
mod stages;
mod test;

use super::Failure;
use super::error::{CliError, Fault};
use super::words::Language;
use crate::policy::PackErrors;

/// Look at policy packs, and at what they mean for people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyCommand {
    /// Load a pack and tell everything that is wrong with it, with its place and what may be meant
    Check(check::CheckArgs),
    /// Print the JSON Schema of pack.toml, for editors
    Schema,
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
    /// What is in force in a running daemon, and how the pack's folder stands to it
    Status(life::LookArgs),
    /// The revisions that a running daemon keeps
    Revisions(life::LookArgs),
    /// Have a running daemon look at the pack's folder now
    Reload(life::ReloadArgs),
    /// Put a kept revision in force: the candidate, or an older one again
    Activate(life::ActivateArgs),
    /// What the candidate would have decided otherwise since it is one
    Shadow(life::LookArgs),
    /// Make a key that signs packs
    Keygen(sign::KeygenArgs),
    /// Sign a pack
    Sign(sign::SignArgs),
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
        PolicyCommand::Fmt(args) => return fmt::fmt(&args),
        PolicyCommand::New(args) => return fmt::new(&args),
        PolicyCommand::Diff(args) => return diff::diff(*args).await,
        PolicyCommand::Explain(args) => explain::explain(*args).await,
        PolicyCommand::Who(args) => lists::who(args).await,
        PolicyCommand::What(args) => lists::what(args).await,
        PolicyCommand::Register(args) => register::register(args).await,
        PolicyCommand::Status(args) => life::status(args).await,
        PolicyCommand::Revisions(args) => life::revisions(args).await,
        PolicyCommand::Reload(args) => life::reload(args).await,
        PolicyCommand::Activate(args) => life::activate(args).await,
        PolicyCommand::Shadow(args) => life::shadow(args).await,
        PolicyCommand::Keygen(args) => return sign::keygen(&args),
        PolicyCommand::Sign(args) => return sign::sign(&args),
    };
    closed_output_is_no_failure(done)
}

/// A pack that is not in order: every error on a line of its own.
fn refused(errors: &PackErrors, language: Language) -> Failure {
    Failure::configuration(CliError::of_pack(errors, language))
}

fn closed_output_is_no_failure(done: Result<(), CliError>) -> Result<(), Failure> {
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done.map_err(Failure::from),
    }
}

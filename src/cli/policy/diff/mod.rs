//! `sekisho policy diff`: what a change of a pack means, in words, as tables or as JSON; with `--log` also what it would have meant for
//! the decisions of the last days.

mod json;
mod log;
mod people;
mod told;

pub(super) use told::title;

use std::path::PathBuf;

use super::closed_output_is_no_failure;
use super::lists::pack_of;
use crate::cli::Failure;
use crate::cli::client::Connection;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::domain::time::{Clock as _, SystemClock};
use crate::policy::Pack;
use crate::policy::diff::{
    Affected, FactChange, GrantChanges, affected, grant_changes, other_changes,
};
use crate::policy::replay::Tally;

/// Arguments of `sekisho policy diff`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DiffArgs {
    /// The folder of the pack as it is
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The folder of the pack as it is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Whom it touches of these people: a file as `sekisho people export` writes it [default: the people.csv of each pack]
    #[arg(long, value_name = "FILE", conflicts_with = "directory")]
    people: Option<PathBuf>,
    /// Whom it touches of the people in the daemon's directory (administrators, auditors)
    #[arg(long)]
    directory: bool,
    /// Decide the decisions of the last so many days of the daemon's log anew under both (reviewers)
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    log: Option<u32>,
    /// How many rows of each table at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What is told.
struct Findings<'a> {
    old: &'a Pack,
    new: &'a Pack,
    grants: GrantChanges<'a>,
    /// Those for whom it makes a difference, of so many.
    touched: Vec<Affected>,
    people: usize,
    others: Vec<FactChange>,
    /// Of so many days.
    replayed: Option<(u32, Tally)>,
    limit: usize,
}

impl Findings<'_> {
    fn packs_differ(&self) -> bool {
        !self.grants.is_empty() || !self.others.is_empty()
    }
}

/// Compares two packs.
///
/// # Errors
/// 1, silently, when they differ; 64 when one is not in order or a file can't be read; as for any client when the daemon is asked.
pub(super) async fn diff(args: DiffArgs) -> Result<(), Failure> {
    let language = args.connection.language();
    let (old, new) = (pack_of(&args.old, language)?, pack_of(&args.new, language)?);
    let findings = find(&args, &old, &new).await?;
    let lines = if args.json {
        vec![json::of(&findings).to_string()]
    } else {
        told::lines(&findings, language)
    };
    closed_output_is_no_failure(print(&lines, language))?;
    if findings.packs_differ() {
        Err(Failure::differs())
    } else {
        Ok(())
    }
}

async fn find<'a>(args: &DiffArgs, old: &'a Pack, new: &'a Pack) -> Result<Findings<'a>, CliError> {
    let now = SystemClock.now();
    let looked_at = people::looked_at(args, old, new).await?;
    let grants = grant_changes(&old.rules, &new.rules);
    let touched = affected(&grants, looked_at.pairs(), now);
    let replayed = match args.log {
        None => None,
        Some(days) => {
            let tally = log::replay(&args.connection, &old.rules, &new.rules, days, now).await?;
            Some((days, tally))
        }
    };
    Ok(Findings {
        old,
        new,
        grants,
        touched,
        people: looked_at.len(),
        others: other_changes(&old.rules, &new.rules),
        replayed,
        limit: if args.limit == 0 {
            usize::MAX
        } else {
            args.limit
        },
    })
}

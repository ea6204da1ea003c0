//! `sekisho reset`: taking a second factor away, by two administrators, or by one on the daemon's host.

use std::path::PathBuf;

use prost_types::Timestamp as Instant;

use super::client::{Connection, with_proof};
use super::error::{CliError, Fault};
use super::log::Reading;
use super::output::print;
use super::sessions::time;
use super::table::neutralise;
use super::words::{Language, Word};
use crate::domain::time::{Clock, SystemClock};
use crate::identity::keyring::Keyring;
use crate::proto::reset_service_client::ResetServiceClient;
use crate::proto::{
    DeclineResetRequest, ListResetsRequest, ResetOnHostRequest, ResetSecondFactorRequest,
    ResetSecondFactorResponse, ResetSeen, ReviewResetRequest,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum ResetCommand {
    /// Ask for the reset of a person's second factor, or approve what another administrator asked for
    SecondFactor(FactorArgs),
    /// Take back a reset that was asked for
    Decline(DeclineArgs),
    /// Say that you looked at what one person did alone: for who reviews everything, and not for their own
    Review(ReviewArgs),
    /// Resets that wait, and those that one person did alone and nobody reviewed yet
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct FactorArgs {
    /// The person's id
    #[arg(value_name = "PERSON")]
    person: String,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Approve the pending request of another administrator
    #[arg(long, value_name = "NUMBER", conflicts_with = "on_host")]
    approve: Option<u64>,
    /// Where there is one administrator only: ask on the daemon's host, proved by the keyring in this data directory; it is
    /// carried out once the daemon has served for 24 hours since, and marked until it was reviewed
    #[arg(long, value_name = "DIR")]
    on_host: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeclineArgs {
    /// The request's number
    #[arg(value_name = "NUMBER")]
    pending: u64,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReviewArgs {
    /// The request's number
    #[arg(value_name = "NUMBER")]
    pending: u64,
    /// What was found; sealed in the log
    #[arg(long, value_name = "TEXT")]
    finding: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Asks, approves, declines or lists.
///
/// # Errors
/// When nobody is logged in, or the daemon can't be reached or refuses.
pub(super) async fn run(command: ResetCommand) -> Result<(), CliError> {
    match command {
        ResetCommand::SecondFactor(mut args) => match args.on_host.take() {
            Some(data) => on_host(args, data).await,
            None => second_factor(args).await,
        },
        ResetCommand::Decline(args) => decline(args).await,
        ResetCommand::Review(args) => review(args).await,
        ResetCommand::List(args) => list(args).await,
    }
}

async fn second_factor(args: FactorArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ResetServiceClient::new(reading.target.connect().await?);
    let person = args.person.clone();
    let request = ResetSecondFactorRequest {
        person: args.person,
        reason: args.reason,
        approve: args.approve.unwrap_or(0),
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.reset_second_factor(request))
        .await?;
    print(&[told(&person, &answer.into_inner(), language)], language)
}

async fn on_host(args: FactorArgs, data: PathBuf) -> Result<(), CliError> {
    let language = args.connection.language();
    let keys = tokio::task::spawn_blocking(move || Keyring::open(&data)).await;
    let keys = keys.map_err(|error| error.to_string());
    let keys = keys.and_then(|keys| keys.map_err(|error| error.to_string()));
    let keys =
        keys.map_err(|why| CliError::new(Fault::Usage, Word::KeyringUnusable, language, &[&why]))?;
    let now = SystemClock.now();
    let request = ResetOnHostRequest {
        proof: keys.host_proof.make(&args.person, &args.reason, now),
        person: args.person.clone(),
        reason: args.reason,
        at: Some(Instant {
            seconds: now.micros().div_euclid(1_000_000),
            nanos: i32::try_from(now.micros().rem_euclid(1_000_000) * 1_000).unwrap_or(0),
        }),
    };
    let target = args.connection.target(None, language)?;
    let mut service = ResetServiceClient::new(target.connect().await?);
    let answer = target.answer(service.reset_on_host(request)).await?;
    print(
        &[told(&args.person, &answer.into_inner(), language)],
        language,
    )
}

fn told(person: &str, answer: &ResetSecondFactorResponse, language: Language) -> String {
    let (word, until) = match (&answer.effective_at, answer.pending) {
        (Some(at), _) => (Word::ResetLater, time(Some(at))),
        (None, 0) => (Word::ResetDone, None),
        (None, _) => (Word::ResetAsked, time(answer.pending_until.as_ref())),
    };
    let index = answer.log_index.to_string();
    let until = until.unwrap_or_default();
    word.fill(language, &[&neutralise(person), &index, &until])
}

async fn decline(args: DeclineArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ResetServiceClient::new(reading.target.connect().await?);
    let request = DeclineResetRequest {
        pending: args.pending,
        reason: args.reason,
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.decline_reset(request))
        .await?;
    let values = [args.pending, answer.into_inner().log_index].map(|n| n.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::ResetDeclined.fill(language, &values)], language)
}

async fn review(args: ReviewArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ResetServiceClient::new(reading.target.connect().await?);
    let request = ReviewResetRequest {
        pending: args.pending,
        finding: args.finding,
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading.target.answer(service.review_reset(request)).await?;
    let values = [args.pending, answer.into_inner().log_index].map(|n| n.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::ResetReviewed.fill(language, &values)], language)
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ResetServiceClient::new(reading.target.connect().await?);
    let request = with_proof(ListResetsRequest {}, &reading.kept, language)?;
    let answer = reading.target.answer(service.list_resets(request)).await?;
    let resets = answer.into_inner().resets;
    let shown = |reset| {
        if args.json {
            json(reset)
        } else {
            line(reset, language)
        }
    };
    let mut lines: Vec<String> = resets.iter().map(shown).collect();
    if lines.is_empty() && !args.json {
        lines.push(Word::NoResets.text(language).to_owned());
    }
    print(&lines, language)
}

fn json(reset: &ResetSeen) -> String {
    serde_json::json!({
        "pending": reset.pending,
        "person": reset.person,
        "asked_by": reset.asked_by,
        "asked_at": time(reset.asked_at.as_ref()),
        "pending_until": time(reset.pending_until.as_ref()),
        "effective_at": time(reset.effective_at.as_ref()),
        "alone": reset.alone,
        "done": reset.done,
    })
    .to_string()
}

fn line(reset: &ResetSeen, language: Language) -> String {
    let word = match (reset.alone, reset.done) {
        (true, true) => Word::ResetSeenAloneDone,
        (true, false) => Word::ResetSeenAlone,
        (false, _) => Word::ResetSeenWaits,
    };
    let at = reset.pending_until.as_ref().or(reset.effective_at.as_ref());
    let (index, at) = (reset.pending.to_string(), time(at).unwrap_or_default());
    let (person, by) = (neutralise(&reset.person), neutralise(&reset.asked_by));
    word.fill(language, &[&index, &person, &by, &at])
}

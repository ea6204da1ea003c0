//! `sekisho log dispose` and `sekisho log hold`: what administrators do about how long the access log is kept.

use prost_types::Timestamp as Instant;

use super::client::{Connection, with_proof};
use super::error::{CliError, Fault};
use super::log::Reading;
use super::moment::{self, Edge};
use super::output::print;
use super::words::{Language, Word};
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::proto::withheld_from_disposal::What;
use crate::proto::{
    DisposeRequest, DisposeResponse, ListLogHoldsRequest, LogHold, PlaceLogHoldRequest,
    ReleaseLogHoldRequest,
};

/// Arguments of `sekisho log dispose`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["before", "approve"])))]
pub(super) struct DisposeArgs {
    /// Dispose of entries before this time whose period is over: a date (2026-01-31, 2026-01-31+09:00), RFC 3339, or how long
    /// ago (1095d)
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Approve the pending request of another administrator
    #[arg(long, value_name = "NUMBER")]
    approve: Option<u64>,
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Holds of the log: while one lasts, nothing of its time is disposed of.
#[derive(Debug, clap::Subcommand)]
pub(super) enum HoldCommand {
    /// Place a hold
    Add(AddArgs),
    /// Release one
    Release(ReleaseArgs),
    /// Those in force
    List(ListArgs),
}

/// Arguments of `sekisho log hold add`.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// From this time on [default: from the beginning]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time; a date includes its day [default: for ever]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho log hold release`.
#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    /// The hold's number
    #[arg(value_name = "HOLD")]
    hold: u64,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Approve the pending release of another administrator
    #[arg(long, value_name = "NUMBER")]
    approve: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho log hold list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Disposes, or tells what would go.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, or an argument can't be read.
pub(super) async fn dispose(args: DisposeArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let before = instant(
        "--before",
        args.before.as_deref(),
        Edge::Beginning,
        language,
    )?;
    let mut reading = Reading::open(&args.connection, language).await?;
    let request = DisposeRequest {
        before,
        dry_run: args.dry_run,
        approve: args.approve.unwrap_or(0),
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(reading.service.dispose(request))
        .await?
        .into_inner();
    print(&told(&answer, args.dry_run, language), language)
}

/// Places, releases or lists holds.
///
/// # Errors
/// As for [`dispose`].
pub(super) async fn hold(command: HoldCommand) -> Result<(), CliError> {
    match command {
        HoldCommand::Add(args) => add(args).await,
        HoldCommand::Release(args) => release(args).await,
        HoldCommand::List(args) => list(args).await,
    }
}

async fn add(args: AddArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let request = PlaceLogHoldRequest {
        from: instant("--from", args.from.as_deref(), Edge::Beginning, language)?,
        until: instant("--until", args.until.as_deref(), Edge::End, language)?,
        reason: args.reason,
    };
    let mut reading = Reading::open(&args.connection, language).await?;
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(reading.service.place_log_hold(request))
        .await?;
    let hold = answer.into_inner().hold.to_string();
    print(&[Word::HoldPlaced.fill(language, &[&hold])], language)
}

async fn release(args: ReleaseArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut reading = Reading::open(&args.connection, language).await?;
    let request = ReleaseLogHoldRequest {
        hold: args.hold,
        reason: args.reason,
        approve: args.approve.unwrap_or(0),
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(reading.service.release_log_hold(request))
        .await?
        .into_inner();
    let hold = args.hold.to_string();
    let line = if answer.pending == 0 {
        Word::HoldReleased.fill(language, &[&hold])
    } else {
        let approve = format!(
            "sekisho log hold release {hold} --approve {} --reason TEXT",
            answer.pending
        );
        let until = time(answer.pending_until.as_ref());
        Word::AnotherApproves.fill(language, &[&until, &approve])
    };
    print(&[line], language)
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut reading = Reading::open(&args.connection, language).await?;
    let request = with_proof(ListLogHoldsRequest {}, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(reading.service.list_log_holds(request))
        .await?;
    let mut lines: Vec<String> = answer
        .into_inner()
        .holds
        .iter()
        .map(|hold| line_of(hold, language))
        .collect();
    if lines.is_empty() {
        lines.push(Word::NoHolds.text(language).to_owned());
    }
    print(&lines, language)
}

fn line_of(hold: &LogHold, language: Language) -> String {
    let edge = |at: &Option<Instant>| match at {
        Some(at) => time(Some(at)),
        None => "...".to_owned(),
    };
    let values = [
        hold.hold.to_string(),
        edge(&hold.from),
        edge(&hold.until),
        hold.placed_by.clone(),
        time(hold.placed_at.as_ref()),
        hold.reason.clone(),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Word::HoldLine.fill(language, &values)
}

/// What went, would go, or waits, a line each.
fn told(answer: &DisposeResponse, dry_run: bool, language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    let counts = [
        answer.segments.len().to_string(),
        answer.entries.to_string(),
        answer.keys.len().to_string(),
    ];
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    let nothing = answer.segments.is_empty() && answer.keys.is_empty();
    let head = match (nothing, dry_run || answer.pending != 0) {
        (true, _) => Word::NothingToDispose,
        (false, true) => Word::WouldGo,
        (false, false) => Word::Gone,
    };
    lines.push(head.fill(language, &counts));
    for segment in &answer.segments {
        lines.push(format!(
            "  {}",
            entries(segment.first, segment.next, language)
        ));
    }
    for key in &answer.keys {
        let values = [&*key.class, &*key.month];
        lines.push(format!("  {}", Word::KeyOf.fill(language, &values)));
    }
    for withheld in &answer.withheld {
        let what = match &withheld.what {
            Some(What::Segment(segment)) => entries(segment.first, segment.next, language),
            Some(What::Key(key)) => Word::KeyOf.fill(language, &[&key.class, &key.month]),
            None => continue,
        };
        let values = [&*what, &*withheld.why];
        lines.push(format!("  {}", Word::Withheld.fill(language, &values)));
    }
    if answer.pending != 0 {
        let approve = format!("sekisho log dispose --approve {}", answer.pending);
        let until = time(answer.pending_until.as_ref());
        lines.push(Word::AnotherApproves.fill(language, &[&until, &approve]));
    }
    if answer.more {
        lines.push(Word::MoreToDispose.text(language).to_owned());
    }
    lines
}

fn entries(first: u64, next: u64, language: Language) -> String {
    let (first, last) = (first.to_string(), next.saturating_sub(1).to_string());
    Word::EntriesFromTo.fill(language, &[&first, &last])
}

fn time(at: Option<&Instant>) -> String {
    let micros = at.map_or(0, |at| {
        at.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(at.nanos / 1_000))
    });
    Timestamp::from_micros(micros).to_string()
}

pub(super) fn instant(
    flag: &str,
    text: Option<&str>,
    edge: Edge,
    language: Language,
) -> Result<Option<Instant>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let at = moment::parse(text, edge, SystemClock.now())
        .ok_or_else(|| CliError::new(Fault::Usage, Word::BadMoment, language, &[flag, text]))?;
    Ok(Some(Instant {
        seconds: at.seconds(),
        nanos: i32::try_from(at.micros().rem_euclid(1_000_000))
            .unwrap_or(0)
            .saturating_mul(1_000),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{DisposedKey, DisposedSegment, WithheldFromDisposal};

    fn answer() -> DisposeResponse {
        DisposeResponse {
            segments: vec![DisposedSegment { first: 0, next: 40 }],
            entries: 40,
            keys: vec![DisposedKey {
                class: "default".to_owned(),
                month: "2026-11".to_owned(),
            }],
            withheld: vec![WithheldFromDisposal {
                what: Some(What::Segment(DisposedSegment {
                    first: 40,
                    next: 50,
                })),
                hold: 7,
                why: "hold 7 of the log".to_owned(),
            }],
            more: true,
            ..DisposeResponse::default()
        }
    }

    #[test]
    fn what_went_what_is_withheld_and_what_is_left_is_told() {
        let english = told(&answer(), false, Language::English);
        assert_eq!(
            english,
            [
                "disposed of: 1 segments with 40 entries, 1 keys",
                "  entries 0 to 39",
                "  key of class default for 2026-11",
                "  kept all the same: entries 40 to 49 (hold 7 of the log)",
                "there is more to dispose of: run this again",
            ]
        );
        assert_eq!(told(&answer(), false, Language::Japanese).len(), 5);
    }

    #[test]
    fn nothing_is_told_as_gone_that_did_not_go() {
        let dry = told(&answer(), true, Language::English);
        assert!(dry[0].starts_with("would be disposed of"), "{dry:?}");
        let pending = DisposeResponse {
            pending: 9,
            ..answer()
        };
        let waits = told(&pending, false, Language::English);
        assert!(waits[0].starts_with("would be disposed of"), "{waits:?}");
        assert!(waits.iter().any(|line| line.contains("--approve 9")));
        let nothing = told(&DisposeResponse::default(), false, Language::English);
        assert_eq!(nothing, ["nothing to dispose of"]);
    }
}

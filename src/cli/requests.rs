//! `sekisho requests`: what waits for a second administrator, of every kind. It is approved by the same command that asked for it,
//! with `--approve`.

use prost_types::Timestamp as Instant;

use super::client::{Connection, with_proof};
use super::error::CliError;
use super::log::Reading;
use super::output::print;
use super::sessions::time;
use super::table::neutralise;
use super::words::{Language, Word};
use crate::proto::request_service_client::RequestServiceClient;
use crate::proto::{
    DeclineRequestRequest, ListRequestsRequest, RequestKind, RequestSeen, ReviewRequestRequest,
};

/// What waits for a second administrator.
#[derive(Debug, clap::Subcommand)]
pub(super) enum RequestsCommand {
    /// What waits, and what one person did alone and nobody reviewed yet
    List(ListArgs),
    /// Take back what was asked for
    Decline(DeclineArgs),
    /// Say that you looked at what one person did alone: for who reviews everything, and not for their own
    Review(ReviewArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
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

/// A request of another administrator for the same.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Approving {
    /// Where it takes two administrators: the number of the other's request for the same
    #[arg(long, value_name = "NUMBER")]
    approve: Option<u64>,
}

impl Approving {
    /// As requests have it.
    pub(super) fn number(self) -> u64 {
        self.approve.unwrap_or(0)
    }
}

/// What an answer says of a call that may take two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) pending: u64,
    pub(super) until: Option<&'a Instant>,
    pub(super) effective: Option<&'a Instant>,
    pub(super) alone: bool,
}

/// Reads the four fields that such an answer has.
macro_rules! told {
    ($answer:expr) => {
        $crate::cli::requests::Told {
            pending: $answer.pending,
            until: $answer.pending_until.as_ref(),
            effective: $answer.effective_at.as_ref(),
            alone: $answer.alone,
        }
    };
}
pub(super) use told;

impl Told<'_> {
    /// That it was only asked for, and how it goes on.
    pub(super) fn awaits(self, language: Language) -> Option<String> {
        if self.pending == 0 {
            return None;
        }
        let number = self.pending.to_string();
        let [until, from] = [self.until, self.effective].map(|at| time(at).unwrap_or_default());
        let word = match self.effective {
            None => Word::SecondApproves,
            Some(_) => Word::AloneLater,
        };
        Some(word.fill(language, &[&number, &until, &from]))
    }

    /// That one did it alone.
    pub(super) fn marked(self, language: Language) -> Option<&'static str> {
        self.alone.then(|| Word::DoneAlone.text(language))
    }

    /// Both as JSON, with the names that grpcurl shows; nothing where one administrator sufficed.
    pub(super) fn json(self, value: &mut serde_json::Value) {
        let Some(fields) = value.as_object_mut() else {
            return;
        };
        if self.pending != 0 {
            fields.insert("pending".to_owned(), self.pending.to_string().into());
            fields.insert("pendingUntil".to_owned(), time(self.until).into());
            if let Some(from) = time(self.effective) {
                fields.insert("effectiveAt".to_owned(), from.into());
            }
        }
        if self.alone {
            fields.insert("alone".to_owned(), true.into());
        }
    }
}

/// Lists, declines or reviews.
///
/// # Errors
/// When nobody is logged in, or the daemon can't be reached or refuses.
pub(super) async fn run(command: RequestsCommand) -> Result<(), CliError> {
    match command {
        RequestsCommand::List(args) => list(args).await,
        RequestsCommand::Decline(args) => decline(args).await,
        RequestsCommand::Review(args) => review(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = RequestServiceClient::new(reading.target.connect().await?);
    let request = with_proof(ListRequestsRequest {}, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.list_requests(request))
        .await?;
    let requests = answer.into_inner().requests;
    let shown = |request| {
        if args.json {
            json(request)
        } else {
            line(request, language)
        }
    };
    let mut lines: Vec<String> = requests.iter().map(shown).collect();
    if lines.is_empty() && !args.json {
        lines.push(Word::NoRequests.text(language).to_owned());
    }
    print(&lines, language)
}

async fn decline(args: DeclineArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = RequestServiceClient::new(reading.target.connect().await?);
    let request = DeclineRequestRequest {
        pending: args.pending,
        reason: args.reason,
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.decline_request(request))
        .await?;
    let values = [args.pending, answer.into_inner().log_index].map(|n| n.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::ResetDeclined.fill(language, &values)], language)
}

async fn review(args: ReviewArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = RequestServiceClient::new(reading.target.connect().await?);
    let request = ReviewRequestRequest {
        pending: args.pending,
        finding: args.finding,
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.review_request(request))
        .await?;
    let values = [args.pending, answer.into_inner().log_index].map(|n| n.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::RequestReviewed.fill(language, &values)], language)
}

fn kind(request: &RequestSeen) -> RequestKind {
    RequestKind::try_from(request.kind).unwrap_or(RequestKind::Unspecified)
}

fn json(request: &RequestSeen) -> String {
    serde_json::json!({
        "pending": request.pending,
        "kind": kind(request).as_str_name(),
        "people": request.people,
        "asked_by": request.asked_by,
        "asked_at": time(request.asked_at.as_ref()),
        "pending_until": time(request.pending_until.as_ref()),
        "effective_at": time(request.effective_at.as_ref()),
        "alone": request.alone,
        "done": request.done,
    })
    .to_string()
}

fn line(request: &RequestSeen, language: Language) -> String {
    let what = match kind(request) {
        RequestKind::Unspecified => Word::AskedOther,
        RequestKind::Dispose => Word::AskedDispose,
        RequestKind::ReleaseLogHold => Word::AskedReleaseLogHold,
        RequestKind::ResetSecondFactor => Word::AskedReset,
        RequestKind::ChangePeople => Word::AskedChangePeople,
        RequestKind::SetPassword => Word::AskedSetPassword,
        RequestKind::IssueEnrollmentCode => Word::AskedEnrollmentCode,
        RequestKind::AssignToken => Word::AskedAssignToken,
        RequestKind::ActivatePolicy => Word::AskedActivatePolicy,
    };
    let mut about = what.text(language).to_owned();
    if !request.people.is_empty() {
        about.push_str(": ");
        about.push_str(&neutralise(&request.people.join(", ")));
    }
    let word = match (request.alone, request.done) {
        (true, true) => Word::ResetSeenAloneDone,
        (true, false) => Word::ResetSeenAlone,
        (false, _) => Word::ResetSeenWaits,
    };
    let at = if request.alone {
        request.effective_at.as_ref()
    } else {
        request.pending_until.as_ref()
    };
    let (index, at) = (request.pending.to_string(), time(at).unwrap_or_default());
    word.fill(
        language,
        &[&index, &about, &neutralise(&request.asked_by), &at],
    )
}

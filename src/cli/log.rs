//! `sekisho log`. `search`, `tail`, `show` and `export` read the access log as anyone reads it who may, which is itself logged.

use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;

use super::client::{Connection, Target, with_proof};
use super::error::{CliError, Fault};
use super::filter::FilterArgs;
use super::log_export::{self, ExportArgs};
use super::log_output::Output;
use super::log_verify::{self, VerifyArgs};
use super::login::say;
use super::proof::{self, CheckpointArgs, ProofArgs};
use super::retention::{self, DisposeArgs, HoldCommand};
use super::ticket_file::{Kept, TicketFile};
use super::words::{Language, Word};
use super::{Failure, reindex};
use crate::domain::time::{Clock, SystemClock};
use crate::proto::access_log_service_client::AccessLogServiceClient;
use crate::proto::get_entry_request::By;
use crate::proto::{GetEntryRequest, SearchRequest, SearchResponse, TailRequest};

/// Entries that are asked for at once, and that a table is laid out by.
const PAGE: u64 = 500;
/// How many entries about a person are shown unless asked otherwise.
const SHOWN: u64 = 100;

/// Reads the access log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LogCommand {
    /// Entries that fit all filters, the newest first
    Search(Box<SearchArgs>),
    /// New entries as they come, until interrupted
    Tail(Box<TailArgs>),
    /// Everything that one entry says, or each that concerns a person
    Show(ShowArgs),
    /// Make the index of the log anew; searches are exact without it, and slow
    Reindex(reindex::ReindexArgs),
    /// The newest checkpoint, and whether the log continues one that you kept
    Checkpoint(CheckpointArgs),
    /// The proof that an entry is in the log
    Proof(ProofArgs),
    /// Whether a log, or an export of one, is whole: every entry, hash and checkpoint
    Verify(VerifyArgs),
    /// Entries for other programs, the oldest first: JSON lines, CSV for spreadsheets, OCSF events; or its tiles for others' verifiers
    Export(Box<ExportArgs>),
    /// Dispose of what was kept long enough (administrators)
    Dispose(DisposeArgs),
    /// Keep a time from being disposed of (administrators)
    #[command(subcommand)]
    Hold(HoldCommand),
}

/// Arguments of `sekisho log search`.
#[derive(Debug, clap::Args)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How many at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho log tail`.
#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho log show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Index in the log, or id of the decision
    #[arg(value_name = "INDEX|DECISION_ID", conflicts_with_all = ["subject", "limit"])]
    entry: Option<String>,
    /// Every entry about this person, the newest first: their company-wide id, which the log keeps only as a pseudonym
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// With --subject: how many at most; 0 for all [default: 100]
    #[arg(long, value_name = "N", requires = "subject")]
    limit: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: Connection,
}

/// How entries are printed.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// One JSON object per entry, a line each; 64-bit numbers are texts, hashes hex
    #[arg(long)]
    json: bool,
}

/// Carries out one of the commands. That whoever reads the output stops reading is no failure.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, an argument can't be read, or output can't be written.
pub(super) async fn log(command: LogCommand) -> Result<(), Failure> {
    let done = match command {
        LogCommand::Search(args) => search(*args).await,
        LogCommand::Tail(args) => tail(*args).await,
        LogCommand::Show(args) => show(args).await,
        LogCommand::Checkpoint(args) => proof::checkpoint(args).await,
        LogCommand::Proof(args) => proof::proof(args).await,
        LogCommand::Verify(args) => log_verify::verify(args).await,
        LogCommand::Export(args) => log_export::export(*args).await,
        LogCommand::Dispose(args) => retention::dispose(args).await,
        LogCommand::Hold(command) => retention::hold(command).await,
        LogCommand::Reindex(args) => return reindex::run(args).await,
    };
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done.map_err(Failure::from),
    }
}

async fn search(args: SearchArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut wanted = args.filter.request(SystemClock.now(), language)?;
    wanted.oldest_first = args.oldest_first;
    let reading = Reading::open(&args.connection, language).await?;
    let output = Output::new(args.output.json, language);
    pages(reading, wanted, args.limit, output, language).await
}

/// Prints what fits, page by page: `limit` at most, 0 for all.
async fn pages(
    mut reading: Reading,
    mut wanted: SearchRequest,
    limit: u64,
    mut output: Output,
    language: Language,
) -> Result<(), CliError> {
    let mut left = if limit == 0 { u64::MAX } else { limit };
    loop {
        let size = left.min(PAGE);
        wanted.page_size = i32::try_from(size).unwrap_or(i32::MAX);
        let request = with_proof(wanted.clone(), &reading.kept, language)?;
        let found = reading
            .target
            .answer(reading.service.search(request))
            .await?;
        let (printed, next) = page(&reading.target, found.into_inner(), &mut output).await?;
        left = left.saturating_sub(printed);
        if next.is_empty() || left == 0 {
            if !output.is_json() {
                let word = match (output.printed, next.is_empty()) {
                    (0, _) => Some(Word::NothingFits),
                    (_, false) => Some(Word::MoreFollow),
                    (_, true) => None,
                };
                if let Some(word) = word {
                    say(word.text(language));
                }
            }
            return Ok(());
        }
        wanted.page_token = next;
    }
}

/// Prints one page; how many there were, and where the next starts.
async fn page(
    target: &Target,
    mut found: Streaming<SearchResponse>,
    output: &mut Output,
) -> Result<(u64, String), CliError> {
    let mut count = 0_u64;
    let mut next = String::new();
    while let Some(message) = target.answer(found.message()).await? {
        if let Some(entry) = message.entry {
            output.take(&entry)?;
            count = count.saturating_add(1);
        }
        next = message.next_page_token;
    }
    output.flush()?;
    Ok((count, next))
}

async fn tail(args: TailArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let wanted = args.filter.request(SystemClock.now(), language)?;
    let mut reading = Reading::open(&args.connection, language).await?;
    let mut output = Output::new(args.output.json, language);
    let filter = Some(wanted);
    let request = with_proof(TailRequest { filter }, &reading.kept, language)?;
    let mut news = reading
        .target
        .answer(reading.service.tail(request))
        .await?
        .into_inner();
    output.begin()?;
    let mut interrupted = std::pin::pin!(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler: the system interrupts the process in its own way, which is as well.
            std::future::pending::<()>().await;
        }
    });
    loop {
        let message = tokio::select! {
            () = &mut interrupted => return Ok(()),
            message = news.message() => message,
        };
        match message.map_err(|status| CliError::of_call(&status, language))? {
            Some(message) => {
                if let Some(entry) = message.entry {
                    output.take(&entry)?;
                    output.flush()?;
                }
            }
            None => {
                return Err(CliError::new(
                    Fault::Unavailable,
                    Word::StreamEnded,
                    language,
                    &[],
                ));
            }
        }
    }
}

async fn show(args: ShowArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let by = match (&args.entry, args.subject) {
        (Some(entry), _) => entry_by(entry, language)?,
        (None, Some(subject)) => {
            let wanted = SearchRequest {
                subject_ref: subject,
                ..SearchRequest::default()
            };
            let reading = Reading::open(&args.connection, language).await?;
            let output = Output::in_full(args.output.json, language);
            let limit = args.limit.unwrap_or(SHOWN);
            return pages(reading, wanted, limit, output, language).await;
        }
        (None, None) => {
            return Err(CliError::new(Fault::Usage, Word::ShowWhich, language, &[]));
        }
    };
    let mut reading = Reading::open(&args.connection, language).await?;
    let wanted = GetEntryRequest {
        by: Some(by),
        log: String::new(),
    };
    let request = with_proof(wanted, &reading.kept, language)?;
    let found = reading
        .target
        .answer(reading.service.get_entry(request))
        .await?;
    let entry = found.into_inner().entry.unwrap_or_default();
    let mut output = Output::in_full(args.output.json, language);
    output.take(&entry)?;
    output.flush()
}

fn entry_by(text: &str, language: Language) -> Result<By, CliError> {
    let text = text.trim();
    if let Ok(index) = text.parse() {
        return Ok(By::LogIndex(index));
    }
    match Uuid::try_parse(text) {
        Ok(id) => Ok(By::DecisionId(id.hyphenated().to_string())),
        Err(_) => Err(CliError::new(
            Fault::Usage,
            Word::BadEntry,
            language,
            &[text],
        )),
    }
}

/// A daemon that is connected, and the login to read its log with.
pub(super) struct Reading {
    pub(super) target: Target,
    pub(super) kept: Kept,
    pub(super) service: AccessLogServiceClient<Channel>,
}

impl Reading {
    pub(super) async fn open(
        connection: &Connection,
        language: Language,
    ) -> Result<Self, CliError> {
        let file = TicketFile::of(|name| std::env::var_os(name), language)?;
        let kept = file.alive(SystemClock.now())?;
        let target = connection.target(Some(&kept.server), language)?;
        kept.only_for(&target.server, language)?;
        let service = AccessLogServiceClient::new(target.connect().await?);
        Ok(Self {
            target,
            kept,
            service,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_named_by_its_index_or_its_decision() {
        let by = |text: &str| entry_by(text, Language::English);
        assert_eq!(by("42").unwrap(), By::LogIndex(42));
        let id = "0197a5b2-7c1e-7cc0-8a5e-3f0f6a0f2b11";
        let expected = By::DecisionId(id.to_owned());
        assert_eq!(by(&id.to_ascii_uppercase()).unwrap(), expected);
        for bad in ["", "-1", "x", "0197a5b2"] {
            assert_eq!(by(bad).unwrap_err().exit_code(), 64, "{bad}");
        }
    }
}

//! `sekisho log search`, `tail` and `show`: reading the access log as anyone reads it who may, which is itself logged.

use std::io::{BufWriter, Stdout, Write};

use serde_json::Value;
use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;

use super::client::{Connection, Target, with_proof};
use super::entry_fields::EntryFields;
use super::error::{CliError, Fault};
use super::filter::FilterArgs;
use super::login::say;
use super::table::{Cell, Column, Screen, Table, Tone, neutralise, width};
use super::ticket_file::{Kept, TicketFile, to_the_second};
use super::words::{self, Language, Word};
use crate::domain::reason::ReasonCode;
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::proto::access_log_service_client::AccessLogServiceClient;
use crate::proto::get_entry_request::By;
use crate::proto::{
    Action, Decision, Entry, EntryKind, GetEntryRequest, SearchResponse, TailRequest,
};

/// Entries that are asked for at once, and that a table is laid out by.
const PAGE: u64 = 500;

/// Reads the access log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LogCommand {
    /// Entries that fit all filters, the newest first
    Search(Box<SearchArgs>),
    /// New entries as they come, until interrupted
    Tail(Box<TailArgs>),
    /// Everything that one entry says
    Show(ShowArgs),
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
    #[arg(value_name = "INDEX|DECISION_ID")]
    entry: String,
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
pub(super) async fn log(command: LogCommand) -> Result<(), CliError> {
    let done = match command {
        LogCommand::Search(args) => search(*args).await,
        LogCommand::Tail(args) => tail(*args).await,
        LogCommand::Show(args) => show(args).await,
    };
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done,
    }
}

async fn search(args: SearchArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut wanted = args.filter.request(SystemClock.now(), language)?;
    wanted.oldest_first = args.oldest_first;
    let mut reading = Reading::open(&args.connection, language).await?;
    let mut output = Output::new(args.output.json, language);
    let mut left = if args.limit == 0 {
        u64::MAX
    } else {
        args.limit
    };
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
            output.end()?;
            if !args.output.json {
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
    let by = entry_by(&args.entry, language)?;
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
    let mut output = Output::new(args.output.json, language);
    if args.output.json {
        output.take(&entry)?;
    } else {
        for line in shown(&entry, language) {
            output.print(&line)?;
        }
    }
    output.end()
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
struct Reading {
    target: Target,
    kept: Kept,
    service: AccessLogServiceClient<Channel>,
}

impl Reading {
    async fn open(connection: &Connection, language: Language) -> Result<Self, CliError> {
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

/// Standard output: JSON lines as they come, or a table that its first page lays out.
struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    language: Language,
    screen: Screen,
    table: Option<Table>,
    /// Of the page that lays the table out; never more than a page.
    waiting: Vec<Vec<Cell>>,
    printed: u64,
}

impl Output {
    fn new(json: bool, language: Language) -> Self {
        Self {
            out: BufWriter::new(std::io::stdout()),
            json,
            language,
            screen: Screen::of_output(|name| std::env::var_os(name)),
            table: None,
            waiting: Vec::new(),
            printed: 0,
        }
    }

    fn print(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.out, "{line}").map_err(|error| CliError::of_output(&error, self.language))
    }

    /// Takes one entry; in a table it may wait for its page.
    fn take(&mut self, entry: &Entry) -> Result<(), CliError> {
        self.printed = self.printed.saturating_add(1);
        if self.json {
            let line = EntryFields::of(entry)
                .json_line()
                .map_err(|error| CliError::of_output(&error.into(), self.language))?;
            return self.print(&line);
        }
        let row = row(entry);
        match &self.table {
            Some(table) => {
                let line = table.line(&row);
                self.print(&line)
            }
            None => {
                self.waiting.push(row);
                Ok(())
            }
        }
    }

    /// Lays the table out by what is there, and prints its heads.
    fn begin(&mut self) -> Result<(), CliError> {
        if !self.json && self.table.is_none() {
            let rows = std::mem::take(&mut self.waiting);
            let table = Table::new(&columns(self.language), &rows, self.screen);
            self.print(&table.heads())?;
            for row in &rows {
                self.print(&table.line(row))?;
            }
            self.table = Some(table);
        }
        self.send()
    }

    /// The end of a page.
    fn flush(&mut self) -> Result<(), CliError> {
        if self.waiting.is_empty() {
            return self.send();
        }
        self.begin()
    }

    fn send(&mut self) -> Result<(), CliError> {
        let sent = self.out.flush();
        sent.map_err(|error| CliError::of_output(&error, self.language))
    }

    fn end(&mut self) -> Result<(), CliError> {
        self.flush()
    }
}

fn columns(language: Language) -> [Column; 10] {
    [
        (Word::HeadIndex, 3, 8, true),
        // Never cut: half a time is another time.
        (Word::HeadTime, 20, 20, false),
        (Word::HeadKind, 4, 14, false),
        (Word::HeadWho, 4, 16, false),
        (Word::HeadAction, 4, 7, false),
        (Word::HeadSubjectKind, 4, 14, false),
        (Word::HeadCategories, 4, 24, false),
        (Word::HeadPurpose, 4, 16, false),
        (Word::HeadDecision, 4, 8, false),
        (Word::HeadReason, 6, 28, false),
    ]
    .map(|(head, least, usual, right)| Column {
        head: head.text(language),
        least,
        usual,
        right,
    })
}

fn row(entry: &Entry) -> Vec<Cell> {
    let plain = |text: &str| Cell::new(text, Tone::Plain);
    let time = entry.time.as_ref().map_or_else(String::new, |at| {
        to_the_second(Timestamp::from_seconds(at.seconds))
    });
    let who = if entry.person.is_empty() {
        &entry.caller
    } else {
        &entry.person
    };
    let decision_tone = match Decision::try_from(entry.decision) {
        _ if entry.break_glass => Tone::Warning,
        Ok(Decision::Allow) => Tone::Good,
        Ok(Decision::Deny) => Tone::Bad,
        _ => Tone::Plain,
    };
    let kind = EntryKind::try_from(entry.kind).map(|kind| kind.as_str_name());
    let action = Action::try_from(entry.action).map(|action| action.as_str_name());
    let decision = Decision::try_from(entry.decision).map(|decision| decision.as_str_name());
    vec![
        plain(&entry.log_index.to_string()),
        plain(&time),
        plain(&short(entry.kind, kind.ok(), "ENTRY_KIND_")),
        plain(who),
        plain(&short(entry.action, action.ok(), "ACTION_")),
        plain(&entry.subject_kind),
        plain(&entry.categories.join(",")),
        plain(&entry.purpose),
        Cell::new(
            &short(entry.decision, decision.ok(), "DECISION_"),
            decision_tone,
        ),
        plain(&first_reason(&entry.reasons)),
    ]
}

/// A value's name without what all its kin begin with; nothing for 0; its number where the daemon is newer than this client.
fn short(number: i32, name: Option<&str>, prefix: &str) -> String {
    match (number, name) {
        (0, _) => String::new(),
        (_, Some(name)) => name.strip_prefix(prefix).unwrap_or(name).to_owned(),
        (number, None) => number.to_string(),
    }
}

/// The reason to act on, and how many more there are.
fn first_reason(reasons: &[i32]) -> String {
    let Some((first, more)) = reasons.split_first() else {
        return String::new();
    };
    let first = reason_name(*first);
    match more.len() {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

fn reason_name(number: i32) -> String {
    ReasonCode::from_number(number)
        .map_or_else(|| number.to_string(), |code| code.name().to_owned())
}

/// Every field that is set, one per line.
fn shown(entry: &Entry, language: Language) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let EntryFields(fields) = EntryFields::of(entry);
    for (name, value) in fields {
        match (name, value) {
            ("reasons", _) => {
                let label = words::label(name, language);
                for number in &entry.reasons {
                    let message =
                        ReasonCode::from_number(*number).map_or("", |code| match language {
                            Language::English => code.message(),
                            Language::Japanese => code.message_ja(),
                        });
                    let code = reason_name(*number);
                    lines.push((
                        label.to_owned(),
                        format!("{code} {message}").trim_end().to_owned(),
                    ));
                }
            }
            (_, Value::Object(details)) => {
                for (key, value) in details {
                    let key = format!("details.{key}");
                    lines.push((words::label(&key, language).to_owned(), flat(&value)));
                }
            }
            (_, value) => lines.push((words::label(name, language).to_owned(), flat(&value))),
        }
    }
    let lines: Vec<(String, String)> = lines
        .into_iter()
        .map(|(label, value)| (neutralise(&label), neutralise(&value)))
        .collect();
    let widest = lines
        .iter()
        .map(|(label, _)| width(label))
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(label, value)| {
            let space = " ".repeat(widest.saturating_sub(width(&label)).saturating_add(2));
            format!("{label}{space}{value}")
        })
        .collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(flat).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::entry_fields::tests::full;
    use crate::cli::table::is_unsafe;

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

    #[test]
    fn a_row_tells_who_did_what_and_why_it_was_decided_so() {
        let table = Table::new(
            &columns(Language::English),
            &[],
            Screen {
                width: None,
                colours: false,
            },
        );
        let line = table.line(&row(&full()));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "7",
                "2026-05-28T20:26:40Z",
                "DECISION",
                "高橋",
                "PROVIDE",
                "job-seeker",
                "contact.email,contact.email-2",
                "placement",
                "DENY",
                "IP_NOT_ALLOWED",
                "+1"
            ]
        );
    }

    #[test]
    fn where_no_person_acted_the_service_is_named() {
        let entry = Entry {
            person: String::new(),
            caller: "batch".to_owned(),
            ..Entry::default()
        };
        assert_eq!(row(&entry)[3], Cell::new("batch", Tone::Plain));
    }

    #[test]
    fn everything_shown_is_labelled_in_the_persons_language_and_harmless() {
        let lines = shown(&full(), Language::Japanese);
        assert!(!lines.iter().any(|line| line.chars().any(is_unsafe)));
        let reason = lines
            .iter()
            .find(|line| line.contains("IP_NOT_ALLOWED"))
            .unwrap();
        assert!(reason.starts_with("理由 "), "{reason}");
        assert!(
            reason.ends_with(ReasonCode::IpNotAllowed.message_ja()),
            "{reason}"
        );
        // As many fields as JSON has; of two details and two reasons each has a line.
        assert_eq!(lines.len(), EntryFields::of(&full()).0.len() + 2);
        assert!(lines.iter().any(|line| line.starts_with("details.a ")));
        assert!(lines.iter().any(|line| line.starts_with("まとめた件数 ")));
    }

    #[test]
    fn a_line_of_the_table_fits_a_common_terminal() {
        for screen_width in [80, 100, 132, 200] {
            let screen = Screen {
                width: Some(screen_width),
                colours: false,
            };
            let rows = vec![row(&full())];
            for language in [Language::English, Language::Japanese] {
                let table = Table::new(&columns(language), &rows, screen);
                assert!(width(&table.line(&rows[0])) <= screen_width);
                assert!(width(&table.heads()) <= screen_width);
            }
        }
    }
}

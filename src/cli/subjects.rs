//! `sekisho subjects`: what is registered of the people whose data are guarded, at a terminal, for administrators. Whose data is
//! said by the company's own id; the daemon keeps pseudonyms only.

use std::path::PathBuf;

use serde_json::{Value, json};
use tonic::transport::Channel;

use super::Failure;
use super::client::{self, Connection};
use super::error::{CliError, Fault};
use super::moment::{self, Edge};
use super::output::print;
use super::subjects_files as files;
use super::table::{Cell, Column, Screen, Table, Tone, drawn};
use super::words::{Language, Word};
use crate::domain::reference::ReferenceKind;
use crate::domain::time::{Clock as _, SystemClock, Timestamp};
use crate::proto::subject_service_client::SubjectServiceClient;
use crate::proto::{
    FilterSubjectsRequest, ListOverdueRequest, ListReferencesRequest, OverdueSubject, Reference,
    RegisterHoldRequest, RegisterReferenceRequest, ReleaseHoldRequest, SetDateRequest,
    WithdrawReferenceRequest,
};

/// What is asked for at once.
const PAGE: i32 = 1_000;

/// The people whose data are guarded.
#[derive(Debug, clap::Subcommand)]
pub(super) enum SubjectsCommand {
    /// Holds of one subject
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Dates of one subject
    #[command(subcommand)]
    Date(DateCommand),
    /// Documents that callers refer to: notices, engagements, consents, requests, orders
    #[command(subcommand)]
    Reference(ReferenceCommand),
    /// Which of these subjects are under one of these holds
    Filter(FilterArgs),
    /// Which of the company's ids are behind pseudonyms of the log (also for who reviews everything)
    Match(MatchArgs),
    /// Whose retention is over, as pseudonyms (also for who reviews everything)
    Overdue(OverdueArgs),
    /// Register up to a million holds, dates and references from CSV: all of them, or none
    Import(ImportArgs),
}

/// Holds of one subject.
#[derive(Debug, clap::Subcommand)]
pub(super) enum HoldCommand {
    /// Register a hold
    Add(HoldArgs),
    /// Release a hold
    Release(HoldArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct HoldArgs {
    /// The subject's id in the company
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// A hold of the pack, e.g. use-suspended
    #[arg(value_name = "HOLD")]
    hold: String,
    /// The request or order behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    connection: Connection,
}

/// Dates of one subject.
#[derive(Debug, clap::Subcommand)]
pub(super) enum DateCommand {
    /// Set a date, in place of an earlier one
    Set(DateArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct DateArgs {
    /// The subject's id in the company
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// A date of the pack, e.g. retention-end
    #[arg(value_name = "DATE")]
    date: String,
    /// RFC 3339, or a day (2026-01-31, 2026-01-31+09:00), whose last instant it is
    #[arg(value_name = "TIME")]
    value: String,
    /// The request or order behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    connection: Connection,
}

/// Documents that callers refer to.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ReferenceCommand {
    /// Register one; the same one again replaces purposes and end
    Register(RegisterArgs),
    /// Withdraw one; it stays withdrawn
    Withdraw(WithdrawArgs),
    /// Those of one subject, or for nobody in particular
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RegisterArgs {
    /// notice, engagement, consent, request or order
    #[arg(value_name = "KIND")]
    kind: String,
    /// As callers will say it (basis.reference, case_ref)
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// For whom: the subject's id in the company [default: nobody in particular; a notice or an engagement only]
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    subject: String,
    /// A purpose of the pack that it covers; may be repeated
    #[arg(long = "purpose", value_name = "PURPOSE", required = true)]
    purposes: Vec<String>,
    /// Until when it counts: RFC 3339, or a day, whose last instant it is [default: without end]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// When a consent was given: RFC 3339, or a day, whose first instant it is [default: now, or as it is registered]
    #[arg(long, value_name = "TIME")]
    given: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    /// notice, engagement, consent, request or order
    #[arg(value_name = "KIND")]
    kind: String,
    /// As it was registered
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// For whom it was registered [default: nobody in particular]
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    subject: String,
    /// Of a consent that was never registered: what it was for; may be repeated
    #[arg(long = "purpose", value_name = "PURPOSE")]
    purposes: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Whose [default: those for nobody in particular]
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    subject: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Ids in the company
    #[arg(value_name = "SUBJECT", required = true)]
    subjects: Vec<String>,
    /// A hold, or a rule of retention, of the pack, or `withdrawn:` with a purpose, for who withdrew consent; may be repeated
    #[arg(long = "hold", value_name = "HOLD", required = true)]
    holds: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct MatchArgs {
    /// The company's ids, a line each, at most a million; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// A pseudonym as the log shows it; may be repeated
    #[arg(long = "pseudonym", value_name = "PSEUDONYM")]
    pub(super) pseudonyms: Vec<String>,
    /// Pseudonyms, a line each
    #[arg(long = "pseudonyms", value_name = "FILE")]
    pub(super) pseudonyms_file: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct OverdueArgs {
    /// A rule of retention of the pack [default: all]
    #[arg(long, value_name = "RULE", default_value = "")]
    retention: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// CSV in UTF-8 with a header; `-` is standard input. Columns: subject, what (hold, date, notice, engagement, consent,
    /// request, order), id, and any of value (RFC 3339 or a day), reference, purposes (between semicolons), given (of a consent)
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Only tell what is wrong
    #[arg(long)]
    pub(super) dry_run: bool,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reference: String,
    /// JSON, a line for each thing
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

pub(super) type Asking = client::Asking<SubjectServiceClient<Channel>>;

/// Carries out one of the commands. That whoever reads the output stops reading is no failure.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, an argument can't be read, or output can't be written.
pub(super) async fn subjects(command: SubjectsCommand) -> Result<(), Failure> {
    let done = match command {
        SubjectsCommand::Hold(HoldCommand::Add(args)) => add(args).await,
        SubjectsCommand::Hold(HoldCommand::Release(args)) => release(args).await,
        SubjectsCommand::Date(DateCommand::Set(args)) => set(args).await,
        SubjectsCommand::Reference(ReferenceCommand::Register(args)) => register(args).await,
        SubjectsCommand::Reference(ReferenceCommand::Withdraw(args)) => withdraw(args).await,
        SubjectsCommand::Reference(ReferenceCommand::List(args)) => list(args).await,
        SubjectsCommand::Filter(args) => filter(args).await,
        SubjectsCommand::Match(args) => files::matching(args).await,
        SubjectsCommand::Overdue(args) => overdue(args).await,
        SubjectsCommand::Import(args) => files::import(args).await,
    };
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done.map_err(Failure::from),
    }
}

async fn add(args: HoldArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(RegisterHoldRequest {
        subject_ref: args.subject,
        hold: args.hold.clone(),
        reference: args.reference,
    })?;
    let answer = asking.service.register_hold(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let values = [&*args.hold, &*index.to_string()];
    print(
        &[Word::SubjectHoldAdded.fill(asking.language, &values)],
        asking.language,
    )
}

async fn release(args: HoldArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(ReleaseHoldRequest {
        subject_ref: args.subject,
        hold: args.hold.clone(),
        reference: args.reference,
    })?;
    let answer = asking.service.release_hold(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let values = [&*args.hold, &*index.to_string()];
    print(
        &[Word::SubjectHoldReleased.fill(asking.language, &values)],
        asking.language,
    )
}

async fn set(args: DateArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let value = last_instant("TIME", &args.value, language)?;
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(SetDateRequest {
        subject_ref: args.subject,
        date: args.date.clone(),
        value: Some(wire(value)),
        reference: args.reference,
    })?;
    let answer = asking.service.set_date(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let values = [&*args.date, &*value.to_string(), &*index.to_string()];
    print(&[Word::SubjectDateSet.fill(language, &values)], language)
}

async fn register(args: RegisterArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let kind = kind(&args.kind, language)?;
    let until = args.until.as_deref();
    let until = until.map(|text| last_instant("--until", text, language));
    let until = until.transpose()?.map(wire);
    let given = args.given.as_deref();
    let given = given.map(|text| first_instant("--given", text, language));
    let given = given.transpose()?.map(wire);
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(RegisterReferenceRequest {
        subject_ref: args.subject,
        kind,
        reference: args.reference.clone(),
        purposes: args.purposes,
        until,
        given,
    })?;
    let answer = asking.service.register_reference(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let values = [&*args.reference, &*index.to_string()];
    print(
        &[Word::ReferenceRegistered.fill(language, &values)],
        language,
    )
}

async fn withdraw(args: WithdrawArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let kind = kind(&args.kind, language)?;
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(WithdrawReferenceRequest {
        subject_ref: args.subject,
        kind,
        reference: args.reference.clone(),
        purposes: args.purposes,
    })?;
    let answer = asking.service.withdraw_reference(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let values = [&*args.reference, &*index.to_string()];
    print(
        &[Word::ReferenceWithdrawn.fill(language, &values)],
        language,
    )
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let language = asking.language;
    let mut wanted = ListReferencesRequest {
        subject_ref: args.subject,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut references = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_references(request);
        let answer = asking.target.answer(answer).await?.into_inner();
        references.extend(answer.references);
        if answer.next_page_token.is_empty() {
            break;
        }
        wanted.page_token = answer.next_page_token;
    }
    let lines = if args.json {
        references
            .iter()
            .map(|one| as_json(one).to_string())
            .collect()
    } else if references.is_empty() {
        vec![Word::NothingRegistered.text(language).to_owned()]
    } else {
        reference_table(&references, SystemClock.now(), language)
    };
    print(&lines, language)
}

async fn filter(args: FilterArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let request = asking.request(FilterSubjectsRequest {
        subject_refs: args.subjects.clone(),
        holds: args.holds,
    })?;
    let answer = asking.service.filter_subjects(request);
    let held = asking.target.answer(answer).await?.into_inner().held;
    let mut lines: Vec<String> = held
        .into_iter()
        .filter_map(|position| args.subjects.get(usize::try_from(position).ok()?).cloned())
        .collect();
    if lines.is_empty() {
        lines.push(Word::NobodyHeld.text(asking.language).to_owned());
    }
    print(&lines, asking.language)
}

async fn overdue(args: OverdueArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let language = asking.language;
    let mut wanted = ListOverdueRequest {
        retention: args.retention,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut table: Option<Table> = None;
    let mut any = false;
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_overdue(request);
        let answer = asking.target.answer(answer).await?.into_inner();
        any |= !answer.subjects.is_empty();
        // Page by page: there may be as many as there are subjects.
        let lines = if args.json {
            let subjects = answer.subjects.iter();
            subjects.map(|one| overdue_json(one).to_string()).collect()
        } else {
            overdue_lines(&answer.subjects, &mut table, language)
        };
        print(&lines, language)?;
        if answer.next_page_token.is_empty() {
            break;
        }
        wanted.page_token = answer.next_page_token;
    }
    if any || args.json {
        return Ok(());
    }
    print(&[Word::NothingOverdue.text(language)], language)
}

fn kind(text: &str, language: Language) -> Result<i32, CliError> {
    let mut all = ReferenceKind::ALL.iter();
    let found = all.find(|kind| kind.name().eq_ignore_ascii_case(text));
    found.map(|kind| kind.number()).ok_or_else(|| {
        let known: Vec<String> = ReferenceKind::ALL.iter().map(|kind| kind.word()).collect();
        let values = [text, &known.join(", ")];
        CliError::new(Fault::Usage, Word::BadKindOfReference, language, &values)
    })
}

/// An instant as it is typed; of a day its last one.
fn last_instant(flag: &str, text: &str, language: Language) -> Result<Timestamp, CliError> {
    let now = SystemClock.now();
    let at = |edge| moment::parse(text, edge, now);
    match (at(Edge::Beginning), at(Edge::End)) {
        (Some(beginning), Some(end)) if beginning == end => Ok(end),
        (Some(_), Some(end)) => Ok(Timestamp::from_micros(end.micros().saturating_sub(1))),
        _ => Err(bad_moment(flag, text, language)),
    }
}

/// An instant as it is typed; of a day its first one.
fn first_instant(flag: &str, text: &str, language: Language) -> Result<Timestamp, CliError> {
    moment::parse(text, Edge::Beginning, SystemClock.now())
        .ok_or_else(|| bad_moment(flag, text, language))
}

fn bad_moment(flag: &str, text: &str, language: Language) -> CliError {
    CliError::new(Fault::Usage, Word::BadMoment, language, &[flag, text])
}

fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.seconds(),
        nanos: i32::try_from(at.micros().rem_euclid(1_000_000))
            .unwrap_or(0)
            .saturating_mul(1_000),
    }
}

fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let at = at?;
    let micros = at.seconds.saturating_mul(1_000_000);
    Some(Timestamp::from_micros(
        micros.saturating_add(i64::from(at.nanos / 1_000)),
    ))
}

fn kind_word(number: i32) -> String {
    ReferenceKind::from_number(number).map_or_else(|| number.to_string(), ReferenceKind::word)
}

fn text_of(at: Option<&prost_types::Timestamp>) -> String {
    instant(at).map_or_else(String::new, |at| at.to_string())
}

fn as_json(reference: &Reference) -> Value {
    json!({
        "kind": kind_word(reference.kind),
        "reference": reference.reference,
        "purposes": reference.purposes,
        "until": instant(reference.until.as_ref()).map(|at| at.to_string()),
        "withdrawn": reference.withdrawn,
        "since": text_of(reference.since.as_ref()),
        "given": instant(reference.given.as_ref()).map(|at| at.to_string()),
    })
}

fn overdue_json(one: &OverdueSubject) -> Value {
    json!({
        "pseudonym": one.pseudonym,
        "retention": one.retention,
        "date": text_of(one.date.as_ref()),
        "over": text_of(one.over.as_ref()),
    })
}

fn reference_table(references: &[Reference], now: Timestamp, language: Language) -> Vec<String> {
    let head = |word, least| Column::of(word, least, language);
    let columns = [
        head(Word::HeadKind, 8),
        head(Word::HeadReference, 9),
        head(Word::HeadPurposes, 8),
        head(Word::HeadUntil, 10),
        head(Word::HeadStateOfReference, 8),
    ];
    let row = |one: &Reference| {
        let ended = instant(one.until.as_ref()).is_some_and(|until| now > until);
        let (state, tone) = match (one.withdrawn, ended) {
            (true, _) => (Word::StateWithdrawn, Tone::Bad),
            (false, true) => (Word::StateEnded, Tone::Warning),
            (false, false) => (Word::StateInForce, Tone::Good),
        };
        let plain = |text: &str| Cell::new(text, Tone::Plain);
        vec![
            plain(&kind_word(one.kind)),
            plain(&one.reference),
            plain(&one.purposes.join(",")),
            plain(&text_of(one.until.as_ref())),
            Cell::new(state.text(language), tone),
        ]
    };
    let rows: Vec<Vec<Cell>> = references.iter().map(row).collect();
    drawn(&columns, &rows)
}

fn overdue_lines(
    subjects: &[OverdueSubject],
    table: &mut Option<Table>,
    language: Language,
) -> Vec<String> {
    if subjects.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<Cell>> = subjects
        .iter()
        .map(|one| {
            let plain = |text: &str| Cell::new(text, Tone::Plain);
            vec![
                plain(&one.pseudonym),
                plain(&one.retention),
                plain(&text_of(one.over.as_ref())),
            ]
        })
        .collect();
    let mut lines = Vec::new();
    let table = table.get_or_insert_with(|| {
        let head = |word, least| Column::of(word, least, language);
        // A pseudonym that is cut is none.
        let columns = [
            head(Word::HeadPseudonym, 64),
            head(Word::HeadRetention, 8),
            head(Word::HeadOver, 10),
        ];
        let screen = Screen::of_output(|name| std::env::var_os(name));
        let table = Table::new(&columns, &rows, screen);
        lines.push(table.heads());
        table
    });
    lines.extend(rows.iter().map(|row| table.line(row)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANGUAGE: Language = Language::English;

    #[test]
    fn a_day_is_its_last_instant_and_an_instant_itself() {
        let at = |text| last_instant("TIME", text, LANGUAGE).unwrap().to_string();
        assert_eq!(at("2026-01-31"), "2026-01-31T23:59:59.999999Z");
        assert_eq!(at("2026-01-31+09:00"), "2026-01-31T14:59:59.999999Z");
        assert_eq!(at("1901-01-31T00:00:00Z"), "1901-01-31T00:00:00Z");
        assert!(last_instant("TIME", "soon", LANGUAGE).is_err());
    }

    #[test]
    fn a_kind_is_typed_in_small_letters_or_large_ones() {
        assert_eq!(kind("consent", LANGUAGE).unwrap(), 3);
        assert_eq!(kind("ORDER", LANGUAGE).unwrap(), 5);
        let words = kind("konsent", LANGUAGE).unwrap_err().to_string();
        assert!(words.contains("notice, engagement, consent"), "{words}");
    }

    #[test]
    fn a_table_tells_what_counts() {
        let reference = |withdrawn, until| Reference {
            kind: 3,
            reference: "C-1".to_owned(),
            purposes: vec!["news".to_owned(), "sale".to_owned()],
            until: Some(wire(Timestamp::from_seconds(until))),
            withdrawn,
            since: Some(wire(Timestamp::from_seconds(1))),
            given: None,
        };
        let all = [
            reference(false, 50),
            reference(false, 5),
            reference(true, 50),
        ];
        let lines = reference_table(&all, Timestamp::from_seconds(10), LANGUAGE);
        for (line, state) in lines.iter().skip(1).zip(["in force", "ended", "withdrawn"]) {
            assert!(
                line.contains("consent") && line.contains("news,sale") && line.contains(state),
                "{line}"
            );
        }
        assert_eq!(
            reference_table(&all, Timestamp::default(), Language::Japanese).len(),
            4
        );
    }
}

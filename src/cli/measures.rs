//! `sekisho measures`: the register of safety-management measures (安全管理措置), and what people attest.

use std::path::PathBuf;

use super::client::{Asking, Connection};
use super::error::CliError;
use super::moment::Edge;
use super::output::{Destination, print};
use super::retention::instant;
use super::sessions::time;
use super::table::{Cell, Column, Tone, drawn};
use super::words::{Language, Word};
use crate::proto::measure_service_client::MeasureServiceClient;
use crate::proto::{AttestRequest, GetMeasuresRequest, Measure};
use crate::report::measures::{csv, evidence, html, json, label};

/// Safety-management measures (安全管理措置).
#[derive(Debug, clap::Subcommand)]
pub(super) enum MeasuresCommand {
    /// Every promise with its owner, what shows it now, and when it is due next
    Show(ShowArgs),
    /// Attest that a measure was taken: training, cards, shredding, encryption
    Attest(AttestArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormArg {
    /// A table
    Table,
    /// A page that prints, in --lang; the systems and how far each is covered come first
    Html,
    /// RFC 4180 in UTF-8 with a byte order mark, in --lang
    Csv,
    /// One JSON object, in both languages
    Json,
}

/// Arguments of `sekisho measures show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// What it is written as
    #[arg(long, value_enum, default_value_t = FormArg::Table)]
    format: FormArg,
    /// As one JSON object: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The file to make, mode 0600 [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho measures attest`.
#[derive(Debug, clap::Args)]
pub(super) struct AttestArgs {
    /// The measure's id
    #[arg(value_name = "MEASURE")]
    measure: String,
    /// When it was done: RFC 3339, a date, or how long ago (2h)
    #[arg(long, value_name = "TIME")]
    on: String,
    /// The document behind it
    #[arg(long)]
    reference: String,
    /// What was done; sealed in the log
    #[arg(long, value_name = "TEXT")]
    note: String,
    #[command(flatten)]
    connection: Connection,
}

/// Shows or attests.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, or output can't be written.
pub(super) async fn run(command: MeasuresCommand) -> Result<(), CliError> {
    match command {
        MeasuresCommand::Show(args) => show(args).await,
        MeasuresCommand::Attest(args) => attest(args).await,
    }
}

async fn show(args: ShowArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, MeasureServiceClient::new).await?;
    let language = asking.language;
    let request = asking.request(GetMeasuresRequest {})?;
    let answer = asking.service.get_measures(request);
    let answer = asking.target.answer(answer).await?;
    let register = answer.into_inner();
    let form = if args.json {
        FormArg::Json
    } else {
        args.format
    };
    let text = match form {
        FormArg::Table if register.measures.is_empty() => {
            format!("{}\n", Word::NoMeasures.text(language))
        }
        FormArg::Table => format!("{}\n", table(&register.measures, language).join("\n")),
        FormArg::Html => html(&register, language.of_reports()),
        FormArg::Csv => csv(&register, language.of_reports()),
        FormArg::Json => format!("{:#}\n", json(&register)),
    };
    let mut out = Destination::open(args.output.as_deref())?;
    out.write(&text, language)?;
    out.finish(language)
}

fn table(measures: &[Measure], language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::MeasureId, 8, language),
        Column::of(Word::MeasureKind, 8, language),
        Column::of(Word::MeasureOwner, 8, language),
        Column::of(Word::MeasureNext, 10, language),
        Column::of(Word::MeasurePromise, 12, language),
        Column::of(Word::MeasureEvidence, 12, language),
    ];
    let plain = |text: &str| Cell::new(text, Tone::Plain);
    let rows: Vec<Vec<Cell>> = measures
        .iter()
        .map(|measure| {
            let next = time(measure.next.as_ref()).unwrap_or_default();
            let next = next.get(..10).unwrap_or_default();
            let next = match (measure.overdue, next) {
                (true, "") => Cell::new(Word::MeasureNever.text(language), Tone::Bad),
                (true, next) => Cell::new(next, Tone::Bad),
                (false, next) => plain(next),
            };
            let promise = match language {
                Language::English => &measure.promise,
                Language::Japanese => &measure.promise_ja,
            };
            vec![
                plain(&measure.id),
                plain(label(&measure.kind, language.of_reports())),
                plain(&measure.owner),
                next,
                plain(promise),
                plain(&evidence(measure, language.of_reports()).join(" ")),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

async fn attest(args: AttestArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, MeasureServiceClient::new).await?;
    let language = asking.language;
    let request = asking.request(AttestRequest {
        measure: args.measure.clone(),
        done_at: instant("--on", Some(&args.on), Edge::Beginning, language)?,
        reference: args.reference,
        note: args.note,
    })?;
    let answer = asking.service.attest(request);
    let answer = asking.target.answer(answer).await?;
    let answer = answer.into_inner();
    let next = time(answer.next.as_ref()).unwrap_or_default();
    let values = [&*args.measure, &*answer.log_index.to_string(), &*next];
    print(&[Word::MeasureAttested.fill(language, &values)], language)
}

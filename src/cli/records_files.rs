//! `sekisho records export` and `disclose`: records as files. What ends without its end is no file.

use std::path::PathBuf;

use super::client::{Connection, with_proof};
use super::error::{CliError, Fault};
use super::log::Reading;
use super::login::say;
use super::moment::Edge;
use super::output::Destination;
use super::records::FilterArgs;
use super::retention::instant;
use super::words::{Language, Word};
use crate::export::records as text;
use crate::proto::disclosure_report_response::Part;
use crate::proto::export_records_response::Part as ExportPart;
use crate::proto::provision_record_service_client::ProvisionRecordServiceClient;
use crate::proto::{
    DisclosureEnd, DisclosureReportRequest, DisclosureScope, ExportRecordsRequest, Record,
    RecordsEnd, RecordsHead,
};
use crate::report;
use crate::report::disclosure::{Form, Report};
use crate::report::records::RecordsPage;

/// Arguments of `sekisho records export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// What records are written as
    #[arg(long, value_enum)]
    format: ExportFormat,
    #[command(flatten)]
    filter: FilterArgs,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    /// JSON lines
    Jsonl,
    /// RFC 4180 in UTF-8 with a byte order mark, harmless in a spreadsheet
    Csv,
    /// A page that prints, in --lang; the systems and how far each is covered come first
    Html,
}

/// Arguments of `sekisho records disclose`.
#[derive(Debug, clap::Args)]
pub(super) struct DiscloseArgs {
    /// The person: their company-wide id
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// What is told: the records of provision and of receipt, for the person; or each access too, for the company's own use
    #[arg(long, value_enum, default_value_t = ScopeArg::Provision)]
    scope: ScopeArg,
    /// What it is written as
    #[arg(long, value_enum, default_value_t = FormArg::Html)]
    format: FormArg,
    /// Not before: a date, RFC 3339, or how long ago (1095d)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before; a date includes its day
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ScopeArg {
    /// Records of provision and of receipt
    Provision,
    /// And each access
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormArg {
    /// One JSON object
    Json,
    /// A page that prints
    Html,
}

/// Writes records with the people they name.
///
/// # Errors
/// When they don't come whole; then no file is made.
pub(super) async fn export(args: ExportArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let filter = args.filter.filter(language)?;
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ProvisionRecordServiceClient::new(reading.target.connect().await?);
    let request = ExportRecordsRequest {
        filter: Some(filter),
    };
    let request = with_proof(request, &reading.kept, language)?;
    let found = reading
        .target
        .answer(service.export_records(request))
        .await?;
    let mut found = found.into_inner();
    let mut out = Destination::open(args.output.as_deref())?;
    let mut written: Option<Written> = None;
    let mut count = 0_u64;
    while let Some(message) = reading.target.answer(found.message()).await? {
        let text = match (message.part, &mut written) {
            (Some(ExportPart::Head(head)), None) => {
                let (begun, text) = Written::begin(args.format, language.of_reports(), &head);
                written = Some(begun);
                text
            }
            (Some(ExportPart::Record(record)), Some(written)) => {
                count = count.saturating_add(1);
                written.record(&record)
            }
            (Some(ExportPart::End(end)), Some(_)) if end.records == count => {
                let text = written.take().map(|written| written.end(&end));
                out.write(&text.unwrap_or_default(), language)?;
                out.finish(language)?;
                say(&Word::RecordsExported.fill(language, &[&count.to_string()]));
                return Ok(());
            }
            _ => return Err(out_of_order(language)),
        };
        out.write(&text, language)?;
    }
    Err(not_whole(language))
}

/// What an export is written as, while it is.
enum Written {
    Lines,
    Table,
    Page(Box<RecordsPage>),
}

impl Written {
    fn begin(
        format: ExportFormat,
        language: report::Language,
        head: &RecordsHead,
    ) -> (Self, String) {
        match format {
            ExportFormat::Jsonl => (Self::Lines, String::new()),
            ExportFormat::Csv => (Self::Table, text::csv_head()),
            ExportFormat::Html => {
                let (page, text) = RecordsPage::begin(language, head);
                (Self::Page(Box::new(page)), text)
            }
        }
    }

    fn record(&mut self, record: &Record) -> String {
        match self {
            Self::Lines => text::json_line(record),
            Self::Table => text::csv_row(record),
            Self::Page(page) => page.record(record),
        }
    }

    fn end(self, end: &RecordsEnd) -> String {
        match self {
            Self::Lines | Self::Table => String::new(),
            Self::Page(page) => page.end(end),
        }
    }
}

/// The stream ended without its end: what came is not the whole.
fn not_whole(language: Language) -> CliError {
    CliError::new(Fault::Unavailable, Word::CutShort, language, &[])
}

/// A part that this program doesn't know, or out of its order: what is written would not be the whole.
fn out_of_order(language: Language) -> CliError {
    CliError::new(Fault::Internal, Word::CutShort, language, &[])
}

/// Writes what a person is told of their data.
///
/// # Errors
/// As for [`export()`].
pub(super) async fn disclose(args: DiscloseArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let scope = match args.scope {
        ScopeArg::Provision => DisclosureScope::Provision,
        ScopeArg::All => DisclosureScope::All,
    };
    let request = DisclosureReportRequest {
        subject_ref: args.subject,
        scope: scope.into(),
        from: instant("--from", args.from.as_deref(), Edge::Beginning, language)?,
        until: instant("--until", args.until.as_deref(), Edge::End, language)?,
    };
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ProvisionRecordServiceClient::new(reading.target.connect().await?);
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.disclosure_report(request))
        .await?;
    let mut parts = answer.into_inner();
    let form = match args.format {
        FormArg::Json => Form::Json,
        FormArg::Html => Form::Html,
    };
    let mut out = Destination::open(args.output.as_deref())?;
    let mut written: Option<Report> = None;
    let mut count = DisclosureEnd::default();
    while let Some(message) = reading.target.answer(parts.message()).await? {
        let text = match (message.part, &mut written) {
            (Some(Part::Head(head)), None) => {
                let (report, text) = Report::begin(form, language.of_reports(), &head);
                written = Some(report);
                text
            }
            (Some(Part::Record(record)), Some(report)) => {
                count.records = count.records.saturating_add(1);
                report.record(&record)
            }
            (Some(Part::Access(access)), Some(report)) => {
                count.accesses = count.accesses.saturating_add(1);
                report.access(&access)
            }
            (Some(Part::End(end)), Some(_)) if end == count => {
                let text = written.take().map(|report| report.end(&end));
                out.write(&text.unwrap_or_default(), language)?;
                return out.finish(language);
            }
            _ => return Err(out_of_order(language)),
        };
        out.write(&text, language)?;
    }
    Err(not_whole(language))
}

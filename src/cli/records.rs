//! `sekisho records`: records of provision and of receipt (APPI Art. 29 and 30), and what a person is told of them (開示).

use super::client::{Connection, with_proof};
use super::error::CliError;
use super::filter::named;
use super::log::Reading;
use super::login::say;
use super::moment::Edge;
use super::output::{Destination, print};
use super::records_files::{DiscloseArgs, ExportArgs, disclose, export};
use super::retention::instant;
use super::sessions::time;
use super::table::{Cell, Column, Screen, Table, Tone};
use super::words::{Language, Word, label};
use crate::export::records as text;
use crate::proto::provision_record_service_client::ProvisionRecordServiceClient;
use crate::proto::{
    GetRecordRequest, ListRecordsRequest, ReceiptBasis, Record, RecordFilter, RecordKind,
    RecordStatus, RegisterReceiptRequest,
};

/// Records that are asked for at once.
const PAGE: i32 = 100;

/// Records of provision and of receipt.
#[derive(Debug, clap::Subcommand)]
pub(super) enum RecordsCommand {
    /// Records that fit all filters, the newest first
    List(Box<ListArgs>),
    /// Everything that one record says, with the people it names
    Show(ShowArgs),
    /// Records with the people they name: JSON lines or CSV for other programs, or a page that prints
    Export(Box<ExportArgs>),
    /// Record that data were received from a third party (administrators)
    Receipt(Box<ReceiptArgs>),
    /// What a person is told of their data: a page that prints, or JSON; without names of employees
    Disclose(DiscloseArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// To or from whom: the recipient's id in the pack, or the name of the other party
    #[arg(long, value_name = "ID|NAME")]
    party: Option<String>,
    /// Of whose data: their company-wide id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Not before: a date (2026-01-31, 2026-01-31+09:00), RFC 3339, or how long ago (90d)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before; a date includes its day
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// open, provided, abandoned or received
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// provision or receipt
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// By which route, e.g. third-party-consent
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
}

impl FilterArgs {
    pub(super) fn filter(self, language: Language) -> Result<RecordFilter, CliError> {
        let status = |number| Some(RecordStatus::try_from(number).ok()?.as_str_name());
        let kind = |number| Some(RecordKind::try_from(number).ok()?.as_str_name());
        Ok(RecordFilter {
            from: instant("--from", self.from.as_deref(), Edge::Beginning, language)?,
            until: instant("--until", self.until.as_deref(), Edge::End, language)?,
            status: named("--status", &self.status, "RECORD_STATUS_", status, language)?,
            kind: named("--kind", &self.kind, "RECORD_KIND_", kind, language)?,
            party: self.party.unwrap_or_default(),
            subject_ref: self.subject.unwrap_or_default(),
            route: self.route.unwrap_or_default(),
        })
    }
}

/// Arguments of `sekisho records list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// One JSON object per record, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho records show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The record's id
    #[arg(value_name = "RECORD")]
    record: String,
    /// As a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho records receipt`.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptArgs {
    /// Who provided the data: a name, or a company's
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// Their address
    #[arg(long, value_name = "TEXT")]
    address: String,
    /// Who represents them
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "individual",
        conflicts_with = "individual"
    )]
    representative: Option<String>,
    /// They are a natural person, whom nobody represents
    #[arg(long)]
    individual: bool,
    /// Their country, two capital letters
    #[arg(long, value_name = "COUNTRY")]
    country: Option<String>,
    /// How they acquired the data; sealed in the log
    #[arg(long, value_name = "TEXT")]
    acquisition: String,
    /// Whose data: company-wide ids
    #[arg(long, value_name = "ID", required = true, num_args = 1..)]
    subject: Vec<String>,
    /// The kind of person, as the pack names it
    #[arg(long, value_name = "KIND")]
    subject_kind: String,
    /// Which items, as the pack names them
    #[arg(long, value_name = "CATEGORY", required = true, num_args = 1..)]
    category: Vec<String>,
    /// When the data were received: a date, RFC 3339, or how long ago
    #[arg(long, value_name = "TIME")]
    received: String,
    /// On which ground: consent, opt-out, person-related or not-a-business
    #[arg(long, value_name = "GROUND")]
    basis: String,
    /// The document behind it
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out one of the commands.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, an argument can't be read, or output can't be written.
pub(super) async fn run(command: RecordsCommand) -> Result<(), CliError> {
    match command {
        RecordsCommand::List(args) => list(*args).await,
        RecordsCommand::Show(args) => show(args).await,
        RecordsCommand::Export(args) => export(*args).await,
        RecordsCommand::Receipt(args) => receipt(*args).await,
        RecordsCommand::Disclose(args) => disclose(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let filter = args.filter.filter(language)?;
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ProvisionRecordServiceClient::new(reading.target.connect().await?);
    let mut left = if args.limit == 0 {
        u64::MAX
    } else {
        args.limit
    };
    let mut wanted = ListRecordsRequest {
        filter: Some(filter),
        page_size: 0,
        page_token: String::new(),
    };
    let mut table: Option<Table> = None;
    loop {
        wanted.page_size = i32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let request = with_proof(wanted.clone(), &reading.kept, language)?;
        let page = reading.target.answer(service.list_records(request)).await?;
        let page = page.into_inner();
        let count = u64::try_from(page.records.len()).unwrap_or(u64::MAX);
        left = left.saturating_sub(count);
        if args.json {
            let lines: Vec<String> = page.records.iter().map(text::json_line).collect();
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
            print(&lines, language)?;
        } else if count > 0 {
            let rows: Vec<Vec<Cell>> = page.records.iter().map(row).collect();
            let mut lines = Vec::new();
            let table = table.get_or_insert_with(|| {
                let screen = Screen::of_output(|name| std::env::var_os(name));
                let table = Table::new(&columns(language), &rows, screen);
                lines.push(table.heads());
                table
            });
            lines.extend(rows.iter().map(|row| table.line(row)));
            // Made harmless cell by cell; colours are the table's own.
            let mut out = Destination::open(None)?;
            out.write(&format!("{}\n", lines.join("\n")), language)?;
            out.finish(language)?;
        }
        if page.next_page_token.is_empty() || left == 0 {
            if !args.json && table.is_none() {
                say(Word::NothingFits.text(language));
            } else if !args.json && !page.next_page_token.is_empty() {
                say(Word::MoreFollow.text(language));
            }
            return Ok(());
        }
        wanted.page_token = page.next_page_token;
    }
}

fn columns(language: Language) -> [Column; 8] {
    let column = |word: Word, least, usual| Column {
        head: word.text(language),
        least,
        usual,
        right: false,
    };
    [
        column(Word::RecordAt, 10, 20),
        column(Word::RecordStatusHead, 4, 9),
        column(Word::RecordParty, 8, 20),
        column(Word::RecordRoute, 8, 20),
        column(Word::RecordItems, 8, 20),
        Column {
            right: true,
            ..column(Word::RecordPeople, 4, 6)
        },
        column(Word::RecordKeepUntil, 10, 10),
        column(Word::RecordIdHead, 36, 36),
    ]
}

fn row(record: &Record) -> Vec<Cell> {
    let status = RecordStatus::try_from(record.status).unwrap_or_default();
    let tone = match status {
        RecordStatus::Open => Tone::Warning,
        RecordStatus::Provided | RecordStatus::Received => Tone::Good,
        RecordStatus::Abandoned | RecordStatus::Unspecified => Tone::Plain,
    };
    let status = status.as_str_name();
    let status = status.strip_prefix("RECORD_STATUS_").unwrap_or(status);
    let part = |at: Option<&prost_types::Timestamp>, length| {
        let at = time(at).unwrap_or_default();
        at.get(..length).map_or(at.clone(), str::to_owned)
    };
    let party = match record.recipient.as_str() {
        "" => record.name.clone(),
        recipient => recipient.to_owned(),
    };
    let plain = |text: &str| Cell::new(text, Tone::Plain);
    vec![
        plain(&part(record.at.as_ref(), 19)),
        Cell::new(status, tone),
        plain(&party),
        plain(&record.route),
        plain(&record.categories.join(",")),
        plain(&record.people.to_string()),
        plain(&part(record.keep_until.as_ref(), 10)),
        plain(&record.record_id),
    ]
}

async fn show(args: ShowArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ProvisionRecordServiceClient::new(reading.target.connect().await?);
    let request = GetRecordRequest {
        record_id: args.record,
    };
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading.target.answer(service.get_record(request)).await?;
    let record = answer.into_inner().record.unwrap_or_default();
    if args.json {
        return print(&[text::json_line(&record).trim_end()], language);
    }
    let mut lines = Vec::new();
    for (name, value) in text::fields_of(&record) {
        let value = match value {
            serde_json::Value::Array(values) => {
                let values: Vec<String> = values.iter().map(plain).collect();
                values.join(", ")
            }
            value => plain(&value),
        };
        if !value.is_empty() && value != "0" {
            lines.push(format!("{}: {value}", label(name, language)));
        }
    }
    print(&lines, language)
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn receipt(args: ReceiptArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let basis = |number| Some(ReceiptBasis::try_from(number).ok()?.as_str_name());
    let request = RegisterReceiptRequest {
        provider_name: args.provider,
        provider_address: args.address,
        provider_representative: args.representative.unwrap_or_default(),
        provider_is_individual: args.individual,
        provider_country: args.country.unwrap_or_default(),
        acquisition: args.acquisition,
        subject_refs: args.subject,
        subject_kind: args.subject_kind,
        categories: args.category,
        received_at: instant(
            "--received",
            Some(&args.received),
            Edge::Beginning,
            language,
        )?,
        basis: named(
            "--basis",
            &Some(args.basis),
            "RECEIPT_BASIS_",
            basis,
            language,
        )?,
        basis_reference: args.reference.unwrap_or_default(),
        // Typed once: nobody repeats it by itself.
        request_id: String::new(),
    };
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = ProvisionRecordServiceClient::new(reading.target.connect().await?);
    let request = with_proof(request, &reading.kept, language)?;
    let answer = reading
        .target
        .answer(service.register_receipt(request))
        .await?;
    let answer = answer.into_inner();
    let keep = time(answer.keep_until.as_ref()).unwrap_or_default();
    let values = [&*answer.record_id, &*answer.log_index.to_string(), &*keep];
    print(&[Word::ReceiptRegistered.fill(language, &values)], language)
}

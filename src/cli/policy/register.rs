//! `sekisho policy register`: the register of who has access to what, as a page that prints, as CSV or as JSON.

use std::io::Write as _;
use std::path::PathBuf;

use super::lists::pack_of;
use crate::cli::client::Asking;
use crate::cli::client::Connection;
use crate::cli::error::CliError;
use crate::cli::login::say;
use crate::cli::words::Word;
use crate::domain::access::Action;
use crate::domain::time::{Clock as _, SystemClock, Timestamp};
use crate::files::NewFile;
use crate::proto::explain_service_client::ExplainServiceClient;
use crate::proto::register_part::Part;
use crate::proto::{self, GetRegisterRequest};
use crate::report::{AccessRow, RecipientRow, Register, RoleRow};

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A page that prints, in --lang
    Html,
    /// For spreadsheets
    Csv,
    /// One object
    Json,
}

/// Arguments of `sekisho policy register`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RegisterArgs {
    /// How it is written
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask no daemon: the people.csv of this pack's folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["server", "data", "ca", "certificate", "key"])]
    pack: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Writes the register.
pub(super) async fn register(args: RegisterArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let register = match &args.pack {
        Some(folder) => {
            let pack = pack_of(folder, language)?;
            Register::of(&pack.rules, &pack.people, |_| false, SystemClock.now())
        }
        None => asked(&args.connection).await?,
    };
    let text = match args.format {
        Format::Html => register.html(language.of_reports()),
        Format::Csv => register.csv(),
        Format::Json => format!("{:#}\n", register.json()),
    };
    match &args.output {
        Some(path) => {
            let mut file = NewFile::create(path).map_err(|error| CliError::of_file(&error))?;
            file.write_all(text.as_bytes())
                .map_err(|error| CliError::of_output(&error, language))?;
            file.finish().map_err(|error| CliError::of_file(&error))?;
            let values = [&*path.to_string_lossy(), &*register.at];
            say(&Word::RegisterWritten.fill(language, &values));
            Ok(())
        }
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map_err(|error| CliError::of_output(&error, language))
        }
    }
}

async fn asked(connection: &Connection) -> Result<Register, CliError> {
    let mut asking = Asking::open(connection, ExplainServiceClient::new).await?;
    let request = asking.request(GetRegisterRequest {})?;
    let answer = asking.service.get_register(request);
    let mut parts = asking.target.answer(answer).await?.into_inner();
    let mut register = Register::default();
    while let Some(part) = asking.target.answer(parts.message()).await? {
        if let Some(part) = part.part {
            put(&mut register, part);
        }
    }
    Ok(register)
}

fn promise(en: String, ja: String) -> Option<(String, String)> {
    (!en.is_empty()).then_some((en, ja))
}

fn put(register: &mut Register, part: Part) {
    match part {
        Part::Header(header) => {
            register.pack = header.pack;
            register.title = header.title;
            register.title_ja = header.title_ja;
            register.revision = header.policy_revision;
            register.at = header.at.map_or_else(String::new, instant);
        }
        Part::System(row) => register.systems.push(row.into()),
        Part::Role(row) => match register.roles.last_mut() {
            // One with many people comes in several parts.
            Some(last) if last.role == row.role => last.people.extend(row.people),
            _ => register.roles.push(RoleRow {
                role: row.role,
                people: row.people,
                services: row.services,
            }),
        },
        Part::Access(row) => register.access.push(AccessRow {
            role: row.role,
            subject_kind: row.subject_kind,
            categories: row.categories,
            actions: row
                .actions
                .into_iter()
                .filter_map(Action::from_number)
                .collect(),
            purpose: row.purpose,
            on_request: row.on_request,
            rules: row.rules,
            promise: promise(row.promise, row.promise_ja),
        }),
        Part::Recipient(row) => register.recipients.push(recipient(row)),
    }
}

fn recipient(row: proto::RegisterRecipient) -> RecipientRow {
    RecipientRow {
        id: row.id,
        route: row.route,
        country: row.country,
        items: row.items,
        purposes: row.purposes,
        contract_until: row.contract_until,
        inspected_until: row.inspected_until,
        equivalent_until: row.equivalent_until,
        record_years: row.record_years,
        no_record: row.no_record,
        rule: row.rule,
        promise: promise(row.promise, row.promise_ja),
    }
}

fn instant(at: prost_types::Timestamp) -> String {
    let micros = at
        .seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(at.nanos / 1_000));
    Timestamp::from_micros(micros).to_string()
}

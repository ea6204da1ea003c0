//! `sekisho people`: the directory at a terminal, for administrators; `list`, `show` and `export` for auditors too.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use tonic::transport::Channel;

use super::Failure;
use super::client::{self, Connection};
use super::error::{CliError, Fault};
use super::login::say;
use super::output::print;
use super::people_output as output;
use super::people_profile::{ProfileArgs, RoleEdits};
use super::requests::{Approving, told as two};
use super::words::{Language, Word};
use crate::files::NewFile;
use crate::proto::directory_service_client::DirectoryServiceClient;
use crate::proto::import_people_response::What;
use crate::proto::{
    ChangePersonRequest, ChangePersonResponse, CreatePersonRequest, DisablePersonRequest,
    EnablePersonRequest, EndEmploymentRequest, ExportPeopleRequest, GetPersonRequest,
    ImportPeopleRequest, ListPeopleRequest, Person,
};

/// People that are asked for at once.
const PAGE: i32 = 500;
/// The largest file that an import takes: what the daemon takes, less what is around it.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 - 4 * 1024;

/// The people who work with the data.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PeopleCommand {
    /// Who there is
    List(ListArgs),
    /// Everything about one person
    Show(IdArgs),
    /// Add a person; they have no password yet
    Add(Box<AddArgs>),
    /// Change fields of a person; what is not named stays
    Change(Box<ChangeArgs>),
    /// Disable an account: every session ends
    Disable(RefersArgs),
    /// Enable it again
    Enable(EnableArgs),
    /// End an employment, now or with a day
    End(EndArgs),
    /// Import people from CSV: all of them, or none
    Import(ImportArgs),
    /// Export everybody as CSV, which can be imported again
    Export(ExportArgs),
}

/// Arguments of `sekisho people list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Who work in this department
    #[arg(long, value_name = "DEPARTMENT")]
    department: Option<String>,
    /// Whose role this is now
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Only who may work now: enabled, employed, not on leave
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people show`.
#[derive(Debug, clap::Args)]
pub(super) struct IdArgs {
    /// The person's id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people enable`.
#[derive(Debug, clap::Args)]
pub(super) struct EnableArgs {
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    refers: RefersArgs,
}

/// Arguments of `sekisho people disable` and `enable`.
#[derive(Debug, clap::Args)]
pub(super) struct RefersArgs {
    /// The person's id
    #[arg(value_name = "ID")]
    id: String,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people add`.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The new person's id: lower case, in its canonical form
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    profile: ProfileArgs,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people change`.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// The person's id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    edits: RoleEdits,
    /// Clear this field, e.g. leave; may be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
    /// Only when the person's revision is still this one, as `show` tells it
    #[arg(long, value_name = "NUMBER")]
    if_revision: Option<u64>,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people end`.
#[derive(Debug, clap::Args)]
pub(super) struct EndArgs {
    /// The person's id
    #[arg(value_name = "ID")]
    id: String,
    /// The last day, e.g. 2027-03-31 [default: now]
    #[arg(long, value_name = "DAY", default_value = "")]
    on: String,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people import`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// CSV in UTF-8 with a header; `-` is standard input. Columns: id and any of display_name, departments, employment_kind,
    /// employer, employment_end, leave, roles, network_exceptions, trained_until, pledge, subject_refs or subject_pseudonyms,
    /// disabled
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only tell every change and every error with its line
    #[arg(long)]
    dry_run: bool,
    /// The request or decision behind it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sekisho people export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// How it is told, and to whom it is said.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// JSON, a line for each thing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

type Asking = client::Asking<DirectoryServiceClient<Channel>>;

async fn known(asking: &mut Asking, id: &str) -> Result<Person, CliError> {
    let request = asking.request(GetPersonRequest { id: id.to_owned() })?;
    let answer = asking.service.get_person(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    Ok(answer.person.unwrap_or_default())
}

/// Carries out one of the commands. That whoever reads the output stops reading is no failure.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, an argument can't be read, or output can't be written.
pub(super) async fn people(command: PeopleCommand) -> Result<(), Failure> {
    let done = match command {
        PeopleCommand::List(args) => list(args).await,
        PeopleCommand::Show(args) => show(args).await,
        PeopleCommand::Add(args) => add(*args).await,
        PeopleCommand::Change(args) => change(*args).await,
        PeopleCommand::Disable(args) => disable(args).await,
        PeopleCommand::Enable(args) => enable(args).await,
        PeopleCommand::End(args) => end(args).await,
        PeopleCommand::Import(args) => import(args).await,
        PeopleCommand::Export(args) => export(args).await,
    };
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done.map_err(Failure::from),
    }
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let language = asking.language;
    let mut wanted = ListPeopleRequest {
        department: args.department.unwrap_or_default(),
        role: args.role.unwrap_or_default(),
        active_only: args.active,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut people = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_people(request);
        let answer = asking.target.answer(answer).await?.into_inner();
        people.extend(answer.people);
        if answer.next_page_token.is_empty() {
            break;
        }
        wanted.page_token = answer.next_page_token;
    }
    let lines = if args.output.json {
        people
            .iter()
            .map(|person| output::person(person).to_string())
            .collect()
    } else {
        output::table(&people, language)
    };
    print(&lines, language)
}

async fn show(args: IdArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let person = known(&mut asking, &args.id).await?;
    let lines = output::shown(&person, args.output.json, asking.language);
    print(&lines, asking.language)
}

async fn add(args: AddArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let (person, _) = args.profile.person(args.id);
    let request = asking.request(CreatePersonRequest {
        person: Some(person),
        reference: args.reference,
        approve: args.approving.number(),
    })?;
    let answer = asking.service.create_person(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    let changed = ChangePersonResponse {
        person: answer.person,
        log_index: answer.log_index,
        pending: answer.pending,
        pending_until: answer.pending_until,
        effective_at: answer.effective_at,
        alone: answer.alone,
        ..ChangePersonResponse::default()
    };
    told(
        &changed,
        Word::PersonAdded,
        args.output.json,
        asking.language,
    )
}

async fn change(args: ChangeArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let (mut person, mut paths) = args.profile.person(args.id.clone());
    paths.extend(args.clear);
    let mut expected_revision = args.if_revision;
    if !args.edits.is_empty() {
        // Read first, and changed only when nobody else did in between.
        let known = known(&mut asking, &args.id).await?;
        expected_revision = expected_revision.or(Some(known.revision));
        person.roles = args.edits.applied_to(known.roles);
        paths.push("roles".to_owned());
    }
    let request = asking.request(ChangePersonRequest {
        person: Some(person),
        update_mask: paths,
        expected_revision,
        reference: args.reference,
        approve: args.approving.number(),
    })?;
    let answer = asking.service.change_person(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    told(
        &answer,
        Word::PersonChanged,
        args.output.json,
        asking.language,
    )
}

async fn disable(args: RefersArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let request = asking.request(DisablePersonRequest {
        id: args.id,
        reference: args.reference,
    })?;
    let answer = asking.service.disable_person(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    told(
        &answer,
        Word::PersonDisabled,
        args.output.json,
        asking.language,
    )
}

async fn enable(args: EnableArgs) -> Result<(), CliError> {
    let (args, approving) = (args.refers, args.approving);
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let request = asking.request(EnablePersonRequest {
        id: args.id,
        reference: args.reference,
        approve: approving.number(),
    })?;
    let answer = asking.service.enable_person(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    told(
        &answer,
        Word::PersonEnabled,
        args.output.json,
        asking.language,
    )
}

async fn end(args: EndArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let request = asking.request(EndEmploymentRequest {
        id: args.id,
        employment_end: args.on,
        reference: args.reference,
        approve: args.approving.number(),
    })?;
    let answer = asking.service.end_employment(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    told(
        &answer,
        Word::EmploymentEnds,
        args.output.json,
        asking.language,
    )
}

/// Tells what was done: one line, or the answer as JSON.
fn told(
    answer: &ChangePersonResponse,
    done: Word,
    json: bool,
    language: Language,
) -> Result<(), CliError> {
    if json {
        return print(&[output::changed(answer).to_string()], language);
    }
    let two = two!(answer);
    if let Some(line) = two.awaits(language) {
        return print(&[line], language);
    }
    let person = answer.person.clone().unwrap_or_default();
    if answer.unchanged {
        let line = Word::PersonUnchanged.fill(language, &[&person.id]);
        return print(&[line], language);
    }
    let values = [
        &*person.id,
        &*answer.log_index.to_string(),
        &*person.employment_end,
    ];
    let mut lines = vec![done.fill(language, &values)];
    if answer.sessions_ended {
        lines.push(Word::SessionsEnded.text(language).to_owned());
    }
    lines.extend(two.marked(language).map(str::to_owned));
    print(&lines, language)
}

async fn import(args: ImportArgs) -> Result<(), CliError> {
    let language = args.output.connection.language();
    let csv = read(&args.file, language)?;
    let mut asking = Asking::open(&args.output.connection, DirectoryServiceClient::new).await?;
    let request = asking.request(ImportPeopleRequest {
        csv,
        dry_run: args.dry_run,
        reference: args.reference,
        approve: args.approving.number(),
    })?;
    let answer = asking.service.import_people(request);
    let mut answers = asking.target.answer(answer).await?.into_inner();
    let mut errors = 0;
    while let Some(message) = asking.target.answer(answers.message()).await? {
        let Some(what) = message.what else { continue };
        if let What::Summary(summary) = &what {
            errors = summary.errors;
        }
        let lines = if args.output.json {
            vec![output::imported(&what).to_string()]
        } else {
            output::import_lines(&what, args.dry_run, language)
        };
        print(&lines, language)?;
    }
    if errors > 0 {
        let errors = errors.to_string();
        return Err(CliError::new(
            Fault::Refused,
            Word::ImportHasErrors,
            language,
            &[&errors],
        ));
    }
    Ok(())
}

/// A bounded file, or standard input.
fn read(path: &std::path::Path, language: Language) -> Result<Vec<u8>, CliError> {
    let name = path.to_string_lossy();
    let mut content = Vec::new();
    let limit = FILE_MAX_BYTES.saturating_add(1);
    let read = if *name == *"-" {
        std::io::stdin().take(limit).read_to_end(&mut content)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut content))
    };
    if let Err(error) = read {
        let values = [&*name, &*error.to_string()];
        return Err(CliError::new(
            Fault::Usage,
            Word::CantRead,
            language,
            &values,
        ));
    }
    if u64::try_from(content.len()).is_ok_and(|bytes| bytes <= FILE_MAX_BYTES) {
        return Ok(content);
    }
    let values = [&*name, &*FILE_MAX_BYTES.to_string()];
    Err(CliError::new(
        Fault::Usage,
        Word::FileTooLarge,
        language,
        &values,
    ))
}

async fn export(args: ExportArgs) -> Result<(), CliError> {
    let mut asking = Asking::open(&args.connection, DirectoryServiceClient::new).await?;
    let language = asking.language;
    let request = asking.request(ExportPeopleRequest {})?;
    let answer = asking.service.export_people(request);
    let mut answers = asking.target.answer(answer).await?.into_inner();
    let mut file = match &args.output {
        Some(path) => Some(NewFile::create(path).map_err(|error| CliError::of_file(&error))?),
        None => None,
    };
    let mut standard = std::io::stdout();
    while let Some(message) = asking.target.answer(answers.message()).await? {
        match &mut file {
            Some(file) => file.write_all(&message.csv),
            None => standard.write_all(&message.csv),
        }
        .map_err(|error| CliError::of_output(&error, language))?;
    }
    match (file, &args.output) {
        (Some(file), Some(path)) => {
            file.finish().map_err(|error| CliError::of_file(&error))?;
            say(&Word::PeopleExported.fill(language, &[&path.to_string_lossy()]));
            Ok(())
        }
        _ => standard
            .flush()
            .map_err(|error| CliError::of_output(&error, language)),
    }
}

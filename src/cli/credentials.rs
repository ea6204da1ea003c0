//! `sekisho credentials`: what administrators do for other people's passwords and second factors.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use tonic::transport::Channel;
use zeroize::Zeroizing;

use super::client::{Connection, Target, with_proof};
use super::error::{CliError, Fault};
use super::login::Input;
use super::output::print_text;
use super::requests::{Approving, Told, told};
use super::ticket_file::{Kept, TicketFile, to_the_second};
use super::words::{Language, Word};
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::identity::token_file::FILE_MAX_BYTES;
use crate::proto::credential_service_client::CredentialServiceClient;
use crate::proto::import_tokens_request::File;
use crate::proto::{
    AssignTokenRequest, ImportTokensRequest, IssueEnrollmentCodeRequest, SetPasswordRequest,
};

/// Passwords and second factors of other people (administrators).
#[derive(Debug, clap::Subcommand)]
pub(super) enum CredentialsCommand {
    /// Draw a new password for a person, who must change it first; all their sessions end
    SetPassword(PersonArgs),
    /// Give out a one-time code that a person enrols their second factor with
    EnrollmentCode(CodeArgs),
    /// Import the seed file of hardware tokens: CSV (serial,algorithm,digits,period,seed) or PSKC (RFC 6030)
    ImportTokens(ImportArgs),
    /// Make a hardware token the second factor of a person who has none; its current code is asked for
    AssignToken(AssignArgs),
}

/// A person.
#[derive(Debug, clap::Args)]
pub(super) struct PersonArgs {
    /// The person's ID
    person: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho credentials enrollment-code`.
#[derive(Debug, clap::Args)]
pub(super) struct CodeArgs {
    /// The person's ID
    person: String,
    /// For how many days it counts, 1 to 30
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    days: u32,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho credentials import-tokens`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file; one that ends in .xml or .pskc is PSKC, any other CSV
    file: PathBuf,
    /// Only tell what would be taken
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho credentials assign-token`.
#[derive(Debug, clap::Args)]
pub(super) struct AssignArgs {
    /// The person's ID
    person: String,
    /// The token's serial number
    serial: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    connection: Connection,
}

/// Somebody who is logged in, and the daemon.
struct Administering {
    target: Target,
    kept: Kept,
    service: CredentialServiceClient<Channel>,
    language: Language,
}

impl Administering {
    async fn open(connection: &Connection) -> Result<Self, CliError> {
        let language = connection.language();
        let file = TicketFile::of(|name| std::env::var_os(name), language)?;
        let kept = file.alive(SystemClock.now())?;
        let target = connection.target(Some(&kept.server), language)?;
        kept.only_for(&target.server, language)?;
        let service = CredentialServiceClient::new(target.connect().await?);
        Ok(Self {
            target,
            kept,
            service,
            language,
        })
    }
}

/// Carries out one of the commands.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, or a file can't be read.
pub(super) async fn credentials(command: CredentialsCommand) -> Result<(), CliError> {
    match command {
        CredentialsCommand::SetPassword(args) => set_password(args).await,
        CredentialsCommand::EnrollmentCode(args) => enrollment_code(args).await,
        CredentialsCommand::ImportTokens(args) => import_tokens(args).await,
        CredentialsCommand::AssignToken(args) => assign_token(args).await,
    }
}

async fn set_password(args: PersonArgs) -> Result<(), CliError> {
    let mut at = Administering::open(&args.connection).await?;
    let request = SetPasswordRequest {
        person: args.person.clone(),
        approve: args.approving.number(),
    };
    let request = with_proof(request, &at.kept, at.language)?;
    let answer = at.target.answer(at.service.set_password(request)).await?;
    let mut answer = answer.into_inner();
    let password = Zeroizing::new(std::mem::take(&mut answer.password));
    let done = Zeroizing::new(Word::PasswordDrawn.fill(at.language, &[&args.person, &password]));
    print_told(told!(answer), &done, at.language)
}

async fn enrollment_code(args: CodeArgs) -> Result<(), CliError> {
    let mut at = Administering::open(&args.connection).await?;
    let request = IssueEnrollmentCodeRequest {
        person: args.person.clone(),
        valid_days: args.days,
        approve: args.approving.number(),
    };
    let request = with_proof(request, &at.kept, at.language)?;
    let mut answer = at
        .target
        .answer(at.service.issue_enrollment_code(request))
        .await?
        .into_inner();
    let ends = answer.expires_at.map_or(0, |at| at.seconds);
    let ends = to_the_second(Timestamp::from_seconds(ends));
    let code = Zeroizing::new(std::mem::take(&mut answer.enrollment_code));
    let done = Word::EnrollmentCodeIssued.fill(at.language, &[&args.person, &code, &ends]);
    print_told(told!(answer), &Zeroizing::new(done), at.language)
}

async fn import_tokens(args: ImportArgs) -> Result<(), CliError> {
    let mut at = Administering::open(&args.connection).await?;
    let text = read(&args.file, at.language)?;
    let is_xml = args
        .file
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("xml") || end.eq_ignore_ascii_case("pskc"));
    let text = text.to_string();
    let request = ImportTokensRequest {
        file: Some(if is_xml {
            File::Pskc(text)
        } else {
            File::Csv(text)
        }),
        dry_run: args.dry_run,
    };
    let request = with_proof(request, &at.kept, at.language)?;
    let answer = at.target.answer(at.service.import_tokens(request)).await?;
    let serials = answer.into_inner().serials;
    let word = if args.dry_run {
        Word::TokensWouldBeImported
    } else {
        Word::TokensImported
    };
    let told = word.fill(at.language, &[&serials.len().to_string()]);
    print_text(&format!("{told}\n{}", serials.join("\n")), at.language)
}

async fn assign_token(args: AssignArgs) -> Result<(), CliError> {
    let mut at = Administering::open(&args.connection).await?;
    let code = Input::new(at.language).line(Word::AskTokenCode).await?;
    let request = AssignTokenRequest {
        person: args.person.clone(),
        serial: args.serial.clone(),
        totp: code.trim().to_owned(),
        approve: args.approving.number(),
    };
    let request = with_proof(request, &at.kept, at.language)?;
    let answer = at.target.answer(at.service.assign_token(request)).await?;
    let answer = answer.into_inner();
    let done = Word::TokenAssigned.fill(at.language, &[&args.serial, &args.person]);
    print_told(told!(answer), &done, at.language)
}

/// Tells what was done, or that it was only asked for.
fn print_told(told: Told<'_>, done: &str, language: Language) -> Result<(), CliError> {
    if let Some(awaits) = told.awaits(language) {
        return print_text(&awaits, language);
    }
    print_text(done, language)?;
    match told.marked(language) {
        Some(marked) => print_text(marked, language),
        None => Ok(()),
    }
}

/// A file of seeds, as text.
fn read(path: &Path, language: Language) -> Result<Zeroizing<String>, CliError> {
    let shown = path.display().to_string();
    let failed = |why: &str| CliError::new(Fault::Usage, Word::CantRead, language, &[&shown, why]);
    let file = std::fs::File::open(path).map_err(|error| failed(&error.to_string()))?;
    let bound = u64::try_from(FILE_MAX_BYTES).unwrap_or(u64::MAX);
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX_BYTES.saturating_add(1)));
    let read = file.take(bound.saturating_add(1)).read_to_string(&mut text);
    read.map_err(|error| failed(&error.to_string()))?;
    if text.len() > FILE_MAX_BYTES {
        let bound = FILE_MAX_BYTES.to_string();
        return Err(CliError::new(
            Fault::Usage,
            Word::FileTooLarge,
            language,
            &[&shown, &bound],
        ));
    }
    Ok(text)
}

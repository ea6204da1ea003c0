//! The command line. `init`, `dev` and `serve` run the daemon; the others are clients of it like any other, and nothing here
//! decides.
#![allow(clippy::print_stdout, clippy::print_stderr)] // it is a command line

mod backup;
mod certificates;
mod client;
mod code;
mod credentials;
mod dev;
mod error;
mod filter;
mod finding;
mod first_credentials;
mod incident;
mod init;
mod keys;
mod log;
mod log_export;
mod log_finding;
mod log_output;
mod log_tiles;
mod log_verify;
mod login;
mod manuals;
mod measures;
mod moment;
mod output;
mod own;
mod people;
mod people_output;
mod people_profile;
mod policy;
mod progress;
mod proof;
mod records;
mod records_files;
mod reindex;
mod requests;
mod reset;
mod restore;
mod retention;
mod review;
mod review_output;
mod sample;
mod serve;
mod sessions;
mod subjects;
mod subjects_files;
mod table;
mod ticket_file;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Why a command failed, and the code the process ends with (sysexits).
#[derive(Debug)]
struct Failure {
    what: String,
    code: u8,
}

impl Failure {
    fn new(code: u8, what: impl std::fmt::Display) -> Self {
        Self {
            what: what.to_string(),
            code,
        }
    }

    /// 1, and nothing to say: what was compared differs, as the output tells.
    const fn differs() -> Self {
        Self {
            what: String::new(),
            code: 1,
        }
    }

    /// 73: what has to be made can't be.
    fn cannot_create(what: impl std::fmt::Display) -> Self {
        Self::new(73, what)
    }

    /// 78: a configuration or a pack that is not in order.
    fn configuration(what: impl std::fmt::Display) -> Self {
        Self::new(78, what)
    }
}

impl From<crate::serve::ServeError> for Failure {
    fn from(error: crate::serve::ServeError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<crate::backup::BackupError> for Failure {
    fn from(error: crate::backup::BackupError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<error::CliError> for Failure {
    fn from(error: error::CliError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

/// The checkpoint (関所) that internal systems ask before they read personal data.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 what is compared differs (policy diff, policy fmt --check); 2 or 64 wrong arguments; 65 log damaged, rolled back or replaced, log and store of different age,
or input that the daemon refused; 66 not a log, or nothing found; 69 address or server not available; 70 internal error; 71 disk full, or
too few open files allowed; 72 disk or store error; 73 can't write; 74 the disk failed while serving; 75 log in use by another process, or a required
witness not reached; 77 not permitted; 78
configuration or pack not in order.
Messages for operators go to standard error; RUST_LOG sets how many (default: info).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: make a data directory with sample people and certificates, serve on loopback, print lines to paste
    Dev(dev::DevArgs),
    /// Make a data directory: keys, certificates, first administrators, a commented configuration
    Init(init::InitArgs),
    /// Serve by a configuration
    Serve(serve::ServeArgs),
    /// Copy the whole data directory beside the running daemon, the keys sealed to a recovery key
    Backup(backup::BackupArgs),
    /// Write a backup into a new data directory; declare what was lost
    Restore(restore::RestoreArgs),
    /// See who is logged in, and end sessions
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// Take second factors away: two administrators, neither the one it is for
    #[command(subcommand)]
    Reset(reset::ResetCommand),
    /// See what waits for a second administrator, decline it, or review what one did alone
    #[command(subcommand)]
    Requests(requests::RequestsCommand),
    /// Records of provision and of receipt (APPI Art. 29, 30), and the report that a person gets of them (開示)
    #[command(subcommand)]
    Records(records::RecordsCommand),
    /// Safety-management measures (安全管理措置): the register, and what people attest
    #[command(subcommand)]
    Measures(measures::MeasuresCommand),
    /// Incidents with personal data (漏えい等, APPI Art. 26): scope, clocks, the draft of the report
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// List and renew the keys that everything is sealed and signed with
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Print the current one-time code of a person whom `dev` or `init` made (reads their people.json)
    Code(code::CodeArgs),
    /// Log in by both steps, for the commands that read the log
    Login(login::LoginArgs),
    /// End the session
    Logout(login::LogoutArgs),
    /// Change your own password
    Password(own::OwnArgs),
    /// Enrol your second factor, or another one in its place
    Enroll(own::EnrollArgs),
    /// Draw new recovery codes of your own
    RecoveryCodes(own::OwnArgs),
    /// Passwords and second factors of other people
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// Read the access log
    #[command(subcommand)]
    Log(log::LogCommand),
    /// The periodic review of the access log: campaigns, their items, questions, sign-off and report
    #[command(subcommand)]
    Review(Box<review::ReviewCommand>),
    /// What stands out in the access log: who looked at what in an unusual way, and why it is told
    #[command(subcommand)]
    Finding(finding::FindingCommand),
    /// The people who work with the data: accounts, roles, leave (administrators)
    #[command(subcommand)]
    People(people::PeopleCommand),
    /// The people whose data are guarded: holds, dates, references, imports
    #[command(subcommand)]
    Subjects(subjects::SubjectsCommand),
    /// Look at policy packs, and at what they mean for people
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print what makes a shell complete these commands
    Completions(manuals::CompletionsArgs),
    /// Print the manual page of a command, or write all of them into a folder
    Man(manuals::ManArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sekisho: no runtime: {error}");
            return ExitCode::from(70);
        }
    };
    let done = runtime.block_on(run(arguments.command));
    // What still reads the log for somebody must not hold the end up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.what.is_empty() {
                eprintln!("sekisho: {}", failure.what);
            }
            ExitCode::from(failure.code)
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Dev(arguments) => dev::run(arguments).await,
        Command::Init(arguments) => init::run(arguments).await,
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Backup(arguments) => backup::run(arguments).await,
        Command::Restore(arguments) => restore::run(arguments).await,
        Command::Code(arguments) => code::run(&arguments),
        Command::Keys(command) => keys::run(command),
        Command::Login(arguments) => login::login(arguments).await.map_err(Failure::from),
        Command::Logout(arguments) => login::logout(arguments).await.map_err(Failure::from),
        Command::Password(arguments) => own::password(arguments).await.map_err(Failure::from),
        Command::Enroll(arguments) => own::enroll(arguments).await.map_err(Failure::from),
        Command::RecoveryCodes(arguments) => {
            own::recovery_codes(arguments).await.map_err(Failure::from)
        }
        Command::Credentials(command) => credentials::credentials(command)
            .await
            .map_err(Failure::from),
        Command::Log(command) => log::log(command).await,
        Command::Review(command) => review::run(*command).await.map_err(Failure::from),
        Command::Finding(command) => finding::run(command).await.map_err(Failure::from),
        Command::People(command) => people::people(command).await,
        Command::Subjects(command) => subjects::subjects(command).await,
        Command::Sessions(command) => sessions::run(command).await.map_err(Failure::from),
        Command::Requests(command) => requests::run(command).await.map_err(Failure::from),
        Command::Measures(command) => measures::run(command).await.map_err(Failure::from),
        Command::Incident(command) => incident::run(command).await.map_err(Failure::from),
        Command::Records(command) => records::run(command).await.map_err(Failure::from),
        Command::Reset(command) => reset::run(command).await.map_err(Failure::from),
        Command::Policy(command) => policy::policy(command).await,
        Command::Completions(arguments) => manuals::completions(&arguments),
        Command::Man(arguments) => manuals::man(&arguments),
    }
}

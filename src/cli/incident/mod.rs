//! `sekisho incident`: incidents with personal data (漏えい等). What was affected is told from the access log; it files nothing by
//! itself.

mod doing;
mod draft;
mod scope;
mod shown;

use super::client::{Asking, Connection};
use super::error::CliError;
use super::output::print;
use super::words::Word;
use crate::proto::incident_service_client::IncidentServiceClient;
use crate::proto::{GetIncidentRequest, Incident, ListIncidentsRequest};
use crate::report::incident::incident_json;

use doing::{CloseArgs, FiledArgs, NoteArgs, NotifiedArgs, OpenArgs, TriggersArgs, UpdateArgs};
use draft::DraftArgs;
use scope::{AffectedArgs, ScopeArgs};

type Client = IncidentServiceClient<tonic::transport::Channel>;

/// Incidents with personal data (漏えい等).
#[derive(Debug, clap::Subcommand)]
pub(super) enum IncidentCommand {
    /// Incidents, the newest first, with what is due next
    List(ListArgs),
    /// Open one
    Open(OpenArgs),
    /// One with its scope, triggers, clocks and time line
    Show(ShowArgs),
    /// Look through the access log for what was affected, and record it
    Scope(Box<ScopeArgs>),
    /// The people affected, by pseudonym: the scope made anew
    Affected(AffectedArgs),
    /// Say what is known of an item of the report
    Update(UpdateArgs),
    /// Add to the time line what happened
    Note(NoteArgs),
    /// What makes it one to be reported; judge what the log can't tell
    Triggers(TriggersArgs),
    /// Record that a person told an addressee, or that none of it is required
    Filed(FiledArgs),
    /// Record that the people affected were told
    Notified(NotifiedArgs),
    /// The nine items of the report, drafted: a page that prints, JSON or CSV
    Draft(DraftArgs),
    /// Close it: nothing may be due any more; a second step of the last five minutes
    Close(CloseArgs),
}

/// Arguments of `sekisho incident list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Those that were closed, too
    #[arg(long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// As a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out one of the commands.
///
/// # Errors
/// When nobody is logged in, the daemon can't be reached or refuses, an argument can't be read, or output can't be written.
pub(super) async fn run(command: IncidentCommand) -> Result<(), CliError> {
    match command {
        IncidentCommand::List(args) => list(args).await,
        IncidentCommand::Open(args) => doing::open(args).await,
        IncidentCommand::Show(args) => show(args).await,
        IncidentCommand::Scope(args) => scope::scope(*args).await,
        IncidentCommand::Affected(args) => scope::affected(args).await,
        IncidentCommand::Update(args) => doing::update(args).await,
        IncidentCommand::Note(args) => doing::note(args).await,
        IncidentCommand::Triggers(args) => doing::triggers(args).await,
        IncidentCommand::Filed(args) => doing::filed(args).await,
        IncidentCommand::Notified(args) => doing::notified(args).await,
        IncidentCommand::Draft(args) => draft::draft(args).await,
        IncidentCommand::Close(args) => doing::close(args).await,
    }
}

async fn asking(connection: &Connection) -> Result<Asking<Client>, CliError> {
    Asking::open(connection, IncidentServiceClient::new).await
}

async fn get(asking: &mut Asking<Client>, incident: u64) -> Result<Incident, CliError> {
    let request = asking.request(GetIncidentRequest { incident })?;
    let answer = asking.service.get_incident(request);
    let answer = asking.target.answer(answer).await?;
    Ok(answer.into_inner().incident.unwrap_or_default())
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let mut wanted = ListIncidentsRequest {
        closed: args.all,
        ..ListIncidentsRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_incidents(request);
        let answer = asking.target.answer(answer).await?;
        let page = answer.into_inner();
        if args.json {
            let lines: Vec<String> = page
                .incidents
                .iter()
                .map(|incident| incident_json(incident).to_string())
                .collect();
            print(&lines, language)?;
        } else {
            found.extend(page.incidents);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        wanted.page_token = page.next_page_token;
    }
    if args.json {
        return Ok(());
    }
    if found.is_empty() {
        return print(&[Word::NoIncidents.text(language)], language);
    }
    shown::write(&shown::list(&found, language), language)
}

async fn show(args: ShowArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let incident = get(&mut asking, args.incident).await?;
    if args.json {
        return print(&[incident_json(&incident).to_string()], language);
    }
    shown::write(&shown::whole(&incident, language), language)
}

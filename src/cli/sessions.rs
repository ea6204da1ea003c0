//! `sekisho sessions`: who is logged in, and ending that.

use super::client::{Connection, with_proof};
use super::error::CliError;
use super::log::Reading;
use super::output::print;
use super::table::neutralise;
use super::words::Word;
use crate::domain::time::Timestamp;
use crate::proto::session_service_client::SessionServiceClient;
use crate::proto::{
    ListSessionsRequest, LiveSession, RevokePersonRequest, RevokeServiceRequest,
    RevokeSessionRequest,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum SessionsCommand {
    /// Sessions that have not ended, the newest first
    List(ListArgs),
    /// End one session, all of a person, or every ticket that a service was given
    End(EndArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only of this person
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Only those that began at this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["session", "person", "service"])))]
pub(super) struct EndArgs {
    /// The session's id
    #[arg(value_name = "SESSION")]
    session: Option<String>,
    /// All sessions of this person
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Every ticket that this service was given until now, and every one that others got in exchange for those
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Lists or ends.
///
/// # Errors
/// When nobody is logged in, or the daemon can't be reached or refuses.
pub(super) async fn run(command: SessionsCommand) -> Result<(), CliError> {
    match command {
        SessionsCommand::List(args) => list(args).await,
        SessionsCommand::End(args) => end(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = SessionServiceClient::new(reading.target.connect().await?);
    let mut request = ListSessionsRequest {
        person: args.person.unwrap_or_default(),
        service: args.service.unwrap_or_default(),
        page_size: 1_000,
        page_token: String::new(),
    };
    let mut none = true;
    loop {
        let asked = with_proof(request.clone(), &reading.kept, language)?;
        let answer = reading.target.answer(service.list_sessions(asked)).await?;
        let page = answer.into_inner();
        let mut lines = Vec::with_capacity(page.sessions.len());
        for session in &page.sessions {
            none = false;
            lines.push(if args.json {
                json(session)
            } else {
                line(session)
            });
        }
        print(&lines, language)?;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if none && !args.json {
        print(&[Word::NoSessions.text(language)], language)?;
    }
    Ok(())
}

pub(super) fn time(instant: Option<&prost_types::Timestamp>) -> Option<String> {
    let instant = instant?;
    let micros = i64::from(instant.nanos) / 1_000;
    let all = instant
        .seconds
        .checked_mul(1_000_000)?
        .checked_add(micros)?;
    Some(Timestamp::from_micros(all).to_string())
}

fn json(session: &LiveSession) -> String {
    serde_json::json!({
        "session_id": session.session_id,
        "person": session.person,
        "service": session.service,
        "device": session.device,
        "began_at": time(session.began_at.as_ref()),
        "last_used_at": time(session.last_used_at.as_ref()),
        "expires_at": time(session.expires_at.as_ref()),
    })
    .to_string()
}

fn line(session: &LiveSession) -> String {
    let part =
        |instant: Option<&prost_types::Timestamp>| time(instant).unwrap_or_else(|| "-".to_owned());
    neutralise(&format!(
        "{}  {}  {}  {}  {}  {}  {}",
        session.session_id,
        session.person,
        session.service,
        session.device,
        part(session.began_at.as_ref()),
        part(session.last_used_at.as_ref()),
        part(session.expires_at.as_ref()),
    ))
}

async fn end(args: EndArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let reading = Reading::open(&args.connection, language).await?;
    let mut service = SessionServiceClient::new(reading.target.connect().await?);
    let (index, ended) = if let Some(session_id) = args.session {
        let request = RevokeSessionRequest {
            session_id,
            reason: args.reason,
        };
        let request = with_proof(request, &reading.kept, language)?;
        let answer = reading
            .target
            .answer(service.revoke_session(request))
            .await?;
        let answer = answer.into_inner();
        (answer.log_index, answer.ended)
    } else if let Some(person) = args.person {
        let request = RevokePersonRequest {
            person,
            reason: args.reason,
        };
        let request = with_proof(request, &reading.kept, language)?;
        let answer = reading
            .target
            .answer(service.revoke_person(request))
            .await?;
        let answer = answer.into_inner();
        (answer.log_index, answer.ended)
    } else {
        let request = RevokeServiceRequest {
            service: args.service.unwrap_or_default(),
            reason: args.reason,
        };
        let request = with_proof(request, &reading.kept, language)?;
        let answer = reading
            .target
            .answer(service.revoke_service(request))
            .await?;
        let answer = answer.into_inner();
        (answer.log_index, answer.ended)
    };
    let values = [ended.to_string(), index.to_string()];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::SessionsRevoked.fill(language, &values)], language)
}

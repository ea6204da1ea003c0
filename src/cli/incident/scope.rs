//! `sekisho incident scope` and `affected`.

use super::{asking, shown};
use crate::cli::client::Connection;
use crate::cli::error::{CliError, Fault};
use crate::cli::filter::named;
use crate::cli::login::say;
use crate::cli::moment::Edge;
use crate::cli::output::print;
use crate::cli::retention::instant;
use crate::cli::words::{Language, Word};
use crate::proto::list_affected_response::What as Listed;
use crate::proto::scope_incident_response::What as Scoped;
use crate::proto::{Action, ListAffectedRequest, ScopeFilter, ScopeIncidentRequest};

/// Arguments of `sekisho incident scope`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ScopeArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// Not before: RFC 3339, a date (2026-01-31, 2026-01-31+09:00), or how long ago (7d)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before; a date includes its day
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Who accessed; given up to eight times, any of them
    #[arg(long, value_name = "ID")]
    person: Vec<String>,
    /// Whose data: the company-wide id of that person
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Category of data, or one above it
    #[arg(long)]
    category: Option<String>,
    /// Purpose of use
    #[arg(long)]
    purpose: Option<String>,
    /// What was done: read, search, export, create, update, delete, provide
    #[arg(long)]
    action: Option<String>,
    /// The calling service
    #[arg(long, value_name = "SERVICE")]
    caller: Option<String>,
    /// Address of the person's device, or a block
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<String>,
    /// The system that holds the data
    #[arg(long)]
    system: Option<String>,
    /// Kind of person whose data it is
    #[arg(long, value_name = "KIND")]
    subject_kind: Option<String>,
    /// Department of who accessed
    #[arg(long)]
    department: Option<String>,
    /// To whom data went
    #[arg(long)]
    recipient: Option<String>,
    /// Case reference
    #[arg(long, value_name = "REFERENCE")]
    case: Option<String>,
    /// Only where break glass was used
    #[arg(long)]
    break_glass: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident affected`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AffectedArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl ScopeArgs {
    fn filters(self, language: Language) -> Result<Vec<ScopeFilter>, CliError> {
        let action = |number| Some(Action::try_from(number).ok()?.as_str_name());
        let base = ScopeFilter {
            from: instant("--from", self.from.as_deref(), Edge::Beginning, language)?,
            until: instant("--until", self.until.as_deref(), Edge::End, language)?,
            person: String::new(),
            subject_ref: self.subject.unwrap_or_default(),
            category: self.category.unwrap_or_default(),
            purpose: self.purpose.unwrap_or_default(),
            action: named("--action", &self.action, "ACTION_", action, language)?,
            caller: self.caller.unwrap_or_default(),
            client_ip: self.client_ip.unwrap_or_default(),
            system: self.system.unwrap_or_default(),
            subject_kind: self.subject_kind.unwrap_or_default(),
            department: self.department.unwrap_or_default(),
            recipient: self.recipient.unwrap_or_default(),
            case_ref: self.case.unwrap_or_default(),
            break_glass_only: self.break_glass,
        };
        if self.person.is_empty() {
            return Ok(vec![base]);
        }
        let each = self.person.into_iter().map(|person| ScopeFilter {
            person,
            ..base.clone()
        });
        Ok(each.collect())
    }
}

fn cut_short(language: Language) -> CliError {
    CliError::new(Fault::Internal, Word::CutShort, language, &[])
}

/// Looks for what was affected, and tells it.
///
/// # Errors
/// When the daemon refuses, or the search was cut before its end: then nothing is recorded.
pub(super) async fn scope(args: ScopeArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let (language, incident) = (asking.language, args.incident);
    let request = asking.request(ScopeIncidentRequest {
        incident,
        any_of: args.filters(language)?,
    })?;
    let answer = asking.service.scope_incident(request);
    let answer = asking.target.answer(answer).await?;
    let mut parts = answer.into_inner();
    let mut told = 0_u64;
    while let Some(message) = asking.target.answer(parts.message()).await? {
        match message.what {
            Some(Scoped::Progress(progress)) => {
                // A line for each tenfold: nobody knows beforehand how many there are.
                let mark = told.saturating_mul(10).max(1_000);
                if progress.accesses >= mark {
                    told = progress.accesses;
                    let so_far = told.to_string();
                    say(&Word::IncidentSoFar.fill(language, &[&so_far]));
                }
            }
            Some(Scoped::Found(found)) => {
                let index = found.log_index.to_string();
                let mut lines =
                    vec![Word::IncidentScoped.fill(language, &[&incident.to_string(), &index])];
                lines.extend(shown::scope(&found.scope.unwrap_or_default(), language));
                return shown::write(&lines, language);
            }
            None => return Err(cut_short(language)),
        }
    }
    Err(cut_short(language))
}

/// Tells who was affected.
///
/// # Errors
/// When the daemon refuses, or the list was cut before its end.
pub(super) async fn affected(args: AffectedArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(ListAffectedRequest {
        incident: args.incident,
    })?;
    let answer = asking.service.list_affected(request);
    let answer = asking.target.answer(answer).await?;
    let mut parts = answer.into_inner();
    while let Some(message) = asking.target.answer(parts.message()).await? {
        match message.what {
            Some(Listed::Person(person)) if args.json => {
                let line = serde_json::json!({
                    "pseudonym": person.pseudonym,
                    "logIndex": person.log_index.to_string(),
                });
                print(&[line.to_string()], language)?;
            }
            Some(Listed::Person(person)) => {
                print(
                    &[format!("{} {}", person.pseudonym, person.log_index)],
                    language,
                )?;
            }
            Some(Listed::End(end)) => {
                let word = if end.same {
                    Word::IncidentSame
                } else {
                    Word::IncidentNotSame
                };
                let values = [&*end.people.to_string(), &*end.accesses.to_string()];
                say(&word.fill(language, &values));
                return Ok(());
            }
            None => return Err(cut_short(language)),
        }
    }
    Err(cut_short(language))
}

//! The commands that do something about an incident.

use super::{asking, get, shown};
use crate::cli::client::Connection;
use crate::cli::error::CliError;
use crate::cli::moment::Edge;
use crate::cli::output::print;
use crate::cli::retention::instant;
use crate::cli::words::{Language, Word};
use crate::proto::{
    AddTimelineNoteRequest, CloseIncidentRequest, JudgeTriggerRequest, OpenIncidentRequest,
    RecordFilingRequest, RecordNotificationRequest, UpdateIncidentRequest,
};
use crate::report::incident::incident_json;
use crate::review::incident::Item;
use crate::review::incident::triggers::{Trigger, Verdict};

/// Arguments of `sekisho incident open`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct OpenArgs {
    /// What happened, as far as it is known (概要); sealed in the log
    #[arg(long, value_name = "TEXT")]
    summary: String,
    /// When it became known: RFC 3339, a date, or how long ago (2h) [default: now]
    #[arg(long, value_name = "TIME")]
    aware: Option<String>,
    /// Whose it is [default: your own, where you review a department]
    #[arg(long)]
    department: Option<String>,
    /// Whom it is about, where that is known: they neither judge nor close it
    #[arg(long, value_name = "ID")]
    about: Vec<String>,
    /// The campaign of a review that it comes from
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// The item of that campaign
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// The case of findings that it comes from
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident update`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UpdateArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// Which item: summary, data-items, people, cause, secondary-damage, subjects, publication, prevention, other
    #[arg(long, value_name = "ITEM", value_parser = item)]
    item: Item,
    /// What is known of it, in place of what was said before; sealed in the log
    #[arg(long, value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident note`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NoteArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// When it happened: RFC 3339, a date, or how long ago
    #[arg(long, value_name = "TIME")]
    at: String,
    /// What happened; sealed in the log
    #[arg(long, value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident triggers`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TriggersArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// Judge one: special-care-required, property-damage, malice, many-people
    #[arg(long, value_name = "TRIGGER", value_parser = trigger, requires = "verdict", requires = "why")]
    judge: Option<Trigger>,
    /// Whether it applies: applies, does-not-apply, unknown
    #[arg(long, value_parser = verdict, requires = "judge")]
    verdict: Option<Verdict>,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT", requires = "judge")]
    why: Option<String>,
    /// As a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident filed`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FiledArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// Which clock: its id in `incident show`
    #[arg(long, value_name = "ID")]
    clock: String,
    /// When it was filed: RFC 3339, a date, or how long ago
    #[arg(long, value_name = "TIME", required_unless_present = "not_required")]
    at: Option<String>,
    /// The number of receipt
    #[arg(long, required_unless_present = "not_required")]
    reference: Option<String>,
    /// This addressee needs no report
    #[arg(long, conflicts_with_all = ["at", "reference"])]
    not_required: bool,
    /// Where it was filed, or why none is needed; sealed in the log
    #[arg(long, value_name = "TEXT")]
    note: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident notified`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NotifiedArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// When they were told: RFC 3339, a date, or how long ago
    #[arg(long, value_name = "TIME")]
    at: String,
    /// How many people
    #[arg(long, value_name = "N")]
    people: u64,
    /// How, or what was done in place of it; sealed in the log
    #[arg(long, value_name = "TEXT")]
    how: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `sekisho incident close`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CloseArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// What came of it; sealed in the log
    #[arg(long, value_name = "TEXT")]
    conclusion: String,
    #[command(flatten)]
    connection: Connection,
}

fn one_of<T: Copy>(
    text: &str,
    all: impl Iterator<Item = T>,
    word: fn(T) -> &'static str,
) -> Result<T, String> {
    let mut words = Vec::new();
    for one in all {
        if word(one) == text {
            return Ok(one);
        }
        words.push(word(one));
    }
    Err(format!("one of {}", words.join(", ")))
}

fn item(text: &str) -> Result<Item, String> {
    one_of(text, Item::ALL.into_iter(), Item::word)
}

fn trigger(text: &str) -> Result<Trigger, String> {
    one_of(text, Trigger::ALL.into_iter(), Trigger::word)
}

fn verdict(text: &str) -> Result<Verdict, String> {
    let all = [Verdict::Applies, Verdict::DoesNotApply, Verdict::Unknown];
    one_of(text, all.into_iter(), Verdict::word)
}

fn recorded(incident: u64, index: u64, language: Language) -> Result<(), CliError> {
    let values = [&*incident.to_string(), &*index.to_string()];
    print(
        &[Word::IncidentRecordedStep.fill(language, &values)],
        language,
    )
}

/// Opens an incident.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn open(args: OpenArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(OpenIncidentRequest {
        summary: args.summary,
        aware_at: instant("--aware", args.aware.as_deref(), Edge::Beginning, language)?,
        department: args.department.unwrap_or_default(),
        about: args.about,
        campaign: args.campaign.unwrap_or_default(),
        item: args.item.unwrap_or_default(),
        case: args.case.unwrap_or_default(),
    })?;
    let answer = asking.service.open_incident(request);
    let answer = asking.target.answer(answer).await?;
    let number = answer.into_inner().incident.to_string();
    print(&[Word::IncidentIsOpen.fill(language, &[&number])], language)
}

/// Asks for a step, and tells where it is recorded.
macro_rules! step {
    ($args:ident, $method:ident, $language:ident, $request:expr) => {{
        let mut asking = asking(&$args.connection).await?;
        let $language = asking.language;
        let incident = $args.incident;
        let request = asking.request($request)?;
        let answer = asking.service.$method(request);
        let answer = asking.target.answer(answer).await?;
        recorded(incident, answer.into_inner().log_index, $language)
    }};
}

/// Says what is known of an item.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn update(args: UpdateArgs) -> Result<(), CliError> {
    step!(
        args,
        update_incident,
        language,
        UpdateIncidentRequest {
            incident: args.incident,
            item: args.item.number(),
            text: args.text,
        }
    )
}

/// Adds to the time line.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn note(args: NoteArgs) -> Result<(), CliError> {
    step!(
        args,
        add_timeline_note,
        language,
        AddTimelineNoteRequest {
            incident: args.incident,
            at: instant("--at", Some(&args.at), Edge::Beginning, language)?,
            text: args.text,
        }
    )
}

/// Judges a trigger, or tells them all.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn triggers(args: TriggersArgs) -> Result<(), CliError> {
    if let (Some(trigger), Some(verdict), Some(why)) = (args.judge, args.verdict, args.why) {
        return step!(
            args,
            judge_trigger,
            language,
            JudgeTriggerRequest {
                incident: args.incident,
                trigger: trigger.number(),
                verdict: verdict.number(),
                why,
            }
        );
    }
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let incident = get(&mut asking, args.incident).await?;
    if args.json {
        let whole = incident_json(&incident);
        let triggers = serde_json::json!({
            "incident": whole.get("incident"),
            "toBeReported": whole.get("toBeReported"),
            "triggers": whole.get("triggers"),
        });
        return print(&[triggers.to_string()], language);
    }
    shown::write(&shown::triggers(&incident, language), language)
}

/// Records that an addressee was told.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn filed(args: FiledArgs) -> Result<(), CliError> {
    step!(
        args,
        record_filing,
        language,
        RecordFilingRequest {
            incident: args.incident,
            clock: args.clock,
            filed_at: instant("--at", args.at.as_deref(), Edge::Beginning, language)?,
            reference: args.reference.unwrap_or_default(),
            not_required: args.not_required,
            note: args.note,
        }
    )
}

/// Records that the people were told.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn notified(args: NotifiedArgs) -> Result<(), CliError> {
    step!(
        args,
        record_notification,
        language,
        RecordNotificationRequest {
            incident: args.incident,
            notified_at: instant("--at", Some(&args.at), Edge::Beginning, language)?,
            people: args.people,
            how: args.how,
        }
    )
}

/// Closes an incident.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn close(args: CloseArgs) -> Result<(), CliError> {
    step!(
        args,
        close_incident,
        language,
        CloseIncidentRequest {
            incident: args.incident,
            conclusion: args.conclusion,
        }
    )
}

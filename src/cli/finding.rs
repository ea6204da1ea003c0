//! `sekisho finding`: what stands out in the access log (要確認事項), for who reviews it.

use serde_json::{Value, json};
use tonic::Streaming;

use super::client::{Asking, Connection};
use super::error::{CliError, Fault};
use super::log_output::Output;
use super::output::print;
use super::progress::Bar;
use super::table::{Cell, Column, Tone, drawn, neutralise};
use super::words::{Language, Word};
use crate::proto::review_service_client::ReviewServiceClient;
use crate::proto::{
    Case, DetectorThresholds, Entry, ExplainFindingRequest, ExplainFindingResponse, Finding,
    FindingsProgress, ListFindingsRequest, ListFindingsResponse,
};

/// Cases that are asked for at once.
const PAGE: u64 = 1_000;

/// What stands out in the access log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum FindingCommand {
    /// The cases of a month, or of some days: what stood out about whom, and why
    List(ListArgs),
    /// One case: what each detector went by, and its entries
    Explain(ExplainArgs),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("days").required(true))]
pub(super) struct ListArgs {
    /// All days of a month, by the pack's clock
    #[arg(long, value_name = "YYYY-MM", group = "days")]
    month: Option<String>,
    /// This day alone, or from it on
    #[arg(long, value_name = "YYYY-MM-DD", group = "days")]
    from: Option<String>,
    /// To this day, which is included; at most 92 days
    #[arg(long, value_name = "YYYY-MM-DD", requires = "from")]
    until: Option<String>,
    /// Of this person
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// With a finding of this detector, by its word
    #[arg(long, value_name = "DETECTOR")]
    detector: Option<String>,
    /// Of this department
    #[arg(long, value_name = "DEPARTMENT")]
    department: Option<String>,
    /// How many cases at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// One JSON object for each case, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The case's day
    #[arg(value_name = "YYYY-MM-DD")]
    day: String,
    /// Who acted: a person's id, or with --service a service's
    #[arg(value_name = "ID")]
    who: String,
    /// A service that acted for nobody
    #[arg(long)]
    service: bool,
    /// As of so many entries of the log, as the list told it
    #[arg(long, value_name = "N", default_value_t = 0)]
    log_size: u64,
    /// One JSON object for the case, then one for each entry, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Lists or explains.
///
/// # Errors
/// When nobody is logged in, or the daemon can't be reached or refuses.
pub(super) async fn run(command: FindingCommand) -> Result<(), CliError> {
    let done = match command {
        FindingCommand::List(args) => list(args).await,
        FindingCommand::Explain(args) => explain(args).await,
    };
    match done {
        Err(error) if error.fault() == Fault::OutputClosed => Ok(()),
        done => done,
    }
}

type Service = ReviewServiceClient<tonic::transport::Channel>;

async fn list(args: ListArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut asking = Asking::open(&args.connection, ReviewServiceClient::new).await?;
    let mut wanted = ListFindingsRequest {
        month: args.month.unwrap_or_default(),
        first_day: args.from.unwrap_or_default(),
        last_day: args.until.unwrap_or_default(),
        person: args.person.unwrap_or_default(),
        detector: args.detector.unwrap_or_default(),
        department: args.department.unwrap_or_default(),
        ..ListFindingsRequest::default()
    };
    let (mut cases, mut log_size) = (Vec::new(), 0);
    let mut left = if args.limit == 0 {
        u64::MAX
    } else {
        args.limit
    };
    while left > 0 {
        wanted.page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let request = asking.request(wanted.clone())?;
        let found = asking
            .target
            .answer(asking.service.list_findings(request))
            .await?;
        let (page, next) = page(&asking, found.into_inner(), &mut log_size).await?;
        left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
        cases.extend(page);
        if next.is_empty() {
            break;
        }
        wanted.page_token = next;
    }
    let lines = if args.json {
        let lines = cases
            .iter()
            .map(|case| case_json(case, log_size).to_string());
        lines.collect()
    } else {
        table(&cases, log_size, language)
    };
    print(&lines, language)
}

async fn page(
    asking: &Asking<Service>,
    mut found: Streaming<ListFindingsResponse>,
    log_size: &mut u64,
) -> Result<(Vec<Case>, String), CliError> {
    let (mut cases, mut next, mut bar) = (Vec::new(), String::new(), Bar::default());
    while let Some(message) = asking.target.answer(found.message()).await? {
        if let Some(progress) = message.progress {
            tell(&mut bar, progress, asking.language);
        }
        if let Some(case) = message.case {
            cases.push(case);
            *log_size = message.log_size;
            next = message.next_page_token;
        }
    }
    bar.end();
    Ok((cases, next))
}

fn tell(bar: &mut Bar, progress: FindingsProgress, language: Language) {
    let FindingsProgress { entries, of } = progress;
    if of > 0 {
        bar.tell(entries, of, || {
            let values = [entries.to_string(), of.to_string()];
            Word::LookedThrough.fill(language, &[&values[0], &values[1]])
        });
    }
}

/// What it says, in the language.
fn says(finding: &Finding, language: Language) -> &str {
    match language {
        Language::English => &finding.sentence,
        Language::Japanese => &finding.sentence_ja,
    }
}

fn who(case: &Case) -> &str {
    match &*case.person {
        "" => &case.workload,
        person => person,
    }
}

fn table(cases: &[Case], log_size: u64, language: Language) -> Vec<String> {
    if cases.is_empty() {
        return vec![Word::NoFindings.text(language).to_owned()];
    }
    let columns = [
        // Never cut: half a day is another one.
        Column::of(Word::HeadDay, 10, language),
        Column::of(Word::HeadWho, 8, language),
        Column::of(Word::HeadDepartment, 6, language),
        Column::of(Word::HeadDetector, 12, language),
        Column::of(Word::HeadSays, 20, language),
    ];
    let row = |case: &Case, detector: &str, says: &str, tone| {
        let plain = |text: &str| Cell::new(text, Tone::Plain);
        vec![
            plain(&case.day),
            plain(who(case)),
            plain(&case.department),
            Cell::new(detector, tone),
            plain(says),
        ]
    };
    let mut rows = Vec::new();
    for case in cases {
        if case.own {
            let own = Word::OwnFindings.text(language);
            rows.push(row(case, "", own, Tone::Plain));
        }
        for finding in &case.findings {
            let text = says(finding, language);
            rows.push(row(case, &finding.detector, text, Tone::Warning));
        }
    }
    let mut lines = drawn(&columns, &rows);
    let size = log_size.to_string();
    let count = cases.len().to_string();
    lines.push(Word::CasesOf.fill(language, &[&count, &size]));
    lines
}

fn case_json(case: &Case, log_size: u64) -> Value {
    let findings: Vec<Value> = case.findings.iter().map(finding_json).collect();
    json!({
        "day": case.day,
        "person": case.person,
        "workload": case.workload,
        "department": case.department,
        "own": case.own,
        "findings": findings,
        "logSize": log_size.to_string(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    let facts: serde_json::Map<String, Value> = finding
        .facts
        .iter()
        .map(|fact| (fact.name.clone(), fact.value.clone().into()))
        .collect();
    let indexes: Vec<String> = finding.log_indexes.iter().map(u64::to_string).collect();
    json!({
        "detector": finding.detector,
        "sentence": finding.sentence,
        "sentenceJa": finding.sentence_ja,
        "facts": facts,
        "entries": finding.entries.to_string(),
        "logIndexes": indexes,
    })
}

async fn explain(args: ExplainArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let mut asking = Asking::open(&args.connection, ReviewServiceClient::new).await?;
    let (person, workload) = if args.service {
        (String::new(), args.who)
    } else {
        (args.who, String::new())
    };
    let request = asking.request(ExplainFindingRequest {
        day: args.day,
        person,
        workload,
        log_size: args.log_size,
    })?;
    let told = asking
        .target
        .answer(asking.service.explain_finding(request))
        .await?;
    let mut told: Streaming<ExplainFindingResponse> = told.into_inner();
    let mut bar = Bar::default();
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines = Vec::new();
    while let Some(message) = asking.target.answer(told.message()).await? {
        if let Some(progress) = message.progress {
            tell(&mut bar, progress, language);
        }
        if let Some(case) = message.case {
            bar.end();
            lines = if args.json {
                vec![explained_json(&case, &message.thresholds, message.log_size).to_string()]
            } else {
                explained(&case, &message.thresholds, language)
            };
        }
        entries.extend(message.entry);
    }
    print(&lines, language)?;
    let mut output = Output::new(args.json, language);
    for entry in &entries {
        output.take(entry)?;
    }
    output.flush()
}

fn explained_json(case: &Case, thresholds: &[DetectorThresholds], log_size: u64) -> Value {
    let mut value = case_json(case, log_size);
    let thresholds: Vec<Value> = thresholds
        .iter()
        .map(|one| {
            json!({
                "detector": one.detector,
                "score": one.score,
                "least": one.least.map(|least| least.to_string()),
                "withinSeconds": one.within_seconds.map(|seconds| seconds.to_string()),
                "rule": one.rule,
            })
        })
        .collect();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("thresholds".to_owned(), thresholds.into());
    }
    value
}

fn explained(case: &Case, thresholds: &[DetectorThresholds], language: Language) -> Vec<String> {
    let mut lines = vec![neutralise(&format!(
        "{}  {}  {}",
        case.day,
        who(case),
        case.department
    ))];
    for (finding, of) in case.findings.iter().zip(thresholds) {
        lines.push(String::new());
        lines.push(neutralise(&format!(
            "{}: {}",
            finding.detector,
            says(finding, language)
        )));
        lines.push(format!("  {}", went_by(of, language)));
        let shown: Vec<String> = finding.log_indexes.iter().map(u64::to_string).collect();
        let (count, shown) = (finding.entries.to_string(), shown.join(" "));
        let entries = Word::RestsOn.fill(language, &[&count, &shown]);
        lines.push(format!("  {entries}"));
    }
    lines.push(String::new());
    lines
}

/// What the detector went by, and where that is set.
fn went_by(of: &DetectorThresholds, language: Language) -> String {
    let mut parts = Vec::new();
    if let Some(score) = of.score {
        parts.push(Word::FromScore.fill(language, &[&format!("{score:.1}")]));
    }
    if let Some(least) = of.least {
        parts.push(Word::FromLeast.fill(language, &[&least.to_string()]));
    }
    if let Some(seconds) = of.within_seconds {
        parts.push(Word::WithinSeconds.fill(language, &[&seconds.to_string()]));
    }
    if parts.is_empty() {
        parts.push(Word::AnyTime.text(language).to_owned());
    }
    let rule = match &*of.rule {
        "" => Word::ByDefault.text(language).to_owned(),
        rule => neutralise(rule),
    };
    format!("{} ({rule})", parts.join(", "))
}

//! `sekisho incident draft`.

use std::path::PathBuf;

use super::asking;
use crate::cli::client::Connection;
use crate::cli::error::CliError;
use crate::cli::login::say;
use crate::cli::output::Destination;
use crate::cli::words::Word;
use crate::proto::{DraftReportRequest, ReportStage};
use crate::report::incident::{csv, html, json};
use crate::review::incident::Item;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StageArg {
    /// 速報: what is known
    Preliminary,
    /// 確報: all nine items
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormArg {
    /// A page that prints, in --lang
    Html,
    /// One JSON object, in both languages
    Json,
    /// The nine items, RFC 4180 in UTF-8 with a byte order mark, in --lang
    Csv,
}

/// Arguments of `sekisho incident draft`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DraftArgs {
    /// The incident's number
    #[arg(value_name = "NUMBER")]
    incident: u64,
    /// Which report
    #[arg(long, value_enum, default_value_t = StageArg::Preliminary)]
    stage: StageArg,
    /// What it is written as
    #[arg(long, value_enum, default_value_t = FormArg::Html)]
    format: FormArg,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Writes a draft; what the report lacks is told on standard error.
///
/// # Errors
/// When the daemon refuses, or the file can't be made.
pub(super) async fn draft(args: DraftArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let stage = match args.stage {
        StageArg::Preliminary => ReportStage::Preliminary,
        StageArg::Final => ReportStage::Final,
    };
    let request = asking.request(DraftReportRequest {
        incident: args.incident,
        stage: stage.into(),
    })?;
    let answer = asking.service.draft_report(request);
    let answer = asking.target.answer(answer).await?;
    let draft = answer.into_inner();
    let text = match args.format {
        FormArg::Html => html(&draft, language.of_reports()),
        FormArg::Csv => csv(&draft, language.of_reports()),
        FormArg::Json => format!("{:#}\n", json(&draft)),
    };
    let mut out = Destination::open(args.output.as_deref())?;
    out.write(&text, language)?;
    out.finish(language)?;
    let missing: Vec<&str> = draft
        .items
        .iter()
        .filter(|item| item.missing)
        .filter_map(|item| Item::from_number(item.item))
        .map(Item::word)
        .collect();
    if !missing.is_empty() {
        say(&Word::IncidentMissing.fill(language, &[&missing.join(", ")]));
    }
    Ok(())
}

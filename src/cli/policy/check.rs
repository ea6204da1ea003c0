//! `sekisho policy check`: everything that is wrong with a pack, and `sekisho policy schema`: what an editor knows of `pack.toml`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use serde_json::Value;

use super::closed_output_is_no_failure;
use crate::cli::Failure;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::table::Screen;
use crate::cli::words::{Language, Word};
use crate::policy::{self, Finding, Pack, Severity};

/// Arguments of `sekisho policy check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the pack is in order, or there are only warnings; 78 there are errors, or warnings with --deny-warnings.
An error refuses the pack. A warning is something that is in order and can't be meant so: a rule that allows nothing, or
nothing that another one doesn't; a purpose that no rule is for.")]
pub(in crate::cli) struct CheckArgs {
    /// The pack's folder
    #[arg(value_name = "FOLDER")]
    pack: PathBuf,
    /// One JSON list: severity, code, file, line, column, length, message, suggestion of each
    #[arg(long)]
    json: bool,
    /// Fail on warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// Checks a pack.
///
/// # Errors
/// 78 when it has errors or, with `--deny-warnings`, warnings.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    let (findings, loaded) = match policy::load(&args.pack) {
        Ok(pack) => (pack.warnings.clone(), Some(pack)),
        Err(errors) => (errors.0, None),
    };
    closed_output_is_no_failure(tell(&findings, loaded.as_ref(), args.json, language))?;
    let of = |severity| {
        let found = findings.iter();
        found.filter(|finding| finding.severity == severity).count()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    if errors > 0 || (args.deny_warnings && warnings > 0) {
        let values = [errors.to_string(), warnings.to_string()];
        let [errors, warnings] = &values;
        let told = Word::PackFindings.fill(language, &[errors, warnings]);
        return Err(Failure::configuration(told));
    }
    Ok(())
}

fn tell(
    findings: &[Finding],
    loaded: Option<&Pack>,
    json: bool,
    language: Language,
) -> Result<(), CliError> {
    let japanese = language == Language::Japanese;
    if json {
        let all: Vec<Value> = findings
            .iter()
            .map(|finding| finding.json(japanese))
            .collect();
        return print(&[Value::from(all).to_string()], language);
    }
    if std::io::stdout().is_terminal() {
        let colours = Screen::of_output(|name| std::env::var_os(name)).colours;
        let drawn = findings
            .iter()
            .map(|finding| finding.pretty(japanese, colours) + "\n");
        print_drawn(drawn, language)?;
    } else {
        let lines: Vec<String> = findings
            .iter()
            .map(|finding| finding.plain(japanese))
            .collect();
        print(&lines, language)?;
    }
    let Some(pack) = loaded else { return Ok(()) };
    let rules = &pack.rules;
    let counts = [
        rules.systems.len(),
        rules.services.len(),
        rules.networks.len(),
        rules.roles.len(),
        rules.kinds.len(),
        rules.categories.len(),
        rules.purposes.len(),
        rules.recipients.len(),
        rules.grants.len(),
        rules.promises.len(),
        findings.len(),
    ]
    .map(|count| count.to_string());
    let mut values = vec![&*rules.pack];
    values.extend(counts.iter().map(String::as_str));
    let revision = data_encoding::HEXLOWER.encode(&rules.revision);
    let lines = [
        Word::PackInOrder.fill(language, &values),
        Word::PackRevision.fill(language, &[&revision]),
    ];
    print(&lines, language)
}

/// Prints what is drawn for a terminal, colours and all; whoever drew it made it harmless.
fn print_drawn(drawn: impl Iterator<Item = String>, language: Language) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    for one in drawn {
        writeln!(out, "{one}").map_err(|error| CliError::of_output(&error, language))?;
    }
    out.flush()
        .map_err(|error| CliError::of_output(&error, language))
}

/// Prints the JSON Schema of `pack.toml`.
///
/// # Errors
/// When output can't be written.
pub(super) fn schema() -> Result<(), Failure> {
    let language = Language::choose(None, |name| std::env::var_os(name));
    let text = format!("{:#}", policy::schema());
    let lines: Vec<&str> = text.lines().collect();
    closed_output_is_no_failure(print(&lines, language))
}

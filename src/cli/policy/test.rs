//! `sekisho policy test`: the scenarios of a pack, and what they reach.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::stages::Shown;
use super::{closed_output_is_no_failure, junit, refused};
use crate::cli::Failure;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::table::{Cell, Column, Tone, drawn};
use crate::cli::words::{Language, Word};
use crate::files::write_plain;
use crate::policy::scenarios::{self, Came, Coverage, Decided, Left, Sort, Tested};
use crate::policy::{self, Pack};

/// Arguments of `sekisho policy test`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TestArgs {
    /// The pack's folder; its scenarios are in FOLDER/scenarios/*.toml
    #[arg(value_name = "FOLDER")]
    pack: PathBuf,
    /// Tell rule by rule what the scenarios reach, and fail when something is not reached
    #[arg(long)]
    coverage: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Write the scenarios as JUnit XML besides, for build servers; replaces the file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// Plays the scenarios.
///
/// # Errors
/// 78 when the pack or a scenario can't be read, 65 when one fails or, with `--coverage`, something is not reached.
pub(super) fn test(args: &TestArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    let pack = policy::load(&args.pack).map_err(|errors| refused(&errors, language))?;
    let all = scenarios::load(&args.pack).map_err(Failure::configuration)?;
    let tested = scenarios::test(&pack, &all);
    let coverage = args.coverage.then(|| Coverage::of(&pack, &tested));
    let counts = Counts::of(&tested);
    if let Some(path) = &args.junit {
        let stages = |came: &Came| match came {
            Came::Otherwise { decided, .. } => stages(&pack, decided.as_deref()),
            Came::AsExpected(_) | Came::Left(_) => Vec::new(),
        };
        let xml = junit::xml(&pack, &tested, stages, language);
        write_plain(path, xml.as_bytes()).map_err(|error| CliError::of_file(&error))?;
    }
    let lines = if args.json {
        vec![as_json(&pack, &tested, &counts, coverage.as_ref()).to_string()]
    } else {
        let mut lines = failures(&pack, &tested, language);
        lines.extend(
            coverage
                .iter()
                .flat_map(|coverage| table(coverage, language)),
        );
        lines.extend(counts.lines(&pack, language));
        lines.extend(
            coverage
                .iter()
                .flat_map(|coverage| totals(coverage, language)),
        );
        lines
    };
    closed_output_is_no_failure(print(&lines, language))?;
    let missed = coverage
        .as_ref()
        .map_or(0, |coverage| coverage.missed().count());
    match (counts.failed, missed) {
        (0, 0) => Ok(()),
        (0, missed) => Err(Failure::new(
            65,
            Word::NotAllReached.fill(language, &[&missed.to_string()]),
        )),
        (failed, _) => Err(Failure::new(
            65,
            Word::ScenariosFailed.fill(language, &[&failed.to_string()]),
        )),
    }
}

/// How many scenarios came out how.
#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    left: BTreeMap<Left, usize>,
}

impl Counts {
    fn of(tested: &[Tested]) -> Self {
        let mut counts = Self::default();
        for one in tested {
            match &one.came {
                Came::AsExpected(_) => counts.passed += 1,
                Came::Otherwise { .. } => counts.failed += 1,
                Came::Left(why) => *counts.left.entry(*why).or_default() += 1,
            }
        }
        counts
    }

    fn left(&self) -> usize {
        self.left.values().sum()
    }

    fn lines(&self, pack: &Pack, language: Language) -> Vec<String> {
        let counts = [self.passed, self.failed, self.left()].map(|count| count.to_string());
        let [passed, failed, left] = &counts;
        let values = [&*pack.rules.pack, passed, failed, left];
        let mut lines = vec![Word::ScenariosPlayed.fill(language, &values)];
        for (why, count) in &self.left {
            let why = match why {
                Left::NotARequest => Word::LeftNotARequest,
                Left::AtTheLogin => Word::LeftAtTheLogin,
                Left::Repeated => Word::LeftRepeated,
            };
            let values = [&*count.to_string(), why.text(language)];
            lines.push(format!("  {}", Word::ScenariosLeft.fill(language, &values)));
        }
        lines
    }
}

/// The scenarios that came out otherwise, each with every stage.
fn failures(pack: &Pack, tested: &[Tested], language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    for one in tested {
        let Came::Otherwise { problems, decided } = &one.came else {
            continue;
        };
        lines.push(Word::ScenarioFailed.fill(language, &[&one.file, &one.name]));
        lines.extend(problems.iter().map(|problem| format!("    {problem}")));
        for stage in stages(pack, decided.as_deref()) {
            let told = stage.lines(language).into_iter();
            lines.extend(told.map(|line| format!("        {line}")));
        }
    }
    lines
}

fn stages(pack: &Pack, decided: Option<&Decided>) -> Vec<Shown> {
    let Some(decided) = decided else {
        return Vec::new();
    };
    let stages = decided.verdict.trace().stages.iter();
    stages
        .map(|stage| Shown::of(&pack.rules, decided, stage))
        .collect()
}

/// Every rule and reason, and the first scenario that reaches it.
fn table(coverage: &Coverage, language: Language) -> Vec<String> {
    let column = |head, least| Column::of(head, least, language);
    let columns = [
        column(Word::HeadSort, 8),
        column(Word::HeadRule, 12),
        column(Word::HeadAt, 8),
        column(Word::HeadReachedBy, 10),
    ];
    let rows: Vec<Vec<Cell>> = coverage
        .items
        .iter()
        .map(|item| {
            let plain = |text: &str| Cell::new(text, Tone::Plain);
            let at = item.rule.map_or_else(String::new, |rule| rule.to_string());
            vec![
                plain(item.sort.name()),
                plain(&item.name),
                plain(&at),
                match &item.hit_by {
                    Some(by) => plain(by),
                    None => Cell::new(Word::NotReached.text(language), Tone::Bad),
                },
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

/// In hundredths, rounded down: 100 is only what is whole.
const fn per_cent(hit: usize, of: usize) -> usize {
    match (hit * 100).checked_div(of) {
        Some(per_cent) => per_cent,
        None => 100,
    }
}

fn totals(coverage: &Coverage, language: Language) -> Vec<String> {
    let mut lines: Vec<String> = Sort::ALL
        .into_iter()
        .filter_map(|sort| {
            let (hit, of) = coverage.total(sort);
            let values = [hit, of, per_cent(hit, of)].map(|number| number.to_string());
            let [hit, number, per_cent] = &values;
            (of > 0).then(|| Word::Reached.fill(language, &[sort.name(), hit, number, per_cent]))
        })
        .collect();
    let dead = coverage.out_of_reach.len();
    if dead > 0 {
        lines.push(Word::OutOfReach.fill(language, &[&dead.to_string()]));
        lines.extend(coverage.out_of_reach.iter().map(|item| {
            let at = item.rule.map_or_else(String::new, |rule| rule.to_string());
            format!("  {at}: {}", item.name)
        }));
    }
    for code in &coverage.unforeseen {
        lines.push(Word::Unforeseen.fill(language, &[code.name()]));
    }
    lines
}

fn as_json(pack: &Pack, tested: &[Tested], counts: &Counts, coverage: Option<&Coverage>) -> Value {
    let failed = tested.iter().filter_map(|one| match &one.came {
        Came::Otherwise { problems, decided } => Some(json!({
            "file": one.file,
            "name": one.name,
            "problems": problems,
            "stages": stages(pack, decided.as_deref()).iter().map(Shown::json).collect::<Vec<_>>(),
        })),
        Came::AsExpected(_) | Came::Left(_) => None,
    });
    let left = tested.iter().filter_map(|one| match &one.came {
        Came::Left(why) => Some(json!({ "file": one.file, "name": one.name, "why": why.name() })),
        Came::AsExpected(_) | Came::Otherwise { .. } => None,
    });
    let mut value = json!({
        "pack": pack.rules.pack,
        "revision": data_encoding::HEXLOWER.encode(&pack.rules.revision),
        "passed": counts.passed,
        "failed": counts.failed,
        "left": counts.left(),
        "failures": failed.collect::<Vec<_>>(),
        "notPlayed": left.collect::<Vec<_>>(),
    });
    if let (Some(coverage), Value::Object(fields)) = (coverage, &mut value) {
        let totals = Sort::ALL.into_iter().filter_map(|sort| {
            let (hit, of) = coverage.total(sort);
            let total = json!({ "hit": hit, "of": of, "perCent": per_cent(hit, of) });
            (of > 0).then(|| (sort.name().to_owned(), total))
        });
        let items = coverage.items.iter().map(|item| {
            json!({
                "sort": item.sort.name(),
                "name": item.name,
                "rule": item.rule.map(|rule| rule.to_string()),
                "hit": item.hit_by.is_some(),
                "hitBy": item.hit_by,
            })
        });
        let coverage = json!({
            "totals": totals.collect::<serde_json::Map<_, _>>(),
            "items": items.collect::<Vec<_>>(),
            "outOfReach": coverage.out_of_reach.iter().map(|item| json!({
                "name": item.name,
                "rule": item.rule.map(|rule| rule.to_string()),
            })).collect::<Vec<_>>(),
        });
        fields.insert("coverage".into(), coverage);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_per_cent_is_whole() {
        assert_eq!(per_cent(999, 1_000), 99);
        assert_eq!(per_cent(1_000, 1_000), 100);
        assert_eq!(per_cent(0, 0), 100);
    }
}

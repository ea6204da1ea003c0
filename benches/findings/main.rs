//! How good findings are, and what they cost: `cargo bench --bench findings`. On generated years of two million entries with forty
//! misuses of twelve kinds it tells how many are found, how many cases are one, and how many cases there are for 100 people and month
//! (30 at most, else it fails), beside an hourly z-score. Thresholds were chosen on seed 1; the other seeds were looked at afterwards, and before the last mends.
//!
//! `-- --entries 10000000` writes a log of so many entries instead, and times the findings of one month of it, read from disk by one
//! thread.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic
)] // traffic that can't be generated as meant is no measurement

#[path = "../support/numbers.rs"]
mod numbers;
mod quality;
#[path = "../support/mod.rs"]
mod support;
mod year;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sekisho::decision::rules::RuleSet;
use sekisho::domain::ids::LogIndex;
use sekisho::log::{AccessLog, LogConfig, LogReader, Period, SigningSeed};
use sekisho::policy;
use sekisho::review::{Days, Scan};
use support::{Outcome, ended, tell};
use time::{Date, UtcOffset};

use quality::{Quality, quality, share};
use year::{KINDS, Year};

const SEEDS: [u64; 4] = [1, 2, 3, 4];
const PEOPLE: usize = 300;
const YEAR: i32 = 365;
/// Cases for 100 people and month.
const CASES_MAX: f64 = 30.0;
/// Seconds for the findings of a month of ten million entries.
const SECONDS_MAX: u64 = 60;

fn main() -> ExitCode {
    ended(run())
}

fn run() -> Outcome<()> {
    if cfg!(debug_assertions) {
        // Where all targets are tested, this one has nothing to say.
        tell("not measured: an unoptimised build tells nothing (cargo bench --bench findings)");
        return Ok(());
    }
    let mut words = std::env::args()
        .skip_while(|word| word != "--entries")
        .skip(1);
    let rules = rules()?;
    match words.next() {
        Some(entries) => cost(&rules, entries.parse()?),
        None => good(&rules),
    }
}

/// A pack that sets no detector, by UTC.
fn rules() -> Outcome<RuleSet> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
    let mut rules = policy::load(&folder)?.rules;
    rules.detectors.clear();
    rules.utc_offset = UtcOffset::UTC;
    Ok(rules)
}

fn good(rules: &RuleSet) -> Outcome<()> {
    let mut missed = 0;
    for seed in SEEDS {
        let began = Instant::now();
        let of = quality(rules, seed, PEOPLE, YEAR);
        tell(&told(seed, &of));
        tell(&format!(
            "generated and looked through in {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        if of.budget(of.cases) > CASES_MAX {
            tell(&format!(
                "MISSED: more than {CASES_MAX} cases for 100 people and month"
            ));
            missed += 1;
        }
    }
    match missed {
        0 => Ok(()),
        _ => Err("the number of cases is missed".into()),
    }
}

fn told(seed: u64, of: &Quality) -> String {
    let mut text = format!(
        "\nseed {seed}: {} entries, {} people, {:.1} months with a past\n\
         | misuse | done | found | by an hourly z-score |\n|---|---|---|---|\n",
        of.entries, of.people, of.months
    );
    for ((kind, _), counts) in KINDS.iter().zip(&of.kinds) {
        let row = format!(
            "| {kind} | {} | {} | {} |\n",
            counts.done, counts.found, counts.naive
        );
        text.push_str(&row);
    }
    text.push_str(&format!(
        "recall {:.0} %, precision {:.0} % (break glass, always a case, not counted)\n\
         cases for 100 people and month: {:.1}, of them break glass {:.1}\n\
         hourly z-score of 3: {:.0} alarms for 100 people and month, precision {:.1} %\n\
         cases that are none, by detector:",
        of.recall() * 100.0,
        of.precision() * 100.0,
        of.budget(of.cases),
        of.budget(of.break_glass),
        of.budget(of.naive),
        share(of.naive_right, of.naive) * 100.0,
    ));
    for (detector, count) in &of.wrong {
        text.push_str(&format!(" {} {count}", detector.word()));
    }
    text
}

fn config(directory: &Path) -> LogConfig {
    LogConfig {
        deadline: std::time::Duration::from_secs(60),
        ..LogConfig::new(directory.to_owned(), SigningSeed::new(&[7; 32]))
    }
}

/// Entries that are appended together.
const UNIT: usize = 2_000;

fn cost(rules: &RuleSet, entries: u64) -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let people = usize::try_from(entries / 6_500)?.max(50);
    let mut year = Year::new(1, people, YEAR);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let directory = folder.path().join("log");
    let log = AccessLog::open(config(&directory), "bench.example/log")?.log;
    let began = Instant::now();
    let written = runtime.block_on(async {
        let mut written = 0_u64;
        for day in 0..YEAR {
            for unit in year.day(day).chunks(UNIT) {
                log.append(unit)?.await?;
                written += unit.len() as u64;
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(written)
    })?;
    log.close();
    tell(&format!(
        "{written} entries of {people} people written in {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    let reader = LogReader::open_directory(&directory)?;
    let month = |month, day| Date::from_calendar_date(2025, month, day);
    let days = Days::new(
        month(time::Month::November, 1)?,
        month(time::Month::November, 30)?,
    )?;
    let people = year.directory();
    let (from, until) = days.read(rules.utc_offset);
    let period = Period {
        from: Some(from),
        until: Some(until),
    };
    let began = Instant::now();
    let last = reader.get(LogIndex(written.saturating_sub(1)))?;
    let as_of = last.map(|kept| kept.time()).ok_or("an empty log")?;
    let mut scan = Scan::new(rules, people.iter(), days, as_of);
    for kept in reader.forward_within(LogIndex(0), period) {
        let kept = kept?;
        scan.take(kept.index, &kept.entry()?);
    }
    let cases = scan.finish().len();
    let took = began.elapsed();
    tell(&format!(
        "the findings of November, {cases} cases: {:.1} s, {:.2} µs for each entry",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / written as f64
    ));
    if took.as_secs() > SECONDS_MAX && entries <= 10_000_000 {
        return Err(format!("MISSED: more than {SECONDS_MAX} s").into());
    }
    Ok(())
}

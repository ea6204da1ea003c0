//! What the access log costs to write, open, index, search and verify, on a log made for it:
//! `cargo bench --bench log`, with `-- --entries 10000000` (or `SEKISHO_LOG_ENTRIES`) for the long form; a million otherwise.
//! `--per-day 10000` makes many small segments: one ends with its day.
//!
//! | file | job |
//! |---|---|
//! | `entries` | what is in the log |
//! | `append` | the log through its writer; one append beside a bare `fdatasync` of the same bytes |
//! | `search` | pages by each filter |
//! | `measure` | medians and memory |
//!
//! The log lies under the target folder and is removed afterwards: the disk is whatever that is on, and every sync is real.
//! What is read has just been written, so the page cache holds as much of it as there is memory for.

#[path = "../support/numbers.rs"]
mod numbers;
#[path = "../support/mod.rs"]
mod support;

mod append;
mod entries;
mod measure;
mod search;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use entries::House;
use sekisho::index::{Index, IndexConfig, plain, rebuild};
use sekisho::log::{AccessLog, LogReader, VerifyOptions};

use support::{Outcome, ended, tell};

const ENTRIES: u64 = 1_000_000;
const FEWEST: u64 = 10_000;
/// More than a segment holds.
const PER_DAY: u64 = 200_000;

fn main() -> ExitCode {
    ended(run())
}

/// How many entries are asked for, and how many of them a day has.
fn scale() -> Outcome<(u64, House)> {
    let mut house = House { per_day: PER_DAY };
    let mut scale = std::env::var("SEKISHO_LOG_ENTRIES").ok();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--entries" => scale = Some(arguments.next().ok_or("--entries: how many?")?),
            "--per-day" => {
                house.per_day = arguments.next().ok_or("--per-day: how many?")?.parse()?
            }
            // Cargo's own.
            "--bench" => {}
            other => {
                return Err(
                    format!("{other}: the arguments are --entries N and --per-day N").into(),
                );
            }
        }
    }
    let scale = scale.map_or(Ok(ENTRIES), |scale| scale.replace('_', "").parse())?;
    if scale < FEWEST {
        return Err(format!("{scale} entries say nothing: {FEWEST} or more").into());
    }
    Ok((scale, house))
}

/// A directory that is gone when this is.
struct Home(PathBuf);

impl Home {
    fn make() -> Outcome<Self> {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run() -> Outcome<()> {
    let (entries, house) = scale()?;
    if cfg!(debug_assertions) {
        // Where all targets are tested, this one has nothing to say.
        tell("not measured: an unoptimised build tells nothing (cargo bench --bench log)");
        return Ok(());
    }
    let home = Home::make()?;
    let runtime = tokio::runtime::Runtime::new()?;
    tell(&format!("memory at the start: {}", measure::memory()?));
    append::cost(&runtime, &home.0)?;

    let directory = home.0.join("log");
    let began = Instant::now();
    append::fill(&runtime, &directory, entries, house)?;
    let bytes = measure::bytes_of(&directory)?;
    tell(&format!(
        "\nwritten: {entries} entries in {:.1} s, {} bytes each with their frames",
        began.elapsed().as_secs_f64(),
        bytes / entries
    ));
    tell(&format!("memory after writing: {}", measure::memory()?));

    let began = Instant::now();
    let log = AccessLog::open(append::config(&directory), "bench.example/log")?.log;
    tell(&format!(
        "open: {:.3} s; goal 2 s or less",
        began.elapsed().as_secs_f64()
    ));
    tell(&format!("memory after opening: {}", measure::memory()?));
    index(&home.0, &log.reader(), bytes)?;

    let config = index_config(&home.0);
    let index = Index::start(config, log.reader(), plain());
    let began = Instant::now();
    while index.lag() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    tell(&format!(
        "taken up by a daemon that starts: {:.3} s until it lags behind nothing",
        began.elapsed().as_secs_f64()
    ));
    tell(&format!("memory with the index: {}", measure::memory()?));
    search::all(&log.reader(), &index, entries, house)?;
    tell(&format!("memory after searching: {}", measure::memory()?));
    index.stop();
    log.close();
    verify(&directory)
}

fn verify(directory: &Path) -> Outcome<()> {
    let began = Instant::now();
    let verified = sekisho::log::verify(directory, &VerifyOptions::default(), &|_| {})?;
    let took = began.elapsed().as_secs_f64();
    tell(&format!(
        "verify: {} entries in {} segments in {took:.2} s: {:.0} a second; goal 1000000 or more",
        verified.entries,
        verified.segments,
        measure::float(verified.entries) / took
    ));
    tell(&format!("memory after verifying: {}", measure::memory()?));
    Ok(())
}

fn index_config(home: &Path) -> IndexConfig {
    IndexConfig {
        directory: home.join("index"),
        spare_bytes: 0,
    }
}

fn index(home: &Path, reader: &LogReader, log_bytes: u64) -> Outcome<()> {
    let (began, used) = (Instant::now(), measure::processor()?);
    let made = rebuild(index_config(home), reader, &plain(), |_| {})?;
    let took = began.elapsed().as_secs_f64();
    let used = (measure::processor()? - used).as_secs_f64();
    if let Some(failed) = made.failed.first() {
        return Err(failed.to_string().into());
    }
    if made.entries == 0 {
        tell("index: no segment has closed; ask for more entries");
        return Ok(());
    }
    tell(&format!(
        "index: {} entries in {} segments in {took:.1} s: {:.0} a second by one thread, {:.0} a second of processor; goal \
         200000 or more",
        made.entries,
        made.segments,
        measure::float(made.entries) / took,
        measure::float(made.entries) / used
    ));
    tell(&format!(
        "index: {:.1} bytes for each entry, {:.1} % of the log",
        measure::float(made.bytes) / measure::float(made.entries),
        measure::float(made.bytes) / measure::float(log_bytes) * 100.0
    ));
    tell(&format!("memory after indexing: {}", measure::memory()?));
    Ok(())
}

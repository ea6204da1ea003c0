//! The log through its writer; and one append beside a bare `fdatasync` of the same bytes.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message as _;
use sekisho::log::{AccessLog, LogConfig, SigningSeed};
use tokio::runtime::Runtime;

use super::entries::House;
use super::measure::{float, quantile};
use super::{Outcome, tell};

const USUAL: House = House { per_day: 100_000 };
const UNIT_ENTRIES: u64 = 500;
const UNITS_IN_FLIGHT: usize = 16;
const FRAME_BYTES: usize = 24;
const BARE_BYTES: usize = 64 << 20;
/// Many short rounds, the two by turns: a disk that changes its pace is then the same for both.
const ROUNDS: usize = 12;
const ROUND: Duration = Duration::from_millis(300);

pub(crate) fn config(directory: &Path) -> LogConfig {
    LogConfig {
        deadline: Duration::from_secs(60),
        ..LogConfig::new(directory.to_owned(), SigningSeed::new(&[7; 32]))
    }
}

/// Writes the log that all the rest is measured on.
pub(crate) fn fill(runtime: &Runtime, directory: &Path, entries: u64, house: House) -> Outcome<()> {
    let log = AccessLog::open(config(directory), "bench.example/log")?.log;
    runtime.block_on(async {
        let mut waiting = VecDeque::new();
        let mut next = 0;
        while next < entries {
            let unit: Vec<_> = (next..entries.min(next + UNIT_ENTRIES))
                .map(|number| house.entry(number))
                .collect();
            next += UNIT_ENTRIES;
            waiting.push_back(log.append(&unit)?);
            if waiting.len() >= UNITS_IN_FLIGHT
                && let Some(first) = waiting.pop_front()
            {
                first.await?;
            }
        }
        for rest in waiting {
            rest.await?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    log.close();
    Ok(())
}

/// What an append costs its caller, by how many wait at once.
pub(crate) fn cost(runtime: &Runtime, home: &Path) -> Outcome<()> {
    let log = AccessLog::open(config(&home.join("append")), "bench.example/append")?.log;
    let bare = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(home.join("bare"))?;
    bare.write_all_at(&vec![0; BARE_BYTES], 0)?;
    bare.sync_all()?;
    tell("\nappend, beside a bare write and fdatasync of the same bytes:");
    for waiters in [1, 64, 1_024] {
        let mut offset = 0;
        let (mut logged, mut alone) = (Vec::new(), Vec::new());
        let (mut logged_rate, mut alone_rate) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (latencies, rate) = bare_round(&bare, waiters, &mut offset)?;
            alone.extend(latencies);
            alone_rate.push(rate);
            let (latencies, rate) = runtime.block_on(log_round(&log, waiters))?;
            logged.extend(latencies);
            logged_rate.push(rate);
        }
        logged_rate.sort_unstable_by(f64::total_cmp);
        alone_rate.sort_unstable_by(f64::total_cmp);
        let middle = |rates: &[f64]| rates.get(rates.len() / 2).copied().unwrap_or(0.0);
        let (log_p50, log_p99) = (quantile(&mut logged, 50)?, quantile(&mut logged, 99)?);
        let (bare_p50, bare_p99) = (quantile(&mut alone, 50)?, quantile(&mut alone, 99)?);
        tell(&format!(
            "  {waiters:>4} waiting: median {log_p50:.0} µs, bare {bare_p50:.0} µs: ratio {:.2}; 99th {log_p99:.0} µs, bare \
             {bare_p99:.0} µs; {:.0} entries a second, bare {:.0}: ratio {:.2}",
            log_p50 / bare_p50,
            middle(&logged_rate),
            middle(&alone_rate),
            middle(&logged_rate) / middle(&alone_rate)
        ));
    }
    log.close();
    std::fs::remove_dir_all(home.join("append"))?;
    std::fs::remove_file(home.join("bare"))?;
    Ok(())
}

/// As many entries as wait, in one write and one sync, over and over.
fn bare_round(
    bare: &std::fs::File,
    waiters: usize,
    offset: &mut usize,
) -> Outcome<(Vec<Duration>, f64)> {
    let one = (USUAL.entry(1).encoded_len() + FRAME_BYTES).next_multiple_of(8);
    let bytes = vec![7; one * waiters];
    let mut latencies = Vec::new();
    let began = Instant::now();
    while began.elapsed() < ROUND {
        if *offset + bytes.len() > BARE_BYTES {
            *offset = 0;
        }
        let asked = Instant::now();
        bare.write_all_at(&bytes, *offset as u64)?;
        bare.sync_data()?;
        latencies.push(asked.elapsed());
        *offset += bytes.len();
    }
    let entries = float((latencies.len() * waiters) as u64);
    Ok((latencies, entries / began.elapsed().as_secs_f64()))
}

/// That many callers, each with one append at a time.
async fn log_round(log: &AccessLog, waiters: usize) -> Outcome<(Vec<Duration>, f64)> {
    let began = Instant::now();
    let callers: Vec<_> = (0..waiters)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let one = [USUAL.entry(1)];
                let mut latencies = Vec::new();
                while began.elapsed() < ROUND {
                    let asked = Instant::now();
                    log.append(&one)?.await?;
                    latencies.push(asked.elapsed());
                }
                Ok::<_, sekisho::log::AppendError>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await??);
    }
    let entries = float(latencies.len() as u64);
    Ok((latencies, entries / began.elapsed().as_secs_f64()))
}

//! What a million registered subjects cost: memory, the start, the look of a check, the stages that ask about them, an import:
//! `cargo bench --bench subjects`, with `-- --subjects 100000` for another number.
//!
//! | file | job |
//! |---|---|
//! | `register` | what is registered, in memory: bytes, and the look of a check |
//! | `stages` | decisions about subjects of whom much is registered, beside some of whom nothing is |
//! | `stored` | an import into the embedded store, and the start that reads it |
//!
//! The store lies under the target folder and is removed afterwards: the disk is whatever that is on, and every sync is real.

#[path = "../support/mod.rs"]
mod support;

mod register;
mod stages;
mod stored;

use std::process::ExitCode;
use std::time::Duration;

use sekisho::domain::subject::Pseudonym;

use support::{Outcome, ended, tell};

const SUBJECTS: u32 = 1_000_000;
/// A check's look for one subject, at most.
const LOOK_AT_MOST: Duration = Duration::from_micros(2);

fn main() -> ExitCode {
    ended(run())
}

fn subjects() -> Outcome<u32> {
    let mut subjects = SUBJECTS;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--subjects" => subjects = arguments.next().ok_or("--subjects: how many?")?.parse()?,
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("{other}: the argument is --subjects N").into()),
        }
    }
    Ok(subjects.max(1_000))
}

fn run() -> Outcome<()> {
    let subjects = subjects()?;
    if cfg!(debug_assertions) {
        // Where all targets are tested, this one has nothing to say.
        tell("not measured: an unoptimised build tells nothing (cargo bench --bench subjects)");
        return Ok(());
    }
    let register = register::measure(subjects)?;
    stages::measure(&register, subjects)?;
    drop(register);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    tokio::runtime::Runtime::new()?.block_on(stored::measure(subjects, folder.path()))
}

/// As random as any, and the same in every run.
fn pseudonym(number: u32) -> Pseudonym {
    let mut bytes = [0; 32];
    let mut state = u64::from(number);
    for chunk in bytes.chunks_exact_mut(8) {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    Pseudonym(bytes)
}

/// Numbers all over the place, each once: what one asks for next is never what was asked for last.
fn scattered(all: u32) -> impl Iterator<Item = u32> {
    let step = 7_368_787 % all.max(2);
    (0..all).map(move |at| {
        let scattered = u64::from(at).wrapping_mul(u64::from(step)) % u64::from(all);
        u32::try_from(scattered).unwrap_or(0)
    })
}

fn each(took: Duration, count: u32) -> Duration {
    took / count.max(1)
}

/// What the process holds in memory.
fn resident_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? * 1_024)
}

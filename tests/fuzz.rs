//! Fuzzing of what reads a pack: packs of this repository and the corpus of malformed ones, mutated at random (bytes, lines, words,
//! pieces of other packs, rules made of a pack's own ids, so that casbin gets to read them too), are loaded; nothing may panic, take
//! longer than [`CPU_MAX`] or more memory than [`MEMORY_MAX`], and what is told must hold together.
//!
//! `SEKISHO_FUZZ_SECONDS` says for how long (5 by default; `tests/run` takes 60). Each input follows from the seed and its number
//! alone: what a failure prints plays it again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

mod support;

#[path = "fuzz/mutate.rs"]
mod mutate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use sekisho::policy::{self, Finding, Severity};

use mutate::{Files, Mutator};
use support::bad_packs::FILES;

/// One input takes at most so much time of a processor, in a debug build too.
const CPU_MAX: Duration = Duration::from_secs(2);
/// So long by the clock is a hang, however busy the machine is.
const HANG: Duration = Duration::from_secs(120);
/// So much memory beside what the process has at the start: more ends it, and the input is still on the disk.
const MEMORY_MAX: u64 = 1 << 30;
/// So many findings of an input are drawn.
const DRAWN_MAX: usize = 20;
/// Every so many inputs, one is loaded twice.
const TWICE_EVERY: u64 = 32;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value}: expected a whole number")),
    )
}

/// Time of a processor that this thread has had (`/proc/thread-self/schedstat`, first field, in nanoseconds).
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds)
}

fn bound_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes: u64 = size
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    let most = kibibytes * 1_024 + MEMORY_MAX;
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, limit).unwrap();
}

/// Ends the process where an input never ends.
fn watch(progress: Arc<AtomicU64>, seed: u64) {
    std::thread::spawn(move || {
        let mut last = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = progress.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > HANG {
                eprintln!("fuzz: an input hangs; again: {}", again(seed, now));
                std::process::abort();
            }
        }
    });
}

fn again(seed: u64, number: u64) -> String {
    format!("SEKISHO_FUZZ_SEED={seed} SEKISHO_FUZZ_INPUT={number} cargo test --test fuzz")
}

/// What all inputs came to.
#[derive(Default)]
struct Tally {
    inputs: u64,
    accepted: u64,
    codes: BTreeMap<&'static str, u64>,
    slowest: Duration,
}

#[test]
fn no_pack_makes_the_loader_panic_hang_or_say_what_does_not_hold_together() {
    let seconds = setting("SEKISHO_FUZZ_SECONDS").unwrap_or(5);
    let seed = setting("SEKISHO_FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    });
    let only = setting("SEKISHO_FUZZ_INPUT");
    support::say(&format!("fuzz: SEKISHO_FUZZ_SEED={seed}, {seconds} s"));
    let mutator = Mutator::new(seed);
    // On the disk as long as it is loaded: also when the process ends.
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    bound_memory();
    let progress = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&progress), seed);
    let mut tally = Tally::default();
    let begun = Instant::now();
    let mut number = only.unwrap_or(0);
    // The packs as they are come first, and always.
    let first = mutator.unchanged();
    while number < first || begun.elapsed() < Duration::from_secs(seconds) {
        progress.store(number, Ordering::Relaxed);
        let files = mutator.input(number);
        write(&folder, &files);
        if let Err(why) = play(&folder, number, &mut tally) {
            panic!(
                "{why}\nthe input: {}\nagain: {}",
                folder.display(),
                again(seed, number)
            );
        }
        number += 1;
        if only.is_some() {
            break;
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    support::say(&format!(
        "fuzz: {} inputs, {} accepted, {} codes told, slowest {:?} of a processor",
        tally.inputs,
        tally.accepted,
        tally.codes.len(),
        tally.slowest
    ));
    if only.is_none() {
        // Else nothing was fuzzed but the first reader.
        assert!(tally.accepted >= 7, "{}", tally.accepted);
        assert!(tally.codes.len() >= 40, "{:?}", tally.codes);
    }
}

fn write(folder: &Path, files: &Files) {
    for (file, bytes) in FILES.iter().zip(files) {
        let path = folder.join(file);
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn play(folder: &Path, number: u64, tally: &mut Tally) -> Result<(), String> {
    let before = cpu();
    let loaded = catch_unwind(|| load(folder)).map_err(|_| "the loader panicked".to_owned())?;
    let took = cpu().saturating_sub(before);
    if took > CPU_MAX {
        return Err(format!("took {took:?} of a processor"));
    }
    let (accepted, findings) = &loaded;
    catch_unwind(|| hold_together(folder, *accepted, findings))
        .map_err(|_| "telling what is wrong panicked".to_owned())??;
    if number.is_multiple_of(TWICE_EVERY) && load(folder) != loaded {
        return Err("loading it again tells something else".into());
    }
    tally.inputs += 1;
    tally.accepted += u64::from(*accepted);
    tally.slowest = tally.slowest.max(took);
    for finding in findings {
        *tally.codes.entry(finding.code).or_default() += 1;
    }
    Ok(())
}

fn load(folder: &Path) -> (bool, Vec<Finding>) {
    match policy::load(folder) {
        Ok(pack) => (true, pack.warnings),
        Err(errors) => (false, errors.0),
    }
}

/// What every list of findings promises.
fn hold_together(folder: &Path, accepted: bool, findings: &[Finding]) -> Result<(), String> {
    let wrong = |finding: &Finding, why: &str| Err(format!("{why}: {finding:?}"));
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    if accepted == (errors.count() > 0) {
        return Err(format!("accepted: {accepted}, and yet {findings:?}"));
    }
    // Of each severity 500, and a word on those that are left out.
    for severity in [Severity::Error, Severity::Warning] {
        let of = findings.iter().filter(|one| one.severity == severity);
        let count = of.count();
        if count > 501 {
            return Err(format!("{count} findings of one severity"));
        }
    }
    let known: BTreeSet<PathBuf> = FILES.iter().map(|file| folder.join(file)).collect();
    let mut texts: BTreeMap<&Path, Option<String>> = BTreeMap::new();
    for (position, finding) in findings.iter().enumerate() {
        let file = finding.file.as_path();
        if !known.contains(file) && file != folder {
            return wrong(finding, "is of another file");
        }
        for text in [&finding.message, &finding.message_ja] {
            if text.trim().is_empty() || text.contains(['\n', '\u{1b}', '\u{0}']) {
                return wrong(finding, "is no line of text");
            }
        }
        // The first of very many show how they are drawn.
        let drawn = position < DRAWN_MAX;
        for japanese in [false, true].into_iter().filter(|_| drawn) {
            let shown = [finding.pretty(japanese, false), finding.plain(japanese)].concat();
            let _ = finding.pretty(japanese, true);
            finding.json(japanese).to_string();
            if shown.contains('\u{1b}') {
                return wrong(finding, "steers a terminal");
            }
        }
        let (line, column, length) = (finding.line, finding.column, finding.length);
        if (line == 0) != (column == 0) || (line == 0) != (length == 0) {
            return wrong(finding, "has half a place");
        }
        let text = texts.entry(file).or_insert_with(|| {
            let bytes = fs::read(file).ok()?;
            String::from_utf8(bytes).ok()
        });
        let Some(text) = text.as_ref().filter(|_| line > 0) else {
            continue;
        };
        let Some(there) = text.split('\n').nth(line as usize - 1) else {
            return wrong(finding, "is beyond the file");
        };
        let characters = there.chars().count().max(1) as u32;
        // One more: what is missing at the end of a line is told behind it.
        if column > characters + 1 || column - 1 + length > characters + 1 {
            return wrong(finding, "is beyond its line");
        }
    }
    let mut sorted = findings.to_vec();
    sorted.retain(|finding| finding.code != "more-faults");
    let in_order = sorted.is_sorted_by_key(|finding| finding.severity);
    if !in_order {
        return Err(format!("errors and warnings are mixed: {findings:?}"));
    }
    Ok(())
}

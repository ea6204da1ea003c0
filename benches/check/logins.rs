//! What logins do to checks: Argon2 takes whole cores, and more are offered than those can bear. Checks are asked at a moderate
//! rate by a person with a ticket, without that and beside it; logins are offered alone, too, to be compared with Argon2's own
//! limit. All is asked open loop, and waits count from when a call was due.
//!
//! The slowest hundredth of a few seconds is at the mercy of whatever else the disk and the machine do. So there are many short
//! rounds; each is asked without logins, beside them, and without them again; a ratio is of the middle one to the mean of its
//! two neighbours. That of the neighbours to each other says how much the machine tells apart by itself.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sekisho::identity::password::{LANES, MEMORY_KIB, PASSES};

use super::busy::Busy;
use super::load::Caller;
use super::offered::{self, FirstSteps, Logins, Waits};
use super::report::{Spread, verdict};
use super::{CONNECTIONS, Outcome, Rounds, daemon};

const CHECKS_PER_SECOND: u32 = 500;
const LOGINS_PER_SECOND: u32 = 200;
const SLOWER_MAX: f64 = 2.0;
/// Of the bare library, and of logins alone.
const SHORT: Duration = Duration::from_secs(3);
/// In every so many rounds they are measured.
const LIMIT_EVERY: usize = 4;

/// All rounds.
pub(super) struct Report {
    rounds: Rounds,
    threads: usize,
    /// Verifications a second of the bare library.
    limit: Vec<f64>,
    alone: Vec<FirstSteps>,
    checks: Vec<Round>,
    beside: Vec<FirstSteps>,
}

/// Of checks.
struct Round {
    /// Before and after.
    without: [Waits; 2],
    /// Logins.
    beside: Waits,
    /// Threads that only keep the cores busy.
    busy: Waits,
}

/// One of the values of waits, and what a round makes of it.
type Value = fn(&Waits) -> f64;
type OfRound = fn(&Round, Value) -> f64;

impl Round {
    fn without(&self, value: Value) -> f64 {
        let [before, after] = &self.without;
        f64::midpoint(value(before), value(after))
    }

    fn ratio(&self, value: Value) -> f64 {
        value(&self.beside) / self.without(value)
    }

    fn busy_ratio(&self, value: Value) -> f64 {
        value(&self.busy) / self.without(value)
    }

    /// Of two that should be equal.
    fn noise(&self, value: Value) -> f64 {
        let [before, after] = &self.without;
        value(after) / value(before)
    }
}

pub(super) async fn compare(rounds: Rounds, warm_up: Duration) -> Outcome<Report> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let daemon = daemon::Daemon::start(folder.path()).await?;
    let checks = daemon::checks(&daemon.login().await?);
    let caller = Caller::connect(&daemon.access, &daemon.address, CONNECTIONS).await?;
    let logins = Logins::connect(&daemon.access, &daemon.address, daemon.first_steps()?).await?;
    let ask = |length| offered::checks(&caller, &checks, CHECKS_PER_SECOND, length);
    let offer = |length| logins.offer(LOGINS_PER_SECOND, length);

    caller.ask_once(&checks).await?;
    tokio::try_join!(ask(warm_up), offer(warm_up))?;
    let threads = thread::available_parallelism()?.get();
    let mut report = Report {
        rounds,
        threads,
        limit: Vec::new(),
        alone: Vec::new(),
        checks: Vec::new(),
        beside: Vec::new(),
    };
    for number in 0..rounds.count {
        if number.is_multiple_of(LIMIT_EVERY) {
            report.limit.push(bare_argon2(threads)?);
            report.alone.push(offer(SHORT).await?);
        }
        let before = ask(rounds.length).await?;
        let (beside, steps) = tokio::try_join!(ask(rounds.length), offer(rounds.length))?;
        let spinning = Busy::start(threads)?;
        let busy = ask(rounds.length).await?;
        drop(spinning);
        let after = ask(rounds.length).await?;
        report.beside.push(steps);
        report.checks.push(Round {
            without: [before, after],
            beside,
            busy,
        });
    }
    Ok(report)
}

/// Hashes a second with as many threads, at the daemon's costs, in memory that each thread keeps, and nothing around them.
fn bare_argon2(threads: usize) -> Outcome<f64> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let started = Instant::now();
    let verify = || {
        let mut memory = vec![Block::new(); blocks];
        let (mut done, mut output) = (0_u32, [0; 32]);
        while started.elapsed() < SHORT {
            argon2.hash_password_into_with_memory(
                b"a password",
                &[7; 16],
                &mut output,
                &mut *memory,
            )?;
            done += 1;
        }
        Ok::<_, argon2::Error>(done)
    };
    let done = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(verify)).collect();
        let mut done = 0;
        for thread in running {
            done += thread.join().map_err(|_| "a thread died")??;
        }
        Outcome::Ok(done)
    })?;
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

impl Report {
    fn first_steps(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        steps: &[FirstSteps],
    ) -> fmt::Result {
        let of = |value: fn(&FirstSteps) -> f64| Spread::of(steps.iter().map(value));
        let limit = Spread::of(self.limit.iter().copied()).median;
        let share = steps.iter().map(|step| step.done_per_second / limit);
        writeln!(
            f,
            "{name:<22} {:>24} {:>18} {:>24} {:>20}",
            of(|step| step.done_per_second).show(1),
            Spread::of(share).show(2),
            of(|step| step.refused_per_second).show(1),
            of(|step| step.median / 1e3).show(0),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = Spread::of(self.limit.iter().copied());
        writeln!(
            f,
            "Logins beside checks, both over mTLS and offered open loop: medians (least–most), ratios round by round.\n
Argon2id with {} MiB, {PASSES} passes, {LANES} lane, the bare library on {} threads: {} verifications/s, {:.1} ms of one core each\n",
            MEMORY_KIB / 1_024,
            self.threads,
            limit.show(1),
            self.threads as f64 * 1e3 / limit.median
        )?;
        writeln!(
            f,
            "first steps (VerifyPassword), {LOGINS_PER_SECOND} offered a second\n{:<22} {:>24} {:>18} {:>24} {:>20}",
            "", "done/s", "of Argon2's limit", "RESOURCE_EXHAUSTED/s", "done, p50 ms"
        )?;
        self.first_steps(f, "alone", &self.alone)?;
        self.first_steps(f, "beside the checks", &self.beside)?;
        writeln!(
            f,
            "\nchecks, {CHECKS_PER_SECOND} offered a second, {} rounds of {} ms each without, beside logins, beside {} threads that only spin, without\n{:<20} {:>18} {:>20} {:>20} {:>18} {:>18} {:>18}",
            self.rounds.count,
            self.rounds.length.as_millis(),
            self.threads,
            "",
            "without",
            "beside logins",
            "beside spinning",
            "ratio: logins",
            "ratio: spinning",
            "noise of a ratio"
        )?;
        let rows: [(&str, Value); 3] = [
            ("latency p50 µs", |waits| waits.median),
            ("latency p99 µs", |waits| waits.worst_hundredth),
            ("caller late p99 µs", |waits| waits.late),
        ];
        let of =
            |what: OfRound, value| Spread::of(self.checks.iter().map(|round| what(round, value)));
        let beside: OfRound = |round, value| value(&round.beside);
        let busy: OfRound = |round, value| value(&round.busy);
        for (position, (name, value)) in rows.into_iter().enumerate() {
            let ratio = of(Round::ratio, value);
            let goal = if position == 1 {
                format!(
                    "  goal < {SLOWER_MAX:.2}: {}",
                    verdict(ratio.median < SLOWER_MAX)
                )
            } else {
                String::new()
            };
            writeln!(
                f,
                "{name:<20} {:>18} {:>20} {:>20} {:>18} {:>18} {:>18}{goal}",
                of(Round::without, value).show(0),
                of(beside, value).show(0),
                of(busy, value).show(0),
                ratio.show(2),
                of(Round::busy_ratio, value).show(2),
                of(Round::noise, value).show(2)
            )?;
        }
        let stolen: Value = |waits| waits.stolen;
        writeln!(
            f,
            "{:<20} {:>18} {:>20} {:>20}",
            "taken by the host %",
            of(Round::without, stolen).show(1),
            of(beside, stolen).show(1),
            of(busy, stolen).show(1)
        )
    }
}

//! What a durable, fully checked `Check` costs beside an empty handler, measured side by side in one run:
//! `cargo bench --bench check`, or with `-- --quick` at the end for a shorter look.
//!
//! | file | job |
//! |---|---|
//! | `daemon` | the shipped binary as `sekisho dev`, a login by both steps, the checks to ask |
//! | `empty` | the same service with nothing behind it, in a process of its own |
//! | `load` | the caller: connections, rounds, latencies |
//! | `usage` | what a server's process used |
//! | `disk` | what the disk alone takes |
//! | `report` | medians, ratios and the goals beside them |
//!
//! Both servers are processes of their own, spoken to over TLS 1.3 with client certificates on loopback, by the same caller
//! with the same messages; rounds alternate, so that a machine that grows slower meets both. The data directory lies under
//! the target folder: the disk is whatever that is on, and every sync is real.

mod daemon;
mod disk;
mod empty;
mod load;
mod report;
mod usage;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use load::{Caller, Round};
use report::Report;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 64;

/// How long it takes.
struct Plan {
    rounds: usize,
    warm_up: Duration,
    /// A round with 64 in flight.
    crowd: Duration,
    /// A round with one in flight, and one of the disk alone.
    alone: Duration,
}

const WHOLE: Plan = Plan {
    rounds: 5,
    warm_up: Duration::from_secs(2),
    crowd: Duration::from_secs(3),
    alone: Duration::from_millis(1_500),
};
const QUICK: Plan = Plan {
    rounds: 3,
    warm_up: Duration::from_millis(500),
    crowd: Duration::from_millis(1_000),
    alone: Duration::from_millis(500),
};
/// Whatever hangs, this ends: twice what the whole takes.
const LONGEST: Duration = Duration::from_secs(150);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().position(|word| word == empty::ARGUMENT) {
        Some(position) => empty::serve(arguments.get(position + 1)),
        None => measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout)] // a benchmark's result is what it prints
fn tell(line: &str) {
    println!("{line}");
}

fn measure(arguments: &[String]) -> Outcome<()> {
    let mut plan = WHOLE;
    for argument in arguments {
        match argument.as_str() {
            "--quick" => plan = QUICK,
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("{other}: the one argument there is is --quick").into()),
        }
    }
    if cfg!(debug_assertions) {
        return Err("an unoptimised build tells nothing: cargo bench --bench check".into());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        tokio::time::timeout(LONGEST, compare(&plan))
            .await
            .map_err(|_| "took too long")?
    })?;
    tell(&report.to_string());
    Ok(())
}

async fn compare(plan: &Plan) -> Outcome<Report> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let daemon = daemon::Daemon::start(folder.path()).await?;
    let ticket = daemon.login().await?;
    let checks = daemon::checks(&ticket);
    let check_caller = Caller::connect(&daemon.access, &daemon.address, CONNECTIONS).await?;
    let answer = check_caller.ask_once(&checks).await?;
    let empty = empty::Empty::start(daemon.folder(), &answer).await?;
    let empty_caller = Caller::connect(&daemon.access, &empty.address, CONNECTIONS).await?;
    let disk = disk::Disk::prepare(folder.path())?;
    let servers = [
        (&empty_caller, empty.process.id()),
        (&check_caller, daemon.process.id()),
    ];

    for (caller, server) in servers {
        caller
            .round(server, &checks, CONNECTIONS, IN_FLIGHT, plan.warm_up)
            .await?;
    }
    let mut report = Report::new(plan.rounds, plan.crowd, plan.alone);
    for number in 0..plan.rounds {
        let pair = pair(
            number,
            servers,
            &checks,
            (CONNECTIONS, IN_FLIGHT),
            plan.crowd,
        );
        report.crowd.push(pair.await?);
    }
    for number in 0..plan.rounds {
        report.disk.push(disk.round(plan.alone)?);
        let pair = pair(number, servers, &checks, (1, 1), plan.alone).await?;
        report.alone.push(pair);
    }
    Ok(report)
}

/// One round of each; which goes first alternates.
async fn pair(
    number: usize,
    [empty, check]: [(&Caller, u32); 2],
    checks: &load::Checks,
    (connections, in_flight): (usize, usize),
    length: Duration,
) -> Outcome<[Round; 2]> {
    let round = |(caller, server): (_, u32)| {
        Caller::round(caller, server, checks, connections, in_flight, length)
    };
    if number.is_multiple_of(2) {
        let first = round(empty).await?;
        Ok([first, round(check).await?])
    } else {
        let first = round(check).await?;
        Ok([round(empty).await?, first])
    }
}

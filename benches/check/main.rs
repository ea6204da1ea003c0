//! What a durable, fully checked `Check` costs beside an empty handler, measured side by side in one run:
//! `cargo bench --bench check`. With `-- --logins` at the end: what logins beyond what Argon2 can bear do to checks. With
//! `-- --reloads`: what reloads of a pack of 100,000 rules do to them. With `-- --quick`, alone or beside another, a shorter look.
//!
//! | file | job |
//! |---|---|
//! | `daemon` | the shipped binary as `sekisho dev`, a login by both steps, the checks to ask |
//! | `empty` | the same service with nothing behind it, in a process of its own |
//! | `load` | the caller: connections, rounds, latencies |
//! | `logins`, `offered` | logins and checks at a fixed rate, beside each other; Argon2's own limit |
//! | `reloads` | checks at a fixed rate beside reloads of a large pack |
//! | `busy` | what cores that are never idle do to checks by themselves |
//! | `usage` | what a server's process used |
//! | `disk` | what the disk alone takes |
//! | `report` | medians, ratios and the goals beside them |
//!
//! Both servers are processes of their own, spoken to over TLS 1.3 with client certificates on loopback, by the same caller
//! with the same messages; rounds alternate, so that a machine that grows slower meets both. The data directory lies under
//! the target folder: the disk is whatever that is on, and every sync is real.

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod daemon;
mod disk;
mod empty;
mod load;
mod logins;
mod offered;
mod reloads;
mod report;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use load::{Caller, Round};
use report::Report;

use support::{Outcome, ended, tell};

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 64;

/// How long it takes.
struct Plan {
    warm_up: Duration,
    /// With 64 in flight.
    crowd: Rounds,
    /// With one in flight, and of the disk alone.
    alone: Rounds,
    /// Beside logins.
    logins: Rounds,
    /// Beside reloads.
    reloads: Rounds,
}

/// Many short ones rather than few long ones: a disk or a machine that changes its pace is then the same for a whole pair.
#[derive(Clone, Copy)]
struct Rounds {
    count: usize,
    length: Duration,
}

const WHOLE: Plan = Plan {
    warm_up: Duration::from_secs(2),
    crowd: Rounds {
        count: 10,
        length: Duration::from_millis(1_500),
    },
    alone: Rounds {
        count: 25,
        length: Duration::from_millis(250),
    },
    logins: Rounds {
        count: 20,
        length: Duration::from_secs(2),
    },
    reloads: Rounds {
        count: 10,
        length: Duration::from_secs(4),
    },
};
const QUICK: Plan = Plan {
    warm_up: Duration::from_millis(500),
    crowd: Rounds {
        count: 4,
        length: Duration::from_millis(750),
    },
    alone: Rounds {
        count: 8,
        length: Duration::from_millis(200),
    },
    logins: Rounds {
        count: 5,
        length: Duration::from_secs(2),
    },
    reloads: Rounds {
        count: 3,
        length: Duration::from_secs(4),
    },
};
/// Whatever hangs, this ends.
const LONGEST: Duration = Duration::from_secs(90);
const LONGEST_OF_LOGINS: Duration = Duration::from_secs(240);
const LONGEST_OF_RELOADS: Duration = Duration::from_secs(240);

const USAGE: &str = "cargo bench --bench check [-- [--logins | --reloads] [--quick]]
  without arguments  a durable Check beside an empty handler
  --logins           checks without and beside 200 logins a second, and logins a second beside Argon2's own limit
  --reloads          checks without and beside reloads of a pack of 100,000 rules
  --quick            fewer and shorter rounds";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().position(|word| word == empty::ARGUMENT) {
        Some(position) => empty::serve(arguments.get(position + 1)),
        None => measure(&arguments),
    };
    ended(outcome)
}

fn measure(arguments: &[String]) -> Outcome<()> {
    let mut plan = WHOLE;
    let (mut with_logins, mut with_reloads) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--quick" => plan = QUICK,
            "--logins" => with_logins = true,
            "--reloads" => with_reloads = true,
            "--help" => {
                tell(USAGE);
                return Ok(());
            }
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("{other} is not known\n{USAGE}").into()),
        }
    }
    if with_logins && with_reloads {
        return Err(format!("one of --logins and --reloads\n{USAGE}").into());
    }
    if cfg!(debug_assertions) {
        // Where all targets are tested, this one has nothing to say.
        tell("not measured: an unoptimised build tells nothing (cargo bench --bench check)");
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let report = if with_logins {
        let compared = logins::compare(plan.logins, plan.warm_up);
        runtime
            .block_on(in_time(LONGEST_OF_LOGINS, compared))?
            .to_string()
    } else if with_reloads {
        let compared = reloads::compare(plan.reloads, plan.warm_up);
        runtime
            .block_on(in_time(LONGEST_OF_RELOADS, compared))?
            .to_string()
    } else {
        runtime
            .block_on(in_time(LONGEST, compare(&plan)))?
            .to_string()
    };
    tell(report.trim_end());
    Ok(())
}

async fn in_time<T>(longest: Duration, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(longest, work)
        .await
        .map_err(|_| "took too long")?
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
    let mut report = Report::new(plan.crowd, plan.alone);
    for number in 0..plan.crowd.count {
        let shape = (CONNECTIONS, IN_FLIGHT, plan.crowd.length);
        report
            .crowd
            .push(pair(number, servers, &checks, shape).await?);
    }
    for number in 0..plan.alone.count {
        report.disk.push(disk.round(plan.alone.length)?);
        let shape = (1, 1, plan.alone.length);
        report
            .alone
            .push(pair(number, servers, &checks, shape).await?);
    }
    Ok(report)
}

/// One round of each; which goes first alternates.
async fn pair(
    number: usize,
    [empty, check]: [(&Caller, u32); 2],
    checks: &load::Checks,
    (connections, in_flight, length): (usize, usize, Duration),
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

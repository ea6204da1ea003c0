//! Every scenario through the shipped binary with real grpcurl, which knows nothing of the API but what reflection tells
//! it. Time passes by libfaketime: each scenario begins an hour after the last, so that codes, counts and sessions of one
//! never reach the next. Afterwards a security manager reads each decision's entry.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::certificates::{self, Identity};
use support::compare::entry_differs;
use support::daemon::{Daemon, MovedClock};
use support::grpcurl::Grpcurl;
use support::people::People;
use support::play::{CallError, Door, Metadata, log_in, play, read_entry};
use support::scenario::{OFFICE, READERS, SESSION, Scenario, load, reader_of, registrar_of};
use support::{packs, say};

/// A daemon of its own with a clock of its own, asked by grpcurl.
struct GrpcurlDoor {
    daemon: Daemon,
    clock: MovedClock,
    grpcurl: Grpcurl,
    people: People,
    registrar: String,
    made: PathBuf,
}

impl GrpcurlDoor {
    fn open(folder: &Path, pack: &Path) -> Self {
        let data = folder.join("data");
        let clock = MovedClock::new(folder).unwrap_or_else(|missing| panic!("{missing}"));
        let daemon = Daemon::start_pack(pack, &data, Some(&clock));
        let grpcurl = Grpcurl::new(&data, &daemon.grpc);
        let people = People::read(&data);
        Self {
            daemon,
            clock,
            grpcurl,
            people,
            registrar: registrar_of(pack),
            made: folder.into(),
        }
    }

    /// The pack's own certificate, else one that the CA signs for a service that the pack lacks.
    fn identity(&self, service: &str) -> Identity {
        let own = certificates::of_service(self.daemon.data(), service);
        if own.certificate.exists() {
            return own;
        }
        let made = Identity {
            certificate: self.made.join(format!("{service}.pem")),
            key: self.made.join(format!("{service}.key")),
        };
        if made.certificate.exists() {
            return made;
        }
        let domain = certificates::trust_domain(self.daemon.data());
        let uri = format!("spiffe://{domain}/service/{service}");
        certificates::signed_by_dev(self.daemon.data(), &self.made, service, &[uri])
    }
}

impl Door for GrpcurlDoor {
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        self.grpcurl
            .call(Some(&self.identity(service)), method, request, metadata)
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn people(&self) -> &People {
        &self.people
    }

    fn registrar(&self) -> String {
        self.registrar.clone()
    }
}

/// Plays what `next` deals out, then reads the entries; gives each scenario's problems.
fn run(pack: &Path, scenarios: &[Scenario], next: &AtomicUsize) -> Vec<(usize, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let mut door = GrpcurlDoor::open(folder.path(), pack);
    let mut results = Vec::new();
    let mut decided = Vec::new();
    while let Some((number, scenario)) = {
        let number = next.fetch_add(1, Ordering::Relaxed);
        scenarios.get(number).map(|scenario| (number, scenario))
    } {
        let played = play(&mut door, scenario);
        // The entry of a repeat is another one than that of the decision it repeats.
        if let Some(id) = played.decision_id.filter(|_| !scenario.expect.repeats) {
            decided.push((results.len(), number, id));
        }
        results.push((number, played.problems));
    }
    door.advance(Duration::from_secs(3_600));
    let (_, reader, service) = reader_of(pack);
    let manager = log_in(&mut door, reader, (service, OFFICE, SESSION))
        .unwrap_or_else(|error| panic!("login of {reader}: {error}\n{}", door.daemon.output()));
    for (at, number, id) in decided {
        let (_, problems) = &mut results[at];
        match read_entry(&mut door, &manager, &id) {
            Ok(answer) => problems.extend(entry_differs(&scenarios[number], &id, &answer)),
            Err(error) => problems.push(format!("entry of {id}: {error}")),
        }
    }
    results
}

/// Why this is left to the other runners, if so.
fn why_left(scenario: &Scenario) -> Option<&'static str> {
    scenario.needs_held_facts().or(scenario.needs_held_clock())
}

#[test]
fn every_scenario_holds_for_real_grpcurl_and_the_shipped_binary() {
    let packs = packs();
    assert_eq!(packs.len(), READERS.len());
    let failed: usize = packs.iter().map(|pack| scenarios_of(pack)).sum();
    assert_eq!(failed, 0, "{failed} scenarios failed");
}

/// How many of a pack fail.
fn scenarios_of(pack: &Path) -> usize {
    let began = Instant::now();
    let (id, ..) = reader_of(pack);
    let (playable, left): (Vec<_>, Vec<_>) = load(pack)
        .unwrap()
        .into_iter()
        .partition(|scenario| why_left(scenario).is_none());
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, 4);
    let next = AtomicUsize::new(0);
    let results: Vec<(usize, Vec<String>)> = thread::scope(|scope| {
        let running: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| run(pack, &playable, &next)))
            .collect();
        running
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    assert_eq!(
        results.len(),
        playable.len(),
        "every scenario has its result"
    );

    let mut failed = 0;
    for (number, problems) in results {
        if problems.is_empty() {
            continue;
        }
        failed += 1;
        let scenario = &playable[number];
        say(&format!(
            "FAILED {id}, {}: {}",
            scenario.file, scenario.name
        ));
        for problem in problems {
            say(&format!("    {problem}"));
        }
    }
    say(&format!(
        "{id}, grpcurl: {} passed, {failed} failed, {} left to the other runners, in {:.0?}",
        playable.len() - failed,
        left.len(),
        began.elapsed()
    ));
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    for scenario in &left {
        *why.entry(why_left(scenario).unwrap_or_default())
            .or_default() += 1;
    }
    for (reason, count) in why {
        say(&format!("    {count} left: {reason}"));
    }
    failed
}

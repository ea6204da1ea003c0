//! Every scenario through the whole daemon in this process, over a real TLS socket, with a clock that the test holds: to the
//! second, and decades ahead. Afterwards a security manager reads each decision's entry.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sekisho::domain::time::{Clock, Timestamp};
use sekisho::policy;
use support::compare::entry_differs;
use support::house::House;
use support::play::{Door, log_in, play, read_entry};
use support::scenario::{OFFICE, READERS, SESSION, Scenario, load, reader_of};
use support::secrets::Overheard;
use support::{own_packs, packs, say};

/// Reads the entries of these decisions as a security manager.
fn read_entries(
    (reader, service): (&str, &str),
    house: &mut Overheard<House>,
    scenarios: &[Scenario],
    decided: &mut Vec<(usize, String)>,
    results: &mut [Vec<String>],
) {
    house.advance(Duration::from_secs(60));
    let manager = log_in(house, reader, (service, OFFICE, SESSION))
        .unwrap_or_else(|error| panic!("login of {reader}: {error}"));
    for (number, id) in decided.drain(..) {
        match read_entry(house, &manager, &id) {
            Ok(answer) => results[number].extend(entry_differs(&scenarios[number], &id, &answer)),
            Err(error) => results[number].push(format!("entry of {id}: {error}")),
        }
    }
}

/// Where a secret of the whole run is found: in any file of the log, of the store, of the keys that are destroyed, or in the
/// metrics.
fn leaks(house: Overheard<House>) -> Vec<String> {
    let Overheard {
        door, mut secrets, ..
    } = house;
    let data = door.data().to_owned();
    secrets.of_data(&data);
    let kinds = [
        "challenge",
        "code",
        "key",
        "password",
        "reason",
        "seed",
        "subject",
        "ticket",
    ];
    // A reason is of break glass, which not every pack has.
    let met = secrets.kinds();
    let missing: Vec<_> = kinds.iter().filter(|kind| !met.contains(kind)).collect();
    assert!(
        missing.iter().all(|kind| **kind == "reason"),
        "not every kind of secret was met: {missing:?}"
    );
    let mut found = secrets.found_in("metrics", door.metrics().as_bytes());
    door.close();
    for name in ["log", "seals"] {
        found.extend(secrets.found_below(&data.join(name)));
    }
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("store.sqlite")
        {
            found.extend(secrets.found_below(&path));
        }
    }
    // The search finds what is there.
    let known = secrets.found_below(&data.join("dev/people.json"));
    assert!(known.len() > 10, "{known:?}");
    found
}

#[test]
fn every_scenario_holds_for_the_daemon_behind_its_socket() {
    let packs = packs();
    assert_eq!(packs.len(), READERS.len());
    let failed: usize = thread::scope(|scope| {
        let playing: Vec<_> = packs
            .iter()
            .map(|folder| scope.spawn(|| scenarios_of(folder)))
            .collect();
        playing
            .into_iter()
            .map(|played| {
                played
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum()
    });
    assert_eq!(failed, 0, "{failed} scenarios failed");
}

#[test]
fn every_scenario_of_the_packs_that_only_tests_have_holds_behind_a_socket() {
    let failed: usize = own_packs().iter().map(|pack| scenarios_of(pack)).sum();
    assert_eq!(failed, 0, "{failed} scenarios failed");
}

/// How many of a pack fail.
fn scenarios_of(pack: &Path) -> usize {
    let began = Instant::now();
    let (id, reader, service) = reader_of(pack);
    let reader = (reader, service);
    let asks_for_training = policy::load(pack).unwrap().rules.standing.training;
    let (mut playable, left): (Vec<_>, Vec<_>) = load(pack)
        .unwrap()
        .into_iter()
        .partition(|scenario| scenario.needs_held_facts().is_none());
    // The clock only goes ahead: those that stand decades away come last, in their order.
    let at = |text: &Option<String>| text.as_deref().map(|text| Timestamp::parse(text).unwrap());
    playable.sort_by_key(|scenario| at(&scenario.now));

    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), pack);
    let ids: Vec<String> = house.people().ids().map(str::to_owned).collect();
    let mut house = Overheard::new(house, ids.into_iter());
    let mut results = Vec::new();
    let mut unread = Vec::new();
    for (number, scenario) in playable.iter().enumerate() {
        if let Some(now) = at(&scenario.now) {
            if !unread.is_empty() {
                read_entries(reader, &mut house, &playable, &mut unread, &mut results);
            }
            assert!(
                now > house.door.clock.now(),
                "{:?} stands before one that was played",
                scenario.name
            );
            // Playing begins by moving ahead.
            house.door.set_clock(now.minus(support::play::APART));
        }
        let played = play(&mut house, scenario);
        results.push(played.problems);
        // The entry of a repeat is another one than that of the decision it repeats.
        if let Some(id) = played.decision_id.filter(|_| !scenario.expect.repeats) {
            unread.push((number, id));
        }
    }
    if !asks_for_training {
        read_entries(reader, &mut house, &playable, &mut unread, &mut results);
    }
    // What is left is of a day on which the training of those who read the log has lapsed too.
    for (number, _) in &unread {
        assert_eq!(
            playable[*number].expect.reason.as_deref(),
            Some("TRAINING_NOT_CURRENT")
        );
    }

    let mut failed = 0;
    for (scenario, problems) in playable.iter().zip(results) {
        if problems.is_empty() {
            continue;
        }
        failed += 1;
        say(&format!(
            "FAILED {id}, {}: {}",
            scenario.file, scenario.name
        ));
        for problem in problems {
            say(&format!("    {problem}"));
        }
    }
    let leaked = leaks(house);
    say(&format!(
        "{id}, in process over TLS: {} passed, {failed} failed, {} left to the other runners, in {:.0?}",
        playable.len() - failed,
        left.len(),
        began.elapsed()
    ));
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    for scenario in &left {
        *why.entry(scenario.needs_held_facts().unwrap_or_default())
            .or_default() += 1;
    }
    for (reason, count) in why {
        say(&format!("    {count} left: {reason}"));
    }
    assert_eq!(leaked, Vec::<String>::new());
    failed
}

//! The scenarios as data: they are read, they are whole, and every request in them is a message of the API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::collections::HashSet;

use support::{pack, say, scenario, wire};

#[test]
fn every_scenario_is_whole_and_all_rows_of_the_pack_file_are_there() {
    let all = scenario::load(&pack()).unwrap();
    let rows: HashSet<&str> = all
        .iter()
        .filter_map(|scenario| scenario.from.as_deref())
        .collect();
    for row in 1..=18 {
        let row = format!("scenario {row}");
        assert!(
            rows.contains(row.as_str()),
            "{row} of the pack file is missing"
        );
    }
    let own = all.len() - 18;
    assert!(own >= 3 * 18, "only {own} scenarios of our own");
    say(&format!(
        "{} scenarios, 18 of them from the pack file",
        all.len()
    ));
}

#[test]
fn every_request_and_entry_field_is_one_of_the_api() {
    let pool = wire::pool();
    let entry = pool.get_message_by_name("sekisho.v1.Entry").unwrap();
    for scenario in scenario::load(&pack()).unwrap() {
        let request = scenario.request().unwrap();
        wire::check_request(&request)
            .unwrap_or_else(|error| panic!("{:?}: {error}", scenario.name));
        for name in scenario.expect.entry.keys() {
            assert!(
                entry.get_field_by_name(name).is_some(),
                "{:?}: an entry has no {name}",
                scenario.name
            );
        }
    }
}

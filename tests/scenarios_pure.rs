//! The scenarios on the decision alone, as `sekisho policy test --coverage` plays them, and what they reach of each pack.

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

use sekisho::policy;
use sekisho::policy::scenarios::{Came, Coverage, Sort, Tested, load, test};
use support::{own_packs, packs, say};

fn tested(folder: &Path) -> (policy::Pack, Vec<Tested>) {
    let pack = policy::load(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let tested = test(&pack, &load(folder).unwrap());
    (pack, tested)
}

#[test]
fn every_scenario_holds_for_the_decision_alone() {
    let mut failed = 0;
    for folder in packs() {
        failed += scenarios_of(&folder, 40);
    }
    for folder in own_packs() {
        failed += scenarios_of(&folder, 20);
    }
    assert_eq!(failed, 0, "{failed} scenarios failed");
}

/// How many fail, of `least` at least.
fn scenarios_of(folder: &Path, least: usize) -> usize {
    let began = std::time::Instant::now();
    let (pack, tested) = tested(folder);
    let (mut passed, mut failed) = (0, 0);
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &tested {
        match &one.came {
            Came::AsExpected(_) => passed += 1,
            Came::Left(left) => *why.entry(left.name()).or_default() += 1,
            Came::Otherwise { problems, decided } => {
                failed += 1;
                say(&format!("FAILED {}: {}", one.file, one.name));
                for problem in problems {
                    say(&format!("    {problem}"));
                }
                for stage in decided
                    .iter()
                    .flat_map(|decided| &decided.verdict.trace().stages)
                {
                    say(&format!("        {stage:?}"));
                }
            }
        }
    }
    let count: usize = why.values().sum();
    say(&format!(
        "{}, pure: {passed} passed, {failed} failed, {count} left to the other runners, in {:.0?}",
        pack.rules.pack,
        began.elapsed()
    ));
    for (reason, count) in why {
        say(&format!("    {count} left: {reason}"));
    }
    // Something to fail by, were the counts above to be of nothing.
    assert!(passed >= least, "only {passed} scenarios were played");
    failed
}

#[test]
fn every_rule_and_every_reason_of_every_pack_is_reached() {
    let mut missed = 0;
    for folder in packs() {
        let (pack, tested) = tested(&folder);
        let coverage = Coverage::of(&pack, &tested);
        assert_eq!(coverage.unforeseen, [], "{}", pack.rules.pack);
        let total = |sort: Sort| {
            let (hit, of) = coverage.total(sort);
            (of > 0).then(|| format!("{} {hit}/{of}", sort.name()))
        };
        let totals: Vec<String> = Sort::ALL.into_iter().filter_map(total).collect();
        say(&format!("{}: {}", pack.rules.pack, totals.join(", ")));
        for item in coverage.missed() {
            missed += 1;
            let at = item.rule.map_or_else(String::new, |rule| rule.to_string());
            say(&format!(
                "    not reached: {} {} {at}",
                item.sort.name(),
                item.name
            ));
        }
        for sort in [Sort::Grant, Sort::Purpose, Sort::Recipient, Sort::Reason] {
            assert!(
                coverage.total(sort).1 > 0,
                "{}: no {}",
                pack.rules.pack,
                sort.name()
            );
        }
    }
    assert_eq!(missed, 0, "{missed} rules and reasons are not reached");
}

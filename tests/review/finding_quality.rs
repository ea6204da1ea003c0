//! The generated year of `cargo bench --bench findings`, smaller: what the benchmark tells must not rot between two runs of it.

#[path = "../../benches/support/numbers.rs"]
mod numbers;
#[path = "../../benches/findings/quality.rs"]
#[allow(dead_code, reason = "a part of it is told by the benchmark alone")]
mod quality;
#[path = "../../benches/findings/year.rs"]
mod year;

use sekisho::policy;
use time::UtcOffset;

use crate::support::pack;

const SEED: u64 = 11;
const PEOPLE: usize = 60;
const DAYS: i32 = 200;

#[test]
fn misuses_are_found_at_no_more_than_thirty_cases_for_100_people_and_month() {
    let mut rules = policy::load(&pack()).unwrap().rules;
    rules.detectors.clear();
    rules.utc_offset = UtcOffset::UTC;
    let of = quality::quality(&rules, SEED, PEOPLE, DAYS);
    let told = format!(
        "recall {:.2}, precision {:.2}, {:.1} cases for 100 people and month, {} wrong: {:?}",
        of.recall(),
        of.precision(),
        of.budget(of.cases),
        of.cases - of.right,
        of.wrong
    );
    eprintln!("{told}");
    assert!(of.recall() >= 0.85, "{told}");
    assert!(of.precision() >= 0.3, "{told}");
    // Forty misuses of sixty people in three months are themselves more than that.
    let others = of.budget(of.cases - of.right);
    assert!(others <= 30.0, "{others:.1} besides misuses: {told}");
    // The naive way would have told many more.
    assert!(of.naive > of.cases, "{told}");
}

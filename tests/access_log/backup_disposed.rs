//! Backup and restore of a directory that has disposed of segments and destroyed keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho::domain::calendar::Month;
use sekisho::domain::time::Timestamp;
use serde_json::Value;

use super::backup::{Office, both, early_in_a_step, files, hand_over, sekisho};
use super::retention::{House, WHY, index, pending};
use super::support::play::Door as _;

const DAY: u64 = 24 * 60 * 60;

/// The files of a folder and what they hold.
fn held(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let of = |file: PathBuf| {
        let name = file.strip_prefix(folder).unwrap().to_owned();
        (name, fs::read(file).unwrap())
    };
    files(folder).into_iter().map(of).collect()
}

/// After how many days the second entries are written: not in the first days of a month, so that their month is over, and the
/// short period after it, while the long one of their segment is not.
fn second_day(now: u64) -> u64 {
    let offset = time::UtcOffset::from_hms(9, 0, 0).unwrap();
    let at = |day: u64| Timestamp::from_seconds(i64::try_from(now + day * DAY).unwrap());
    let month = |day: u64| Month::of(at(day), offset).unwrap().to_string();
    if month(17) == month(12) { 17 } else { 12 }
}

#[test]
fn what_was_disposed_of_stays_so_after_a_restore_and_the_rest_can_be_read() {
    let mut house = House::open();
    let office = Office::new();
    // Over when the rest is not.
    let adviser = house.session("adviser-1");
    let gone = index(&house.check(&adviser, "identity", "js-disposed-1", None));
    let second = second_day(house.clock.now());
    house.advance(Duration::from_secs(second * DAY));
    let adviser = house.session("adviser-1");
    // Its class is kept for 30 days: sealed whole. The other's free text alone is, in the class that is kept for 60.
    let short = index(&house.check(&adviser, "special.medical", "js-disposed-2", Some(WHY)));
    let kept = index(&house.check(&adviser, "identity", "js-disposed-3", Some(WHY)));
    house.committed(1);
    house.advance(Duration::from_secs(58 * DAY));
    house.session("adviser-1");
    house.committed(2);
    house.sekisho_login("administrator-1");
    let asked = house.sekisho(&["log", "dispose", "--before", &house.ago(31)]);
    house.sekisho_login("administrator-2");
    let done = house.sekisho(&["log", "dispose", "--approve", &pending(&asked)]);
    assert!(done.starts_with("disposed of: 1 segments"), "{done}");

    let seals = house.data().join("seals");
    let keys = |seals: &Path| {
        let names = held(seals).into_keys();
        let names = names.map(|name| name.to_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let told = |house: &mut House, when: &str| {
        house.sekisho_login("security-1");
        let (code, said) = house.refused(&["log", "show", &gone]);
        assert!(
            code == 66 && said.contains("were disposed of on"),
            "{when}: {said}"
        );
        let lost = show(house, &short);
        assert_eq!(lost["details"]["class"], "medical", "{when}: {lost}");
        assert!(lost.to_string().contains("disposed of"), "{when}: {lost}");
        assert!(
            lost["person"].is_null() && lost["categories"].is_null(),
            "{when}: {lost}"
        );
        let whole = show(house, &kept);
        assert_eq!(whole["breakGlassReason"], WHY, "{when}: {whole}");
        assert_eq!(whole["person"], "adviser-1", "{when}: {whole}");
    };
    told(&mut house, "before");
    let destroyed: Vec<String> = keys(&seals)
        .into_iter()
        .filter(|name| name.ends_with(".destroyed"))
        .collect();
    assert!(!destroyed.is_empty(), "{:?}", keys(&seals));

    // Beside the running daemon; then the disk is lost.
    let (backup, data) = (office.path("backup"), house.data());
    let data_path = data.to_str().unwrap().to_owned();
    let key = office.path("recovery.pub");
    sekisho(&["backup", &backup, "--data", &data_path, "--to-key", &key]).with(0, "backed up");
    house.daemon.take().unwrap().kill();
    let seals_before = held(&seals);
    let disposed_before = held_ending(&house.log(), ".disposed");
    let first = fs::read(data.join("dev/people.json")).unwrap();
    fs::remove_dir_all(&data).unwrap();
    let key = office.path("recovery.private");
    let restore = [
        "restore",
        &backup,
        "--data",
        &data_path,
        "--recovery-key",
        &key,
    ];
    sekisho(&restore).with(0, "restored");

    assert_eq!(held(&seals), seals_before);
    assert_eq!(held_ending(&house.log(), ".disposed"), disposed_before);
    let verified = |house: &House| {
        let (log, key) = (house.log(), house.log().join("log.vkey"));
        let paths = [log.to_str().unwrap(), key.to_str().unwrap()];
        sekisho(&["log", "verify", paths[0], "--key", paths[1]]).with(0, "disposed of");
    };
    verified(&house);

    let now = early_in_a_step(|| house.clock.now());
    let input = both(&house.people, now);
    let declare = [
        "restore",
        "--declare-gap",
        "--data",
        &data_path,
        "--reason",
        "the disk failed",
    ];
    super::backup::sekisho_at(Some(&house.clock), &declare, &input).with(0, "the gap is declared");
    hand_over(&first, &data);
    house.start();
    // What was shown until the gap was declared is spent.
    house.advance(Duration::from_secs(60));
    told(&mut house, "after");
    // No key that was destroyed was made anew, and none that wasn't is gone.
    let now_there = keys(&seals);
    for name in seals_before.keys() {
        assert!(
            now_there.contains(&name.to_str().unwrap().to_owned()),
            "{name:?}"
        );
    }
    for name in &destroyed {
        let key = name.replace(".destroyed", ".key");
        assert!(!now_there.contains(&key), "{key} came back");
    }
    house.daemon.take().unwrap().stop();
    verified(&house);
}

fn show(house: &House, at: &str) -> Value {
    let text = house.sekisho(&["log", "show", at, "--json"]);
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn held_ending(folder: &Path, end: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut held = held(folder);
    held.retain(|name, _| name.to_string_lossy().ends_with(end));
    assert!(!held.is_empty());
    held
}

//! What the tests share: scenarios as data, the shipped daemon, real grpcurl, certificates, and how a scenario is played.
//! Nothing here knows how the daemon decides; it knows only what the API and the files of `sekisho dev` promise.

// Every test binary takes the part it needs.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod bad_packs;
pub mod certificates;
pub mod client;
pub mod compare;
pub mod daemon;
pub mod dev_house;
pub mod grpcurl;
pub mod house;
pub mod people;
pub mod play;
pub mod port;
pub mod postgres;
pub mod scenario;
pub mod secrets;
pub mod wire;
pub mod witness;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A line that is seen although the test passes.
pub fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{line}");
}

/// Waits until something is so; it must be within a time.
pub fn until(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The machine's clock, in seconds since the epoch.
pub fn machine_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the machine's clock is after 1970")
        .as_secs()
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every pack that is shipped.
pub fn packs() -> Vec<PathBuf> {
    packs_in("policies")
}

/// Packs that only tests have: for forms of rules that no shipped pack asks for.
pub fn own_packs() -> Vec<PathBuf> {
    packs_in("tests/packs")
}

fn packs_in(folder: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository().join(folder)).expect("the folder of packs");
    let mut packs: Vec<PathBuf> = folder.map(|entry| entry.expect("a pack").path()).collect();
    packs.sort();
    packs
}

/// The pack that all tests run on that need any.
pub fn pack() -> PathBuf {
    repository().join("policies/recruitment")
}

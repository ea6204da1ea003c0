//! The daemon is killed again and again, under load and on its way up.

use std::time::{Duration, Instant};

use sekisho::log::{SignedNote, VerifyOptions, verify};

use crate::answered::{Load, all_in_log};
use crate::checkpoints::{self, all_are_prefixes};
use crate::site::{self, Look, Site, is_long};
use crate::support::say;

const CALLERS: usize = 12;

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

/// Killed before it serves, or just then.
fn kill_on_the_way_up(site: &Site) {
    let mut starting = site::spawn(&site.data, &[]);
    let until = Instant::now() + Duration::from_millis(random(400));
    while Instant::now() < until {
        match starting.look() {
            Look::NotYet => std::thread::sleep(Duration::from_millis(1)),
            Look::Serving => break,
            Look::Ended(status) => panic!("{status} after a kill"),
        }
    }
    starting.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_any_of_many_kills_is_in_the_log() {
    let kills = if is_long() { 1_000 } else { 200 };
    // Small segments, so that some kills meet a new one in the making.
    let site = Site::fresh(&[("segment_mib", "1")]);
    let log = site.log();
    let first = site::start(&site.data);
    let ticket = first.log_in("adviser-1").await;
    first.kill();
    let began = Instant::now();
    let mut answered = Vec::new();
    let mut seen = vec![checkpoints::newest(&log)];
    for kill in 0..kills {
        if kill % 4 == 3 {
            kill_on_the_way_up(&site);
        } else {
            let serving = site::start(&site.data);
            let channel = serving.connect().await;
            let load = Load::start(&channel, &ticket, CALLERS, false);
            let wanted = usize::try_from(random(130)).unwrap();
            while load.count() < wanted {
                assert!(!load.is_over(), "the load ended before the kill");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            serving.kill();
            let now = load.end().await;
            all_in_log(&log, &now);
            answered.extend(now);
        }
        seen.push(checkpoints::newest(&log));
    }
    site::start(&site.data).stop();
    seen.push(checkpoints::newest(&log));
    all_in_log(&log, &answered);
    all_are_prefixes(&log, &seen);
    say(&format!(
        "kills: {kills} in {} s, {} answers, all in the log of {} entries; {} checkpoints, each a prefix of the next",
        began.elapsed().as_secs(),
        answered.len(),
        seen.last().unwrap().size,
        seen.len(),
    ));
    assert!(answered.len() > kills, "only {} answers", answered.len());

    // The product agrees.
    for one in seen.iter().step_by(seen.len() / 3) {
        let options = VerifyOptions {
            checkpoint: Some(SignedNote::parse(&one.note).unwrap()),
            ..VerifyOptions::default()
        };
        let verified = verify(&log, &options, &|_| ()).unwrap();
        assert_eq!(verified.kept.map(|kept| kept.size), Some(one.size));
    }
}

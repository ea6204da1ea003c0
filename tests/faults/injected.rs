//! An error, or a kill, at the Nth call of the shipped daemon to the system.

use std::time::Duration;

use crate::answered::{Answered, Load, all_in_log, entries};
use crate::site::{self, Ended, Serving, Site, is_long};
use crate::strace::{Attached, rule, wrapper};
use crate::support::say;

const FAILED: i32 = 74;

/// Some load, until the daemon answers no more or for a moment.
async fn load(serving: &Serving, ticket: &str) -> Vec<Answered> {
    let load = Load::start(&serving.connect().await, ticket, 6, false);
    let mut waited = 0;
    while load.count() < 40 && waited < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        waited += 1;
    }
    load.end().await
}

/// The codes of a start that says what keeps it (those of `OpenError` and `ServeError`).
fn is_clear(ended: &Ended) -> bool {
    let code = ended.status.code();
    let codes = [65, 66, 69, 71, 72, 73, 74, 78];
    code.is_some_and(|code| codes.contains(&code)) && ended.said.lines().count() > 0
}

/// Serves with a fault to come, and then without: everything answered meanwhile is there.
async fn survives(
    site: &Site,
    ticket: &str,
    name: &str,
    call: &str,
    what: &str,
    nth: usize,
) -> bool {
    let serving = site::start_under(&site.data, &wrapper(&rule(call, what, nth)));
    let is_kill = what.contains("KILL");
    let (answered, served) = match serving {
        Ok(serving) => {
            let answered = load(&serving, ticket).await;
            serving.kill();
            (answered, true)
        }
        Err(ended) => {
            assert!(is_kill || is_clear(&ended), "{name}: {ended:?}");
            (Vec::new(), false)
        }
    };
    let serving = site::start(&site.data);
    all_in_log(&site.log(), &answered);
    let after = load(&serving, ticket).await;
    assert!(
        !after.is_empty(),
        "{name}: nothing is answered after the restart"
    );
    serving.stop();
    all_in_log(&site.log(), &after);
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_at_any_call_of_the_system_costs_nothing_that_was_answered() {
    let site = Site::with(&[("segment_mib", "1")]);
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    serving.stop();
    let calls = [
        ("openat", "error=EIO", 400),
        ("pwrite64", "error=ENOSPC", 40),
        ("pwrite64", "error=EIO", 40),
        ("pwrite64", "signal=KILL", 60),
        ("fdatasync", "error=EIO", 40),
        ("fdatasync", "signal=KILL", 60),
        ("fsync", "error=EIO", 16),
        ("fsync", "signal=KILL", 16),
        ("rename", "error=EIO", 6),
        ("rename", "signal=KILL", 6),
        ("fallocate", "error=ENOSPC", 3),
        ("ftruncate", "error=EIO", 6),
        ("ftruncate", "signal=KILL", 6),
    ];
    let points = if is_long() { 12 } else { 2 };
    let (mut served, mut refused) = (0, 0);
    for (call, what, until) in calls {
        for point in 0..points {
            // Spread from the first call of the start to those under load.
            let nth = 1 + point * (until - 1) / (points - 1).max(1);
            let name = format!("{call} {what} at call {nth}");
            if survives(&site, &ticket, &name, call, what, nth).await {
                served += 1;
            } else {
                refused += 1;
            }
        }
    }
    say(&format!(
        "injected: {served} starts served, {refused} were refused or killed; nothing answered was lost"
    ));
    assert!(served > 0 && refused > 0);
}

/// The log's own sync fails under load: nobody is answered any more, the process ends with 74, and the next one looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_sync_of_the_log_failed_nothing_is_allowed_before_the_restart() {
    let site = Site::new();
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    let channel = serving.connect().await;
    let load = Load::start(&channel, &ticket, 8, false);
    while load.count() < 20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut rules = rule("fdatasync", "error=EIO", 1);
    rules.extend(["-P".to_owned(), site.segment().display().to_string()]);
    let attached = Attached::to(serving.process(), &rules);
    let status = serving
        .ended(Duration::from_secs(20))
        .expect("it ends by itself");
    drop(attached);
    assert_eq!(status.code(), Some(FAILED));
    let answered = load.end().await;
    all_in_log(&site.log(), &answered);
    let length = entries(&site.log()).len();

    let serving = site::start(&site.data);
    assert!(entries(&site.log()).len() > length);
    all_in_log(&site.log(), &answered);
    serving.stop();
}

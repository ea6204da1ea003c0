//! An error, or a kill, at the Nth call of the shipped daemon to the system.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sekisho::proto::access_service_client::AccessServiceClient;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::answered::{Answered, Load, all_in_log, entries};
use crate::site::{self, Ended, Serving, Site, check, is_long};
use crate::strace::{Attached, rule, wrapper_into};
use crate::support::say;

const FAILED: i32 = 74;
/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Some load, until the daemon answers no more or has answered enough.
async fn load(serving: &Serving, ticket: &str) -> Vec<Answered> {
    let Ok(channel) = serving.try_connect().await else {
        return Vec::new();
    };
    let load = Load::start(&channel, ticket, 6, false);
    let began = Instant::now();
    while load.count() < 90 && !load.is_over() && began.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.end().await
}

/// The codes of a start that says what keeps it (those of `OpenError` and `ServeError`).
fn is_clear(ended: &Ended) -> bool {
    let code = ended.status.code();
    let codes = [65, 66, 69, 71, 72, 73, 74, 78];
    code.is_some_and(|code| codes.contains(&code)) && ended.said.lines().count() > 0
}

/// What became of a point.
#[derive(Debug, Default)]
struct Counted {
    /// The call came, and failed or killed.
    hit: usize,
    /// It did not come: how many there are while serving depends on how the load is gathered.
    missed: Vec<String>,
    served: usize,
    /// Killed on the way up, or refused with a code and words.
    refused: usize,
}

/// A call that fails, or kills.
struct Point {
    call: &'static str,
    what: &'static str,
    nth: usize,
}

/// Serves with a fault to come, and then without: everything answered meanwhile is there.
async fn survives(site: &Site, ticket: &str, point: &Point, counted: &mut Counted) {
    let Point { call, what, nth } = *point;
    let name = format!("{call} {what} at call {nth}");
    let trace = site.data.with_extension("trace");
    let rules = rule(call, what, nth);
    let is_kill = what.contains("KILL");
    let before = counted.hit;
    let answered = match site::start_under(&site.data, &wrapper_into(&trace, &rules)) {
        Ok(serving) => {
            let answered = load(&serving, ticket).await;
            counted.served += 1;
            counted.hit += usize::from(is_kill && !serving.is_running());
            serving.kill();
            answered
        }
        Err(ended) => {
            assert!(is_kill || is_clear(&ended), "{name}: {ended:?}");
            counted.refused += 1;
            counted.hit += usize::from(is_kill);
            Vec::new()
        }
    };
    let traced = fs::read_to_string(&trace).unwrap_or_default();
    let failed = !is_kill && traced.contains("(INJECTED)");
    counted.hit += usize::from(failed);
    if counted.hit == before {
        counted.missed.push(name.clone());
    }
    let serving = site::start(&site.data);
    all_in_log(&site.log(), &answered);
    let after = load(&serving, ticket).await;
    assert!(
        !after.is_empty(),
        "{name}: nothing is answered after the restart"
    );
    serving.stop();
    all_in_log(&site.log(), &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_at_any_call_of_the_system_costs_nothing_that_was_answered() {
    let site = Site::new();
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    serving.stop();
    let calls = [
        ("openat", "error=EIO", 34),
        ("pwrite64", "error=ENOSPC", 28),
        ("pwrite64", "error=EIO", 28),
        ("pwrite64", "signal=KILL", 28),
        ("fdatasync", "error=EIO", 9),
        ("fdatasync", "signal=KILL", 9),
        ("fsync", "error=EIO", 6),
        ("fsync", "signal=KILL", 6),
    ];
    let points = if is_long() { 16 } else { 3 };
    let mut counted = Counted::default();
    for (call, what, until) in calls {
        for point in 0..points {
            // Spread from the first call of the start to those under load.
            let nth = 1 + point * (until - 1) / (points - 1);
            let point = Point { call, what, nth };
            survives(&site, &ticket, &point, &mut counted).await;
        }
    }
    let all = calls.len() * points;
    say(&format!(
        "injected at {all} points: {counted:?}; nothing answered was lost"
    ));
    // Those of the start come each time.
    assert!(counted.hit * 2 > all, "{counted:?} of {all}");
}

/// The same while a log is made for the first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_could_not_be_made_at_once_is_made_by_the_next_start() {
    let calls = [
        ("fallocate", "error=ENOSPC", 1),
        ("fallocate", "signal=KILL", 1),
        ("rename", "error=EIO", 4),
        ("rename", "signal=KILL", 4),
        ("ftruncate", "error=EIO", 2),
        ("ftruncate", "signal=KILL", 2),
        ("fsync", "error=EIO", 18),
        ("fsync", "signal=KILL", 18),
        ("mkdir", "error=EACCES", 3),
        ("mkdir", "signal=KILL", 3),
    ];
    let (mut hit, mut all) = (0, 0);
    for (call, what, until) in calls {
        let step = if is_long() {
            1
        } else {
            until.min(4).max(until / 3)
        };
        for nth in (1..=until).step_by(step) {
            let name = format!("{call} {what} at call {nth}");
            let site = Site::fresh(&[("segment_mib", "1")]);
            match site::start_under(
                &site.data,
                &wrapper_into(Path::new("/dev/null"), &rule(call, what, nth)),
            ) {
                Ok(serving) => serving.kill(),
                Err(ended) => {
                    assert!(
                        what.contains("KILL") || is_clear(&ended),
                        "{name}: {ended:?}"
                    );
                    hit += 1;
                }
            }
            let serving = site::start(&site.data);
            let ticket = serving.log_in("adviser-1").await;
            let answered = load(&serving, &ticket).await;
            assert!(!answered.is_empty(), "{name}");
            serving.stop();
            all_in_log(&site.log(), &answered);
            all += 1;
        }
    }
    say(&format!(
        "injected at {all} points of a first start, {hit} of them kept it from serving"
    ));
    assert!(hit * 2 > all, "{hit} of {all}");
}

/// The log's disk hangs: nobody waits longer than the deadline, operators are told, and it goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_of_the_log_does_not_answer_nothing_is_allowed_and_health_says_so() {
    let site = Site::new();
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    let channel = serving.connect().await;
    let ready = || serving.get("/readyz");
    assert!(ready().starts_with("HTTP/1.1 200 "));
    let log = entries(&site.log()).len();
    // Until it is let go of.
    let an_hour = "delay_enter=3600000000";
    let mut rules = rule("fdatasync", an_hour, 1);
    rules.extend(["-P".to_owned(), site.segment().display().to_string()]);
    let attached = Attached::to(serving.process(), &rules);
    let refused = AccessServiceClient::new(channel.clone())
        .check(check(&ticket, "hung", 1))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let until = Instant::now() + SOON;
    while !ready().contains("has not answered for") {
        assert!(Instant::now() < until, "{}", ready());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ready().starts_with("HTTP/1.1 503 "), "{}", ready());
    let mut health = HealthClient::new(channel.clone());
    loop {
        let asked = HealthCheckRequest::default();
        let told = health.check(asked).await.unwrap().into_inner();
        if told.status() == ServingStatus::NotServing {
            break;
        }
        assert!(Instant::now() < until, "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What may have been written is no part of the log before it is durable, and is told by nobody.
    assert!(serving.get("/metrics").contains("sekisho_log_writable 0\n"));
    drop(attached);
    while !ready().starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < until, "{}", ready());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answered = load(&serving, &ticket).await;
    assert!(!answered.is_empty());
    serving.stop();
    all_in_log(&site.log(), &answered);
    // Whoever was refused: it was queued, so it was written.
    assert!(entries(&site.log()).len() > log + answered.len());
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
    let status = serving.ended(SOON).expect("it ends by itself");
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

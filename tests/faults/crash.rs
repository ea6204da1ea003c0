//! The process is killed at a random moment under load: every decision that was answered is in the log after the restart.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::certificates::of_service;
use crate::support::client::connect;
use crate::support::daemon::Daemon;
use crate::support::say;
use crate::support::scenario::{CALLER, OFFICE};
use sekisho::proto::access_log_service_client::AccessLogServiceClient;
use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::{Decision, EntryKind, ReasonCode, SearchRequest};
use tonic::Request;
use tonic::transport::Channel;

use crate::answered::{detail, entries};
use crate::site::{self, SESSION, Site, check, log_in};

const CHECKS: usize = 1_000;
const CONNECTIONS: usize = 4;
/// A debug build on two busy cores stays far below.
const WITHIN: Duration = Duration::from_secs(300);
/// Asks until all checks are dealt out or the daemon is gone; gives the ids that were answered.
async fn ask(
    channel: Channel,
    ticket: String,
    subject: String,
    dealt: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut access = AccessServiceClient::new(channel);
    let mut ids = Vec::new();
    while dealt.fetch_add(1, Ordering::Relaxed) < CHECKS {
        // No answer, nothing allowed, nothing to be found.
        let Ok(answer) = access.check(check(&ticket, &subject, 1)).await else {
            break;
        };
        let answer = answer.into_inner();
        assert_eq!(answer.decision(), Decision::Allow, "{:?}", answer.reasons);
        ids.push(answer.decision_id);
        answered.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

/// All decisions in the log, as a security manager reads them, page by page.
async fn decisions_in_log(data: &Path, address: &str) -> HashSet<String> {
    let ticket = log_in(data, address, "security-1").await;
    let channel = connect(data, &of_service(data, CALLER), address)
        .await
        .unwrap();
    let mut log = AccessLogServiceClient::new(channel);
    let mut found = HashSet::new();
    let mut page_token = String::new();
    loop {
        let mut request = Request::new(SearchRequest {
            kind: EntryKind::Decision.into(),
            oldest_first: true,
            page_size: 500,
            page_token: page_token.clone(),
            ..SearchRequest::default()
        });
        for (name, value) in [
            ("sekisho-ticket", ticket.as_str()),
            ("sekisho-client-ip", OFFICE),
            ("sekisho-session-ref", SESSION),
        ] {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let mut entries = log.search(request).await.unwrap().into_inner();
        page_token.clear();
        while let Some(message) = entries.message().await.unwrap() {
            found.extend(message.entry.map(|entry| entry.decision_id));
            page_token = message.next_page_token;
        }
        if page_token.is_empty() {
            return found;
        }
    }
}

async fn killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::start(&data, None);
    let address = daemon.grpc.clone();
    let ticket = log_in(&data, &address, "adviser-1").await;

    let mut random = [0_u8; 2];
    getrandom::fill(&mut random).unwrap();
    let kill_after = CHECKS / 5 + usize::from(u16::from_le_bytes(random)) % (CHECKS * 2 / 5);
    let (dealt, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut asking = Vec::new();
    for connection in 0..CONNECTIONS {
        let channel = connect(&data, &of_service(&data, CALLER), &address)
            .await
            .unwrap();
        let subject = format!("crash-{connection}");
        asking.push(tokio::spawn(ask(
            channel,
            ticket.clone(),
            subject,
            dealt.clone(),
            answered.clone(),
        )));
    }
    while answered.load(Ordering::Relaxed) < kill_after {
        assert!(
            !asking.iter().all(tokio::task::JoinHandle::is_finished),
            "the load ended before the kill"
        );
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    tokio::task::spawn_blocking(move || daemon.kill())
        .await
        .unwrap();
    let mut ids = Vec::new();
    for asking in asking {
        ids.extend(asking.await.unwrap());
    }
    let before = ids.len();
    assert!(before < CHECKS, "the kill came too late");

    // The rest, with the same ticket: keys, people and log were taken up again.
    let daemon = Daemon::start(&data, None);
    let dealt = Arc::new(AtomicUsize::new(before));
    let mut asking = Vec::new();
    for connection in 0..CONNECTIONS {
        let channel = connect(&data, &of_service(&data, CALLER), &daemon.grpc)
            .await
            .unwrap();
        let subject = format!("crash-{connection}");
        asking.push(tokio::spawn(ask(
            channel,
            ticket.clone(),
            subject,
            dealt.clone(),
            answered.clone(),
        )));
    }
    for asking in asking {
        ids.extend(asking.await.unwrap());
    }
    assert_eq!(ids.len(), CHECKS);
    assert_eq!(
        ids.iter().collect::<HashSet<_>>().len(),
        CHECKS,
        "every decision has its own id"
    );

    let found = decisions_in_log(&data, &daemon.grpc).await;
    let missing: Vec<_> = ids.iter().filter(|id| !found.contains(*id)).collect();
    say(&format!(
        "crash: killed with {before} of {CHECKS} checks answered; after the restart the log has {} decisions, {} of the answered are missing",
        found.len(),
        missing.len()
    ));
    assert!(
        missing.is_empty(),
        "answered but not in the log: {missing:?}"
    );
    // What was in flight when the process died may be in the log too; nothing else.
    assert!(
        found.len() <= CHECKS + CONNECTIONS,
        "{} decisions for {CHECKS} checks",
        found.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_decision_is_in_the_log_after_kill_9() {
    tokio::time::timeout(WITHIN, killed_in_the_middle())
        .await
        .expect("bounded in time");
}

async fn limits_across_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::start(&data, None);
    let ticket = log_in(&data, &daemon.grpc, "adviser-2").await;
    let identity = of_service(&data, CALLER);
    let channel = connect(&data, &identity, &daemon.grpc).await.unwrap();
    let mut access = AccessServiceClient::new(channel.clone());
    let first = access
        .check(check(&ticket, "", 180))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.decision(), Decision::Allow, "{:?}", first.reasons);

    // 20 are left, and 50 ask for one each at the same time.
    let mut asking = Vec::new();
    for number in 0..50 {
        let mut access = AccessServiceClient::new(channel.clone());
        let request = check(&ticket, &format!("parallel-{number}"), 1);
        asking.push(tokio::spawn(async move {
            access.check(request).await.unwrap().into_inner()
        }));
    }
    let mut allowed = 0;
    for asking in asking {
        let answer = asking.await.unwrap();
        if answer.decision() == Decision::Allow {
            allowed += 1;
        } else {
            assert_eq!(answer.reasons[0].code(), ReasonCode::BulkLimitExceeded);
        }
    }
    assert_eq!(allowed, 20, "of 50 parallel checks with 20 left");

    tokio::task::spawn_blocking(move || daemon.kill())
        .await
        .unwrap();
    let daemon = Daemon::start(&data, None);
    let channel = connect(&data, &identity, &daemon.grpc).await.unwrap();
    let again = AccessServiceClient::new(channel)
        .check(check(&ticket, "after-restart", 1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.decision(), Decision::Deny);
    assert_eq!(again.reasons[0].code(), ReasonCode::BulkLimitExceeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_checks_and_a_restart_forgive_nobody_their_limit() {
    tokio::time::timeout(WITHIN, limits_across_a_kill())
        .await
        .expect("bounded in time");
}

/// The entry is written by the first start that writes any, and by no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_told_once_however_many_starts_come_to_nothing_before() {
    let site = Site::new();
    let segment = site.segment();
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end + 200] = 7;
    std::fs::write(&segment, bytes).unwrap();
    // The log is opened before anybody finds out that another listens there.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        let refused = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["serve", "--config"])
            .arg(site.data.join("sekisho.toml"))
            .env(
                "SEKISHO_GRPC_LISTEN",
                taken.local_addr().unwrap().to_string(),
            )
            .env("SEKISHO_HTTP_LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    }
    for _ in 0..2 {
        site::start(&site.data).stop();
        let mut told = entries(&site.log());
        told.retain(|entry| detail(entry, "state").contains("torn tail"));
        assert_eq!(told.len(), 1);
        let kept = site.log().join(detail(&told[0], "kept_in"));
        assert_eq!(std::fs::read(kept).unwrap().last(), Some(&7));
    }
}

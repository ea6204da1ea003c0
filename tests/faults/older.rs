//! Log or store replaced by an older copy, or by somebody else's: the start is refused, each way round, and nothing is changed.

use std::time::{Duration, Instant};

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::subject_service_client::SubjectServiceClient;
use sekisho::proto::{Decision, ImportSubjectsRequest, ReasonCode, RegisterHoldRequest};
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::answered::{Load, all_in_log};
use crate::site::{self, SESSION, Serving, Site, check};
use crate::support::scenario::OFFICE;

const DAMAGED: i32 = 65;

fn with_ticket<T>(message: T, ticket: &str) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in [
        ("sekisho-ticket", ticket),
        ("sekisho-client-ip", OFFICE),
        ("sekisho-session-ref", SESSION),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn register_hold(serving: &Serving, ticket: &str, subject: &str) {
    let hold = RegisterHoldRequest {
        subject_ref: subject.into(),
        hold: "provision-stopped".into(),
        reference: "request-1".into(),
    };
    let request = with_ticket(hold, ticket);
    SubjectServiceClient::new(serving.connect().await)
        .register_hold(request)
        .await
        .unwrap();
}

/// Starts on `site` and must be refused, with words about it.
fn refused(site: &Site, what: &str) {
    let ended = site::start_under(&site.data, &[])
        .err()
        .unwrap_or_else(|| panic!("{what}: it serves"));
    assert_eq!(ended.status.code(), Some(DAMAGED), "{what}: {}", ended.said);
    let last = ended.said.lines().last().unwrap_or_default().to_owned();
    assert!(
        ["older", "cut off", "other", "not signed by"]
            .iter()
            .any(|word| last.contains(word)),
        "{what}: {last}"
    );
}

/// Either is older by a start and a change by people.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_or_a_store_of_an_earlier_day_is_refused_each_way_round() {
    let now = Site::new();
    site::start(&now.data).stop();
    let before = now.copy();
    let serving = site::start(&now.data);
    let ticket = serving.log_in("administrator-1").await;
    register_hold(&serving, &ticket, "seeker-1").await;
    serving.stop();
    let after = now.copy();

    now.take("log", &before);
    refused(&now, "an older log");
    now.take("log", &after);
    now.take("store.sqlite", &before);
    refused(&now, "an older store");
    // Refusing changes nothing: with its own log the store is taken up again.
    now.take("log", &before);
    site::start(&now.data).stop();
    now.take("store.sqlite", &after);
    refused(&now, "an older log that went on by itself");
}

/// Both are of the same run of the daemon: no start and no change tells them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_what_was_answered_within_one_run_is_refused() {
    let now = Site::new();
    let serving = site::start(&now.data);
    let ticket = serving.log_in("adviser-1").await;
    let before = now.copy();
    let channel = serving.connect().await;
    let load = Load::start(&channel, &ticket, 4, false);
    while load.count() < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let answered = load.end().await;
    // The store is told of the newest checkpoint every five seconds.
    let last = answered.iter().map(|one| one.index).max().unwrap();
    let told = "SELECT max(checkpoint_size) FROM logs";
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while site::number_in_store(&now.data, told).await <= i64::try_from(last).unwrap() {
        assert!(std::time::Instant::now() < until, "the store was not told");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let killed = now.copy();
    serving.kill();
    let after = now.copy();

    now.take("log", &before);
    refused(&now, "an older log of the same run");
    now.take("log", &killed);
    site::start(&now.data).stop();
    all_in_log(&now.log(), &answered);

    // Segments of before under the checkpoints of after: the end was cut off.
    now.take("log", &after);
    now.take("store.sqlite", &after);
    for segment in site::segments(&before.log()) {
        std::fs::copy(&segment, now.log().join(segment.file_name().unwrap())).unwrap();
    }
    refused(&now, "older segments");
}

/// A store that forgot a code that was used would take it a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgot_a_used_code_is_refused() {
    let now = Site::new();
    let serving = site::start(&now.data);
    let before = now.copy();
    serving.log_in("adviser-1").await;
    serving.stop();
    now.take("store.sqlite", &before);
    refused(&now, "a store from before the login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_another_daemon_is_refused() {
    let (own, other) = (Site::new(), tempfile::tempdir().unwrap());
    let data = other.path().join("data");
    crate::support::daemon::Daemon::start(&data, None).stop();
    std::fs::remove_dir_all(own.log()).unwrap();
    site::copy_folder(&data.join("log"), &own.log());
    refused(&own, "another log");
}

async fn import(serving: &Serving, ticket: &str, csv: &str) {
    let piece = ImportSubjectsRequest {
        csv: csv.into(),
        ..ImportSubjectsRequest::default()
    };
    let request = with_ticket(tokio_stream::iter([piece]), ticket);
    let mut client = SubjectServiceClient::new(serving.connect().await);
    let mut told = client.import(request).await.unwrap().into_inner();
    while told.message().await.unwrap().is_some() {}
}

async fn is_healthy(serving: &Serving, expected: bool) {
    let mut health = HealthClient::new(serving.connect().await);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let asked = HealthCheckRequest::default();
        let told = health.check(asked).await.unwrap().into_inner();
        if (told.status() == ServingStatus::Serving) == expected {
            return;
        }
        assert!(Instant::now() < until, "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The store is of the same run and before an import, whose rows no entry has: it starts, and nothing that depends on them is
/// allowed until they are imported again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_store_that_lacks_an_import_it_is_not_ready_until_that_is_imported_again() {
    let now = Site::new();
    let serving = site::start(&now.data);
    let administrator = serving.log_in("administrator-1").await;
    let adviser = serving.log_in("adviser-1").await;
    let before = now.copy();
    let file = "subject,what,id\nseeker-1,hold,provision-stopped\n";
    import(&serving, &administrator, file).await;
    serving.kill();
    now.take("store.sqlite", &before);

    let serving = site::start(&now.data);
    is_healthy(&serving, false).await;
    let ready = serving.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    for words in ["imports of subjects are missing", ", 1 rows, sha256 "] {
        assert!(ready.contains(words), "{ready}");
    }
    let asked = async |id: &str| {
        let mut client = AccessServiceClient::new(serving.connect().await);
        let answer = client.check(check(&adviser, id, 1)).await.unwrap();
        answer.into_inner()
    };
    let answer = asked("one").await;
    assert_eq!(answer.decision(), Decision::Deny);
    assert_eq!(answer.reasons[0].code(), ReasonCode::SubjectsIncomplete);
    import(&serving, &administrator, file).await;
    let ready = serving.get("/readyz");
    assert!(ready.ends_with("\r\n\r\nready\n"), "{ready}");
    is_healthy(&serving, true).await;
    let answer = asked("two").await;
    assert_eq!(answer.decision(), Decision::Allow, "{answer:?}");
    serving.stop();
}

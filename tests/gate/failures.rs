//! When the log can't be written nothing is allowed, and what came to nothing counts for nothing.

use std::sync::Arc;

use sekisho::domain::access::AccessRequest;
use sekisho::gate::GateError;
use sekisho::log::{AppendError, LogHealth};

use crate::world::*;

#[tokio::test]
async fn without_a_log_nothing_is_answered() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let before = world.check(with_id(read(&ticket), "r-1")).await;
    assert!(before.is_allowed());
    let challenge = world.first_step(&crm(), "adviser-2").await.unwrap();
    let entries = world.on_disk().len();
    world.gate.log().close();
    for request in [
        read(&ticket),
        with_id(read(&ticket), "r-1"),
        with_id(read(&ticket), "r-2"),
        AccessRequest {
            purpose: None,
            ..read(&ticket)
        },
    ] {
        let refused = world.gate.check(&crm(), request.clone()).await;
        assert!(
            matches!(refused, Err(GateError::Log(AppendError::Stopped(_)))),
            "{refused:?}"
        );
        let refused = world.gate.check_batch(&crm(), vec![request; 1]).await;
        assert!(matches!(refused, Err(GateError::Log(_))));
    }
    let stranger = peer("nobody", 0, "10.1.0.5");
    let refused = world.gate.check(&stranger, read(&ticket)).await;
    assert!(matches!(refused, Err(GateError::Log(_))));
    let given = world
        .gate
        .verify_second_factor(&crm(), &challenge, &world.code("adviser-2"))
        .await;
    assert!(matches!(given, Err(GateError::Log(_))));
    let ended = world.gate.end_session(&crm(), &ticket).await;
    assert!(matches!(ended, Err(GateError::Log(_))));
    assert_eq!(world.on_disk().len(), entries);
    let again = world.start_on(world.as_killed_now()).await.unwrap();
    assert_eq!(again.spend_what_is_left(&read(&ticket)).await, 199);
}

#[tokio::test]
async fn an_append_that_fails_gives_the_count_and_the_id_back() {
    let world = World::with(Options {
        queue_entries: 8,
        ..Options::default()
    })
    .await;
    let ticket = world.log_in("adviser-1").await;
    let batch: Vec<_> = (0..9)
        .map(|number| {
            let mut request = read_of(&ticket, &format!("js-{number}"));
            request.record_count = 20;
            with_id(request, &format!("r-{number}"))
        })
        .collect();
    for _ in 0..3 {
        let refused = world.gate.check_batch(&crm(), batch.clone()).await;
        assert!(
            matches!(refused, Err(GateError::Log(AppendError::QueueFull))),
            "{refused:?}"
        );
    }
    assert!(world.decisions_on_disk().is_empty());
    let other = with_id(read_of(&ticket, "js-20"), "r-0");
    assert!(world.check(other).await.is_allowed(), "the id is free");
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 199);
    assert!(world.check(read_of(&ticket, "js-20")).await.is_allowed());
    let uncounted = world.check(read_of(&ticket, "js-0")).await;
    assert!(!uncounted.is_allowed(), "nor is a subject counted");
}

/// Waits until the log has found out whether it can be written.
async fn until_it_is_written(world: &World, written: bool) {
    let mut state = world.gate.log().watch();
    let found = state.wait_for(|state| (state.health == LogHealth::Writing) == written);
    tokio::time::timeout(seconds(60), found)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_entry_that_was_queued_and_refused_gives_the_count_and_the_id_back() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let log = world.directory.path().join("log");
    let aside = world.directory.path().join("aside");
    std::fs::rename(&log, &aside).unwrap();
    until_it_is_written(&world, false).await;
    let mut request = with_id(read_of(&ticket, "js-0"), "r-0");
    request.record_count = 20;
    for _ in 0..3 {
        let refused = world.gate.check(&crm(), request.clone()).await;
        assert!(
            matches!(refused, Err(GateError::Log(AppendError::Refused(_)))),
            "{refused:?}"
        );
    }
    std::fs::rename(&aside, &log).unwrap();
    until_it_is_written(&world, true).await;
    let other = with_id(read_of(&ticket, "js-20"), "r-0");
    assert!(world.check(other).await.is_allowed(), "the id is free");
    assert_eq!(world.spend_what_is_left(&read(&ticket)).await, 199);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_calls_at_once_with_the_end_of_the_log_each_allowance_is_on_disk() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let gate = Arc::clone(&world.gate);
            let request = read_of(&ticket, &format!("js-{number}"));
            tokio::spawn(async move {
                if number == 50 {
                    let log = gate.log().clone();
                    tokio::task::spawn_blocking(move || log.close())
                        .await
                        .unwrap();
                }
                gate.check(&crm(), request).await
            })
        })
        .collect();
    let mut allowed = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(answer) => allowed.push(answer),
            Err(error) => assert!(matches!(error, GateError::Log(_)), "{error}"),
        }
    }
    let entries = world.on_disk();
    for answer in &allowed {
        assert!(answer.is_allowed());
        let at = usize::try_from(answer.index.0).unwrap();
        assert_eq!(entries[at], *answer.entry);
    }
    assert!(allowed.len() < 100);
}

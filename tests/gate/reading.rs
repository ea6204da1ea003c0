//! Reading the log: who may, what is told of it, pages that neither lose nor repeat an entry.

use std::time::Duration;

use sekisho::domain::ids::LogIndex;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{EntryFilter, GateError, Page};
use sekisho::proto::{Decision, EntryKind};

use crate::world::*;

/// Follows pages to the end; the positions, page by page.
async fn pages(
    world: &World,
    filter: &EntryFilter,
    size: usize,
    oldest_first: bool,
) -> Vec<Vec<u64>> {
    let manager = credentials(&world.log_in("security-1").await);
    let mut pages = Vec::new();
    let mut start = None;
    loop {
        let page = Page {
            oldest_first,
            size,
            start,
            whole: false,
        };
        let mut found = world
            .gate
            .search(&crm(), &manager, filter.clone(), page)
            .await
            .unwrap();
        let mut positions = Vec::new();
        start = None;
        while let Some(one) = found.recv().await {
            let (entry, next) = one.unwrap();
            assert!(start.is_none(), "a token is on the last message only");
            positions.push(entry.index.0);
            start = next;
        }
        pages.push(positions);
        if start.is_none() {
            return pages;
        }
    }
}

fn decisions() -> EntryFilter {
    EntryFilter {
        kind: Some(EntryKind::Decision.into()),
        ..EntryFilter::default()
    }
}

async fn with_checks(count: usize) -> (World, Vec<u64>) {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let mut positions = Vec::new();
    for number in 0..count {
        world.clock.advance(Duration::from_secs(1));
        let answer = world.check(read_of(&ticket, &format!("js-{number}"))).await;
        positions.push(answer.index.0);
    }
    (world, positions)
}

#[tokio::test]
async fn pages_neither_lose_nor_repeat_an_entry_whichever_way_they_go() {
    let (world, positions) = with_checks(130).await;
    for (size, lengths) in [
        (50, vec![50, 50, 30]),
        (65, vec![65, 65]),
        (1000, vec![130]),
    ] {
        for oldest_first in [true, false] {
            let pages = pages(&world, &decisions(), size, oldest_first).await;
            let found: Vec<usize> = pages.iter().map(Vec::len).collect();
            assert_eq!(found, lengths);
            let mut all: Vec<u64> = pages.concat();
            if !oldest_first {
                all.reverse();
            }
            assert_eq!(all, positions);
            world.clock.advance(Duration::from_secs(30)); // for the next code
        }
    }
}

#[tokio::test]
async fn a_stretch_of_time_is_exact_also_after_the_clock_was_set_back() {
    let (world, first) = with_checks(5).await;
    let middle = world.now();
    world.clock.advance(Duration::from_secs(3600 * 3));
    let ticket = world.log_in("adviser-2").await;
    let late = world.check(read_of(&ticket, "js-late")).await;
    world.clock.set(middle);
    let ticket = world.log_in("health-1").await;
    let early_again = world.check(read_of(&ticket, "js-early")).await;
    let until = EntryFilter {
        until: Some(middle.plus(Duration::from_secs(60))),
        ..decisions()
    };
    let mut expected = first.clone();
    expected.push(early_again.index.0);
    let from = EntryFilter {
        from: Some(middle.plus(Duration::from_secs(60))),
        ..decisions()
    };
    for oldest_first in [true, false] {
        let mut found = pages(&world, &until, 2, oldest_first).await.concat();
        found.sort_unstable();
        assert_eq!(found, expected);
        world.clock.advance(Duration::from_secs(30));
        assert_eq!(
            pages(&world, &from, 2, oldest_first).await.concat(),
            [late.index.0]
        );
        world.clock.advance(Duration::from_secs(30));
    }
}

#[tokio::test]
async fn who_follows_the_log_gets_each_entry_once_and_in_order() {
    let world = World::new().await;
    let manager = credentials(&world.log_in("security-1").await);
    let ticket = world.log_in("adviser-1").await;
    let mut found = world
        .gate
        .tail(&crm(), &manager, decisions())
        .await
        .unwrap();
    let mut positions = Vec::new();
    for burst in 0..20 {
        let batch = (0..7)
            .map(|number| read_of(&ticket, &format!("js-{}", burst % 3 * 7 + number)))
            .collect();
        let answers = world.gate.check_batch(&crm(), batch).await.unwrap();
        positions.extend(answers.iter().map(|answer| answer.index.0));
    }
    for position in &positions {
        let next = tokio::time::timeout(Duration::from_secs(60), found.recv()).await;
        assert_eq!(next.unwrap().unwrap().unwrap().0.index.0, *position);
    }
    let more = tokio::time::timeout(Duration::from_millis(1500), found.recv()).await;
    assert!(more.is_err(), "nothing twice");
}

#[tokio::test]
async fn following_ends_with_the_session_and_with_the_daemon() {
    let world = World::new().await;
    let given = world.log_in("security-1").await;
    let manager = credentials(&given);
    let mut found = world
        .gate
        .tail(&crm(), &manager, decisions())
        .await
        .unwrap();
    world.gate.end_session(&crm(), &given).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), found.recv())
        .await
        .unwrap();
    assert!(matches!(ended, Some(Err(GateError::Refused(_)))));
    world.clock.advance(Duration::from_secs(30));
    let manager = credentials(&world.log_in("security-1").await);
    let mut found = world
        .gate
        .tail(&crm(), &manager, decisions())
        .await
        .unwrap();
    world.gate.let_go();
    let ended = tokio::time::timeout(Duration::from_secs(60), found.recv())
        .await
        .unwrap();
    assert!(ended.is_none());
}

#[tokio::test]
async fn an_information_manager_sees_their_own_department_and_nobody_else_sees_anything() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let own = world.check(read_of(&adviser, "js-1")).await;
    let accountant = world.log_in("accounting-1").await;
    let other = world.check(read_of(&accountant, "js-1")).await;
    let manager = credentials(&world.log_in("manager-1").await);
    let crm = crm();
    let get = |index: LogIndex| world.gate.get_entry(&crm, &manager, Ok(index), "");
    assert_eq!(get(own.index).await.unwrap().entry.person, "adviser-1");
    assert!(matches!(
        get(other.index).await,
        Err(GateError::NotFound(_))
    ));
    let refused = world
        .gate
        .get_entry(&crm, &credentials(&adviser), Ok(own.index), "")
        .await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    let last = world.on_disk().pop().unwrap();
    assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
    assert_eq!(last.decision, i32::from(Decision::Deny));
    assert_eq!(
        (&*last.person, &*last.client_ip),
        ("adviser-1", OFFICE),
        "who, and from where"
    );
}

#[tokio::test]
async fn each_reading_says_what_was_read() {
    let (world, positions) = with_checks(1).await;
    let manager = credentials(&world.log_in("security-1").await);
    let index = LogIndex(positions[0]);
    world
        .gate
        .get_entry(&crm(), &manager, Ok(index), "")
        .await
        .unwrap();
    let read = world.on_disk().pop().unwrap();
    assert_eq!(read.kind, i32::from(EntryKind::LogRead));
    assert_eq!(detail(&read, "log_index"), positions[0].to_string());
    let filter = EntryFilter {
        person: Some(name("adviser-1")),
        subject: Some(subject("js-0")),
        from: Some(Timestamp::from_seconds(0)),
        ..EntryFilter::default()
    };
    let page = Page {
        oldest_first: false,
        size: 10,
        start: None,
        whole: false,
    };
    let mut found = world
        .gate
        .search(&crm(), &manager, filter, page)
        .await
        .unwrap();
    assert_eq!(found.recv().await.unwrap().unwrap().0.index, index);
    let read = world.on_disk().pop().unwrap();
    assert_eq!(
        detail(&read, "filter"),
        "from=1970-01-01T00:00:00Z person=adviser-1"
    );
    assert_eq!(read.subjects.len(), 1, "whose data, as a pseudonym");
}

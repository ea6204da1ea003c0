//! Records that are cut, repeated, unreadable, or of people whom no decision allowed: what must not pass for more than it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sekisho::gate::{
    Disclosed, DisclosureWish, EntryFilter, GateError, Page, ReceiptWish, RecordFilter, Told,
};
use sekisho::vitals::Vitals as _;

use crate::provision_records::*;
use crate::world::*;

/// How many messages came, and how it ended.
async fn taken<T>(mut told: Told<T>) -> (usize, Option<GateError>) {
    let mut count = 0;
    while let Some(next) = told.recv().await {
        match next {
            Ok(_) => count += 1,
            Err(error) => return (count, Some(error)),
        }
    }
    (count, None)
}

#[tokio::test]
async fn what_a_reader_did_not_take_in_time_does_not_end_as_if_it_were_the_whole() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    for _ in 0..150 {
        opened(&world.check(provide(&adviser, &["js-1"])).await);
    }
    let (reviewer, peer) = (reviewer(&world).await, crm());
    let any = RecordFilter::default;
    let export = async || {
        let export = world.gate.export_records(&peer, &reviewer, any());
        export.await.unwrap().1
    };
    let disclosure = async || {
        let wish = DisclosureWish {
            subject: subject("js-1"),
            accesses: true,
            from: None,
            until: None,
        };
        let told = world.gate.disclosure(&peer, &reviewer, wish);
        told.await.unwrap().2
    };
    let search = async || {
        let page = Page {
            oldest_first: true,
            size: 1_000,
            start: None,
            whole: true,
        };
        let found = world
            .gate
            .search(&peer, &reviewer, EntryFilter::default(), page);
        found.await.unwrap()
    };
    assert!(matches!(taken(export().await).await, (150, None)));
    assert!(matches!(taken(disclosure().await).await, (300, None)));
    assert!(matches!(taken(search().await).await, (150.., None)));

    let (exported, disclosed, found) = (export().await, disclosure().await, search().await);
    let full = || (exported.waiting(), disclosed.waiting(), found.waiting()) == (16, 16, 64);
    while !full() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // For a good deal more than a message is kept for its reader.
    tokio::time::sleep(Duration::from_secs(34)).await;
    let cut = taken(exported).await;
    assert!(matches!(cut, (16, Some(GateError::CutShort))), "{cut:?}");
    let cut = taken(disclosed).await;
    assert!(matches!(cut, (16, Some(GateError::CutShort))), "{cut:?}");
    let cut = taken(found).await;
    assert!(matches!(cut, (64, Some(GateError::CutShort))), "{cut:?}");
}

#[tokio::test]
async fn people_whom_no_decision_allowed_are_recorded_and_marked() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let answer = world.check(provide(&adviser, &["js-1"])).await;
    let index = reported(&world, report(&answer, 2, &["js-1", "js-9"]))
        .await
        .unwrap();
    let entry = world.on_disk_from(index.0).remove(0);
    assert_eq!(detail(&entry, "people_undecided"), "1");
    let seen = seen(&world, opened(&answer)).await.unwrap();
    assert_eq!(names(&seen), ["js-1", "js-9"]);
    assert_eq!(seen.undecided().len(), 1);
    let reviewer = reviewer(&world).await;
    for (of, expected) in [("js-1", false), ("js-9", true)] {
        let wish = DisclosureWish {
            subject: subject(of),
            accesses: false,
            from: None,
            until: None,
        };
        let told = world.gate.disclosure(&crm(), &reviewer, wish).await;
        let part = told.unwrap().2.recv().await.unwrap().unwrap();
        assert!(matches!(part, Disclosed::Record { undecided, .. } if undecided == expected));
    }
    // One that was decided on as it was provided is not marked.
    let other = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    let index = reported(&world, report(&other, 1, &["js-2"]))
        .await
        .unwrap();
    let entry = world.on_disk_from(index.0).remove(0);
    assert_eq!(detail(&entry, "people_undecided"), "");
}

#[tokio::test]
async fn a_receipt_under_an_id_that_was_used_gets_the_first_answer_also_after_a_kill() {
    let world = World::new().await;
    let wish = || ReceiptWish {
        request_id: Some(name("receipt-1")),
        ..receipt()
    };
    let registered = async |world: &World, wish: ReceiptWish| {
        let gate = &world.gate;
        gate.register_receipt(&crm(), &nobody(), wish).await
    };
    let first = registered(&world, wish()).await.unwrap();
    assert_eq!(registered(&world, wish()).await.unwrap(), first);
    let repeat = world.on_disk().pop().unwrap();
    assert_eq!(detail(&repeat, "repeats"), first.index.to_string());
    assert!(repeat.record.is_none(), "a repeat is no second record");
    let other = ReceiptWish {
        acquisition: "from somebody else".to_owned(),
        ..wish()
    };
    let refused = registered(&world, other).await;
    assert_eq!(wrong_fields(refused), ["request_id"]);
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    assert_eq!(registered(&killed, wish()).await.unwrap(), first);
    killed.clock.advance(Duration::from_secs(601));
    let anew = registered(&killed, wish()).await.unwrap();
    assert_ne!(anew.id, first.id);
    assert_eq!(listed(&killed, RecordFilter::default()).await.len(), 2);
}

#[tokio::test]
async fn calls_under_one_id_at_once_register_one_receipt() {
    let world = World::new().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let gate = Arc::clone(&world.gate);
        calls.spawn(async move {
            let wish = ReceiptWish {
                request_id: Some(name("receipt-1")),
                ..receipt()
            };
            gate.register_receipt(&crm(), &nobody(), wish)
                .await
                .unwrap()
        });
    }
    let all = calls.join_all().await;
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert_eq!(listed(&world, RecordFilter::default()).await, [all[0].id]);
}

/// The files in which keys of a class are kept.
fn keys_of(world: &World, class: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(world.folder().join("seals")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(class))
        .collect()
}

#[tokio::test]
async fn a_missing_key_costs_the_records_under_it_alone_and_they_are_back_with_it() {
    let world = World::with(forgets_early()).await;
    let adviser = world.log_in("adviser-1").await;
    let mut early = provide(&adviser, &["js-1"]);
    early.categories = vec![name("career")];
    let early = opened(&world.check(early).await);
    // Sealed as a whole: whether it is of a record is not known without the key.
    let mut usual = read_of(&adviser, "js-1");
    usual.categories = vec![name("career")];
    assert!(world.check(usual).await.is_allowed());
    // Of another month, whose key is another.
    world.clock.advance(Duration::from_secs(40 * 86_400));
    world.gate.tidy().await;
    let adviser = world.log_in("adviser-1").await;
    let mut late = provide(&adviser, &["js-2"]);
    late.categories = vec![name("career")];
    let late = opened(&world.check(late).await);

    let keys: Vec<_> = keys_of(&world, "2026-07");
    assert!(keys.len() > 1, "{keys:?}");
    let aside = tempfile::tempdir().unwrap();
    let kept = |key: &Path| aside.path().join(key.file_name().unwrap());
    for key in &keys {
        std::fs::copy(key, kept(key)).unwrap();
        std::fs::remove_file(key).unwrap();
    }
    // No key is held that was read before.
    let world = world.restart().await;
    let by_name = || RecordFilter {
        party: Some(name("Client employer (求人企業)")),
        ..RecordFilter::default()
    };
    assert_eq!(listed(&world, RecordFilter::default()).await, [late, early]);
    assert_eq!(listed(&world, by_name()).await, [late]);
    // Operators hear of it.
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(Arc::clone(&world.gate).follow_records(stopping));
    let warnings = loop {
        let warnings = world.gate.upkeep().warnings();
        if !warnings.is_empty() {
            break warnings.join("\n");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(
        warnings.contains("provision-record-3y of 2026-07")
            && warnings.contains("careers of 2026-07"),
        "{warnings}"
    );
    stop.send(true).unwrap();
    following.await.unwrap();
    for key in &keys {
        std::fs::copy(kept(key), key).unwrap();
    }
    let world = world.restart().await;
    assert_eq!(listed(&world, by_name()).await, [late, early]);
    let seen = seen(&world, early).await.unwrap();
    assert_eq!(names(&seen), ["js-1"]);
}

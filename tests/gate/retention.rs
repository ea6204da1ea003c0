//! How long the access log is kept: what is sealed, what goes when, what a hold keeps, who may, and that an old proof still
//! verifies afterwards.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sekisho::decision::rules::{LogClass, LogRetention, LoggedKind};
use sekisho::domain::access::{AccessRequest, Basis, Consent, TicketText};
use sekisho::domain::calendar::Period;
use sekisho::domain::ids::{DecisionId, LogIndex};
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{
    DisposeOutcome, DisposeWish, EntryFilter, GateError, LogHoldPlace, LogHoldRelease, Page,
    ReadEntry,
};
use sekisho::log::{
    AppendError, LogReader, ReadError, SegmentSpan, VerifierKey, verify_consistency,
};
use sekisho::proto::{EntryKind, StoredEntry};
use sekisho::vitals::Vitals;

use crate::world::*;

const WHY: &str = "The candidate collapsed during the interview";
const DAY: Duration = Duration::from_hours(24);

fn years(years: u32) -> Duration {
    DAY * 366 * years
}

/// An adviser reads a medical item in an emergency.
fn emergency(ticket: &TicketText, of: &str) -> AccessRequest {
    let usual = read_of(ticket, of);
    AccessRequest {
        categories: vec![name("special.medical")],
        break_glass: Some(WHY.into()),
        basis: Basis {
            consent: Consent::Prior,
            ..usual.basis
        },
        ..usual
    }
}

fn wish(before: Timestamp) -> DisposeWish {
    DisposeWish {
        before: Some(before),
        dry_run: false,
        approve: None,
    }
}

fn approval(id: LogIndex) -> DisposeWish {
    DisposeWish {
        before: None,
        dry_run: false,
        approve: Some(id),
    }
}

async fn dispose(
    world: &World,
    ticket: &TicketText,
    wish: DisposeWish,
) -> Result<DisposeOutcome, GateError> {
    world.gate.dispose(&crm(), &credentials(ticket), wish).await
}

async fn read_entry(
    world: &World,
    by: Result<LogIndex, DecisionId>,
) -> Result<ReadEntry, GateError> {
    let manager = world.log_in("security-1").await;
    world
        .gate
        .get_entry(&crm(), &credentials(&manager), by, "")
        .await
}

/// Waits for the log's keeper, which commits to a segment soon after it was closed.
async fn committed(world: &World) {
    let spans = || {
        let closed = |span: &SegmentSpan| span.closed && !span.disposed;
        world
            .gate
            .log()
            .reader()
            .segments()
            .into_iter()
            .filter(closed)
            .collect::<Vec<_>>()
    };
    for _ in 0..1_200 {
        if spans()
            .iter()
            .all(|span| world.gate.log().is_committed(span))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no checkpoint commits to {:?}", spans());
}

/// A decision, an emergency and what else the first day has; then it is the next day, and `later` has passed.
async fn a_day_and(world: &World, later: Duration) -> (StoredEntry, StoredEntry) {
    let adviser = world.log_in("adviser-1").await;
    let usual = world.check(read_of(&adviser, "js-1")).await;
    let urgent = world.check(emergency(&adviser, "js-2")).await;
    assert!(usual.is_allowed() && urgent.is_allowed());
    world.clock.advance(DAY);
    world.log_in("adviser-1").await;
    committed(world).await;
    world.clock.advance(later);
    // As every minute: it may be another month.
    world.gate.tidy().await;
    ((*usual.entry).clone(), (*urgent.entry).clone())
}

fn files(folder: &Path, end: &str) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(end))
        .collect()
}

fn id(entry: &StoredEntry) -> DecisionId {
    DecisionId::from_bytes(&entry.decision_id).unwrap()
}

#[tokio::test]
async fn a_reason_is_sealed_under_its_months_key_and_opens_for_reviewers_only() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let answer = world.check(emergency(&adviser, "js-1")).await;
    assert!(answer.is_allowed());
    let stored = world.on_disk_from(answer.index.0).remove(0);
    assert_eq!(stored.free_text, "");
    let sealed = stored.sealed.unwrap();
    assert_eq!((&*sealed.class, &*sealed.month), ("default", "2026-07"));
    assert!(!sealed.whole && stored.person == "adviser-1");
    let keys = files(&world.folder().join("seals"), ".key");
    assert!(keys.contains("default-2026-07.key"), "{keys:?}");
    let read = read_entry(&world, Ok(answer.index)).await.unwrap();
    assert_eq!(read.entry.free_text, WHY);
    let world = world.restart().await;
    world.clock.advance(minutes(1));
    let read = read_entry(&world, Ok(answer.index)).await.unwrap();
    assert_eq!(read.entry.free_text, WHY);
}

#[tokio::test]
async fn without_a_key_what_must_be_sealed_is_refused_and_the_rest_goes_on() {
    let world = World::new().await;
    let seals = world.folder().join("seals");
    // Next year's keys were not made ahead, and no call makes one.
    world.clock.advance(years(1));
    let adviser = world.log_in("adviser-1").await;
    let moved = world.folder().join("moved");
    let warnings = || world.gate.ledger().warnings();
    assert_eq!(warnings(), Vec::<String>::new());
    for disk_fails in [false, true] {
        if disk_fails {
            std::fs::rename(&seals, &moved).unwrap();
            world.gate.tidy().await;
            assert!(
                warnings()[0].contains("default-2027-07 is refused: "),
                "{:?}",
                warnings()
            );
            assert_eq!(world.gate.ledger().metrics()[0].value, 2);
        }
        let length = world.gate.log().len();
        let refused = world.gate.check(&crm(), emergency(&adviser, "js-1")).await;
        let Err(GateError::Log(AppendError::Refused(why))) = refused else {
            panic!("{refused:?}")
        };
        assert!(why.contains("default-2027-07 is not ready"), "{why}");
        assert_eq!(
            world.gate.log().len(),
            length,
            "nothing was written in the clear"
        );
        assert!(world.check(read_of(&adviser, "js-1")).await.is_allowed());
    }
    std::fs::rename(&moved, &seals).unwrap();
    world.gate.tidy().await;
    assert_eq!(warnings(), Vec::<String>::new());
    assert!(world.check(emergency(&adviser, "js-1")).await.is_allowed());
}

#[tokio::test]
async fn keys_are_ready_before_their_month_begins_and_for_what_began_in_the_last() {
    let world = World::new().await;
    let july = world.log_in("adviser-1").await;
    assert!(world.check(emergency(&july, "js-1")).await.is_allowed());
    let august = Timestamp::parse("2026-08-01T00:00:00+09:00").unwrap();
    for (at, tidied, who) in [
        (august.minus(minutes(60)), true, "adviser-1"),
        (august.plus(minutes(1)), false, "adviser-1"),
        (august.plus(minutes(2)), true, "adviser-1"),
        // The clock is set back: the month before is this one again, and its key was not let go.
        (august.minus(minutes(1)), false, "adviser-2"),
    ] {
        world.clock.set(at);
        let adviser = world.log_in(who).await;
        if tidied {
            world.gate.tidy().await;
        }
        let answer = world.check(emergency(&adviser, "js-1")).await;
        assert!(answer.is_allowed(), "{at}");
        let stored = world.on_disk_from(answer.index.0).remove(0);
        let month = if at < august { "2026-07" } else { "2026-08" };
        assert_eq!(stored.sealed.unwrap().month, month, "{at}");
    }
}

#[tokio::test]
async fn what_was_kept_long_enough_goes_and_says_so_and_old_proofs_still_verify() {
    let world = World::new().await;
    let (usual, urgent) = a_day_and(&world, years(3)).await;
    let log = world.gate.log();
    let old_size = log.reader().segments()[1].first;
    let old = log.checkpoints().borrow().checkpoint.clone();
    let admin = world.log_in("administrator-1").await;
    let before = world.now().minus(years(3));

    let dry = DisposeWish {
        dry_run: true,
        ..wish(before)
    };
    let told = dispose(&world, &admin, dry).await.unwrap();
    assert_eq!(told.found.segments, [(0, old_size)]);
    assert!(
        read_entry(&world, Err(id(&usual))).await.is_ok(),
        "a dry run takes nothing"
    );

    let done = dispose(&world, &admin, wish(before)).await.unwrap();
    assert_eq!(done.found.segments, [(0, old_size)]);
    assert_eq!(done.found.entries(), old_size);
    assert!(done.pending.is_none() && !done.found.more);
    let entry = world.on_disk_from(done.index.0).remove(0);
    assert_eq!(entry.kind, i32::from(EntryKind::Disposal));
    for (key, value) in [
        ("asked_by", "administrator-1"),
        ("alone", "true"),
        ("segments", &*format!("0-{}", old_size - 1)),
        ("entries", &*old_size.to_string()),
    ] {
        assert_eq!(detail(&entry, key), value);
    }
    assert!(
        detail(&entry, "rule").contains("default 3y"),
        "{}",
        detail(&entry, "rule")
    );
    assert_eq!(files(&world.log_folder(), ".disposed").len(), 1);
    assert!(
        !world
            .log_folder()
            .join("00000000000000000000.segment")
            .exists()
    );

    for world in [
        &world,
        &world.start_on(world.as_killed_now()).await.unwrap(),
    ] {
        let log = world.gate.log();
        world.clock.advance(minutes(1));
        for by in [Ok(LogIndex(2)), Err(id(&usual)), Err(id(&urgent))] {
            let gone = read_entry(world, by).await.unwrap_err();
            let GateError::DisposedOf(words) = gone else {
                panic!("{gone:?}")
            };
            assert!(
                words.contains("disposed of on 20") && words.contains("default 3y"),
                "{words}"
            );
            world.clock.advance(minutes(1));
        }
        let gone = log.reader().get(LogIndex(0)).unwrap_err();
        assert!(matches!(gone, ReadError::Disposed { first: 0, next, .. } if next == old_size));
        for reader in [
            log.reader(),
            LogReader::open_directory(world.log_folder()).unwrap(),
        ] {
            let first = reader.forward(LogIndex(0)).next().unwrap().unwrap();
            assert_eq!(first.index, LogIndex(old_size), "passed over");
            let newest = LogIndex(reader.len());
            let last = reader.backward(newest).last().unwrap().unwrap();
            assert_eq!(last.index, LogIndex(old_size));
        }
        assert_eq!(found(world).await.first().copied(), Some(old_size));
        // The log as it was before is a prefix of the log as it is, by the hashes that were left.
        let proof = log.consistency_proof(old.size).unwrap().unwrap();
        let new = &proof.signed.checkpoint;
        assert_eq!(
            verify_consistency((old.size, &old.root), (new.size, &new.root), &proof.path),
            Ok(())
        );
        let key = std::fs::read_to_string(world.log_folder().join("log.vkey")).unwrap();
        let key = VerifierKey::parse(key.trim()).unwrap();
        assert_eq!(&proof.signed.note.checkpoint(&key).unwrap(), new);
    }
}

/// The indexes that a search of everything finds, oldest first.
async fn found(world: &World) -> Vec<u64> {
    let manager = world.log_in("security-1").await;
    let page = Page {
        oldest_first: true,
        size: 1_000,
        start: None,
        whole: false,
    };
    let mut messages = world
        .gate
        .search(&crm(), &credentials(&manager), EntryFilter::default(), page)
        .await
        .unwrap();
    let mut found = Vec::new();
    while let Some(message) = messages.recv().await {
        found.push(message.unwrap().0.index.0);
    }
    found
}

#[tokio::test]
async fn a_months_key_goes_when_the_whole_month_was_kept_long_enough() {
    let world = World::new().await;
    a_day_and(&world, years(3)).await;
    let admin = world.log_in("administrator-1").await;
    // The first of July three years ago is over, July is not.
    let done = dispose(&world, &admin, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    assert!(done.found.keys.is_empty() && !done.found.segments.is_empty());
    world.clock.advance(DAY * 31);
    let admin = world.log_in("administrator-1").await;
    let done = dispose(&world, &admin, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    let keys: Vec<String> = done.found.keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["default-2026-07", "provision-record-3y-2026-07"]);
    let seals = world.folder().join("seals");
    assert!(!files(&seals, ".key").contains("default-2026-07.key"));
    assert!(files(&seals, ".destroyed").contains("default-2026-07.destroyed"));
}

#[tokio::test]
async fn a_disposal_that_a_kill_cut_short_is_completed_by_the_next_start() {
    let world = World::new().await;
    a_day_and(&world, years(3) + DAY * 31).await;
    let admin = world.log_in("administrator-1").await;
    let before = world.as_killed_now();
    let done = dispose(&world, &admin, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    assert!(!done.found.segments.is_empty() && !done.found.keys.is_empty());
    let after = world.as_killed_now();
    world.gate.stop().await;
    let old = [
        "log/00000000000000000000.segment",
        "seals/default-2026-07.key",
    ];
    let notes = [
        "log/00000000000000000000.disposed",
        "seals/default-2026-07.destroyed",
    ];
    let store = ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"];
    // After the entry alone; after all notes; after some of each.
    let cuts: [(&[&str], &[&str]); 3] = [(&old, &notes), (&old, &[]), (&old[1..], &notes[1..])];
    for (number, (back, gone)) in cuts.into_iter().enumerate() {
        let left = tempfile::tempdir().unwrap();
        copy_folder(after.path(), left.path());
        for file in store.iter().chain(back) {
            let from = before.path().join(file);
            if from.exists() {
                std::fs::copy(&from, left.path().join(file)).unwrap();
            }
        }
        for file in gone {
            std::fs::remove_file(left.path().join(file)).unwrap();
        }
        let again = world.start_on(left).await.unwrap();
        for file in old {
            assert!(!again.folder().join(file).exists(), "cut {number}: {file}");
        }
        for file in notes {
            assert!(again.folder().join(file).exists(), "cut {number}: {file}");
        }
        again.clock.advance(minutes(1));
        let gone = read_entry(&again, Ok(LogIndex(0))).await.unwrap_err();
        assert!(
            matches!(gone, GateError::DisposedOf(_)),
            "cut {number}: {gone:?}"
        );
        again.gate.stop().await;
    }
}

#[tokio::test]
async fn only_an_administrator_with_a_fresh_second_step_may() {
    let world = World::new().await;
    a_day_and(&world, years(3)).await;
    let before = world.now().minus(years(3));
    let manager = world.log_in("security-1").await;
    let refused = dispose(&world, &manager, wish(before)).await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    let nobody = world
        .gate
        .dispose(
            &crm(),
            &sekisho::gate::Credentials {
                ticket: None,
                ..credentials(&manager)
            },
            wish(before),
        )
        .await;
    assert!(matches!(
        nobody,
        Err(GateError::Refused(ReasonCode::TicketMissing))
    ));
    let admin = world.log_in("administrator-1").await;
    world.clock.advance(minutes(5) + seconds(1));
    let stale = dispose(&world, &admin, wish(before)).await;
    assert!(matches!(
        stale,
        Err(GateError::Refused(ReasonCode::StepUpRequired))
    ));
    let last = world.on_disk().pop().unwrap();
    assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
    assert_eq!(
        (&*last.person, detail(&last, "call")),
        ("administrator-1", "Dispose")
    );
    let fresh = world
        .step_up("administrator-1", &admin)
        .await
        .unwrap()
        .ticket;
    assert!(dispose(&world, &fresh, wish(before)).await.is_ok());
}

#[tokio::test]
async fn what_can_not_be_asked_for_is_refused_with_its_field_and_an_entry() {
    let world = World::new().await;
    a_day_and(&world, years(3)).await;
    let admin = world.log_in("administrator-1").await;
    let ago = |time: Duration| world.now().minus(time);
    let bad = [
        (wish(ago(DAY * 3 * 365)), "before"),
        (wish(world.now().plus(DAY)), "before"),
        (
            wish(Timestamp::parse("1899-12-31T23:59:59Z").unwrap()),
            "before",
        ),
        (
            DisposeWish {
                before: None,
                ..wish(ago(DAY))
            },
            "before",
        ),
        (
            DisposeWish {
                approve: Some(LogIndex(1)),
                ..wish(ago(years(3)))
            },
            "before",
        ),
        (approval(LogIndex(1)), "approve"),
    ];
    for (number, (wish, field)) in bad.into_iter().enumerate() {
        let refused = dispose(&world, &admin, wish).await;
        assert_eq!(wrong_fields(refused), [field], "{number}");
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
        assert_eq!(detail(&last, "fields"), field);
        assert_eq!(last.person, "administrator-1");
    }
    assert!(files(&world.log_folder(), ".disposed").is_empty());
}

#[tokio::test]
async fn where_two_are_needed_another_approves_within_a_day() {
    let options = Options {
        dispose_needs_two: true,
        ..Options::default()
    };
    let world = World::with(options).await;
    a_day_and(&world, years(3)).await;
    let before = world.now().minus(years(3));
    let one = world.log_in("administrator-1").await;
    let two = world.log_in("administrator-2").await;
    let asked = dispose(&world, &one, wish(before)).await.unwrap();
    let (pending, until) = asked.pending.unwrap();
    assert_eq!(until, world.now().plus(DAY));
    assert!(!asked.found.segments.is_empty());
    assert!(
        files(&world.log_folder(), ".disposed").is_empty(),
        "asking takes nothing"
    );
    let entry = world.on_disk_from(pending.0).remove(0);
    assert_eq!(entry.kind, i32::from(EntryKind::Administration));
    assert_eq!(detail(&entry, "outcome"), "request");

    let own = dispose(&world, &one, approval(pending)).await;
    assert_eq!(wrong_fields(own), ["approve"]);
    let unknown = dispose(&world, &two, approval(LogIndex(pending.0 + 1))).await;
    assert_eq!(wrong_fields(unknown), ["approve"]);
    assert!(files(&world.log_folder(), ".disposed").is_empty());

    let done = dispose(&world, &two, approval(pending)).await.unwrap();
    assert_eq!(done.found.segments, asked.found.segments);
    let entry = world.on_disk_from(done.index.0).remove(0);
    assert_eq!(detail(&entry, "asked_by"), "administrator-1");
    assert_eq!(detail(&entry, "approved_by"), "administrator-2");
    assert_eq!(detail(&entry, "request_entry"), pending.to_string());
    assert_eq!(detail(&entry, "alone"), "");
    let again = dispose(&world, &two, approval(pending)).await;
    assert_eq!(
        wrong_fields(again),
        ["approve"],
        "a request is approved once"
    );
}

#[tokio::test]
async fn a_request_expires_after_a_day() {
    let options = Options {
        dispose_needs_two: true,
        ..Options::default()
    };
    let world = World::with(options).await;
    a_day_and(&world, years(3)).await;
    let one = world.log_in("administrator-1").await;
    let asked = dispose(&world, &one, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    world.clock.advance(DAY + seconds(1));
    let two = world.log_in("administrator-2").await;
    let late = dispose(&world, &two, approval(asked.pending.unwrap().0)).await;
    assert_eq!(wrong_fields(late), ["approve"]);
    assert!(files(&world.log_folder(), ".disposed").is_empty());
}

fn hold(from: Option<Timestamp>, until: Option<Timestamp>) -> LogHoldPlace {
    LogHoldPlace {
        from,
        until,
        reason: "Suit 12 of the district court".to_owned(),
    }
}

async fn release(
    world: &World,
    ticket: &TicketText,
    hold: LogIndex,
    approve: Option<LogIndex>,
) -> Result<Option<LogIndex>, GateError> {
    let release = LogHoldRelease {
        hold,
        reason: "Suit 12 was settled".to_owned(),
        approve,
    };
    let done = world
        .gate
        .release_log_hold(&crm(), &credentials(ticket), release)
        .await?;
    Ok(done.pending_until.map(|_| done.index))
}

#[tokio::test]
async fn what_is_held_stays_until_the_hold_is_released() {
    let world = World::new().await;
    let morning = world.now();
    a_day_and(&world, years(3) + DAY * 31).await;
    let admin = world.log_in("administrator-1").await;
    let place = async |world: &World, from, until| {
        world
            .gate
            .place_log_hold(&crm(), &credentials(&admin), hold(from, until))
            .await
            .unwrap()
    };
    // One that ends before the first entry and one that begins after the last keep nothing.
    place(&world, None, Some(morning.minus(DAY * 40))).await;
    place(&world, Some(morning.plus(DAY * 40)), None).await;
    let held = place(&world, Some(morning), Some(morning.plus(DAY / 4))).await;
    let stored = world.on_disk_from(held.0).remove(0);
    assert_eq!(stored.free_text, "");
    assert!(!stored.sealed.unwrap().whole, "the reason is sealed");
    let before = world.now().minus(years(3));
    committed(&world).await;
    let kept = dispose(&world, &admin, wish(before)).await.unwrap();
    let first: Vec<_> = kept
        .found
        .segments
        .iter()
        .map(|(first, _)| *first)
        .collect();
    assert!(
        !first.contains(&0) && kept.found.keys.is_empty(),
        "{kept:?}"
    );
    assert!(
        kept.found
            .withheld
            .iter()
            .all(|withheld| withheld.hold == Some(held)),
        "{kept:?}"
    );
    assert_eq!(
        kept.found.withheld.len(),
        3,
        "the first day, and July's keys"
    );

    let world = world.restart().await;
    let admin = world.step_up("administrator-1", &admin);
    world.clock.advance(minutes(1));
    let admin = admin.await.unwrap().ticket;
    let seen = world
        .gate
        .list_log_holds(&crm(), &credentials(&admin))
        .await
        .unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[2].hold.id, held);
    assert_eq!(seen[2].reason, "Suit 12 of the district court");
    assert_eq!(seen[2].placed_by, "administrator-1");
    assert_eq!(release(&world, &admin, held, None).await.unwrap(), None);
    assert_eq!(
        wrong_fields(release(&world, &admin, held, None).await),
        ["hold"]
    );
    let gone = dispose(&world, &admin, wish(before)).await.unwrap();
    assert_eq!(
        gone.found.segments.first().map(|(first, _)| *first),
        Some(0)
    );
    assert_eq!(gone.found.keys.len(), 2);
}

#[tokio::test]
async fn where_two_are_needed_a_hold_is_released_by_two() {
    let options = Options {
        dispose_needs_two: true,
        ..Options::default()
    };
    let world = World::with(options).await;
    let one = world.log_in("administrator-1").await;
    let two = world.log_in("administrator-2").await;
    let held = world
        .gate
        .place_log_hold(&crm(), &credentials(&one), hold(None, None))
        .await
        .unwrap();
    let pending = release(&world, &one, held, None).await.unwrap().unwrap();
    assert_eq!(
        wrong_fields(release(&world, &one, held, Some(pending)).await),
        ["approve"]
    );
    let count = async || {
        let seen = world.gate.list_log_holds(&crm(), &credentials(&one)).await;
        seen.unwrap().len()
    };
    assert_eq!(count().await, 1);
    assert_eq!(
        release(&world, &two, held, Some(pending)).await.unwrap(),
        None
    );
    assert_eq!(count().await, 0);
    // Such a request is not one for a disposal.
    let held = world
        .gate
        .place_log_hold(&crm(), &credentials(&one), hold(None, None))
        .await
        .unwrap();
    let pending = release(&world, &one, held, None).await.unwrap().unwrap();
    assert_eq!(
        wrong_fields(dispose(&world, &two, approval(pending)).await),
        ["approve"]
    );
}

#[tokio::test]
async fn a_hold_that_can_not_be_placed_is_refused_with_its_field() {
    let world = World::new().await;
    let admin = world.log_in("administrator-1").await;
    let now = world.now();
    let old = Timestamp::parse("1899-12-31T00:00:00Z").unwrap();
    let with_reason = |reason: &str| LogHoldPlace {
        reason: reason.to_owned(),
        ..hold(None, None)
    };
    for (place, field) in [
        (hold(Some(old), None), "from"),
        (hold(None, Some(old)), "until"),
        (hold(Some(now), Some(now)), "until"),
        (with_reason(" "), "reason"),
        (with_reason(&"x".repeat(2_049)), "reason"),
    ] {
        let placed = world
            .gate
            .place_log_hold(&crm(), &credentials(&admin), place)
            .await;
        assert_eq!(wrong_fields(placed), [field]);
    }
    let manager = world.log_in("security-1").await;
    let placed = world
        .gate
        .place_log_hold(&crm(), &credentials(&manager), hold(None, None))
        .await;
    assert!(matches!(placed, Err(GateError::NotAuthorised(_))));
}

/// Health for 30 days, logins for half a year, and all else for three.
fn classes(rules: &sekisho::decision::rules::RuleSet) -> LogRetention {
    let class = |id: &str, period: &str| LogClass {
        id: id.into(),
        period: Period::parse(period).unwrap(),
        categories: None,
        kinds: None,
        entries: Vec::new(),
        line: 1,
    };
    let medical = ["special.medical", "special"].map(|id| rules.categories.id(id).unwrap());
    LogRetention::new(
        Period::years(3),
        vec![
            LogClass {
                categories: Some(medical.into_iter().collect()),
                ..class("medical", "30d")
            },
            LogClass {
                entries: vec![LoggedKind::Authentication],
                ..class("logins", "6mo")
            },
        ],
    )
}

async fn world_with_classes() -> World {
    let plain = World::new().await;
    let options = Options {
        log_retention: Some(classes(plain.rules())),
        ..Options::default()
    };
    World::with(options).await
}

#[tokio::test]
async fn an_entry_of_a_short_class_is_sealed_whole_yet_read_counted_and_found() {
    let world = world_with_classes().await;
    let adviser = world.log_in("adviser-1").await;
    let urgent = world
        .check(with_id(emergency(&adviser, "js-2"), "r-1"))
        .await;
    let usual = world.check(read_of(&adviser, "js-1")).await;
    let stored = world.on_disk_from(urgent.index.0).remove(0);
    let sealed = stored.sealed.clone().unwrap();
    assert_eq!((&*sealed.class, sealed.whole), ("medical", true));
    let left = StoredEntry {
        time_us: stored.time_us,
        kind: stored.kind,
        decision_id: stored.decision_id.clone(),
        sealed: stored.sealed.clone(),
        ..StoredEntry::default()
    };
    assert_eq!(stored, left, "nothing else is outside the seal");
    let open = world.on_disk_from(usual.index.0).remove(0);
    assert_eq!((open.sealed, &*open.person), (None, "adviser-1"));

    // Opened for reviewers, for repeats, and by a start that takes up counts, request ids and sessions.
    let read = read_entry(&world, Err(id(&stored))).await.unwrap();
    assert_eq!(
        (&*read.entry.person, &*read.entry.free_text),
        ("adviser-1", WHY)
    );
    let world = world.restart().await;
    world.clock.advance(minutes(1));
    let repeat = world
        .check(with_id(emergency(&adviser, "js-2"), "r-1"))
        .await;
    assert_eq!(repeat.index, urgent.index);
    let report = sekisho::gate::OutcomeReport {
        decision: id(&stored),
        records_accessed: 1,
        fulfilled: Vec::new(),
        abandoned: false,
        subjects: Vec::new(),
    };
    world.gate.report_outcome(&crm(), report).await.unwrap();
    let outcome = world.on_disk().pop().unwrap();
    assert_eq!(
        outcome.sealed.unwrap().class,
        "medical",
        "what came of it is no more"
    );
}

#[tokio::test]
async fn a_short_class_goes_earlier_than_its_segment_and_leaves_time_kind_and_class() {
    let world = world_with_classes().await;
    let (usual, urgent) = a_day_and(&world, DAY * 70).await;
    let admin = world.log_in("administrator-1").await;
    let before = world.now().minus(DAY * 31);
    let done = dispose(&world, &admin, wish(before)).await.unwrap();
    let keys: Vec<String> = done.found.keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["medical-2026-07"]);
    assert!(done.found.segments.is_empty());
    let at = world
        .gate
        .log()
        .reader()
        .find_decision(id(&urgent))
        .unwrap()
        .unwrap();
    let read = read_entry(&world, Ok(at.index)).await.unwrap();
    assert_eq!(read.entry.time_us, urgent.time_us);
    assert_eq!(read.entry.kind, i32::from(EntryKind::Decision));
    assert_eq!((&*read.entry.person, &*read.entry.free_text), ("", ""));
    assert_eq!(detail(&read.entry, "class"), "medical");
    assert!(detail(&read.entry, "disposed_of").contains("disposed of"));
    world.clock.advance(minutes(1));
    let read = read_entry(&world, Err(id(&usual))).await.unwrap();
    assert_eq!(read.entry.person, "adviser-1", "the others stay");
    let report = sekisho::gate::OutcomeReport {
        decision: id(&urgent),
        records_accessed: 1,
        fulfilled: Vec::new(),
        abandoned: false,
        subjects: Vec::new(),
    };
    let late = world.gate.report_outcome(&crm(), report).await;
    assert!(matches!(late, Err(GateError::DisposedOf(_))), "{late:?}");
    world.restart().await;
}

#[tokio::test]
async fn a_longer_class_keeps_its_segment() {
    let plain = World::new().await;
    let long = LogClass {
        id: "advice".into(),
        period: Period::parse("5y").unwrap(),
        categories: None,
        kinds: Some(
            [plain.rules().kinds.id("job-seeker").unwrap()]
                .into_iter()
                .collect(),
        ),
        entries: vec![LoggedKind::Decision],
        line: 1,
    };
    let options = Options {
        log_retention: Some(LogRetention::new(Period::years(3), vec![long])),
        ..Options::default()
    };
    let world = World::with(options).await;
    let (usual, _) = a_day_and(&world, years(3)).await;
    let admin = world.log_in("administrator-1").await;
    let kept = dispose(&world, &admin, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    assert!(kept.found.is_empty());
    assert!(
        kept.found.withheld[0].why.contains("2031-07-01"),
        "{kept:?}"
    );
    assert!(read_entry(&world, Err(id(&usual))).await.is_ok());
    world.clock.advance(years(2));
    let admin = world.log_in("administrator-1").await;
    let gone = dispose(&world, &admin, wish(world.now().minus(years(3))))
        .await
        .unwrap();
    assert_eq!(
        gone.found.segments.first().map(|(first, _)| *first),
        Some(0)
    );
}

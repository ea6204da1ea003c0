//! Strangers are answered by a denial that is on disk, and can't fill the disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sekisho::domain::access::TicketText;
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::{Answer, GateError, Peer};
use sekisho::proto::{EntryKind, StoredEntry};

use crate::world::*;

/// How many entries of one certificate there may be since `began`: the first, and one for each second, of which the last may have
/// only begun. On a machine that is fast enough that is three.
fn entries_at_most(began: Instant) -> usize {
    usize::try_from(began.elapsed().as_secs()).unwrap() + 2
}

/// How many calls the entry stands for.
fn stands_for(entry: &StoredEntry) -> u64 {
    entry.sum_of.max(1)
}

async fn call_at_once(world: &World, peer: &Peer, calls: usize) -> Vec<Result<Answer, GateError>> {
    let calls: Vec<_> = (0..calls)
        .map(|number| {
            let (gate, peer) = (Arc::clone(&world.gate), peer.clone());
            let mut request = read(&TicketText::new("sk1.none"));
            if number % 2 == 0 {
                request = with_id(request, &format!("r-{number}"));
            }
            tokio::spawn(async move { gate.check(&peer, request).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_refusals_of_one_certificate_share_three_entries_at_most() {
    let world = World::new().await;
    let unknown = peer("nobody", 1, "10.1.0.5");
    let before = world.gate.log().len();
    let began = Instant::now();
    let answers = call_at_once(&world, &unknown, 500).await;
    let at_most = entries_at_most(began);
    let entries = world.on_disk();
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(denied(&answer), Some(ReasonCode::CallerUnknown));
        assert_eq!(answer.receipt().index(), answer.index);
        let on_disk = &entries[usize::try_from(answer.index.0).unwrap()];
        assert_eq!(*on_disk, *answer.entry);
        assert_eq!(
            detail(on_disk, "certificate_name"),
            format!("spiffe://{TRUST_DOMAIN}/service/nobody")
        );
    }
    let new: Vec<_> = entries[usize::try_from(before).unwrap()..].iter().collect();
    assert!(new.len() <= at_most, "{} entries", new.len());
    assert_eq!(new.iter().map(|entry| stands_for(entry)).sum::<u64>(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_can_wait_are_turned_away_and_counted_all_the_same() {
    let world = World::new().await;
    let unknown = peer("nobody", 1, "10.1.0.5");
    let before = world.gate.log().len();
    let began = Instant::now();
    let answers = call_at_once(&world, &unknown, 1_500).await;
    let turned_away = answers
        .iter()
        .filter(|answer| matches!(answer, Err(GateError::Busy { .. })))
        .count();
    let denied = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(turned_away + denied, 1_500);
    // Unless it took so long that a thousand had their entry before the others came.
    assert!(turned_away > 0 || began.elapsed() > seconds(1));
    // What was turned away is in the entry of its second, which may be written a moment later.
    let counted = || world.on_disk_from(before).iter().map(stands_for).sum();
    let until = Instant::now() + seconds(60);
    let mut sum: u64 = counted();
    while sum < 1_500 && Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        sum = counted();
    }
    assert_eq!(sum, 1_500);
    let entries = world.on_disk_from(before).len();
    assert!(entries <= entries_at_most(began), "{entries} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_summed_by_certificate_and_reason() {
    let world = World::new().await;
    let peers = [
        (peer("nobody", 1, "10.1.0.5"), ReasonCode::CallerUnknown),
        (peer("nobody", 2, "10.1.0.5"), ReasonCode::CallerUnknown),
        (
            peer("career-crm", 3, "192.0.2.1"),
            ReasonCode::CallerNetworkNotAllowed,
        ),
    ];
    let before = world.gate.log().len();
    let (one, two, three) = tokio::join!(
        call_at_once(&world, &peers[0].0, 20),
        call_at_once(&world, &peers[1].0, 30),
        call_at_once(&world, &peers[2].0, 40),
    );
    for (answers, (_, code)) in [one, two, three].into_iter().zip(&peers) {
        assert!(
            answers
                .into_iter()
                .all(|answer| denied(&answer.unwrap()) == Some(*code))
        );
    }
    let mut sums = HashMap::new();
    for entry in world.on_disk_from(before) {
        let key = (
            detail(&entry, "certificate_sha256").to_owned(),
            entry.reasons[0].code,
        );
        *sums.entry(key).or_insert(0) += stands_for(&entry);
    }
    let mut sums: Vec<u64> = sums.into_values().collect();
    sums.sort_unstable();
    assert_eq!(sums, [20, 30, 40]);
}

#[tokio::test]
async fn a_batch_of_a_stranger_counts_its_items() {
    let world = World::new().await;
    let unknown = peer("nobody", 1, "10.1.0.5");
    let batch = vec![read(&TicketText::new("sk1.none")); 7];
    let answers = world.gate.check_batch(&unknown, batch).await.unwrap();
    assert_eq!(answers.len(), 7);
    let last = world.on_disk().pop().unwrap();
    assert_eq!(last.sum_of, 7);
    assert!(answers.iter().all(|answer| *answer.entry == last));
}

#[tokio::test]
async fn other_calls_of_a_stranger_are_refused_and_logged() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    for (number, (stranger, code)) in [
        (peer("nobody", 1, "10.1.0.5"), ReasonCode::CallerUnknown),
        (
            peer("sekisho-cli", 2, "10.1.0.5"),
            ReasonCode::CallerUnknown,
        ),
        (
            peer("career-crm", REVOKED, "10.1.0.5"),
            ReasonCode::CallerUnknown,
        ),
        (
            peer("career-crm", 4, "192.0.2.1"),
            ReasonCode::CallerNetworkNotAllowed,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = world.gate.end_session(&stranger, &ticket).await;
        assert!(
            matches!(refused, Err(GateError::Refused(refused)) if refused == code),
            "{number}: {refused:?}"
        );
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
        assert_eq!(last.reasons[0].code, code.number());
        assert_eq!(last.caller_ip, stranger.address.to_string());
    }
    assert!(world.check(read(&ticket)).await.is_allowed());
}

#[tokio::test]
async fn a_certificate_counts_from_its_first_to_its_last_instant() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let end = crm().certificate.not_after;
    let mut certificate = (*crm().certificate).clone();
    certificate.not_before = world.now();
    certificate.not_after = world.now();
    let peer = Peer {
        certificate: Arc::new(certificate),
        ..crm()
    };
    let answer = world.gate.check(&peer, read(&ticket)).await.unwrap();
    assert!(answer.is_allowed());
    world.clock.advance(std::time::Duration::from_micros(1));
    let late = world.gate.check(&peer, read(&ticket)).await.unwrap();
    assert_eq!(denied(&late), Some(ReasonCode::CallerUnknown));
    assert!(world.now() < end);
}

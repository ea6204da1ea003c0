//! From pseudonyms back to people, and whose retention is over.

use std::time::Duration;

use sekisho::domain::subject::Pseudonym;
use sekisho::gate::{DateSet, GateError, OverduePage};
use sekisho::proto::EntryKind;

use crate::world::*;

/// Whose pseudonym is in the entry of a check.
async fn pseudonym(world: &World, of: &str) -> Pseudonym {
    let ticket = world.log_in("adviser-1").await;
    world.clock.advance(minutes(1));
    let answer = world.check(read_of(&ticket, of)).await;
    Pseudonym::from_bytes(&answer.entry.subjects[0]).unwrap()
}

#[tokio::test]
async fn the_companys_list_tells_whose_pseudonym_it_is_and_the_entry_how_much_was_asked() {
    let world = World::new().await;
    let wanted = pseudonym(&world, "js-77").await;
    for who in ["administrator-1", "security-1"] {
        let ticket = world.log_in(who).await;
        let begun = world
            .gate
            .begin_matching(&crm(), &credentials(&ticket))
            .await;
        let mut matching = begun.unwrap();
        matching.want(wanted);
        matching.want(Pseudonym([9; 32]));
        for number in 0..200 {
            matching.look_at(subject(&format!("js-{number}")));
        }
        let (matched, index) = matching.finish().await.unwrap();
        assert_eq!(matched.len(), 1);
        assert_eq!(matched[0].pseudonym, wanted);
        assert_eq!(matched[0].subject.expose(), "js-77");
        let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
        assert_eq!(
            (entry.kind, &*entry.person),
            (i32::from(EntryKind::LogRead), who)
        );
        assert_eq!(entry.subjects.len(), 2);
        assert_eq!(detail(&entry, "subject_refs"), "200");
        assert_eq!(detail(&entry, "matches"), "1");
    }
}

#[tokio::test]
async fn nobody_else_matches_and_who_gives_up_is_logged() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let refused = world
        .gate
        .begin_matching(&crm(), &credentials(&adviser))
        .await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    let refused = world.gate.begin_matching(&crm(), &nobody()).await;
    assert!(matches!(refused, Err(GateError::Refused(_))));
    let security = world.log_in("security-1").await;
    let begun = world
        .gate
        .begin_matching(&crm(), &credentials(&security))
        .await;
    let mut matching = begun.unwrap();
    matching.look_at(subject("js-1"));
    matching.abandon(GateError::Internal("gone")).await;
    let entry = world.on_disk().pop().unwrap();
    assert_eq!(detail(&entry, "outcome"), "abandoned");
    assert_eq!(detail(&entry, "subject_refs"), "1");
}

#[tokio::test]
async fn who_is_past_retention_is_listed_page_by_page() {
    let world = World::new().await;
    let years = |years: u64| Duration::from_hours(24 * 366 * years);
    for number in 0..30 {
        // Every third is over: the period is three years.
        let ago = if number % 3 == 0 { years(4) } else { years(2) };
        let set = DateSet {
            subject: subject(&format!("js-{number}")),
            date: name("last-contact"),
            value: world.now().minus(ago),
            reference: None,
        };
        world.gate.set_date(&crm(), &nobody(), set).await.unwrap();
    }
    let ticket = world.log_in("security-1").await;
    let listing = async |retention: Option<&str>, page| {
        let before = world.gate.log().len();
        let proof = credentials(&ticket);
        let listed = world
            .gate
            .list_overdue(&crm(), &proof, retention.map(name), page)
            .await;
        assert_eq!(world.gate.log().len(), before + 1);
        listed
    };
    let of = |page: &OverduePage| -> Vec<Pseudonym> {
        page.subjects.iter().map(|one| one.subject).collect()
    };
    let all = listing(Some("retention-expired"), (100, None))
        .await
        .unwrap();
    assert_eq!(all.subjects.len(), 10);
    assert!(all.next.is_none());
    assert!(
        all.subjects
            .iter()
            .all(|one| one.over < world.now() && one.date < one.over)
    );
    let mut told = Vec::new();
    let mut after = None;
    loop {
        let page = listing(None, (3, after)).await.unwrap();
        assert!(page.subjects.len() <= 3);
        told.extend(of(&page));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut expected = of(&all);
    expected.sort();
    told.sort();
    told.dedup();
    assert!(expected.iter().all(|one| told.contains(one)));
    assert_eq!(
        wrong_fields(listing(Some("retention"), (3, None)).await),
        ["retention"]
    );
    let adviser = world.log_in("adviser-1").await;
    let refused = world
        .gate
        .list_overdue(&crm(), &credentials(&adviser), None, (3, None))
        .await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
}

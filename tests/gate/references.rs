//! The register of references: who may, what can't be taken, and that store, log and other daemons agree on it.

use sekisho::domain::access::{AccessRequest, Basis, Consent, Subjects, TicketText};
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::reference::ReferenceKind;
use sekisho::gate::{Credentials, GateError, Peer, ReferenceWish};
use sekisho::proto::{EntryKind, ReferenceStanding};

use crate::postgres::Postgres;
use crate::world::*;

const PURPOSE: &str = "recruitment-service";

fn wish(of: Option<&str>, kind: ReferenceKind, id: &str) -> ReferenceWish {
    ReferenceWish {
        subject: of.map(subject),
        kind,
        reference: name(id),
        purposes: vec![name(PURPOSE)],
        until: None,
        given: None,
    }
}

fn consent(of: &str, id: &str) -> ReferenceWish {
    wish(Some(of), ReferenceKind::Consent, id)
}

/// Of one that is registered nothing is said of its purposes.
fn whole(wish: ReferenceWish) -> ReferenceWish {
    ReferenceWish {
        purposes: Vec::new(),
        ..wish
    }
}

async fn register(world: &World, wish: ReferenceWish) -> u64 {
    let gate = &world.gate;
    gate.register_reference(&crm(), &nobody(), wish)
        .await
        .unwrap()
        .0
}

async fn withdraw(world: &World, wish: ReferenceWish) -> u64 {
    let gate = &world.gate;
    gate.withdraw_reference(&crm(), &nobody(), wish)
        .await
        .unwrap()
        .0
}

fn referring(ticket: &TicketText, of: &str, to: &str) -> AccessRequest {
    let request = read_of(ticket, of);
    AccessRequest {
        basis: Basis {
            consent: Consent::Prior,
            reference: Some(name(to)),
            ..request.basis.clone()
        },
        ..request
    }
}

async fn standing(world: &World, request: AccessRequest) -> ReferenceStanding {
    let answer = world.check(request).await;
    answer.entry.basis_reference_standing()
}

#[tokio::test]
async fn an_entry_says_whether_what_was_declared_was_registered_and_so_after_a_kill() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    let declared = ReferenceStanding::Declared;
    let none = standing(&world, read_of(&ticket, "js-1")).await;
    assert_eq!(none, ReferenceStanding::Unspecified);
    assert_eq!(
        standing(&world, referring(&ticket, "js-1", "C-1")).await,
        declared
    );
    let index = register(&world, consent("js-1", "C-1")).await;
    register(&world, wish(None, ReferenceKind::Notice, "N-1")).await;
    register(&world, consent("js-1", "C-2")).await;
    withdraw(&world, whole(consent("js-1", "C-2"))).await;
    let entry = world.on_disk()[usize::try_from(index).unwrap()].clone();
    assert_eq!(entry.kind, i32::from(EntryKind::Administration));
    assert_eq!(detail(&entry, "change"), "register-reference");
    assert_eq!(detail(&entry, "kind"), "consent");
    assert_eq!(entry.basis_reference, "C-1");
    assert_eq!(entry.subjects.len(), 1);
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    let world = world.restart().await;
    for world in [&world, &killed] {
        for (of, to, expected) in [
            ("js-1", "C-1", ReferenceStanding::Registered),
            ("js-2", "C-1", declared),
            ("js-1", "C-2", declared),
            ("js-2", "N-1", ReferenceStanding::Registered),
        ] {
            let found = standing(world, referring(&ticket, of, to)).await;
            assert_eq!(found, expected, "{of} {to}");
        }
        let both = AccessRequest {
            subjects: Subjects::List(["js-1", "js-2"].map(subject).to_vec()),
            record_count: 2,
            ..referring(&ticket, "js-1", "C-1")
        };
        assert_eq!(standing(world, both).await, declared);
    }
}

#[tokio::test]
async fn what_a_kill_kept_from_the_store_is_replayed_from_the_log() {
    let world = World::new().await;
    let ticket = world.log_in("adviser-1").await;
    register(&world, consent("js-1", "C-1")).await;
    let before = world.as_killed_now();
    register(&world, consent("js-1", "C-2")).await;
    withdraw(&world, whole(consent("js-1", "C-1"))).await;
    let after = world.as_killed_now();
    crate::lost_imports::replace_store(before.path(), after.path());
    let world = world.start_on(after).await.unwrap();
    let start = world.on_disk().pop().unwrap();
    assert_eq!(detail(&start, "replayed_changes"), "2");
    for (to, expected) in [
        ("C-1", ReferenceStanding::Declared),
        ("C-2", ReferenceStanding::Registered),
    ] {
        let found = standing(&world, referring(&ticket, "js-1", to)).await;
        assert_eq!(found, expected, "{to}");
    }
}

#[tokio::test]
async fn a_service_that_may_registers_or_a_person_who_administers() {
    let world = World::new().await;
    let refused = |result: Result<_, GateError>| match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("taken"),
    };
    let adviser = world.log_in("adviser-1").await;
    let registering = async |peer: Peer, credentials: Credentials| {
        let wish = consent("js-1", "C-1");
        world
            .gate
            .register_reference(&peer, &credentials, wish)
            .await
    };
    for other in [billing(), mailer()] {
        let words = refused(registering(other, nobody()).await);
        assert!(words.contains("register nothing"), "{words}");
    }
    let words = refused(registering(billing(), credentials(&adviser)).await);
    // The ticket is another service's.
    assert!(!words.contains("register nothing"), "{words}");
    let other = world.log_in_at(&billing(), "accounting-1").await.ticket;
    let words = refused(registering(billing(), credentials(&other)).await);
    assert!(words.contains("a person who administers"), "{words}");
    let administrator = world.log_in_at(&billing(), "administrator-1").await.ticket;
    let index = registering(billing(), credentials(&administrator))
        .await
        .unwrap();
    let entry = world.on_disk()[usize::try_from(index.0).unwrap()].clone();
    assert_eq!(entry.person, "administrator-1");
    assert!(entry.session_used);
    let hold = sekisho::gate::HoldChange {
        subject: subject("in-1"),
        hold: name("provision-stopped"),
        reference: None,
    };
    let proof = credentials(&administrator);
    world
        .gate
        .register_hold(&billing(), &proof, hold)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_can_not_be_taken_is_named_and_logged() {
    let world = World::new().await;
    let registering = async |wish| {
        let before = world.gate.log().len();
        let fields = wrong_fields(world.gate.register_reference(&crm(), &nobody(), wish).await);
        assert_eq!(world.gate.log().len(), before + 1);
        let entry = world.on_disk().pop().unwrap();
        assert_eq!(entry.kind, i32::from(EntryKind::RefusedCall));
        assert_eq!(detail(&entry, "fields"), fields.join(", "));
        fields
    };
    let for_nobody = wish(None, ReferenceKind::Consent, "C-1");
    assert_eq!(registering(for_nobody).await, ["subject_ref"]);
    assert_eq!(
        registering(whole(consent("js-1", "C-1"))).await,
        ["purposes"]
    );
    let unknown = ReferenceWish {
        purposes: vec![name(PURPOSE), name("recruiting")],
        ..consent("js-1", "C-1")
    };
    assert_eq!(registering(unknown).await, ["purposes[1]"]);
    for year in ["1899-12-31T23:59:59Z", "2201-01-01T00:00:00Z"] {
        let ends = ReferenceWish {
            until: Some(sekisho::domain::time::Timestamp::parse(year).unwrap()),
            ..consent("js-1", "C-1")
        };
        assert_eq!(registering(ends).await, ["until"]);
    }
    register(&world, consent("js-1", "C-1")).await;
    let withdrawing = async |wish| {
        let result = world.gate.withdraw_reference(&crm(), &nobody(), wish).await;
        wrong_fields(result)
    };
    assert_eq!(withdrawing(consent("js-1", "C-1")).await, ["purposes"]);
    assert_eq!(
        withdrawing(whole(consent("js-1", "C-9"))).await,
        ["purposes"]
    );
    let order = wish(Some("js-1"), ReferenceKind::Order, "C-1");
    assert_eq!(withdrawing(whole(order)).await, ["reference"]);
    withdraw(&world, whole(consent("js-1", "C-1"))).await;
    assert_eq!(registering(consent("js-1", "C-1")).await, ["reference"]);
    for number in 1..256 {
        register(&world, consent("js-1", &format!("C-x{number}"))).await;
    }
    assert_eq!(registering(consent("js-1", "C-2")).await, ["reference"]);
    // A withdrawal finds room all the same.
    withdraw(&world, consent("js-1", "C-never")).await;
}

#[tokio::test]
async fn they_are_listed_page_by_page_and_the_look_is_logged() {
    let world = World::new().await;
    for id in ["C-1", "C-2", "C-3"] {
        register(&world, consent("js-1", id)).await;
    }
    withdraw(&world, whole(consent("js-1", "C-2"))).await;
    register(&world, wish(None, ReferenceKind::Engagement, "E-1")).await;
    let listing = async |of: Option<&str>, page| {
        let gate = &world.gate;
        let before = gate.log().len();
        let page = gate
            .list_references(&crm(), &nobody(), of.map(subject), page)
            .await
            .unwrap();
        assert_eq!(gate.log().len(), before + 1);
        page
    };
    let first = listing(Some("js-1"), (2, None)).await;
    let ids = |page: &sekisho::gate::ReferencePage| -> Vec<String> {
        page.references
            .iter()
            .map(|one| one.id.to_string())
            .collect()
    };
    assert_eq!(ids(&first), ["C-1", "C-2"]);
    assert!(first.references[1].withdrawn);
    let last = listing(Some("js-1"), (2, first.next)).await;
    assert_eq!(ids(&last), ["C-3"]);
    assert!(last.next.is_none());
    assert_eq!(ids(&listing(None, (2, None)).await), ["E-1"]);
    let refused = world
        .gate
        .list_references(&billing(), &nobody(), None, (2, None))
        .await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_at_one_daemon_counts_at_the_other() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    register(&one, consent("js-1", "C-1")).await;
    register(&one, wish(None, ReferenceKind::Notice, "N-1")).await;
    two.follow().await;
    let ticket = two.log_in("adviser-1").await;
    for to in ["C-1", "N-1"] {
        let found = standing(&two, referring(&ticket, "js-1", to)).await;
        assert_eq!(found, ReferenceStanding::Registered, "{to}");
    }
    withdraw(&two, whole(consent("js-1", "C-1"))).await;
    withdraw(&two, whole(wish(None, ReferenceKind::Notice, "N-1"))).await;
    one.follow().await;
    for (to, world) in [("C-1", &one), ("N-1", &one), ("C-1", &two), ("N-1", &two)] {
        let found = standing(world, referring(&ticket, "js-1", to)).await;
        assert_eq!(found, ReferenceStanding::Declared, "{to}");
    }
    // It is looked at what the other did last.
    let again = one
        .gate
        .register_reference(&crm(), &nobody(), consent("js-1", "C-1"))
        .await;
    assert_eq!(wrong_fields(again), ["reference"]);
    let ended = two.check(referring(&ticket, "js-1", "C-1")).await;
    assert_ne!(
        denied(&ended),
        Some(ReasonCode::ReferenceUnknown),
        "the pack asks for none"
    );
}

//! Imports that the log has and the store lacks: how one comes to be, that nothing is decided by what is left, and how it ends.

use std::path::Path;

use sekisho::backup::{self, BackupError};
use sekisho::domain::access::{AccessRequest, Action, Provision};
use sekisho::domain::ids::LogIndex;
use sekisho::domain::reason::ReasonCode;
use sekisho::gate::{GateError, LeftOut};
use sekisho::identity::recovery::{RecoveryKey, RecoveryPublicKey};
use sekisho::proto::EntryKind;
use sekisho::proto::stored_change::Kind;
use sekisho::vitals::Vitals as _;

use crate::imports::{
    STOPPED, consent, import, provide, stops, withdraw, withdraw_known, withdrew,
};
use crate::postgres::Postgres;
use crate::world::*;

/// Puts the store of one directory in the place of another's.
pub(crate) fn replace_store(from: &Path, to: &Path) {
    for folder in [to, from] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if !file.starts_with("store.sqlite") {
                continue;
            }
            if folder == to {
                std::fs::remove_file(&path).unwrap();
            } else {
                std::fs::copy(&path, to.join(file)).unwrap();
            }
        }
    }
}

/// A store that lacks an import which the log has.
async fn with_a_lost_import() -> World {
    let world = World::new().await;
    let before = world.as_killed_now();
    import(&world, stops(0, 5)).await;
    let after = world.as_killed_now();
    replace_store(before.path(), after.path());
    world.start_on(after).await.unwrap()
}

#[tokio::test]
async fn an_import_that_the_store_never_saw_is_told_at_every_start() {
    let mut world = with_a_lost_import().await;
    for _ in 0..2 {
        let start = world.on_disk().pop().unwrap();
        assert_eq!(start.kind, i32::from(EntryKind::DaemonStart));
        assert_eq!(detail(&start, "lost_imports"), "1");
        world = world.restart().await;
    }
}

#[tokio::test]
async fn what_depends_on_a_lost_import_is_refused_until_the_same_rows_are_imported_again() {
    let mut world = with_a_lost_import().await;
    let ticket = world.log_in("reception-1").await;
    let incomplete = Some(ReasonCode::SubjectsIncomplete);
    for _ in 0..2 {
        assert!(!world.gate.knows_all_subjects());
        let warnings = world.gate.upkeep().warnings();
        assert!(
            warnings.iter().any(|one| one.contains("5 rows, sha256")),
            "{warnings:?}"
        );
        for of in ["in-0", "in-9"] {
            assert_eq!(denied(&world.check(provide(&ticket, of)).await), incomplete);
        }
        // No hold, date or reference has a part in this.
        let request = AccessRequest {
            action: Action::Read,
            provision: Provision::default(),
            purpose: Some(name("inquiry-response")),
            ..provide(&ticket, "in-0")
        };
        assert_eq!(denied(&world.check(request).await), None);
        let held = world
            .gate
            .filter_subjects(
                &crm(),
                &nobody(),
                &[subject("in-0")],
                &[LeftOut::Held(name("provision-stopped"))],
            )
            .await;
        assert!(matches!(held, Err(GateError::SubjectsIncomplete)));
        let entry = world.on_disk().pop().unwrap();
        assert_eq!(entry.kind, i32::from(EntryKind::RefusedCall));
        // Other rows don't make up for it.
        import(&world, stops(0, 4)).await;
        world = world.restart().await;
    }
    import(&world, stops(0, 5)).await;
    for _ in 0..2 {
        assert!(world.gate.knows_all_subjects());
        assert_eq!(world.gate.upkeep().warnings(), [""; 0]);
        assert_eq!(
            denied(&world.check(provide(&ticket, "in-0")).await),
            STOPPED
        );
        assert!(world.check(provide(&ticket, "in-9")).await.is_allowed());
        world = world.restart().await;
    }
}

#[tokio::test]
async fn a_lost_import_is_made_up_for_whatever_came_after_it() {
    let world = World::new().await;
    let rows = || vec![consent("js-1", "C-1"), consent("js-2", "C-1")];
    let before = world.as_killed_now();
    import(&world, rows()).await;
    withdraw(&world, "js-1", "C-0").await;
    withdraw_known(&world, "js-2", "C-1").await;
    let after = world.as_killed_now();
    replace_store(before.path(), after.path());
    let world = world.start_on(after).await.unwrap();
    import(&world, rows()).await;
    let world = world.restart().await;
    let found = withdrew(&world, &["js-1", "js-2", "js-3"]).await;
    assert_eq!(found.unwrap(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_that_share_a_store_all_refuse_what_depends_on_a_lost_import() {
    let url = Postgres::shared().database();
    let [one, two] = World::pair(&url).await;
    // A third one, whose entry's rows are nowhere, as after its database was put back.
    let lost = sekisho::proto::StoredSubjectImport {
        batch: vec![9; 16],
        rows: 5,
        digest: vec![9; 32],
        at_us: 1,
    };
    let change = sekisho::proto::StoredChange {
        kind: Some(Kind::ImportSubjects(lost)),
    };
    let place = sekisho::store::StorePlace::Postgres {
        address: sekisho::store::PostgresAddress::parse(&url, None, Path::new("/")).unwrap(),
        shared: true,
    };
    let third = sekisho::store::Store::open_at(&place).await.unwrap();
    third.bind_log("test/three").await.unwrap();
    third.apply(&[(LogIndex(0), change)], 1).await.unwrap();
    let ticket = two.log_in("reception-1").await;
    for world in [&one, &two] {
        world.follow().await;
        assert!(!world.gate.knows_all_subjects());
        let found = denied(&world.check(provide(&ticket, "in-0")).await);
        assert_eq!(found, Some(ReasonCode::SubjectsIncomplete));
    }
}

#[tokio::test]
async fn a_backup_never_has_an_imports_entry_without_its_rows() {
    let world = World::new().await;
    let before = world.as_killed_now();
    import(&world, stops(0, 5)).await;
    let after = world.as_killed_now();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    RecoveryKey::create(&at("private"), &at("public")).unwrap();
    let key = RecoveryPublicKey::open(&at("public")).unwrap();
    // A store that becomes another one from one moment to the next: that of before the import, for now.
    let becomes = |of: &Path| {
        std::os::unix::fs::symlink(of, at("next")).unwrap();
        std::fs::rename(at("next"), at("now")).unwrap();
    };
    becomes(before.path());
    let place = sekisho::store::StorePlace::File(at("now").join("store.sqlite"));
    let target = at("one");
    let refused = backup::make(after.path(), &place, &target, &key, world.now()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, BackupError::Changed(_)), "{error}");
    assert!(
        error.to_string().contains("imported while it was copied"),
        "{error}"
    );
    assert!(!target.join("manifest").exists());

    // An import that ends while the store is copied: it is copied again.
    let target = at("two");
    let making = backup::make(after.path(), &place, &target, &key, world.now());
    let ending = async {
        while !target.join("store.sqlite").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        becomes(after.path());
    };
    let (made, ()) = tokio::join!(making, ending);
    made.unwrap();
    let restored = world.as_killed_now();
    replace_store(&target, restored.path());
    let world = world.start_on(restored).await.unwrap();
    assert!(world.gate.knows_all_subjects());
    let ticket = world.log_in("reception-1").await;
    assert_eq!(
        denied(&world.check(provide(&ticket, "in-0")).await),
        STOPPED
    );
}

use super::held::READ_MAX;
use super::*;
use crate::identity::keyring::Keyring;

fn name(class: &str, month: &str) -> SealName {
    SealName::new(class, Month::parse(month).unwrap()).unwrap()
}

fn at() -> Timestamp {
    Timestamp::parse("2029-12-01T00:00:00Z").unwrap()
}

struct World {
    folder: tempfile::TempDir,
    keyring: Keyring,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            keyring: Keyring::ephemeral().unwrap(),
        }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("seals")
    }

    fn seals(&self) -> Seals {
        Seals::open(self.directory(), self.keyring.log_text.clone()).unwrap()
    }
}

/// Prepares a key and seals with it.
fn seal(
    seals: &Seals,
    name: &SealName,
    context: &[u8],
    plain: &[u8],
) -> Result<(String, Vec<u8>), SealsError> {
    seals.prepare(name)?;
    seals.seal(name, context, plain)
}

#[test]
fn what_is_sealed_opens_after_a_restart_and_only_under_its_class_month_and_context() {
    let world = World::new();
    let november = name("default", "2026-11");
    let (id, sealed) = seal(&world.seals(), &november, b"entry 1", b"reason").unwrap();
    let seals = world.seals();
    let open = |name: &SealName, context: &[u8]| seals.unseal(name, &id, context, &sealed);
    assert_eq!(&**open(&november, b"entry 1").unwrap(), b"reason");
    assert_eq!(
        open(&november, b"entry 2").unwrap_err(),
        UnsealError::NotGenuine
    );
    for other in [name("default", "2026-12"), name("health", "2026-11")] {
        assert_eq!(open(&other, b"entry 1").unwrap_err(), UnsealError::Missing);
        seals.prepare(&other).unwrap();
        assert_eq!(open(&other, b"entry 1").unwrap_err(), UnsealError::Missing);
    }
}

#[test]
fn a_key_is_on_the_disk_before_anything_is_sealed_under_it_and_is_worth_nothing_elsewhere() {
    let world = World::new();
    let november = name("default", "2026-11");
    let (id, sealed) = seal(&world.seals(), &november, b"", b"reason").unwrap();
    let file = world.directory().join("default-2026-11.key");
    assert_eq!(files::read_private(&file, 100).unwrap().len(), 72);
    // Under another keyring, and as the key of another month.
    let other = Seals::open(world.directory(), Keyring::ephemeral().unwrap().log_text).unwrap();
    assert_eq!(
        other.unseal(&november, &id, b"", &sealed).unwrap_err(),
        UnsealError::Missing
    );
    assert!(matches!(
        seal(&other, &november, b"", b"x"),
        Err(SealsError::NotGenuine(_))
    ));
    fs::copy(&file, world.directory().join("default-2026-12.key")).unwrap();
    let december = name("default", "2026-12");
    assert!(matches!(
        seal(&world.seals(), &december, b"", b"x"),
        Err(SealsError::NotGenuine(_))
    ));
}

#[test]
fn a_destroyed_key_opens_nothing_seals_nothing_and_leaves_no_byte() {
    let world = World::new();
    let (old, young) = (name("default", "2026-11"), name("default", "2026-12"));
    let seals = world.seals();
    let (id, sealed) = seal(&seals, &old, b"", b"reason").unwrap();
    let (young_id, young_sealed) = seal(&seals, &young, b"", b"reason").unwrap();
    let file = world.directory().join("default-2026-11.key");
    // A second name for the same bytes shows what became of them.
    let witness = world.folder.path().join("witness");
    fs::hard_link(&file, &witness).unwrap();
    let before = fs::read(&file).unwrap();
    seals.destroy(&old, "3y", at()).unwrap();
    seals.destroy(&old, "3y", at()).unwrap();
    assert!(!file.exists());
    let after = fs::read(&witness).unwrap();
    assert_eq!(after.len(), before.len());
    assert_ne!(after, before);
    for seals in [seals, world.seals()] {
        assert_eq!(
            seals.unseal(&old, &id, b"", &sealed).unwrap_err(),
            UnsealError::Destroyed
        );
        assert!(matches!(
            seal(&seals, &old, b"", b"x"),
            Err(SealsError::Destroyed(_))
        ));
        assert!(seals.unseal(&young, &young_id, b"", &young_sealed).is_ok());
        assert_eq!(seals.keys().unwrap(), std::slice::from_ref(&young));
    }
}

#[test]
fn a_destruction_that_was_cut_short_is_completed() {
    let world = World::new();
    let old = name("default", "2026-11");
    world.seals().prepare(&old).unwrap();
    let kept = fs::read(world.directory().join("default-2026-11.key")).unwrap();
    world.seals().destroy(&old, "3y", at()).unwrap();
    // As if the process had ended after the note.
    files::create_private(&world.directory().join("default-2026-11.key"), &kept).unwrap();
    files::create_private(
        &world.directory().join(".default-2027-01.key.00.new"),
        &kept,
    )
    .unwrap();
    assert!(world.seals().keys().unwrap().is_empty());
    let left: Vec<_> = fs::read_dir(world.directory()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn where_no_key_can_be_made_nothing_is_sealed() {
    let world = World::new();
    let seals = world.seals();
    fs::remove_dir(world.directory()).unwrap();
    assert!(matches!(
        seal(&seals, &name("default", "2026-11"), b"", b"x"),
        Err(SealsError::File(_))
    ));
}

#[test]
fn few_keys_are_held_and_all_are_found() {
    let world = World::new();
    let seals = world.seals();
    let months: Vec<SealName> = (1..=9)
        .flat_map(|year| {
            (1..=12).map(move |month| name("default", &format!("200{year}-{month:02}")))
        })
        .collect();
    let sealed: Vec<_> = months
        .iter()
        .map(|name| seal(&seals, name, b"", b"x").unwrap())
        .collect();
    let seals = world.seals();
    for (name, (id, sealed)) in months.iter().zip(&sealed) {
        assert!(seals.unseal(name, id, b"", sealed).is_ok(), "{name}");
        assert!(seals.held.held_for_reading() <= READ_MAX);
    }
    assert_eq!(seals.keys().unwrap(), months);
}

#[test]
fn a_class_that_leads_elsewhere_is_no_name() {
    let month = Month::parse("2026-11").unwrap();
    for bad in ["", "../x", "a/b", "A", "a.b", "あ"] {
        assert!(SealName::new(bad, month).is_none(), "{bad}");
    }
    assert_eq!(SealName::parse("a-b-2026-11"), SealName::new("a-b", month));
    for bad in [
        "",
        "2026-11",
        "-2026-11",
        "a2026-11",
        "a-2026-13",
        "é-2026-11",
    ] {
        assert_eq!(SealName::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_disk_that_hangs_while_a_key_is_made_or_destroyed_holds_up_nobody_who_seals_or_reads() {
    let world = World::new();
    let seals = Arc::new(world.seals());
    let (old, young) = (name("default", "2026-11"), name("default", "2026-12"));
    let (old_id, old_sealed) = seal(&world.seals(), &old, b"", b"old").unwrap();
    seals.prepare(&young).unwrap();
    let _hanging = seals.making();
    let (done, told) = std::sync::mpsc::channel();
    let thread = {
        let seals = Arc::clone(&seals);
        std::thread::spawn(move || {
            let (id, sealed) = seals.seal(&young, b"", b"x").unwrap();
            assert!(seals.unseal(&young, &id, b"", &sealed).is_ok());
            // Its file is read.
            assert!(seals.unseal(&old, &old_id, b"", &old_sealed).is_ok());
            done.send(()).unwrap();
        })
    };
    told.recv_timeout(std::time::Duration::from_secs(60))
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn only_what_was_prepared_seals_and_what_keeps_a_key_from_being_ready_is_told_until_it_is() {
    let world = World::new();
    let seals = world.seals();
    let (november, december) = (name("default", "2026-11"), name("default", "2026-12"));
    let both = [november.clone(), december.clone()];
    let months = november.month()..=december.month();
    assert!(matches!(
        seals.seal(&november, b"", b"x"),
        Err(SealsError::NotReady(_))
    ));
    let moved = world.folder.path().join("moved");
    fs::rename(world.directory(), &moved).unwrap();
    assert!(seals.prepare_all(&both, &months).is_err());
    let unready = seals.unready();
    let names: Vec<&SealName> = unready.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&november, &december], "each is tried");
    assert!(unready[0].1.contains("default-2026-11.key"), "{unready:?}");
    fs::rename(&moved, world.directory()).unwrap();
    seals.prepare_all(&both, &months).unwrap();
    assert!(seals.unready().is_empty());
    for name in &both {
        seals.seal(name, b"", b"x").unwrap();
    }
    // The next month, for which nothing more comes of the first.
    seals
        .prepare_all(&both[1..], &(december.month()..=december.month()))
        .unwrap();
    assert!(seals.seal(&december, b"", b"x").is_ok());
    assert!(matches!(
        seals.seal(&november, b"", b"x"),
        Err(SealsError::NotReady(_))
    ));
}

#[test]
fn no_reading_of_old_months_drives_out_the_keys_of_this_one() {
    let world = World::new();
    let seals = world.seals();
    let now = name("default", "2026-11");
    seals.prepare(&now).unwrap();
    for year in 1_900..1_900 + READ_MAX + 1 {
        let old = name("default", &format!("{year}-01"));
        let (id, sealed) = seal(&world.seals(), &old, b"", b"x").unwrap();
        seals.unseal(&old, &id, b"", &sealed).unwrap();
    }
    fs::remove_dir_all(world.directory()).unwrap();
    seals.seal(&now, b"", b"x").unwrap();
}

#[test]
fn a_slow_reader_never_brings_back_a_key_that_was_destroyed_meanwhile() {
    let world = World::new();
    let seals = world.seals();
    let old = name("default", "2026-11");
    let (id, sealed) = seal(&world.seals(), &old, b"", b"x").unwrap();
    // It has read the file when the key is destroyed, and others have been read since.
    let look = seals.held.find(&old).unwrap_err();
    let read = seals.read(&old).unwrap().unwrap();
    assert!(matches!(read, Held::Key(_)));
    seals.destroy(&old, "3y", at()).unwrap();
    for year in 1_900..1_900 + READ_MAX {
        let other = name("default", &format!("{year}-01"));
        let look = seals.held.find(&other).unwrap_err();
        assert!(seals.held.keep(&other, Held::Destroyed, look));
    }
    assert!(!seals.held.keep(&old, read, look));
    assert_eq!(
        seals.unseal(&old, &id, b"", &sealed).unwrap_err(),
        UnsealError::Destroyed
    );
    assert!(matches!(seals.prepare(&old), Err(SealsError::Destroyed(_))));
    assert!(!world.directory().join("default-2026-11.key").exists());
}

#[test]
fn a_key_that_another_process_destroyed_opens_nothing_once_that_was_seen() {
    let world = World::new();
    let daemon = world.seals();
    let old = name("default", "2026-11");
    let (id, sealed) = seal(&daemon, &old, b"", b"x").unwrap();
    let beside = Seals::beside(world.directory(), world.keyring.log_text.clone());
    assert_eq!(beside.destroyed().unwrap(), 0);
    assert!(beside.unseal(&old, &id, b"", &sealed).is_ok());
    daemon.destroy(&old, "3y", at()).unwrap();
    assert_eq!(beside.destroyed().unwrap(), 1);
    assert_eq!(
        beside.unseal(&old, &id, b"", &sealed).unwrap_err(),
        UnsealError::Destroyed
    );
    assert_eq!(world.seals().destroyed().unwrap(), 1, "after a start too");
}

#[test]
fn one_who_reads_beside_a_daemon_finishes_and_clears_away_nothing() {
    let world = World::new();
    let (old, young) = (name("default", "2026-11"), name("default", "2026-12"));
    let daemon = world.seals();
    for name in [&old, &young] {
        daemon.prepare(name).unwrap();
    }
    let (id, sealed) = daemon.seal(&young, b"", b"reason").unwrap();
    // The daemon is making one key, and is between the note and the end of another.
    let half_made = world.directory().join(".default-2027-01.key.00.new");
    let key = world.directory().join("default-2026-11.key");
    let note = world.directory().join("default-2026-11.destroyed");
    files::create_private(&half_made, b"half").unwrap();
    files::create_private(&note, b"3y").unwrap();
    let beside = Seals::beside(world.directory(), world.keyring.log_text.clone());
    assert_eq!(
        &**beside.unseal(&young, &id, b"", &sealed).unwrap(),
        b"reason"
    );
    assert_eq!(
        beside.unseal(&old, &id, b"", &sealed).unwrap_err(),
        UnsealError::Destroyed
    );
    assert!(half_made.exists() && key.exists() && note.exists());
    assert!(
        beside.seal(&name("default", "2027-02"), b"", b"x").is_err(),
        "it makes no key either"
    );
    drop(world.seals());
    assert!(!half_made.exists() && !key.exists(), "a start does");
}

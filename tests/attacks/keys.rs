//! New keys: whoever is logged in stays so, every authenticator goes on, and a key that was replaced is needed no more.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::Duration;

use sekisho::identity::keyring::Keyring;
use sekisho::proto::{EntryKind, StoredEntry};
use serde_json::{Value, json};

use crate::site::{Site, code_of, detail, not_genuine, refused_with};
use crate::support::dev_house::{done, run, sekisho, told};
use crate::support::play::Door;

const STEP: Duration = Duration::from_secs(30);
const SEED: &str = "3132333435363738393031323334353637383930";
/// The same seed as an authenticator reads it.
const SEED_URI: &str = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn data(home: &Path) -> String {
    home.join("data").to_str().unwrap().to_owned()
}

fn rotate(home: &Path, purpose: &str) {
    let said = done(
        home,
        "",
        &["keys", "rotate", purpose, "--data", &data(home)],
    );
    assert!(said.contains(purpose), "{said}");
}

/// Ids and whether each is in use, by what the keys are for, as `keys list` tells them.
fn listed(home: &Path) -> HashMap<String, Vec<(String, bool)>> {
    let lines = done(home, "", &["keys", "list", "--json", "--data", &data(home)]);
    let mut keys: HashMap<String, Vec<(String, bool)>> = HashMap::new();
    for line in lines.lines() {
        let key: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| key[field].as_str().unwrap().to_owned();
        let in_use = key["in_use"].as_bool().unwrap();
        keys.entry(text("use"))
            .or_default()
            .push((text("id"), in_use));
    }
    keys
}

/// Takes the keys for seeds that are not in use any more out of the keyring.
fn forget_older_seeds(home: &Path) {
    let older: Vec<String> = listed(home)["seeds"]
        .iter()
        .filter(|(_, in_use)| !in_use)
        .map(|(id, _)| id.clone())
        .collect();
    assert!(!older.is_empty());
    let file = home.join("data/keyring");
    let text = fs::read_to_string(&file).unwrap();
    let is_older = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("seeds")
            && words
                .next()
                .is_some_and(|id| older.iter().any(|it| it == id))
    };
    let kept: Vec<&str> = text.lines().filter(|line| !is_older(line)).collect();
    assert_eq!(kept.len() + older.len(), text.lines().count());
    fs::write(&file, kept.join("\n") + "\n").unwrap();
}

fn last_start(entries: &[StoredEntry]) -> &StoredEntry {
    let kind = i32::from(EntryKind::DaemonStart);
    entries.iter().rfind(|entry| entry.kind == kind).unwrap()
}

/// `seeds_sealed_anew` and `seeds_unreadable` of the last start.
fn seeds_of_last_start(site: &Site) -> (usize, usize) {
    let entries = site.entries();
    let number = |key: &str| detail(last_start(&entries), key).unwrap().parse().unwrap();
    (number("seeds_sealed_anew"), number("seeds_unreadable"))
}

/// Of the sample people.
fn enrolled(site: &Site) -> usize {
    let text = fs::read_to_string(site.daemon.data().join("dev/people.json")).unwrap();
    let people: Vec<Value> = serde_json::from_str(&text).unwrap();
    people
        .iter()
        .filter(|person| person["totp_secret"].is_string())
        .count()
}

fn import_a_token(site: &mut Site) {
    let administrator = site.administrator();
    let csv = format!("serial,algorithm,digits,period,seed\nT-1,SHA1,6,30,{SEED}\n");
    let import = json!({ "csv": csv });
    site.administer("ImportTokens", &import, &administrator)
        .unwrap();
}

#[test]
fn after_a_new_key_for_seeds_all_are_sealed_under_it_and_the_old_one_is_needed_no_more() {
    let mut site = Site::open();
    import_a_token(&mut site);
    let seeds = enrolled(&site) + 1;
    let session = site.person("adviser-1");
    site.next_code();
    let spent = site.code("adviser-1");
    site.try_code("adviser-1", &spent).unwrap();
    not_genuine(site.try_code("adviser-2", &site.wrong_code("adviser-2")));
    assert_eq!(seeds_of_last_start(&site), (0, 0));
    site.while_stopped(|home| {
        rotate(home, "seeds");
        let seeds = &listed(home)["seeds"];
        let in_use: Vec<bool> = seeds.iter().map(|(_, in_use)| *in_use).collect();
        assert_eq!(in_use, [true, false]);
    });
    assert_eq!(seeds_of_last_start(&site), (seeds, 0));
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    // Neither spent codes nor failures were forgotten.
    not_genuine(site.try_code("adviser-1", &spent));
    assert_eq!(site.last_why(), "used code");
    not_genuine(site.try_code("adviser-2", &site.wrong_code("adviser-2")));
    assert_eq!(site.attempts().last(), Some(&2));
    site.person("adviser-1");

    // Once is enough, and the old key is out of use.
    site.while_stopped(forget_older_seeds);
    assert_eq!(seeds_of_last_start(&site), (0, 0));
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    for person in ["adviser-1", "adviser-2", "manager-1"] {
        site.person(person);
    }
    let administrator = site.administrator();
    let code = code_of(SEED_URI, site.now());
    let assign = json!({ "person": "newcomer-1", "serial": "T-1", "totp": code });
    site.administer("AssignToken", &assign, &administrator)
        .unwrap();
    site.advance(STEP);
    site.try_code("newcomer-1", &code_of(SEED_URI, site.now()))
        .unwrap();
}

#[test]
fn seeds_whose_key_is_gone_are_told_and_stop_no_start() {
    let mut site = Site::open();
    let seeds = enrolled(&site);
    let session = site.person("adviser-1");
    site.while_stopped(|home| {
        rotate(home, "seeds");
        forget_older_seeds(home);
    });
    assert_eq!(seeds_of_last_start(&site), (0, seeds));
    assert!(
        site.daemon
            .output()
            .contains("can't be opened with this keyring")
    );
    // Who is logged in stays so; nobody gets in without a code that can be looked at.
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    site.advance(STEP);
    // It is nobody's guess, and nobody is charged for it.
    for _ in 0..6 {
        let refused = site.try_code("adviser-1", &site.code("adviser-1"));
        refused_with(refused, "UNAVAILABLE", "KEY_MISSING");
    }
    assert_eq!(site.attempts(), [1]);
    let entries = site.entries();
    let alarmed = entries
        .iter()
        .filter(|entry| detail(entry, "alarm").is_some());
    assert_eq!(alarmed.count(), 0);
}

#[test]
fn new_keys_for_tickets_and_a_new_master_key_log_nobody_out() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let mut before = HashMap::new();
    site.while_stopped(|home| {
        before = listed(home);
        rotate(home, "tickets");
        rotate(home, "master");
        let after = listed(home);
        let ids = |keys: &HashMap<String, Vec<(String, bool)>>, of: &str| -> Vec<String> {
            keys[of].iter().map(|(id, _)| id.clone()).collect()
        };
        let (old, new) = (ids(&before, "tickets"), ids(&after, "tickets"));
        assert_eq!(new[1..], old, "the one before stays, behind the new one");
        assert_ne!(new[0], old[0]);
        assert_ne!(ids(&after, "master"), ids(&before, "master"));
        for kept in ["seeds", "pseudonyms", "log-text", "log-signing", "pepper"] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        // No key is ever shown.
        let data = data(home);
        let text = fs::read_to_string(home.join("data/keyring")).unwrap();
        let shown = done(home, "", &["keys", "list", "--data", &data]);
        for line in text.lines().skip(3) {
            let wrapped = line.split_whitespace().nth(2).unwrap();
            assert!(!shown.contains(wrapped), "{shown}");
        }
        for (purpose, code) in [("pepper", 64), ("pseudonyms", 64), ("nothing", 64)] {
            let refused = run(home, "", &["keys", "rotate", purpose, "--data", &data]);
            assert_eq!(refused.status.code(), Some(code), "{}", told(&refused));
        }
        assert_eq!(listed(home), after);
    });
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
    site.step_up(&session).unwrap();
    // What is made now is made with the new key.
    let key = |ticket: &str| ticket.split('.').nth(1).unwrap().to_owned();
    let newer = site.person("adviser-1");
    assert_ne!(key(&newer.ticket), key(&session.ticket));
    for session in [&session, &newer] {
        assert_eq!(site.check(session).unwrap()["decision"], "DECISION_ALLOW");
    }
}

/// `keys` of the command line, with the master key from one file for several data directories.
fn keys(home: &Path, master: &Path, arguments: &[&str]) -> Output {
    let mut command = sekisho(home);
    command.env("SEKISHO_MASTER_KEY_FILE", master);
    command.arg("keys").args(arguments).output().unwrap()
}

/// The ids of the master keys that are in the file, as the directory's own keyring and a look at the file tell them.
fn masters(master: &Path) -> usize {
    let text = fs::read_to_string(master).unwrap();
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn the_master_key_comes_from_a_file_a_systemd_credential_or_the_environment_and_never_from_the_data()
 {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let (data, credentials) = (home.join("data"), home.join("credentials"));
    for folder in [&data, &credentials] {
        fs::create_dir(folder).unwrap();
    }
    let own = data.join("master.key");
    Keyring::create(&data).unwrap();
    let text = fs::read_to_string(&own).unwrap();
    let (file, credential) = (
        home.join("elsewhere"),
        credentials.join("sekisho-master-key"),
    );
    fs::copy(&own, &file).unwrap();
    fs::rename(&own, &credential).unwrap();
    let data = data.to_str().unwrap();
    let list = |place: Option<(&str, &str)>| {
        let mut command = sekisho(home);
        command.env_remove("CREDENTIALS_DIRECTORY").envs(place);
        command
            .args(["keys", "list", "--data", data])
            .output()
            .unwrap()
    };
    for place in [
        ("SEKISHO_MASTER_KEY", text.trim()),
        ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
        ("SEKISHO_MASTER_KEY_FILE", file.to_str().unwrap()),
    ] {
        let listed = list(Some(place));
        assert!(listed.status.success(), "{}: {}", place.0, told(&listed));
        assert!(!told(&listed).contains(text.trim()), "{}", place.0);
    }
    let missing = list(None);
    assert_eq!(missing.status.code(), Some(78), "{}", told(&missing));
    assert!(
        told(&missing).contains("no master key"),
        "{}",
        told(&missing)
    );
    let another = ("SEKISHO_MASTER_KEY", &*"A".repeat(43));
    let refused = list(Some(another));
    assert_eq!(refused.status.code(), Some(78), "{}", told(&refused));
}

#[test]
fn a_new_master_key_locks_no_other_directory_out_that_shares_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let (one, two, master) = (home.join("one"), home.join("two"), home.join("master"));
    for data in [&one, &two] {
        fs::create_dir(data).unwrap();
    }
    Keyring::create(&one).unwrap();
    fs::copy(one.join("keyring"), two.join("keyring")).unwrap();
    fs::rename(one.join("master.key"), &master).unwrap();
    let opens = |data: &Path| {
        let listed = keys(home, &master, &["list", "--data", data.to_str().unwrap()]);
        assert!(listed.status.success(), "{}", told(&listed));
    };
    let rotate = |data: &Path, more: &[&str]| {
        let data = data.to_str().unwrap();
        let arguments = [&["rotate", "master", "--data", data], more].concat();
        keys(home, &master, &arguments)
    };
    let done = |output: Output| assert!(output.status.success(), "{}", told(&output));

    done(rotate(&one, &[]));
    opens(&one);
    opens(&two);
    assert_eq!(masters(&master), 2);
    // Nobody forgets a key that this directory still needs; those of others are for the operator to know.
    let refused = rotate(&two, &["--forget"]);
    assert_eq!(refused.status.code(), Some(78), "{}", told(&refused));
    assert!(told(&refused).contains("rotate"), "{}", told(&refused));
    opens(&two);
    // The other takes up the key that is there already.
    done(rotate(&two, &[]));
    assert_eq!(masters(&master), 2);
    // A key before that which is in use by now is drawn, and both are behind it.
    done(rotate(&two, &[]));
    assert_eq!(masters(&master), 3);
    opens(&one);
    done(rotate(&one, &[]));
    assert_eq!(masters(&master), 3);
    done(rotate(&one, &["--forget"]));
    assert_eq!(masters(&master), 1);
    opens(&one);
    opens(&two);
    // Of the master key only.
    let data = one.to_str().unwrap();
    let refused = keys(
        home,
        &master,
        &["rotate", "seeds", "--forget", "--data", data],
    );
    assert_eq!(refused.status.code(), Some(64), "{}", told(&refused));
}

#[test]
fn of_two_that_rotate_with_one_master_key_file_at_once_neither_loses_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let master = home.join("master");
    let folders: Vec<_> = (0..4).map(|number| home.join(number.to_string())).collect();
    for data in &folders {
        fs::create_dir(data).unwrap();
    }
    Keyring::create(&folders[0]).unwrap();
    for data in &folders[1..] {
        fs::copy(folders[0].join("keyring"), data.join("keyring")).unwrap();
    }
    fs::rename(folders[0].join("master.key"), &master).unwrap();
    thread::scope(|scope| {
        for data in &folders {
            let master = &master;
            scope.spawn(move || {
                let data = data.to_str().unwrap();
                let output = keys(home, master, &["rotate", "master", "--data", data]);
                assert!(output.status.success(), "{}", told(&output));
            });
        }
    });
    for data in &folders {
        let listed = keys(home, &master, &["list", "--data", data.to_str().unwrap()]);
        assert!(listed.status.success(), "{}", told(&listed));
    }
}

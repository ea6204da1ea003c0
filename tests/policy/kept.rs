//! What a change of the policy must not forgive or forget: counts of what was read, what the shadow found, and that somebody administers.

use super::*;

fn pack_toml(house: &House) -> PathBuf {
    house.home().join("pack/pack.toml")
}

/// Changes pack.toml as an editor does.
fn edit_toml(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    let aside = path.with_extension("new");
    fs::write(&aside, text.replacen(from, to, 1)).unwrap();
    fs::rename(&aside, path).unwrap();
}

const LIMIT: &str =
    "id = \"read-and-search\"\nactions = [\"READ\", \"SEARCH\"]\npeople = 200\nwindow = \"1h\"";

fn limit(id: &str, people: u64, window: &str) -> String {
    format!(
        "id = \"{id}\"\nactions = [\"READ\", \"SEARCH\"]\npeople = {people}\nwindow = \"{window}\""
    )
}

fn reload(house: &House, by: &Session) {
    let answer = house.answer(RELOAD, &json!({}), &by.metadata());
    assert_eq!(answer["folder"], "POLICY_FOLDER_IN_FORCE", "{answer}");
}

/// The decision and its first reason.
fn outcome(house: &House, by: &Session, subject: u64) -> (String, String) {
    let answer = house.answer(CHECK, &request(by, subject), &Vec::new());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&answer["decision"]),
        text(&answer["reasons"][0]["code"]),
    )
}

/// Whoever has read as many as a limit allows reads no more by a change of its window, of its id, or by a new one.
#[test]
fn what_was_read_before_a_reload_counts_on_the_limits_that_come_with_it() {
    let mut house = House::with_own_pack();
    let adviser = house.log_in("adviser-1");
    let administrator = house.log_in("administrator-1");
    let toml = pack_toml(&house);
    let short = limit("read-and-search", 4, "20s");
    edit_toml(&toml, LIMIT, &short);
    reload(&house, &administrator);
    let allowed = || ("DECISION_ALLOW".to_owned(), String::new());
    let full = || {
        (
            "DECISION_DENY".to_owned(),
            "REASON_CODE_BULK_LIMIT_EXCEEDED".to_owned(),
        )
    };
    for subject in 1..=3 {
        assert_eq!(outcome(&house, &adviser, subject), allowed());
    }
    // Out of the window: it is slid by what is asked then.
    house.next_code();
    house.next_code();
    assert_eq!(outcome(&house, &adviser, 4), allowed());
    house.next_code();

    // A longer window: all four are in it.
    let long = limit("read-and-search", 5, "1h");
    edit_toml(&toml, &short, &long);
    reload(&house, &administrator);
    assert_eq!(outcome(&house, &adviser, 2), allowed(), "read before");
    assert_eq!(outcome(&house, &adviser, 5), allowed(), "the fifth");
    assert_eq!(outcome(&house, &adviser, 6), full());

    // Another id forgives nothing; nor does a start, nor the way back.
    let renamed = limit("people-a-day", 5, "12h");
    edit_toml(&toml, &long, &renamed);
    reload(&house, &administrator);
    assert_eq!(outcome(&house, &adviser, 6), full());
    let mut house = house.kill_and_start();
    house.next_code();
    assert_eq!(outcome(&house, &adviser, 6), full());
    assert_eq!(outcome(&house, &adviser, 5), allowed());
    edit_toml(&toml, &renamed, &long);
    reload(&house, &administrator);
    assert_eq!(outcome(&house, &adviser, 6), full());

    // The same limit goes on with its count: a comment is another revision, too.
    edit(&house, |text| text + "# looked at again\n");
    reload(&house, &administrator);
    assert_eq!(outcome(&house, &adviser, 6), full());
    assert_eq!(outcome(&house, &adviser, 1), allowed());
}

#[test]
fn the_shadow_says_what_it_cant_show_and_counts_on_after_a_restart() {
    let house = House::with_own_pack();
    let mut house = configured(house, "activation = \"by-hand\"");
    let adviser = house.log_in("adviser-1");
    let administrator = house.log_in("administrator-1");
    edit(&house, without_grant);
    edit_toml(
        &pack_toml(&house),
        LIMIT,
        &limit("read-and-search", 3, "1h"),
    );
    let answer = house.answer(RELOAD, &json!({}), &administrator.metadata());
    assert_eq!(answer["folder"], "POLICY_FOLDER_CANDIDATE");
    for subject in 1..=3 {
        assert_eq!(check(&house, &adviser, subject).0, "DECISION_ALLOW");
    }
    let shadow = |house: &House| house.answer(SHADOW, &json!({}), &administrator.metadata());
    until(SOON, "the shadow has followed", || {
        shadow(&house)["differing"] == "3"
    });
    let before = shadow(&house);
    assert_eq!(before["notShown"], json!(["limit"]), "{before}");
    let from: u64 = before["fromLogIndex"].as_str().unwrap().parse().unwrap();
    let next: u64 = before["nextLogIndex"].as_str().unwrap().parse().unwrap();
    assert!(from + 3 <= next, "{before}");

    // What it counted is read again from the log, in its own time.
    let mut house = house.kill_and_start();
    house.next_code();
    until(SOON, "the shadow has read the log again", || {
        shadow(&house)["differing"] == "3"
    });
    let after = shadow(&house);
    for same in ["revision", "since", "fromLogIndex", "notShown"] {
        assert_eq!(after[same], before[same], "{same}: {after}");
    }
    assert_eq!(check(&house, &adviser, 4).0, "DECISION_ALLOW");
    until(SOON, "it follows", || shadow(&house)["differing"] == "4");

    // Another candidate begins anew, and so does one that comes again.
    let toml = pack_toml(&house);
    let text = fs::read_to_string(&toml).unwrap();
    edit_toml(&toml, "people = 3", "people = 4");
    house.answer(RELOAD, &json!({}), &administrator.metadata());
    let other = shadow(&house);
    assert_ne!(other["revision"], before["revision"], "{other}");
    assert_ne!(other["fromLogIndex"], before["fromLogIndex"], "{other}");
    fs::write(&toml, text).unwrap();
    house.answer(RELOAD, &json!({}), &administrator.metadata());
    let again = shadow(&house);
    assert_eq!(again["revision"], before["revision"], "{again}");
    assert_ne!(again["fromLogIndex"], before["fromLogIndex"], "{again}");
}

#[test]
fn the_terminal_tells_what_the_shadow_cant_show_in_both_languages() {
    let house = House::with_own_pack_on_the_machines_clock();
    let house = configured(house, "activation = \"by-hand\"");
    let home = house.home().to_owned();
    let password = house.people.get("administrator-1").password.clone();
    let login = credentials(&home, house.data(), "administrator-1", &password);
    done(&home, &login, &["login", "--data", house.data()]);
    edit_toml(
        &pack_toml(&house),
        LIMIT,
        &limit("read-and-search", 3, "1h"),
    );
    let data = ["--data", house.data()];
    let sekisho = |arguments: &[&str]| done(&home, "", &[arguments, &data].concat());
    sekisho(&["policy", "reload"]);
    let english = sekisho(&["policy", "shadow"]);
    assert!(
        english.contains("Not shown by it") && english.contains("changes of limit"),
        "{english}"
    );
    let japanese = sekisho(&["policy", "shadow", "--lang", "ja"]);
    assert!(
        japanese.contains("再現に現れない変更: 件数の上限"),
        "{japanese}"
    );
    let json: Value = serde_json::from_str(&sekisho(&["policy", "shadow", "--json"])).unwrap();
    assert_eq!(json["not_shown"], json!(["limit"]), "{json}");

    // Many faults: the first are told, and how many there are.
    edit(&house, |text| text.replace("job-seeker,", "job-seekers,"));
    let refused = run(&home, "", &[&["policy", "reload"][..], &data].concat());
    assert!(!refused.status.success());
    let ready = house.daemon.get("/readyz");
    let warning = ready
        .lines()
        .find(|line| line.contains("is refused"))
        .unwrap();
    assert!(warning.matches("policy.csv:").count() == 5, "{warning}");
    let status: Value = serde_json::from_str(&sekisho(&["policy", "status", "--json"])).unwrap();
    let (told, all) = (
        status["faults"].as_array().unwrap().len(),
        status["fault_count"].as_u64().unwrap(),
    );
    assert!(all > 5 && told <= 100, "{told} of {all}");
    assert!(warning.contains(&format!("faults: {all}:")), "{warning}");
}

/// The folder's pack takes the place of what was in force at a start as at a reload, and by the same rule.
#[test]
fn a_start_stays_by_what_was_in_force_when_under_the_folders_pack_nobody_would_administer() {
    let mut house = House::with_own_pack();
    let administrator = house.log_in("administrator-1");
    let adviser = house.log_in("adviser-1");
    // Those of the role `legal` administer, and they alone: the others who do are disabled.
    let legal = "id = \"legal\"\n";
    let toml = pack_toml(&house);
    edit_toml(&toml, legal, "id = \"legal\"\nadministers = true\n");
    reload(&house, &administrator);
    let lawyer = house.log_in("legal-1");
    for id in ["administrator-1", "administrator-2"] {
        let disable = "sekisho.v1.DirectoryService/DisablePerson";
        let person = json!({ "id": id });
        house.answer(disable, &person, &lawyer.metadata());
    }
    let (_, first) = check(&house, &adviser, 1);

    let without = |home: &Path| {
        edit_toml(
            &home.join("pack/pack.toml"),
            "id = \"legal\"\nadministers = true\n",
            legal,
        );
    };
    let mut house = house.stop_and_start(without);
    house.next_code();
    assert_eq!(check(&house, &adviser, 1).1, first);
    let ready = house.daemon.get("/readyz");
    assert!(
        ready.contains("is refused") && ready.contains("a role that administers"),
        "{ready}"
    );
    let seen = state(&house, &lawyer);
    assert_eq!(seen["folder"], "POLICY_FOLDER_REFUSED", "{seen}");
    // The same rule as for a reload.
    let refused = house
        .send(RELOAD, &json!({}), &lawyer.metadata())
        .unwrap_err();
    assert!(
        refused.to_string().contains("a role that administers"),
        "{refused}"
    );
    let mut house = house.kill_and_start();
    house.next_code();
    assert_eq!(check(&house, &adviser, 1).1, first);

    // Mended, it is taken up; or at a start.
    edit_toml(
        &toml,
        legal,
        "id = \"legal\"\nadministers = true\n# mended\n",
    );
    reload(&house, &lawyer);
    let (_, second) = check(&house, &adviser, 1);
    assert_ne!(second, first);
    let house = house.stop_and_start(|home| {
        edit_toml(
            &home.join("pack/pack.toml"),
            "# mended\n",
            "# mended again\n",
        );
    });
    assert_ne!(check(&house, &adviser, 1).1, second);
    assert!(!house.daemon.get("/readyz").contains("is refused"));
}

/// The last account that administers under the one revision, and the last revision under which another does: not both go at once.
#[test]
fn an_account_that_is_disabled_and_a_revision_put_in_force_at_once_leave_somebody_who_administers()
{
    const DISABLE: &str = "sekisho.v1.DirectoryService/DisablePerson";
    let mut house = House::with_own_pack();
    let administrator = house.log_in("administrator-1");
    let toml = pack_toml(&house);
    edit_toml(
        &toml,
        "id = \"legal\"\n",
        "id = \"legal\"\nadministers = true\n",
    );
    reload(&house, &administrator);
    let lawyer = house.log_in("legal-1");
    let revision = |house: &House| {
        let seen = state(house, &administrator);
        seen["inForce"]["revision"].as_str().unwrap().to_owned()
    };
    let with = revision(&house);
    house.answer(
        DISABLE,
        &json!({ "id": "administrator-2" }),
        &lawyer.metadata(),
    );
    edit_toml(
        &toml,
        "id = \"legal\"\nadministers = true\n",
        "id = \"legal\"\n",
    );
    reload(&house, &administrator);
    let without = revision(&house);
    for round in 0..6 {
        activate(&house, &administrator, &with, None).unwrap();
        let (disabled, activated) = thread::scope(|scope| {
            let disabling = scope.spawn(|| {
                // The one takes files, the other does not: later by a little more each time.
                thread::sleep(Duration::from_millis(15 * round));
                let person = json!({ "id": "administrator-1" });
                house.send(DISABLE, &person, &lawyer.metadata())
            });
            let activated = activate(&house, &administrator, &without, None);
            (disabling.join().unwrap(), activated)
        });
        assert!(
            disabled.is_err() || activated.is_err(),
            "nobody administers: {disabled:?} {activated:?}"
        );
        assert!(
            disabled.is_ok() || activated.is_ok(),
            "neither was done: {disabled:?} {activated:?}"
        );
        if disabled.is_ok() {
            break;
        }
    }
}

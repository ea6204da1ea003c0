//! The life of a policy in a running daemon: the shipped binary, real grpcurl, a pack's folder that somebody edits. Each test is named
//! by the rule that it checks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "unwrapping and telling is how a test fails, in its helpers too"
)]

mod support;

#[path = "policy/kept.rs"]
mod kept;
#[path = "policy/transcript.rs"]
mod transcript;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use support::bad_packs::{self, Case};
use support::certificates::of_service;
use support::daemon::refused_start;
use support::dev_house::{House, credentials, done, run, told};
use support::play::{CallError, Session};
use support::scenario::CALLER;
use support::until;

const CHECK: &str = "sekisho.v1.AccessService/Check";
const GET: &str = "sekisho.v1.PolicyService/GetPolicy";
const REVISIONS: &str = "sekisho.v1.PolicyService/ListRevisions";
const RELOAD: &str = "sekisho.v1.PolicyService/ReloadPolicy";
const ACTIVATE: &str = "sekisho.v1.PolicyService/ActivatePolicy";
const SHADOW: &str = "sekisho.v1.PolicyService/GetShadow";
const SEARCH: &str = "sekisho.v1.AccessLogService/Search";
/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// What lets advisers read how to reach a job seeker.
const GRANT: &str =
    "p, career-adviser, job-seeker, contact, READ, recruitment-service, always, allow\n";

fn request(by: &Session, subject: u64) -> Value {
    json!({
        "actor": {
            "session_ticket": by.ticket,
            "client_ip": by.client_ip,
            "session_ref": by.session_ref,
        },
        "action": "ACTION_READ",
        "data": {
            "system": "crm",
            "subject_kind": "job-seeker",
            "subject_ref": format!("candidate-{subject:06}"),
            "categories": ["contact.email"],
            "record_count": 1,
        },
        "purpose": "recruitment-service",
        "relation": "RELATION_ASSIGNED",
    })
}

/// The decision and the revision that decided.
fn check(house: &House, by: &Session, subject: u64) -> (String, String) {
    let answer = house.answer(CHECK, &request(by, subject), &Vec::new());
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    (text("decision"), text("policyRevision"))
}

fn policy_file(house: &House) -> PathBuf {
    house.home().join("pack/policy.csv")
}

/// Changes policy.csv as an editor does: a new file takes the place of the old one.
fn edit(house: &House, change: impl FnOnce(String) -> String) {
    let path = policy_file(house);
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text, "nothing was changed");
    let aside = path.with_extension("new");
    fs::write(&aside, changed).unwrap();
    fs::rename(&aside, &path).unwrap();
}

fn without_grant(text: String) -> String {
    text.replace(GRANT, "")
}

/// Where the daemon keeps a revision.
fn folder_of_kept(house: &House, revision: &str) -> PathBuf {
    Path::new(house.data()).join("policies").join(revision)
}

fn state(house: &House, by: &Session) -> Value {
    house.answer(GET, &json!({}), &by.metadata())
}

fn activate(
    house: &House,
    by: &Session,
    revision: &str,
    approve: Option<&str>,
) -> Result<Value, CallError> {
    let mut request = json!({ "revision": revision, "reason": "the policy of the new year" });
    if let Some(approve) = approve {
        request["approve"] = approve.into();
    }
    house.send(ACTIVATE, &request, &by.metadata())
}

/// Sets `[policy]` and starts again.
fn configured(house: House, section: &str) -> House {
    house.stop_and_start(|home| {
        let path = home.join("data/sekisho.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n[policy]\n{section}\n")).unwrap();
    })
}

#[test]
fn a_changed_pack_is_in_force_by_itself_and_no_check_fails_meanwhile() {
    let mut house = House::with_own_pack();
    let adviser = house.log_in("adviser-1");
    let administrator = house.log_in("administrator-1");
    let (decision, first) = check(&house, &adviser, 1);
    assert_eq!(decision, "DECISION_ALLOW");

    // Somebody asks all the while.
    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let failed = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let own = of_service(house.daemon.data(), CALLER);
            let (mut failed, mut changed) = (Vec::new(), false);
            for subject in (2..90).cycle() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let request = request(&adviser, subject);
                match house.grpcurl.call(Some(&own), CHECK, &request, &Vec::new()) {
                    Ok(answer) => {
                        asked.fetch_add(1, Ordering::Relaxed);
                        let is_first = answer["policyRevision"] == first.as_str();
                        let expected = if is_first {
                            "DECISION_ALLOW"
                        } else {
                            "DECISION_DENY"
                        };
                        // By the one before and then by the other, and never back.
                        if answer["decision"] != expected || (is_first && changed) {
                            failed.push(answer.to_string());
                        }
                        changed = !is_first;
                    }
                    Err(error) => {
                        failed.push(error.to_string());
                        break;
                    }
                }
            }
            failed
        });

        // Wrongly: told with file and line, and nothing changes.
        edit(&house, |text| {
            text.replace(GRANT, &GRANT.replace("contact,", "contract,"))
        });
        until(SOON, "it is refused", || {
            house.daemon.get("/readyz").contains("is refused")
        });
        let ready = house.daemon.get("/readyz");
        assert!(
            ready.contains("200 OK") && ready.contains("policy.csv:34"),
            "{ready}"
        );
        assert!(ready.contains("contract"), "{ready}");
        let (decision, revision) = check(&house, &adviser, 1);
        assert_eq!((decision.as_str(), &revision), ("DECISION_ALLOW", &first));
        let refused = house
            .send(RELOAD, &json!({}), &administrator.metadata())
            .unwrap_err();
        assert_eq!(refused.code, "FAILED_PRECONDITION", "{refused}");
        assert!(refused.to_string().contains("policy.csv:34"), "{refused}");
        let seen = state(&house, &administrator);
        assert_eq!(seen["folder"], "POLICY_FOLDER_REFUSED", "{seen}");
        assert!(
            seen["faults"][0]
                .as_str()
                .unwrap()
                .contains("policy.csv:34"),
            "{seen}"
        );

        // Rightly.
        edit(&house, |text| {
            without_grant(text.replace("contract,", "contact,"))
        });
        until(SOON, "it is in force", || {
            check(&house, &adviser, 1).1 != first
        });
        let so_far = asked.load(Ordering::Relaxed);
        until(SOON, "more was asked", || {
            asked.load(Ordering::Relaxed) > so_far + 3
        });
        ended.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert!(asked.load(Ordering::Relaxed) > 10);
    assert_eq!(check(&house, &adviser, 1).0, "DECISION_DENY");
    assert!(!house.daemon.get("/readyz").contains("warning: the pack"));
    let metrics = house.daemon.get("/metrics");
    for number in [
        "sekisho_policy_activations_total 1",
        "sekisho_policy_refusals_total 1",
        "sekisho_policy_folder_refused 0",
    ] {
        assert!(metrics.contains(number), "{number}: {metrics}");
    }

    // Both are in the log, once each.
    let reader = house.log_in("security-1");
    let query = json!({ "kind": "ENTRY_KIND_POLICY_CHANGE" });
    let found = house.answer(SEARCH, &query, &reader.metadata());
    let entries = found.as_array().unwrap();
    assert_eq!(entries.len(), 2, "{found}");
    let text = found.to_string();
    assert!(
        text.contains("policy.csv:34") && text.contains("replaces"),
        "{text}"
    );
}

#[test]
fn by_hand_it_waits_decides_in_the_shadow_and_two_put_it_in_force() {
    let house = House::with_own_pack();
    let mut house = configured(house, "activation = \"by-hand\"\nneeds_two = true");
    let adviser = house.log_in("adviser-1");
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| house.log_in(id));
    let (_, first) = check(&house, &adviser, 1);
    edit(&house, without_grant);
    let answer = house.answer(RELOAD, &json!({}), &one.metadata());
    assert_eq!(answer["folder"], "POLICY_FOLDER_CANDIDATE");
    let seen = state(&house, &one);
    let candidate = seen["candidate"]["revision"].as_str().unwrap().to_owned();
    assert_ne!(candidate, first);
    for subject in 1..=3 {
        let (decision, revision) = check(&house, &adviser, subject);
        assert_eq!((decision.as_str(), &revision), ("DECISION_ALLOW", &first));
    }
    let shadow = |house: &House| house.answer(SHADOW, &json!({}), &one.metadata());
    until(SOON, "the shadow has followed", || {
        shadow(&house)["differing"] == "3"
    });
    let seen = shadow(&house);
    assert_eq!(seen["revision"], candidate.as_str());
    let difference = &seen["differences"][0];
    assert_eq!(difference["change"], "denied", "{seen}");
    assert_eq!(difference["count"], "3", "{seen}");
    assert_eq!(difference["roles"], json!(["career-adviser"]), "{seen}");
    assert_eq!(difference["entries"].as_array().unwrap().len(), 3, "{seen}");

    // One asks, and can't approve it alone.
    let asked = activate(&house, &one, &candidate, None).unwrap();
    let request = asked["pending"].as_str().unwrap().to_owned();
    assert_eq!(check(&house, &adviser, 1).1, first);
    let own = activate(&house, &one, &candidate, Some(&request)).unwrap_err();
    assert_eq!(own.fields(), ["approve"], "{own}");
    let other = activate(&house, &two, &"0".repeat(64), Some(&request)).unwrap_err();
    assert_eq!(other.fields(), ["approve", "revision"], "{other}");
    let nobody = activate(&house, &adviser, &candidate, Some(&request)).unwrap_err();
    assert_eq!(nobody.code, "PERMISSION_DENIED", "{nobody}");
    let done = activate(&house, &two, &candidate, Some(&request)).unwrap();
    assert!(done.get("pending").is_none(), "{done}");
    let (decision, revision) = check(&house, &adviser, 1);
    assert_eq!(
        (decision.as_str(), &revision),
        ("DECISION_DENY", &candidate)
    );
    assert!(shadow(&house).get("revision").is_none());

    // A kill changes nothing of it, whatever is in the folder by then.
    edit(&house, |text| text + "# another year\n");
    let mut house = house.kill_and_start();
    house.next_code();
    assert_eq!(check(&house, &adviser, 1).1, candidate);

    // What was found at a start is in the log, too.
    let reader = house.log_in("security-1");
    let query = json!({ "kind": "ENTRY_KIND_POLICY_CHANGE" });
    until(SOON, "the candidate is in the log", || {
        let found = house.answer(SEARCH, &query, &reader.metadata()).to_string();
        found.matches("\"candidate\"").count() == 2
    });

    // Back to what was before.
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| house.log_in(id));
    let listed = house.answer(REVISIONS, &json!({}), &one.metadata());
    let kept: Vec<&str> = listed["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["revision"].as_str().unwrap())
        .collect();
    assert!(
        kept.contains(&&*first) && kept.contains(&&*candidate),
        "{listed}"
    );
    let asked = activate(&house, &one, &first, None).unwrap();
    let request = asked["pending"].as_str().unwrap().to_owned();
    activate(&house, &two, &first, Some(&request)).unwrap();
    assert_eq!(
        check(&house, &adviser, 1),
        ("DECISION_ALLOW".to_owned(), first.clone())
    );
    let again = activate(&house, &two, &first, None).unwrap_err();
    assert!(again.to_string().contains("in force already"), "{again}");
    // What waits in the folder goes on in the shadow of what is in force now.
    let shadow = house.answer(SHADOW, &json!({}), &one.metadata());
    assert_eq!(shadow["inForce"], first.as_str(), "{shadow}");
    assert_ne!(shadow["revision"], candidate.as_str(), "{shadow}");
}

#[test]
fn what_was_put_back_by_hand_stays_until_the_folder_changes_again() {
    let mut house = House::with_own_pack();
    let adviser = house.log_in("adviser-1");
    let administrator = house.log_in("administrator-1");
    let (_, first) = check(&house, &adviser, 1);
    edit(&house, without_grant);
    house.answer(RELOAD, &json!({}), &administrator.metadata());
    assert_eq!(check(&house, &adviser, 1).0, "DECISION_DENY");
    activate(&house, &administrator, &first, None).unwrap();
    assert_eq!(check(&house, &adviser, 1).1, first);
    let answer = house.answer(RELOAD, &json!({}), &administrator.metadata());
    assert_eq!(answer["folder"], "POLICY_FOLDER_SET_ASIDE");
    assert_eq!(check(&house, &adviser, 1).1, first);
    let mut house = house.kill_and_start();
    house.next_code();
    assert_eq!(check(&house, &adviser, 1).1, first);
    edit(&house, |text| text + "# looked at again\n");
    until(SOON, "it is in force", || {
        check(&house, &adviser, 1).1 != first
    });
    assert_eq!(check(&house, &adviser, 1).0, "DECISION_DENY");
}

#[test]
fn a_pack_without_a_signature_that_counts_is_refused_where_one_is_required() {
    let mut house = House::with_own_pack();
    let administrator = house.log_in("administrator-1");
    let home = house.home().to_owned();
    let key = home.join("dpo.key");
    let key = key.to_str().unwrap();
    let public = done(
        &home,
        "",
        &["policy", "keygen", key, "--name", "dpo.example/2026"],
    );
    let pack = home.join("pack");
    let pack = pack.to_str().unwrap();
    let section = format!(
        "require_signature = true\nsigners = [\"{}\"]",
        public.trim()
    );

    // Not signed: the daemon that knew it signed no more says so, and does not start.
    let folder = {
        let folder = house.leave();
        let path = folder.path().join("data/sekisho.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n[policy]\n{section}\n")).unwrap();
        folder
    };
    let data = folder.path().join("data");
    let (code, said) = refused_start(&folder.path().join("pack"), &data);
    assert_eq!(code, 78, "{said}");
    assert!(
        said.contains("pack.sig") && said.contains("is missing"),
        "{said}"
    );

    let said = done(&home, "", &["policy", "sign", pack, "--key", key]);
    assert!(said.contains("dpo.example/2026"), "{said}");
    let mut house = House::take_up_own_pack(folder);
    let seen = {
        let administrator = house.log_in("administrator-2");
        state(&house, &administrator)
    };
    assert_eq!(
        seen["inForce"]["signedBy"],
        json!(["dpo.example/2026"]),
        "{seen}"
    );

    // Changed after it was signed; signed by somebody else; signed again.
    edit(&house, without_grant);
    let reload = |house: &House| house.send(RELOAD, &json!({}), &administrator.metadata());
    let refused = reload(&house).unwrap_err().to_string();
    assert!(refused.contains("another pack or revision"), "{refused}");
    let other = home.join("other.key");
    let other = other.to_str().unwrap();
    done(&home, "", &["policy", "keygen", other, "--name", "other"]);
    done(&home, "", &["policy", "sign", pack, "--key", other]);
    let refused = reload(&house).unwrap_err().to_string();
    assert!(refused.contains("no signature of a key"), "{refused}");
    done(&home, "", &["policy", "sign", pack, "--key", key]);
    let answer = reload(&house).unwrap();
    assert_eq!(answer["folder"], "POLICY_FOLDER_IN_FORCE");

    // What is kept is refused as what is in the folder: the first revision, kept without its signature.
    let first = &seen["inForce"]["revision"].as_str().unwrap();
    let signature = folder_of_kept(&house, first).join("pack.sig");
    fs::remove_file(&signature).unwrap();
    let decides = state(&house, &administrator)["inForce"]["revision"].clone();
    let refused = activate(&house, &administrator, first, None).unwrap_err();
    assert_eq!(refused.code, "FAILED_PRECONDITION", "{refused}");
    let said = refused.to_string();
    assert!(
        said.contains("pack.sig") && said.contains("is missing"),
        "{said}"
    );
    assert_eq!(
        state(&house, &administrator)["inForce"]["revision"],
        decides
    );
}

#[test]
fn the_terminal_tells_what_is_in_force_and_puts_another_in_force() {
    let house = House::with_own_pack_on_the_machines_clock();
    let house = configured(house, "activation = \"by-hand\"");
    let home = house.home().to_owned();
    let password = house.people.get("administrator-1").password.clone();
    let login = credentials(&home, house.data(), "administrator-1", &password);
    done(&home, &login, &["login", "--data", house.data()]);
    let data = ["--data", house.data()];
    let sekisho = |arguments: &[&str]| done(&home, "", &[arguments, &data].concat());
    edit(&house, without_grant);
    let told_by = sekisho(&["policy", "reload"]);
    assert!(told_by.contains("holds a candidate"), "{told_by}");
    let status: Value = serde_json::from_str(&sekisho(&["policy", "status", "--json"])).unwrap();
    let candidate = status["candidate"]["revision"].as_str().unwrap();
    let japanese = sekisho(&["policy", "status", "--lang", "ja"]);
    assert!(
        japanese.contains("候補") && japanese.contains(candidate),
        "{japanese}"
    );
    let shadow = sekisho(&["policy", "shadow"]);
    assert!(shadow.contains("would differ"), "{shadow}");
    let wrong = run(
        &home,
        "",
        &[&["policy", "activate", "abc", "--reason", "x"][..], &data].concat(),
    );
    assert_eq!(wrong.status.code(), Some(64), "{}", told(&wrong));
    let begin = &candidate[..10];
    let activated = sekisho(&["policy", "activate", begin, "--reason", "the new year"]);
    assert!(activated.contains(candidate), "{activated}");
    let revisions = sekisho(&["policy", "revisions"]);
    assert!(
        revisions.contains("in force") && revisions.lines().count() == 3,
        "{revisions}"
    );
}

#[test]
fn every_malformed_pack_is_refused_and_leaves_in_force_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    fs::create_dir(&pack).unwrap();
    let put_back = |pack: &Path| {
        for file in fs::read_dir(bad_packs::base()).unwrap() {
            let file = file.unwrap();
            if file.path().is_file() {
                fs::copy(file.path(), pack.join(file.file_name())).unwrap();
            }
        }
    };
    put_back(&pack);
    let house = House::of_pack(folder);
    let home = house.home().to_owned();
    let password = house.people.get("administrator-1").password.clone();
    let login = credentials(&home, house.data(), "administrator-1", &password);
    done(&home, &login, &["login", "--data", house.data()]);
    let data = house.data();
    let status = || -> Value {
        let told = done(&home, "", &["policy", "status", "--json", "--data", data]);
        serde_json::from_str(&told).unwrap()
    };
    let first = status()["in_force"]["revision"].clone();
    let mut refused = 0;
    for case in Case::all().into_iter().filter(Case::is_refused) {
        case.spoil(&pack);
        let output = run(&home, "", &["policy", "reload", "--data", data]);
        let said = told(&output);
        assert!(!output.status.success(), "{}: {said}", case.name);
        // Its place and its words, as the corpus has them.
        let error = case
            .told
            .iter()
            .find(|told| told.severity == "error")
            .unwrap();
        for what in [&error.at, &error.message] {
            assert!(said.contains(what), "{}: {what} in {said}", case.name);
        }
        let seen = status();
        assert_eq!(seen["in_force"]["revision"], first, "{}: {seen}", case.name);
        assert_eq!(
            seen["folder"], "POLICY_FOLDER_REFUSED",
            "{}: {seen}",
            case.name
        );
        let faults = seen["faults"].as_array().unwrap();
        let is_it = |fault: &Value| {
            let fault = fault.as_str().unwrap();
            fault.contains(&*error.at) && fault.contains(&*error.message)
        };
        assert!(faults.iter().any(is_it), "{}: {faults:?}", case.name);
        refused += 1;
        put_back(&pack);
    }
    assert!(refused >= 60, "{refused}");
    done(&home, "", &["policy", "reload", "--data", data]);
    let seen = status();
    assert_eq!(seen["in_force"]["revision"], first, "{seen}");
    assert_eq!(seen["folder"], "POLICY_FOLDER_IN_FORCE", "{seen}");
    assert_eq!(seen["faults"], json!([]), "{seen}");
}

/// `sekisho serve` takes SIGHUP for a wish to look at the folder.
#[test]
fn on_sighup_the_folder_is_looked_at() {
    let house = House::with_own_pack();
    let folder = house.leave();
    let config = folder.path().join("data/sekisho.toml");
    let text = fs::read_to_string(&config).unwrap();
    let on_any_port = text
        .lines()
        .map(|line| match line.strip_prefix("listen = \"") {
            Some(_) => "listen = \"127.0.0.1:0\"".to_owned(),
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(&config, on_any_port).unwrap();
    let said = folder.path().join("said.txt");
    let mut child = support::dev_house::sekisho(folder.path())
        .args(["serve", "--config", config.to_str().unwrap()])
        .stderr(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let says = |what: &str| fs::read_to_string(&said).unwrap().contains(what);
    let result = std::panic::catch_unwind(|| {
        until(SOON, "it serves", || says(" serving "));
        let policy = folder.path().join("pack/policy.csv");
        let text = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, text.replace("contact, READ", "contact, REED")).unwrap();
        let hung_up = Command::new("kill")
            .args(["-HUP", &child.id().to_string()])
            .status();
        assert!(hung_up.unwrap().success());
        until(SOON, "it is refused", || says("REED"));
        fs::write(&policy, without_grant(text)).unwrap();
        let hung_up = Command::new("kill")
            .args(["-HUP", &child.id().to_string()])
            .status();
        assert!(hung_up.unwrap().success());
        until(SOON, "another is in force", || {
            says("another policy is in force")
        });
    });
    let _ = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    let status = child.wait().unwrap();
    if let Err(panic) = result {
        eprintln!("{}", fs::read_to_string(&said).unwrap());
        std::panic::resume_unwind(panic);
    }
    assert!(status.success(), "{status}");
}

//! `sekisho policy diff`, `fmt`, `new` and the outputs of `test`, as people type them; what would have been decided otherwise is asked
//! of the shipped daemon's real log.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::packs;
use crate::support::scenario::{OFFICE, SESSION};
use crate::{career, copy_of};

fn policy(home: &Path, words: &[&str]) -> Output {
    run(home, "", &[&["policy"], words].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Puts another text in place of one that a file has.
fn change(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no {from} in {file}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_change_of_a_pack_is_told_in_words_and_as_json_in_both_languages() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (copy_of("recruitment", &[]), copy_of("recruitment", &[]));
    let (old, new) = (old.path(), new.path());
    let diff = |words: &[&str]| {
        policy(
            home.path(),
            &[&["diff", text(old), text(new)], words].concat(),
        )
    };
    let same = diff(&[]);
    let words = told(&same);
    assert_eq!(code(&same), Some(0), "{words}");
    assert!(words.contains("The packs mean the same."), "{words}");

    let granted = "p, reception, inquirer, inquiry, DELETE, inquiry-response, always, allow";
    let taken = "p, occupational-health, job-seeker, special.medical, READ, recruitment-service, always, allow\n";
    let csv = fs::read_to_string(new.join("policy.csv")).unwrap();
    assert!(csv.contains(taken));
    fs::write(
        new.join("policy.csv"),
        format!("{}{granted}\n", csv.replace(taken, "")),
    )
    .unwrap();
    change(new, "pack.toml", "idle = \"15m\"", "idle = \"20m\"");
    let differs = diff(&[]);
    let words = told(&differs);
    assert_eq!(code(&differs), Some(1), "{words}");
    assert!(differs.stderr.is_empty(), "{words}");
    let line = format!("policy.csv:{}", csv.lines().count());
    for told in [
        // An adviser inherits reception; an inquiry has one item.
        "allowed: 4 of",
        "denied: 1 of",
        "reception",
        "special.medical",
        "DELETE",
        &line,
        "session: idle: 15m → 20m",
        "adviser-1",
        "health-1",
        "It touches",
    ] {
        assert!(words.contains(told), "no {told} in\n{words}");
    }
    let words = told(&diff(&["--lang", "ja"]));
    for told in [
        "許可",
        "拒否",
        "影響を受ける利用者",
        "セッション: idle: 15m → 20m",
    ] {
        assert!(words.contains(told), "no {told} in\n{words}");
    }
    let output = diff(&["--json"]);
    assert_eq!(code(&output), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["differs"], true);
    let grants = json["grants"].as_array().unwrap();
    assert!(grants.iter().any(|row| row["change"] == "denied"
        && row["role"] == "occupational-health"
        && row["category"] == "special.medical"
        && row["actions"] == json!(["ACTION_READ"])
        && row["newRule"] == ""));
    assert_eq!(
        json["others"],
        json!([{ "section": "session", "id": "", "change": "changed", "field": "idle", "old": "15m", "new": "20m" }])
    );
    let touched = json["touched"].as_array().unwrap();
    let of = |id: &str| touched.iter().find(|one| one["person"] == id).cloned();
    assert_eq!(of("health-1").unwrap()["loses"], 1);
    assert_eq!(of("legal-1"), None);
    // Cut short, and the rest counted.
    let json: Value = serde_json::from_slice(&diff(&["--json", "--limit", "1"]).stdout).unwrap();
    assert_eq!(json["grants"].as_array().unwrap().len(), 1);
    assert_eq!(json["grantsLeftOut"], grants.len() - 1);
    assert!(told(&diff(&["--limit", "1"])).contains("rows more"));

    // Other people: as a pack has them, and as an export has them.
    let file = home.path().join("people.csv");
    fs::write(
        &file,
        "id,departments,roles,trained_until,pledge\nguest-1,desk,reception,2099-12-31,yes\n",
    )
    .unwrap();
    let output = diff(&["--json", "--people", text(&file)]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["people"], 1);
    assert_eq!(json["touched"][0]["person"], "guest-1");
    fs::write(&file, "id,roles\n\"guest-1,reception\n").unwrap();
    let output = diff(&["--people", text(&file)]);
    assert_eq!(code(&output), Some(64), "{}", told(&output));
    // A pack that is not in order is an error, and no difference.
    change(new, "pack.toml", "idle = \"20m\"", "idel = \"20m\"");
    let output = diff(&[]);
    assert_eq!(code(&output), Some(64), "{}", told(&output));
    assert!(told(&output).contains("idel"), "{}", told(&output));
}

#[test]
fn the_real_log_tells_which_decisions_would_have_differed() {
    let mut house = House::open();
    let home = house.home().to_path_buf();
    let data = house.data().to_owned();
    let adviser = house.log_in("adviser-1");
    let check = |house: &House, action: &str, partial: bool| {
        let mut request = career(action);
        request["actor"] = json!({
            "session_ticket": adviser.ticket, "client_ip": OFFICE, "session_ref": SESSION,
        });
        if partial {
            request["data"]["categories"] = json!(["career", "payment"]);
            request["allow_partial"] = true.into();
        }
        let answer = house.answer(
            "sekisho.v1.AccessService/Check",
            &request,
            &Default::default(),
        );
        let index = answer["logIndex"].as_str().unwrap().to_owned();
        (answer["decision"].as_str().unwrap().to_owned(), index)
    };
    let reads: Vec<_> = (0..3)
        .map(|_| check(&house, "ACTION_READ", false))
        .collect();
    let exported = check(&house, "ACTION_EXPORT", false);
    let part = check(&house, "ACTION_READ", true);
    // Over the limit: what had been counted is not in an entry.
    let mut request = career("ACTION_SEARCH");
    request["actor"] = json!({
        "session_ticket": adviser.ticket, "client_ip": OFFICE, "session_ref": SESSION,
    });
    request["data"]["record_count"] = 1_000_000.into();
    let method = "sekisho.v1.AccessService/Check";
    let over = house.answer(method, &request, &Default::default());
    assert_eq!(
        over["reasons"][0]["code"],
        "REASON_CODE_BULK_LIMIT_EXCEEDED"
    );
    assert!(
        reads
            .iter()
            .all(|(decision, _)| decision == "DECISION_ALLOW")
    );
    assert_eq!(exported.0, "DECISION_DENY");
    assert_eq!(part.0, "DECISION_ALLOW");

    let old = crate::support::pack();
    let new = copy_of("recruitment", &[]);
    let csv = fs::read_to_string(new.path().join("policy.csv")).unwrap();
    let rows: Vec<&str> = csv
        .lines()
        .filter(|row| {
            !row.starts_with("p, career-adviser, job-seeker, career, READ, recruitment-service")
        })
        .collect();
    let row = "p, career-adviser, job-seeker, career, EXPORT, recruitment-service, always, allow";
    fs::write(
        new.path().join("policy.csv"),
        format!("{}\n{row}\n", rows.join("\n")),
    )
    .unwrap();
    let diff = |words: &[&str]| {
        let command = ["diff", text(&old), text(new.path()), "--data", &data];
        policy(&home, &[&command, words].concat())
    };
    // The log is read with somebody's own ticket, and by nobody else.
    let nobody = diff(&["--log", "7"]);
    assert_eq!(code(&nobody), Some(77), "{}", told(&nobody));
    let password = &house.people.get("security-1").password;
    let input = credentials(&home, &data, "security-1", password);
    done(&home, &input, &["login", "--data", &data]);

    let output = diff(&["--log", "7", "--json"]);
    assert_eq!(code(&output), Some(1), "{}", told(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let log = &json["log"];
    assert_eq!(log["decisions"], 6, "{log}");
    assert_eq!(log["alike"], 1, "{log}");
    assert_eq!(log["notExactly"], json!({}), "{log}");
    assert_eq!(
        log["differing"],
        json!({ "allowed": 1, "denied": 4 }),
        "{log}"
    );
    let groups = log["groups"].as_array().unwrap();
    let group = |change: &str, categories: Value| {
        let mut groups = groups.iter();
        let found =
            groups.find(|group| group["change"] == change && group["categories"] == categories);
        found.unwrap_or_else(|| panic!("no {change} {categories} in {log}"))
    };
    let denied = group("denied", json!(["career"]));
    assert_eq!(denied["count"], 3);
    assert_eq!(denied["roles"], json!(["career-adviser"]));
    assert_eq!(denied["oldReason"], Value::Null);
    assert_eq!(denied["newReason"], "REASON_CODE_ACTION_NOT_PERMITTED");
    let mut samples: Vec<&str> = denied["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.as_str().unwrap())
        .collect();
    samples.sort_unstable();
    let mut indexes: Vec<&str> = reads.iter().map(|(_, index)| &**index).collect();
    indexes.sort_unstable();
    assert_eq!(samples, indexes);
    let allowed = group("allowed", json!(["career"]));
    assert_eq!(allowed["entries"], json!([exported.1]));
    assert_eq!(allowed["oldReason"], "REASON_CODE_ACTION_NOT_PERMITTED");
    let partly = group("denied", json!(["career", "payment"]));
    assert_eq!(
        partly["entries"],
        json!([part.1]),
        "only a part was allowed"
    );
    let words = told(&diff(&["--log", "7", "--lang", "ja"]));
    assert!(
        words.contains("許可に変わる") && words.contains("ACTION_NOT_PERMITTED"),
        "{words}"
    );
    // Under rules that it was not decided under, an entry is told apart.
    let command = [
        "diff",
        text(new.path()),
        text(&old),
        "--data",
        &data,
        "--log",
        "7",
        "--json",
    ];
    let json: Value = serde_json::from_slice(&policy(&home, &command).stdout).unwrap();
    assert_eq!(
        json["log"]["notExactly"],
        json!({ "other-revision": 5 }),
        "{}",
        json["log"]
    );
    // That it was read is in the log; the directory is for administrators.
    let found = done(
        &home,
        "",
        &[
            "log", "search", "--data", &data, "--kind", "log-read", "--json",
        ],
    );
    assert!(found.contains("\"call\":\"Search\""), "{found}");
    let output = diff(&["--directory"]);
    assert_eq!(code(&output), Some(77), "{}", told(&output));
    let password = &house.people.get("administrator-1").password;
    let input = credentials(&home, &data, "administrator-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let output = diff(&["--directory", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let touched = json["touched"].as_array().unwrap();
    assert!(
        touched.iter().any(|one| one["person"] == "adviser-1"),
        "{json}"
    );
    assert!(
        touched.iter().all(|one| one["person"] != "adviser-3"),
        "not trained: {json}"
    );
}

#[test]
fn the_form_of_a_pack_changes_nothing_that_it_means() {
    let home = tempfile::tempdir().unwrap();
    for pack in packs() {
        let output = policy(home.path(), &["fmt", text(&pack), "--check"]);
        assert_eq!(code(&output), Some(0), "{}", told(&output));
    }
    for pack in ["recruitment", "housing-and-care"] {
        let copy = copy_of(pack, &[]);
        let spoilt = copy_of(pack, &[]);
        let spoilt = spoilt.path();
        change(
            spoilt,
            "policy.csv",
            ", always, allow",
            "  ,always,\tallow ",
        );
        change(spoilt, "policy.csv", "\n#", "\n\n\n\n\n  #");
        change(spoilt, "pack.toml", "id = ", "id=  ");
        change(spoilt, "pack.toml", "[[role]]", "[[ role ]]  ");
        let before = fs::read_to_string(spoilt.join("policy.csv")).unwrap();
        let check = policy(home.path(), &["fmt", text(spoilt), "--check"]);
        let words = told(&check);
        assert_eq!(code(&check), Some(1), "{words}");
        assert!(
            words.contains("pack.toml") && words.contains("policy.csv"),
            "{words}"
        );
        let after = fs::read_to_string(spoilt.join("policy.csv")).unwrap();
        assert_eq!(after, before, "looking changes nothing");
        let formatted = policy(home.path(), &["fmt", text(spoilt), "--lang", "ja"]);
        assert!(
            formatted.status.success() && told(&formatted).contains("整形"),
            "{}",
            told(&formatted)
        );
        assert_eq!(
            code(&policy(home.path(), &["fmt", text(spoilt), "--check"])),
            Some(0)
        );
        let diff = policy(home.path(), &["diff", text(copy.path()), text(spoilt)]);
        assert_eq!(code(&diff), Some(0), "{}", told(&diff));
    }
    // One that is not in order is not touched.
    let broken = copy_of("recruitment", &[]);
    change(
        broken.path(),
        "policy.csv",
        ", always, allow",
        "  ,always,allwo",
    );
    let output = policy(home.path(), &["fmt", text(broken.path())]);
    assert_eq!(code(&output), Some(78), "{}", told(&output));
    let csv = fs::read_to_string(broken.path().join("policy.csv")).unwrap();
    assert!(csv.contains("  ,always,allwo"));
}

#[test]
fn a_new_pack_is_in_order_and_never_in_the_way_of_another() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("club-house");
    let made = policy(home.path(), &["new", text(&folder)]);
    assert!(made.status.success(), "{}", told(&made));
    let check = policy(home.path(), &["check", text(&folder)]);
    assert!(
        check.status.success() && told(&check).contains("club-house"),
        "{}",
        told(&check)
    );
    let test = policy(home.path(), &["test", text(&folder)]);
    assert!(
        test.status.success() && told(&test).contains("13 scenarios as expected"),
        "{}",
        told(&test)
    );
    let form = policy(home.path(), &["fmt", text(&folder), "--check"]);
    assert_eq!(code(&form), Some(0), "{}", told(&form));
    let again = policy(home.path(), &["new", text(&folder)]);
    assert_eq!(code(&again), Some(73), "{}", told(&again));
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(policy(home.path(), &["new", text(&empty)]).status.success());
}

#[test]
fn scenarios_are_told_to_build_servers_with_every_stage_of_one_that_fails() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("club-house");
    done(home.path(), "", &["policy", "new", text(&folder)]);
    change(
        &folder,
        "scenarios/first.toml",
        "TRAINING_NOT_CURRENT",
        "ACCOUNT_DISABLED",
    );
    let junit = home.path().join("scenarios.xml");
    for _ in 0..2 {
        let output = policy(
            home.path(),
            &["test", text(&folder), "--junit", text(&junit)],
        );
        let words = told(&output);
        assert_eq!(code(&output), Some(65), "{words}");
        // Where each stage stands in the pack, those that passed too.
        for told in [
            "caller     passed  pack.toml:",
            "network    passed  pack.toml:",
            "person     FAILED  pack.toml:",
            "grant      passed  policy.csv:",
            "limits     passed  pack.toml:",
        ] {
            assert!(words.contains(told), "no {told} in\n{words}");
        }
    }
    let xml = fs::read_to_string(&junit).unwrap();
    let read = roxmltree::Document::parse(&xml).unwrap();
    let suite = read
        .descendants()
        .find(|node| node.has_tag_name("testsuite"))
        .unwrap();
    assert_eq!(suite.attribute("name"), Some("club-house"));
    assert_eq!(suite.attribute("tests"), Some("13"));
    assert_eq!(suite.attribute("failures"), Some("1"));
    let failure = read
        .descendants()
        .find(|node| node.has_tag_name("failure"))
        .unwrap();
    let case = failure.parent().unwrap();
    assert_eq!(case.attribute("classname"), Some("first.toml"));
    assert!(
        failure.text().unwrap().contains("TRAINING_NOT_CURRENT"),
        "{xml}"
    );
    assert!(failure.text().unwrap().contains("policy.csv:"), "{xml}");
    let cases = read
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    assert_eq!(cases.count(), 13);
}

//! `sekisho people`, as an administrator types it.

use std::fs;

use serde_json::Value;

use crate::support::dev_house::{House, credentials, done, run, told};

#[test]
fn an_administrator_works_with_people_at_a_terminal() {
    let house = House::open();
    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let password = &house.people.get("administrator-1").password;
    let input = credentials(&home, &data, "administrator-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let people = |words: &[&str]| {
        let mut arguments = vec!["people"];
        arguments.extend(words);
        arguments.extend(["--data", &data]);
        run(&home, "", &arguments)
    };
    let good = |words: &[&str]| {
        let output = people(words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let bad = |words: &[&str]| {
        let output = people(words);
        assert!(!output.status.success(), "{words:?}: {}", told(&output));
        (output.status.code().unwrap(), told(&output))
    };
    let added = good(&[
        "add",
        "yamada.taro",
        "--display-name",
        "山田 太郎",
        "--department",
        "career",
        "--department",
        "support",
        "--employment-kind",
        "派遣",
        "--employer",
        "Staff, Inc.",
        "--employment-end",
        "2090-03-31",
        "--role",
        "reception||2090-03-31|manager-1|R-1",
        "--reference",
        "HR-12",
    ]);
    assert!(added.starts_with("added yamada.taro (entry "), "{added}");
    let list = good(&["list", "--department", "support"]);
    assert!(
        list.contains("yamada.taro") && list.contains("reception-1"),
        "{list}"
    );
    assert!(!list.contains("adviser-1"), "{list}");
    good(&[
        "change",
        "yamada.taro",
        "--add-role",
        "legal",
        "--remove-role",
        "reception",
    ]);
    let shown = good(&["show", "yamada.taro", "--lang", "ja"]);
    assert!(
        shown.contains("役割: legal") && shown.contains("雇用元: Staff, Inc."),
        "{shown}"
    );
    let json: Value = serde_json::from_str(&good(&["show", "yamada.taro", "--json"])).unwrap();
    assert_eq!(json["roles"][0]["role"], "legal");
    assert_eq!(json["employmentKind"], "EMPLOYMENT_KIND_DISPATCHED");
    let (code, words) = bad(&[
        "change",
        "yamada.taro",
        "--employer",
        "X",
        "--if-revision",
        "1",
    ]);
    assert!(code == 65 && words.contains("changed since"), "{words}");
    let (code, words) = bad(&["add", "adviser_1", "--department", "career"]);
    assert!(
        code == 65 && words.contains("person.id: looks like \"adviser-1\""),
        "{words}"
    );
    assert!(good(&["disable", "yamada.taro"]).contains("every session of theirs ended"));
    assert!(good(&["disable", "yamada.taro"]).contains("nothing to change"));
    assert!(good(&["enable", "yamada.taro", "--lang", "ja"]).contains("有効にしました"));
    assert!(good(&["end", "yamada.taro", "--on", "2089-12-31"]).contains("2089-12-31"));
    let file = home.join("people.csv");
    let name = file.to_str().unwrap();
    good(&["export", "--output", name]);
    let text = fs::read_to_string(&file).unwrap();
    let dry = good(&["import", name, "--dry-run"]);
    assert!(
        dry.contains("would add 0 and change 0; 16 unchanged, 0 errors"),
        "{dry}"
    );
    fs::write(&file, text.replace("2089-12-31", "2089-12-32")).unwrap();
    let (code, words) = bad(&["import", name, "--dry-run"]);
    assert!(
        code == 65 && words.contains("employment_end: expected a day"),
        "{words}"
    );
    fs::write(&file, text.replace("2089-12-31", "2089-12-30")).unwrap();
    let done = good(&["import", name]);
    assert!(
        done.contains("changes yamada.taro") && done.contains("added 0 and changed 1"),
        "{done}"
    );
}

#[test]
fn two_administrators_make_a_third_one_at_their_terminals() {
    let house = House::open();
    let data = house.data().to_owned();
    let other = tempfile::tempdir().unwrap();
    let homes = [house.home().to_owned(), other.path().to_owned()];
    for (home, id) in homes.iter().zip(["administrator-1", "administrator-2"]) {
        let input = credentials(home, &data, id, &house.people.get(id).password);
        done(home, &input, &["login", "--data", &data]);
    }
    let at = |home: usize, words: &[&str]| {
        let mut arguments = words.to_vec();
        arguments.extend(["--data", &data]);
        done(&homes[home], "", &arguments)
    };
    let number = |told: &str| {
        let after = ["--approve ", "\"pending\":\""];
        let rest = after.iter().find_map(|before| told.split_once(before));
        let (_, rest) = rest.unwrap_or_else(|| panic!("{told}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
    };
    let both = |words: &[&str]| {
        let asked = at(0, words);
        let number = number(&asked);
        let mut approving = words.to_vec();
        approving.extend(["--approve", &number]);
        (asked, at(1, &approving))
    };
    let grant = [
        "people",
        "change",
        "adviser-2",
        "--add-role",
        "administrator",
    ];
    let (asked, changed) = both(&grant);
    assert!(asked.contains("takes two administrators"), "{asked}");
    assert!(
        changed.contains("changed adviser-2") && changed.contains("every session"),
        "{changed}"
    );
    let (_, told) = both(&["credentials", "set-password", "adviser-2"]);
    assert!(told.contains("password of adviser-2"), "{told}");
    let asked = at(
        1,
        &[
            "credentials",
            "enrollment-code",
            "adviser-2",
            "--lang",
            "ja",
        ],
    );
    assert!(asked.contains("管理者二人が必要な操作です"), "{asked}");
    let pending = number(&asked);
    let list = at(0, &["requests", "list"]);
    let expected = format!("{pending}: enrolment code: adviser-2, asked for by administrator-2");
    assert!(list.contains(&expected), "{list}");
    let list = at(0, &["requests", "list", "--json"]);
    let json: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(json["kind"], "REQUEST_KIND_ISSUE_ENROLLMENT_CODE");
    let declined = at(0, &["requests", "decline", &pending, "--reason", "later"]);
    assert!(
        declined.contains(&format!("declined request {pending}")),
        "{declined}"
    );
    assert!(at(0, &["requests", "list", "--lang", "ja"]).contains("待っている申請はありません"));
    let add = [
        "people",
        "add",
        "fourth-1",
        "--department",
        "career",
        "--role",
        "administrator",
    ];
    let (_, added) = both(&add);
    assert!(added.starts_with("added fourth-1 (entry "), "{added}");
    at(0, &["people", "disable", "fourth-1"]);
    let (asked, enabled) = both(&["people", "enable", "fourth-1", "--json"]);
    let json: Value = serde_json::from_str(&asked).unwrap_or_default();
    assert!(json["pending"].is_string(), "{asked}");
    assert!(enabled.contains("fourth-1"), "{enabled}");
}

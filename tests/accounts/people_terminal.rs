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

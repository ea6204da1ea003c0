//! `sekisho policy`, as people type it, against the shipped daemon; and the same calls with real grpcurl, which knows nothing of the
//! API but what reflection tells it.

use std::fs;

use serde_json::{Value, json};

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::play::{Metadata, Session};
use crate::support::scenario::{OFFICE, SESSION};
use crate::{career, copy_of, first_reason, line_of};

fn explain(house: &House, by: &Metadata, method: &str, request: &Value) -> Value {
    let method = format!("sekisho.v1.ExplainService/{method}");
    house.answer(&method, request, by)
}

/// Entries of one kind, newest first.
fn entries(house: &House, reader: &Session, kind: &str) -> Vec<Value> {
    let request = json!({ "kind": kind, "page_size": 200 });
    let found = house.answer(
        "sekisho.v1.AccessLogService/Search",
        &request,
        &reader.metadata(),
    );
    let messages = match found {
        Value::Array(messages) => messages,
        one => vec![one],
    };
    let entries = messages.into_iter();
    entries
        .filter_map(|message| message.get("entry").cloned())
        .collect()
}

#[test]
fn grpcurl_asks_why_and_who_and_every_call_is_in_the_log() {
    let mut house = House::open();
    let administrator = house.log_in("administrator-1").metadata();
    let reader = house.log_in("security-1");
    let adviser = house.log_in("adviser-1");
    let asked = json!({ "request": career("ACTION_READ"), "as_person": "adviser-3" });
    let answer = explain(&house, &administrator, "Explain", &asked);
    assert_eq!(first_reason(&answer), "TRAINING_NOT_CURRENT");
    let who = json!({
        "data": { "system": "crm", "subject_kind": "job-seeker", "categories": ["career"] },
        "action": "ACTION_EXPORT",
        "purpose": "recruitment-service",
    });
    let answer = explain(&house, &administrator, "ListAllowedActors", &who);
    assert_eq!(answer["actors"][0]["person"], "manager-1");
    let what = json!({ "person": "adviser-1", "page_size": 5 });
    let answer = explain(&house, &administrator, "ListAllowedAccess", &what);
    assert_eq!(answer["accesses"].as_array().unwrap().len(), 5);
    let parts = explain(&house, &reader.metadata(), "GetRegister", &json!({}));
    let parts = parts.as_array().unwrap();
    assert_eq!(parts[0]["header"]["pack"], "recruitment");
    assert_eq!(parts[1]["system"]["coverage"], "enforced");
    assert!(
        parts
            .iter()
            .any(|part| part["recipient"]["id"] == "employer")
    );
    let mine = json!({ "actor": {
        "session_ticket": adviser.ticket, "client_ip": OFFICE, "session_ref": SESSION,
    }});
    let answer = house.answer(
        "sekisho.v1.AccessService/ListMyAccess",
        &mine,
        &Metadata::new(),
    );
    assert!(answer["accesses"].as_array().unwrap().len() > 20);
    // Refused, each with its entry.
    for (method, request) in [
        (
            "ExplainService/Explain",
            json!({ "request": career("ACTION_READ") }),
        ),
        ("ExplainService/ListAllowedActors", who.clone()),
        ("ExplainService/ListAllowedAccess", what.clone()),
        ("ExplainService/GetRegister", json!({})),
    ] {
        let method = format!("sekisho.v1.{method}");
        let error = house
            .send(&method, &request, &adviser.metadata())
            .expect_err(&method);
        assert_eq!(error.code, "PERMISSION_DENIED", "{method}: {error}");
    }
    let nobody = json!({ "actor": { "client_ip": OFFICE } });
    let method = "sekisho.v1.AccessService/ListMyAccess";
    let nobody = house.send(method, &nobody, &Metadata::new());
    assert_eq!(nobody.expect_err("no ticket").code, "UNAUTHENTICATED");
    let calls = |kind: &str, person: &str| {
        let of_person = entries(&house, &reader, kind).into_iter();
        let of_person = of_person.filter(|entry| entry["person"].as_str().unwrap_or("") == person);
        let mut calls: Vec<String> = of_person
            .filter_map(|entry| entry["details"]["call"].as_str().map(str::to_owned))
            .collect();
        calls.sort();
        calls
    };
    let asked_of = ["Explain", "ListAllowedAccess", "ListAllowedActors"];
    assert_eq!(
        calls("ENTRY_KIND_ADMINISTRATION", "administrator-1"),
        asked_of
    );
    assert_eq!(
        calls("ENTRY_KIND_ADMINISTRATION", "security-1"),
        ["GetRegister"]
    );
    assert_eq!(
        calls("ENTRY_KIND_ADMINISTRATION", "adviser-1"),
        ["ListMyAccess"]
    );
    let refused = [
        "Explain",
        "GetRegister",
        "ListAllowedAccess",
        "ListAllowedActors",
    ];
    assert_eq!(calls("ENTRY_KIND_REFUSED_CALL", "adviser-1"), refused);
    assert_eq!(calls("ENTRY_KIND_REFUSED_CALL", ""), ["ListMyAccess"]);
}

#[test]
fn people_ask_why_who_and_what_at_a_terminal() {
    let house = House::open();
    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let policy = |input: &str, words: &[&str]| {
        let mut arguments = vec!["policy"];
        arguments.extend(words);
        arguments.extend(["--data", &data]);
        run(&home, input, &arguments)
    };
    let request = career("ACTION_READ").to_string();
    let output = policy(&request, &["explain"]);
    assert_eq!(
        output.status.code(),
        Some(77),
        "not logged in: {}",
        told(&output)
    );
    let password = &house.people.get("administrator-1").password;
    let input = credentials(&home, &data, "administrator-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let good = |input: &str, words: &[&str]| {
        let output = policy(input, words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };

    let as_adviser = [
        "explain",
        "-",
        "--as",
        "adviser-3",
        "--service",
        "career-crm",
    ];
    let why = good(&request, &as_adviser);
    let standing = format!("pack.toml:{}", line_of("recruitment", "[standing]"));
    for words in [
        "would be denied",
        "TRAINING_NOT_CURRENT",
        &standing,
        "limits     passed",
    ] {
        assert!(why.contains(words), "no {words} in\n{why}");
    }
    assert!(why.contains("promise: \"carry out our Services\""), "{why}");
    let why = good(&request, &[&as_adviser[..], &["--lang", "ja"]].concat());
    assert!(
        why.contains("拒否されます") && why.contains("約束: 「当社サービスの提供」"),
        "{why}"
    );
    let file = home.join("request.json");
    fs::write(&file, &request).unwrap();
    let file = file.to_str().unwrap();
    let json = good(
        "",
        &[
            "explain",
            file,
            "--as",
            "adviser-1",
            "--service",
            "career-crm",
            "--json",
        ],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["decision"], "DECISION_ALLOW");
    assert_eq!(json["stages"].as_array().unwrap().len(), 8);
    // What is no request, and whom nobody knows.
    let output = policy("{\"porpose\":1}", &["explain"]);
    assert_eq!(output.status.code(), Some(64), "{}", told(&output));
    let output = policy(
        &request,
        &["explain", "--as", "nobody-1", "--service", "career-crm"],
    );
    assert!(
        output.status.code() == Some(65) && told(&output).contains("as_person"),
        "{}",
        told(&output)
    );

    let who = [
        "who",
        "--kind",
        "job-seeker",
        "--category",
        "career",
        "--action",
        "EXPORT",
        "--purpose",
        "recruitment-service",
    ];
    let table = good("", &who);
    assert!(
        table.contains("manager-1")
            && table.contains("policy.csv:")
            && !table.contains("adviser-1"),
        "{table}"
    );
    let lines = good("", &[&who[..], &["--json"]].concat());
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(line["roles"], json!(["information-manager"]));
    let output = policy(
        "",
        &[
            "who",
            "--kind",
            "tenant",
            "--category",
            "career",
            "--action",
            "READ",
            "--purpose",
            "x",
        ],
    );
    let words = told(&output);
    assert!(
        output.status.code() == Some(65)
            && words.contains("data.subject_kind")
            && words.contains("purpose"),
        "{words}"
    );

    let table = good("", &["what", "reception-1", "--lang", "ja"]);
    assert!(
        table.contains("inquirer") && table.contains("お問い合わせへの対応"),
        "{table}"
    );
    let output = policy("", &["what", "nobody-1"]);
    assert_eq!(output.status.code(), Some(66), "{}", told(&output));

    for (format, lang, heads) in [
        ("html", "ja", ["個人データを取り扱うシステム", "対象外"]),
        (
            "html",
            "en",
            ["Systems that hold personal data", "uncovered"],
        ),
        ("csv", "en", ["\"subject_kind\"", "\"career-adviser\""]),
        ("json", "en", ["\"systems\"", "\"ACTION_READ\""]),
    ] {
        let page = home.join(format!("register-{lang}.{format}"));
        let name = page.to_str().unwrap();
        good(
            "",
            &[
                "register", "--format", format, "--lang", lang, "--output", name,
            ],
        );
        let text = fs::read_to_string(&page).unwrap();
        for head in heads {
            assert!(text.contains(head), "no {head} in {format}");
        }
        // It is not written over.
        let output = policy("", &["register", "--format", format, "--output", name]);
        assert!(!output.status.success(), "{}", told(&output));
    }
    let printed = good("", &["register", "--format", "json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let roles = printed["roles"].as_array().unwrap();
    let administrators = roles
        .iter()
        .find(|role| role["role"] == "administrator")
        .unwrap();
    assert_eq!(
        administrators["people"],
        json!(["administrator-1", "administrator-2"])
    );
}

#[test]
fn a_pack_tells_who_and_what_without_a_daemon() {
    let home = tempfile::tempdir().unwrap();
    let pack = copy_of("recruitment", &[]);
    let folder = pack.path().to_str().unwrap();
    let offline = |words: &[&str]| {
        run(
            home.path(),
            "",
            &[&["policy"], words, &["--pack", folder]].concat(),
        )
    };
    let who = offline(&[
        "who",
        "--kind",
        "job-seeker",
        "--category",
        "career",
        "--action",
        "READ",
        "--purpose",
        "recruitment-service",
    ]);
    let words = told(&who);
    assert!(
        who.status.success() && words.contains("adviser-1") && !words.contains("adviser-3"),
        "{words}"
    );
    let what = offline(&["what", "health-1"]);
    let words = told(&what);
    assert!(
        what.status.success() && words.contains("special.medical"),
        "{words}"
    );
    let register = offline(&["register", "--format", "csv"]);
    assert!(register.status.success() && told(&register).contains("\"recipient\""));
    let unknown = offline(&["what", "nobody-1"]);
    assert_eq!(unknown.status.code(), Some(64), "{}", told(&unknown));
    let both = offline(&["what", "health-1", "--data", "x"]);
    assert_eq!(both.status.code(), Some(2), "{}", told(&both));
}

#[test]
fn a_packs_scenarios_are_played_and_what_they_miss_is_told() {
    let home = tempfile::tempdir().unwrap();
    let test = |folder: &str, words: &[&str]| {
        run(
            home.path(),
            "",
            &[&["policy", "test", folder], words].concat(),
        )
    };
    for pack in crate::support::packs() {
        let folder = pack.to_str().unwrap().to_owned();
        let output = test(&folder, &["--coverage"]);
        let words = told(&output);
        assert!(
            output.status.success() && words.contains("(100 %)") && !words.contains("not reached"),
            "{words}"
        );
        let output = test(&folder, &["--json", "--coverage"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["failed"], 0);
        assert_eq!(
            json["coverage"]["totals"]["grant"]["perCent"], 100,
            "{folder}"
        );
    }
    // A pack whose scenarios are one that fails and one that is not for the decision alone.
    let pack = copy_of("recruitment", &[]);
    let scenarios = pack.path().join("scenarios");
    fs::create_dir(&scenarios).unwrap();
    let text = r#"
service = "career-crm"

[[scenario]]
name = "an adviser whose training lapsed reads"
as = "adviser-3"
request.action = "ACTION_READ"
request.data = { system = "crm", subject_kind = "job-seeker", categories = ["career"] }
request.purpose = "recruitment-service"
expect.decision = "ALLOW"

[[scenario]]
name = "no action"
as = "adviser-1"
request.data = { system = "crm", subject_kind = "job-seeker", categories = ["career"] }
expect.error = "INVALID_ARGUMENT"
"#;
    fs::write(scenarios.join("some.toml"), text).unwrap();
    let folder = pack.path().to_str().unwrap().to_owned();
    let output = test(&folder, &[]);
    let words = told(&output);
    assert_eq!(output.status.code(), Some(65), "{words}");
    for told in [
        "FAILED some.toml: an adviser whose training lapsed reads",
        "decision: expected ALLOW, got DENY",
        "TRAINING_NOT_CURRENT",
        "network    passed",
        "0 scenarios as expected, 1 otherwise, 1 not for the decision alone",
    ] {
        assert!(words.contains(told), "no {told} in\n{words}");
    }
    let output = test(&folder, &["--lang", "ja"]);
    assert!(told(&output).contains("不一致 1 件"), "{}", told(&output));
    // Nothing fails, and almost nothing is reached.
    fs::write(
        scenarios.join("some.toml"),
        text.replace(
            "\"ALLOW\"",
            "\"DENY\"\nexpect.reason = \"TRAINING_NOT_CURRENT\"",
        ),
    )
    .unwrap();
    assert!(test(&folder, &[]).status.success());
    let output = test(&folder, &["--coverage"]);
    let words = told(&output);
    assert!(
        output.status.code() == Some(65) && words.contains("are not reached by any scenario"),
        "{words}"
    );
    // A misspelt expectation is no expectation.
    fs::write(
        scenarios.join("some.toml"),
        text.replace("expect.decision", "expect.decisoin"),
    )
    .unwrap();
    let output = test(&folder, &[]);
    let words = told(&output);
    assert!(
        output.status.code() == Some(78)
            && words.contains("decisoin")
            && words.contains("some.toml"),
        "{words}"
    );
}

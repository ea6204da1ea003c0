//! Malformed packs: every one of the corpus `tests/bad-packs` is refused, and exactly what is wrong is told, with its file, line,
//! column and what may be meant; by the loader, by the shipped binary, and by the schema that editors read, as far as that goes.
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

use std::path::Path;
use std::process::{Command, Output};

use sekisho::policy::{self, Finding};
use serde_json::Value;

use support::bad_packs::{self, Case, Told};

fn told(finding: &Finding, pack: &Path) -> Told {
    let place = finding.place();
    let under = format!("{}/", pack.display());
    Told {
        severity: finding.severity.name().into(),
        at: place.strip_prefix(&under).unwrap_or(&place).into(),
        length: finding.length,
        code: finding.code.into(),
        message: finding.message.clone(),
        suggestion: finding.suggestion.clone(),
    }
}

fn findings(pack: &Path) -> Vec<Finding> {
    match policy::load(pack) {
        Ok(pack) => pack.warnings,
        Err(errors) => errors.0,
    }
}

/// As the corpus writes it, so that what is right can be taken over.
fn written(told: &[Told]) -> String {
    let one = |told: &Told| {
        let suggestion = told.suggestion.as_ref();
        let suggestion = suggestion.map(|word| format!("suggestion = {word:?}\n"));
        format!(
            "[[told]]\nseverity = {:?}\nat = {:?}\nlength = {}\ncode = {:?}\nmessage = '''{}'''\n{}",
            told.severity,
            told.at,
            told.length,
            told.code,
            told.message,
            suggestion.unwrap_or_default()
        )
    };
    told.iter().map(one).collect()
}

fn sekisho(arguments: &[&str], pack: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(arguments)
        .arg(pack)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

#[test]
fn the_corpus_is_large_and_its_base_is_in_order() {
    let cases = Case::all();
    assert!(cases.len() >= 60, "{}", cases.len());
    assert!(cases.iter().filter(|case| case.is_refused()).count() >= 60);
    let base = policy::load(&bad_packs::base()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(base.warnings, []);
}

#[test]
fn of_every_malformed_pack_exactly_what_is_wrong_is_told() {
    let mut wrong = Vec::new();
    for case in Case::all() {
        let pack = case.pack();
        let loaded = policy::load(pack.path());
        assert_eq!(loaded.is_err(), case.is_refused(), "{}", case.name);
        let findings = findings(pack.path());
        let told: Vec<Told> = findings
            .iter()
            .map(|finding| told(finding, pack.path()))
            .collect();
        if told != case.told {
            wrong.push(format!("{}:\n{}", case.name, written(&told)));
        }
        for finding in &findings {
            assert!(!finding.message_ja.is_empty(), "{finding}");
            // Where something stands, that is where it is marked.
            if let Some(meant) = &finding.suggestion {
                let shown = finding.pretty(false, false);
                assert!(
                    shown.contains("did you mean") && shown.contains('┬'),
                    "{shown}"
                );
                assert!(
                    finding.plain(true).contains(&format!("{meant:?}")),
                    "{finding}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "told otherwise:\n{}", wrong.join("\n"));
}

#[test]
fn the_shipped_binary_tells_the_same_and_ends_with_a_code_that_says_so() {
    for case in Case::all() {
        let pack = case.pack();
        let output = sekisho(&["policy", "check", "--json"], pack.path());
        let list: Vec<Value> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}: {output:?}", case.name));
        let expected: Vec<Value> = findings(pack.path())
            .iter()
            .map(|finding| finding.json(false))
            .collect();
        assert_eq!(list, expected, "{}", case.name);
        let code = if case.is_refused() { 78 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}: {output:?}",
            case.name
        );
    }
}

#[test]
fn a_pipe_gets_one_line_for_each_and_the_counts_go_to_standard_error() {
    let case = |name: &str| {
        let mut cases = Case::all().into_iter();
        cases.find(|case| case.name == name).unwrap().pack()
    };
    let pack = case("errors-and-warnings");
    let output = sekisho(&["policy", "check"], pack.path());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0]
            .contains(": error[unknown-effect]: unknown effect \"deni\" (did you mean \"deny\"?)")
    );
    assert!(
        lines[1].contains(": warning[unreachable-grant]: "),
        "{lines:?}"
    );
    let counts = String::from_utf8(output.stderr).unwrap();
    assert_eq!(counts, "sekisho: errors: 1, warnings: 1\n");
    let output = sekisho(&["policy", "check", "--lang", "ja"], pack.path());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(
        lines.contains(
            ": エラー[unknown-effect]: \"deni\" という効果はありません (\"deny\" のことですか?)"
        ),
        "{lines}"
    );

    let warned = case("unused-purpose");
    let output = sekisho(&["policy", "check"], warned.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let denied = sekisho(&["policy", "check", "--deny-warnings"], warned.path());
    assert_eq!(denied.status.code(), Some(78), "{denied:?}");
    assert_eq!(denied.stderr, b"sekisho: errors: 0, warnings: 1\n");
    let clean = sekisho(&["policy", "check", "--deny-warnings"], &bad_packs::base());
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
}

#[test]
fn a_terminal_shows_the_line_and_what_is_meant_in_colours_that_can_be_turned_off() {
    let case = Case::all()
        .into_iter()
        .find(|case| case.name == "unknown-network");
    let pack = case.unwrap().pack();
    let shown = |variables: &str| {
        let command = format!(
            "env {variables} {} policy check {}",
            env!("CARGO_BIN_EXE_sekisho"),
            pack.path().display()
        );
        // Gives the command a terminal (util-linux; Debian's bsdutils).
        let output = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .output()
            .expect("script, of util-linux");
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = shown("NO_COLOR=1 TERM=xterm LC_ALL=C.UTF-8");
    for line in [
        "[unknown-id] error: role \"head-nurse\": unknown network \"ofice\"",
        " 101 │ networks = [\"ofice\", \"vpn\"]",
        "     │             ───┬───",
        "     │                ╰───── did you mean \"office\"?",
    ] {
        assert!(plain.contains(line), "{line}\n{plain}");
    }
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = shown("-u NO_COLOR TERM=xterm LC_ALL=ja_JP.UTF-8");
    assert!(coloured.contains("\u{1b}[31m"), "{coloured:?}");
    assert!(coloured.contains("\"office\" のことですか?"), "{coloured}");
}

#[test]
fn no_shipped_pack_has_a_warning_that_is_not_accepted() {
    for pack in support::packs() {
        let checked = sekisho(&["policy", "check", "--deny-warnings"], &pack);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    }
}

/// They have room of their own.
#[test]
fn errors_are_told_although_very_many_warnings_were_found_before() {
    let base = bad_packs::base();
    let pack = tempfile::tempdir().unwrap();
    for file in bad_packs::FILES {
        std::fs::copy(base.join(file), pack.path().join(file)).unwrap();
    }
    let mut policy = std::fs::read_to_string(base.join("policy.csv")).unwrap();
    let mut toml = std::fs::read_to_string(base.join("pack.toml")).unwrap();
    for number in 0..600 {
        let role = format!("\n[[role]]\nid = \"extra-{number}\"\nnetworks = [\"office\"]\n");
        toml.push_str(&role);
        policy.push_str(&format!(
            "p, extra-{number}, visitor, contact, READ, care, always, allow\n"
        ));
    }
    policy.push_str("g2, contact, contact.phone\n");
    std::fs::write(pack.path().join("pack.toml"), toml).unwrap();
    std::fs::write(pack.path().join("policy.csv"), policy).unwrap();
    let found = findings(pack.path());
    let codes = |code: &str| found.iter().filter(|one| one.code == code).count();
    assert_eq!(codes("category-cycle"), 1, "{}", found.len());
    assert_eq!(codes("unreachable-grant"), 500);
    assert_eq!(
        found.last().unwrap().message,
        "100 more warnings are left out here"
    );
}

#[test]
fn whoever_plays_shapes_or_signs_a_malformed_pack_is_told_in_their_language() {
    let case = Case::all()
        .into_iter()
        .find(|case| case.name == "mistyped-deny");
    let pack = case.unwrap().pack();
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    let key = key.to_str().unwrap();
    let run = |arguments: &[&str], locale: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(arguments)
            .env("LC_ALL", locale)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let made = run(&["policy", "keygen", key, "--name", "dpo.example"], "C");
    assert_eq!(made.0, Some(0), "{made:?}");
    let folder = pack.path().to_str().unwrap();
    for arguments in [
        vec!["policy", "test", folder],
        vec!["policy", "fmt", folder],
        vec!["policy", "sign", folder, "--key", key],
    ] {
        for (locale, words) in [
            ("C", "error[unknown-effect]: unknown effect \"dney\""),
            (
                "ja_JP.UTF-8",
                "エラー[unknown-effect]: \"dney\" という効果はありません",
            ),
        ] {
            let (code, told) = run(&arguments, locale);
            assert_eq!(code, Some(78), "{arguments:?}: {told}");
            assert!(told.contains(words), "{arguments:?}: {told}");
        }
    }
    let base = bad_packs::base();
    let sign = ["policy", "sign", base.to_str().unwrap(), "--key", key];
    let new = keys.path().join("other");
    let name = [
        "policy",
        "keygen",
        new.to_str().unwrap(),
        "--name",
        "two words",
    ];
    std::fs::write(key, "nothing\n").unwrap();
    for (locale, not_a_key, not_a_name) in [
        ("C", "is not a key that", "has no space"),
        ("ja_JP.UTF-8", "で作った鍵ではありません", "使えません"),
    ] {
        let (code, told) = run(&sign, locale);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains(not_a_key), "{told}");
        let (code, told) = run(&name, locale);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains(not_a_name), "{told}");
    }
}

#[test]
fn a_new_pack_names_the_schema_that_is_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("club");
    let made = sekisho(&["policy", "new"], &pack);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let text = std::fs::read_to_string(pack.join("pack.toml")).unwrap();
    let named = text.lines().next().unwrap().strip_prefix("#:schema ./");
    let schema = std::fs::read_to_string(pack.join(named.unwrap())).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema, policy::schema());
    for arguments in [
        &["policy", "check", "--deny-warnings"][..],
        &["policy", "fmt", "--check"],
    ] {
        let output = sekisho(arguments, &pack);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_malformed_pack_starts_no_daemon() {
    let case = Case::all()
        .into_iter()
        .find(|case| case.name == "mistyped-deny");
    let pack = case.unwrap().pack();
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--pack",
        ])
        .arg(pack.path())
        .arg("--data")
        .arg(data.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("policy.csv:8:63: error[unknown-effect]"),
        "{told}"
    );
    assert!(!data.path().join("data").exists());
}

/// `pack.toml` as an editor's server hands it to the schema: days are texts there.
fn as_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Table(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), as_json(value)))
            .collect(),
        toml::Value::Array(values) => values.iter().map(as_json).collect(),
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(day) => day.to_string().into(),
    }
}

#[test]
fn the_schema_takes_every_good_pack_and_refuses_what_is_wrong_in_form() {
    let output = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["policy", "schema"])
        .output()
        .unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema, policy::schema());
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("pack.schema.json", schema).unwrap();
    let index = compiler.compile("pack.schema.json", &mut schemas).unwrap();
    let mut good = support::packs();
    good.extend(support::own_packs());
    good.push(bad_packs::base());
    for pack in good {
        let text = std::fs::read_to_string(pack.join("pack.toml")).unwrap();
        let value = as_json(&text.parse::<toml::Table>().map(toml::Value::Table).unwrap());
        if let Err(error) = schemas.validate(&value, index) {
            panic!("{}: {error:#}", pack.display());
        }
    }
    let of_form = [
        "unknown-key",
        "unknown-section",
        "missing-section",
        "wrong-value",
        "empty-list",
        "bad-id",
        "unknown-action",
        "unknown-word",
        "duplicate",
    ];
    let mut refused = 0;
    for case in Case::all() {
        let pack = case.pack();
        let in_pack = |told: &&Told| told.at.starts_with("pack.toml") && told.severity == "error";
        let Some(told) = case.told.iter().find(in_pack) else {
            continue;
        };
        // A day in quotes is a day to the schema, and it knows no least period.
        let beyond = [
            "day-in-quotes",
            "closed-day-in-quotes",
            "equivalent-day-in-quotes",
            "log-kept-too-short",
        ];
        if !of_form.contains(&&*told.code) || beyond.contains(&&*case.name) {
            continue;
        }
        let text = std::fs::read_to_string(pack.path().join("pack.toml")).unwrap();
        let value = as_json(&text.parse::<toml::Table>().map(toml::Value::Table).unwrap());
        let valid = schemas.validate(&value, index).is_ok();
        assert!(!valid, "{}: {told:?}", case.name);
        refused += 1;
    }
    assert!(refused >= 15, "{refused}");
}

//! `sekisho subjects`, as an administrator types it, and the same calls with real grpcurl.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::play::Metadata;
use crate::support::postgres::Postgres;

/// The same on both stores.
fn both(test: impl Fn(House)) {
    test(House::open());
    test(House::with_store(&Postgres::shared().database()));
}

struct Terminal<'a> {
    house: &'a House,
    data: String,
}

impl Terminal<'_> {
    fn log_in(house: &House) -> Terminal<'_> {
        let data = house.data().to_owned();
        let password = &house.people.get("administrator-1").password;
        let input = credentials(house.home(), &data, "administrator-1", password);
        done(house.home(), &input, &["login", "--data", &data]);
        Terminal { house, data }
    }

    fn run(&self, words: &[&str]) -> (i32, String) {
        let mut arguments = vec!["subjects"];
        arguments.extend(words);
        arguments.extend(["--data", &self.data]);
        let output = run(self.house.home(), "", &arguments);
        let text = if output.status.success() {
            String::from_utf8(output.stdout).unwrap()
        } else {
            told(&output)
        };
        (output.status.code().unwrap(), text)
    }

    fn good(&self, words: &[&str]) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    }

    fn bad(&self, code: i32, words: &[&str]) -> String {
        let (found, text) = self.run(words);
        assert_eq!(found, code, "{words:?}: {text}");
        text
    }
}

#[test]
fn an_administrator_registers_finds_releases_and_withdraws() {
    both(|house| {
        let terminal = Terminal::log_in(&house);
        let added = terminal.good(&[
            "hold",
            "add",
            "seeker-1",
            "provision-stopped",
            "--reference",
            "R-1",
        ]);
        assert!(
            added.starts_with("registered the hold provision-stopped (entry "),
            "{added}"
        );
        let filter = [
            "filter",
            "--hold",
            "provision-stopped",
            "seeker-1",
            "seeker-2",
        ];
        assert_eq!(terminal.good(&filter), "seeker-1\n");
        terminal.good(&["hold", "release", "seeker-1", "provision-stopped"]);
        assert_eq!(terminal.good(&filter), "none of them is held\n");
        let words = terminal.bad(65, &["hold", "add", "seeker-1", "provision-stoped"]);
        assert!(
            words.contains("hold: the pack has no such hold; it has: provision-stopped"),
            "{words}"
        );
        let set = terminal.good(&[
            "date",
            "set",
            "seeker-1",
            "last-contact",
            "2010-04-01+09:00",
            "--lang",
            "ja",
        ]);
        assert!(
            set.contains("期日 last-contact を 2010-04-01T14:59:59.999999Z"),
            "{set}"
        );
        for year in ["1899-12-31", "2201-01-01"] {
            let words = terminal.bad(65, &["date", "set", "seeker-1", "last-contact", year]);
            assert!(
                words.contains("value: must be from 1900 to 2200"),
                "{words}"
            );
        }
        terminal.bad(64, &["date", "set", "seeker-1", "last-contact", "soon"]);

        let purpose = ["--purpose", "recruitment-service"];
        let consent = [
            "reference",
            "register",
            "consent",
            "C-1",
            "--subject",
            "seeker-1",
        ];
        terminal.good(&[&consent[..], &purpose, &["--until", "2099-12-31"]].concat());
        terminal.good(&[&["reference", "register", "notice", "N-1"], &purpose[..]].concat());
        let words = terminal.bad(
            65,
            &[&["reference", "register", "consent", "C-2"], &purpose[..]].concat(),
        );
        assert!(words.contains("subject_ref: is missing"), "{words}");
        terminal.bad(
            64,
            &[&["reference", "register", "konsent", "C-2"], &purpose[..]].concat(),
        );
        let list = terminal.good(&["reference", "list", "--subject", "seeker-1"]);
        assert!(
            list.contains("consent") && list.contains("2099-12-31") && list.contains("in force"),
            "{list}"
        );
        terminal.good(&[
            "reference",
            "withdraw",
            "consent",
            "C-1",
            "--subject",
            "seeker-1",
        ]);
        let withdrew = [
            "filter",
            "--hold",
            "withdrawn:recruitment-service",
            "seeker-1",
            "seeker-2",
        ];
        assert_eq!(terminal.good(&withdrew), "seeker-1\n");
        let json = terminal.good(&["reference", "list", "--subject", "seeker-1", "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["withdrawn"], &json["kind"]),
            (&json!(true), &json!("consent"))
        );
        // An old one that comes later is no newer consent; one of now is.
        let another = |id: &'static str| {
            let register = ["reference", "register", "consent", id];
            [&register[..], &["--subject", "seeker-1"], &purpose].concat()
        };
        terminal.good(&[&another("C-0")[..], &["--given", "2011-03-31"]].concat());
        assert_eq!(terminal.good(&withdrew), "seeker-1\n");
        let words = terminal.bad(
            65,
            &[&another("C-9")[..], &["--given", "2199-01-01"]].concat(),
        );
        assert!(words.contains("given: is not over yet"), "{words}");
        terminal.good(&another("C-3"));
        assert_eq!(terminal.good(&withdrew), "none of them is held\n");
        let all = terminal.good(&["reference", "list", "--subject", "seeker-1", "--json"]);
        assert!(all.contains("\"given\":\"2011-03-31T00:00:00Z\""), "{all}");
        assert!(terminal.good(&["reference", "list"]).contains("N-1"));
        assert_eq!(
            terminal.good(&["reference", "list", "--subject", "x"]),
            "nothing is registered\n"
        );

        let overdue = terminal.good(&["overdue"]);
        let pseudonym = overdue
            .lines()
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let ids = house.home().join("ids.txt");
        fs::write(&ids, "seeker-2\r\nseeker-1\n\nseeker-3").unwrap();
        let ids = ids.to_str().unwrap();
        let found = terminal.good(&["match", ids, "--pseudonym", &pseudonym]);
        assert!(
            found.starts_with(&format!(
                "{pseudonym} seeker-1\n1 of 1 pseudonyms are among the 3 ids"
            )),
            "{found}"
        );
        let other = "0".repeat(64);
        assert!(
            terminal
                .good(&["match", ids, "--pseudonym", &other])
                .contains("none of the 3 ids")
        );
        terminal.bad(64, &["match", ids, "--pseudonym", "abc"]);
        terminal.bad(64, &["match", ids]);
    });
}

#[test]
fn a_file_is_imported_whole_or_not_at_all() {
    both(|house| {
        let terminal = Terminal::log_in(&house);
        let file = house.home().join("subjects.csv");
        let name = file.to_str().unwrap();
        let mut text = "subject,what,id,value,reference,purposes\r\n".to_owned();
        for number in 0..3_000 {
            let _ = write!(
                text,
                "seeker-{number},hold,provision-stopped,,R-{number},\r\n"
            );
        }
        text.push_str("seeker-1,date,last-contact,2010-04-01,,\r\n");
        text.push_str("seeker-2,consent,C-2,2099-12-31,,recruitment-service\r\n");
        let bad = format!(
            "{text}seeker-3,release,provision-stopped,,,\nseeker-4,hold,stop,,,\nseeker-5,hold,provision-stopped,,,\n"
        );
        fs::write(&file, bad).unwrap();
        let words = terminal.bad(65, &["import", name]);
        for part in [
            "line 3004: what: is not taken from a file: a release needs an administrator",
            "line 3005: id: the pack has no such hold",
            "line 3006: id: is the same as on line 7",
            "3",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        // Every line, and every cell of it.
        let mut bad = "subject,what,id,value,reference,purposes,given\n".to_owned();
        for number in 0..11_000 {
            let _ = writeln!(bad, "seeker-{number},date,sometime,soon,,sale,");
        }
        bad.push_str(",hold,,,,,\n,consent,C-1,,,recruitment-service;sale,2199-01-01\n");
        fs::write(&file, bad).unwrap();
        let words = terminal.bad(65, &["import", name]);
        for part in [
            "line 2: purposes: a date has none",
            "line 2: value: is no instant",
            "line 11001: id: the pack has no such date",
            "line 11001: value: is no instant",
            "line 11002: subject: is missing",
            "line 11002: id: is missing",
            "line 11003: subject: is missing: only a notice or an engagement",
            "line 11003: purposes: the pack has no such purpose",
            "line 11003: given: is not over yet",
            "33005",
        ] {
            assert!(words.contains(part), "{part}: {}", words.lines().count());
        }
        let told = words.lines().filter(|line| line.starts_with("line "));
        assert_eq!(told.count(), 33_005);
        let filter = [
            "filter",
            "--hold",
            "provision-stopped",
            "seeker-0",
            "seeker-2999",
            "seeker-3000",
        ];
        assert_eq!(terminal.good(&filter), "none of them is held\n");
        fs::write(&file, text).unwrap();
        let dry = terminal.good(&["import", name, "--dry-run"]);
        assert_eq!(
            dry,
            "would register 3000 holds, 1 dates and 1 references; 0 errors\n"
        );
        assert_eq!(terminal.good(&filter), "none of them is held\n");
        let done = terminal.good(&["import", name, "--reference", "list 7", "--lang", "ja"]);
        assert!(
            done.starts_with("ホールド 3000 件、期日 1 件、根拠 1 件を登録しました"),
            "{done}"
        );
        assert_eq!(terminal.good(&filter), "seeker-0\nseeker-2999\n");
        assert!(
            terminal
                .good(&["reference", "list", "--subject", "seeker-2"])
                .contains("C-2")
        );
        fs::write(&file, "").unwrap();
        assert!(
            terminal
                .bad(65, &["import", name])
                .contains("it needs a header")
        );
        fs::write(&file, "subject,what,id\n").unwrap();
        assert!(terminal.bad(65, &["import", name]).contains("has no rows"));
    });
}

#[test]
fn the_calls_of_a_service_and_what_they_refuse() {
    let mut house = House::open();
    let administrator = house.log_in("administrator-1");
    let adviser = house.log_in("adviser-1");
    let method = |name: &str| format!("sekisho.v1.SubjectService/{name}");
    let csv = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    let nobody = Metadata::new();
    let file = json!({ "csv": csv("subject,what,id\nseeker-9,hold,provision-stopped\n") });
    let answers = house.answer(&method("Import"), &file, &nobody);
    let summary = answers
        .as_array()
        .map_or(&answers, |all| all.last().unwrap());
    let all = answers.to_string();
    assert!(
        all.contains("\"summary\"") && all.contains("\"holds\":\"1\""),
        "{summary} {all}"
    );
    let bad = json!({ "csv": csv("subject,what,id\nseeker-9,hold,stop\n") });
    let error = house.send(&method("Import"), &bad, &nobody).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.fields()),
        ("INVALID_ARGUMENT", vec!["csv.id".to_owned()])
    );
    let reference =
        json!({ "kind": "REFERENCE_KIND_CONSENT", "reference": "C-1", "purposes": ["x"] });
    let error = house
        .send(&method("RegisterReference"), &reference, &nobody)
        .unwrap_err();
    assert_eq!(error.fields(), ["purposes", "subject_ref"]);
    let reference = json!({ "subject_ref": "seeker-1", "kind": 99, "reference": "" });
    let error = house
        .send(&method("RegisterReference"), &reference, &nobody)
        .unwrap_err();
    assert_eq!(error.fields(), ["kind", "reference"]);
    let ids = json!({ "pseudonyms": ["0".repeat(64)], "subject_refs": ["seeker-1"] });
    for (metadata, code) in [
        (&nobody, "PERMISSION_DENIED"),
        (&adviser.metadata(), "PERMISSION_DENIED"),
    ] {
        let error = house.send(&method("Match"), &ids, metadata).unwrap_err();
        assert_eq!(error.code, code);
    }
    let found = house.answer(&method("Match"), &ids, &administrator.metadata());
    assert_eq!(found["subjectRefs"], "1");
    for (bad, field) in [
        (
            json!({ "pseudonyms": ["x"], "subject_refs": ["a"] }),
            "pseudonyms",
        ),
        (json!({ "subject_refs": ["a"] }), "pseudonyms"),
    ] {
        let error = house
            .send(&method("Match"), &bad, &administrator.metadata())
            .unwrap_err();
        assert_eq!(error.fields(), [field], "{bad}");
    }
    let overdue = json!({ "retention": "x", "page_size": 1 });
    let error = house
        .send(&method("ListOverdue"), &overdue, &administrator.metadata())
        .unwrap_err();
    assert_eq!(error.fields(), ["retention"]);
}

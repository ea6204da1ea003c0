//! Records of provision and of receipt from outside: real grpcurl, the shipped binary, and files as people get them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sekisho::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::machine_now;
use crate::support::play::{Metadata, Session};

const SERVICE: &str = "sekisho.v1.ProvisionRecordService";

fn provide(house: &House, adviser: &Session, of: &[&str]) -> Value {
    let request = json!({
        "actor": {
            "session_ticket": adviser.ticket,
            "client_ip": adviser.client_ip,
            "session_ref": adviser.session_ref,
        },
        "action": "ACTION_PROVIDE",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_refs": of, "categories": ["identity", "career"] },
        "purpose": "recruitment-service",
        "basis": { "consent": "CONSENT_STATE_PRIOR", "reference": "=consent-12" },
        "provision": { "recipient": "employer" },
    });
    let answer = house.answer("sekisho.v1.AccessService/Check", &request, &Metadata::new());
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
    answer
}

fn record_of(answer: &Value) -> String {
    let obligations = answer["obligations"].as_array().unwrap();
    let record = obligations
        .iter()
        .find_map(|one| one.get("provisionRecord"));
    record.unwrap()["recordId"].as_str().unwrap().to_owned()
}

fn receipt() -> Value {
    let days_ago = i64::try_from(machine_now()).unwrap() - 10 * 86_400;
    json!({
        "provider_name": "Giver, Inc.",
        "provider_address": "2 Main Street",
        "provider_representative": "President",
        "provider_country": "JP",
        "acquisition": "from the person, at a fair",
        "subject_refs": ["seeker-1"],
        "subject_kind": "job-seeker",
        "categories": ["career"],
        "received_at": Timestamp::from_seconds(days_ago).to_string(),
        "basis": "RECEIPT_BASIS_CONSENT",
        "basis_reference": "contract-7",
    })
}

/// Where files of a run are kept for people to look at, if anywhere.
fn keep(name: &str, content: &str) {
    if let Some(folder) = env::var_os("SEKISHO_SHOW") {
        fs::write(Path::new(&folder).join(name), content).unwrap();
    }
}

#[test]
fn records_are_listed_shown_exported_and_disclosed_at_a_terminal() {
    let mut house = House::open();
    let adviser = house.log_in("adviser-1");
    let first = provide(&house, &adviser, &["seeker-1", "seeker-2"]);
    let second = provide(&house, &adviser, &["seeker-1"]);
    let outcome = json!({
        "decision_id": first["decisionId"],
        "records_accessed": 1,
        "subject_refs": ["seeker-1"],
        "fulfilled_obligations": ["provision-record"],
    });
    let method = "sekisho.v1.AccessService/ReportOutcome";
    house.answer(method, &outcome, &Metadata::new());
    house.answer(
        &format!("{SERVICE}/RegisterReceipt"),
        &receipt(),
        &Metadata::new(),
    );

    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let password = &house.people.get("administrator-1").password;
    let input = credentials(&home, &data, "administrator-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let with = |words: &[&str]| {
        let mut arguments = vec!["records"];
        arguments.extend(words);
        arguments.extend(["--data", &data]);
        run(&home, "", &arguments)
    };
    let good = |words: &[&str]| {
        let output = with(words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };

    let table = good(&["list", "--lang", "ja"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("保存期限") && table.contains("OPEN") && table.contains("RECEIVED"));
    let line = good(&["list", "--status", "provided", "--json"]);
    let found: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(found["recordId"], record_of(&first).as_str());
    assert_eq!(
        (&found["recordsProvided"], &found["people"]),
        (&json!("1"), &json!(1))
    );
    assert_eq!(found["subjectRefs"], json!([]));
    for (filter, count) in [
        (&["--party", "employer"][..], 2),
        (&["--party", "Giver, Inc."], 1),
        (&["--subject", "seeker-2"], 0),
        (&["--subject", "seeker-1", "--kind", "provision"], 2),
        (&["--route", "third-party-consent", "--status", "open"], 1),
        (&["--until", "5d"], 1),
        (&["--limit", "1"], 1),
    ] {
        let mut words = vec!["list", "--json"];
        words.extend(filter);
        assert_eq!(good(&words).lines().count(), count, "{filter:?}");
    }

    let shown = good(&["show", &record_of(&first)]);
    for said in [
        "status: PROVIDED",
        "people (ids): seeker-1",
        "address: 1-1 Sample-cho",
        "consent: PRIOR",
        "reference of basis is: DECLARED",
    ] {
        assert!(shown.contains(said), "{shown}");
    }
    let japanese = good(&["show", &record_of(&first), "--lang", "ja"]);
    assert!(
        japanese.contains("代表者: Representative Director")
            && japanese.contains("本人(ID): seeker-1"),
        "{japanese}"
    );
    keep("record-of-provision-ja.txt", &japanese);
    keep("record-of-provision.txt", &shown);
    let json = good(&["show", &record_of(&second), "--json"]);
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&record["status"], &record["subjectRefs"]),
        (&json!("OPEN"), &json!(["seeker-1"]))
    );
    keep("record-of-provision.json", &json);

    let csv = home.join("records.csv");
    good(&[
        "export",
        "--format",
        "csv",
        "--output",
        csv.to_str().unwrap(),
    ]);
    let mode = fs::metadata(&csv).unwrap().permissions().mode() & 0o777;
    let text = fs::read_to_string(&csv).unwrap();
    assert_eq!((mode, text.lines().count()), (0o600, 4));
    assert!(
        text.contains("\"'=consent-12\"") && !text.contains("\"=consent-12\""),
        "{text}"
    );
    let lines = good(&["export", "--format", "jsonl", "--kind", "receipt"]);
    let record: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(record["acquisition"], "from the person, at a fair");
    keep("records.csv", &text);

    for (lang, scope, format) in [
        ("en", "provision", "html"),
        ("ja", "provision", "html"),
        ("en", "provision", "json"),
        ("ja", "provision", "json"),
        ("en", "all", "html"),
        ("ja", "all", "html"),
        ("en", "all", "json"),
    ] {
        let name = format!("disclosure-{scope}-{lang}.{format}");
        let file = home.join(&name);
        good(&[
            "disclose",
            "seeker-1",
            "--scope",
            scope,
            "--format",
            format,
            "--lang",
            lang,
            "--output",
            file.to_str().unwrap(),
        ]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            !text.contains("adviser-1") && !text.contains("seeker-2"),
            "{text}"
        );
        assert!(
            text.contains("1-1 Sample-cho") && text.contains("Giver, Inc."),
            "{text}"
        );
        match format {
            "json" => {
                let report: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(report["records"].as_array().unwrap().len(), 3);
                let accesses = report["accesses"].as_array().map(Vec::len);
                assert_eq!(accesses, (scope == "all").then_some(2));
                assert_eq!(report["end"]["records"], "3");
                assert_eq!(report["systems"][2]["coverage"], "uncovered");
                assert_eq!(report["records"][0]["basisReferenceStanding"], "DECLARED");
                assert_eq!(report["log"].is_object(), scope == "all");
            }
            _ => assert!(text.contains(&format!("<html lang=\"{lang}\">")), "{text}"),
        }
        keep(&name, &text);
    }
    for (lang, head) in [
        ("en", "Systems that hold personal data"),
        ("ja", "個人データを取り扱うシステム"),
    ] {
        let name = format!("records-of-provision-{lang}.html");
        let file = home.join(&name);
        let to = file.to_str().unwrap();
        good(&["export", "--format", "html", "--lang", lang, "--output", to]);
        let page = fs::read_to_string(&file).unwrap();
        let sheet = page.split("</section>").next().unwrap();
        assert!(
            sheet.contains(head) && !sheet.contains("seeker-1"),
            "{page}"
        );
        assert!(
            page.contains("seeker-1") && page.contains("Giver, Inc."),
            "{page}"
        );
        keep(&name, &page);
    }
    for (lang, format) in [
        ("en", "html"),
        ("ja", "html"),
        ("en", "csv"),
        ("ja", "json"),
    ] {
        let name = format!("register-{lang}.{format}");
        let file = home.join(&name);
        let output = file.to_str().unwrap();
        let words = [
            "policy", "register", "--lang", lang, "--format", format, "--output", output, "--data",
            &data,
        ];
        done(&home, "", &words);
        keep(&name, &fs::read_to_string(&file).unwrap());
    }
    // Never over a file that is there.
    let again = with(&[
        "export",
        "--format",
        "csv",
        "--output",
        csv.to_str().unwrap(),
    ]);
    assert!(!again.status.success());

    let added = good(&[
        "receipt",
        "--provider",
        "A person",
        "--individual",
        "--address",
        "3 Main Street",
        "--acquisition",
        "a visiting card",
        "--subject",
        "seeker-7",
        "--subject-kind",
        "job-seeker",
        "--category",
        "career",
        "--received",
        "1d",
        "--basis",
        "not-a-business",
    ]);
    assert!(added.starts_with("recorded: "), "{added}");
    for bad in [
        &["list", "--status", "closed"][..],
        &["show", "x"],
        &["show", "0197a5b2-7c1e-7cc0-8a5e-3f0f6a0f2b11"],
        &["disclose", " "],
    ] {
        let output = with(bad);
        assert!(!output.status.success(), "{bad:?}: {}", told(&output));
    }
}

#[test]
fn what_cannot_be_taken_is_named_field_by_field() {
    let mut house = House::open();
    let security = house.log_in("security-1").metadata();
    for (call, request, fields) in [
        ("GetRecord", json!({}), &["record_id"][..]),
        ("GetRecord", json!({ "record_id": "x" }), &["record_id"]),
        ("ListRecords", json!({ "page_size": 101 }), &["page_size"]),
        ("ListRecords", json!({ "page_size": -1 }), &["page_size"]),
        (
            "ListRecords",
            json!({ "page_token": "after_1_2" }),
            &["page_token"],
        ),
        (
            "ListRecords",
            json!({ "filter": { "status": 9, "kind": 9 } }),
            &["filter.kind", "filter.status"],
        ),
        (
            "ListRecords",
            json!({ "filter": { "party": "x".repeat(129) } }),
            &["filter.party"],
        ),
        (
            "ExportRecords",
            json!({ "filter": { "from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z" } }),
            &["filter.until"],
        ),
        ("DisclosureReport", json!({}), &["scope", "subject_ref"]),
        (
            "DisclosureReport",
            json!({ "subject_ref": "a", "scope": 7 }),
            &["scope"],
        ),
    ] {
        let refused = house.send(&format!("{SERVICE}/{call}"), &request, &security);
        let error = refused.expect_err(call);
        assert_eq!(error.code, "INVALID_ARGUMENT", "{call} {request}: {error}");
        assert_eq!(error.fields(), fields, "{call} {request}");
    }
    let change = |field: &str, value: Value| {
        let mut request = receipt();
        request[field] = value;
        request
    };
    for (request, fields) in [
        (
            json!({}),
            &[
                "acquisition",
                "basis",
                "categories",
                "provider_address",
                "provider_name",
                "provider_representative",
                "received_at",
                "subject_kind",
                "subject_refs",
            ][..],
        ),
        (
            change("provider_is_individual", json!(true)),
            &["provider_representative"],
        ),
        (
            change("provider_address", json!("x".repeat(513))),
            &["provider_address"],
        ),
        (
            change("acquisition", json!("x".repeat(1_025))),
            &["acquisition"],
        ),
        (
            change("provider_country", json!("jp")),
            &["provider_country"],
        ),
        (change("basis", json!(9)), &["basis"]),
        (change("subject_kind", json!("nobody")), &["subject_kind"]),
        (
            change("categories", json!(["career", "x"])),
            &["categories"],
        ),
        (
            change("received_at", json!("2999-01-01T00:00:00Z")),
            &["received_at"],
        ),
        (
            change("received_at", json!("1899-01-01T00:00:00Z")),
            &["received_at"],
        ),
    ] {
        let refused = house.send(
            &format!("{SERVICE}/RegisterReceipt"),
            &request,
            &Metadata::new(),
        );
        let error = refused.expect_err("a bad receipt");
        assert_eq!(error.code, "INVALID_ARGUMENT", "{request}: {error}");
        assert_eq!(error.fields(), fields, "{request}");
    }
    // Without a ticket nobody reads.
    let refused = house.send(
        &format!("{SERVICE}/ListRecords"),
        &json!({}),
        &Metadata::new(),
    );
    assert_eq!(refused.expect_err("no ticket").code, "PERMISSION_DENIED");
}

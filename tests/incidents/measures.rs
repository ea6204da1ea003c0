//! The register of safety-management measures: derived from what is in force, attested by people, printed.

use serde_json::{Value, json};

use crate::desk::{fields, newest};
use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::play::Session;
use crate::support::postgres::Postgres;

const GET: &str = "sekisho.v1.MeasureService/GetMeasures";
const ATTEST: &str = "sekisho.v1.MeasureService/Attest";
const DISPOSAL: &str = "irrecoverable-disposal";

/// The same on both stores.
fn both(test: impl Fn(House)) {
    test(House::open());
    test(House::with_store(&Postgres::shared().database()));
}

fn register(house: &House, by: &Session) -> Value {
    house.answer(GET, &json!({}), &by.metadata())
}

fn measure(register: &Value, id: &str) -> Value {
    let measures = register["measures"].as_array().unwrap();
    let found = measures.iter().find(|one| one["id"] == id);
    found.unwrap_or_else(|| panic!("{id}: {register}")).clone()
}

#[test]
fn the_register_tells_what_is_in_force_and_people_attest_the_rest() {
    both(|mut house| {
        let [reviewer, adviser, administrator] =
            ["security-1", "adviser-1", "administrator-1"].map(|id| house.log_in(id));
        let before = register(&house, &reviewer);
        let addresses = measure(&before, "address-restriction");
        let evidence = addresses["evidence"].to_string();
        assert!(evidence.contains("office, vpn"), "{addresses}");
        assert!(
            addresses["evidenceJa"].to_string().contains("アドレス範囲"),
            "{addresses}"
        );
        assert_eq!(measure(&before, DISPOSAL)["overdue"], true);
        let log = measure(&before, "checked-by-logs");
        assert!(
            log["evidence"]
                .to_string()
                .contains("No witness has signed it"),
            "{log}"
        );
        let systems = before["systems"].to_string();
        assert!(systems.contains("coverage"), "{systems}");
        assert_eq!(
            register(&house, &administrator)["measures"][0],
            before["measures"][0]
        );
        let refused = house
            .send(GET, &json!({}), &adviser.metadata())
            .unwrap_err();
        assert_eq!(refused.code, "PERMISSION_DENIED");

        let attest = json!({ "measure": DISPOSAL, "done_at": "2026-11-01T00:00:00Z", "reference": "D-7", "note": "the old disks were shredded" });
        for by in [&adviser, &administrator] {
            let refused = house.send(ATTEST, &attest, &by.metadata()).unwrap_err();
            assert_eq!(refused.code, "PERMISSION_DENIED");
            let entry = newest(&house, &reviewer, "ENTRY_KIND_REFUSED_CALL");
            assert_eq!(entry["details"]["call"], "Attest", "{entry}");
        }
        for (request, wrong) in [
            (json!({}), &["done_at", "measure", "reference"][..]),
            (
                json!({ "measure": "moon", "done_at": "2026-11-01T00:00:00Z", "reference": "D", "note": "x" }),
                &["measure"],
            ),
            (
                json!({ "measure": "checked-by-logs", "done_at": "2026-11-01T00:00:00Z", "reference": "D", "note": "x" }),
                &["measure"],
            ),
            (
                json!({ "measure": DISPOSAL, "done_at": "2099-01-01T00:00:00Z", "reference": "D" }),
                &["done_at", "note"],
            ),
        ] {
            let refused = house.send(ATTEST, &request, &reviewer.metadata());
            assert_eq!(fields(refused), wrong, "{request}");
        }
        let attested = house.answer(ATTEST, &attest, &reviewer.metadata());
        assert_eq!(attested["next"], "2027-11-01T00:00:00Z", "{attested}");
        let entry = newest(&house, &reviewer, "ENTRY_KIND_REVIEW");
        assert_eq!(entry["details"]["reference"], "D-7", "{entry}");
        let house = house.kill_and_start();
        let after = measure(&register(&house, &reviewer), DISPOSAL);
        assert_eq!(after.get("overdue"), None, "{after}");
        assert_eq!(
            (&after["reference"], &after["attestedBy"]),
            (&json!("D-7"), &json!("security-1"))
        );
        assert_eq!(after["last"], "2026-11-01T00:00:00Z");
    });
}

#[test]
fn the_register_prints_for_a_regulator_in_either_language() {
    let house = House::open();
    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let password = &house.people.get("security-1").password;
    let input = credentials(&home, &data, "security-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let good = |words: &[&str]| {
        let mut arguments = vec!["measures"];
        arguments.extend(words);
        arguments.extend(["--data", &data]);
        let output = run(&home, "", &arguments);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = good(&["show"]);
    assert!(
        table.contains("never attested") && table.contains("enforced"),
        "{table}"
    );
    let metrics = house.daemon.get("/metrics");
    assert!(
        metrics.contains("sekisho_attestations_overdue 1\n"),
        "{metrics}"
    );
    let japanese = good(&["show", "--format", "html", "--lang", "ja"]);
    for told in [
        "安全管理措置の台帳",
        "個人データを取り扱うシステム",
        "IP アドレスによるアクセスの制限",
        "実施(関所が制限)",
        "未申告",
    ] {
        assert!(japanese.contains(told), "{told}: {japanese}");
    }
    let attested = good(&[
        "attest",
        DISPOSAL,
        "--on",
        "1h",
        "--reference",
        "D-8",
        "--note",
        "two disks",
    ]);
    assert!(
        attested.starts_with("attested: irrecoverable-disposal, entry "),
        "{attested}"
    );
    let english = good(&["show", "--format", "html", "--lang", "en"]);
    for told in [
        "Register of safety-management measures",
        "certificate of disposal: D-8 (security-1)",
        "one-time code",
    ] {
        assert!(english.contains(told), "{told}: {english}");
    }
    assert!(!english.contains("never attested"));
    let json: Value = serde_json::from_str(&good(&["show", "--json"])).unwrap();
    assert_eq!(measure(&json, DISPOSAL)["overdue"], false);
    assert!(good(&["show", "--format", "csv"]).starts_with('\u{feff}'));
    let metrics = house.daemon.get("/metrics");
    assert!(
        metrics.contains("sekisho_attestations_overdue 0\n"),
        "{metrics}"
    );
    println!("{table}");
}

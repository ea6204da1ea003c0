//! Second factors are taken away by two administrators, or by one on the daemon's host where there is one only.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sessions::refused;
use crate::support::dev_house::{House, run, sql, told};
use crate::support::play::{CallError, Door, Metadata, Session};
use crate::support::scenario::{OFFICE, SESSION};

const RESET: &str = "sekisho.v1.ResetService/ResetSecondFactor";
const DECLINE: &str = "sekisho.v1.ResetService/DeclineReset";
const LIST: &str = "sekisho.v1.ResetService/ListResets";
const REVIEW: &str = "sekisho.v1.ResetService/ReviewReset";
const ON_HOST: &str = "sekisho.v1.ResetService/ResetOnHost";
const VERIFY_PASSWORD: &str = "sekisho.v1.AuthenticationService/VerifyPassword";
const SEARCH: &str = "sekisho.v1.AccessLogService/Search";
const DAY: Duration = Duration::from_hours(24);
/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn ask(
    house: &House,
    by: &Session,
    person: &str,
    approve: Option<&str>,
) -> Result<Value, CallError> {
    let mut request = json!({ "person": person, "reason": "the phone fell into the sea" });
    if let Some(approve) = approve {
        request["approve"] = approve.into();
    }
    house.send(RESET, &request, &by.metadata())
}

fn resets(house: &House, by: &Session) -> Vec<Value> {
    let answer = house.answer(LIST, &json!({}), &by.metadata());
    answer["resets"].as_array().cloned().unwrap_or_default()
}

/// What the first step says: whether a second factor is enrolled.
fn enrolled(house: &House, person: &str) -> bool {
    let password = &house.people.get(person).password;
    let request = json!({ "person": person, "password": password, "client_ip": OFFICE, "session_ref": SESSION });
    let answer = house.answer(VERIFY_PASSWORD, &request, &Metadata::new());
    answer.get("enrollmentRequired").is_none()
}

fn named(result: Result<Value, CallError>, field: &str) -> String {
    let refused = result.unwrap_err();
    assert_eq!(refused.code, "INVALID_ARGUMENT", "{refused}");
    assert_eq!(refused.fields(), [field], "{refused}");
    refused.to_string()
}

#[test]
fn it_takes_two_administrators_neither_of_them_the_one_it_is_for() {
    let mut house = House::with_clock();
    let adviser = house.log_in("adviser-1");
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| house.log_in(id));
    assert_eq!(refused(&house, &adviser), None);

    let asked = ask(&house, &one, "adviser-1", None).unwrap();
    let request = asked["pending"].as_str().unwrap().to_owned();
    assert_eq!(asked["logIndex"].as_str(), Some(&*request));
    assert!(enrolled(&house, "adviser-1"));
    let own = named(ask(&house, &one, "adviser-1", Some(&request)), "approve");
    assert!(own.contains("your own request"), "{own}");
    named(ask(&house, &two, "adviser-2", Some(&request)), "approve");
    let himself = named(ask(&house, &two, "administrator-2", None), "person");
    assert!(himself.contains("yourself"), "{himself}");
    // The one it is for can't approve it either.
    let of_two = ask(&house, &one, "administrator-2", None).unwrap();
    let of_two = of_two["pending"].as_str().unwrap().to_owned();
    named(
        ask(&house, &two, "administrator-2", Some(&of_two)),
        "person",
    );
    let nobody = ask(&house, &adviser, "adviser-2", None).unwrap_err();
    assert_eq!(nobody.code, "PERMISSION_DENIED");

    let done = ask(&house, &two, "adviser-1", Some(&request)).unwrap();
    assert!(done.get("pending").is_none(), "{done}");
    assert!(!enrolled(&house, "adviser-1"));
    assert_eq!(
        refused(&house, &adviser).as_deref(),
        Some("REASON_CODE_TICKET_REVOKED")
    );
    named(ask(&house, &two, "adviser-1", Some(&request)), "approve");

    // Both are in the entry, also after a kill, and the reset stays.
    let mut house = house.kill_and_start();
    assert!(!enrolled(&house, "adviser-1"));
    assert_eq!(
        refused(&house, &adviser).as_deref(),
        Some("REASON_CODE_TICKET_REVOKED")
    );
    house.advance(Duration::from_secs(31));
    let reader = house.log_in("security-1");
    let query = json!({ "kind": "ENTRY_KIND_ADMINISTRATION" });
    let found = house.answer(SEARCH, &query, &reader.metadata()).to_string();
    for told in [
        "reset-second-factor",
        "approved_by",
        "administrator-2",
        "the phone fell into the sea",
    ] {
        assert!(found.contains(told), "{told}: {found}");
    }
}

#[test]
fn a_request_outlives_a_kill_can_be_declined_and_ends_after_a_day() {
    let mut house = House::with_clock();
    let one = house.log_in("administrator-1");
    let first = ask(&house, &one, "adviser-1", None).unwrap()["pending"].clone();
    let second = ask(&house, &one, "adviser-2", None).unwrap()["pending"].clone();
    let mut house = house.kill_and_start();
    house.advance(Duration::from_secs(31));
    let two = house.log_in("administrator-2");
    assert_eq!(resets(&house, &two).len(), 2);
    let request = json!({ "pending": first, "reason": "found again" });
    house.answer(DECLINE, &request, &two.metadata());
    named(house.send(DECLINE, &request, &two.metadata()), "pending");
    named(ask(&house, &two, "adviser-1", first.as_str()), "approve");
    assert_eq!(resets(&house, &two).len(), 1);
    house.advance(DAY);
    let two = house.log_in("administrator-2");
    let late = named(ask(&house, &two, "adviser-2", second.as_str()), "approve");
    assert!(late.contains("expired"), "{late}");
    assert_eq!(resets(&house, &two), Vec::<Value>::new());
    assert!(enrolled(&house, "adviser-2"));
}

/// Rewrites the configuration and starts anew.
fn configured(house: House, change: impl FnOnce(String) -> String) -> House {
    let path = house.daemon.data().join("sekisho.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(text)).unwrap();
    house.kill_and_start()
}

fn on_host(house: &House, person: &str) -> std::process::Output {
    let data = house.data();
    let arguments = [
        "reset",
        "second-factor",
        person,
        "--reason",
        "no phone",
        "--on-host",
        data,
        "--data",
        data,
    ];
    run(house.home(), "", &arguments)
}

/// A stop and a start, as if the daemon had served for so long since a reset was asked for alone.
fn served(house: House, time: Duration) -> House {
    let database = house.database.clone();
    let micros = time.as_micros();
    let statement = format!("UPDATE requests SET waited = {micros} WHERE ends IS NULL");
    house.stop_and_start(|home| sql(database.as_deref(), home, &statement))
}

#[test]
fn one_alone_asks_on_the_host_waits_a_day_and_is_marked() {
    let house = House::with_clock();
    let refused_here = on_host(&house, "adviser-1");
    let said = told(&refused_here);
    assert!(
        !refused_here.status.success() && said.contains("no small office"),
        "{said}"
    );
    let mut house = configured(house, |text| {
        text.replace("small_office = false", "small_office = true")
    });
    let refused_here = on_host(&house, "adviser-1");
    let said = told(&refused_here);
    assert!(
        !refused_here.status.success() && said.contains("other administrators"),
        "{said}"
    );

    let one = house.log_in("administrator-1");
    let disable = json!({ "id": "administrator-2", "reference": "HR-1" });
    house.answer(
        "sekisho.v1.DirectoryService/DisablePerson",
        &disable,
        &one.metadata(),
    );
    let nobody = told(&on_host(&house, "nobody-1"));
    assert!(nobody.contains("person"), "{nobody}");
    let asked = on_host(&house, "adviser-1");
    let said = told(&asked);
    assert!(
        asked.status.success() && said.contains("by one person alone"),
        "{said}"
    );
    assert!(enrolled(&house, "adviser-1"));
    let seen = resets(&house, &one);
    assert_eq!(
        (&seen[0]["alone"], seen[0].get("done")),
        (&json!(true), None),
        "{seen:?}"
    );

    // Setting the clock ahead shortens nothing, neither under the daemon nor while it is stopped.
    house.advance(DAY);
    let mut house = house.stop_and_start(|_| ());
    assert!(enrolled(&house, "adviser-1"));
    let one = house.log_in("administrator-1");
    let seen = resets(&house, &one);
    assert_eq!(seen[0].get("done"), None, "{seen:?}");
    let at = sekisho::domain::time::Timestamp::parse(seen[0]["effectiveAt"].as_str().unwrap());
    let left = at.unwrap().seconds() - i64::try_from(house.now()).unwrap();
    assert!((86_000..=86_400).contains(&left), "{left}");
    let house = served(house, Duration::from_hours(23));
    assert!(enrolled(&house, "adviser-1"));
    let mut house = served(house, DAY);
    assert!(!enrolled(&house, "adviser-1"));
    house.advance(Duration::from_secs(31));
    let one = house.log_in("administrator-1");
    let seen = resets(&house, &one);
    assert_eq!(
        (&seen[0]["alone"], &seen[0]["done"]),
        (&json!(true), &json!(true)),
        "{seen:?}"
    );

    // Until somebody else looked at it.
    let review = json!({ "pending": seen[0]["pending"], "finding": "it was the right person" });
    let refused = house.send(REVIEW, &review, &one.metadata()).unwrap_err();
    assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
    let security = house.log_in("security-1");
    let unsaid = json!({ "pending": seen[0]["pending"] });
    named(house.send(REVIEW, &unsaid, &security.metadata()), "finding");
    house.answer(REVIEW, &review, &security.metadata());
    assert_eq!(resets(&house, &one), Vec::<Value>::new());
    named(house.send(REVIEW, &review, &security.metadata()), "pending");
}

#[test]
fn what_was_not_made_by_the_keyring_is_no_proof_and_no_proof_is_good_twice() {
    let house = House::with_clock();
    let at = sekisho::domain::time::Timestamp::from_seconds(i64::try_from(house.now()).unwrap());
    let request = |proof: &[u8]| {
        json!({
            "person": "adviser-1", "reason": "x", "at": at.to_string(),
            "proof": data_encoding::BASE64.encode(proof),
        })
    };
    // Of the command line's certificate alone; a service is told no more.
    let own = house
        .send(ON_HOST, &request(&[7; 32]), &Metadata::new())
        .unwrap_err();
    assert_eq!(own.code, "PERMISSION_DENIED", "{own}");
    let cli = |request: &Value| {
        let tls = house.daemon.data().join("tls");
        let identity = crate::support::certificates::Identity {
            certificate: tls.join("sekisho-cli.pem"),
            key: tls.join("sekisho-cli.key"),
        };
        house
            .grpcurl
            .call(Some(&identity), ON_HOST, request, &Metadata::new())
    };
    for wrong in [&[7_u8; 32][..], &[], &[0; 31]] {
        let refused = cli(&request(wrong)).unwrap_err();
        assert_eq!(refused.code, "UNAUTHENTICATED", "{refused}");
    }
    let keyring = sekisho::identity::keyring::Keyring::open(house.daemon.data()).unwrap();
    let proof = keyring.host_proof.make("adviser-1", "x", at);
    // Genuine: refused for what the configuration says, and from then on as used.
    let refused = cli(&request(&proof)).unwrap_err();
    assert_eq!(refused.code, "PERMISSION_DENIED", "{refused}");
    let refused = cli(&request(&proof)).unwrap_err();
    assert_eq!(refused.code, "UNAUTHENTICATED", "{refused}");
}

#[test]
fn the_hook_is_told_of_what_was_asked_for_and_done() {
    let mut house = configured(House::with_clock(), |text| {
        text + "\n[hook]\ncommand = [\"sh\", \"-c\", \"cat >> told.jsonl\"]\n"
    });
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| house.log_in(id));
    let asked = ask(&house, &one, "adviser-1", None).unwrap();
    ask(&house, &two, "adviser-1", asked["pending"].as_str()).unwrap();
    let guarded = json!({ "person": "security-1" });
    let set = "sekisho.v1.CredentialService/SetPassword";
    house.answer(set, &guarded, &one.metadata());
    let told = hook_told(&house, 3);
    let events: Vec<&str> = told
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        ["reset-asked", "reset-done", "request-asked"],
        "{}",
        house.daemon.output()
    );
    assert_eq!(told[1]["by"], json!(["administrator-1", "administrator-2"]));
    assert_eq!(told[1]["person"], "adviser-1");
    assert_eq!(
        (&told[2]["request"], &told[2]["person"]),
        (&json!("set-password"), &json!("security-1"))
    );
}

/// Index of the first entry that the hook was not run for, as is kept for the next start.
fn kept_by_the_hook(house: &House) -> u64 {
    let path = house.daemon.data().join("sinks/hook.position");
    let kept: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    kept["next"].as_u64().unwrap()
}

/// What the hook wrote, once it has `count` lines or the time is over.
fn hook_told(house: &House, count: usize) -> Vec<Value> {
    let path = house.daemon.data().join("told.jsonl");
    let until = Instant::now() + SOON;
    let lines = loop {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().count() >= count || Instant::now() > until {
            break text;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_hook_is_told_after_a_kill_and_however_long_its_command_failed() {
    let mut house = configured(House::with_clock(), |text| {
        text + "\n[hook]\ncommand = [\"sh\", \"-c\", \"test -e mended && cat >> told.jsonl\"]\n"
    });
    let [one, two] = ["administrator-1", "administrator-2"].map(|id| house.log_in(id));
    let asked = ask(&house, &one, "adviser-1", None).unwrap();
    let house = house.kill_and_start();
    ask(&house, &two, "adviser-1", asked["pending"].as_str()).unwrap();
    let house = house.kill_and_start();
    let until = Instant::now() + SOON;
    while !house
        .daemon
        .get("/readyz")
        .contains("nobody was told of entry")
    {
        assert!(Instant::now() < until, "{}", house.daemon.get("/readyz"));
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::write(house.daemon.data().join("mended"), "").unwrap();
    let told = hook_told(&house, 2);
    let events: Vec<&str> = told
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["reset-asked", "reset-done"]);
    // And once only, though the daemon begins anew: once it has kept how far it came.
    let last = told[1]["log_index"].as_u64().unwrap();
    let until = Instant::now() + SOON;
    while kept_by_the_hook(&house) <= last {
        assert!(Instant::now() < until, "{}", house.daemon.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    let house = house.kill_and_start();
    std::thread::sleep(Duration::from_secs(2));
    let path = house.daemon.data().join("told.jsonl");
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 2);
}

//! Bad input at the door and at the start, through the shipped binary: who is let in by TLS, who is known, what is too
//! large, what is refused with every fault named, and a start that fails with a clear word and an exit code of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::certificates::{
    Identity, of_service, signed_by_dev, signed_by_stranger, trust_domain,
};
use support::daemon::{Daemon, refused_start};
use support::grpcurl::Grpcurl;
use support::people::People;
use support::play::{CallError, Door, Metadata, Session, log_in};
use support::scenario::{CALLER, OFFICE, SESSION};
use support::{machine_now, pack};
use tempfile::TempDir;

/// A broken pack or configuration (sysexits.h, EX_CONFIG).
const EXIT_CONFIGURATION: i32 = 78;
/// Refusals are summed once a second.
const SUMMED: Duration = Duration::from_millis(2_500);

const CHECK: &str = "sekisho.v1.AccessService/Check";
const BATCH_CHECK: &str = "sekisho.v1.AccessService/BatchCheck";
const VERIFY_PASSWORD: &str = "sekisho.v1.AuthenticationService/VerifyPassword";

/// A daemon, grpcurl, and a folder for what the tests make.
struct House {
    folder: TempDir,
    daemon: Daemon,
    grpcurl: Grpcurl,
    people: People,
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let daemon = Daemon::start(&data, None);
        let grpcurl = Grpcurl::new(&data, &daemon.grpc);
        let people = People::read(&data);
        Self {
            folder,
            daemon,
            grpcurl,
            people,
        }
    }

    fn own(&self) -> Identity {
        of_service(self.daemon.data(), CALLER)
    }

    fn signed(&self, file: &str, uris: &[String]) -> Identity {
        signed_by_dev(self.daemon.data(), self.folder.path(), file, uris)
    }

    fn uri(&self, service: &str) -> String {
        format!(
            "spiffe://{}/service/{service}",
            trust_domain(self.daemon.data())
        )
    }

    fn send(&self, identity: &Identity, method: &str, request: &Value) -> Result<Value, CallError> {
        self.grpcurl
            .call(Some(identity), method, request, &Metadata::new())
    }

    /// Entries of one kind, newest first.
    fn entries(&self, manager: &Session, kind: &str) -> Vec<Value> {
        let request = json!({ "kind": kind, "page_size": 200 });
        let found = self
            .grpcurl
            .call(
                Some(&self.own()),
                "sekisho.v1.AccessLogService/Search",
                &request,
                &manager.metadata(),
            )
            .unwrap_or_else(|error| panic!("search for {kind}: {error}"));
        let messages = match found {
            Value::Array(messages) => messages,
            one => vec![one],
        };
        messages
            .into_iter()
            .filter_map(|message| message.get("entry").cloned())
            .collect()
    }
}

impl Door for House {
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        self.grpcurl.call(
            Some(&of_service(self.daemon.data(), service)),
            method,
            request,
            metadata,
        )
    }

    fn advance(&mut self, by: Duration) {
        sleep(by);
    }

    fn now(&self) -> u64 {
        machine_now()
    }

    fn people(&self) -> &People {
        &self.people
    }
}

fn check(ticket: Option<&str>) -> Value {
    let mut request = json!({
        "actor": { "client_ip": OFFICE, "session_ref": SESSION },
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "categories": ["career"] },
        "purpose": "recruitment-service",
    });
    if let Some(ticket) = ticket {
        request["actor"]["session_ticket"] = ticket.into();
    }
    request
}

fn password() -> Value {
    json!({ "person": "adviser-1", "password": "wrong", "client_ip": OFFICE, "session_ref": SESSION })
}

fn first_reason(answer: &Value) -> &str {
    answer["reasons"][0]["code"].as_str().unwrap_or_default()
}

#[test]
fn what_is_refused_at_the_door() {
    let mut house = House::open();
    let manager = log_in(&mut house, "security-1", (CALLER, OFFICE, SESSION))
        .unwrap_or_else(|error| panic!("login of security-1: {error}\n{}", house.daemon.output()));
    let adviser = log_in(&mut house, "adviser-1", (CALLER, OFFICE, SESSION)).unwrap();

    tls_refuses_who_has_no_certificate_of_the_house(&house);
    who_is_not_exactly_one_service_is_unknown(&house);
    what_strangers_send_is_logged_and_summed(&house, &manager);
    what_is_too_large_is_refused_and_counted(&house, &manager, &adviser);
    a_batch_names_the_item_that_is_malformed(&house, &manager, &adviser);
    the_log_is_read_by_who_reviews_it(&house, &manager, &adviser);
    what_cannot_be_decoded_is_the_callers_mistake_and_logged(&house, &manager);
}

fn tls_refuses_who_has_no_certificate_of_the_house(house: &House) {
    let nobody = house
        .grpcurl
        .call(None, CHECK, &check(None), &Metadata::new());
    let stranger = signed_by_stranger(house.folder.path(), "stranger", &[house.uri(CALLER)]);
    let stranger = house.send(&stranger, CHECK, &check(None));
    for (who, came) in [("no certificate", nobody), ("another CA", stranger)] {
        let error = came.expect_err(who);
        let refused_by_tls = matches!(error.code.as_str(), "" | "UNAVAILABLE");
        assert!(
            refused_by_tls,
            "{who}: TLS must refuse, not the daemon: {error}"
        );
        assert!(
            error.message.contains("tls") || error.message.contains("certificate"),
            "{who}: {error}"
        );
    }
}

fn who_is_not_exactly_one_service_is_unknown(house: &House) {
    let unknown = [
        ("unknown service", vec![house.uri("shadow-crm")]),
        (
            "two URI names",
            vec![house.uri(CALLER), house.uri("billing")],
        ),
        (
            "the same URI name twice",
            vec![house.uri(CALLER), house.uri(CALLER)],
        ),
        (
            "other trust domain",
            vec![format!("spiffe://elsewhere.example/service/{CALLER}")],
        ),
        ("reserved id", vec![house.uri("sekisho-anything")]),
        (
            "another path",
            vec![house.uri(CALLER).replace("/service/", "/person/")],
        ),
        ("a longer path", vec![format!("{}/more", house.uri(CALLER))]),
        ("no name", vec![]),
    ];
    for (number, (what, uris)) in unknown.into_iter().enumerate() {
        let identity = house.signed(&format!("unknown-{number}"), &uris);
        let answer = house
            .send(&identity, CHECK, &check(None))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer["decision"], "DECISION_DENY", "{what}: {answer}");
        assert_eq!(
            first_reason(&answer),
            "REASON_CODE_CALLER_UNKNOWN",
            "{what}"
        );

        let error = house
            .send(&identity, VERIFY_PASSWORD, &password())
            .expect_err(what);
        assert_eq!(error.code, "PERMISSION_DENIED", "{what}: {error}");
        let info = error
            .detail("ErrorInfo")
            .unwrap_or_else(|| panic!("{what}: no ErrorInfo: {error}"));
        assert_eq!(info["reason"], "CALLER_UNKNOWN", "{what}");
        assert_eq!(info["domain"], "sekisho.v1", "{what}");
    }
}

fn what_strangers_send_is_logged_and_summed(house: &House, manager: &Session) {
    const CALLS: usize = 30;
    let before = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len();
    assert!(before > 0, "the refusals so far are in the log");
    let stranger = house.signed("insistent", &[house.uri("insistent")]);
    // At the same time, since each waits for its entry.
    thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| {
                house
                    .send(&stranger, VERIFY_PASSWORD, &password())
                    .expect_err("a stranger")
            });
        }
    });
    sleep(SUMMED);
    let grown = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len() - before;
    assert!(
        (1..CALLS).contains(&grown),
        "{CALLS} refusals of one certificate made {grown} entries"
    );
}

fn what_is_too_large_is_refused_and_counted(house: &House, manager: &Session, adviser: &Session) {
    let own = house.own();
    let before = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len();
    let mut large = check(Some(&adviser.ticket));
    large["case_ref"] = "x".repeat(70 * 1024).into();
    let one = house.send(&own, CHECK, &large);
    let among_others = house.send(
        &own,
        BATCH_CHECK,
        &json!({ "items": [check(Some(&adviser.ticket)), large] }),
    );
    // Each item is within its bound; only together are they too many bytes.
    let mut item = check(Some(&adviser.ticket));
    item["data"]["subject_refs"] = (0..400).map(|number| format!("{number:0>100}")).collect();
    let batch = house.send(&own, BATCH_CHECK, &json!({ "items": vec![item; 110] }));
    for (what, came) in [
        ("an item", one),
        ("an item of a batch", among_others),
        ("a batch", batch),
    ] {
        let error = came.expect_err(what);
        assert_eq!(
            error.code, "RESOURCE_EXHAUSTED",
            "{what} that is too large: {error}"
        );
    }
    sleep(SUMMED);
    assert!(
        house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len() > before,
        "too large, and not in the log"
    );
}

fn a_batch_names_the_item_that_is_malformed(house: &House, manager: &Session, adviser: &Session) {
    let own = house.own();
    let before = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len();
    let good = check(Some(&adviser.ticket));
    let mut bad = good.clone();
    bad["purpose"] = "x".repeat(129).into();
    bad["action"] = "ACTION_UNSPECIFIED".into();
    let items = [good.clone(), good.clone(), good.clone(), bad];
    let error = house
        .send(&own, BATCH_CHECK, &json!({ "items": items }))
        .expect_err("a malformed item");
    assert_eq!(error.code, "INVALID_ARGUMENT", "{error}");
    let named = error
        .detail("BadRequest")
        .map(ToString::to_string)
        .unwrap_or_default();
    for field in ["items[3].purpose", "items[3].action"] {
        assert!(named.contains(field), "{field} is not named in {named}");
    }
    let small = json!({ "action": "ACTION_READ" });
    let error = house
        .send(&own, BATCH_CHECK, &json!({ "items": vec![small; 1_001] }))
        .expect_err("too many items");
    assert_eq!(error.code, "INVALID_ARGUMENT", "{error}");
    assert!(error.fields().contains(&"items".into()), "{error}");
    sleep(SUMMED);
    let refused = house.entries(manager, "ENTRY_KIND_REFUSED_CALL");
    assert!(refused.len() > before, "malformed, and not in the log");
    assert_eq!(
        refused[0]["caller"], CALLER,
        "whose malformed call it was: {}",
        refused[0]
    );
}

fn the_log_is_read_by_who_reviews_it(house: &House, manager: &Session, adviser: &Session) {
    let own = house.own();
    let search = |metadata: &Metadata| {
        house.grpcurl.call(
            Some(&own),
            "sekisho.v1.AccessLogService/Search",
            &json!({ "page_size": 1 }),
            metadata,
        )
    };
    let error = search(&adviser.metadata()).expect_err("an adviser");
    assert_eq!(error.code, "PERMISSION_DENIED", "an adviser: {error}");
    let error = search(&Metadata::new()).expect_err("a service without a person");
    assert!(
        ["PERMISSION_DENIED", "UNAUTHENTICATED"].contains(&error.code.as_str()),
        "no ticket: {error}"
    );
    let reads = house.entries(manager, "ENTRY_KIND_LOG_READ");
    assert!(
        reads.iter().any(|entry| entry["person"] == "security-1"),
        "reading the log is logged"
    );
}

/// Calls that grpcurl can't make: bytes that are no message of the method, and an item that unknown fields make too long.
fn what_cannot_be_decoded_is_the_callers_mistake_and_logged(house: &House, manager: &Session) {
    let before = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Field 1 is a string in CheckRequest and a number in Timestamp.
    let no_request = prost_types::Timestamp {
        seconds: 5,
        nanos: 0,
    };
    // Field 2 of BatchCheckRequest are its items; of FileDescriptorProto it is the package, here as long as three items may be.
    let padded = prost_types::FileDescriptorProto {
        package: Some("x".repeat(200_000)),
        ..prost_types::FileDescriptorProto::default()
    };
    let (first, second) = runtime.block_on(async {
        let channel =
            support::client::connect(house.daemon.data(), &house.own(), &house.daemon.grpc)
                .await
                .unwrap();
        let first = unary(
            channel.clone(),
            "/sekisho.v1.AccessService/Check",
            no_request,
        )
        .await;
        (
            first,
            unary(channel, "/sekisho.v1.AccessService/BatchCheck", padded).await,
        )
    });
    assert_eq!(first.code(), tonic::Code::InvalidArgument, "{first}");
    assert_eq!(second.code(), tonic::Code::ResourceExhausted, "{second}");
    assert!(second.message().contains("items[0]"), "{second}");
    let after = house.entries(manager, "ENTRY_KIND_REFUSED_CALL").len();
    assert_eq!(after, before + 2, "each has its entry");
}

async fn unary<M: prost::Message + Default + 'static>(
    channel: tonic::transport::Channel,
    path: &'static str,
    message: M,
) -> tonic::Status {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<M, sekisho::proto::CheckResponse>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    let answered = client
        .unary(tonic::Request::new(message), path, codec)
        .await;
    answered.expect_err("no message of the method")
}

#[test]
fn a_log_that_cannot_be_used_stops_the_start_with_its_own_exit_code() {
    let mut house = House::open();
    let adviser = log_in(&mut house, "adviser-1", (CALLER, OFFICE, SESSION)).unwrap();
    for _ in 0..20 {
        house
            .send(&house.own(), CHECK, &check(Some(&adviser.ticket)))
            .unwrap();
    }
    let data = house.daemon.data().to_path_buf();
    let log = data.join("log");
    let names =
        |said: &str, path: &Path| said.replace("/./", "/").contains(&*path.to_string_lossy());

    let (in_use, said) = refused_start(&pack(), &data);
    assert!(names(&said, &log), "a log in use is not named: {said}");

    let House { folder, daemon, .. } = house;
    let stopped = daemon.stop();
    assert!(stopped.success(), "asked to stop, it ended with {stopped}");
    let segment = damage_the_middle_of_the_log(&log);
    let (damaged, said) = refused_start(&pack(), &data);
    assert!(
        names(&said, &segment),
        "the damaged segment is not named: {said}"
    );
    assert!(said.contains("offset"), "no offset is named: {said}");

    // In /proc nobody makes a file, not even root.
    fs::rename(&log, folder.path().join("log-aside")).unwrap();
    std::os::unix::fs::symlink("/proc/self/fdinfo", &log).unwrap();
    let (unwritable, said) = refused_start(&pack(), &data);
    assert!(
        names(&said, &log) || said.contains("/proc/"),
        "the unwritable log is not named: {said}"
    );

    let mut codes = vec![0, EXIT_CONFIGURATION, in_use, damaged, unwritable];
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(
        codes.len(),
        5,
        "each failure has its own exit code: in use {in_use}, damaged {damaged}, unwritable {unwritable}"
    );
}

#[test]
fn a_system_that_allows_too_few_open_files_for_the_connections_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = |files: &str| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit {files}; exec \"$@\""), "sh"])
            .args([
                env!("CARGO_BIN_EXE_sekisho"),
                "dev",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--http", "127.0.0.1:0", "--pack"])
            .arg(pack())
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        shell
    };
    let refused = daemon("-n 4607").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(71), "{said}");
    assert!(
        said.contains("may have 4607 files open and needs 4608")
            && said.contains("bounds.connections"),
        "{said}"
    );
    // What is allowed and not taken yet is taken.
    let mut raised = daemon("-Sn 256").spawn().unwrap();
    let limits = format!("/proc/{}/limits", raised.id());
    let until = Instant::now() + Duration::from_secs(30);
    let enough = loop {
        let text = fs::read_to_string(&limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        if soft == Some(4_608) || Instant::now() > until {
            break soft;
        }
        sleep(Duration::from_millis(20));
    };
    raised.kill().unwrap();
    raised.wait().unwrap();
    assert_eq!(enough, Some(4_608));
}

/// Turns one bit in the middle of what is written of the largest segment.
fn damage_the_middle_of_the_log(log: &Path) -> PathBuf {
    let mut segments: Vec<_> = fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.retain(|path| path.is_file());
    segments.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let segment = segments.pop().expect("a segment");
    let mut bytes = fs::read(&segment).unwrap();
    // Space may be taken ahead of what is written.
    let written = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("a segment with entries");
    bytes[written / 2] ^= 1;
    fs::write(&segment, bytes).unwrap();
    segment
}

/// What becomes of a file of the pack.
type Change<'a> = (&'a str, &'a dyn Fn(&str) -> String);

/// A copy of the pack with some files changed.
fn changed_pack(folder: &Path, changes: &[Change<'_>]) -> PathBuf {
    let copy = folder.join("pack");
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(pack()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    for (file, change) in changes {
        let path = copy.join(file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::write(&path, change(&text)).unwrap();
    }
    copy
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[test]
fn a_broken_pack_stops_the_start_with_file_line_and_every_fault() {
    let original = |file: &str| fs::read_to_string(pack().join(file)).unwrap();
    let (toml, csv) = (original("pack.toml"), original("policy.csv"));
    let last_rule = csv
        .lines()
        .rfind(|line| line.starts_with('p'))
        .expect("a rule")
        .to_owned();
    let last_rule_at = csv
        .lines()
        .collect::<Vec<_>>()
        .iter()
        .rposition(|line| line.starts_with('p'))
        .unwrap()
        + 1;

    let unknown_word = |text: &str| format!("{}\n[unheard_of]\nword = 1\n", text.trim_end());
    let wrong_columns =
        |text: &str| format!("{}\np, career-adviser, job-seeker\n", text.trim_end());
    let duplicate = |text: &str| format!("{}\n{last_rule}\n", text.trim_end());
    let dangling =
        |text: &str| text.replace(&last_rule, &last_rule.replacen("p, ", "p, nobody-", 1));
    let empty = |_: &str| String::new();
    let after = |text: &str| lines(text.trim_end()) + 1;

    let cases: Vec<(&str, Vec<Change<'_>>, Vec<String>)> = vec![
        (
            "an unknown word",
            vec![("pack.toml", &unknown_word)],
            vec![format!("pack.toml:{}", after(&toml))],
        ),
        (
            "a wrong column count",
            vec![("policy.csv", &wrong_columns)],
            vec![format!("policy.csv:{}", after(&csv))],
        ),
        (
            "a duplicate",
            vec![("policy.csv", &duplicate)],
            vec![format!("policy.csv:{}", after(&csv))],
        ),
        (
            "a dangling id",
            vec![("policy.csv", &dangling)],
            vec![format!("policy.csv:{last_rule_at}")],
        ),
        (
            "an empty file",
            vec![("policy.csv", &empty)],
            vec!["policy.csv".into()],
        ),
        (
            "an empty pack",
            vec![("pack.toml", &empty)],
            vec!["pack.toml".into()],
        ),
        (
            "two faults in two files",
            vec![("policy.csv", &wrong_columns), ("people.csv", &empty)],
            vec![format!("policy.csv:{}", after(&csv)), "people.csv".into()],
        ),
    ];
    for (what, changes, named) in cases {
        let folder = tempfile::tempdir().unwrap();
        let pack = changed_pack(folder.path(), &changes);
        let (code, said) = refused_start(&pack, &folder.path().join("data"));
        assert_eq!(code, EXIT_CONFIGURATION, "{what}: {said}");
        for place in named {
            assert!(
                said.contains(&place),
                "{what}: {place} is not named:\n{said}"
            );
        }
    }
}

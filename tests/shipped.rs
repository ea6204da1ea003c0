//! What a newcomer, a security manager, a developer of a service and an operator do with the shipped binary: the lines that
//! `dev` prints, the log at the terminal, a service's calls by grpcurl, and what `init` makes for `serve`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod support;

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::certificates::of_service;
use support::dev_house::{House, credentials, done, run, sekisho, ticket_file, told};
use support::play::{Metadata, Session};
use support::scenario::{CALLER, OFFICE};
use support::{pack, repository};

/// What can't be made, since it is there (sysexits.h, EX_CANTCREAT).
const EXIT_CANNOT_CREATE: i32 = 73;
/// Not logged in, or not permitted (EX_NOPERM).
const EXIT_NOT_PERMITTED: i32 = 77;
/// An address in no network of the pack.
const ELSEWHERE: &str = "198.51.100.7";
/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const TAIL_WITHIN: Duration = Duration::from_secs(10);
const STOP_WITHIN: Duration = Duration::from_secs(15);

const CHECK: &str = "sekisho.v1.AccessService/Check";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(name)
        .arg(child.id().to_string())
        .status();
    assert!(sent.unwrap().success(), "{name} can't be sent");
}

fn wait(child: &mut Child, within: Duration) -> Option<i32> {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        sleep(Duration::from_millis(20));
    }
    panic!("still running after {within:?}");
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What only these tests ask.
trait Asked {
    fn check(&self, session: &Session, client_ip: &str, item: &str, purpose: &str) -> Value;
    fn denials(&self, filters: &[&str]) -> Vec<String>;
}

impl Asked for House {
    /// Asks to read one item of data for a purpose.
    fn check(&self, session: &Session, client_ip: &str, item: &str, purpose: &str) -> Value {
        let mut request = read(item, purpose);
        request["actor"] = actor(session);
        request["actor"]["client_ip"] = client_ip.into();
        self.answer(CHECK, &request, &Metadata::new())
    }

    /// `sekisho log search --decision deny --json` with more filters: the indices found, in order.
    fn denials(&self, filters: &[&str]) -> Vec<String> {
        let mut arguments = vec!["log", "search", "--data", self.data()];
        arguments.extend(["--decision", "deny", "--json"]);
        arguments.extend(filters);
        let printed = done(self.home(), "", &arguments);
        let entry = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        let entries: Vec<Value> = printed.lines().map(entry).collect();
        for entry in &entries {
            assert_eq!(entry["decision"], "DECISION_DENY", "{filters:?}: {entry}");
        }
        entries.iter().map(index).collect()
    }
}

fn read(item: &str, purpose: &str) -> Value {
    json!({
        "action": "ACTION_READ",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-1", "categories": [item] },
        "purpose": purpose,
    })
}

fn actor(session: &Session) -> Value {
    json!({
        "session_ticket": session.ticket,
        "client_ip": session.client_ip,
        "session_ref": session.session_ref,
    })
}

fn index(of: &Value) -> String {
    of["logIndex"].as_str().expect("a logIndex").to_owned()
}

fn first_reason(answer: &Value) -> &str {
    answer["reasons"][0]["code"].as_str().unwrap_or_default()
}

#[test]
fn the_lines_that_dev_prints_work_when_pasted() {
    let house = House::open();
    // Written once it serves: a little after the daemon is there.
    let until = Instant::now() + SOON;
    while !house.daemon.output().contains(" log search ") {
        assert!(
            Instant::now() < until,
            "no guide: {}",
            house.daemon.output()
        );
        sleep(Duration::from_millis(20));
    }
    let said = house.daemon.output();
    let begins = ["call()", "CHALLENGE=", "TICKET=", "call -d"];
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| begins.iter().any(|begin| line.starts_with(begin)))
        .collect();
    assert_eq!(lines.len(), 5, "a login and two checks: {said}");

    let pasted = Command::new("bash")
        .args(["-c", &lines.join("\n")])
        .env("PATH", path_with_grpcurl(house.home()))
        .current_dir(repository())
        .output()
        .unwrap();
    let answers: Vec<Value> = serde_json::Deserializer::from_slice(&pasted.stdout)
        .into_iter::<Value>()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {}", told(&pasted)));
    assert_eq!(answers.len(), 2, "{}", told(&pasted));
    assert_eq!(answers[0]["decision"], "DECISION_ALLOW", "{}", answers[0]);
    assert_eq!(answers[1]["decision"], "DECISION_DENY", "{}", answers[1]);
    assert_eq!(
        first_reason(&answers[1]),
        "REASON_CODE_PURPOSE_NOT_SPECIFIED"
    );
}

/// The pasted lines say `grpcurl`, wherever the tests have it from.
fn path_with_grpcurl(folder: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let Some(program) = env::var_os("GRPCURL") else {
        return path;
    };
    let tools = folder.join("tools");
    fs::create_dir(&tools).unwrap();
    symlink(fs::canonicalize(program).unwrap(), tools.join("grpcurl")).unwrap();
    env::join_paths(std::iter::once(tools).chain(env::split_paths(&path))).unwrap()
}

#[test]
fn a_security_manager_finds_it_from_the_terminal() {
    let mut house = House::open();
    let one = house.log_in("adviser-1");
    let other = house.log_in("adviser-2");
    let allowed = house.check(&one, OFFICE, "career.history", "recruitment-service");
    assert_eq!(allowed["decision"], "DECISION_ALLOW", "{allowed}");
    let curious = house.check(&one, OFFICE, "career.history", "curiosity");
    let elsewhere = house.check(&one, ELSEWHERE, "career.history", "recruitment-service");
    let others = house.check(&other, OFFICE, "contact.phone", "curiosity");
    let reason = first_reason(&elsewhere);
    assert_eq!(reason, "REASON_CODE_IP_NOT_ALLOWED", "{elsewhere}");

    let data = house.data();
    let password = &house.people.get("security-1").password;
    let typed = credentials(house.home(), data, "security-1", password);
    done(house.home(), &typed, &["login", "--data", data]);
    assert_eq!(mode(&ticket_file(house.home())), 0o600, "the ticket");

    let (curious_at, elsewhere_at, others_at) =
        (index(&curious), index(&elsewhere), index(&others));
    let all = [others_at.clone(), elsewhere_at.clone(), curious_at.clone()];
    assert_eq!(house.denials(&[]), all, "the newest first");
    assert_eq!(house.denials(&["--from", "7d"]), all);
    let own = [elsewhere_at.clone(), curious_at.clone()];
    assert_eq!(house.denials(&["--person", "adviser-1"]), own);
    assert_eq!(house.denials(&["--category", "career"]), own, "its child");
    assert_eq!(house.denials(&["--category", "career.history"]), own);
    assert_eq!(house.denials(&["--category", "contact"]), [others_at]);
    let nothing: [String; 0] = [];
    assert_eq!(house.denials(&["--category", "career.experience"]), nothing);
    let one_at = [elsewhere_at];
    assert_eq!(house.denials(&["--client-ip", "198.51.100.0/24"]), one_at);
    assert_eq!(house.denials(&["--client-ip", ELSEWHERE]), one_at);
    assert_eq!(house.denials(&["--reason", "IP_NOT_ALLOWED"]), one_at);
    assert_eq!(house.denials(&["--reason", "21"]), one_at);

    one_entry_is_shown_in_full(&house, &curious);
    new_entries_are_followed(&house, &one);

    done(house.home(), "", &["logout", "--data", data]);
    assert!(!ticket_file(house.home()).exists(), "the ticket is gone");
    let after = run(house.home(), "", &["log", "search", "--data", data]);
    let code = after.status.code();
    assert_eq!(code, Some(EXIT_NOT_PERMITTED), "{}", told(&after));
}

fn one_entry_is_shown_in_full(house: &House, decided: &Value) {
    let at = index(decided);
    let id = decided["decisionId"].as_str().unwrap();
    let show = |entry: &str, more: &[&str]| {
        let arguments = [&["log", "show", "--data", house.data(), entry], more].concat();
        done(house.home(), "", &arguments)
    };
    for by in [at.as_str(), id] {
        let entry: Value = serde_json::from_str(&show(by, &["--json"])).unwrap();
        assert_eq!(index(&entry), at);
        assert_eq!(entry["decisionId"], id);
        assert_eq!(entry["person"], "adviser-1");
        assert_eq!(entry["purpose"], "curiosity");
    }
    let japanese = show(&at, &["--lang", "ja"]);
    for head in ["番号", "日時", "種別", "利用者", "利用目的", "判断", "理由"] {
        assert!(
            japanese.lines().any(|line| line.starts_with(head)),
            "no {head} in\n{japanese}"
        );
    }
}

fn new_entries_are_followed(house: &House, adviser: &Session) {
    let mut tail = Running(
        sekisho(house.home())
            .args(["log", "tail", "--data", house.data()])
            .args(["--person", "adviser-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lines = lines_of(tail.0.stdout.take().unwrap());
    let heads = lines.recv_timeout(SOON).expect("the heads of the table");
    assert!(heads.trim_start().starts_with("INDEX"), "{heads}");

    let made = house.check(adviser, OFFICE, "career.history", "recruitment-service");
    let line = lines.recv_timeout(TAIL_WITHIN).expect("the new entry");
    let first = line.split_whitespace().next();
    assert_eq!(first, Some(index(&made).as_str()), "{line}");
    assert!(line.contains("adviser-1"), "{line}");

    signal(&tail.0, "-INT");
    assert_eq!(wait(&mut tail.0, STOP_WITHIN), Some(0), "interrupted");
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (give, take) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if give.send(line).is_err() {
                break;
            }
        }
    });
    take
}

#[test]
fn calls_of_a_service_work_over_the_wire() {
    let mut house = House::open();
    let adviser = house.log_in("adviser-1");
    let administrator = house.log_in("administrator-1");

    a_batch_is_answered_in_its_order(&house, &adviser);
    an_outcome_is_reported_once(&house, &adviser);
    a_hold_is_registered_found_and_released(&house, &adviser, &administrator);
    the_api_is_told_by_reflection(&house);
    for service in ["", "sekisho.v1.AccessService"] {
        let request = json!({ "service": service });
        let health = house.answer("grpc.health.v1.Health/Check", &request, &Metadata::new());
        assert_eq!(health["status"], "SERVING", "{service:?}");
    }
    an_ended_session_lets_nobody_in(&house, &adviser);
}

fn a_batch_is_answered_in_its_order(house: &House, adviser: &Session) {
    let items = [
        read("career.history", "curiosity"),
        read("career.history", "recruitment-service"),
        read("no-such-thing", "recruitment-service"),
        read("contact.phone", "recruitment-service"),
    ];
    let request = json!({ "actor": actor(adviser), "items": items });
    let method = "sekisho.v1.AccessService/BatchCheck";
    let answer = house.answer(method, &request, &Metadata::new());
    let answers = answer["items"].as_array().expect("items");
    let reasons: Vec<&str> = answers.iter().map(first_reason).collect();
    let expected = [
        "REASON_CODE_PURPOSE_NOT_SPECIFIED",
        "",
        "REASON_CODE_CATEGORY_UNKNOWN",
        "",
    ];
    assert_eq!(reasons, expected, "{answer}");
    for (answer, reason) in answers.iter().zip(expected) {
        let decision = if reason.is_empty() { "ALLOW" } else { "DENY" };
        assert_eq!(answer["decision"], format!("DECISION_{decision}"));
    }
}

fn an_outcome_is_reported_once(house: &House, adviser: &Session) {
    let provided = json!({
        "actor": actor(adviser),
        "action": "ACTION_PROVIDE",
        "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": "seeker-2", "categories": ["career"] },
        "purpose": "recruitment-service",
        "basis": { "consent": "CONSENT_STATE_PRIOR" },
        "provision": { "recipient": "employer" },
    });
    let answer = house.answer(CHECK, &provided, &Metadata::new());
    assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
    let obligations = answer["obligations"].as_array().expect("obligations");
    let due = |kind: &str| obligations.iter().any(|one| one.get(kind).is_some());
    assert!(due("provisionRecord") && due("reportOutcomeBy"), "{answer}");

    let fulfilled: Vec<&Value> = obligations.iter().map(|one| &one["id"]).collect();
    let report = json!({
        "decision_id": answer["decisionId"],
        "records_accessed": 1,
        "fulfilled_obligations": fulfilled,
    });
    let method = "sekisho.v1.AccessService/ReportOutcome";
    let reported = house.answer(method, &report, &Metadata::new());
    let at = |answer: &Value| index(answer).parse::<u64>().unwrap();
    assert!(at(&reported) > at(&answer), "its own entry: {reported}");
    let again = house.send(method, &report, &Metadata::new());
    let error = again.expect_err("a second report");
    assert_eq!(error.code, "ALREADY_EXISTS", "{error}");
}

fn a_hold_is_registered_found_and_released(
    house: &House,
    adviser: &Session,
    administrator: &Session,
) {
    let method = |name: &str| format!("sekisho.v1.SubjectService/{name}");
    let hold =
        json!({ "subject_ref": "seeker-3", "hold": "provision-stopped", "reference": "request-1" });
    let list = json!({ "subject_refs": ["seeker-2", "seeker-3"], "holds": ["provision-stopped"] });
    let held = |session: &Session| {
        let found = house.answer(&method("FilterSubjects"), &list, &session.metadata());
        found["held"].as_array().cloned().unwrap_or_default()
    };
    assert!(held(administrator).is_empty(), "before");
    house.answer(&method("RegisterHold"), &hold, &administrator.metadata());
    assert_eq!(held(administrator), [json!(1)], "the position in the list");

    for (who, metadata) in [
        ("nobody", Metadata::new()),
        ("an adviser", adviser.metadata()),
    ] {
        let refused = house.send(&method("ReleaseHold"), &hold, &metadata);
        let error = refused.expect_err(who);
        assert_eq!(error.code, "PERMISSION_DENIED", "{who}: {error}");
    }
    assert_eq!(held(administrator), [json!(1)], "nobody released it");
    house.answer(&method("ReleaseHold"), &hold, &administrator.metadata());
    assert!(held(administrator).is_empty(), "released");
}

fn the_api_is_told_by_reflection(house: &House) {
    let services = [
        "grpc.health.v1.Health",
        "sekisho.v1.AccessLogService",
        "sekisho.v1.AccessService",
        "sekisho.v1.AuthenticationService",
        "sekisho.v1.ExplainService",
        "sekisho.v1.SubjectService",
    ];
    let listed = grpcurl(house, &[], &["list"]);
    for service in services {
        let found = listed.lines().any(|line| line == service);
        assert!(found, "{service} is not in\n{listed}");
    }

    // As a client of that version asks, which brings the version's own file along.
    for version in ["v1", "v1alpha"] {
        let file = house.home().join("reflection.proto");
        fs::write(&file, REFLECTION.replace("VERSION", version)).unwrap();
        let folder = house.home().to_str().unwrap();
        let flags = ["-import-path", folder, "-proto", "reflection.proto"];
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let asked = r#"{ "list_services": "" }"#;
        let told = grpcurl(house, &[&flags[..], &["-d", asked]].concat(), &[&method]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let listed = told["listServicesResponse"]["service"]
            .as_array()
            .unwrap_or_else(|| panic!("{version}: {told}"));
        for service in services {
            let found = listed.iter().any(|one| one["name"] == service);
            assert!(found, "{version}: {service} is not in {told}");
        }
    }
}

/// Of the protocol, what a list of the services needs.
const REFLECTION: &str = r#"
syntax = "proto3";
package grpc.reflection.VERSION;
service ServerReflection {
  rpc ServerReflectionInfo(stream ServerReflectionRequest) returns (stream ServerReflectionResponse);
}
message ServerReflectionRequest {
  oneof message_request {
    string list_services = 7;
  }
}
message ServerReflectionResponse {
  oneof message_response {
    ListServiceResponse list_services_response = 6;
  }
}
message ListServiceResponse {
  repeated ServiceResponse service = 1;
}
message ServiceResponse {
  string name = 1;
}
"#;

/// grpcurl with other flags than a call has: `flags`, the address, `what`.
fn grpcurl(house: &House, flags: &[&str], what: &[&str]) -> String {
    let own = of_service(house.daemon.data(), CALLER);
    let output = Command::new(env::var_os("GRPCURL").unwrap_or_else(|| "grpcurl".into()))
        .arg("-cacert")
        .arg(house.daemon.data().join("dev/ca.pem"))
        .arg("-cert")
        .arg(&own.certificate)
        .arg("-key")
        .arg(&own.key)
        .args(flags)
        .arg(&house.daemon.grpc)
        .args(what)
        .output()
        .unwrap();
    assert!(output.status.success(), "{what:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn an_ended_session_lets_nobody_in(house: &House, adviser: &Session) {
    let before = house.check(adviser, OFFICE, "career.history", "recruitment-service");
    assert_eq!(before["decision"], "DECISION_ALLOW", "{before}");
    let request = json!({ "session_ticket": adviser.ticket });
    let method = "sekisho.v1.AuthenticationService/EndSession";
    house.answer(method, &request, &Metadata::new());
    let after = house.check(adviser, OFFICE, "career.history", "recruitment-service");
    assert_eq!(after["decision"], "DECISION_DENY", "{after}");
    assert_eq!(first_reason(&after), "REASON_CODE_TICKET_REVOKED");
}

#[test]
fn init_makes_what_serve_needs() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let data = home.join("D");
    let pack = pack();
    let (at, pack) = (data.to_str().unwrap(), pack.to_str().unwrap());
    let init = [
        "init",
        "--data",
        at,
        "--pack",
        pack,
        "--administrator",
        "admin-1",
        "--administrator",
        "admin-2",
        "--people",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ];
    let printed = done(home, "", &init);
    for told in ["init/people.json", "sekisho.toml", "sekisho serve --config"] {
        assert!(printed.contains(told), "no {told} in\n{printed}");
    }
    only_the_owner_reads(&data);
    done(home, "", &["code", "--data", at, "admin-2"]);

    let mut serving = Serving::start(home, &data);
    let ready = get(&serving.http, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let metrics = get(&serving.http, "/metrics");
    let counted = metrics
        .lines()
        .any(|line| line.starts_with("sekisho_log_entries "));
    assert!(counted, "{metrics}");

    let login = |person: &str, server: &str| {
        let typed = credentials(home, at, person, &first_password(&data, person));
        run(home, &typed, &["login", "--server", server, "--data", at])
    };
    let refused = login("security-1", &serving.grpc);
    let code = refused.status.code();
    assert_eq!(code, Some(EXIT_NOT_PERMITTED), "{}", told(&refused));
    assert!(!ticket_file(home).exists(), "refused, and yet a ticket");
    only_the_owner_reads(&data);
    serving.stop();

    let again = run(home, "", &init);
    let code = again.status.code();
    assert_eq!(code, Some(EXIT_CANNOT_CREATE), "{}", told(&again));

    // The one line of the configuration that refused it.
    let file = data.join("sekisho.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = "allow_loopback_device = false";
    assert!(text.contains(line), "{text}");
    let text = text.replace(line, "allow_loopback_device = true");
    fs::write(&file, text).unwrap();
    let mut serving = Serving::start(home, &data);
    let admitted = login("security-2", &serving.grpc);
    assert!(admitted.status.success(), "{}", told(&admitted));
    serving.stop();
}

#[test]
fn a_shell_completes_the_commands_and_every_command_has_a_manual_page() {
    let sekisho = env!("CARGO_BIN_EXE_sekisho");
    let completed = |words: &str, last: &str| {
        let script = format!(
            "source <(\"$0\" completions bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _sekisho sekisho '{last}' ''; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &script, sekisho]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("sekisho policy dif", "dif"), "diff");
    assert_eq!(
        completed("sekisho log search --brea", "--brea"),
        "--break-glass"
    );

    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let written = Command::new(sekisho)
        .arg("man")
        .arg("--all")
        .arg(&pages)
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", told(&written));
    for name in ["sekisho", "sekisho-serve", "sekisho-policy-diff"] {
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        let title = format!(".TH {name} 1");
        assert!(page.contains(&title), "{name}: {page}");
    }
    let one = Command::new(sekisho)
        .args(["man", "policy", "diff"])
        .output();
    assert_eq!(
        fs::read(pages.join("sekisho-policy-diff.1")).unwrap(),
        one.unwrap().stdout
    );

    let unknown = Command::new(sekisho)
        .args(["man", "policy", "dif"])
        .output();
    let unknown = unknown.unwrap();
    assert_eq!(unknown.status.code(), Some(64));
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("\"dif\"") && said.contains("diff"), "{said}");
}

fn first_password(data: &Path, person: &str) -> String {
    let text = fs::read(data.join("init/people.json")).unwrap();
    let people: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let found = people.iter().find(|found| found["id"] == person);
    let password = found.and_then(|found| found["password"].as_str());
    password.expect("their password").to_owned()
}

/// Directories are 0700, files 0600.
fn only_the_owner_reads(folder: &Path) {
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            only_the_owner_reads(&path);
        } else {
            let is = mode(&path);
            assert_eq!(is, 0o600, "{} is {is:o}", path.display());
        }
    }
}

/// `sekisho serve`; its addresses are what it says itself.
struct Serving {
    process: Running,
    said: PathBuf,
    grpc: String,
    http: String,
}

impl Serving {
    fn start(home: &Path, data: &Path) -> Self {
        let said = home.join("said.txt");
        let process = sekisho(home)
            .arg("serve")
            .arg("--config")
            .arg(data.join("sekisho.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let mut process = Running(process);
        let until = Instant::now() + SOON;
        loop {
            let text = fs::read_to_string(&said).unwrap();
            let line = text.lines().find(|line| line.contains(" serving "));
            // Only a whole line has its last field.
            if let Some(line) = line.filter(|line| line.contains(" pack=")) {
                return Self {
                    grpc: field(line, "grpc="),
                    http: field(line, "http="),
                    process,
                    said,
                };
            }
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "ended with {ended:?}: {text}");
            assert!(Instant::now() < until, "does not serve: {text}");
            sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        signal(&self.process.0, "-TERM");
        let code = wait(&mut self.process.0, STOP_WITHIN);
        let said = fs::read_to_string(&self.said).unwrap();
        assert_eq!(code, Some(0), "{said}");
    }
}

fn field(line: &str, name: &str) -> String {
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("no {name} in {line}"))
        .into()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

//! How long the log is kept, at the terminal of the shipped binary: two administrators, a hold, a kill, and what is told
//! afterwards. The clock is moved; the pack is the sample with a period that fits the life of its certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sekisho::domain::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::certificates::of_service;
use crate::support::daemon::{Daemon, MovedClock};
use crate::support::dev_house::{done, run, told};
use crate::support::grpcurl::Grpcurl;
use crate::support::people::People;
use crate::support::play::{CallError, Door, Metadata, Session, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};
use crate::support::{pack, secrets::Secrets};

const CHECK: &str = "sekisho.v1.AccessService/Check";
const DISPOSE: &str = "sekisho.v1.AccessLogService/Dispose";
pub(super) const WHY: &str = "The candidate collapsed during the interview";
const DAY: Duration = Duration::from_hours(24);
/// A segment is committed to within a second of its end, on a machine that isn't busy.
const SOON: Duration = Duration::from_secs(60);

/// A daemon on a pack that keeps its log for 60 days, medical items for 30.
pub(super) struct House {
    pub(super) folder: TempDir,
    pub(super) clock: MovedClock,
    pub(super) daemon: Option<Daemon>,
    grpcurl: Grpcurl,
    pub(super) people: People,
}

impl House {
    pub(super) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("pack");
        fs::create_dir(&own).unwrap();
        for file in ["pack.toml", "policy.csv", "model.conf", "people.csv"] {
            fs::copy(pack().join(file), own.join(file)).unwrap();
        }
        let mut text = fs::read_to_string(own.join("pack.toml")).unwrap();
        text = text.replace("\nperiod = \"3y\"", "\nperiod = \"60d\"");
        text.push_str(
            "\n[[log_retention]]\nid = \"medical\"\nperiod = \"30d\"\ncategories = [\"special.medical\"]\n",
        );
        fs::write(own.join("pack.toml"), text).unwrap();
        let clock = MovedClock::new(folder.path()).unwrap();
        let data = folder.path().join("data");
        let daemon = Daemon::start_pack(&own, &data, Some(&clock));
        Self {
            grpcurl: Grpcurl::new(&data, &daemon.grpc),
            people: People::read(&data),
            daemon: Some(daemon),
            folder,
            clock,
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data().join("log")
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn kill_and_start(&mut self) {
        self.daemon.take().unwrap().kill();
        self.start();
    }

    pub(super) fn start(&mut self) {
        let own = self.folder.path().join("pack");
        let daemon = Daemon::start_pack(&own, &self.data(), Some(&self.clock));
        self.grpcurl = Grpcurl::new(&self.data(), &daemon.grpc);
        self.daemon = Some(daemon);
    }

    pub(super) fn session(&mut self, person: &str) -> Session {
        log_in(self, person, (CALLER, OFFICE, SESSION))
            .unwrap_or_else(|error| panic!("{person}: {error}\n{}", self.daemon().output()))
    }

    pub(super) fn check(
        &mut self,
        session: &Session,
        item: &str,
        of: &str,
        reason: Option<&str>,
    ) -> Value {
        let mut request = json!({
            "actor": {
                "session_ticket": session.ticket,
                "client_ip": OFFICE,
                "session_ref": SESSION,
            },
            "action": "ACTION_READ",
            "data": { "system": "crm", "subject_kind": "job-seeker", "subject_ref": of, "categories": [item] },
            "purpose": "recruitment-service",
            "basis": { "consent": "CONSENT_STATE_PRIOR" },
        });
        if let Some(reason) = reason {
            request["break_glass"] = json!({ "reason": reason });
        }
        let answer = self
            .call(CALLER, CHECK, &request, &Metadata::new())
            .unwrap();
        assert_eq!(answer["decision"], "DECISION_ALLOW", "{answer}");
        answer
    }

    /// A clock that jumped into another month is noticed within a second, and then the keys of that month are made ready.
    fn keys_are_ready(&self) {
        // The pack's clock is nine hours ahead of UTC.
        let there = i64::try_from(self.clock.now() + 9 * 60 * 60).unwrap();
        let month = Timestamp::from_seconds(there).to_string()[..7].to_owned();
        let made = |class: &str| {
            let key = format!("seals/{class}-{month}.key");
            self.data().join(key).exists()
        };
        let until = Instant::now() + SOON;
        loop {
            let told = self.daemon().get("/readyz");
            let ready = !told.contains("what is to be sealed under the key");
            if ready && made("default") && made("medical") {
                return;
            }
            assert!(Instant::now() < until, "{told}\n{}", self.daemon().output());
            sleep(Duration::from_millis(50));
        }
    }

    /// Logs in at the terminal.
    pub(super) fn sekisho_login(&mut self, person: &str) {
        // A code is good once.
        self.clock.advance(Duration::from_secs(31));
        let known = self.people.get(person);
        let code = known.code(self.clock.now());
        let input = format!("{person}\n{}\n{code}\n", known.password);
        self.sekisho_with(&input, &["login"]);
    }

    fn arguments<'a>(&self, data: &'a str, words: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = words.to_vec();
        arguments.extend(["--data", data]);
        arguments
    }

    fn sekisho_with(&self, input: &str, words: &[&str]) -> String {
        let data = self.data();
        let arguments = self.arguments(data.to_str().unwrap(), words);
        done(self.folder.path(), input, &arguments)
    }

    pub(super) fn sekisho(&self, words: &[&str]) -> String {
        self.sekisho_with("", words)
    }

    /// The same where the clock was moved into a month whose keys nobody made ready before: what is to be sealed is refused
    /// until the daemon notices, which takes it a second.
    fn sekisho_in_another_month(&self, words: &[&str]) -> String {
        let data = self.data();
        let arguments = self.arguments(data.to_str().unwrap(), words);
        let until = Instant::now() + SOON;
        loop {
            let output = run(self.folder.path(), "", &arguments);
            if output.status.code() != Some(69) || Instant::now() > until {
                assert!(output.status.success(), "{words:?}: {}", told(&output));
                return String::from_utf8(output.stdout).unwrap();
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// The exit code and what was said, of a command that must fail.
    pub(super) fn refused(&self, words: &[&str]) -> (i32, String) {
        let data = self.data();
        let arguments = self.arguments(data.to_str().unwrap(), words);
        let output = run(self.folder.path(), "", &arguments);
        assert!(!output.status.success(), "{words:?}: {}", told(&output));
        (output.status.code().unwrap(), told(&output))
    }

    /// So long before now, as one types it.
    pub(super) fn ago(&self, days: u64) -> String {
        let at = self.clock.now() - days * 24 * 60 * 60;
        Timestamp::from_seconds(i64::try_from(at).unwrap()).to_string()
    }

    pub(super) fn files(&self, folder: &Path, end: &str) -> usize {
        fs::read_dir(folder)
            .unwrap()
            .filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(end)
            })
            .count()
    }

    /// Waits until a checkpoint commits to each of so many closed segments.
    pub(super) fn committed(&self, segments: usize) {
        let until = Instant::now() + SOON;
        // The newest one has no dot before its name.
        while self.files(&self.log(), ".checkpoint") < segments {
            assert!(Instant::now() < until, "{}", self.daemon().output());
            sleep(Duration::from_millis(50));
        }
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
        let identity = of_service(&self.data(), service);
        self.grpcurl
            .call(Some(&identity), method, request, metadata)
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        if by >= DAY {
            self.keys_are_ready();
        }
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn people(&self) -> &People {
        &self.people
    }
}

pub(super) fn pending(said: &str) -> String {
    let after = said
        .split("--approve ")
        .nth(1)
        .unwrap_or_else(|| panic!("{said}"));
    after.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn two_administrators_dispose_of_what_was_kept_long_enough_and_a_hold_stops_them() {
    let mut house = House::open();
    let adviser = house.session("adviser-1");
    let usual = house.check(&adviser, "identity", "js-retention-1", None);
    let urgent = house.check(&adviser, "special.medical", "js-retention-2", Some(WHY));
    let (usual, urgent) = (index(&usual), index(&urgent));
    house.advance(DAY * 2);
    house.session("adviser-1");
    house.committed(1);

    // What the first day has is over, what the third has is not.
    house.advance(DAY * 59);
    house.sekisho_login("administrator-1");
    let (code, said) = house.refused(&["log", "dispose", "--before", &house.ago(29)]);
    assert!(
        code == 65 && said.contains("before: the shortest period of the log is 30d"),
        "{said}"
    );
    for (bad, code) in [("2999-01-01", 65), ("1899-12-31", 65), ("yesterday", 64)] {
        let (ended, said) = house.refused(&["log", "dispose", "--before", bad]);
        assert!(
            ended == code && said.contains("before"),
            "{bad}: {ended} {said}"
        );
    }
    let before = house.ago(31);
    let dry = house.sekisho(&["log", "dispose", "--dry-run", "--before", &before]);
    assert!(dry.starts_with("would be disposed of: 1 segments"), "{dry}");
    assert_eq!(house.files(&house.log(), ".disposed"), 0);
    let asked = house.sekisho(&["log", "dispose", "--before", &before]);
    assert!(
        asked.contains("another administrator must approve"),
        "{asked}"
    );
    let request = pending(&asked);
    let (code, said) = house.refused(&["log", "dispose", "--approve", &request]);
    assert!(code == 65 && said.contains("your own request"), "{said}");

    // Another places a hold first: then there is nothing to approve.
    house.sekisho_login("administrator-2");
    let placed = house.sekisho_in_another_month(&["log", "hold", "add", "--reason", "Suit 12"]);
    let hold = placed.split(' ').nth(1).unwrap().to_owned();
    let list = house.sekisho(&["log", "hold", "list"]);
    assert!(
        list.contains(&format!(
            "hold {hold}: from ... until ..., by administrator-2"
        )),
        "{list}"
    );
    assert!(list.contains("Suit 12"), "{list}");
    let held = house.sekisho(&["log", "dispose", "--approve", &request]);
    assert!(
        held.contains("nothing to dispose of") && held.contains(&format!("hold {hold}")),
        "{held}"
    );
    let asked = house.sekisho(&["log", "hold", "release", &hold, "--reason", "settled"]);
    let release = pending(&asked);
    house.sekisho_login("administrator-1");
    let (code, said) = house.refused(&["log", "hold", "release", "1", "--reason", "x"]);
    assert!(code == 65 && said.contains("hold: is no hold"), "{said}");
    let released = [
        "log",
        "hold",
        "release",
        &hold,
        "--reason",
        "settled",
        "--approve",
        &release,
    ];
    assert!(house.sekisho(&released).contains("released"));

    house.sekisho_login("administrator-2");
    let done = house.sekisho(&["log", "dispose", "--approve", &request]);
    assert!(done.starts_with("disposed of: 1 segments"), "{done}");
    assert_eq!(house.files(&house.log(), ".disposed"), 1);
    for restarted in [false, true] {
        if restarted {
            house.kill_and_start();
        }
        house.sekisho_login("security-1");
        for gone in [&usual, &urgent] {
            let (code, said) = house.refused(&["log", "show", gone]);
            assert!(code == 66 && said.contains("were disposed of on"), "{said}");
        }
        let (_, said) = house.refused(&["log", "show", &usual, "--lang", "ja"]);
        assert!(said.contains("廃棄されました"), "{said}");
        let first = house.sekisho(&["log", "search", "--oldest-first", "--limit", "1", "--json"]);
        let first: Value = serde_json::from_str(first.trim()).unwrap();
        assert!(
            index(&first).parse::<u64>().unwrap() > urgent.parse().unwrap(),
            "{first}"
        );
        let disposal = house.sekisho(&["log", "search", "--kind", "disposal", "--json"]);
        let disposal: Value = serde_json::from_str(disposal.trim()).unwrap();
        assert_eq!(disposal["details"]["asked_by"], "administrator-1");
        assert_eq!(disposal["details"]["approved_by"], "administrator-2");
    }

    // An export of what went is refused and says why; one of what came after is not.
    let log = house.log();
    let log = log.to_str().unwrap();
    let export = |more: &[&str]| {
        let command = ["log", "export", "--format", "jsonl", "--directory", log];
        let arguments = [&command, more].concat();
        run(house.folder.path(), "", &arguments)
    };
    let refused = export(&[]);
    let said = told(&refused);
    assert!(
        refused.status.code() == Some(65) && said.contains("were disposed of on"),
        "{said}"
    );
    let after = export(&["--from", &house.ago(40)]);
    assert!(after.status.success(), "{}", told(&after));
    assert!(!after.stdout.is_empty());
    // Over the daemon as well; and no file is left of one that was refused.
    let file = house.folder.path().join("export.jsonl");
    let to_file = ["--output", file.to_str().unwrap()];
    let export = ["log", "export", "--format", "jsonl"];
    let (code, said) = house.refused(&[&export[..], &to_file].concat());
    assert!(code == 66 && said.contains("were disposed of on"), "{said}");
    assert!(!file.exists());
    // By this machine's clock all of it is yet to come.
    let later = ["--from", &house.ago(40), "--until", "2099-01-01"];
    house.sekisho(&[&export[..], &to_file, &later].concat());
    assert!(fs::read_to_string(&file).unwrap().lines().count() > 1);

    // Reasons are in no file in the clear.
    let mut secrets = Secrets::default();
    for text in [
        WHY,
        "Suit 12",
        "settled",
        "js-retention-1",
        "js-retention-2",
    ] {
        secrets.add("text", text);
    }
    secrets.of_data(&house.data());
    house.daemon.take().unwrap().stop();
    for name in ["log", "seals", "store.sqlite"] {
        assert_eq!(
            secrets.found_below(&house.data().join(name)),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_disposal_that_cant_be_finished_holds_up_nothing_else_and_is_told_until_it_is_done() {
    let mut house = House::open();
    let adviser = house.session("adviser-1");
    house.check(&adviser, "identity", "js-stuck-1", None);
    house.advance(DAY * 2);
    house.session("adviser-1");
    house.committed(1);
    house.advance(DAY * 59);
    house.sekisho_login("administrator-1");
    let before = house.ago(31);
    let request = pending(&house.sekisho(&["log", "dispose", "--before", &before]));

    // A directory is no file: nothing removes it as one, not even root.
    let in_the_way = house.data().join("index").join(format!("{:020}.index", 0));
    let _ = fs::remove_file(&in_the_way);
    fs::create_dir(&in_the_way).unwrap();
    house.sekisho_login("administrator-2");
    let (code, said) = house.refused(&["log", "dispose", "--approve", &request]);
    assert!(
        code == 69 && said.contains("begun, but not finished"),
        "{code} {said}"
    );

    for restarted in [false, true] {
        if restarted {
            house.kill_and_start();
            house.sekisho_login("administrator-2");
        }
        let told = house.daemon().get("/readyz");
        assert!(
            told.contains("\r\n\r\nready\n")
                && told.contains("warning: not done yet")
                && told.contains(".index"),
            "{told}"
        );
        // Other changes are made.
        let placed = house.sekisho(&["log", "hold", "add", "--reason", "Suit 13"]);
        assert!(placed.starts_with("hold "), "{placed}");
        let adviser = house.session("adviser-1");
        house.check(&adviser, "identity", "js-stuck-2", None);
    }
    assert_eq!(
        house.files(&house.log(), ".segment"),
        3,
        "the first is still there"
    );

    fs::remove_dir(&in_the_way).unwrap();
    // Held since, by the holds above, is only what had not been disposed of before.
    house.sekisho(&["log", "dispose", "--dry-run", "--before", &before]);
    assert_eq!(house.files(&house.log(), ".segment"), 2);
    let told = house.daemon().get("/readyz");
    assert!(!told.contains("not done yet"), "{told}");
}

#[test]
fn a_message_that_is_no_time_is_refused_with_its_field() {
    let mut house = House::open();
    let admin = house.session("administrator-1");
    for request in [
        json!({ "before": "9999-12-31T23:59:59Z" }),
        json!({}),
        json!({ "approve": 7 }),
    ] {
        let refused = house
            .call(CALLER, DISPOSE, &request, &admin.metadata())
            .unwrap_err();
        assert_eq!(refused.code, "INVALID_ARGUMENT", "{refused}");
        assert_eq!(refused.fields().len(), 1, "{refused}");
    }
}

pub(super) fn index(of: &Value) -> String {
    of["logIndex"].as_str().unwrap_or("0").to_owned()
}

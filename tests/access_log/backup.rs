//! Backup and restore of the shipped daemon, with a data directory that is really lost.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sekisho::domain::ids::LogIndex;
use sekisho::gate::Unsealer;
use sekisho::identity::keyring::Keyring;
use sekisho::identity::seals::Seals;
use sekisho::log::{LogReader, SigningKey};
use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::stored_change::Kind;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{
    Action, Actor, CheckRequest, CheckResponse, DataScope, Decision, EntryKind, ReasonCode,
    StoredEntry, VerifyPasswordRequest, VerifySecondFactorRequest, actor::Proof,
};
use tonic::transport::Channel;

use super::support::certificates::of_service;
use super::support::client::connect;
use super::support::daemon::{Daemon, MovedClock, refused_start};
use super::support::people::People;
use super::support::scenario::{CALLER, OFFICE};
use super::support::{machine_now, pack, say};

const SESSION: &str = "backup";
pub(super) const ADMINISTRATORS: [&str; 2] = ["administrator-1", "administrator-2"];

/// What is written of each gap.
const REASON: &str = "the disk of the server failed";

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) said: String,
}

impl Ended {
    #[track_caller]
    pub(super) fn with(&self, code: i32, words: &str) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.said.contains(words), "no {words:?} in {self:?}");
        self
    }
}

pub(super) fn command(arguments: &[&str], clock: Option<&MovedClock>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .env_remove("SEKISHO_DATA");
    if let Some(clock) = clock {
        clock.set_for(&mut command);
    }
    command
}

pub(super) fn sekisho_at(clock: Option<&MovedClock>, arguments: &[&str], input: &str) -> Ended {
    let mut child = command(arguments, clock)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        said: format!("{}{}", text(&output.stdout), text(&output.stderr)),
    }
}

pub(super) fn sekisho(arguments: &[&str]) -> Ended {
    sekisho_at(None, arguments, "")
}

/// A folder with a recovery key.
pub(super) struct Office {
    pub(super) folder: tempfile::TempDir,
}

impl Office {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let office = Self { folder };
        let (private, public) = (office.path("recovery.private"), office.path("recovery.pub"));
        sekisho(&[
            "backup",
            "new-recovery-key",
            "--private",
            &private,
            "--public",
            &public,
        ])
        .with(0, "opens the keys of every backup");
        office
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn back_up_arguments(&self, data: &str, target: &str) -> [String; 6] {
        let [target, data] = [target, data].map(|name| self.path(name));
        let key = self.path("recovery.pub");
        [
            "backup".into(),
            target,
            "--data".into(),
            data,
            "--to-key".into(),
            key,
        ]
    }

    pub(super) fn back_up(&self, data: &str, target: &str) -> Ended {
        let arguments = self.back_up_arguments(data, target);
        sekisho(&arguments.each_ref().map(String::as_str))
    }

    fn restore_arguments(&self, source: &str, data: &str) -> [String; 6] {
        let [source, data] = [source, data].map(|name| self.path(name));
        let key = self.path("recovery.private");
        [
            "restore".into(),
            source,
            "--data".into(),
            data,
            "--recovery-key".into(),
            key,
        ]
    }

    pub(super) fn restore(&self, source: &str, data: &str, more: &[&str]) -> Ended {
        let arguments = self.restore_arguments(source, data);
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(more);
        sekisho(&arguments)
    }

    pub(super) fn declare(
        &self,
        clock: Option<&MovedClock>,
        data: &str,
        more: &[&str],
        input: &str,
    ) -> Ended {
        let data = self.path(data);
        let mut arguments = vec!["restore", "--declare-gap", "--data", &data];
        arguments.extend(["--reason", REASON]);
        arguments.extend(more);
        sekisho_at(clock, &arguments, input)
    }

    /// A data directory that served once and was stopped.
    fn stopped_house(&self, data: &str) -> People {
        end(serving(&self.at(data), None));
        People::read(&self.at(data))
    }
}

/// A daemon that has told all it tells at its start: from then on it listens to signals.
fn serving(data: &Path, clock: Option<&MovedClock>) -> Daemon {
    let told = |output: &str| output.matches("log search").count();
    let before = told(&fs::read_to_string(data.with_extension("output.txt")).unwrap_or_default());
    let daemon = Daemon::start(data, clock);
    let until = Instant::now() + Duration::from_secs(60);
    while told(&daemon.output()) == before {
        assert!(Instant::now() < until, "{}", daemon.output());
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(100));
    daemon
}

pub(super) fn end(daemon: Daemon) {
    let said = daemon.output();
    assert!(daemon.stop().success(), "{said}");
}

/// Gives a restored directory what no backup holds: the first passwords in clear, which `dev` prints lines with.
pub(super) fn hand_over(first: &[u8], data: &Path) {
    fs::create_dir_all(data.join("dev")).unwrap();
    let path = data.join("dev/people.json");
    sekisho::files::write_private(&path, first).unwrap();
}

/// What a person types: ID, password, code.
pub(super) fn typed(people: &People, id: &str, now: u64) -> String {
    let person = people.get(id);
    format!("{id}\n{}\n{}\n", person.password, person.code(now))
}

pub(super) fn both(people: &People, now: u64) -> String {
    ADMINISTRATORS.map(|id| typed(people, id, now)).concat()
}

/// A code must be the one of now when it is looked at: not in the last seconds of its step.
pub(super) fn early_in_a_step(now: impl Fn() -> u64) -> u64 {
    while now() % 30 > 8 {
        sleep(Duration::from_millis(200));
    }
    now()
}

async fn channel(data: &Path, address: &str) -> Channel {
    let connected = connect(data, &of_service(data, CALLER), address).await;
    let said = || fs::read_to_string(data.with_extension("output.txt")).unwrap();
    connected.unwrap_or_else(|error| panic!("{error:?}: {}", said()))
}

async fn log_in(
    channel: &Channel,
    people: &People,
    id: &str,
    code: &str,
) -> Result<String, tonic::Status> {
    let mut authentication = AuthenticationServiceClient::new(channel.clone());
    let first = authentication
        .verify_password(VerifyPasswordRequest {
            person: id.into(),
            password: people.get(id).password.clone(),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        })
        .await?
        .into_inner();
    let second = VerifySecondFactorRequest {
        challenge_id: first.challenge_id,
        factor: Some(Factor::Totp(code.into())),
    };
    let given = authentication.verify_second_factor(second).await?;
    Ok(given.into_inner().session_ticket)
}

async fn check(channel: &Channel, ticket: &str) -> Result<CheckResponse, tonic::Status> {
    let request = CheckRequest {
        actor: Some(Actor {
            proof: Some(Proof::SessionTicket(ticket.into())),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        }),
        action: Action::Read.into(),
        data: Some(DataScope {
            system: "crm".into(),
            subject_kind: "job-seeker".into(),
            subject_ref: "backup-1".into(),
            categories: vec!["career".into()],
            record_count: 1,
            ..DataScope::default()
        }),
        purpose: "recruitment-service".into(),
        ..CheckRequest::default()
    };
    let answer = AccessServiceClient::new(channel.clone())
        .check(request)
        .await?;
    Ok(answer.into_inner())
}

/// Asks until told to stop; every answer by its index.
async fn ask(channel: Channel, ticket: String, stop: Arc<AtomicBool>) -> BTreeMap<u64, String> {
    let mut answered = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = check(&channel, &ticket).await.unwrap();
        assert_eq!(answer.decision(), Decision::Allow);
        answered.insert(answer.log_index, answer.decision_id);
    }
    answered
}

/// Charges somebody's second factor until told to stop; how often.
async fn fail_to_log_in(channel: Channel, people: Arc<People>, stop: Arc<AtomicBool>) -> usize {
    let mut tried = 0;
    // Whoever fails too often waits: others take their turn.
    let all = [
        "security-2",
        "adviser-2",
        "reception-1",
        "health-1",
        "legal-1",
    ];
    for person in all.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        log_in(&channel, &people, person, "000000")
            .await
            .unwrap_err();
        tried += 1;
    }
    tried
}

pub(super) fn entries(data: &Path) -> Vec<StoredEntry> {
    let reader = LogReader::open_directory(data.join("log")).unwrap();
    reader
        .forward(LogIndex(0))
        .map(|kept| kept.unwrap().entry().unwrap())
        .collect()
}

pub(super) fn detail<'a>(entry: &'a StoredEntry, key: &str) -> &'a str {
    let found = entry.details.iter().find(|detail| detail.key == key);
    found.map_or("", |detail| detail.value.as_str())
}

/// The free text of an entry, as whoever has the keys reads it; in the files it is sealed.
fn told_reason(data: &Path, index: u64) -> String {
    for file in files(&data.join("log")) {
        let bytes = fs::read(&file).unwrap();
        let clear = bytes
            .windows(REASON.len())
            .any(|found| found == REASON.as_bytes());
        assert!(!clear, "{}", file.display());
    }
    let keyring = Keyring::open(data).unwrap();
    let seals = Seals::beside(data.join("seals"), keyring.log_text.clone());
    let unsealer = Unsealer::new(Arc::new(seals), keyring.log_text);
    let reader = LogReader::open_directory(data.join("log")).unwrap();
    let kept = reader.get(LogIndex(index)).unwrap().unwrap();
    unsealer.open(&kept).unwrap().entry.free_text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_disk_two_administrators_declare_the_gap_and_nothing_given_out_before_counts()
{
    let office = Office::new();
    let data = office.at("data");
    let mut clock = match MovedClock::new(office.folder.path()) {
        Ok(clock) => clock,
        Err(missing) => panic!("{missing}"),
    };
    let daemon = serving(&data, Some(&clock));
    let people = Arc::new(People::read(&data));
    let connected = channel(&data, &daemon.grpc).await;
    let code = people.get("adviser-1").code(clock.now());
    let ticket = log_in(&connected, &people, "adviser-1", &code)
        .await
        .unwrap();

    // Checks go on while the backup is made.
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..2)
        .map(|_| tokio::spawn(ask(connected.clone(), ticket.clone(), Arc::clone(&stop))))
        .collect();
    // So do logins: the store writes what the log says only afterwards.
    let failing = tokio::spawn(fail_to_log_in(
        connected.clone(),
        Arc::clone(&people),
        Arc::clone(&stop),
    ));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = check(&connected, &ticket).await.unwrap().log_index;
    let arguments = office.back_up_arguments("data", "backup");
    let made =
        tokio::task::spawn_blocking(move || sekisho(&arguments.each_ref().map(String::as_str)));
    made.await.unwrap().with(0, "backed up");
    let after = check(&connected, &ticket).await.unwrap().log_index;
    stop.store(true, Ordering::Relaxed);
    let mut answered = BTreeMap::new();
    for asking in asking {
        answered.extend(asking.await.unwrap());
    }
    assert!(
        failing.await.unwrap() > 0,
        "nobody tried to log in meanwhile"
    );
    assert!(
        answered.range(before..after).count() > 0,
        "nothing was asked meanwhile"
    );

    // In the part that is lost: somebody logs in.
    let lost_code = people.get("security-1").code(clock.now());
    log_in(&connected, &people, "security-1", &lost_code)
        .await
        .unwrap();
    daemon.kill();
    let first = fs::read(data.join("dev/people.json")).unwrap();
    fs::remove_dir_all(&data).unwrap();

    office
        .restore("backup", "data", &[])
        .with(0, "sekisho restore --declare-gap");
    let (code, said) = refused_start(&pack(), &data);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("what came after is lost"), "{said}");
    let restored = LogReader::open_directory(data.join("log")).unwrap().len();
    assert!(
        (before + 1..=after).contains(&restored),
        "{before} {restored} {after}"
    );

    let now = early_in_a_step(|| clock.now());
    let declared_in_step = now / 30;
    let input = both(&people, now);
    office
        .declare(Some(&clock), "data", &[], &input)
        .with(0, "the gap is declared");
    hand_over(&first, &data);
    let daemon = serving(&data, Some(&clock));
    let connected = channel(&data, &daemon.grpc).await;
    log_in(&connected, &people, "security-1", &lost_code)
        .await
        .unwrap_err();
    let unused = people.get("adviser-1").code(clock.now());
    log_in(&connected, &people, "adviser-1", &unused)
        .await
        .unwrap_err();
    let tried_in_step = clock.now() / 30;
    let denied = check(&connected, &ticket).await.unwrap();
    assert_eq!(denied.decision(), Decision::Deny);
    assert_eq!(denied.reasons[0].code(), ReasonCode::TicketRevoked);

    clock.advance(Duration::from_secs(90));
    let fresh = people.get("adviser-1").code(clock.now());
    let ticket = log_in(&connected, &people, "adviser-1", &fresh)
        .await
        .unwrap();
    let allowed = check(&connected, &ticket).await.unwrap();
    assert_eq!(allowed.decision(), Decision::Allow);
    end(daemon);

    // Every answer up to the backup is there, at its place; none of the lost.
    let entries = entries(&data);
    for (index, id) in answered.range(..restored) {
        let entry = &entries[usize::try_from(*index).unwrap()];
        let found = uuid::Uuid::from_slice(&entry.decision_id).unwrap();
        assert_eq!(found.to_string(), *id, "entry {index}");
    }
    let rest = &entries[usize::try_from(restored).unwrap()..];
    let declares = |entry: &StoredEntry| {
        entry.kind() == EntryKind::LogState && detail(entry, "gap") == "declared"
    };
    let at = rest.iter().position(declares).unwrap();
    let gap = &rest[at];
    assert_eq!(detail(gap, "size_before"), restored.to_string());
    assert_eq!(detail(gap, "reason"), "");
    assert_eq!(
        told_reason(&data, u64::try_from(at).unwrap() + restored),
        REASON
    );
    assert_eq!(
        (&*gap.person, detail(gap, "together_with")),
        (ADMINISTRATORS[0], ADMINISTRATORS[1])
    );
    assert!(detail(gap, "backup_checkpoint").contains("/log/"));
    let kind = gap.change.as_ref().and_then(|change| change.kind.as_ref());
    assert!(matches!(kind, Some(Kind::GapDeclared(told)) if told.size == restored));
    if tried_in_step <= declared_in_step + 1 {
        let tried =
            |entry: &&StoredEntry| entry.person == "adviser-1" && !detail(entry, "why").is_empty();
        assert_eq!(detail(rest.iter().find(tried).unwrap(), "why"), "used code");
    } else {
        say("too slow to see the unused code refused as used");
    }
    assert!(!data.join("restored").exists());
}

#[test]
fn what_is_not_whole_or_not_ours_is_refused_and_never_served() {
    let office = Office::new();
    office.stopped_house("data");
    let data = office.path("data");
    let target = office.path("backup");

    // No key, no backup; a private key is not left where backups are made.
    sekisho(&["backup", &target, "--data", &data]).with(64, "no recovery key");
    let private = office.path("recovery.private");
    sekisho(&["backup", &target, "--data", &data, "--to-key", &private])
        .with(78, "is not the public half");
    assert!(!office.at("backup").exists());
    office
        .back_up("data", "data/backup")
        .with(73, "lies within");
    assert!(!office.at("data/backup").exists());
    office
        .back_up("nothing", "backup")
        .with(66, "is not a data directory");
    office.back_up("data", "backup").with(0, "backed up");
    office
        .back_up("data", "backup")
        .with(73, "nothing is overwritten");

    // Nothing secret in clear: neither the keyring's keys nor private keys nor first passwords.
    let keyring = fs::read_to_string(office.at("data/keyring")).unwrap();
    let keys = keyring.lines().filter_map(|line| line.split(' ').nth(2));
    let keys = keys.filter(|key| key.len() == 96);
    let mut secrets: Vec<Vec<u8>> = keys.map(|key| key.as_bytes().to_vec()).collect();
    assert_eq!(secrets.len(), 6, "one for each purpose");
    let master = fs::read_to_string(office.at("data/master.key")).unwrap();
    secrets.push(master.trim().as_bytes().to_vec());
    secrets.extend([b"PRIVATE KEY".to_vec(), b"totp_secret".to_vec()]);
    for file in files(&office.at("backup")) {
        let bytes = fs::read(&file).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} holds a secret", file.display());
        }
    }

    let other = Office::new();
    let other_key = other.path("recovery.private");
    let source = office.path("backup");
    let fresh = office.path("fresh");
    sekisho(&[
        "restore",
        &source,
        "--data",
        &fresh,
        "--recovery-key",
        &other_key,
    ])
    .with(78, "is sealed to the recovery key");
    office
        .restore("backup", "data", &[])
        .with(73, "nothing is overwritten");
    assert!(!office.at("fresh").exists());

    for file in files(&office.at("backup")) {
        let name = file
            .strip_prefix(office.at("backup"))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        for damage in ["altered", "missing"] {
            let (copy, fresh) = (format!("{damage}-copy"), format!("{damage}-fresh"));
            for used in [&copy, &fresh] {
                let _ = fs::remove_dir_all(office.at(used));
            }
            copy_all(&office.at("backup"), &office.at(&copy));
            let harmed = office.at(&copy).join(&name);
            if damage == "missing" {
                fs::remove_file(&harmed).unwrap();
            } else {
                let mut bytes = fs::read(&harmed).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&harmed, bytes).unwrap();
            }
            let refused = office.restore(&copy, &fresh, &[]);
            match (damage, &*name) {
                ("missing", "manifest") => refused.with(66, "is not a whole backup"),
                ("missing", _) => refused.with(65, "is missing"),
                // An altered manifest is one that can't be read, or the keys don't open with it.
                (_, "manifest" | "keys.sealed") => refused.with(refused.code, ""),
                _ => refused.with(65, "is not what was backed up"),
            };
            assert_ne!(refused.code, 0, "{name} {damage}");
            if office.at(&fresh).join("restored").exists() {
                let (code, said) = refused_start(&pack(), &office.at(&fresh));
                assert_eq!(code, 65, "{said}");
                assert!(said.contains("was not finished"), "{said}");
            }
        }
    }
}

#[test]
fn a_gap_takes_two_administrators_who_each_pass_both_steps() {
    let office = Office::new();
    let people = office.stopped_house("data");
    office
        .declare(None, "data", &[], "")
        .with(66, "was not restored");
    office.back_up("data", "backup").with(0, "");
    office.restore("backup", "restored", &[]).with(0, "");
    let [one, _] = ADMINISTRATORS;
    office
        .declare(None, "restored", &["--small-office"], "")
        .with(77, "the store knows 2 administrators");
    let now = early_in_a_step(machine_now);
    let adviser = typed(&people, "adviser-1", now);
    office
        .declare(None, "restored", &[], &adviser)
        .with(77, "is no administrator");
    let now = early_in_a_step(machine_now);
    let earlier = typed(&people, one, now - 30);
    office
        .declare(None, "restored", &[], &earlier)
        .with(77, "is not right");
    let now = early_in_a_step(machine_now);
    let wrong = typed(&people, one, now).replace(&people.get(one).password, "wrong");
    office
        .declare(None, "restored", &[], &wrong)
        .with(77, "is not right");
    let now = early_in_a_step(machine_now);
    let alone = typed(&people, one, now);
    office.declare(None, "restored", &[], &alone).with(64, "");
    // The same code again: it was spent, though nothing came of it.
    let again = both(&people, now);
    office
        .declare(None, "restored", &[], &again)
        .with(77, "is not right");
    let (code, said) = refused_start(&pack(), &office.at("restored"));
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("what came after is lost"), "{said}");
    let refusals: Vec<String> = entries(&office.at("restored"))
        .iter()
        .filter(|entry| detail(entry, "step") == "declare-gap")
        .map(|entry| format!("{} {}", entry.person, detail(entry, "why")))
        .collect();
    assert_eq!(
        refusals,
        [
            "adviser-1 no administrator".to_owned(),
            format!("{one} code of an earlier step"),
            format!("{one} wrong password"),
            format!("{one} "),
            format!("{one} used code"),
        ]
    );
}

#[test]
fn an_office_with_one_administrator_waits_a_day() {
    let office = Office::new();
    let mut clock =
        MovedClock::new(office.folder.path()).unwrap_or_else(|missing| panic!("{missing}"));
    let data = office.path("data");
    let pack_folder = pack();
    let pack_folder = pack_folder.to_str().unwrap();
    sekisho(&[
        "init",
        "--data",
        &data,
        "--pack",
        pack_folder,
        "--administrator",
        "only-1",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ])
    .with(0, "made");
    serve_for_a_moment(&office, "data", &clock);
    let text = fs::read_to_string(office.at("data/init/people.json")).unwrap();
    fs::create_dir_all(office.at("kept/dev")).unwrap();
    fs::write(office.at("kept/dev/people.json"), text).unwrap();
    let people = People::read(&office.at("kept"));
    office.back_up("data", "backup").with(0, "");
    fs::remove_dir_all(office.at("data")).unwrap();
    office.restore("backup", "data", &[]).with(0, "");
    let now = early_in_a_step(|| clock.now());
    let only = typed(&people, "only-1", now);
    office
        .declare(Some(&clock), "data", &["--small-office"], &only)
        .with(0, "declared by one person alone");
    let config = office.path("data/sekisho.toml");
    sekisho_at(Some(&clock), &["serve", "--config", &config], "").with(65, "it serves from");
    office
        .declare(Some(&clock), "data", &["--small-office"], "")
        .with(0, "is declared already");
    clock.advance(Duration::from_secs(23 * 3_600));
    sekisho_at(Some(&clock), &["serve", "--config", &config], "").with(65, "it serves from");
    clock.advance(Duration::from_secs(2 * 3_600));
    serve_for_a_moment(&office, "data", &clock);
    let entries = entries(&office.at("data"));
    let gap = entries
        .iter()
        .find(|entry| detail(entry, "gap") == "declared")
        .unwrap();
    assert_eq!((&*gap.person, detail(gap, "alone")), ("only-1", "true"));
}

#[test]
fn a_checkpoint_that_was_kept_shows_what_is_missing_and_never_spares_the_declaration() {
    let office = Office::new();
    office.stopped_house("data");
    office.back_up("data", "whole").with(0, "");
    let kept = office.path("kept-checkpoint");
    fs::copy(office.at("data/log/checkpoint"), &kept).unwrap();
    // It is the backup's own: whoever has the backup has it too, so it stands for nobody's word.
    office
        .restore("whole", "moved", &["--checkpoint", &kept])
        .with(0, "no checkpoint can show");
    assert!(office.at("moved/restored").exists());
    let (code, said) = refused_start(&pack(), &office.at("moved"));
    assert_eq!(code, 65, "{said}");

    // The daemon went on after the backup.
    let daemon = serving(&office.at("data"), None);
    let running = office.path("running-checkpoint");
    fs::copy(office.at("data/log/checkpoint"), &running).unwrap();
    office.back_up("data", "online").with(0, "");
    end(daemon);
    let later = office.path("later-checkpoint");
    fs::copy(office.at("data/log/checkpoint"), &later).unwrap();
    office
        .restore("whole", "older", &["--checkpoint", &later])
        .with(0, "at least 2 entries are lost");
    assert!(office.at("older/restored").exists());
    office
        .restore("online", "undecided", &["--checkpoint", &running])
        .with(0, "no checkpoint can show");
    assert!(office.at("undecided/restored").exists());

    // One of the same name and size that another key signed.
    let note = fs::read_to_string(&kept).unwrap();
    let parsed = sekisho::log::SignedNote::parse(&note).unwrap();
    let vkey = fs::read_to_string(office.at("data/log/log.vkey")).unwrap();
    let key = sekisho::log::VerifierKey::parse(vkey.trim_end()).unwrap();
    let checkpoint = parsed.checkpoint(&key).unwrap();
    let stranger = SigningKey::new(&checkpoint.origin, &[9; 32]).unwrap();
    let forged = office.path("forged-checkpoint");
    fs::write(&forged, stranger.sign(&checkpoint).unwrap().to_string()).unwrap();
    office
        .restore("whole", "forged", &["--checkpoint", &forged])
        .with(65, "must not be used");
    let (code, said) = refused_start(&pack(), &office.at("forged"));
    assert_eq!(code, 65, "{said}");
    office
        .declare(None, "forged", &[], "")
        .with(65, "was not finished");
}

#[test]
fn killed_in_the_middle_neither_a_backup_nor_a_restore_is_taken_for_whole() {
    const ROUNDS: u32 = 5;
    let office = Office::new();
    office.stopped_house("data");
    let whole = Instant::now();
    office.back_up("data", "backup").with(0, "");
    let takes = whole.elapsed();
    let kill = |arguments: [String; 6], after: Duration| {
        let arguments = arguments.each_ref().map(String::as_str);
        let mut child: Child = command(&arguments, None)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(after);
        let _ = child.kill();
        child.wait().unwrap()
    };
    let (mut torn, mut half) = (0, 0);
    for round in 0..ROUNDS {
        let after = takes * (round + 1) / (ROUNDS + 1);
        let (copy, back) = (format!("copy-{round}"), format!("back-{round}"));
        kill(office.back_up_arguments("data", &copy), after);
        let restored = office.restore(&copy, &back, &[]);
        if office.at(&copy).join("manifest").exists() {
            restored.with(0, "restored");
        } else {
            restored.with(66, "is not a whole backup");
            assert!(!office.at(&back).exists());
            torn += 1;
        }
        let again = format!("again-{round}");
        kill(office.restore_arguments("backup", &again), after);
        if !office.at(&again).join("restored").exists() {
            // Nothing but an empty directory, if that.
            assert!(files(&office.at(&again)).iter().all(|file| {
                file.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .ends_with(".new")
            }));
            continue;
        }
        half += 1;
        let (code, said) = refused_start(&pack(), &office.at(&again));
        assert_eq!(code, 65, "{said}");
        office
            .restore("backup", &again, &[])
            .with(73, "nothing is overwritten");
    }
    say(&format!(
        "killed {ROUNDS} of each: {torn} backups and {half} restores had begun and were told apart"
    ));
}

/// Serves by the configuration until it says so, then is stopped.
fn serve_for_a_moment(office: &Office, data: &str, clock: &MovedClock) {
    let config = office.path(&format!("{data}/sekisho.toml"));
    let said = office.at("served.txt");
    let out = fs::File::options()
        .create(true)
        .append(true)
        .open(&said)
        .unwrap();
    let mut child = command(&["serve", "--config", &config], Some(clock))
        .stdout(Stdio::null())
        .stderr(out)
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let told = || fs::read_to_string(&said).unwrap_or_default();
    let before = told().matches(" serving ").count();
    while told().matches(" serving ").count() == before {
        assert!(
            Instant::now() < until && child.try_wait().unwrap().is_none(),
            "{}",
            told()
        );
        sleep(Duration::from_millis(50));
    }
    let asked = Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .status();
    assert!(asked.unwrap().success());
    assert!(child.wait().unwrap().success(), "{}", told());
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(items) = fs::read_dir(folder) else {
        return found;
    };
    for item in items {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

//! A gate with all that it needs, and people who can log in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sekisho::decision::rules::{LogRetention, RuleSet};
use sekisho::domain::access::{
    AccessRequest, Action, Basis, Consent, Proof, Provision, SubjectRef, Subjects, TicketText,
};
use sekisho::domain::ids::{LogIndex, Name};
use sekisho::domain::person::{Person, RoleAssignment};
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::time::{Clock, Timestamp};
use sekisho::files;
use sekisho::gate::{
    Answer, Credentials, Gate, GateError, LoginRequest, Parts, Peer, PolicyBegun, Settings,
    StartError, StepUpRequest, TicketGiven,
};
use sekisho::identity::certificate::{Certificate, ClaimedName};
use sekisho::identity::keyring::Keyring;
use sekisho::identity::password::{Passwords, Secret};
use sekisho::identity::seals::Seals;
use sekisho::identity::totp::Seed;
use sekisho::log::{AccessLog, LogConfig, LogReader, SigningSeed};
use sekisho::policy;
use sekisho::proto::{EntryKind, StoredEntry};
use sekisho::store::{PostgresAddress, Store, StorePlace};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

pub(crate) const TRUST_DOMAIN: &str = "test.internal";
pub(crate) const OFFICE: &str = "203.0.113.10";
pub(crate) const VPN: &str = "10.20.0.10";
pub(crate) const OUTSIDE: &str = "198.51.100.10";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const SESSION: &str = "browser-1";

/// A clock that stands until the test moves it.
#[derive(Debug)]
pub(crate) struct HeldClock(AtomicI64, AtomicU64);

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_micros(self.1.load(Ordering::SeqCst))
    }
}

impl HeldClock {
    pub(crate) fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// The clock that nobody sets goes on; the wall clock stands.
    pub(crate) fn serve(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        self.1.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, to: Timestamp) {
        self.0.store(to.micros(), Ordering::SeqCst);
    }
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn subject(text: &str) -> SubjectRef {
    SubjectRef::new(&name(text))
}

/// What every world begins with. Made once: hashing passwords takes long, as it should.
struct Template {
    rules: Arc<RuleSet>,
    keyring: Vec<u8>,
    master: Vec<u8>,
    store: Vec<u8>,
    /// Base32, by person; none for who has not enrolled.
    seeds: HashMap<Name, String>,
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

async fn make_template() -> Template {
    let pack = policy::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment"))
        .expect("the pack loads");
    let directory = tempfile::tempdir().unwrap();
    let (keys, store_file) = (
        directory.path().join("keyring"),
        directory.path().join("store.sqlite"),
    );
    let keyring = Keyring::create(directory.path()).unwrap();
    let store = Store::open(&store_file).await.unwrap();
    let passwords = Passwords::new(keyring.pepper.clone(), 2, 64).unwrap();
    let mut seeds = HashMap::new();
    let administrators = ["administrator-1", "administrator-2"].map(|id| Person {
        id: name(id),
        departments: vec![name("administration")],
        roles: vec![RoleAssignment::for_good(name("administrator"))],
        ..pack.people[0].clone()
    });
    for person in pack.people.iter().chain(&administrators) {
        store.put_person(person).await.unwrap();
        let hash = passwords
            .hash(Secret::parse(PASSWORD).unwrap())
            .await
            .unwrap();
        store.put_password(&person.id, &hash).await.unwrap();
        if pack.people_without_second_factor.contains(&person.id) {
            continue;
        }
        let (seed, id) = (Seed::random().unwrap(), Uuid::new_v4());
        let sealed = seed.seal(&keyring.seeds, &person.id, id).unwrap();
        store
            .put_second_factor(&person.id, id, &sealed)
            .await
            .unwrap();
        seeds.insert(person.id.clone(), seed.to_base32().to_string());
    }
    store.close().await;
    Template {
        rules: Arc::new(pack.rules),
        keyring: std::fs::read(&keys).unwrap(),
        master: std::fs::read(directory.path().join("master.key")).unwrap(),
        store: std::fs::read(&store_file).unwrap(),
        seeds,
    }
}

/// What a test may want otherwise than usual.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) queue_entries: usize,
    pub(crate) request_ids_max: usize,
    pub(crate) dispose_needs_two: bool,
    /// How long the log is kept; the pack's own where nothing is said.
    pub(crate) log_retention: Option<LogRetention>,
    /// Makes another pack of it.
    pub(crate) rules: Option<fn(&mut RuleSet)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_entries: 16_384,
            request_ids_max: 100_000,
            dispose_needs_two: false,
            log_retention: None,
            rules: None,
        }
    }
}

pub(crate) struct World {
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) directory: TempDir,
    template: &'static Template,
    options: Options,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        let directory = tempfile::tempdir().unwrap();
        for (file, content) in [
            ("keyring", &template.keyring),
            ("master.key", &template.master),
            ("store.sqlite", &template.store),
        ] {
            files::create_private(&directory.path().join(file), content).unwrap();
        }
        let morning = Timestamp::parse("2026-07-01T09:00:00+09:00").unwrap();
        let clock = Arc::new(HeldClock(
            AtomicI64::new(morning.micros()),
            AtomicU64::new(0),
        ));
        Self::begin(directory, clock, template, options)
            .await
            .unwrap()
    }

    /// Two daemons on the store at `url`, on one clock, each with its own log. Neither follows the other by itself: see
    /// [`Self::follow`].
    pub(crate) async fn pair(url: &str) -> [Self; 2] {
        let first = Self::new().await;
        let file = first.directory.path().join("template.sqlite");
        files::create_private(&file, &first.template.store).unwrap();
        let template = Store::open(&file).await.unwrap();
        template.bind_log("test/nobodys").await.unwrap();
        template.close().await;
        let place = StorePlace::Postgres {
            address: PostgresAddress::parse(url, None, Path::new("/")).unwrap(),
            shared: true,
        };
        let store = Store::open_at(&place).await.unwrap();
        assert!(store.fill_from(&file).await.unwrap());
        let mut both = Vec::new();
        for log in ["test/one", "test/two"] {
            let directory = tempfile::tempdir().unwrap();
            for file in ["keyring", "master.key"] {
                let content = std::fs::read(first.directory.path().join(file)).unwrap();
                files::create_private(&directory.path().join(file), &content).unwrap();
            }
            let store = Store::open_at(&place).await.unwrap();
            let (path, options) = (directory.path(), &first.options);
            let gate = start_with(path, &first.clock, first.template, options, (store, log));
            both.push(Self {
                gate: gate.await.unwrap(),
                clock: Arc::clone(&first.clock),
                directory,
                template: first.template,
                options: first.options.clone(),
            });
        }
        both.try_into().unwrap_or_else(|_| panic!("two"))
    }

    /// Has it hear what others changed until now.
    pub(crate) async fn follow(&self) {
        self.gate.hear_others().await.unwrap();
    }

    async fn begin(
        directory: TempDir,
        clock: Arc<HeldClock>,
        template: &'static Template,
        options: Options,
    ) -> Result<Self, StartError> {
        let gate = start(directory.path(), &clock, template, &options).await?;
        Ok(Self {
            gate,
            clock,
            directory,
            template,
            options,
        })
    }

    /// Stops in order and starts again on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.gate.stop().await;
        Self::begin(self.directory, self.clock, self.template, self.options)
            .await
            .unwrap()
    }

    /// What a kill at this moment would leave, in a directory of its own; not started.
    pub(crate) fn as_killed_now(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.directory.path(), copy.path());
        copy
    }

    /// Starts on what [`Self::as_killed_now`] left.
    pub(crate) async fn start_on(&self, left: TempDir) -> Result<Self, StartError> {
        Self::begin(
            left,
            Arc::clone(&self.clock),
            self.template,
            self.options.clone(),
        )
        .await
    }

    pub(crate) fn rules(&self) -> &'static RuleSet {
        &self.template.rules
    }

    /// Everybody that the store knows.
    pub(crate) async fn people(&self) -> HashMap<Name, Person> {
        let store = Store::open(&self.directory.path().join("store.sqlite"))
            .await
            .unwrap();
        let people = store.people().await.unwrap();
        store.close().await;
        people
            .into_iter()
            .map(|person| (person.id.clone(), person))
            .collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The data directory.
    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn log_folder(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The log as any other program reads it from the disk.
    pub(crate) fn on_disk(&self) -> Vec<StoredEntry> {
        self.on_disk_from(0)
    }

    pub(crate) fn on_disk_from(&self, index: u64) -> Vec<StoredEntry> {
        LogReader::open_directory(self.log_folder())
            .unwrap()
            .forward(LogIndex(index))
            .map(|kept| kept.unwrap().entry().unwrap())
            .collect()
    }

    /// Decisions in the log, repeats left out.
    pub(crate) fn decisions_on_disk(&self) -> Vec<StoredEntry> {
        let mut entries = self.on_disk();
        entries.retain(|entry| {
            entry.kind == i32::from(EntryKind::Decision) && entry.repeat_of.is_empty()
        });
        entries
    }

    pub(crate) fn code(&self, person: &str) -> String {
        Seed::from_base32(&self.template.seeds[person])
            .unwrap()
            .code_at(self.now())
    }

    pub(crate) async fn first_step(&self, peer: &Peer, person: &str) -> Result<String, GateError> {
        let login = LoginRequest {
            person: name(person),
            password: Secret::parse(PASSWORD).unwrap(),
            client_ip: Some(ip(OFFICE)),
            session_ref: Some(name(SESSION)),
        };
        let accepted = self.gate.verify_password(peer, login).await?;
        Ok(accepted.challenge)
    }

    /// Both steps, from the office. A person logs in once within 30 s, since a code is good once.
    pub(crate) async fn log_in_at(&self, peer: &Peer, person: &str) -> TicketGiven {
        let challenge = self.first_step(peer, person).await.unwrap();
        self.gate
            .verify_second_factor(peer, &challenge, &self.code(person))
            .await
            .unwrap()
    }

    pub(crate) async fn log_in(&self, person: &str) -> TicketText {
        self.log_in_at(&crm(), person).await.ticket
    }

    pub(crate) async fn step_up(
        &self,
        person: &str,
        ticket: &TicketText,
    ) -> Result<TicketGiven, GateError> {
        let begun = StepUpRequest {
            credentials: credentials(ticket),
        };
        let challenge = self.gate.begin_step_up(&crm(), begun).await?.challenge;
        self.gate
            .verify_second_factor(&crm(), &challenge, &self.code(person))
            .await
    }

    pub(crate) async fn check(&self, request: AccessRequest) -> Answer {
        self.gate.check(&crm(), request).await.unwrap()
    }

    /// Lets time pass while the person keeps working, so that the session doesn't go idle.
    pub(crate) async fn work_for(&self, ticket: &TicketText, time: Duration) {
        let end = self.now().plus(time);
        while self.now() < end {
            self.clock.advance(minutes(10).min(end.since(self.now())));
            let mut request = read(ticket);
            request.action = Action::Create;
            assert!(self.check(request).await.is_allowed());
        }
    }

    /// How many more people's records this person may reach by `request`'s action. Spends them.
    pub(crate) async fn spend_what_is_left(&self, request: &AccessRequest) -> u64 {
        let mut spent = 0;
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            let one = AccessRequest {
                record_count: step,
                ..request.clone()
            };
            if self.check(one).await.is_allowed() {
                spent += step;
            }
        }
        spent
    }
}

async fn start(
    directory: &Path,
    clock: &Arc<HeldClock>,
    template: &'static Template,
    options: &Options,
) -> Result<Arc<Gate>, StartError> {
    let store = Store::open(&directory.join("store.sqlite")).await.unwrap();
    start_with(directory, clock, template, options, (store, "test/log")).await
}

async fn start_with(
    directory: &Path,
    clock: &Arc<HeldClock>,
    template: &'static Template,
    options: &Options,
    (store, log): (Store, &str),
) -> Result<Arc<Gate>, StartError> {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        queue_entries: options.queue_entries,
        deadline: seconds(30),
        ..LogConfig::new(directory.join("log"), SigningSeed::new(&[7; 32]))
    };
    let keyring = Keyring::open(directory).unwrap();
    let seals = Seals::open(directory.join("seals"), keyring.log_text.clone()).unwrap();
    let mut rules = Arc::clone(&template.rules);
    if let Some(kept) = &options.log_retention {
        Arc::make_mut(&mut rules).log_retention = kept.clone();
    }
    if let Some(change) = options.rules {
        change(Arc::make_mut(&mut rules));
    }
    Gate::start(Parts {
        clock: Arc::<HeldClock>::clone(clock),
        settings: Settings {
            small_office: false,
            trust_domain: name(TRUST_DOMAIN),
            built_in: HashMap::new(),
            revoked_certificates: [certificate("career-crm", REVOKED).fingerprint].into(),
            allow_loopback_device: false,
            login: sekisho::gate::LoginSettings::default(),
            change_deadline: minutes(1),
            dispose_needs_two: options.dispose_needs_two,
            // A test says itself when others are followed.
            snapshot_max_age: minutes(60),
            request_ids_max: options.request_ids_max,
        },
        policy: PolicyBegun::fixed(rules),
        keyring,
        log: AccessLog::open(config, log).unwrap(),
        store,
        seals,
    })
    .await
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            files::make_private_directory(&to).unwrap();
            copy_folder(&path, &to);
        } else if let Err(error) = std::fs::copy(&path, &to) {
            // One that was written aside and got its name meanwhile.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{path:?}");
        }
    }
}

/// The number of a certificate that was revoked.
pub(crate) const REVOKED: u64 = 666;

fn certificate(service: &str, number: u64) -> Certificate {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint
        .iter_mut()
        .zip(number.to_be_bytes().into_iter().chain(service.bytes()))
    {
        *to = from;
    }
    Certificate {
        name: ClaimedName::Spiffe {
            trust_domain: TRUST_DOMAIN.into(),
            service: service.into(),
        },
        fingerprint,
        not_before: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
        not_after: Timestamp::parse("2100-01-01T00:00:00Z").unwrap(),
    }
}

/// One of the certificates of a service, at an address.
pub(crate) fn peer(service: &str, number: u64, address: &str) -> Peer {
    Peer {
        certificate: Arc::new(certificate(service, number)),
        address: ip(address),
    }
}

pub(crate) fn crm() -> Peer {
    peer("career-crm", 0, "10.1.0.5")
}

pub(crate) fn billing() -> Peer {
    peer("billing", 0, "10.1.0.6")
}

pub(crate) fn mailer() -> Peer {
    peer("notice-mailer", 0, "10.2.0.7")
}

pub(crate) fn credentials(ticket: &TicketText) -> Credentials {
    Credentials {
        ticket: Some(ticket.clone()),
        client_ip: Some(ip(OFFICE)),
        session_ref: Some(name(SESSION)),
    }
}

/// What a service shows that asks for itself.
pub(crate) fn nobody() -> Credentials {
    Credentials {
        ticket: None,
        client_ip: None,
        session_ref: None,
    }
}

/// An adviser looks at one job-seeker, whom nobody names: allowed.
pub(crate) fn read(ticket: &TicketText) -> AccessRequest {
    AccessRequest {
        request_id: None,
        proof: Proof::Ticket(ticket.clone()),
        client_ip: Some(ip(OFFICE)),
        session_ref: Some(name(SESSION)),
        action: Action::Read,
        system: Some(name("crm")),
        subject_kind: Some(name("job-seeker")),
        subjects: Subjects::Unnamed,
        categories: vec![name("identity")],
        record_count: 1,
        collected_via: None,
        origin_country: None,
        purpose: Some(name("recruitment-service")),
        basis: Basis {
            consent: Consent::None,
            exception: None,
            reference: None,
            consent_difficult: false,
            subject_request: false,
        },
        provision: Provision::default(),
        case_ref: None,
        break_glass: None,
        automated_decision: false,
        allow_partial: false,
        relation: None,
    }
}

/// The same of one person who is named.
pub(crate) fn read_of(ticket: &TicketText, of: &str) -> AccessRequest {
    AccessRequest {
        subjects: Subjects::One(subject(of)),
        ..read(ticket)
    }
}

pub(crate) fn with_id(request: AccessRequest, id: &str) -> AccessRequest {
    AccessRequest {
        request_id: Some(name(id)),
        ..request
    }
}

/// The first reason of a denial.
pub(crate) fn denied(answer: &Answer) -> Option<ReasonCode> {
    if answer.is_allowed() {
        return None;
    }
    ReasonCode::from_number(answer.entry.reasons[0].code)
}

/// The fields that a malformed request is told about.
pub(crate) fn wrong_fields<T>(result: Result<T, GateError>) -> Vec<String> {
    match result {
        Err(GateError::Malformed(violations)) => violations
            .into_iter()
            .map(|violation| violation.field)
            .collect(),
        Err(error) => panic!("not malformed, but: {error}"),
        Ok(_) => panic!("taken"),
    }
}

pub(crate) fn detail<'a>(entry: &'a StoredEntry, key: &str) -> &'a str {
    entry
        .details
        .iter()
        .find(|detail| detail.key == key)
        .map_or("", |detail| &detail.value)
}

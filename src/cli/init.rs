//! `sekisho init`: makes a data directory with everything that `serve` needs.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::certificates::Authority;
use super::first_credentials::{self, FirstCredentials};
use super::{Failure, serve};
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::{self, Person, Pledge, RoleAssignment};
use crate::domain::time::{Clock, SystemClock};
use crate::files;
use crate::identity::keyring::Keyring;
use crate::identity::password::{Passwords, random_password};
use crate::identity::totp::Seed;
use crate::policy::{self, Pack};
use crate::store::{PostgresAddress, Store, StorePlace};

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The directory to make
    #[arg(long)]
    data: PathBuf,
    /// The policy pack's folder
    #[arg(long)]
    pack: PathBuf,
    /// A first administrator's id; name two, so that no single person can reset a second factor
    #[arg(long = "administrator", value_name = "ID", required = true)]
    administrators: Vec<String>,
    /// Also make accounts for the people in the pack's people.csv
    #[arg(long)]
    people: bool,
    /// The SPIFFE trust domain of the services' certificates
    #[arg(long, default_value = "sekisho.internal")]
    trust_domain: String,
    /// A further name or address that clients reach the server by
    #[arg(long = "host")]
    hosts: Vec<String>,
    /// Where gRPC will listen
    #[arg(long, default_value = "0.0.0.0:7443")]
    listen: SocketAddr,
    /// Where metrics will be served
    #[arg(long, default_value = "127.0.0.1:7480")]
    http: SocketAddr,
    /// Keep people and credentials in PostgreSQL: postgres://user@host/database?sslmode=verify-full&sslrootcert=FILE [default:
    /// embedded, in the data directory]
    #[arg(
        long,
        value_name = "URL",
        env = "SEKISHO_STORE_URL",
        hide_env_values = true
    )]
    store_url: Option<String>,
    /// The file with the password for it (0600)
    #[arg(long, value_name = "FILE", requires = "store_url")]
    store_password_file: Option<PathBuf>,
}

/// What to make.
pub(super) struct Plan<'a> {
    pub(super) data: &'a Path,
    pub(super) pack: &'a Path,
    pub(super) trust_domain: &'a str,
    pub(super) hosts: &'a [String],
    pub(super) listen: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) allow_loopback_device: bool,
    /// An enrolment takes a one-time code and the acknowledgement of the notice.
    pub(super) strict_enrollment: bool,
    /// Accounts to make, with whether they get a second factor.
    pub(super) people: Vec<(Person, bool)>,
    /// Where the first credentials go.
    pub(super) people_file: PathBuf,
    /// Where PostgreSQL is and its password; `None` for the embedded store.
    pub(super) store: Option<StoreWish>,
}

/// A store on a server, as it is to stand in the configuration.
pub(super) struct StoreWish {
    url: String,
    password_file: Option<PathBuf>,
}

pub(super) async fn run(arguments: InitArgs) -> Result<(), Failure> {
    let pack = policy::load(&arguments.pack).map_err(Failure::configuration)?;
    if arguments.administrators.len() < 2 {
        eprintln!(
            "sekisho: with one administrator nobody can reset that person's second factor or make another administrator; name two"
        );
    }
    let mut people = administrators(&arguments.administrators, &pack.rules)?;
    if arguments.people {
        people.extend(listed_people(&pack));
    }
    let people_file = arguments.data.join("init/people.json");
    make(Plan {
        data: &arguments.data,
        pack: &arguments.pack,
        trust_domain: &arguments.trust_domain,
        hosts: &arguments.hosts,
        listen: arguments.listen,
        http: arguments.http,
        allow_loopback_device: false,
        strict_enrollment: true,
        people,
        people_file: people_file.clone(),
        store: arguments
            .store_url
            .map(|url| absolute_files(url, arguments.store_password_file))
            .transpose()?,
    })
    .await?;
    let data = arguments.data.display();
    println!("made {data}");
    println!(
        "  first passwords and seeds, in clear: {} (hand them out, then delete it)",
        people_file.display()
    );
    println!("  configuration: {data}/sekisho.toml");
    println!("  serve it:      sekisho serve --config {data}/sekisho.toml");
    Ok(())
}

/// The people of the pack, with whether they get a second factor.
pub(super) fn listed_people(pack: &Pack) -> impl Iterator<Item = (Person, bool)> {
    pack.people.iter().map(|person| {
        let enrolled = !pack.people_without_second_factor.contains(&person.id);
        (person.clone(), enrolled)
    })
}

/// Administrators as people: of the department `administration`, with the built-in role.
pub(super) fn administrators(
    ids: &[String],
    rules: &RuleSet,
) -> Result<Vec<(Person, bool)>, Failure> {
    let name = |text: &str| {
        Name::parse(text).map_err(|error| Failure::new(64, format!("--administrator {error}")))
    };
    if rules.roles.id("administrator").is_none() {
        return Err(Failure::configuration("the pack has no role administrator"));
    }
    ids.iter()
        .map(|id| {
            let id = person::id::parse(id)
                .map_err(|error| Failure::new(64, format!("--administrator {id:?} {error}")))?;
            let person = Person {
                roles: vec![RoleAssignment::for_good(name("administrator")?)],
                trained_until: Some(crate::domain::time::Timestamp::end_of(
                    time::macros::date!(2099 - 12 - 31),
                    rules.utc_offset,
                )),
                pledge: Pledge::Given,
                ..Person::new(id, name("administration")?)
            };
            Ok((person, true))
        })
        .collect()
}

/// Makes the directory. What is there is never overwritten; the configuration comes last, so that a directory with one is
/// whole.
pub(super) async fn make(plan: Plan<'_>) -> Result<(), Failure> {
    let configuration = plan.data.join("sekisho.toml");
    if configuration.exists() {
        return Err(Failure::cannot_create(format!(
            "{}: is there already; a data directory is made once",
            configuration.display()
        )));
    }
    // What is half restored is not made whole by new keys.
    if crate::backup::mark::Mark::read(plan.data)?.is_some() {
        return Err(Failure::cannot_create(format!(
            "{}: was restored from a backup",
            plan.data.display()
        )));
    }
    let now = SystemClock.now();
    let tls = plan.data.join("tls");
    let people_folder = plan.people_file.parent().unwrap_or(plan.data);
    for folder in [plan.data, &tls, people_folder] {
        files::make_private_directory(folder).map_err(Failure::cannot_create)?;
    }
    let authority = Authority::create(&tls, plan.trust_domain, now)?;
    authority.server(&tls, plan.hosts)?;
    for id in ["sekisho-cli", "sekisho-console"] {
        authority.client(&tls, plan.trust_domain, id)?;
    }
    let keyring = Keyring::create(plan.data).map_err(Failure::cannot_create)?;
    let place = store_place(&plan)?;
    let store = Store::open_at(&place)
        .await
        .map_err(Failure::cannot_create)?;
    // The new keyring opens none of their seeds. A file is as new as the directory.
    let found = store.people().await.map_err(Failure::cannot_create)?;
    if plan.store.is_some() && !found.is_empty() {
        return Err(Failure::cannot_create(format!(
            "{place}: has accounts already; a further daemon is made with the keyring of the first, not by init"
        )));
    }
    let mut first = Vec::with_capacity(plan.people.len());
    for (person, with_second_factor) in &plan.people {
        first.push(make_account(&store, &keyring, person, *with_second_factor).await?);
    }
    store.close().await;
    first_credentials::write(&plan.people_file, &first)?;
    let text = configuration_text(&plan)?;
    // Read back, so that what is written is known to be in order.
    crate::config::Config::read(&text, "sekisho.toml", plan.data, |_| None)
        .map_err(Failure::configuration)?;
    files::create_private(&configuration, text.as_bytes()).map_err(Failure::cannot_create)?;
    serve::read(&configuration).map(|_| ())
}

async fn make_account(
    store: &Store,
    keyring: &Keyring,
    person: &Person,
    with_second_factor: bool,
) -> Result<FirstCredentials, Failure> {
    let passwords = Passwords::new(keyring.pepper.clone(), 1, 1).map_err(Failure::cannot_create)?;
    let password = random_password();
    let in_clear = password.expose().to_owned();
    store
        .put_person(person)
        .await
        .map_err(Failure::cannot_create)?;
    let hash = passwords
        .hash(password)
        .await
        .map_err(Failure::cannot_create)?;
    store
        .put_password(&person.id, &hash)
        .await
        .map_err(Failure::cannot_create)?;
    let mut totp_secret = None;
    if with_second_factor {
        let (seed, id) = (
            Seed::random().map_err(Failure::cannot_create)?,
            Uuid::new_v4(),
        );
        let sealed = seed
            .seal(&keyring.seeds, &person.id, id)
            .map_err(Failure::cannot_create)?;
        store
            .put_second_factor(&person.id, id, &sealed)
            .await
            .map_err(Failure::cannot_create)?;
        totp_secret = Some(seed.to_base32().to_string());
    }
    Ok(FirstCredentials {
        id: person.id.to_string(),
        password: in_clear,
        totp_secret,
    })
}

/// The configuration takes relative paths from its own folder, the command line from where it is typed.
pub(super) fn absolute_files(
    url: String,
    password_file: Option<PathBuf>,
) -> Result<StoreWish, Failure> {
    let password_file = password_file
        .map(std::path::absolute)
        .transpose()
        .map_err(Failure::cannot_create)?;
    Ok(StoreWish { url, password_file })
}

fn store_place(plan: &Plan<'_>) -> Result<StorePlace, Failure> {
    let Some(StoreWish { url, password_file }) = &plan.store else {
        return Ok(StorePlace::File(plan.data.join("store.sqlite")));
    };
    let address = PostgresAddress::parse(url, password_file.as_deref(), plan.data)
        .map_err(|why| Failure::new(64, format!("--store-url {why}")))?;
    let shared = false;
    Ok(StorePlace::Postgres { address, shared })
}

fn store_section(plan: &Plan<'_>) -> Result<String, Failure> {
    let Some(StoreWish { url, password_file }) = &plan.store else {
        return Ok(
            "# url = \"postgres://sekisho@db.example/sekisho?sslmode=verify-full&sslrootcert=tls/db-ca.pem\"\n# password_file = \"store.password\"".to_owned(),
        );
    };
    let mut text = format!("url = {}", quoted(url)?);
    if let Some(file) = password_file {
        text.push_str(&format!(
            "\npassword_file = {}",
            quoted(&file.to_string_lossy())?
        ));
    }
    Ok(text)
}

fn quoted(text: &str) -> Result<String, Failure> {
    serde_json::to_string(text).map_err(Failure::cannot_create)
}

fn configuration_text(plan: &Plan<'_>) -> Result<String, Failure> {
    let pack = std::path::absolute(plan.pack).map_err(Failure::cannot_create)?;
    let pack = quoted(&pack.to_string_lossy())?;
    let trust_domain = quoted(plan.trust_domain)?;
    let store = store_section(plan)?;
    let mut text = String::new();
    write!(
        text,
        r#"# sekisho's configuration. Relative paths are taken from this file's folder. A key that isn't known is refused.
# SEKISHO_DATA, SEKISHO_PACK, SEKISHO_GRPC_LISTEN and SEKISHO_HTTP_LISTEN in the environment go before it.

# The data directory: keyring (keep a copy elsewhere, safe), store.sqlite, log/ (the access log), seals/ (keys that are
# destroyed when what they seal was kept long enough).
data = "."

# The policy pack's folder.
pack = {pack}

# How the pack changes while the daemon runs. Its folder is looked at every two seconds, on SIGHUP and by `sekisho policy reload`;
# "on-change": what is in order is put in force by itself; "by-hand": it waits for `sekisho policy activate`, and decides in the shadow
# meanwhile (`sekisho policy shadow`). `needs_two`: that takes two administrators. `require_signature`: a pack that none of `signers`
# signed (`sekisho policy keygen`, `sekisho policy sign`) is refused.
# [policy]
# activation = "by-hand"
# needs_two = true
# require_signature = true
# signers = ["name+hash+key"]

# Whether `sekisho login` is admitted from this machine itself, which is in no network of the policy.
allow_loopback_device = {loopback}

[login]
# Whether a person's first second factor takes a one-time code from an administrator (`sekisho credentials enrollment-code ID`),
# so that a first password that was stolen enrols nobody.
enrollment_code_required = {strict}
# Whether the enrolment takes the person's word that they have read the notice of monitoring: what is logged, why, who reads it.
# The text is the pack's ([monitoring_notice] with en and ja), or one that says what this program does.
notice_acknowledgement_required = {strict}

[grpc]
listen = "{listen}"

[http]
# Metrics and liveness, without TLS: keep it inside.
listen = "{http}"

[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
# Services are known by certificates of this authority that name them: spiffe://<trust_domain>/service/<id>.
client_authority = "tls/ca.pem"
trust_domain = {trust_domain}
# The one certificate that may be the command line, and the one that may be the console.
cli_certificate = "tls/sekisho-cli.pem"
console_certificate = "tls/sekisho-console.pem"
# SHA-256 of certificates that are no longer accepted, in hex.
revoked_certificates = []

[log]
# A call whose entry is not durable by then is refused (UNAVAILABLE).
deadline_ms = 2000
segment_mib = 64
# With less space free than this, operators are warned (health, metric, log line); with less than that, nothing is allowed
# until there is space again. The second is at least `segment_mib`: that much is taken when a segment begins.
warn_free_mib = 1024
read_only_free_mib = 128
# Disposing of what was kept long enough (`sekisho log dispose`), and releasing a hold of the log, takes two administrators.
# Where there is one only, false; entries then say that it was done alone.
dispose_needs_two = true

# Who else keeps the log's checkpoints. Whoever owns this machine and its keys can put an older copy of everything back, or
# write another history; only somebody who was told before can show it. At a start, one who knows more than the log, or other
# entries, ends the start (code 65).
# [witness]
# Directories on another machine's disk; each gets the newest checkpoint as a file named after the log, replaced by renaming.
# Name one inside of what is mounted: it is never made, so that a volume that is not mounted is noticed.
# directories = ["/mnt/other/checkpoints"]
# Whether a start needs every one of them (code 75 when one is not reached). While serving, nothing is refused for want of a
# witness: /readyz warns. A witness that holds a state from before a declared gap takes nothing: without `required` the start
# goes on and /readyz warns, with it the start waits (code 75) until that witness was reset or taken out.
# required = false
# The least time between two checkpoints for each, and how long one may take to answer.
# every_seconds = 10
# timeout_seconds = 10
# When no witness has taken a checkpoint for so long, /readyz says so.
# required_within_seconds = 300
# A witness that signs what it saw (C2SP tlog-witness): where it is (https, or http at a loopback address of this machine), its
# verifier key (one line, cosignature/v1), the authority of its certificate. It is given log/log.vkey. Repeat as needed.
# [[witness.endpoint]]
# url = "https://witness.example"
# key = "witness.example/1+00000000+BA..."
# ca = "tls/witness-ca.pem"

[store]
# People, credentials, holds and dates: in store.sqlite in the data directory, or, with a url, in the schema `sekisho` of a
# PostgreSQL database (13 or newer; the user must be allowed to make that schema). A server that is not on this machine is
# spoken to by TLS with a certificate for its name only. The password can stand in the url; a file (0600) is better.
{store}
# Whether a daemon whose log the store doesn't know may join others that use it: turn it on for the first start of each.
# shared = false
# When what other daemons changed in the store was not heard of for so long, nothing is allowed (UNAVAILABLE).
# snapshot_max_age_ms = 2000

[accounts]
# Where there is one administrator only: true lets that one do alone what else takes two, 24 hours after it was asked for; it is
# marked until somebody reviewed it. A reset is asked for on this host (`sekisho reset second-factor --on-host`).
small_office = false

# A program, run without a shell, that gets one JSON object on its standard input when people should be told of something: a
# reset of a second factor, or another request about people that takes two, that was asked for or done. It sends the message to them and to the security managers.
# [hook]
# command = ["/usr/local/bin/tell-people"]
# timeout_seconds = 10

[bounds]
# Request ids of one service that are remembered for ten minutes, about 100 bytes each.
request_ids = 1000000
connections = 4096

[backup]
# The public half of the recovery key that `sekisho backup` seals the keys to. Make the key on another machine with
# `sekisho backup new-recovery-key`, and keep the private half offline.
# recovery_key = "recovery.pub"

# Streams of the access log out, each entry at least once and in order: any number of these. Kept positions are in sinks/.
# A sink that is down holds up nothing; /readyz and /metrics tell. format is "jsonl" or "ocsf".
#
# [[sink]]
# id = "copy"
# kind = "file"                                # appended, 0600; may be rotated
# format = "jsonl"
# path = "/var/log/sekisho/access.jsonl"
#
# [[sink]]
# id = "siem"
# kind = "syslog"                              # RFC 5424; TCP confirms nothing: for evidence use http or file
# format = "ocsf"
# address = "siem.example:6514"
# transport = "tls"                            # or "tcp", in clear and without the keys below
# ca = "tls/siem-ca.pem"
# server_name = "siem.example"                 # the address's by default
# certificate = "tls/siem-client.pem"          # both where the receiver asks for one
# key = "tls/siem-client.key"
# enterprise_number = 32473                    # yours (IANA); this one is set aside for examples
#
# [[sink]]
# id = "collector"
# kind = "http"                                # POST of application/x-ndjson; 2xx says that a batch has arrived
# format = "jsonl"
# url = "https://collector.example/access-log"
# ca = "tls/collector-ca.pem"
# token_file = "collector.token"               # a bearer token, 0600
"#,
        loopback = plan.allow_loopback_device,
        strict = plan.strict_enrollment,
        listen = plan.listen,
        http = plan.http,
    )
    .map_err(Failure::cannot_create)?;
    Ok(text)
}

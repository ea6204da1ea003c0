//! The operator's configuration: a file, and the environment over it, checked whole. Pure: what is read comes in, and every
//! fault comes out at once. A key that isn't known is refused, since it would be silently ignored otherwise.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::domain::ids::Name;
use crate::log::{SpaceTiers, VerifierKey};
use crate::sinks::{self, CommandConfig, SinkConfig, SinkTable};
use crate::store::{PostgresAddress, StorePlace};
use crate::witness::{Section as WitnessSection, WitnessConfig};

/// Everything `serve` needs to know. Paths are absolute or relative to the file's folder.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory: keyring, store, log.
    pub data: PathBuf,
    /// The policy pack's folder.
    pub pack: PathBuf,
    /// How the pack changes while the daemon runs.
    pub policy: PolicySettings,
    /// Where people, credentials, holds and dates are kept.
    pub store: StorePlace,
    /// How old what is known of a store that others change may be for anything to be decided by it; 500 ms to 60 s.
    pub snapshot_max_age: Duration,
    /// Where gRPC listens.
    pub grpc_listen: SocketAddr,
    /// Where metrics and liveness are served, without TLS: keep it inside.
    pub http_listen: SocketAddr,
    /// The server's certificate chain (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM, 0600).
    pub key: PathBuf,
    /// The authority of client certificates (PEM).
    pub client_authority: PathBuf,
    /// The SPIFFE trust domain of the services.
    pub trust_domain: Name,
    /// SHA-256 of certificates that are no longer accepted.
    pub revoked_certificates: HashSet<[u8; 32]>,
    /// Certificate of the command line (PEM), the only one that may be `sekisho-cli`.
    pub cli_certificate: Option<PathBuf>,
    /// Certificate of the console (PEM), the only one that may be `sekisho-console`.
    pub console_certificate: Option<PathBuf>,
    /// Whether the command line and the console admit a device at a loopback address.
    pub allow_loopback_device: bool,
    /// What a person's enrolment takes.
    pub login: LoginSettings,
    /// After how long a call whose entry is not durable is refused; 10 ms to 20 s, which is less than a call may take.
    pub log_deadline: Duration,
    /// The size of a log segment; 1 MiB to 1 GiB.
    pub log_segment_bytes: u64,
    /// When operators are warned that space under the log runs out, and when nothing is written any more.
    pub log_space: SpaceTiers,
    /// Whether disposing of the log, and releasing a hold of it, takes two administrators.
    pub dispose_needs_two: bool,
    /// How many request ids of one service are remembered for ten minutes; up to 50 million, each about 100 bytes.
    pub request_ids_max: usize,
    /// Whether there is one administrator only.
    pub small_office: bool,
    /// How many connections may be open; 1 to 100,000.
    pub connections_max: usize,
    /// The public half of the recovery key that backups seal the keys to.
    pub recovery_key: Option<PathBuf>,
    /// Where the log is streamed to.
    pub sinks: Vec<SinkConfig>,
    /// Who is handed the log's checkpoints.
    pub witness: WitnessConfig,
}

/// What a person's enrolment takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoginSettings {
    /// A one-time code from an administrator, so that a first password that was stolen enrols nobody.
    pub enrollment_code_required: bool,
    /// That the person says to have read the notice of monitoring.
    pub notice_acknowledgement_required: bool,
}

/// How the pack changes while the daemon runs.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings {
    /// A changed folder is put in force by [`crate::gate::Gate::activate_policy`] alone, and not by itself.
    pub by_hand: bool,
    /// Activating takes two administrators.
    pub needs_two: bool,
    /// A pack that none of `signers` signed is refused.
    pub signature_required: bool,
    /// Who may sign packs.
    pub signers: Vec<VerifierKey>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl std::error::Error for ConfigErrors {}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: PathBuf,
    pack: PathBuf,
    #[serde(default)]
    allow_loopback_device: bool,
    grpc: Grpc,
    http: Http,
    tls: Tls,
    #[serde(default)]
    login: Login,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    store: StoreSection,
    #[serde(default)]
    bounds: Bounds,
    #[serde(default)]
    accounts: Accounts,
    hook: Option<Hook>,
    #[serde(default)]
    backup: Backup,
    #[serde(default)]
    sink: Vec<SinkTable>,
    #[serde(default)]
    witness: WitnessSection,
    #[serde(default)]
    policy: PolicySection,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Activation {
    #[default]
    OnChange,
    ByHand,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PolicySection {
    activation: Activation,
    needs_two: bool,
    require_signature: bool,
    signers: Vec<String>,
}

impl PolicySection {
    fn read(self, wrong: &mut impl FnMut(String)) -> PolicySettings {
        let by_hand = matches!(self.activation, Activation::ByHand);
        if self.needs_two && !by_hand {
            wrong("policy.needs_two: nobody is asked where a changed pack is put in force by itself: set policy.activation = \"by-hand\"".to_owned());
        }
        if self.require_signature && self.signers.is_empty() {
            wrong("policy.require_signature: every pack would be refused: name the keys in policy.signers".to_owned());
        }
        let mut signers = Vec::with_capacity(self.signers.len());
        for (number, line) in self.signers.iter().enumerate() {
            match VerifierKey::parse(line) {
                Ok(key) if !key.is_witness() => signers.push(key),
                Ok(_) => wrong(format!(
                    "policy.signers[{number}]: is a witness's key, which signs no packs"
                )),
                Err(why) => wrong(format!("policy.signers[{number}]: {why}")),
            }
        }
        PolicySettings {
            by_hand,
            needs_two: self.needs_two,
            signature_required: self.require_signature,
            signers,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    url: Option<String>,
    password_file: Option<PathBuf>,
    shared: bool,
    snapshot_max_age_ms: u64,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            shared: false,
            snapshot_max_age_ms: 2_000,
        }
    }
}

impl StoreSection {
    /// Where the store is. The address is not repeated in a fault: it may hold a password.
    fn place(self, data: &Path, folder: &Path) -> Result<StorePlace, String> {
        let Some(url) = self.url else {
            if self.password_file.is_some() || self.shared {
                return Err("store: password_file and shared are for a store.url".to_owned());
            }
            return Ok(StorePlace::File(data.join("store.sqlite")));
        };
        let address = PostgresAddress::parse(&url, self.password_file.as_deref(), folder)
            .map_err(|why| format!("store.url: {why}"))?;
        let shared = self.shared;
        Ok(StorePlace::Postgres { address, shared })
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Backup {
    recovery_key: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    listen: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    listen: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    client_authority: PathBuf,
    trust_domain: String,
    #[serde(default)]
    revoked_certificates: Vec<String>,
    cli_certificate: Option<PathBuf>,
    console_certificate: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    dispose_needs_two: bool,
    deadline_ms: u64,
    segment_mib: u64,
    warn_free_mib: u64,
    read_only_free_mib: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            dispose_needs_two: false,
            deadline_ms: 2_000,
            segment_mib: 64,
            warn_free_mib: 1_024,
            read_only_free_mib: 128,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Login {
    enrollment_code_required: bool,
    notice_acknowledgement_required: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Accounts {
    small_office: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    command: Vec<String>,
    #[serde(default = "hook_seconds")]
    timeout_seconds: u64,
}

const fn hook_seconds() -> u64 {
    10
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bounds {
    request_ids: usize,
    connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            request_ids: 1_000_000,
            connections: 4_096,
        }
    }
}

impl Config {
    /// Reads a configuration. `environment` tells a variable's value: `SEKISHO_DATA`, `SEKISHO_PACK`, `SEKISHO_GRPC_LISTEN`
    /// and `SEKISHO_HTTP_LISTEN` go before the file. Relative paths are taken from `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(
        text: &str,
        name: &str,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut file: File = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            ConfigErrors(vec![format!("{name}:{line}: {}", error.message())])
        })?;
        if let Some(data) = environment("SEKISHO_DATA") {
            file.data = data.into();
        }
        if let Some(pack) = environment("SEKISHO_PACK") {
            file.pack = pack.into();
        }
        let listen = |variable: &str, from_file: String| environment(variable).unwrap_or(from_file);
        let grpc_listen = listen("SEKISHO_GRPC_LISTEN", file.grpc.listen);
        let http_listen = listen("SEKISHO_HTTP_LISTEN", file.http.listen);

        let mut faults = Vec::new();
        let mut wrong = |what: String| faults.push(format!("{name}: {what}"));
        let mut address = |key: &str, text: &str| {
            let parsed = text.parse::<SocketAddr>().ok();
            if parsed.is_none() {
                wrong(format!(
                    "{key}: {text:?} is not an address with a port, e.g. 127.0.0.1:7443"
                ));
            }
            parsed
        };
        let grpc_listen = address("grpc.listen", &grpc_listen);
        let http_listen = address("http.listen", &http_listen);
        let trust_domain = Name::parse(&file.tls.trust_domain).ok().filter(|name| {
            name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)
            })
        });
        if trust_domain.is_none() {
            wrong(format!(
                "tls.trust_domain: {:?} is not a SPIFFE trust domain (lower-case letters, digits, dot, hyphen)",
                file.tls.trust_domain
            ));
        }
        let mut revoked_certificates = HashSet::new();
        for text in &file.tls.revoked_certificates {
            match read_fingerprint(text) {
                Some(fingerprint) => {
                    revoked_certificates.insert(fingerprint);
                }
                None => wrong(format!(
                    "tls.revoked_certificates: {text:?} is not a SHA-256 in hex"
                )),
            }
        }
        let mut within = |key: &str, value: u64, bounds: std::ops::RangeInclusive<u64>| {
            if !bounds.contains(&value) {
                wrong(format!(
                    "{key}: {value} is not from {} to {}",
                    bounds.start(),
                    bounds.end()
                ));
            }
        };
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        within("log.deadline_ms", file.log.deadline_ms, 10..=20_000);
        if let Some(hook) = &file.hook {
            within("hook.timeout_seconds", hook.timeout_seconds, 1..=300);
        }
        within("log.segment_mib", file.log.segment_mib, 1..=1_024);
        within("log.warn_free_mib", file.log.warn_free_mib, 1..=1 << 30);
        within(
            "log.read_only_free_mib",
            file.log.read_only_free_mib,
            1..=file.log.warn_free_mib.max(1),
        );
        within(
            "store.snapshot_max_age_ms",
            file.store.snapshot_max_age_ms,
            500..=60_000,
        );
        let snapshot_max_age = Duration::from_millis(file.store.snapshot_max_age_ms);
        within(
            "bounds.request_ids",
            count(file.bounds.request_ids),
            1..=50_000_000,
        );
        within(
            "bounds.connections",
            count(file.bounds.connections),
            1..=100_000,
        );
        if file.hook.as_ref().is_some_and(|hook| {
            hook.command
                .first()
                .is_none_or(|program| program.trim().is_empty())
        }) {
            wrong("hook.command: is empty: expected a program and its arguments".to_owned());
        }
        if file.log.read_only_free_mib < file.log.segment_mib {
            wrong(format!(
                "log.read_only_free_mib: {} is less than log.segment_mib ({}), which the next segment takes at once",
                file.log.read_only_free_mib, file.log.segment_mib
            ));
        }
        let data: PathBuf = folder.join(file.data).components().collect();
        let store = file.store.place(&data, folder);
        if let Err(why) = &store {
            wrong(why.clone());
        }
        let mut sinks = sinks::read_tables(file.sink, folder, &data, &mut wrong);
        sinks.extend(file.hook.map(|hook| {
            SinkConfig::hook(CommandConfig {
                command: hook.command,
                timeout: Duration::from_secs(hook.timeout_seconds),
                directory: folder.to_owned(),
            })
        }));
        let policy = file
            .policy
            .read(&mut |what| faults.push(format!("{name}: {what}")));
        let witness = file
            .witness
            .read(folder, &mut |what| faults.push(format!("{name}: {what}")));
        match (grpc_listen, http_listen, trust_domain, store) {
            (Some(grpc_listen), Some(http_listen), Some(trust_domain), Ok(store))
                if faults.is_empty() =>
            {
                Ok(Self {
                    data,
                    store,
                    snapshot_max_age,
                    pack: folder.join(file.pack),
                    policy,
                    grpc_listen,
                    http_listen,
                    certificate: folder.join(file.tls.certificate),
                    key: folder.join(file.tls.key),
                    client_authority: folder.join(file.tls.client_authority),
                    trust_domain,
                    revoked_certificates,
                    cli_certificate: file.tls.cli_certificate.map(|path| folder.join(path)),
                    console_certificate: file.tls.console_certificate.map(|path| folder.join(path)),
                    allow_loopback_device: file.allow_loopback_device,
                    login: LoginSettings {
                        enrollment_code_required: file.login.enrollment_code_required,
                        notice_acknowledgement_required: file.login.notice_acknowledgement_required,
                    },
                    log_deadline: Duration::from_millis(file.log.deadline_ms),
                    log_segment_bytes: file.log.segment_mib << 20,
                    log_space: SpaceTiers {
                        warn_below: file.log.warn_free_mib << 20,
                        refuse_below: file.log.read_only_free_mib << 20,
                    },
                    dispose_needs_two: file.log.dispose_needs_two,
                    small_office: file.accounts.small_office,
                    request_ids_max: file.bounds.request_ids,
                    connections_max: file.bounds.connections,
                    recovery_key: file.backup.recovery_key.map(|path| folder.join(path)),
                    sinks,
                    witness,
                })
            }
            _ => Err(ConfigErrors(faults)),
        }
    }
}

fn read_fingerprint(text: &str) -> Option<[u8; 32]> {
    let hex = text.replace(':', "").to_ascii_lowercase();
    data_encoding::HEXLOWER
        .decode(hex.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
data = "data"
pack = "/packs/recruitment"
[grpc]
listen = "127.0.0.1:7443"
[http]
listen = "127.0.0.1:7480"
[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
client_authority = "tls/ca.pem"
trust_domain = "sekisho.test"
"#;

    fn read(text: &str) -> Result<Config, ConfigErrors> {
        Config::read(text, "sekisho.toml", Path::new("/etc/sekisho"), |_| None)
    }

    #[test]
    fn paths_are_taken_from_the_files_folder() {
        let config = read(WHOLE).unwrap();
        assert_eq!(config.data, Path::new("/etc/sekisho/data"));
        assert_eq!(config.pack, Path::new("/packs/recruitment"));
        assert!(!config.allow_loopback_device);
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let environment =
            |name: &str| (name == "SEKISHO_GRPC_LISTEN").then(|| "[::1]:1".to_owned());
        let config = Config::read(WHOLE, "f", Path::new("/"), environment).unwrap();
        assert_eq!(config.grpc_listen, "[::1]:1".parse().unwrap());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let faults = read(&format!("{WHOLE}trust_domains = 1\n")).unwrap_err();
        assert!(
            faults.0[0].starts_with("sekisho.toml:13: unknown field `trust_domains`"),
            "{faults}"
        );
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let text = WHOLE
            .replace("127.0.0.1:7443", "localhost")
            .replace("sekisho.test", "Sekisho Test")
            + "revoked_certificates = [\"abc\"]\n[log]\ndeadline_ms = 0\nread_only_free_mib = 63\n";
        let faults = read(&text).unwrap_err().0;
        for key in [
            "grpc.listen",
            "tls.trust_domain",
            "tls.revoked_certificates",
            "log.deadline_ms",
            "log.read_only_free_mib: 63 is less than log.segment_mib (64)",
        ] {
            assert!(
                faults.iter().any(|fault| fault.contains(key)),
                "{key}: {faults:?}"
            );
        }
    }

    #[test]
    fn the_store_is_embedded_unless_an_address_says_otherwise() {
        let config = read(WHOLE).unwrap();
        let embedded = Path::new("/etc/sekisho/data/store.sqlite");
        assert!(matches!(config.store, StorePlace::File(path) if path == embedded));
        let with = |section: &str| read(&format!("{WHOLE}[store]\n{section}\n"));
        let config = with("url = \"postgres://u@127.0.0.1/d\"\nshared = true").unwrap();
        assert!(matches!(
            config.store,
            StorePlace::Postgres { shared: true, .. }
        ));
        for refused in [
            "shared = true",
            "password_file = \"p\"",
            "url = \"postgres://u:hidden@db.example/d\"",
            "url = \"mysql://u:hidden@127.0.0.1/d\"",
            "snapshot_max_age_ms = 0",
        ] {
            let faults = with(refused).unwrap_err().to_string();
            assert!(faults.contains("store"), "{faults}");
            assert!(!faults.contains("hidden"), "{faults}");
        }
    }
}

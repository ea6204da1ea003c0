//! `[[sink]]` of the configuration. Pure: names files, reads none.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::command::CommandConfig;
use crate::export::Format;
use crate::http_client::Endpoint;
use crate::tls_client::{TlsFiles, is_server_name};

/// How many sinks there may be: each has a task and a batch in memory.
const SINKS_MAX: usize = 16;
/// The id of the sink that `[hook]` is.
const HOOK: &str = "hook";
const ID_MAX_BYTES: usize = 64;
/// Set aside for examples (RFC 5612): whoever has a number of their own gives it.
const ENTERPRISE_NUMBER: u32 = 32_473;
/// What in the data directory is no place for a sink's file.
const RESERVED: [&str; 8] = [
    "log",
    "index",
    "seals",
    "sinks",
    "keyring",
    "master.key",
    "tls",
    "store.sqlite",
];

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its id: lower-case letters, digits, hyphen; at most 64 bytes. Names its position file and its metrics.
    pub id: String,
    /// What entries are written as; never CSV.
    pub format: Format,
    /// Where they go.
    pub target: TargetConfig,
}

/// Where entries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetConfig {
    /// Appended to a file.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// To a syslog receiver.
    Syslog {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Files for TLS and the name that the receiver's certificate must bear; plain TCP without.
        tls: Option<(TlsFiles, String)>,
        /// The private enterprise number (IANA) of the structured data's name.
        enterprise_number: u32,
    },
    /// Posted to an HTTP endpoint.
    Http {
        /// Where.
        endpoint: Endpoint,
        /// Files for TLS; present if and only if the endpoint is `https://`.
        tls: Option<TlsFiles>,
        /// A private file with the bearer token.
        token_file: Option<PathBuf>,
    },
    /// The operator's own, run for what people should be told of; of `[hook]`.
    Command(CommandConfig),
}

impl SinkConfig {
    /// The sink that runs a command for what people should be told of.
    #[must_use]
    pub fn hook(command: CommandConfig) -> Self {
        Self {
            id: HOOK.to_owned(),
            format: Format::JsonLines,
            target: TargetConfig::Command(command),
        }
    }
}

/// A sink as it is written in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkTable {
    id: String,
    kind: String,
    format: String,
    path: Option<PathBuf>,
    address: Option<String>,
    transport: Option<String>,
    server_name: Option<String>,
    enterprise_number: Option<u32>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Reads the tables; relative paths are taken from `folder`. Everything that is wrong goes to `wrong`.
pub(crate) fn read_tables(
    tables: Vec<SinkTable>,
    folder: &Path,
    data: &Path,
    mut wrong: impl FnMut(String),
) -> Vec<SinkConfig> {
    if tables.len() > SINKS_MAX {
        wrong(format!("sink: more than {SINKS_MAX}"));
    }
    let mut ids = HashSet::new();
    let mut paths = HashSet::new();
    let mut sinks = Vec::new();
    for (number, table) in tables.into_iter().enumerate() {
        let id = table.id.clone();
        let mut name = format!("sink.{id}");
        if !is_id(&id) {
            name = format!("sink[{number}]");
            wrong(format!(
                "{name}.id: {id:?} is not 1 to {ID_MAX_BYTES} lower-case letters, digits and hyphens"
            ));
        }
        if id == HOOK {
            wrong(format!("{name}: is the id of [hook]"));
        }
        if !ids.insert(id) {
            wrong(format!("{name}: another sink has this id"));
        }
        let mut reading = Reading {
            folder,
            faults: Vec::new(),
        };
        let sink = reading.sink(table);
        for fault in reading.faults {
            wrong(format!("{name}.{fault}"));
        }
        let Some(sink) = sink else { continue };
        if let TargetConfig::File { path } = &sink.target {
            if !paths.insert(path.clone()) {
                wrong(format!("{name}.path: another sink writes to it"));
            }
            if is_reserved(path, data) {
                wrong(format!(
                    "{name}.path: {} belongs to the daemon's own data",
                    path.display()
                ));
            }
        }
        sinks.push(sink);
    }
    sinks
}

fn is_id(text: &str) -> bool {
    (1..=ID_MAX_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_reserved(path: &Path, data: &Path) -> bool {
    let Ok(within) = path.strip_prefix(data) else {
        return false;
    };
    match within.components().next() {
        Some(Component::Normal(first)) => RESERVED
            .iter()
            .any(|name| first.as_encoded_bytes().starts_with(name.as_bytes())),
        _ => true,
    }
}

/// One table being read.
struct Reading<'a> {
    folder: &'a Path,
    faults: Vec<String>,
}

impl Reading<'_> {
    fn wrong<T>(&mut self, what: impl Into<String>) -> Option<T> {
        self.faults.push(what.into());
        None
    }

    fn sink(&mut self, table: SinkTable) -> Option<SinkConfig> {
        let format = match table.format.as_str() {
            "jsonl" => Some(Format::JsonLines),
            "ocsf" => Some(Format::Ocsf),
            other => self.wrong(format!("format: {other:?} is none of jsonl, ocsf")),
        };
        let id = table.id.clone();
        let target = match table.kind.as_str() {
            "file" => self.file(table),
            "syslog" => self.syslog(table),
            "http" => self.http(table),
            other => self.wrong(format!("kind: {other:?} is none of file, syslog, http")),
        };
        Some(SinkConfig {
            id,
            format: format?,
            target: target?,
        })
    }

    /// A key that has no meaning here would be ignored otherwise.
    fn unused(&mut self, kind: &str, keys: &[(&str, bool)]) {
        for (key, given) in keys {
            if *given {
                self.faults
                    .push(format!("{key}: has no meaning for {kind}"));
            }
        }
    }

    fn file(&mut self, table: SinkTable) -> Option<TargetConfig> {
        self.unused(
            "kind file",
            &[
                ("address", table.address.is_some()),
                ("transport", table.transport.is_some()),
                ("server_name", table.server_name.is_some()),
                ("enterprise_number", table.enterprise_number.is_some()),
                ("url", table.url.is_some()),
                ("token_file", table.token_file.is_some()),
                ("ca", table.ca.is_some()),
                ("certificate", table.certificate.is_some()),
                ("key", table.key.is_some()),
            ],
        );
        match table.path {
            Some(path) if path.file_name().is_some() => Some(TargetConfig::File {
                path: normal(&self.folder.join(path)),
            }),
            Some(_) => self.wrong("path: names no file"),
            None => self.wrong("path: is missing"),
        }
    }

    fn syslog(&mut self, table: SinkTable) -> Option<TargetConfig> {
        self.unused(
            "kind syslog",
            &[
                ("path", table.path.is_some()),
                ("url", table.url.is_some()),
                ("token_file", table.token_file.is_some()),
            ],
        );
        let secure = match table.transport.as_deref() {
            None | Some("tls") => true,
            Some("tcp") => false,
            Some(other) => self.wrong(format!("transport: {other:?} is none of tls, tcp"))?,
        };
        let address = match &table.address {
            None => self.wrong("address: is missing, e.g. siem.example:6514"),
            Some(text) => host_and_port(text).or_else(|| {
                self.wrong(format!(
                    "address: {text:?} is no HOST:PORT, e.g. siem.example:6514"
                ))
            }),
        };
        let tls = if secure {
            let files = self.tls(&table);
            let host = address.as_ref().map(|(host, _)| host.clone());
            let name = table.server_name.clone().or(host);
            if let Some(bad) = name.as_ref().filter(|name| !is_server_name(name)) {
                self.wrong::<()>(format!(
                    "server_name: {bad:?} is no name that a certificate can bear"
                ));
            }
            match (files, name) {
                (Some(files), Some(name)) => Some(Some((files, name))),
                _ => None,
            }
        } else {
            self.no_tls("transport tcp", &table);
            Some(None)
        };
        let (host, port) = address?;
        Some(TargetConfig::Syslog {
            host,
            port,
            tls: tls?,
            enterprise_number: table.enterprise_number.unwrap_or(ENTERPRISE_NUMBER),
        })
    }

    fn http(&mut self, table: SinkTable) -> Option<TargetConfig> {
        self.unused(
            "kind http",
            &[
                ("path", table.path.is_some()),
                ("address", table.address.is_some()),
                ("transport", table.transport.is_some()),
                ("server_name", table.server_name.is_some()),
                ("enterprise_number", table.enterprise_number.is_some()),
            ],
        );
        let endpoint = match &table.url {
            None => self.wrong("url: is missing"),
            Some(url) => match Endpoint::parse(url) {
                Ok(endpoint) => Some(endpoint),
                // The URL is not repeated: it may hold a password.
                Err(error) => self.wrong(format!("url: {error}")),
            },
        };
        let endpoint = endpoint?;
        let tls = if endpoint.is_secure() {
            Some(self.tls(&table)?)
        } else {
            self.no_tls("http://", &table);
            if table.token_file.is_some() && !endpoint.is_loopback() {
                self.wrong::<()>("token_file: would go over the network in clear: use https://");
            }
            None
        };
        Some(TargetConfig::Http {
            endpoint,
            tls,
            token_file: table.token_file.map(|path| self.folder.join(path)),
        })
    }

    fn tls(&mut self, table: &SinkTable) -> Option<TlsFiles> {
        let place = |path: &PathBuf| self.folder.join(path);
        let own = match (&table.certificate, &table.key) {
            (Some(certificate), Some(key)) => Some(Some((place(certificate), place(key)))),
            (None, None) => Some(None),
            (Some(_), None) => self.wrong("key: is missing; certificate is given"),
            (None, Some(_)) => self.wrong("certificate: is missing; key is given"),
        };
        match &table.ca {
            Some(ca) => Some(TlsFiles {
                ca: self.folder.join(ca),
                own: own?,
            }),
            None => self.wrong("ca: is missing: the authority of the receiver's certificate (PEM)"),
        }
    }

    fn no_tls(&mut self, what: &str, table: &SinkTable) {
        self.unused(
            what,
            &[
                ("ca", table.ca.is_some()),
                ("certificate", table.certificate.is_some()),
                ("key", table.key.is_some()),
                ("server_name", table.server_name.is_some()),
            ],
        );
    }
}

/// Without `.` and doubled separators, so that one file has one path.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    good.then(|| (bare.unwrap_or(host).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<SinkConfig>, Vec<String>> {
        #[derive(Deserialize)]
        struct File {
            sink: Vec<SinkTable>,
        }
        let file: File = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut faults = Vec::new();
        let (folder, data) = (Path::new("/etc/sekisho"), Path::new("/var/sekisho"));
        let sinks = read_tables(file.sink, folder, data, |fault| faults.push(fault));
        if faults.is_empty() {
            Ok(sinks)
        } else {
            Err(faults)
        }
    }

    #[test]
    fn each_kind_is_read_whole() {
        let sinks = read(
            r#"
            [[sink]]
            id = "copy"
            kind = "file"
            format = "jsonl"
            path = "./copy.jsonl"
            [[sink]]
            id = "siem"
            kind = "syslog"
            format = "ocsf"
            address = "[::1]:6514"
            ca = "ca.pem"
            certificate = "own.pem"
            key = "own.key"
            [[sink]]
            id = "collector"
            kind = "http"
            format = "jsonl"
            url = "https://collector.example/in"
            ca = "/ca.pem"
            token_file = "token"
            "#,
        )
        .unwrap();
        assert_eq!(
            sinks[0].target,
            TargetConfig::File {
                path: "/etc/sekisho/copy.jsonl".into()
            }
        );
        let TargetConfig::Syslog {
            host,
            port,
            tls,
            enterprise_number,
        } = &sinks[1].target
        else {
            panic!("{:?}", sinks[1]);
        };
        assert_eq!(
            (host.as_str(), *port, *enterprise_number),
            ("::1", 6_514, 32_473)
        );
        let (files, name) = tls.as_ref().unwrap();
        assert_eq!(name, "::1");
        assert_eq!(files.ca, Path::new("/etc/sekisho/ca.pem"));
        let TargetConfig::Http {
            tls, token_file, ..
        } = &sinks[2].target
        else {
            panic!("{:?}", sinks[2]);
        };
        assert_eq!(tls.as_ref().unwrap().ca, Path::new("/ca.pem"));
        assert_eq!(token_file.as_deref(), Some(Path::new("/etc/sekisho/token")));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_sink_and_key() {
        let head =
            |kind: &str| format!("[[sink]]\nid = \"a\"\nkind = \"{kind}\"\nformat = \"jsonl\"\n");
        for (text, fault) in [
            (head("kafka"), "sink.a.kind: \"kafka\" is none of"),
            (head("file"), "sink.a.path: is missing"),
            (
                head("file") + "path = \"/\"\n",
                "sink.a.path: names no file",
            ),
            (
                head("file") + "path = \"/var/sekisho/log/1\"\n",
                "belongs to the daemon's own data",
            ),
            (
                head("file") + "path = \"x\"\nurl = \"http://a/\"\n",
                "sink.a.url: has no meaning for kind file",
            ),
            (
                head("file").replace("jsonl", "csv") + "path = \"x\"\n",
                "sink.a.format: \"csv\" is none of",
            ),
            (
                head("file").replace("\"a\"", "\"A b\"") + "path = \"x\"\n",
                "sink[0].id: \"A b\" is not",
            ),
            (
                head("file") + "path = \"x\"\n" + head("file").as_str() + "path = \"y\"\n",
                "sink.a: another sink has this id",
            ),
            (
                head("file")
                    + "path = \"x\"\n"
                    + head("file").replace("\"a\"", "\"b\"").as_str()
                    + "path = \"./x\"\n",
                "sink.b.path: another sink writes to it",
            ),
            (head("syslog"), "sink.a.address: is missing"),
            (
                head("syslog") + "address = \"siem\"\nca = \"x\"\n",
                "sink.a.address: \"siem\" is no HOST:PORT",
            ),
            (
                head("syslog") + "address = \"siem:6514\"\n",
                "sink.a.ca: is missing",
            ),
            (
                head("syslog") + "address = \"siem:514\"\ntransport = \"udp\"\n",
                "sink.a.transport: \"udp\" is none of",
            ),
            (
                head("syslog") + "address = \"siem:514\"\ntransport = \"tcp\"\nca = \"x\"\n",
                "sink.a.ca: has no meaning for transport tcp",
            ),
            (
                head("syslog") + "address = \"siem:514\"\nca = \"x\"\nkey = \"x\"\n",
                "sink.a.certificate: is missing",
            ),
            (
                head("syslog") + "address = \"siem:514\"\nca = \"x\"\nserver_name = \"a b\"\n",
                "sink.a.server_name: \"a b\" is no name",
            ),
            (head("http"), "sink.a.url: is missing"),
            (
                head("http") + "url = \"https://u:secret@siem/\"\nca = \"x\"\n",
                "sink.a.url: is not http://",
            ),
            (
                head("http") + "url = \"https://siem/\"\n",
                "sink.a.ca: is missing",
            ),
            (
                head("http") + "url = \"http://siem/\"\ntoken_file = \"x\"\n",
                "sink.a.token_file: would go over the network in clear",
            ),
            (head("file") + "retries = 3\n", "unknown field `retries`"),
        ] {
            let faults = read(&text).unwrap_err().join("\n");
            assert!(faults.contains(fault), "{text}\n{faults}");
            assert!(!faults.contains("secret"));
        }
    }
}

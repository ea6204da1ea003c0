//! `[witness]` of the configuration, read strictly.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::http_client::Endpoint as Url;
use crate::log::VerifierKey;

/// More would be a mistake.
const WITNESSES_MAX: usize = 32;

/// Who is handed the log's checkpoints, and how often. The default is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessConfig {
    /// Whether a start needs every one of them.
    pub required: bool,
    /// Directories that get the newest checkpoint as a file.
    pub directories: Vec<PathBuf>,
    /// Witnesses over HTTP.
    pub endpoints: Vec<EndpointConfig>,
    /// How long each may take over a call; 1 s to 60 s.
    pub timeout: Duration,
    /// How often.
    pub pace: Pace,
}

/// How often checkpoints are handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    /// The least time between two of them; 1 s to an hour.
    pub every: Duration,
    /// After how long without any witness that took one operators are warned; up to a day.
    pub required_within: Duration,
}

/// A witness over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Where checkpoints are posted to.
    pub url: Url,
    /// What its cosignatures are verified with.
    pub key: VerifierKey,
    /// The authority of its certificate (PEM); none for plain HTTP on this machine.
    pub ca: Option<PathBuf>,
}

/// The section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    required: bool,
    directories: Vec<PathBuf>,
    endpoint: Vec<EndpointSection>,
    every_seconds: u64,
    timeout_seconds: u64,
    required_within_seconds: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            required: false,
            directories: Vec::new(),
            endpoint: Vec::new(),
            every_seconds: 10,
            timeout_seconds: 10,
            required_within_seconds: 300,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointSection {
    url: String,
    key: String,
    ca: Option<PathBuf>,
}

impl Section {
    /// Checks it. Relative paths are taken from `folder`; each fault is told to `wrong`, and what comes back counts only when
    /// there was none.
    pub fn read(self, folder: &Path, wrong: &mut dyn FnMut(String)) -> WitnessConfig {
        let bounds = [
            ("every_seconds", self.every_seconds, 1, 3_600),
            ("timeout_seconds", self.timeout_seconds, 1, 60),
            (
                "required_within_seconds",
                self.required_within_seconds,
                self.every_seconds.max(1),
                86_400,
            ),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                wrong(format!(
                    "witness.{key}: {value} is not from {least} to {most}"
                ));
            }
        }
        let count = self.directories.len().saturating_add(self.endpoint.len());
        if count > WITNESSES_MAX {
            wrong(format!("witness: names {count}, over {WITNESSES_MAX}"));
        }
        if self.required && count == 0 {
            wrong(
                "witness.required: is true, and there is neither a directory nor an endpoint"
                    .to_owned(),
            );
        }
        let mut seen = HashSet::new();
        let mut directories = Vec::new();
        for directory in self.directories {
            if directory.as_os_str().is_empty() {
                wrong("witness.directories: one is empty".to_owned());
            }
            let directory: PathBuf = folder.join(directory).components().collect();
            if !seen.insert(directory.clone()) {
                wrong(format!(
                    "witness.directories: {} is there twice",
                    directory.display()
                ));
            }
            directories.push(directory);
        }
        let mut endpoints: Vec<EndpointConfig> = Vec::new();
        for (place, section) in self.endpoint.into_iter().enumerate() {
            let mut wrong = |what: String| wrong(format!("witness.endpoint[{place}].{what}"));
            let Some(endpoint) = section.read(folder, &mut wrong) else {
                continue;
            };
            if endpoints
                .iter()
                .any(|other| other.key.name() == endpoint.key.name())
            {
                wrong(format!("key: {} is there twice", endpoint.key.name()));
            }
            if endpoints.iter().any(|other| other.url == endpoint.url) {
                wrong(format!("url: {} is there twice", endpoint.url));
            }
            endpoints.push(endpoint);
        }
        WitnessConfig {
            required: self.required,
            directories,
            endpoints,
            timeout: Duration::from_secs(self.timeout_seconds),
            pace: Pace {
                every: Duration::from_secs(self.every_seconds),
                required_within: Duration::from_secs(self.required_within_seconds),
            },
        }
    }
}

impl EndpointSection {
    fn read(self, folder: &Path, wrong: &mut dyn FnMut(String)) -> Option<EndpointConfig> {
        let key = match VerifierKey::parse(&self.key) {
            Ok(key) if key.is_witness() => Some(key),
            Ok(_) => {
                wrong(
                    "key: is the key of a log (type 1), and not of a witness (type 4)".to_owned(),
                );
                None
            }
            Err(error) => {
                wrong(format!("key: {error}"));
                None
            }
        };
        let posted_to = format!("{}/add-checkpoint", self.url.trim_end_matches('/'));
        let url = match Url::parse(&posted_to) {
            Ok(_) if self.url.contains('?') => {
                wrong(format!("url: {:?} has a query", self.url));
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                wrong(format!("url: {:?} {error}", self.url));
                None
            }
        };
        if let Some(url) = &url {
            match (url.is_secure(), &self.ca) {
                (true, None) => wrong(
                    "ca: is missing: https needs the authority of the witness's certificate"
                        .to_owned(),
                ),
                (false, Some(_)) => wrong("ca: has no meaning for http".to_owned()),
                (false, None) if !url.is_loopback() => wrong(format!(
                    "url: {:?} is neither https nor at a loopback address of this machine",
                    self.url
                )),
                _ => {}
            }
        }
        Some(EndpointConfig {
            url: url?,
            key: key?,
            ca: self.ca.map(|ca| folder.join(ca)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `witness.example/1` with a public key of its own.
    const KEY: &str = "witness.example/1+a10c19f4+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn read(text: &str) -> Result<WitnessConfig, Vec<String>> {
        let section: Section = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut faults = Vec::new();
        let config = section.read(Path::new("/etc/sekisho"), &mut |what| faults.push(what));
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(faults)
        }
    }

    #[test]
    fn nothing_said_is_nobody_and_paths_are_taken_from_the_files_folder() {
        let config = read("").unwrap();
        assert!(!config.required && config.directories.is_empty());
        assert_eq!(config.pace.every, Duration::from_secs(10));
        let config = read(&format!(
            "directories = [\"kept\", \"/mnt/other\"]\n[[endpoint]]\nurl = \"https://w.example/a/\"\nkey = \"{KEY}\"\nca = \"ca.pem\""
        ))
        .unwrap();
        assert_eq!(
            config.directories,
            [Path::new("/etc/sekisho/kept"), Path::new("/mnt/other")]
        );
        let endpoint = &config.endpoints[0];
        assert_eq!(
            endpoint.url.to_string(),
            "https://w.example/a/add-checkpoint"
        );
        assert_eq!(
            endpoint.ca.as_deref(),
            Some(Path::new("/etc/sekisho/ca.pem"))
        );
    }

    #[test]
    fn each_fault_names_its_field() {
        let endpoint = |url: &str, key: &str, more: &str| {
            format!("[[endpoint]]\nurl = \"{url}\"\nkey = \"{key}\"\n{more}")
        };
        let ca = "ca = \"ca.pem\"\n";
        let log_key = "log.example+00000000+AQ==";
        for (text, field) in [
            ("required = true".to_owned(), "witness.required: "),
            ("every_seconds = 0".to_owned(), "witness.every_seconds: "),
            (
                "timeout_seconds = 61".to_owned(),
                "witness.timeout_seconds: ",
            ),
            (
                "required_within_seconds = 9".to_owned(),
                "witness.required_within_seconds: ",
            ),
            (
                "directories = [\"a\", \"./a\"]".to_owned(),
                "witness.directories: ",
            ),
            (
                endpoint("http://192.0.2.1/", KEY, ""),
                "witness.endpoint[0].url: ",
            ),
            (
                endpoint("https://w.example/?a", KEY, ca),
                "witness.endpoint[0].url: ",
            ),
            (
                endpoint("https://w.example", KEY, ""),
                "witness.endpoint[0].ca: ",
            ),
            (
                endpoint("http://127.0.0.1:1", KEY, ca),
                "witness.endpoint[0].ca: ",
            ),
            (
                endpoint("http://127.0.0.1:1", log_key, ""),
                "witness.endpoint[0].key: ",
            ),
            (
                [1, 2]
                    .map(|port| endpoint(&format!("http://127.0.0.1:{port}"), KEY, ""))
                    .join("\n"),
                "witness.endpoint[1].key: ",
            ),
        ] {
            let faults = read(&text).unwrap_err();
            assert!(faults[0].starts_with(field), "{text}: {faults:?}");
        }
        assert!(read("directory = \"a\"").is_err());
    }
}

//! Remembers every secret that passes through a door, and looks for it in files byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;

use super::people::People;
use super::play::{CallError, Door, Metadata};

/// Shorter ones are found by chance.
const BYTES_MIN: usize = 6;

/// What must not be found anywhere, each with what it is.
#[derive(Debug, Default)]
pub struct Secrets {
    known: BTreeMap<Vec<u8>, &'static str>,
    kinds: BTreeSet<&'static str>,
}

impl Secrets {
    pub fn add(&mut self, what: &'static str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        if bytes.len() >= BYTES_MIN && !bytes.iter().all(u8::is_ascii_whitespace) {
            self.kinds.insert(what);
            self.known.insert(bytes, what);
        }
    }

    /// The keys of a data directory, and the passwords and seeds of its people: as text, as bytes and in hexadecimal.
    pub fn of_data(&mut self, data: &Path) {
        let keyring = fs::read_to_string(data.join("keyring")).unwrap();
        for line in keyring
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with('#'))
        {
            let Some(bytes) = unwrap(data, line) else {
                continue;
            };
            let key = BASE64URL_NOPAD.encode(&bytes);
            self.add("key", key);
            self.add("key", HEXLOWER.encode(&bytes));
            self.add("key", bytes);
        }
        let master = fs::read_to_string(data.join("master.key")).unwrap();
        self.add("key", master.trim());
        let people = fs::read_to_string(data.join("dev/people.json")).unwrap();
        let people: Value = serde_json::from_str(&people).unwrap();
        for person in people.as_array().unwrap() {
            self.add("password", person["password"].as_str().unwrap());
            if let Some(seed) = person["totp_secret"].as_str() {
                let bytes = BASE32_NOPAD.decode(seed.as_bytes()).unwrap();
                self.add("seed", seed);
                self.add("seed", HEXLOWER.encode(&bytes));
                self.add("seed", bytes);
            }
        }
    }

    /// What a request or an answer has, by the names of its fields.
    fn of_message(&mut self, message: &Value, own_ids: &BTreeSet<String>) {
        match message {
            Value::Array(all) => {
                for one in all {
                    self.of_message(one, own_ids);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let what = match name.as_str() {
                        "password" | "new_password" => "password",
                        "totp" => "code",
                        "session_ticket" | "sessionTicket" | "renewedTicket" | "renewed_ticket" => {
                            "ticket"
                        }
                        "challenge_id" | "challengeId" => "challenge",
                        "subject_ref" | "subjectRef" | "subject_refs" | "subjectRefs" => "subject",
                        "break_glass" | "breakGlass" => {
                            if let Some(reason) = value.get("reason").and_then(Value::as_str) {
                                self.add("reason", reason);
                            }
                            continue;
                        }
                        _ => {
                            self.of_message(value, own_ids);
                            continue;
                        }
                    };
                    let texts = match value {
                        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                        value => value.as_str().into_iter().collect::<Vec<_>>(),
                    };
                    for text in texts {
                        // Who reads their own data is named as the person who acted, too.
                        if what != "subject" || !own_ids.contains(text) {
                            self.add(what, text);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Which kinds of secret are known.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.kinds.iter().copied().collect()
    }

    /// Every secret that is in the bytes: what, and its text.
    pub fn found_in(&self, name: &str, bytes: &[u8]) -> Vec<String> {
        // By their first two bytes, so that the bytes are gone through once.
        let mut by_start: BTreeMap<[u8; 2], Vec<(&[u8], &'static str)>> = BTreeMap::new();
        for (secret, what) in &self.known {
            let start = [secret[0], secret[1]];
            by_start.entry(start).or_default().push((secret, what));
        }
        let mut found = BTreeSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            let Some(candidates) = by_start.get(pair) else {
                continue;
            };
            for (secret, what) in candidates {
                if !bytes[at..].starts_with(secret) {
                    continue;
                }
                if *what == "code" && !stands_alone(bytes, at, secret.len()) {
                    continue;
                }
                found.insert(format!(
                    "{name}: {what} {}",
                    String::from_utf8_lossy(secret)
                ));
            }
        }
        found.into_iter().collect()
    }

    /// The same in every file below a folder, or in one file.
    pub fn found_below(&self, path: &Path) -> Vec<String> {
        if path.is_dir() {
            let files = fs::read_dir(path).unwrap();
            return files
                .flat_map(|file| self.found_below(&file.unwrap().path()))
                .collect();
        }
        self.found_in(&path.display().to_string(), &fs::read(path).unwrap())
    }
}

/// Whether the digits are a word of a text or a string of a message (its length before it): six of them in a row are met by
/// chance within random names and hashes.
fn stands_alone(bytes: &[u8], at: usize, len: usize) -> bool {
    let before = at.checked_sub(1).map(|at| bytes[at]);
    let after = bytes.get(at + len);
    before.is_some_and(|before| usize::from(before) == len)
        || !before.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && !after.is_some_and(u8::is_ascii_alphanumeric)
}

/// A door that remembers the secrets of what goes through it.
pub struct Overheard<D> {
    pub door: D,
    pub secrets: Secrets,
    own_ids: BTreeSet<String>,
}

impl<D: Door> Overheard<D> {
    /// `own_ids` are ids of people that are also asked about as subjects.
    pub fn new(door: D, own_ids: impl Iterator<Item = String>) -> Self {
        Self {
            door,
            secrets: Secrets::default(),
            own_ids: own_ids.collect(),
        }
    }
}

impl<D: Door> Door for Overheard<D> {
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        self.secrets.of_message(request, &self.own_ids);
        let answer = self.door.call(service, method, request, metadata);
        if let Ok(answer) = &answer {
            self.secrets.of_message(answer, &self.own_ids);
        }
        answer
    }

    fn advance(&mut self, by: Duration) {
        self.door.advance(by);
    }

    fn now(&self) -> u64 {
        self.door.now()
    }

    fn registrar(&self) -> String {
        self.door.registrar()
    }

    fn people(&self) -> &People {
        self.door.people()
    }
}

/// The key of a line of the keyring, unwrapped as its description says; `None` for the line that names the master key.
fn unwrap(data: &Path, line: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [purpose, id, wrapped] = words[..] else {
        assert!(line.starts_with("master "), "{line}");
        return None;
    };
    let master = fs::read_to_string(data.join("master.key")).unwrap();
    let master = BASE64URL_NOPAD.decode(master.trim().as_bytes()).unwrap();
    let wrapped = BASE64URL_NOPAD.decode(wrapped.as_bytes()).unwrap();
    let master_id = fs::read_to_string(data.join("keyring")).unwrap();
    let master_id = master_id
        .lines()
        .find_map(|line| line.strip_prefix("master "))
        .unwrap()
        .to_owned();
    let cipher = XChaCha20Poly1305::new_from_slice(&master).unwrap();
    let context = [b"keyring\0", purpose.as_bytes(), b"\0", id.as_bytes()].concat();
    let (nonce, sealed) = wrapped.split_at(24);
    let payload = Payload {
        msg: sealed,
        aad: &[b"sekisho sealed 1\0", master_id.as_bytes(), &context].concat(),
    };
    Some(cipher.decrypt(nonce.try_into().unwrap(), payload).unwrap())
}

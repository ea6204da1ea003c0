//! The keyring: every long-lived key, in one private file outside the store and the log, so that neither is worth anything
//! to whoever has only a copy of it.
//!
//! ```text
//! sekisho-keyring 1
//! # a comment
//! tickets    1f00ba11 <32 bytes, base64url>
//! pseudonyms ...
//! seeds      ...
//! log-text   ...
//! log-signing ...
//! pepper     ...
//! ```
//!
//! One key a line: what for, its id, the key. The id is a hash over the other two and is checked, so a damaged line never
//! becomes another key: with a wrong pseudonym key every hold would be lost from sight. Of `tickets`, `seeds` and
//! `log-text` there may be several, the one in use first.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

pub use super::keys::{KeyId, LogSigningSeed, Pepper, PseudonymKey, SealError, SealingKey};
pub use super::ticket::TicketKeys;

use super::keys::{KEY_BYTES, Key};
use crate::files::{self, FileError};

const FIRST_LINE: &str = "sekisho-keyring 1";
const NOTICE: &str = "# Keep a copy apart from the data: without it no password, second factor, hold or sealed text can be used again.";
/// Room for about 500 keys.
const MAX_BYTES: usize = 64 * 1024;
/// Base64url without padding of [`KEY_BYTES`].
const KEY_CHARACTERS: usize = 43;

const TICKETS: &str = "tickets";
const PSEUDONYMS: &str = "pseudonyms";
const SEEDS: &str = "seeds";
const LOG_TEXT: &str = "log-text";
const LOG_SIGNING: &str = "log-signing";
const PEPPER: &str = "pepper";
const PURPOSES: [&str; 6] = [TICKETS, PSEUDONYMS, SEEDS, LOG_TEXT, LOG_SIGNING, PEPPER];

/// Every long-lived key. Wiped when dropped; prints ids only.
#[derive(Debug)]
pub struct Keyring {
    /// Make and check tickets.
    pub tickets: TicketKeys,
    /// Turns subjects into pseudonyms.
    pub pseudonyms: PseudonymKey,
    /// Seals the seeds of second factors.
    pub seeds: SealingKey,
    /// Seals free text in the log.
    pub log_text: SealingKey,
    /// Signs the log's checkpoints.
    pub log_signing: LogSigningSeed,
    /// Goes into password hashes.
    pub pepper: Pepper,
}

/// Why there is no keyring. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file can't be used, or is there already.
    #[error("keyring: {0}")]
    File(#[from] FileError),
    /// A line is damaged; the line's text is not told, since it may be a key.
    #[error("keyring: line {line} {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no key for this.
    #[error("keyring: has no key for {0}")]
    Missing(&'static str),
    /// There is more than one key for what takes one.
    #[error("keyring: has more than one key for {0}")]
    TooMany(&'static str),
    /// The system gives no random numbers.
    #[error("keyring: the system gives no random numbers")]
    Random,
}

impl Keyring {
    /// Draws new keys and writes them to a new private file (0600), durably.
    ///
    /// # Errors
    /// [`KeyringError::File`] with [`FileError::Exists`] when something has that name: a keyring is never overwritten. Else
    /// when the system refuses.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let text = new_text()?;
        let keyring = read(&text)?;
        files::create_private(path, text.as_bytes())?;
        Ok(keyring)
    }

    /// Reads a keyring.
    ///
    /// # Errors
    /// When group or others may do anything with the file, when it is damaged, or when a key is missing.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        let bytes = files::read_private(path, MAX_BYTES as u64)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyringError::Line {
            line: 1,
            what: "is not text",
        })?;
        read(text)
    }

    /// Draws new keys that are kept nowhere.
    ///
    /// # Errors
    /// [`KeyringError::Random`].
    pub fn ephemeral() -> Result<Self, KeyringError> {
        read(&new_text()?)
    }
}

fn new_text() -> Result<Zeroizing<String>, KeyringError> {
    // Enough room from the start: a text that grew would leave copies of the keys behind.
    let mut text = Zeroizing::new(String::with_capacity(1_024));
    for line in [FIRST_LINE, NOTICE] {
        text.push_str(line);
        text.push('\n');
    }
    for purpose in PURPOSES {
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|_| KeyringError::Random)?;
        let key = Key::new(purpose, bytes);
        text.push_str(purpose);
        text.push(' ');
        text.push_str(key.id.as_str());
        text.push(' ');
        BASE64URL_NOPAD.encode_append(&*key.bytes, &mut text);
        text.push('\n');
    }
    Ok(text)
}

fn read(text: &str) -> Result<Keyring, KeyringError> {
    let mut lines = (1..).zip(text.split_terminator('\n'));
    if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
        return Err(KeyringError::Line {
            line: 1,
            what: "is not the first line of a keyring that this version reads",
        });
    }
    let mut found: Vec<(&'static str, Key)> = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.starts_with('#')) {
        let (purpose, key) =
            read_line(line).map_err(|what| KeyringError::Line { line: number, what })?;
        if found.iter().any(|(_, other)| other.id == key.id) {
            return Err(KeyringError::Line {
                line: number,
                what: "has the key of another line",
            });
        }
        found.push((purpose, key));
    }
    let mut take = |purpose: &'static str| -> Result<(Key, Vec<Key>), KeyringError> {
        let mut keys = found
            .extract_if(.., |(of, _)| *of == purpose)
            .map(|(_, key)| key);
        let current = keys.next().ok_or(KeyringError::Missing(purpose))?;
        Ok((current, keys.collect()))
    };
    let (tickets, older_tickets) = take(TICKETS)?;
    let (seeds, older_seeds) = take(SEEDS)?;
    let (log_text, older_log_text) = take(LOG_TEXT)?;
    let mut only = |purpose| match take(purpose)? {
        (key, others) if others.is_empty() => Ok(key),
        _ => Err(KeyringError::TooMany(purpose)),
    };
    Ok(Keyring {
        tickets: TicketKeys::new(&tickets, &older_tickets),
        pseudonyms: PseudonymKey::new(&only(PSEUDONYMS)?),
        seeds: SealingKey::new(&seeds, &older_seeds),
        log_text: SealingKey::new(&log_text, &older_log_text),
        log_signing: LogSigningSeed::new(&only(LOG_SIGNING)?),
        pepper: Pepper::new(&only(PEPPER)?),
    })
}

fn read_line(line: &str) -> Result<(&'static str, Key), &'static str> {
    let mut words = line.split(' ');
    let (Some(purpose), Some(id), Some(key), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("is not `use id key`");
    };
    let purpose = PURPOSES
        .into_iter()
        .find(|known| *known == purpose)
        .ok_or("has a use that this version does not know")?;
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    if key.len() != KEY_CHARACTERS
        || BASE64URL_NOPAD
            .decode_mut(key.as_bytes(), &mut *bytes)
            .is_err()
    {
        return Err("has no key of 32 bytes in base64url");
    }
    let key = Key::new(purpose, bytes);
    if key.id.as_str() != id {
        return Err("is damaged: its id is not that of its key");
    }
    Ok((purpose, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::SubjectRef;
    use crate::domain::ids::Name;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn subject(text: &str) -> SubjectRef {
        SubjectRef::new(&Name::parse(text).unwrap())
    }

    #[test]
    fn a_keyring_that_is_opened_again_has_the_same_keys() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        let made = Keyring::create(&path).unwrap();
        let opened = Keyring::open(&path).unwrap();
        assert_eq!(
            made.pseudonyms.pseudonym(&subject("A-1")),
            opened.pseudonyms.pseudonym(&subject("A-1"))
        );
        let sealed = made.seeds.seal(b"context", b"plain").unwrap();
        assert_eq!(&**opened.seeds.open(b"context", &sealed).unwrap(), b"plain");
        assert_eq!(made.pepper.expose(), opened.pepper.expose());
    }

    #[test]
    fn a_keyring_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        Keyring::create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Keyring::open(&path),
            Err(KeyringError::File(FileError::Exposed { mode: 0o644, .. }))
        ));
    }

    #[test]
    fn a_keyring_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        Keyring::create(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(
            Keyring::create(&path),
            Err(KeyringError::File(FileError::Exists { .. }))
        ));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn no_single_altered_character_makes_another_key() {
        let text = new_text().unwrap();
        let first_key = text.find(TICKETS).unwrap();
        for at in first_key..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(read(&altered).is_err(), "{at}");
        }
    }

    #[test]
    fn a_missing_or_second_key_is_told_by_its_use() {
        let text = new_text().unwrap();
        for purpose in PURPOSES {
            let without: Vec<&str> = text
                .lines()
                .filter(|line| !line.starts_with(purpose))
                .collect();
            assert!(matches!(
                read(&without.join("\n")),
                Err(KeyringError::Missing(missing)) if missing == purpose
            ));
        }
        let other = new_text().unwrap();
        let line = |of: &str| {
            other
                .lines()
                .find(|line| line.starts_with(of))
                .unwrap()
                .to_owned()
        };
        assert!(matches!(
            read(&format!("{}{}\n", *text, line(PEPPER))),
            Err(KeyringError::TooMany(PEPPER))
        ));
        let rotated = read(&format!("{}{}\n", *text, line(SEEDS))).unwrap();
        let old = read(&other).unwrap().seeds.seal(b"c", b"p").unwrap();
        assert_eq!(&**rotated.seeds.open(b"c", &old).unwrap(), b"p");
    }

    #[test]
    fn what_is_sealed_opens_only_whole_in_its_context_and_under_its_key() {
        let keyring = Keyring::ephemeral().unwrap();
        let sealed = keyring.seeds.seal(b"one", b"plain").unwrap();
        assert_eq!(sealed.len(), 24 + 5 + 16);
        assert_eq!(&**keyring.seeds.open(b"one", &sealed).unwrap(), b"plain");
        assert_eq!(
            keyring.seeds.open(b"two", &sealed).unwrap_err(),
            SealError::NotGenuine
        );
        assert_eq!(
            keyring.log_text.open(b"one", &sealed).unwrap_err(),
            SealError::NotGenuine
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keyring.seeds.open(b"one", &altered).is_err(), "{at}");
            assert!(keyring.seeds.open(b"one", &sealed[..at]).is_err(), "{at}");
        }
        assert_ne!(sealed, keyring.seeds.seal(b"one", b"plain").unwrap());
        assert_eq!(
            keyring
                .seeds
                .seal(b"", &vec![0; SealingKey::PLAIN_MAX_BYTES + 1]),
            Err(SealError::TooLong)
        );
    }

    #[test]
    fn a_pseudonym_is_hmac_sha_256_of_the_id() {
        use hmac::{Hmac, KeyInit, Mac};
        let key = Key::new(PSEUDONYMS, Zeroizing::new([7; KEY_BYTES]));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[7; KEY_BYTES]).unwrap();
        mac.update("応募者-1".as_bytes());
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(
            PseudonymKey::new(&key).pseudonym(&subject("応募者-1")).0,
            expected
        );
    }

    #[test]
    fn a_keyring_prints_no_key() {
        let text = new_text().unwrap();
        let printed = format!("{:?}", read(&text).unwrap());
        for line in text.lines().skip(2) {
            let key = line.rsplit(' ').next().unwrap();
            let bytes = BASE64URL_NOPAD.decode(key.as_bytes()).unwrap();
            assert!(!printed.contains(key));
            assert!(!printed.contains(&data_encoding::HEXLOWER.encode(&bytes)));
            assert!(!printed.contains(&format!("{}, {}", bytes[0], bytes[1])));
        }
    }
}

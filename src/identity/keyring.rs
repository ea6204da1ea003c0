//! The keyring: every long-lived key, in one private file outside the store and the log, so that neither is worth anything
//! to whoever has only a copy of it; wrapped by the master key, so that the file isn't either.
//!
//! ```text
//! sekisho-keyring 2
//! # a comment
//! master 5eed0001
//! tickets    1f00ba11 <32 bytes, wrapped, base64url>
//! pseudonyms ...
//! seeds      ...
//! log-text   ...
//! log-signing ...
//! pepper     ...
//! ```
//!
//! One key a line: what for, its id, the key under the master key that the third line names (XChaCha20-Poly1305, bound to what
//! it is for and its id). The id is a hash over use and key and is checked, so a damaged line never becomes another key: with
//! a wrong pseudonym key every hold would be lost from sight. Of `tickets`, `seeds` and `log-text` there may be several, the
//! one in use first: a rotation puts a new one in front, and what was made with those behind stays good.

use std::fs::File;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

pub use super::keys::{KeyId, LogSigningSeed, Pepper, PseudonymKey, SealError, SealingKey};
pub use super::ticket::TicketKeys;

use super::host_proof::HostProof;
use super::keys::{KEY_BYTES, Key};
use super::master::{MasterKey, MasterKeyError};
use crate::files::{self, FileError};

const FIRST_LINE: &str = "sekisho-keyring 2";
const NOTICE: &str = "# Keep a copy apart from the data: without it no password, second factor, hold or sealed text can be used again.";
/// Room for about 500 keys.
const MAX_BYTES: usize = 64 * 1024;
const FILE: &str = "keyring";
const MASTER: &str = "master";

const TICKETS: &str = "tickets";
const PSEUDONYMS: &str = "pseudonyms";
const SEEDS: &str = "seeds";
const LOG_TEXT: &str = "log-text";
const LOG_SIGNING: &str = "log-signing";
const PEPPER: &str = "pepper";
const PURPOSES: [&str; 6] = [TICKETS, PSEUDONYMS, SEEDS, LOG_TEXT, LOG_SIGNING, PEPPER];
/// Of which there may be several.
const ROTATING: [&str; 3] = [TICKETS, SEEDS, LOG_TEXT];

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
    /// Proves that somebody has this keyring.
    pub host_proof: HostProof,
    /// The data directory that it was read from.
    home: Option<PathBuf>,
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
    /// There is no master key, or it can't be used.
    #[error(transparent)]
    Master(#[from] MasterKeyError),
    /// It is wrapped by another master key.
    #[error("keyring: is wrapped by the master key {wanted}; the one from {from} is {found}")]
    OtherMaster {
        /// As the file says.
        wanted: String,
        /// Of the one at hand.
        found: String,
        /// Where that is.
        from: String,
    },
    /// It was read again, and belongs to another store by now.
    #[error(
        "keyring: has another key for pseudonyms than the one that is in use: it belongs to another store"
    )]
    AnotherStore,
    /// An older master key is still needed.
    #[error(
        "keyring: is wrapped by an older master key, {0}: `sekisho keys rotate master` wraps it under the newest first"
    )]
    OlderMaster(String),
    /// No key for this can be replaced.
    #[error("keyring: a new key for {0} is not supported yet: {1}")]
    NotRotated(&'static str, &'static str),
    /// Keys for this are not taken out.
    #[error("keyring: --forget is for master: keys for {0} open what was made with them")]
    NotForgotten(String),
    /// There is no such use.
    #[error("keyring: {0:?} is none of master, tickets, seeds, log-text")]
    NoSuchUse(String),
}

/// A key as it is listed: nothing of it but its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// What it is for.
    pub purpose: &'static str,
    /// Its id.
    pub id: KeyId,
    /// Whether it makes what is new; else it only opens what was made before.
    pub in_use: bool,
}

impl Keyring {
    /// Draws new keys and writes them to a new private file (0600) in the data directory `data`, durably; and a master key
    /// beside it where there is none anywhere.
    ///
    /// # Errors
    /// [`KeyringError::File`] with [`FileError::Exists`] when there is one: a keyring is never overwritten. Else when the
    /// system refuses, or the master key can't be used.
    pub fn create(data: &Path) -> Result<Self, KeyringError> {
        let path = data.join(FILE);
        if path.exists() {
            return Err(FileError::Exists { path }.into());
        }
        let master = MasterKey::find_or_make(data)?;
        let keys = draw_all()?;
        files::create_private(&path, write(&keys, &master)?.as_bytes())?;
        Ok(of(keys)?.at(data))
    }

    /// Reads the keyring of the data directory `data`.
    ///
    /// # Errors
    /// When group or others may do anything with the file, when it is damaged, when a key is missing, or when the master key
    /// is not there or another.
    pub fn open(data: &Path) -> Result<Self, KeyringError> {
        let master = MasterKey::find(data)?;
        let keyring = of(read(&read_file(data)?, &master)?)?;
        Ok(keyring.at(data))
    }

    /// The data directory that it is in; `None` for one that is kept nowhere.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    fn at(self, data: &Path) -> Self {
        let home = Some(data.to_owned());
        Self { home, ..self }
    }

    /// The keys of a data directory by their ids, the master key first.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn list(data: &Path) -> Result<(MasterKey, Vec<ListedKey>), KeyringError> {
        let master = MasterKey::find(data)?;
        let keys = read(&read_file(data)?, &master)?;
        let mut listed: Vec<ListedKey> = Vec::with_capacity(keys.len());
        for (purpose, key) in &keys {
            let in_use = listed.iter().all(|other| other.purpose != *purpose);
            listed.push(ListedKey {
                purpose,
                id: key.id,
                in_use,
            });
        }
        Ok((master, listed))
    }

    /// Puts a new key for `purpose` in front of those that are there, or for `master` wraps them all under a new master key;
    /// durably. Nothing that was made before becomes worthless. A daemon that serves takes it up at its next start.
    ///
    /// A new master key is drawn where the newest that is there wraps this keyring; else that is taken up: it was drawn for
    /// another directory that shares the file, or by a rotation that was cut short, or the operator put it there. Those before
    /// stay, since other directories may be wrapped under them: [`Self::forget_older_masters`].
    ///
    /// # Errors
    /// [`KeyringError::NotRotated`], [`KeyringError::NoSuchUse`]; and as [`Self::open`].
    pub fn rotate(data: &Path, purpose: &str) -> Result<KeyId, KeyringError> {
        let _turns = Turns::take(data)?;
        let mut master = MasterKey::find(data)?;
        let text = read_file(data)?;
        let mut keys = read(&text, &master)?;
        let id = if purpose == MASTER {
            if named_master(&text) == Some(master.id().as_str()) {
                master = master.with_a_new_one()?;
            }
            master.id()
        } else {
            let purpose = PURPOSES
                .into_iter()
                .find(|known| *known == purpose)
                .ok_or_else(|| KeyringError::NoSuchUse(purpose.to_owned()))?;
            if !ROTATING.contains(&purpose) {
                return Err(KeyringError::NotRotated(purpose, why_kept(purpose)));
            }
            let key = draw(purpose)?;
            let (id, at) = (
                key.id,
                keys.iter().position(|(of, _)| *of == purpose).unwrap_or(0),
            );
            keys.insert(at, (purpose, key));
            id
        };
        let text = write(&keys, &master)?;
        if text.len() > MAX_BYTES {
            return Err(KeyringError::TooMany("one file"));
        }
        files::write_private(&data.join(FILE), text.as_bytes())?;
        // As the next start will.
        read(&read_file(data)?, &MasterKey::find(data)?)?;
        Ok(id)
    }

    /// Takes the older master keys out of the file that they come from, once the newest alone opens this keyring. Other
    /// directories that share the file must have been rotated before: they can't be seen from here.
    ///
    /// # Errors
    /// [`KeyringError::OlderMaster`]; and as [`Self::open`].
    pub fn forget_older_masters(data: &Path) -> Result<KeyId, KeyringError> {
        let _turns = Turns::take(data)?;
        let master = MasterKey::find(data)?;
        let text = read_file(data)?;
        read(&text, &master)?;
        if read(&text, &master.newest_alone()?).is_err() {
            let named = named_master(&text).unwrap_or_default();
            return Err(KeyringError::OlderMaster(
                named.chars().take(KeyId::CHARACTERS).collect(),
            ));
        }
        let id = master.id();
        master.forget_older()?;
        Ok(id)
    }

    /// Draws new keys that are kept nowhere.
    ///
    /// # Errors
    /// [`KeyringError::Random`].
    pub fn ephemeral() -> Result<Self, KeyringError> {
        of(draw_all()?)
    }
}

/// Of two that rotate at once the second waits: it would write back keys that the first has replaced. That holds for the
/// keyring, and for the master key's file, which others may share.
struct Turns {
    _keyring: File,
    _master: Option<File>,
}

impl Turns {
    fn take(data: &Path) -> Result<Self, KeyringError> {
        let keyring = files::lock_directory(data)?;
        let master = MasterKey::find(data)?;
        let same = |folder: &Path| match (folder.canonicalize(), data.canonicalize()) {
            (Ok(folder), Ok(data)) => folder == data,
            _ => false,
        };
        let folder = master.folder().filter(|folder| !same(folder));
        // A name alone lies in the working directory.
        let folder = folder.map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        });
        Ok(Self {
            _keyring: keyring,
            _master: folder.map(files::lock_directory).transpose()?,
        })
    }
}

type Keys = Vec<(&'static str, Key)>;

fn why_kept(purpose: &str) -> &'static str {
    match purpose {
        PSEUDONYMS => "every hold and every count would be lost from sight",
        PEPPER => "every password would have to be set anew",
        _ => "whoever keeps checkpoints knows the log by it",
    }
}

fn draw(purpose: &'static str) -> Result<Key, KeyringError> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|_| KeyringError::Random)?;
    Ok(Key::new(purpose, bytes))
}

fn draw_all() -> Result<Keys, KeyringError> {
    PURPOSES
        .into_iter()
        .map(|purpose| Ok((purpose, draw(purpose)?)))
        .collect()
}

fn context(purpose: &str, id: &str) -> Vec<u8> {
    [b"keyring\0", purpose.as_bytes(), b"\0", id.as_bytes()].concat()
}

fn write(keys: &Keys, master: &MasterKey) -> Result<String, KeyringError> {
    let mut text = format!("{FIRST_LINE}\n{NOTICE}\n{MASTER} {}\n", master.id());
    for (purpose, key) in keys {
        let id = key.id.as_str();
        let wrapped = master
            .wrapping()
            .seal(&context(purpose, id), &*key.bytes)
            .map_err(|_| KeyringError::Random)?;
        text.push_str(&format!(
            "{purpose} {id} {}\n",
            BASE64URL_NOPAD.encode(&wrapped)
        ));
    }
    Ok(text)
}

fn read_file(data: &Path) -> Result<Zeroizing<String>, KeyringError> {
    let bytes = files::read_private(&data.join(FILE), MAX_BYTES as u64)?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| KeyringError::Line {
            line: 1,
            what: "is not text",
        })
}

fn read(text: &str, master: &MasterKey) -> Result<Keys, KeyringError> {
    let wrong = |line, what| KeyringError::Line { line, what };
    let mut lines = (1..)
        .zip(text.split_terminator('\n'))
        .filter(|(_, line)| !line.starts_with('#'));
    if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
        return Err(wrong(
            1,
            "is not the first line of a keyring that this version reads",
        ));
    }
    let named = lines
        .next()
        .and_then(|(_, line)| master_of(line))
        .ok_or_else(|| wrong(3, "does not name the master key"))?;
    let mut keys = Keys::new();
    for (number, line) in lines {
        let (purpose, id, wrapped) = split(line).map_err(|what| wrong(number, what))?;
        let bytes = master
            .wrapping()
            .open(&context(purpose, id), &wrapped)
            .map_err(|_| {
                if master.wraps(named) {
                    wrong(number, "is damaged: it does not open")
                } else {
                    KeyringError::OtherMaster {
                        wanted: named.chars().take(KeyId::CHARACTERS).collect(),
                        found: master.id().to_string(),
                        from: master.from().to_owned(),
                    }
                }
            })?;
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| wrong(number, "has no key of 32 bytes"))?;
        let key = Key::new(purpose, bytes);
        if key.id.as_str() != id {
            return Err(wrong(number, "is damaged: its id is not that of its key"));
        }
        if keys.iter().any(|(_, other)| other.id == key.id) {
            return Err(wrong(number, "has the key of another line"));
        }
        keys.push((purpose, key));
    }
    Ok(keys)
}

/// The master key that a line names.
fn master_of(line: &str) -> Option<&str> {
    line.strip_prefix(MASTER)?.strip_prefix(' ')
}

/// The master key that a keyring's text names.
fn named_master(text: &str) -> Option<&str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .nth(1)
        .and_then(master_of)
}

fn split(line: &str) -> Result<(&'static str, &str, Vec<u8>), &'static str> {
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
    let wrapped = BASE64URL_NOPAD
        .decode(key.as_bytes())
        .map_err(|_| "has no wrapped key in base64url")?;
    Ok((purpose, id, wrapped))
}

fn of(mut keys: Keys) -> Result<Keyring, KeyringError> {
    let mut take = |purpose: &'static str| -> Result<(Key, Vec<Key>), KeyringError> {
        let mut of_purpose = keys
            .extract_if(.., |(of, _)| *of == purpose)
            .map(|(_, key)| key);
        let current = of_purpose.next().ok_or(KeyringError::Missing(purpose))?;
        Ok((current, of_purpose.collect()))
    };
    let (tickets, older_tickets) = take(TICKETS)?;
    let (seeds, older_seeds) = take(SEEDS)?;
    let (log_text, older_log_text) = take(LOG_TEXT)?;
    let mut only = |purpose| match take(purpose)? {
        (key, others) if others.is_empty() => Ok(key),
        _ => Err(KeyringError::TooMany(purpose)),
    };
    let pepper = Pepper::new(&only(PEPPER)?);
    Ok(Keyring {
        host_proof: HostProof::new(&pepper),
        tickets: TicketKeys::new(&tickets, &older_tickets),
        pseudonyms: PseudonymKey::new(&only(PSEUDONYMS)?),
        seeds: SealingKey::new(&seeds, &older_seeds),
        log_text: SealingKey::new(&log_text, &older_log_text),
        log_signing: LogSigningSeed::new(&only(LOG_SIGNING)?),
        pepper,
        home: None,
    })
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
        let made = Keyring::create(directory.path()).unwrap();
        let opened = Keyring::open(directory.path()).unwrap();
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
        Keyring::create(directory.path()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Keyring::open(directory.path()),
            Err(KeyringError::File(FileError::Exposed { mode: 0o644, .. }))
        ));
    }

    #[test]
    fn a_keyring_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        Keyring::create(directory.path()).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(
            Keyring::create(directory.path()),
            Err(KeyringError::File(FileError::Exists { .. }))
        ));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn no_single_altered_character_makes_another_key() {
        let master = MasterKey::ephemeral().unwrap();
        let text = write(&draw_all().unwrap(), &master).unwrap();
        let first_key = text.find(TICKETS).unwrap();
        for at in first_key..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(read(&altered, &master).and_then(of).is_err(), "{at}");
        }
    }

    #[test]
    fn a_missing_or_second_key_is_told_by_its_use() {
        for purpose in PURPOSES {
            let mut keys = draw_all().unwrap();
            keys.retain(|(of, _)| *of != purpose);
            assert!(matches!(of(keys), Err(KeyringError::Missing(missing)) if missing == purpose));
        }
        let mut keys = draw_all().unwrap();
        keys.push((PEPPER, draw(PEPPER).unwrap()));
        assert!(matches!(of(keys), Err(KeyringError::TooMany(PEPPER))));
    }

    #[test]
    fn a_new_key_makes_what_is_new_and_those_before_open_what_they_made() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let before = Keyring::create(data).unwrap();
        let sealed = before.seeds.seal(b"c", b"p").unwrap();
        let id = Keyring::rotate(data, SEEDS).unwrap();
        let after = Keyring::open(data).unwrap();
        assert_eq!(after.seeds.id(), id);
        assert_eq!(&**after.seeds.open(b"c", &sealed).unwrap(), b"p");
        let anew = after.seeds.seal_anew(b"c", &sealed).unwrap().unwrap();
        assert_eq!(&**after.seeds.open(b"c", &anew).unwrap(), b"p");
        assert_eq!(after.seeds.seal_anew(b"c", &anew).unwrap(), None);
        assert_eq!(
            after.seeds.seal_anew(b"d", &sealed).unwrap_err(),
            SealError::NotGenuine
        );
        assert!(
            before.seeds.open(b"c", &anew).is_err(),
            "under the new key alone"
        );
        assert_eq!(after.pepper.expose(), before.pepper.expose());
        let (_, listed) = Keyring::list(data).unwrap();
        let seeds: Vec<bool> = listed
            .iter()
            .filter(|key| key.purpose == SEEDS)
            .map(|key| key.in_use)
            .collect();
        assert_eq!(seeds, [true, false]);
        for kept in [PEPPER, PSEUDONYMS, LOG_SIGNING] {
            let refused = Keyring::rotate(data, kept).unwrap_err();
            assert!(matches!(refused, KeyringError::NotRotated(of, _) if of == kept));
        }
        assert!(matches!(
            Keyring::rotate(data, "x"),
            Err(KeyringError::NoSuchUse(_))
        ));
    }

    #[test]
    fn a_new_master_key_wraps_the_same_keys_and_the_one_before_is_forgotten_when_it_is_told_to() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let before = Keyring::create(data).unwrap();
        let old = fs::read(data.join("master.key")).unwrap();
        let (was, _) = Keyring::list(data).unwrap();
        let id = Keyring::rotate(data, MASTER).unwrap();
        assert_ne!(was.id(), id);
        let kept = fs::read_to_string(data.join("master.key")).unwrap();
        assert_eq!(
            kept.lines().nth(1),
            std::str::from_utf8(&old).unwrap().lines().next()
        );
        assert_eq!(Keyring::forget_older_masters(data).unwrap(), id);
        let kept = fs::read_to_string(data.join("master.key")).unwrap();
        assert_eq!(kept.lines().count(), 1);
        let after = Keyring::open(data).unwrap();
        assert_eq!(after.pepper.expose(), before.pepper.expose());
        files::write_private(&data.join("master.key"), &old).unwrap();
        let refused = Keyring::open(data).unwrap_err();
        assert!(
            matches!(refused, KeyringError::OtherMaster { .. }),
            "{refused}"
        );
        fs::remove_file(data.join("master.key")).unwrap();
        let refused = Keyring::open(data).unwrap_err();
        assert!(
            matches!(refused, KeyringError::Master(MasterKeyError::Nowhere(_))),
            "{refused}"
        );
    }

    #[test]
    fn whoever_has_the_keyring_alone_has_no_key() {
        let directory = tempfile::tempdir().unwrap();
        Keyring::create(directory.path()).unwrap();
        let text = fs::read_to_string(directory.path().join(FILE)).unwrap();
        let master = MasterKey::find(directory.path()).unwrap();
        for (_, key) in read(&text, &master).unwrap() {
            assert!(!text.contains(&BASE64URL_NOPAD.encode(&*key.bytes)));
        }
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
        let keys = draw_all().unwrap();
        let bytes: Vec<_> = keys.iter().map(|(_, key)| key.bytes.clone()).collect();
        let printed = format!("{:?}", of(keys).unwrap());
        for bytes in bytes {
            assert!(!printed.contains(&BASE64URL_NOPAD.encode(&*bytes)));
            assert!(!printed.contains(&data_encoding::HEXLOWER.encode(&*bytes)));
            assert!(!printed.contains(&format!("{}, {}", bytes[0], bytes[1])));
        }
    }
}

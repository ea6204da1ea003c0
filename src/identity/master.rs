//! The master key: it wraps every key of the keyring, so that a copy of the data directory without it opens nothing. It comes
//! from outside the store: the environment, a systemd credential, or a file.
//!
//! ```text
//! SEKISHO_MASTER_KEY                            the key itself, in the environment
//! $CREDENTIALS_DIRECTORY/sekisho-master-key     systemd: LoadCredentialEncrypted=sekisho-master-key:...
//! SEKISHO_MASTER_KEY_FILE                       a private file (0600) elsewhere
//! <data>/master.key                             where `init` puts it: move it to one of the above
//! ```
//!
//! The first of these that is there counts. Its text is a key of 32 bytes in base64url (43 characters); the lines behind it may
//! have older ones, the newest first, which still open what was wrapped under them: of the directories that share a file, each is
//! wrapped under the newest in its own time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::keys::{KEY_BYTES, Key, KeyId, SealingKey};
use crate::files::{self, FileError};

const PURPOSE: &str = "master";
const VARIABLE: &str = "SEKISHO_MASTER_KEY";
const FILE_VARIABLE: &str = "SEKISHO_MASTER_KEY_FILE";
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIAL: &str = "sekisho-master-key";
const FILE: &str = "master.key";
/// How many there may be, the newest included.
const KEYS_MAX: usize = 8;
/// All keys with their line ends, and room for somebody's empty lines.
const TEXT_MAX_BYTES: u64 = 512;

/// Why there is no master key. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It is nowhere.
    #[error(
        "there is no master key: not in {VARIABLE}, not the credential {CREDENTIAL}, not in the file of {FILE_VARIABLE}, not at {}", .0.display()
    )]
    Nowhere(PathBuf),
    /// A file can't be used.
    #[error("master key: {0}")]
    File(#[from] FileError),
    /// What is there is no key. Its text is not told.
    #[error("master key: {0} has no key of 32 bytes in base64url, or more than {KEYS_MAX} of them")]
    NotAKey(String),
    /// No further key can be put in front.
    #[error(
        "master key: {0} has {KEYS_MAX} keys: rotate every data directory that shares it, then take the older ones out with `sekisho keys rotate master --forget`"
    )]
    Full(String),
    /// The system gives no random numbers.
    #[error("master key: the system gives no random numbers")]
    Random,
    /// Only a file can be given a new key from here.
    #[error(
        "master key: it comes from {0}: put a new key there, in front of the present one on a line of its own, and rotate again"
    )]
    NotOurs(String),
}

/// The key that wraps the keyring's, and older ones that still open. Prints ids only.
pub struct MasterKey {
    keys: SealingKey,
    text: Zeroizing<String>,
    /// Where it comes from, in words.
    from: String,
    /// The file that it was read from.
    file: Option<PathBuf>,
}

impl MasterKey {
    /// Finds the master key of the data directory `data`.
    ///
    /// # Errors
    /// When it is nowhere, or the first place that has one can't be used: no other place is tried then.
    pub fn find(data: &Path) -> Result<Self, MasterKeyError> {
        Self::look(data, |name| std::env::var_os(name))?
            .ok_or_else(|| MasterKeyError::Nowhere(data.join(FILE)))
    }

    /// Finds it, or draws one into a new private file in `data`, durably.
    ///
    /// # Errors
    /// As [`Self::find`]; and when the system refuses.
    pub fn find_or_make(data: &Path) -> Result<Self, MasterKeyError> {
        if let Some(found) = Self::look(data, |name| std::env::var_os(name))? {
            return Ok(found);
        }
        let path = data.join(FILE);
        let text = draw()?;
        files::create_private(&path, text.as_bytes())?;
        Self::read(&text, "the file".to_owned(), Some(path))
    }

    #[cfg(test)]
    pub(super) fn ephemeral() -> Result<Self, MasterKeyError> {
        Self::read(&draw()?, "nowhere".to_owned(), None)
    }

    fn look(
        data: &Path,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, MasterKeyError> {
        if let Some(text) = environment(VARIABLE) {
            let text = Zeroizing::new(text.into_string().unwrap_or_default());
            return Self::read(&text, VARIABLE.to_owned(), None).map(Some);
        }
        let credential = environment(CREDENTIALS)
            .map(|folder| PathBuf::from(folder).join(CREDENTIAL))
            .filter(|path| path.exists());
        if let Some(path) = credential {
            // systemd keeps it, with a mode of its own (0400, or readable by an access control list).
            let text = files::read_guarded(&path, TEXT_MAX_BYTES)?;
            let text = Zeroizing::new(String::from_utf8(text.to_vec()).unwrap_or_default());
            return Self::read(&text, format!("the credential {CREDENTIAL}"), None).map(Some);
        }
        let own = data.join(FILE);
        let file = environment(FILE_VARIABLE)
            .map(PathBuf::from)
            .or_else(|| own.exists().then_some(own));
        let Some(path) = file else { return Ok(None) };
        let bytes = Zeroizing::new(files::read_private(&path, TEXT_MAX_BYTES)?);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Self::read(text, path.display().to_string(), Some(path)).map(Some)
    }

    fn read(text: &str, from: String, file: Option<PathBuf>) -> Result<Self, MasterKeyError> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let bytes = BASE64URL_NOPAD
                .decode(line.as_bytes())
                .map(Zeroizing::new)
                .ok()
                .and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok())
                .map(Zeroizing::new);
            match bytes {
                Some(bytes) if keys.len() < KEYS_MAX => keys.push(Key::new(PURPOSE, bytes)),
                _ => return Err(MasterKeyError::NotAKey(from)),
            }
        }
        let mut keys = keys.into_iter();
        let Some(current) = keys.next() else {
            return Err(MasterKeyError::NotAKey(from));
        };
        let older: Vec<Key> = keys.collect();
        Ok(Self {
            keys: SealingKey::new(&current, &older),
            text: Zeroizing::new(text.to_owned()),
            from,
            file,
        })
    }

    /// Names the key that wraps.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.keys.id()
    }

    /// Where it comes from, in words.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// What `<data>/master.key` would have: for a backup that is sealed to a recovery key, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it has the key of this id.
    pub(super) fn wraps(&self, id: &str) -> bool {
        self.keys.has(id)
    }

    pub(super) const fn wrapping(&self) -> &SealingKey {
        &self.keys
    }

    /// The folder of the file that it was read from.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }

    /// The newest key alone.
    ///
    /// # Errors
    /// Never, of a text that was read before.
    pub(super) fn newest_alone(&self) -> Result<Self, MasterKeyError> {
        Self::read(&self.newest_line(), self.from.clone(), self.file.clone())
    }

    fn newest_line(&self) -> Zeroizing<String> {
        let mut lines = self.text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        Zeroizing::new([first, "\n"].concat())
    }

    /// Draws a new key in front of those that are there, where they come from a file: durable, and still opening what those
    /// wrapped.
    ///
    /// # Errors
    /// [`MasterKeyError::NotOurs`] for one from elsewhere, [`MasterKeyError::Full`]; and when the system refuses.
    pub(super) fn with_a_new_one(self) -> Result<Self, MasterKeyError> {
        let lines = self.text.lines().filter(|line| !line.trim().is_empty());
        if self.file.is_some() && lines.count() >= KEYS_MAX {
            return Err(MasterKeyError::Full(self.from));
        }
        let Some(path) = self.file else {
            return Err(MasterKeyError::NotOurs(self.from));
        };
        let all = Zeroizing::new([draw()?.as_str(), self.text.trim(), "\n"].concat());
        files::write_private(&path, all.as_bytes())?;
        Self::read(&all, self.from, Some(path))
    }

    /// Forgets the older keys, where they come from a file. Whoever calls this knows that nothing is wrapped under them any more.
    ///
    /// # Errors
    /// [`MasterKeyError::NotOurs`] for those from elsewhere; and when the system refuses.
    pub(super) fn forget_older(self) -> Result<(), MasterKeyError> {
        let one = self.newest_line();
        let Some(path) = self.file else {
            return Err(MasterKeyError::NotOurs(self.from));
        };
        Ok(files::write_private(&path, one.as_bytes())?)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({} from {})", self.id(), self.from)
    }
}

fn draw() -> Result<Zeroizing<String>, MasterKeyError> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|_| MasterKeyError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    BASE64URL_NOPAD.encode_append(&*bytes, &mut text);
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_first_place_that_has_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let none = |_: &str| None;
        assert!(MasterKey::look(data, none).unwrap().is_none());
        let made = MasterKey::find_or_make(data).unwrap();
        assert_eq!(
            MasterKey::look(data, none).unwrap().unwrap().id(),
            made.id()
        );

        let other = folder.path().join("elsewhere");
        fs::create_dir(&other).unwrap();
        let elsewhere = MasterKey::find_or_make(&other).unwrap();
        let file = |name: &str| (name == FILE_VARIABLE).then(|| other.join(FILE).into_os_string());
        let found = MasterKey::look(data, file).unwrap().unwrap();
        assert_eq!(found.id(), elsewhere.id());

        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        let third = MasterKey::ephemeral().unwrap();
        files::create_private(&credentials.join(CREDENTIAL), third.expose().as_bytes()).unwrap();
        let systemd = |name: &str| match name {
            CREDENTIALS => Some(credentials.clone().into_os_string()),
            other => file(other),
        };
        let found = MasterKey::look(data, systemd).unwrap().unwrap();
        assert_eq!(found.id(), third.id());

        let fourth = MasterKey::ephemeral().unwrap();
        let all = |name: &str| match name {
            VARIABLE => Some(fourth.expose().into()),
            other => systemd(other),
        };
        assert_eq!(
            MasterKey::look(data, all).unwrap().unwrap().id(),
            fourth.id()
        );
    }

    #[test]
    fn a_place_that_has_something_else_is_an_error_and_the_next_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        MasterKey::find_or_make(data).unwrap();
        for bad in [
            "",
            "short",
            "A",
            "not base64url at all, but of forty-three c.",
        ] {
            let wrong = |name: &str| (name == VARIABLE).then(|| OsString::from(bad));
            let error = MasterKey::look(data, wrong).unwrap_err();
            assert!(matches!(error, MasterKeyError::NotAKey(_)), "{error}");
            assert!(bad.len() < 5 || !error.to_string().contains(bad));
        }
        let gone = |name: &str| (name == FILE_VARIABLE).then(|| "/nowhere/key".into());
        assert!(matches!(
            MasterKey::look(data, gone),
            Err(MasterKeyError::File(_))
        ));
        fs::set_permissions(data.join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = MasterKey::look(data, |_| None).unwrap_err();
        assert!(exposed.to_string().contains("644"), "{exposed}");
    }

    #[test]
    fn a_new_key_in_front_opens_what_the_older_one_wrapped_until_that_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let first = MasterKey::find_or_make(data).unwrap();
        let sealed = first.wrapping().seal(b"c", b"p").unwrap();
        let both = first.with_a_new_one().unwrap();
        let again = MasterKey::look(data, |_| None).unwrap().unwrap();
        assert_eq!(again.id(), both.id());
        assert!(again.wrapping().open(b"c", &sealed).is_ok());
        let id = again.id();
        assert!(
            again
                .newest_alone()
                .unwrap()
                .wrapping()
                .open(b"c", &sealed)
                .is_err()
        );
        both.forget_older().unwrap();
        let last = MasterKey::look(data, |_| None).unwrap().unwrap();
        assert_eq!(last.id(), id);
        assert!(last.wrapping().open(b"c", &sealed).is_err());
    }

    #[test]
    fn there_is_room_for_eight_and_every_one_opens() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let mut master = MasterKey::find_or_make(data).unwrap();
        let sealed = master.wrapping().seal(b"c", b"p").unwrap();
        for _ in 1..KEYS_MAX {
            master = master.with_a_new_one().unwrap();
        }
        let last = MasterKey::look(data, |_| None).unwrap().unwrap();
        assert!(last.wrapping().open(b"c", &sealed).is_ok());
        assert!(matches!(
            last.with_a_new_one(),
            Err(MasterKeyError::Full(_))
        ));
        let elsewhere = MasterKey::ephemeral().unwrap();
        assert!(matches!(
            elsewhere.forget_older(),
            Err(MasterKeyError::NotOurs(_))
        ));
    }

    #[test]
    fn it_prints_no_key() {
        let key = MasterKey::ephemeral().unwrap();
        assert!(!format!("{key:?}").contains(key.expose().trim()));
    }
}

//! The recovery key: what a backup's keys are sealed to. It is asymmetric, so that the machine that makes backups can't open
//! them: the private half is made elsewhere and kept offline.
//!
//! ```text
//! sekisho-recovery-key 1
//! # a comment
//! public 5ea1ab1e <32 bytes, base64url>          (the other file: `private`)
//! ```
//!
//! Sealing is HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305; sealed bytes
//! are the encapsulated key of 32 bytes, then the ciphertext with its tag of 16.

use std::fmt;
use std::path::Path;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

const FIRST_LINE: &str = "sekisho-recovery-key 1";
const PRIVATE_NOTICE: &str =
    "# Opens the keys of every backup. Keep it offline, apart from the backups, in two places.";
const PUBLIC_NOTICE: &str =
    "# Seals the keys of backups; opens nothing. Put it where backups are made.";
const PRIVATE: &str = "private";
const PUBLIC: &str = "public";
const MAX_BYTES: u64 = 4 * 1024;
const KEY_BYTES: usize = 32;
/// Says what for, so that nothing else that was sealed to the key is taken for it.
const INFO: &[u8] = b"sekisho backup keys 1";

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type Encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Why a recovery key can't be used. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryKeyError {
    /// The file can't be used, or is there already.
    #[error("recovery key: {0}")]
    File(#[from] FileError),
    /// Not a file that [`RecoveryKey::create`] made, or damaged; its text is not told, since it may be a key.
    #[error("recovery key: {path}: {what}")]
    Form {
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system gives no random numbers.
    #[error("recovery key: the system gives no random numbers")]
    Random,
    /// Altered, cut, sealed to another key, or together with something else than what it is shown with.
    #[error("the sealed keys don't open: they, or what they were sealed with, were altered")]
    NotGenuine,
}

/// Names a recovery key: eight hexadecimal digits of a hash over its public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryKeyId(String);

impl RecoveryKeyId {
    fn of(public: &PublicKey) -> Self {
        let digest = Sha256::new()
            .chain_update(b"sekisho recovery key id\0")
            .chain_update(public.to_bytes())
            .finalize();
        Self(HEXLOWER.encode(digest.get(..4).unwrap_or_default()))
    }
}

impl fmt::Display for RecoveryKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The half that seals.
pub struct RecoveryPublicKey(PublicKey);

/// The half that opens. Never printed.
pub struct RecoveryKey(PrivateKey);

impl fmt::Debug for RecoveryPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryPublicKey({})", self.id())
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({})", self.id())
    }
}

impl RecoveryPublicKey {
    /// Reads the file of a public half. It is no secret: anyone may read it, but whoever may write it could have the keys
    /// sealed to themselves.
    ///
    /// # Errors
    /// When others may write it, or it is not such a file.
    pub fn open(path: &Path) -> Result<Self, RecoveryKeyError> {
        let text = files::read_guarded(path, MAX_BYTES)?;
        let key = read(path, &text, PUBLIC)?;
        PublicKey::from_bytes(&*key)
            .map(Self)
            .map_err(|_| form(path, "its key is none"))
            .and_then(|key| checked(path, &text, key, |key| key.id()))
    }

    /// Names the key.
    #[must_use]
    pub fn id(&self) -> RecoveryKeyId {
        RecoveryKeyId::of(&self.0)
    }

    /// Seals `plain`; it opens only together with the same `context`.
    ///
    /// # Errors
    /// [`RecoveryKeyError::Random`].
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, RecoveryKeyError> {
        // The library gives up with a panic where there are no random numbers: found out before.
        getrandom::fill(&mut [0; 1]).map_err(|_| RecoveryKeyError::Random)?;
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
        >(&OpModeS::Base, &self.0, INFO, plain, context)
        .map_err(|_| RecoveryKeyError::NotGenuine)?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend(ciphertext);
        Ok(sealed)
    }
}

impl RecoveryKey {
    /// Draws a new key and writes both halves to new files, the private one for its owner's eyes only (0600), durably.
    ///
    /// # Errors
    /// [`RecoveryKeyError::File`] when one of the files is there already: nothing is ever overwritten. Else when the system
    /// refuses.
    pub fn create(private: &Path, public: &Path) -> Result<RecoveryKeyId, RecoveryKeyError> {
        let mut seed = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(&mut *seed).map_err(|_| RecoveryKeyError::Random)?;
        let (key, public_key) = X25519HkdfSha256::derive_keypair(&*seed);
        let id = RecoveryKeyId::of(&public_key);
        let bytes = Zeroizing::new(<[u8; KEY_BYTES]>::from(key.to_bytes()));
        files::create_private(
            private,
            text(PRIVATE_NOTICE, PRIVATE, &id, &bytes).as_bytes(),
        )?;
        let bytes = <[u8; KEY_BYTES]>::from(public_key.to_bytes());
        files::create_private(public, text(PUBLIC_NOTICE, PUBLIC, &id, &bytes).as_bytes())?;
        Ok(id)
    }

    /// Reads the file of a private half.
    ///
    /// # Errors
    /// When group or others may do anything with it, or it is not such a file.
    pub fn open(path: &Path) -> Result<Self, RecoveryKeyError> {
        let text = files::read_private(path, MAX_BYTES)?;
        let key = read(path, &text, PRIVATE)?;
        PrivateKey::from_bytes(&*key)
            .map(Self)
            .map_err(|_| form(path, "its key is none"))
            .and_then(|key| checked(path, &text, key, |key| key.id()))
    }

    /// Names the key, as its public half does.
    #[must_use]
    pub fn id(&self) -> RecoveryKeyId {
        RecoveryKeyId::of(&X25519HkdfSha256::sk_to_pk(&self.0))
    }

    /// Opens what was sealed to the public half with the same `context`.
    ///
    /// # Errors
    /// [`RecoveryKeyError::NotGenuine`].
    pub fn unseal(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RecoveryKeyError> {
        let split = sealed.split_at_checked(KEY_BYTES);
        let (encapsulated, ciphertext) = split.ok_or(RecoveryKeyError::NotGenuine)?;
        let encapsulated =
            Encapsulated::from_bytes(encapsulated).map_err(|_| RecoveryKeyError::NotGenuine)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            INFO,
            ciphertext,
            context,
        )
        .map(Zeroizing::new)
        .map_err(|_| RecoveryKeyError::NotGenuine)
    }
}

fn text(notice: &str, half: &str, id: &RecoveryKeyId, key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    // Room from the start: a text that grew would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(512));
    for part in [FIRST_LINE, "\n", notice, "\n", half, " ", &id.0, " "] {
        text.push_str(part);
    }
    BASE64URL_NOPAD.encode_append(key, &mut text);
    text.push('\n');
    text
}

/// The key of the one line that is no comment.
fn read(
    path: &Path,
    bytes: &[u8],
    half: &'static str,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, RecoveryKeyError> {
    let (found, _, key) = line(bytes).ok_or_else(|| form(path, "is not a recovery key"))?;
    if found != half {
        return Err(form(
            path,
            if half == PUBLIC {
                "is not the public half; don't keep the private one where backups are made"
            } else {
                "is not the private half"
            },
        ));
    }
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    if key.len() == BASE64URL_NOPAD.encode_len(KEY_BYTES)
        && BASE64URL_NOPAD
            .decode_mut(key.as_bytes(), &mut *bytes)
            .is_ok()
    {
        return Ok(bytes);
    }
    Err(form(path, "is damaged"))
}

/// Half, id and key.
fn line(bytes: &[u8]) -> Option<(&str, &str, &str)> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    lines.next().filter(|first| *first == FIRST_LINE)?;
    let mut lines = lines.filter(|line| !line.starts_with('#'));
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(half), Some(id), Some(key), None) => Some((half, id, key)),
        _ => None,
    }
}

/// A damaged line never becomes another key: its id must be that of its key.
fn checked<K>(
    path: &Path,
    text: &[u8],
    key: K,
    id: impl FnOnce(&K) -> RecoveryKeyId,
) -> Result<K, RecoveryKeyError> {
    if line(text).is_some_and(|(_, told, _)| told == id(&key).0) {
        return Ok(key);
    }
    Err(form(path, "is damaged: its id is not that of its key"))
}

fn form(path: &Path, what: &'static str) -> RecoveryKeyError {
    RecoveryKeyError::Form {
        path: path.display().to_string(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn made() -> (TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (private, public) = (
            directory.path().join("private"),
            directory.path().join("public"),
        );
        RecoveryKey::create(&private, &public).unwrap();
        (directory, private, public)
    }

    #[test]
    fn what_is_sealed_to_the_public_half_opens_with_the_private_one_whole_and_in_its_context_only()
    {
        let (_directory, private, public) = made();
        let (private, public) = (
            RecoveryKey::open(&private).unwrap(),
            RecoveryPublicKey::open(&public).unwrap(),
        );
        assert_eq!(private.id(), public.id());
        let sealed = public.seal(b"manifest", b"keys").unwrap();
        assert_eq!(sealed.len(), 32 + 4 + 16);
        assert_eq!(&**private.unseal(b"manifest", &sealed).unwrap(), b"keys");
        assert!(private.unseal(b"manifesT", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            // Of the encapsulated key's last byte the topmost bit counts for nothing (RFC 7748, 5).
            altered[at] ^= 1;
            assert!(private.unseal(b"manifest", &altered).is_err(), "{at}");
            assert!(private.unseal(b"manifest", &sealed[..at]).is_err(), "{at}");
        }
        let (_other, other, _) = made();
        let other = RecoveryKey::open(&other).unwrap();
        assert_ne!(other.id(), private.id());
        assert!(other.unseal(b"manifest", &sealed).is_err());
    }

    #[test]
    fn a_private_half_that_others_may_read_and_a_public_half_that_others_may_write_are_refused() {
        let (_directory, private, public) = made();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&public, 0o644);
        RecoveryPublicKey::open(&public).unwrap();
        set(&public, 0o664);
        assert!(RecoveryPublicKey::open(&public).is_err());
        set(&private, 0o640);
        assert!(RecoveryKey::open(&private).is_err());
    }

    #[test]
    fn the_halves_are_never_taken_for_each_other_nor_overwritten() {
        let (directory, private, public) = made();
        let told = RecoveryPublicKey::open(&private).unwrap_err().to_string();
        assert!(told.contains("is not the public half"), "{told}");
        assert!(RecoveryKey::open(&public).is_err());
        let before = fs::read(&private).unwrap();
        assert!(RecoveryKey::create(&private, &directory.path().join("new")).is_err());
        assert_eq!(fs::read(&private).unwrap(), before);
    }

    #[test]
    fn no_single_altered_character_makes_another_key() {
        let (directory, private, _) = made();
        let text = fs::read(&private).unwrap();
        let first = text.len() - 53;
        assert!(text[..first].ends_with(b"private "));
        let path = directory.path().join("altered");
        let known = RecoveryKey::open(&private).unwrap().id();
        for at in first..text.len() - 1 {
            let mut altered = text.clone();
            altered[at] = if altered[at] == b'a' { b'b' } else { b'a' };
            files::write_private(&path, &altered).unwrap();
            // Of a private key X25519 ignores five bits (RFC 7748, 5): without them it is the same key.
            if let Ok(read) = RecoveryKey::open(&path) {
                assert_eq!(read.id(), known, "{at}");
            }
        }
    }
}

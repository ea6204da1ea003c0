//! The keys by what they are for. None can be used for anything else: each has its own type.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::access::SubjectRef;
use crate::domain::subject::Pseudonym;

/// Bytes of every key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a block of SHA-256.
const HMAC_BLOCK_BYTES: usize = 64;

/// Names a key: eight lower-case hexadecimal digits of a hash over its use and its bytes. So a keyring that was damaged or
/// edited is noticed before anything is done with a wrong key, and a key can't be taken for one of another use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; Self::CHARACTERS]);

impl KeyId {
    /// Characters of an id.
    pub const CHARACTERS: usize = 8;

    fn of(purpose: &str, key: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"sekisho key id\0")
            .chain_update(purpose)
            .chain_update(b"\0")
            .chain_update(key)
            .finalize();
        let mut id = [b'0'; Self::CHARACTERS];
        for (character, nibble) in id.iter_mut().zip(
            digest
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 0x0f])
                .map(u32::from),
        ) {
            *character = char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8);
        }
        Self(id)
    }

    /// Reads eight digits.
    pub(super) fn read(text: [u8; Self::CHARACTERS]) -> Option<Self> {
        let digits = text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then_some(Self(text))
    }

    /// The eight digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Hexadecimal digits are ASCII; the empty text would name no key.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key as the keyring file has it.
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl Key {
    pub(super) fn new(purpose: &str, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self {
            id: KeyId::of(purpose, &bytes),
            bytes,
        }
    }

    /// The keyed state, so that a use costs no key schedule.
    pub(super) fn hmac(&self) -> Hmac<Sha256> {
        keyed(&self.bytes)
    }
}

pub(super) fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    // A whole block, since for that length it can't fail; zeros behind a shorter key change nothing (RFC 2104).
    let mut block = Zeroizing::new([0_u8; HMAC_BLOCK_BYTES]);
    for (to, from) in block.iter_mut().zip(key.iter()) {
        *to = *from;
    }
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

/// Turns the ids of subjects into pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey {
    id: KeyId,
    state: Hmac<Sha256>,
}

impl PseudonymKey {
    pub(super) fn new(key: &Key) -> Self {
        Self {
            id: key.id,
            state: key.hmac(),
        }
    }

    /// Names the key. Under another key every hold is lost from sight, so the store remembers which one it was filled with.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// HMAC-SHA-256 (RFC 2104) of the company-wide id, byte by byte as it came.
    #[must_use]
    pub fn pseudonym(&self, subject: &SubjectRef) -> Pseudonym {
        let mut mac = self.state.clone();
        mac.update(subject.expose().as_bytes());
        Pseudonym(mac.finalize().into_bytes().into())
    }

    /// Stands for the name of the other party of a record, who may be a natural person. Never that of a subject: no id has a NUL.
    #[must_use]
    pub fn party(&self, name: &str) -> Pseudonym {
        let mut mac = self.state.clone();
        mac.update(b"party\0");
        mac.update(name.as_bytes());
        Pseudonym(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PseudonymKey({})", self.id)
    }
}

/// Why something can't be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Altered, cut, or sealed under another key or for another context. Somebody changed the store, or the keyring is not
    /// the one that belongs to it: the operator's to find out.
    #[error("is not what was sealed here, or was sealed under another key")]
    NotGenuine,
    /// Over [`SealingKey::PLAIN_MAX_BYTES`]: ours.
    #[error("is too long to seal")]
    TooLong,
    /// The system gives no random numbers: the operator's.
    #[error("the system gives no random numbers")]
    Random,
}

/// Seals what must be read again, under XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). Sealed bytes are a random nonce of 24
/// bytes, then the ciphertext, then the tag of 16 bytes; the key's id and the context are authenticated with them.
///
/// The first key seals; any of them opens, so that a new one can be put in front before everything is sealed anew.
#[derive(Clone)]
pub struct SealingKey {
    current: Sealer,
    older: Vec<Sealer>,
}

#[derive(Clone)]
struct Sealer {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl SealingKey {
    /// The most that one sealing holds, in bytes.
    pub const PLAIN_MAX_BYTES: usize = 64 * 1024;
    const NONCE_BYTES: usize = 24;
    const TAG_BYTES: usize = 16;

    pub(super) fn new(current: &Key, older: &[Key]) -> Self {
        let sealer = |key: &Key| Sealer {
            id: key.id,
            cipher: XChaCha20Poly1305::new((&*key.bytes).into()),
        };
        Self {
            current: sealer(current),
            older: older.iter().map(sealer).collect(),
        }
    }

    /// Names the key that seals.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.current.id
    }

    /// Whether it has the key of this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        std::iter::once(&self.current)
            .chain(&self.older)
            .any(|sealer| sealer.id.as_str() == id)
    }

    /// Seals `plain` for `context`: only the same context opens it again, so what is sealed for one person is worth nothing
    /// in the place of another's.
    ///
    /// # Errors
    /// [`SealError::TooLong`], [`SealError::Random`].
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        if plain.len() > Self::PLAIN_MAX_BYTES {
            return Err(SealError::TooLong);
        }
        let mut nonce = XNonce::default();
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        // The plain text is encrypted where it lies, in a buffer that never grows: no copy is left behind.
        let mut body = Zeroizing::new(plain.to_vec());
        let tag = self
            .current
            .cipher
            .encrypt_inout_detached(&nonce, &self.current.bound(context), (&mut **body).into())
            .map_err(|_| SealError::TooLong)?;
        Ok([nonce.as_slice(), &body, tag.as_slice()].concat())
    }

    /// Opens what [`Self::seal`] made for the same context.
    ///
    /// # Errors
    /// [`SealError::NotGenuine`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.open_by(context, sealed).map(|(_, plain)| plain)
    }

    /// Seals under the current key what an older one sealed for the same context; `None` where the current one did.
    ///
    /// # Errors
    /// [`SealError::NotGenuine`] for what none of them opens, [`SealError::Random`].
    pub fn seal_anew(&self, context: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let (by, plain) = self.open_by(context, sealed)?;
        if by == self.current.id {
            return Ok(None);
        }
        self.seal(context, &plain).map(Some)
    }

    /// Opens it, and tells under which key it was sealed.
    fn open_by(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<(KeyId, Zeroizing<Vec<u8>>), SealError> {
        let (nonce, rest) = sealed
            .split_first_chunk::<{ Self::NONCE_BYTES }>()
            .ok_or(SealError::NotGenuine)?;
        let (body, tag) = rest
            .split_last_chunk::<{ Self::TAG_BYTES }>()
            .ok_or(SealError::NotGenuine)?;
        if body.len() > Self::PLAIN_MAX_BYTES {
            return Err(SealError::NotGenuine);
        }
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        std::iter::once(&self.current)
            .chain(&self.older)
            .find_map(|sealer| {
                let mut plain = Zeroizing::new(body.to_vec());
                sealer
                    .cipher
                    .decrypt_inout_detached(
                        &nonce,
                        &sealer.bound(context),
                        (&mut **plain).into(),
                        &tag,
                    )
                    .is_ok()
                    .then_some((sealer.id, plain))
            })
            .ok_or(SealError::NotGenuine)
    }
}

impl Sealer {
    /// The id has a fixed length, so that no two pairs of id and context read alike.
    fn bound(&self, context: &[u8]) -> Vec<u8> {
        [b"sekisho sealed 1\0".as_slice(), &self.id.0, context].concat()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.current.id)
    }
}

/// The seed of the Ed25519 key (RFC 8032) that signs the log's checkpoints. It is not in the log's directory: whoever can
/// only write there can't sign what they made of the log.
#[derive(Clone)]
pub struct LogSigningSeed {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl LogSigningSeed {
    pub(super) fn new(key: &Key) -> Self {
        Self {
            id: key.id,
            bytes: key.bytes.clone(),
        }
    }

    /// The seed, for the log's signer alone.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }
}

impl fmt::Debug for LogSigningSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSigningSeed({})", self.id)
    }
}

/// Goes into every password hash and is not in the store: whoever has only the store can't try passwords.
#[derive(Clone)]
pub struct Pepper {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl Pepper {
    pub(super) fn new(key: &Key) -> Self {
        Self {
            id: key.id,
            bytes: key.bytes.clone(),
        }
    }

    pub(super) const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn expose(&self) -> &[u8] {
        &*self.bytes
    }

    pub(super) fn hmac(&self) -> Hmac<Sha256> {
        keyed(&self.bytes)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({})", self.id)
    }
}

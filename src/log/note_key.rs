//! The keys of signed notes (C2SP `signed-note`): a log's own, and those that verify it and its witnesses.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::note::{self, Checkpoint, NoteError, NoteSignature, SignedNote};

/// C2SP `signed-note`, signature types.
const TYPE_ED25519: u8 = 0x01;
const TYPE_COSIGNATURE: u8 = 0x04;

/// Signs checkpoints of one log.
pub struct SigningKey {
    pub(super) pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SigningKey {
    /// The key of the log `name` from an Ed25519 seed (RFC 8032).
    ///
    /// # Errors
    /// When the name is empty or holds a Unicode space, a plus or a control character (C2SP `signed-note`).
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| NoteError::NotAKey("the seed can't be used"))?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::NotAKey("its public part is not 32 bytes"))?;
        let verifier = VerifierKey::new(name, Algorithm::Ed25519, public);
        Ok(Self { pair, verifier })
    }

    /// Signs. The caller MUST NOT have signed, and MUST NOT ever sign, a checkpoint that is not a prefix of this one or the
    /// other way round.
    ///
    /// # Errors
    /// When the checkpoint's origin is not this key's name.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedNote, NoteError> {
        if checkpoint.origin != self.verifier.name {
            return Err(NoteError::OtherLog(checkpoint.origin.clone()));
        }
        Ok(self.sign_text(checkpoint.body()))
    }

    /// Signs a text of another kind than a checkpoint, which MUST begin with a line that tells it from all other kinds and MUST end
    /// with a newline.
    pub fn sign_text(&self, text: String) -> SignedNote {
        let signature = NoteSignature {
            name: self.verifier.name.clone(),
            key_id: self.verifier.id,
            bytes: self.pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        SignedNote {
            text,
            signatures: vec![signature],
        }
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The note's text itself.
    Ed25519,
    /// The time and the checkpoint's text: C2SP `tlog-cosignature`, version 1.
    Cosignature,
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => TYPE_ED25519,
            Self::Cosignature => TYPE_COSIGNATURE,
        }
    }
}

/// The public key of a log or of a witness (C2SP `signed-note`, verifier keys). As text it is one line:
/// `name+key id in hex+base64(type || key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    pub(super) id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    pub(super) fn new(name: &str, algorithm: Algorithm, public: [u8; 32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', algorithm.byte()]);
        hasher.update(public);
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        Self {
            name: name.to_owned(),
            algorithm,
            id: [a, b, c, d],
            public,
        }
    }

    /// Reads a key's line; white space around it doesn't matter.
    ///
    /// # Errors
    /// When it is not the key of a log (Ed25519) or of a witness (`cosignature/v1`), or its id doesn't belong to it.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::NotAKey;
        let mut parts = line.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong(
                "it is not a name, an id and a key with \"+\" between them",
            ));
        };
        check_name(name)?;
        let id: [u8; 4] = HEXLOWER
            .decode(id.as_bytes())
            .ok()
            .and_then(|id| id.try_into().ok())
            .ok_or(wrong("its id is not eight hexadecimal digits"))?;
        let key = note::base64(key).ok_or(wrong("its key is not in base64"))?;
        let (algorithm, public) = match key.split_first() {
            Some((&TYPE_ED25519, public)) => (Algorithm::Ed25519, public),
            Some((&TYPE_COSIGNATURE, public)) => (Algorithm::Cosignature, public),
            _ => {
                return Err(wrong(
                    "its type is neither Ed25519 (1) nor an Ed25519 cosignature (4)",
                ));
            }
        };
        let public = public
            .try_into()
            .map_err(|_| wrong("its key is not 32 bytes"))?;
        let key = Self::new(name, algorithm, public);
        if key.id != id {
            return Err(wrong("its id is not that of its name and key"));
        }
        Ok(key)
    }

    /// The log's origin, or the witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a witness's key, which signs a checkpoint together with a time.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.algorithm == Algorithm::Cosignature
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message, signature)
            .is_ok()
    }

    pub(super) fn made(&self, signature: &NoteSignature) -> bool {
        signature.key_id == self.id && signature.name == self.name
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm.byte()];
        key.extend(self.public);
        let (id, key) = (HEXLOWER.encode(&self.id), BASE64.encode(&key));
        write!(f, "{}+{id}+{key}", self.name)
    }
}

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(bad) {
        return Err(NoteError::Name(name.to_owned()));
    }
    Ok(())
}

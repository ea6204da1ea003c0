//! Signed notes (C2SP `signed-note`), the checkpoints of a log that they carry (C2SP `tlog-checkpoint`), and what witnesses
//! add to them (C2SP `tlog-cosignature`).
//!
//! ```text
//! log.example/2026                                             origin: the log's name
//! 20852163                                                     number of entries
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=                 root of the RFC 6962 tree over them, base64
//!
//! — log.example/2026 base64(key id (4) || Ed25519 (64))        of the log, over the text above the empty line
//! — witness.example/1 base64(key id (4) || time (8) || Ed25519 (64))
//! ```
//!
//! Nothing that a note says is told before a signature by a key that the caller names was verified.

use std::fmt;

use data_encoding::BASE64;

use super::note_key::check_name;
pub use super::note_key::{SigningKey, VerifierKey};
use crate::domain::time::Timestamp;

/// The largest note that is read.
const NOTE_MAX_BYTES: usize = 1 << 20;
/// The most signatures of a note that is read; C2SP asks for 16 at least.
const SIGNATURES_MAX: usize = 100;
/// What a signature line starts with: an em dash and a space.
const SIGNATURE_MARK: &str = "— ";

/// What is wrong with a note, or with a key for notes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key can't have this name.
    #[error(
        "{0:?} can't be the name of a log that signs: it must not be empty or hold a space, a \"+\" or a control character"
    )]
    Name(String),
    /// A text is not a verifier key.
    #[error("this is not a verifier key: {0}")]
    NotAKey(&'static str),
    /// A text is not a signed note.
    #[error("this is not a signed note: {0}")]
    NotANote(&'static str),
    /// A note's text is not a checkpoint.
    #[error("the note is not a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// The key given signs something else.
    #[error("{0} is not a key for this")]
    WrongKey(String),
    /// The note bears no signature by this key.
    #[error("it is not signed by {0}")]
    NotSigned(String),
    /// The note bears a signature in the name of this key that the key did not make.
    #[error("the signature in the name of {0} is not by its key")]
    BadSignature(String),
    /// A checkpoint of another log than the key's.
    #[error("it is a checkpoint of {0:?}, and not of the log that the key belongs to")]
    OtherLog(String),
}

/// The state of a log at one size: what a log signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the RFC 6962 tree over them.
    pub root: [u8; 32],
}

impl Checkpoint {
    /// The text that is signed (C2SP `tlog-checkpoint`): three lines.
    #[must_use]
    pub fn body(&self) -> String {
        let root = BASE64.encode(&self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads a [`Self::body`]. Extension lines are refused: a log of ours writes none.
    fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::NotACheckpoint;
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("its text is not three lines"));
        };
        if origin.is_empty() {
            return Err(wrong("its origin is empty"));
        }
        let size = decimal(size).ok_or(wrong("its second line is not a size"))?;
        let root = hash(root).ok_or(wrong("its third line is not a hash"))?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// Reads a decimal number as C2SP writes it: only digits, no leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    (plain && shortest).then(|| text.parse().ok()).flatten()
}

/// Reads base64 as RFC 4648 writes it, which is in one way only: the decoder takes padding in the middle, too.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (BASE64.encode(&bytes) == text).then_some(bytes)
}

/// Reads a hash in base64.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    base64(text)?.try_into().ok()
}

/// A signature as it stands under a note: nothing about it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub(super) name: String,
    pub(super) key_id: [u8; 4],
    pub(super) bytes: Vec<u8>,
}

impl NoteSignature {
    /// Whose it says to be.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a line without its newline.
    fn parse(line: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::NotANote("a signature line is not of the right form");
        let parts = line
            .strip_prefix(SIGNATURE_MARK)
            .and_then(|rest| rest.split_once(' '));
        let Some((name, signature)) = parts else {
            return Err(wrong);
        };
        check_name(name).map_err(|_| wrong.clone())?;
        match base64(signature)
            .as_deref()
            .and_then(<[u8]>::split_first_chunk)
        {
            Some((key_id, bytes)) if !bytes.is_empty() => Ok(Self {
                name: name.to_owned(),
                key_id: *key_id,
                bytes: bytes.to_vec(),
            }),
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend(&self.bytes);
        let signature = BASE64.encode(&bytes);
        write!(f, "{SIGNATURE_MARK}{} {signature}", self.name)
    }
}

/// A text and the signatures under it. `Display` writes it as it is kept and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    pub(super) text: String,
    pub(super) signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Reads a note. Verifies nothing.
    ///
    /// # Errors
    /// When it is over 1 MiB, has no or over 100 signatures, or is not exactly of the form that C2SP `signed-note` gives.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::NotANote;
        if note.len() > NOTE_MAX_BYTES {
            return Err(wrong("it is over 1 MiB"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(wrong("it holds a control character"));
        }
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or(wrong("no empty line parts its text from its signatures"))?;
        Ok(Self {
            text: format!("{text}\n"),
            signatures: signatures(lines)?,
        })
    }

    /// The text that is signed, with its last newline. It is nobody's word before a signature was verified.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The checkpoint, when the log with this key signed it.
    ///
    /// # Errors
    /// When it is not signed by the key, a signature in its name is wrong, it is no checkpoint, or one of another log.
    pub fn checkpoint(&self, key: &VerifierKey) -> Result<Checkpoint, NoteError> {
        self.verify(key)?;
        let checkpoint = Checkpoint::parse(&self.text)?;
        if checkpoint.origin != key.name() {
            return Err(NoteError::OtherLog(checkpoint.origin));
        }
        Ok(checkpoint)
    }

    /// The same text with the signatures of another note as well, of which each takes the place of one by the same key. `other` MUST
    /// be of the same text.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        let same = |one: &NoteSignature, two: &NoteSignature| {
            one.name == two.name && one.key_id == two.key_id
        };
        self.signatures
            .retain(|old| !other.signatures.iter().any(|new| same(old, new)));
        self.signatures.extend(other.signatures);
        self
    }

    /// Makes sure that the key signed the text.
    ///
    /// # Errors
    /// When it is not signed by the key, or a signature in its name is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        if key.is_witness() {
            return Err(NoteError::WrongKey(key.to_string()));
        }
        let mut signed = false;
        for signature in self.signatures.iter().filter(|one| key.made(one)) {
            if !key.verifies(self.text.as_bytes(), &signature.bytes) {
                return Err(NoteError::BadSignature(key.name().to_owned()));
            }
            signed = true;
        }
        if !signed {
            return Err(NoteError::NotSigned(key.name().to_owned()));
        }
        Ok(())
    }

    /// The same text with the one signature that the key made, when it made one: what others signed is let go.
    #[must_use]
    pub fn signed_by(&self, key: &VerifierKey) -> Option<Self> {
        let made = self.signatures.iter().find(|one| key.made(one))?;
        Some(Self {
            text: self.text.clone(),
            signatures: vec![made.clone()],
        })
    }

    /// Adds what a witness answered: of these signature lines, only those of its key, and only when they verify. A
    /// cosignature that it gave earlier is replaced.
    ///
    /// # Errors
    /// When the lines hold no cosignature by the key, or a wrong one. The note is as it was then.
    pub fn add_cosignature(
        &mut self,
        lines: &str,
        witness: &VerifierKey,
    ) -> Result<Timestamp, NoteError> {
        if lines.len() > NOTE_MAX_BYTES {
            return Err(NoteError::NotANote("it is over 1 MiB"));
        }
        let mut added = Self {
            text: self.text.clone(),
            signatures: signatures(lines)?,
        };
        added.signatures.retain(|one| witness.made(one));
        let time = cosigned(&added, witness)?;
        added.signatures.truncate(1);
        self.signatures.retain(|one| !witness.made(one));
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(NoteError::NotANote("it has too many signatures"));
        }
        self.signatures.append(&mut added.signatures);
        Ok(time)
    }
}

/// Reads signature lines, each with its newline.
fn signatures(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let lines = lines
        .strip_suffix('\n')
        .ok_or(NoteError::NotANote("it does not end with a signature line"))?;
    let count = lines.split('\n').count();
    if count > SIGNATURES_MAX {
        return Err(NoteError::NotANote("it has over 100 signatures"));
    }
    lines.split('\n').map(NoteSignature::parse).collect()
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        let mut signatures = self.signatures.iter();
        signatures.try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// When a witness says to have seen this checkpoint as the log's newest (C2SP `tlog-cosignature`, version 1). Of several
/// cosignatures the newest counts. It says nothing of the log's own signature: see [`SignedNote::checkpoint`].
///
/// # Errors
/// When the note bears no cosignature by this key, or a wrong one.
pub fn cosigned(note: &SignedNote, witness: &VerifierKey) -> Result<Timestamp, NoteError> {
    if !witness.is_witness() {
        return Err(NoteError::WrongKey(witness.to_string()));
    }
    let mut newest = None;
    for signature in note.signatures.iter().filter(|one| witness.made(one)) {
        let wrong = || NoteError::BadSignature(witness.name().to_owned());
        let (time, bytes) = signature.bytes.split_first_chunk().ok_or_else(wrong)?;
        let seconds = i64::try_from(u64::from_be_bytes(*time)).map_err(|_| wrong())?;
        let message = format!("cosignature/v1\ntime {seconds}\n{}", note.text);
        if !witness.verifies(message.as_bytes(), bytes) {
            return Err(wrong());
        }
        newest = newest.max(Some(Timestamp::from_seconds(seconds)));
    }
    newest.ok_or_else(|| NoteError::NotSigned(witness.name().to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::log::note_key::Algorithm;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    /// Key and note of the tests of Go's `golang.org/x/mod/sumdb/note`.
    const GO_SEED: &str = "810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173";
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    /// The example of C2SP `signed-note`.
    const C2SP_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const C2SP_NOTE: &str = "This is an example message.\n\n\
        — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    pub(in crate::log) fn key() -> SigningKey {
        SigningKey::new("log.example", &[7; 32]).unwrap()
    }

    /// A witness: its key, and the line it answers with.
    pub(in crate::log) fn witness(
        seed: u8,
        note: &SignedNote,
        seconds: u64,
    ) -> (VerifierKey, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let key = VerifierKey::new("witness.example/1", Algorithm::Cosignature, public);
        let message = format!("cosignature/v1\ntime {seconds}\n{}", note.text());
        let mut bytes = seconds.to_be_bytes().to_vec();
        bytes.extend(pair.sign(message.as_bytes()).as_ref());
        let line = NoteSignature {
            name: key.name().to_owned(),
            key_id: key.id,
            bytes,
        };
        (key, format!("{line}\n"))
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "log.example".to_owned(),
            size,
            root: [3; 32],
        }
    }

    fn verifies(note: &SignedNote, key: &VerifierKey) -> bool {
        note.signatures()
            .iter()
            .any(|one| key.made(one) && key.verifies(note.text().as_bytes(), &one.bytes))
    }

    #[test]
    fn the_known_notes_of_go_and_c2sp_verify() {
        for (key, note) in [(GO_KEY, GO_NOTE), (C2SP_KEY, C2SP_NOTE)] {
            let key = VerifierKey::parse(key).unwrap();
            let note = SignedNote::parse(note).unwrap();
            assert!(verifies(&note, &key));
        }
        assert_eq!(VerifierKey::parse(GO_KEY).unwrap().to_string(), GO_KEY);
        assert_eq!(SignedNote::parse(C2SP_NOTE).unwrap().to_string(), C2SP_NOTE);
    }

    #[test]
    fn the_known_key_of_go_has_the_known_verifier_and_signature() {
        let seed = HEXLOWER.decode(GO_SEED.as_bytes()).unwrap();
        let key = SigningKey::new("PeterNeumann", &seed.try_into().unwrap()).unwrap();
        assert_eq!(key.verifier_key().to_string(), GO_KEY);
        let note = SignedNote::parse(GO_NOTE).unwrap();
        let signature = key.pair.sign(note.text().as_bytes());
        assert_eq!(note.signatures()[0].bytes, signature.as_ref());
    }

    #[test]
    fn a_checkpoint_is_told_only_to_who_names_the_key_that_signed_it() {
        let key = key();
        let note = key.sign(&checkpoint(42)).unwrap();
        let read = SignedNote::parse(&note.to_string()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.checkpoint(key.verifier_key()), Ok(checkpoint(42)));

        let stranger = SigningKey::new("log.example", &[8; 32]).unwrap();
        assert_eq!(
            read.checkpoint(stranger.verifier_key()),
            Err(NoteError::NotSigned("log.example".to_owned()))
        );
        let renamed = SigningKey::new("other.example", &[7; 32]).unwrap();
        assert!(read.checkpoint(renamed.verifier_key()).is_err());
        assert!(renamed.sign(&checkpoint(42)).is_err());
    }

    #[test]
    fn every_other_text_under_a_signature_is_refused() {
        let key = key();
        let note = key.sign(&checkpoint(42)).unwrap().to_string();
        let text = checkpoint(42).body();
        for at in 0..text.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let read = SignedNote::parse(&changed);
            assert!(read.is_err() || read.unwrap().checkpoint(key.verifier_key()).is_err());
        }
    }

    #[test]
    fn a_text_of_another_form_is_no_checkpoint_although_the_key_signed_it() {
        let key = key();
        let root = BASE64.encode(&[3; 32]);
        for text in [
            "log.example\n42\n".to_owned(),
            format!("log.example\n042\n{root}\n"),
            format!("log.example\n+42\n{root}\n"),
            format!("log.example\n18446744073709551616\n{root}\n"),
            format!("log.example\n42\n{root}\nan extension\n"),
            format!("\n42\n{root}\n"),
            format!("other.example\n42\n{root}\n"),
            "log.example\n42\nAAAA\n".to_owned(),
        ] {
            let note = SignedNote {
                signatures: vec![NoteSignature {
                    name: "log.example".to_owned(),
                    key_id: key.verifier_key().id,
                    bytes: key.pair.sign(text.as_bytes()).as_ref().to_vec(),
                }],
                text,
            };
            assert!(verifies(&note, key.verifier_key()));
            assert!(note.checkpoint(key.verifier_key()).is_err(), "{note}");
        }
    }

    #[test]
    fn a_wrong_signature_in_the_key_s_name_spoils_the_note_beside_a_right_one() {
        let key = key();
        let mut note = key.sign(&checkpoint(42)).unwrap();
        let mut wrong = note.signatures[0].clone();
        wrong.bytes[5] ^= 1;
        note.signatures.push(wrong);
        assert_eq!(
            note.checkpoint(key.verifier_key()),
            Err(NoteError::BadSignature("log.example".to_owned()))
        );
    }

    #[test]
    fn a_known_cosignature_made_by_go_verifies() {
        let key = "PeterNeumann+18b9780b+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            — PeterNeumann GLl4CwAAAABrAtFHPpzMGrSUMcF/MyonORsCyYdo0vsLxsMCDuAW70RUUyRl8W3K56p6+6uwsP3ou/tZOR3r55z6F69eDh6gK7HrDQ==\n";
        let key = VerifierKey::parse(key).unwrap();
        let time = cosigned(&SignedNote::parse(note).unwrap(), &key).unwrap();
        assert_eq!(time.seconds(), 0x6b02_d147);
    }

    #[test]
    fn a_cosignature_counts_for_its_time_its_text_and_its_witness_only() {
        let mut note = key().sign(&checkpoint(42)).unwrap();
        let (witness_key, line) = witness(1, &note, 1_679_315_147);
        let time = note.add_cosignature(&line, &witness_key).unwrap();
        assert_eq!(time, Timestamp::from_seconds(1_679_315_147));
        assert_eq!(cosigned(&note, &witness_key), Ok(time));
        assert!(note.checkpoint(key().verifier_key()).is_ok());
        assert!(note.checkpoint(&witness_key).is_err());
        assert!(cosigned(&note, key().verifier_key()).is_err());

        let (_, later) = witness(1, &note, 1_679_315_148);
        note.add_cosignature(&later, &witness_key).unwrap();
        assert_eq!(note.signatures().len(), 2);
        assert_eq!(
            cosigned(&note, &witness_key).unwrap().seconds(),
            1_679_315_148
        );

        let (other_key, other) = witness(2, &note, 1);
        assert!(cosigned(&note, &other_key).is_err());
        let before = note.clone();
        assert!(note.add_cosignature(&other, &witness_key).is_err());
        let mut moved = witness(1, &note, 5).1.into_bytes();
        let at = moved.len() - 8;
        moved[at] = if moved[at] == b'A' { b'B' } else { b'A' };
        let moved = String::from_utf8(moved).unwrap();
        assert!(note.add_cosignature(&moved, &witness_key).is_err());
        assert_eq!(note, before);
    }

    #[test]
    fn a_witness_cannot_take_the_log_s_own_signature_away() {
        let mut note = key().sign(&checkpoint(42)).unwrap();
        let mut forged = note.signatures[0].clone();
        forged.bytes[0] ^= 1;
        let (witness_key, line) = witness(1, &note, 9);
        note.add_cosignature(&format!("{forged}\n{line}"), &witness_key)
            .unwrap();
        assert!(note.checkpoint(key().verifier_key()).is_ok());
    }

    #[test]
    fn what_is_not_exactly_a_note_is_refused() {
        let note = key().sign(&checkpoint(42)).unwrap().to_string();
        let many = format!("{}\n{}", checkpoint(1).body(), "— a AAAAAAA=\n".repeat(101));
        for wrong in [
            String::new(),
            checkpoint(1).body(),
            note.trim_end().to_owned(),
            format!("{note}\n"),
            note.replace("— ", "- "),
            note.replace("— ", "—  "),
            note.replace('\n', "\r\n"),
            note.replace("— log.example", "— log+example"),
            format!("{note}— a AAAA\n"),
            format!("{note}— a AAAAAAA=AAAA\n"),
            many,
            format!("{}\n\n— a AAAAAAA=\n", "x".repeat(NOTE_MAX_BYTES)),
        ] {
            assert!(SignedNote::parse(&wrong).is_err(), "{wrong:.200}");
        }
        // 16 signatures at least: C2SP.
        let sixteen = format!("{note}{}", "— a AAAAAAA=\n".repeat(16));
        assert!(SignedNote::parse(&sixteen).is_ok());
    }

    #[test]
    fn a_key_of_another_form_name_or_id_is_refused() {
        for wrong in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumanx+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
            "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(VerifierKey::parse(wrong).is_err(), "{wrong}");
        }
        for name in ["", "a b", "a\u{3000}b", "a+b", "a\nb", "a\u{7}"] {
            assert!(SigningKey::new(name, &[1; 32]).is_err(), "{name:?}");
        }
        assert!(SigningKey::new("関所.example", &[1; 32]).is_ok());
    }

    #[test]
    fn a_signing_key_does_not_print_its_seed() {
        let printed = format!("{:?}", key());
        assert_eq!(printed, format!("SigningKey({})", key().verifier_key()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_fail_and_what_is_read_is_written_alike(text in "\\PC{0,80}(\n|\n\n— [a-z ]{0,8} [A-Za-z0-9+/=]{0,24}\n){0,4}") {
            if let Ok(note) = SignedNote::parse(&text) {
                prop_assert_eq!(&note.to_string(), &text);
            }
            let _ = VerifierKey::parse(&text);
        }
    }
}

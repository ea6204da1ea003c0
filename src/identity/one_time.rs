//! Codes that a person writes down and uses once: recovery codes, and the code that an administrator gives for an enrolment.
//!
//! A code is 80 random bits: sixteen characters of base32 in four groups. The store keeps HMAC-SHA-256 of it under the pepper.
//! A slow hash would protect nothing more: it makes up for what people choose badly, and 2^80 guesses are out of reach whatever
//! one costs. The pepper keeps whoever has the store alone from trying any.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::Mac;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys::Pepper;

/// How many recovery codes a second factor has.
pub const RECOVERY_CODES: usize = 10;
const BYTES: usize = 10;
const CHARACTERS: usize = 16;
const GROUP: usize = 4;

/// A one-time code. Wiped when dropped; never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct OneTimeCode([u8; BYTES]);

/// What a code is for: for anything else it is another.
#[derive(Debug, Clone, Copy)]
pub enum Use<'a> {
    /// In place of a code of this second factor.
    Recovery(Uuid),
    /// The enrolment of this person.
    Enrollment(&'a str),
}

/// Not sixteen characters of base32: the person's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a code of four groups of four letters and digits")]
pub struct OneTimeCodeError;

/// The system gives no random numbers: the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl OneTimeCode {
    /// Draws 80 bits.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn random() -> Result<Self, NoRandom> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
        Ok(Self(bytes))
    }

    /// Reads a code as it was written down: in capitals or not, with hyphens between the groups or without.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, OneTimeCodeError> {
        // Bounded before anything is made of it.
        if text.len() > CHARACTERS + CHARACTERS / GROUP - 1 {
            return Err(OneTimeCodeError);
        }
        let mut characters = Zeroizing::new(String::with_capacity(CHARACTERS));
        let groups = text.contains('-');
        for group in text.split('-') {
            if groups && group.len() != GROUP {
                return Err(OneTimeCodeError);
            }
            characters.extend(
                group
                    .chars()
                    .map(|character| character.to_ascii_uppercase()),
            );
        }
        let mut bytes = [0; BYTES];
        if characters.len() != CHARACTERS
            || BASE32_NOPAD
                .decode_mut(characters.as_bytes(), &mut bytes)
                .is_err()
        {
            return Err(OneTimeCodeError);
        }
        Ok(Self(bytes))
    }

    /// For its owner, and for nothing else: `ABCD-EFGH-IJKL-MNOP`.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut characters = Zeroizing::new(String::with_capacity(CHARACTERS));
        BASE32_NOPAD.encode_append(&self.0, &mut characters);
        let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / GROUP));
        for (position, character) in characters.chars().enumerate() {
            if position > 0 && position % GROUP == 0 {
                text.push('-');
            }
            text.push(character);
        }
        text
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn digest(&self, pepper: &Pepper, used_for: Use<'_>) -> [u8; 32] {
        let mut mac = pepper.hmac();
        // The code has a fixed length and comes last, so that no two uses read alike.
        match used_for {
            Use::Recovery(factor) => {
                mac.update(b"recovery code\0");
                mac.update(factor.as_bytes());
            }
            Use::Enrollment(person) => {
                mac.update(b"enrollment code\0");
                mac.update(person.as_bytes());
            }
        }
        mac.update(&self.0);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keyring::Keyring;

    #[test]
    fn a_code_reads_as_it_was_written_down() {
        let code = OneTimeCode::random().unwrap();
        let text = code.to_text();
        assert_eq!(text.len(), 19);
        for written in [text.to_string(), text.to_lowercase(), text.replace('-', "")] {
            assert_eq!(OneTimeCode::parse(&written).unwrap().0, code.0, "{written}");
        }
        let other = OneTimeCode::random().unwrap();
        assert_ne!(other.0, code.0);
    }

    #[test]
    fn anything_else_is_no_code() {
        for bad in [
            "",
            "123456",
            "AAAA-AAAA-AAAA-AAA",
            "AAAA-AAAA-AAAA-AAAAA",
            "AAAAA-AAA-AAAA-AAAA",
            "-AAAA-AAAA-AAAA-AAA",
            " AAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAA1",
            "ＡＡＡＡＡ",
            &"A".repeat(100_000),
        ] {
            assert_eq!(OneTimeCode::parse(bad).unwrap_err(), OneTimeCodeError);
        }
    }

    #[test]
    fn what_the_store_keeps_is_of_one_use_and_one_keyring() {
        let keyring = Keyring::ephemeral().unwrap();
        let code = OneTimeCode::random().unwrap();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let digests = [
            code.digest(&keyring.pepper, Use::Recovery(one)),
            code.digest(&keyring.pepper, Use::Recovery(two)),
            code.digest(&keyring.pepper, Use::Enrollment("p-1")),
            code.digest(&keyring.pepper, Use::Enrollment("p-2")),
            code.digest(&Keyring::ephemeral().unwrap().pepper, Use::Recovery(one)),
        ];
        for (position, digest) in digests.iter().enumerate() {
            assert!(!digests[position + 1..].contains(digest));
        }
        let read = OneTimeCode::parse(&code.to_text()).unwrap();
        assert_eq!(read.digest(&keyring.pepper, Use::Recovery(one)), digests[0]);
        assert_eq!(format!("{code:?}"), "OneTimeCode(..)");
    }
}

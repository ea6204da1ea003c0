//! A password in the clear, for as long as it must be.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

/// The letters of a random password: none that is taken for another when it is read aloud or copied by hand.
const CLEAR_LETTERS: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// 24 letters of 31 are 118 bits.
const RANDOM_PASSWORD_LETTERS: usize = 24;

/// A password as a person gave it, in Unicode normalisation form C, so that it is the same from every keyboard (RFC 8265).
/// Wiped when dropped; never printed.
pub struct Secret(Zeroizing<String>);

/// Why a text can't be a password: the person's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Empty.
    #[error("is missing")]
    Missing,
    /// Over [`Secret::MAX_BYTES`], as it came or normalised.
    #[error("is over 1,024 bytes")]
    TooLong,
}

impl Secret {
    /// The longest password, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 1_024;

    /// Takes a password of 1 to 1,024 bytes. White space counts like anything else.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Missing);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(SecretError::TooLong);
        }
        // Room from the start, so that growing leaves no copy behind: form C is at most three times as long (UAX 15).
        let mut normal = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
        normal.extend(text.nfc());
        if normal.len() > Self::MAX_BYTES {
            return Err(SecretError::TooLong);
        }
        Ok(Self(normal))
    }

    /// The password, to be hashed or handed to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Prints that there is one, and nothing of it.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Draws a password of 118 random bits that can be read aloud.
///
/// Waits for as long as the system gives no random numbers; the keyring, without which nobody needs a password, fails first
/// in that case.
#[must_use]
pub fn random_password() -> Secret {
    let mut password = Zeroizing::new(String::with_capacity(RANDOM_PASSWORD_LETTERS));
    let mut random = Zeroizing::new([0_u8; 64]);
    while password.len() < RANDOM_PASSWORD_LETTERS {
        if getrandom::fill(&mut *random).is_err() {
            random.zeroize();
            std::thread::yield_now();
            continue;
        }
        // A byte past the last whole multiple of 31 is drawn again: taken modulo, some letters would be likelier.
        let fair = random.iter().filter(|byte| **byte < 248);
        let letters = fair.filter_map(|byte| CLEAR_LETTERS.get(usize::from(byte % 31)));
        let missing = RANDOM_PASSWORD_LETTERS.saturating_sub(password.len());
        password.extend(letters.take(missing).map(|letter| char::from(*letter)));
    }
    Secret(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn a_password_is_the_same_from_every_keyboard() {
        assert_eq!(secret("か\u{3099}").expose(), secret("が").expose());
        assert_ne!(secret("ｶﾞ").expose(), secret("ガ").expose());
    }

    #[test]
    fn a_password_has_1_to_1024_bytes() {
        assert_eq!(Secret::parse("").unwrap_err(), SecretError::Missing);
        assert!(Secret::parse(&"x".repeat(1_024)).is_ok());
        assert_eq!(
            Secret::parse(&"x".repeat(1_025)).unwrap_err(),
            SecretError::TooLong
        );
        // Grows when normalised.
        let grows = "\u{1D160}".repeat(100);
        assert_eq!(Secret::parse(&grows).unwrap_err(), SecretError::TooLong);
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = secret("hunter2");
        assert!(!format!("{secret:?} {secret}").contains("hunter"));
    }

    #[test]
    fn random_passwords_are_clear_and_differ() {
        let many: HashSet<String> = (0..100)
            .map(|_| random_password().expose().to_owned())
            .collect();
        assert_eq!(many.len(), 100);
        let letters: HashSet<u8> = many.iter().flat_map(|text| text.bytes()).collect();
        assert!(many.iter().all(|text| text.len() == 24));
        assert_eq!(letters, CLEAR_LETTERS.iter().copied().collect());
    }
}

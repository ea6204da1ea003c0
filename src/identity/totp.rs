//! The second step: a one-time code by time (RFC 6238) with SHA-1, 6 digits and steps of 30 seconds, which is what every
//! authenticator has.
//!
//! A code is right for its step, the one before and the one after. That it is used once only is not known here: `store`
//! spends the step, and the code has not been accepted before that succeeded.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys::{SealError, SealingKey};
use crate::domain::time::Timestamp;

/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Steps before and after the current one whose code is right too (RFC 6238, 5.2).
const DRIFT_STEPS: u16 = 1;
const DIGITS: u8 = 6;
/// RFC 4226, 4, R6: 160 bits are recommended.
const SEED_BYTES: usize = 20;
/// RFC 4226, 4, R6: at least 128 bits.
const SEED_MIN_BYTES: usize = 16;
/// A longer seed is hashed by HMAC anyway.
const SEED_MAX_BYTES: usize = 64;

/// A code as a person typed it: exactly six ASCII digits. Wiped when dropped; never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Code([u8; DIGITS as usize]);

/// Not exactly six ASCII digits: the person's or the calling service's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not exactly 6 digits")]
pub struct CodeError;

impl Code {
    /// Reads the digits and nothing around them: a code with a blank would be another text for a guard against replays.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let digits: [u8; DIGITS as usize] = text.as_bytes().try_into().map_err(|_| CodeError)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(CodeError);
        }
        Ok(Self(digits))
    }

    fn expose(&self) -> &str {
        // Digits are ASCII; the empty text is no code.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Why there is no seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Not base32 in capitals without padding: whoever gave it.
    #[error("is not base32")]
    Base32,
    /// Not 16 to 64 bytes: whoever gave it.
    #[error("is not of 16 to 64 bytes")]
    Length,
    /// The system gives no random numbers: the operator's.
    #[error("the system gives no random numbers")]
    Random,
    /// Altered, or another person's: the operator's to find out who changed the store.
    #[error("the sealed seed {0}")]
    Sealed(#[from] SealError),
}

/// The secret that a person's authenticator shares with the daemon. Wiped when dropped; never printed.
pub struct Seed(Totp);

impl Seed {
    /// Draws 160 bits.
    ///
    /// # Errors
    /// [`SeedError::Random`].
    pub fn random() -> Result<Self, SeedError> {
        let mut bytes = Zeroizing::new([0_u8; SEED_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|_| SeedError::Random)?;
        Self::from_bytes(&*bytes)
    }

    /// Reads base32 (RFC 4648, 6) in capitals without padding, as [`Self::to_base32`] writes it.
    ///
    /// # Errors
    /// [`SeedError::Base32`], [`SeedError::Length`].
    pub fn from_base32(text: &str) -> Result<Self, SeedError> {
        // Bounded before it is decoded: 64 bytes are 103 characters.
        if text.len() > 103 {
            return Err(SeedError::Length);
        }
        let bytes = BASE32_NOPAD
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| SeedError::Base32)?;
        Self::from_bytes(&bytes)
    }

    /// For the person's authenticator, and for nothing else.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.secret().as_bytes()))
    }

    /// Seals it for one credential of one person: in any other place it opens no more.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(
        &self,
        key: &SealingKey,
        person: &str,
        credential: Uuid,
    ) -> Result<Vec<u8>, SeedError> {
        Ok(key.seal(&context(person, credential), self.0.secret().as_bytes())?)
    }

    /// Opens what [`Self::seal`] made for the same credential of the same person.
    ///
    /// # Errors
    /// [`SeedError::Sealed`] when it was altered, or sealed for another; such a factor must not be used, and somebody told.
    pub fn open(
        key: &SealingKey,
        person: &str,
        credential: Uuid,
        sealed: &[u8],
    ) -> Result<Self, SeedError> {
        Self::from_bytes(&key.open(&context(person, credential), sealed)?)
    }

    /// The step whose code this is, of the three around `now`. It counts only once it is spent.
    #[must_use]
    pub fn matching_step(&self, code: &Code, now: Timestamp) -> Option<u64> {
        self.0.check(code.expose(), seconds(now)?)
    }

    /// The code for `now`, as an authenticator shows it. The daemon never asks; its command line does.
    #[must_use]
    pub fn code_at(&self, now: Timestamp) -> String {
        self.0.generate(seconds(now).unwrap_or(0)).to_string()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SeedError> {
        if !(SEED_MIN_BYTES..=SEED_MAX_BYTES).contains(&bytes.len()) {
            return Err(SeedError::Length);
        }
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_skew(DRIFT_STEPS)
            .with_step_duration(STEP_SECONDS)
            .with_secret(Secret::new(bytes.into()))
            .build()
            .map(Self)
            // The library's own errors are dropped: some of them print the seed.
            .map_err(|_| SeedError::Length)
    }
}

/// The step of `now`; codes of this one, the one before and the one after are right. 0 before 1970.
#[must_use]
pub fn step_at(now: Timestamp) -> u64 {
    seconds(now).unwrap_or(0) / STEP_SECONDS
}

/// The newest step whose code is right at `now`: with it, all that may have been shown by then are spent.
#[must_use]
pub fn newest_step_at(now: Timestamp) -> u64 {
    step_at(now).saturating_add(u64::from(DRIFT_STEPS))
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Before 1970 there are no steps.
fn seconds(now: Timestamp) -> Option<u64> {
    u64::try_from(now.seconds()).ok()
}

/// The id has a fixed length and comes last, so that no two pairs of person and credential read alike.
fn context(person: &str, credential: Uuid) -> Vec<u8> {
    [b"totp seed\0", person.as_bytes(), credential.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keyring::Keyring;

    /// The seed of the appendices: "12345678901234567890".
    fn appendix_seed() -> Seed {
        Seed::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    fn code(text: &str) -> Code {
        Code::parse(text).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn codes_are_those_of_rfc_4226_appendix_d() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (step, expected) in (0..).zip(codes) {
            assert_eq!(appendix_seed().code_at(at(step * 30)), expected);
            assert_eq!(appendix_seed().code_at(at(step * 30 + 29)), expected);
        }
    }

    #[test]
    fn codes_are_the_last_six_digits_of_rfc_6238_appendix_b() {
        for (seconds, of_eight_digits, step) in [
            (59, "94287082", 0x1),
            (1_111_111_109, "07081804", 0x23523EC),
            (1_111_111_111, "14050471", 0x23523ED),
            (1_234_567_890, "89005924", 0x273EF07),
            (2_000_000_000, "69279037", 0x3F940AA),
            (20_000_000_000, "65353130", 0x27BC86AA),
        ] {
            let expected = &of_eight_digits[2..];
            assert_eq!(appendix_seed().code_at(at(seconds)), expected);
            assert_eq!(
                appendix_seed().matching_step(&code(expected), at(seconds)),
                Some(step)
            );
        }
    }

    #[test]
    fn a_code_is_right_one_step_early_and_one_step_late_and_no_further() {
        let (seed, now) = (appendix_seed(), 1_234_567_890);
        let step = u64::try_from(now / 30).unwrap();
        let shown = code(&seed.code_at(at(now)));
        for (drift, expected) in [
            (-60, None),
            (-30, Some(step)),
            (0, Some(step)),
            (30, Some(step)),
            (60, None),
        ] {
            assert_eq!(
                seed.matching_step(&shown, at(now + drift)),
                expected,
                "{drift}"
            );
        }
    }

    #[test]
    fn no_code_is_right_beyond_the_newest_step() {
        let (seed, now) = (appendix_seed(), 1_234_567_890);
        let newest = newest_step_at(at(now));
        assert_eq!(newest, step_at(at(now)) + 1);
        let shown = |ahead: i64| code(&seed.code_at(at(now + 30 * ahead)));
        assert_eq!(seed.matching_step(&shown(1), at(now)), Some(newest));
        assert_eq!(seed.matching_step(&shown(2), at(now)), None);
        assert_eq!(step_at(at(-1)), 0);
    }

    #[test]
    fn a_code_of_another_seed_is_wrong() {
        let (one, other) = (Seed::random().unwrap(), Seed::random().unwrap());
        let now = at(1_234_567_890);
        let window: Vec<String> = (-1..=1)
            .map(|drift| other.code_at(at(1_234_567_890 + drift * 30)))
            .collect();
        let shown = one.code_at(now);
        if !window.contains(&shown) {
            assert_eq!(other.matching_step(&code(&shown), now), None);
        }
    }

    #[test]
    fn around_the_epoch_nothing_overflows() {
        let seed = appendix_seed();
        assert_eq!(seed.matching_step(&code("755224"), at(0)), Some(0));
        assert_eq!(seed.matching_step(&code("755224"), at(-1)), None);
        let end = Timestamp::from_micros(i64::MAX);
        assert!(seed.matching_step(&code(&seed.code_at(end)), end).is_some());
    }

    #[test]
    fn a_code_is_exactly_six_ascii_digits() {
        assert!(Code::parse("012345").is_ok());
        for bad in [
            "",
            "12345",
            "1234567",
            " 12345",
            "12345 ",
            " 123456",
            "123456\n",
            "+23456",
            "-23456",
            "１２３４５６",
            "１２",
            "٣٤٥",
            "12345a",
            "0x1234",
            "1 3456",
            "123\u{0}45",
        ] {
            assert_eq!(Code::parse(bad).unwrap_err(), CodeError, "{bad:?}");
        }
    }

    #[test]
    fn a_sealed_seed_opens_for_its_own_person_and_credential_only() {
        let key = Keyring::ephemeral().unwrap().seeds;
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seed = Seed::random().unwrap();
        let sealed = seed.seal(&key, "person-1", one).unwrap();
        let opened = Seed::open(&key, "person-1", one, &sealed).unwrap();
        assert_eq!(opened.to_base32(), seed.to_base32());
        for (person, credential) in [("person-2", one), ("person-1", two), ("", one)] {
            assert_eq!(
                Seed::open(&key, person, credential, &sealed).unwrap_err(),
                SeedError::Sealed(SealError::NotGenuine)
            );
        }
        let other = Keyring::ephemeral().unwrap().seeds;
        assert!(Seed::open(&other, "person-1", one, &sealed).is_err());
    }

    #[test]
    fn a_seed_reads_as_it_was_written_and_only_so() {
        let seed = Seed::random().unwrap();
        let text = seed.to_base32();
        assert_eq!(text.len(), 32);
        assert_eq!(*Seed::from_base32(&text).unwrap().to_base32(), *text);
        for (bad, expected) in [
            ("", SeedError::Length),
            ("GEZDGNBV", SeedError::Length),
            ("gezdgnbvgy3tqojqgezdgnbvgy3tqojq", SeedError::Base32),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ=", SeedError::Base32),
            ("GEZD GNBV GY3T QOJQ GEZD GNBV GY", SeedError::Base32),
        ] {
            assert_eq!(Seed::from_base32(bad).unwrap_err(), expected, "{bad:?}");
        }
        assert_eq!(
            Seed::from_base32(&"A".repeat(104)).unwrap_err(),
            SeedError::Length
        );
    }

    #[test]
    fn seeds_and_codes_print_nothing_of_themselves() {
        let seed = appendix_seed();
        let printed = format!("{seed:?} {:?}", code("123456"));
        assert_eq!(printed, "Seed(..) Code(..)");
        let error = Seed::from_base32("GEZDGNBV").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("GEZ"));
    }
}

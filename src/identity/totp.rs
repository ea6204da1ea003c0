//! The second step: a one-time code by time (RFC 6238) with SHA-1, SHA-256 or SHA-512, of 6 or 8 digits, in steps of 30 or 60
//! seconds. A factor that a person enrols has SHA-1, 6 digits and 30 seconds, which is what every authenticator has; hardware
//! tokens come with their own.
//!
//! A code is right for its step, the one before and the one after. That it is used once only is not known here: `store`
//! spends the step, and the code has not been accepted before that succeeded.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys::{KeyId, SealError, SealingKey};
use crate::domain::time::Timestamp;

/// Steps are told in units of this many seconds, whatever the factor's own step: one order for all of them.
const UNIT_SECONDS: u64 = 30;
/// Steps before and after the current one whose code is right too (RFC 6238, 5.2).
const DRIFT_STEPS: u16 = 1;
/// The longest code.
const DIGITS_MAX: usize = 8;
/// RFC 4226, 4, R6: 160 bits are recommended.
const SEED_BYTES: usize = 20;
/// RFC 4226, 4, R6: at least 128 bits.
const SEED_MIN_BYTES: usize = 16;
/// A longer seed is hashed by HMAC anyway.
const SEED_MAX_BYTES: usize = 64;

/// The hash of a factor (RFC 6238, 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hash {
    /// HMAC-SHA-1.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// How a factor makes its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    hash: Hash,
    digits: u8,
    step_seconds: u8,
}

impl Default for Parameters {
    /// What every authenticator has: SHA-1, 6 digits, 30 seconds.
    fn default() -> Self {
        Self {
            hash: Hash::Sha1,
            digits: 6,
            step_seconds: 30,
        }
    }
}

impl Parameters {
    /// Takes 6 or 8 digits and steps of 30 or 60 seconds; `None` for anything else.
    #[must_use]
    pub const fn new(hash: Hash, digits: u8, step_seconds: u8) -> Option<Self> {
        match (digits, step_seconds) {
            (6 | 8, 30 | 60) => Some(Self {
                hash,
                digits,
                step_seconds,
            }),
            _ => None,
        }
    }

    /// How many digits a code has: 6 or 8.
    #[must_use]
    pub const fn digits(self) -> u8 {
        self.digits
    }

    const fn algorithm(self) -> Algorithm {
        match self.hash {
            Hash::Sha1 => Algorithm::SHA1,
            Hash::Sha256 => Algorithm::SHA256,
            Hash::Sha512 => Algorithm::SHA512,
        }
    }

    /// As they are sealed with the seed, so that neither can be changed without the other.
    const fn to_bytes(self) -> [u8; PARAMETER_BYTES] {
        let hash = match self.hash {
            Hash::Sha1 => 1,
            Hash::Sha256 => 2,
            Hash::Sha512 => 3,
        };
        [hash, self.digits, self.step_seconds]
    }

    const fn from_bytes(bytes: [u8; PARAMETER_BYTES]) -> Option<Self> {
        let [hash, digits, step_seconds] = bytes;
        let hash = match hash {
            1 => Hash::Sha1,
            2 => Hash::Sha256,
            3 => Hash::Sha512,
            _ => return None,
        };
        Self::new(hash, digits, step_seconds)
    }
}

const PARAMETER_BYTES: usize = 3;

/// A code as a person typed it: exactly six or eight ASCII digits. Wiped when dropped; never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Code {
    bytes: [u8; DIGITS_MAX],
    digits: usize,
}

/// Not exactly the digits: the person's or the calling service's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not exactly 6 or 8 digits")]
pub struct CodeError;

impl Code {
    /// Reads the digits and nothing around them: a code with a blank would be another text for a guard against replays.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let digits = text.len();
        if !matches!(digits, 6 | DIGITS_MAX) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CodeError);
        }
        let mut bytes = [0; DIGITS_MAX];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(Self { bytes, digits })
    }

    /// How many digits it has.
    #[must_use]
    pub const fn digits(&self) -> usize {
        self.digits
    }

    fn expose(&self) -> &str {
        // Digits are ASCII; the empty text is no code.
        self.bytes
            .get(..self.digits)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .unwrap_or_default()
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
    /// Sealed under a key that is not in the keyring: the operator's, who copies the keyring from where it was rotated.
    #[error("the sealed seed is sealed under the key {0}, which the keyring lacks")]
    KeyMissing(KeyId),
}

/// The secret that a person's authenticator shares with the daemon, and how codes are made of it. Wiped when dropped; never
/// printed.
pub struct Seed {
    totp: Totp,
    parameters: Parameters,
}

/// Names the key that a seed is sealed under; `None` for what is no sealed seed. What is stored is the key's id, eight digits,
/// then what the key sealed: so who lacks the key knows it, and takes nobody's code for wrong.
#[must_use]
pub fn sealed_under(sealed: &[u8]) -> Option<KeyId> {
    let (id, _) = sealed.split_first_chunk::<{ KeyId::CHARACTERS }>()?;
    KeyId::read(*id)
}

/// What is stored of a sealed seed.
fn named(key: &SealingKey, sealed: &[u8]) -> Vec<u8> {
    [key.id().as_str().as_bytes(), sealed].concat()
}

/// What a key sealed, once it is known to be there. The name of the key proves nothing: the seal does.
fn seal_of<'a>(key: &SealingKey, sealed: &'a [u8]) -> Result<&'a [u8], SeedError> {
    let id = sealed_under(sealed).ok_or(SealError::NotGenuine)?;
    let (_, sealed) = sealed
        .split_first_chunk::<{ KeyId::CHARACTERS }>()
        .ok_or(SealError::NotGenuine)?;
    if !key.has(id.as_str()) {
        return Err(SeedError::KeyMissing(id));
    }
    Ok(sealed)
}

fn seal_anew(
    key: &SealingKey,
    owner: Owner<'_>,
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, SeedError> {
    let sealed = seal_of(key, sealed)?;
    let anew = key.seal_anew(&owner.context(), sealed)?;
    Ok(anew.map(|sealed| named(key, &sealed)))
}

/// Whose a seed is: sealed for one, it opens for no other.
#[derive(Debug, Clone, Copy)]
enum Owner<'a> {
    Person(&'a str, Uuid),
    /// A token that is nobody's yet, by its serial number.
    Token(&'a str),
}

impl Owner<'_> {
    /// The id has a fixed length and comes last, so that no two pairs of person and credential read alike.
    fn context(self) -> Vec<u8> {
        match self {
            Self::Person(person, credential) => {
                [b"totp seed\0", person.as_bytes(), credential.as_bytes()].concat()
            }
            Self::Token(serial) => [b"hardware token\0", serial.as_bytes()].concat(),
        }
    }
}

impl Seed {
    /// Draws 160 bits.
    ///
    /// # Errors
    /// [`SeedError::Random`].
    pub fn random() -> Result<Self, SeedError> {
        let mut bytes = Zeroizing::new([0_u8; SEED_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|_| SeedError::Random)?;
        Self::from_bytes(&*bytes, Parameters::default())
    }

    /// Reads base32 (RFC 4648, 6) in capitals without padding, as [`Self::to_base32`] writes it.
    ///
    /// # Errors
    /// [`SeedError::Base32`], [`SeedError::Length`].
    pub fn from_base32(text: &str) -> Result<Self, SeedError> {
        Self::from_base32_with(text, Parameters::default())
    }

    /// The same for a factor that makes its codes otherwise.
    ///
    /// # Errors
    /// [`SeedError::Base32`], [`SeedError::Length`].
    pub fn from_base32_with(text: &str, parameters: Parameters) -> Result<Self, SeedError> {
        // Bounded before it is decoded: 64 bytes are 103 characters.
        if text.len() > 103 {
            return Err(SeedError::Length);
        }
        let bytes = BASE32_NOPAD
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| SeedError::Base32)?;
        Self::from_bytes(&bytes, parameters)
    }

    /// For the person's authenticator, and for nothing else.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.totp.secret().as_bytes()))
    }

    /// How it makes its codes.
    #[must_use]
    pub const fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// The URI that authenticators read (Key URI Format): `issuer` and `account` are what they show. Never printed by itself.
    #[must_use]
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm={}&digits={}&period={}",
            *self.to_base32(),
            self.parameters.algorithm(),
            self.parameters.digits,
            self.parameters.step_seconds,
        ))
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
        self.seal_for(key, Owner::Person(person, credential))
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
        Self::open_of(key, Owner::Person(person, credential), sealed)
    }

    /// Seals it for a hardware token that is nobody's yet, by its serial number.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal_token(&self, key: &SealingKey, serial: &str) -> Result<Vec<u8>, SeedError> {
        self.seal_for(key, Owner::Token(serial))
    }

    /// Opens what [`Self::seal_token`] made for the same token.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_token(key: &SealingKey, serial: &str, sealed: &[u8]) -> Result<Self, SeedError> {
        Self::open_of(key, Owner::Token(serial), sealed)
    }

    /// Seals under the current key what an older one sealed for this credential of this person; `None` where the current one
    /// did. The seed is not looked at.
    ///
    /// # Errors
    /// [`SeedError::Sealed`] when it was altered, sealed for another, or under a key that is gone; or when the system gives no
    /// random numbers.
    pub fn seal_anew(
        key: &SealingKey,
        person: &str,
        credential: Uuid,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, SeedError> {
        let owner = Owner::Person(person, credential);
        seal_anew(key, owner, sealed)
    }

    /// The same for a hardware token that is nobody's yet.
    ///
    /// # Errors
    /// As for [`Self::seal_anew`].
    pub fn seal_token_anew(
        key: &SealingKey,
        serial: &str,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, SeedError> {
        seal_anew(key, Owner::Token(serial), sealed)
    }

    fn seal_for(&self, key: &SealingKey, owner: Owner<'_>) -> Result<Vec<u8>, SeedError> {
        let seed = self.totp.secret().as_bytes();
        let mut plain = Zeroizing::new(Vec::with_capacity(PARAMETER_BYTES + SEED_MAX_BYTES));
        plain.extend_from_slice(&self.parameters.to_bytes());
        plain.extend_from_slice(seed);
        Ok(named(key, &key.seal(&owner.context(), &plain)?))
    }

    fn open_of(key: &SealingKey, owner: Owner<'_>, sealed: &[u8]) -> Result<Self, SeedError> {
        let sealed = seal_of(key, sealed)?;
        let plain = key.open(&owner.context(), sealed)?;
        let (parameters, seed) = plain
            .split_first_chunk::<PARAMETER_BYTES>()
            .and_then(|(bytes, seed)| Some((Parameters::from_bytes(*bytes)?, seed)))
            .ok_or(SealError::NotGenuine)?;
        Self::from_bytes(seed, parameters)
    }

    /// The step whose code this is, of the three around `now`, in units of 30 seconds. It counts only once it is spent.
    #[must_use]
    pub fn matching_step(&self, code: &Code, now: Timestamp) -> Option<u64> {
        if code.digits != usize::from(self.parameters.digits) {
            return None;
        }
        let step = self.totp.check(code.expose(), seconds(now)?)?;
        Some(step.saturating_mul(self.units()))
    }

    /// The step of `now`, in units of 30 seconds. 0 before 1970.
    #[must_use]
    pub fn step_at(&self, now: Timestamp) -> u64 {
        let step = seconds(now).unwrap_or(0) / u64::from(self.parameters.step_seconds);
        step.saturating_mul(self.units())
    }

    /// The code for `now`, as an authenticator shows it. The daemon never asks; its command line does.
    #[must_use]
    pub fn code_at(&self, now: Timestamp) -> String {
        self.totp.generate(seconds(now).unwrap_or(0)).to_string()
    }

    /// Takes the bytes themselves.
    ///
    /// # Errors
    /// [`SeedError::Length`].
    pub fn from_bytes(bytes: &[u8], parameters: Parameters) -> Result<Self, SeedError> {
        if !(SEED_MIN_BYTES..=SEED_MAX_BYTES).contains(&bytes.len()) {
            return Err(SeedError::Length);
        }
        Builder::new()
            .with_algorithm(parameters.algorithm())
            .with_digits(parameters.digits)
            .with_skew(DRIFT_STEPS)
            .with_step_duration(u64::from(parameters.step_seconds))
            .with_secret(Secret::new(bytes.into()))
            .build()
            .map(|totp| Self { totp, parameters })
            // The library's own errors are dropped: some of them print the seed.
            .map_err(|_| SeedError::Length)
    }

    const fn units(&self) -> u64 {
        match self.parameters.step_seconds {
            60 => 2,
            _ => 1,
        }
    }
}

/// The newest step whose code may be right at `now` on any factor: with it, all that may have been shown by then are spent.
#[must_use]
pub fn newest_step_at(now: Timestamp) -> u64 {
    let drift = u64::from(DRIFT_STEPS);
    let newest = |units: u64| {
        let step = seconds(now).unwrap_or(0) / UNIT_SECONDS / units;
        step.saturating_add(drift).saturating_mul(units)
    };
    newest(1).max(newest(2))
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

/// All but unreserved characters as percent and two hexadecimal digits (RFC 3986, 2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len().saturating_mul(3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 0x0f] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
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
        let slow = Parameters::new(Hash::Sha1, 6, 60).unwrap();
        let slow = Seed::from_base32_with(&seed.to_base32(), slow).unwrap();
        for now in [now, now + 30] {
            let newest = newest_step_at(at(now));
            for (seed, step) in [(&seed, 30), (&slow, 60)] {
                let shown = |ahead: i64| code(&seed.code_at(at(now + step * ahead)));
                assert!(seed.matching_step(&shown(1), at(now)).unwrap() <= newest);
                assert!(seed.matching_step(&shown(1), at(now)).unwrap() + 2 > newest);
                assert_eq!(seed.matching_step(&shown(2), at(now)), None);
            }
        }
        assert_eq!(seed.step_at(at(-1)), 0);
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
    fn a_code_is_exactly_six_or_eight_ascii_digits() {
        assert!(Code::parse("012345").is_ok());
        assert!(Code::parse("01234567").is_ok());
        for bad in [
            "",
            "12345",
            "1234567",
            "123456789",
            " 12345",
            " 1234567",
            "１２\u{30}\u{30}",
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

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b_for_all_three_hashes() {
        let seed = |length: usize| -> Vec<u8> {
            b"1234567890".iter().copied().cycle().take(length).collect()
        };
        let of = |hash, length| {
            let parameters = Parameters::new(hash, 8, 30).unwrap();
            Seed::from_bytes(&seed(length), parameters).unwrap()
        };
        let seeds = [
            of(Hash::Sha1, 20),
            of(Hash::Sha256, 32),
            of(Hash::Sha512, 64),
        ];
        for (seconds, codes) in [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ] {
            for (seed, expected) in seeds.iter().zip(codes) {
                assert_eq!(seed.code_at(at(seconds)), expected);
                let step = seed.matching_step(&code(expected), at(seconds));
                assert_eq!(step, Some(seconds as u64 / 30));
            }
        }
    }

    #[test]
    fn a_step_of_sixty_seconds_is_told_in_the_units_of_all_steps() {
        let slow = Parameters::new(Hash::Sha256, 8, 60).unwrap();
        let seed = Seed::from_bytes(&[7; 32], slow).unwrap();
        let now = 1_234_567_890; // the 30th second of its minute
        let shown = code(&seed.code_at(at(now)));
        let step = seed.matching_step(&shown, at(now)).unwrap();
        assert_eq!(step, seed.step_at(at(now)));
        assert_eq!(step, u64::try_from(now / 60).unwrap() * 2);
        for (drift, expected) in [
            (-120, None),
            (-60, Some(step)),
            (60, Some(step)),
            (120, None),
        ] {
            assert_eq!(
                seed.matching_step(&shown, at(now + drift)),
                expected,
                "{drift}"
            );
        }
        // As many digits as the factor has, and no others.
        let six = code(&appendix_seed().code_at(at(now)));
        assert_eq!(seed.matching_step(&six, at(now)), None);
        assert_eq!(appendix_seed().matching_step(&shown, at(now)), None);
    }

    #[test]
    fn a_sealed_seed_keeps_how_its_codes_are_made() {
        let key = Keyring::ephemeral().unwrap().seeds;
        let parameters = Parameters::new(Hash::Sha512, 8, 60).unwrap();
        let seed = Seed::from_bytes(&[9; 64], parameters).unwrap();
        let sealed = seed.seal_token(&key, "T-1").unwrap();
        let opened = Seed::open_token(&key, "T-1", &sealed).unwrap();
        assert_eq!(opened.parameters(), parameters);
        assert_eq!(opened.to_base32(), seed.to_base32());
        assert!(Seed::open_token(&key, "T-2", &sealed).is_err());
        assert!(Seed::open(&key, "T-1", Uuid::nil(), &sealed).is_err());
        assert_eq!(Parameters::new(Hash::Sha1, 7, 30), None);
        assert_eq!(Parameters::new(Hash::Sha1, 6, 20), None);
    }

    #[test]
    fn an_authenticator_reads_the_uri_whatever_the_names() {
        let uri = appendix_seed().otpauth_uri("人材 & Co.", "a:b/ç?");
        assert_eq!(
            *uri,
            "otpauth://totp/%E4%BA%BA%E6%9D%90%20%26%20Co.:a%3Ab%2F%C3%A7%3F?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=%E4%BA%BA%E6%9D%90%20%26%20Co.&algorithm=SHA1&digits=6&period=30"
        );
    }
}

//! The first step: a password, hashed with Argon2id (RFC 9106) under a pepper.
//!
//! A hash takes about 30 ms of one core and 19 MiB. So it never runs on the threads that answer requests and stands back where
//! those want the processor, no more run at a time than the machine bears, and no more wait than can be served soon: whoever
//! comes then is told so at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, KeyId as HashKeyId, Params, ParamsBuilder, Version,
};
use tokio::sync::{Semaphore, oneshot};

pub use super::secret::{Secret, SecretError, random_password};

use super::hash_threads::{HashThreads, Memory};
use super::keys::Pepper;

/// Memory of one hash in KiB: 19 MiB (OWASP Password Storage Cheat Sheet, the first of its equal choices).
pub const MEMORY_KIB: u32 = 19 * 1_024;
/// Passes over it.
pub const PASSES: u32 = 2;
/// Threads of one hash.
pub const LANES: u32 = 1;

/// The dearest stored hash that is looked at. Verification takes its costs from the hash, so whoever can write one could
/// otherwise have the daemon fill its memory.
const MEMORY_CAP_KIB: u32 = 64 * 1_024;
const PASSES_CAP: u32 = 6;
const LANES_CAP: u32 = 4;
/// The longest stored hash, in bytes.
const HASH_MAX_BYTES: usize = 256;
const SALT_BYTES: usize = 16;
const VERSION: u32 = 0x13;

/// Why a password was neither taken nor refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// As many are hashed and wait as may: nobody's fault, to be tried again.
    #[error("too many passwords are being checked")]
    Busy,
    /// The stored hash is not an Argon2id hash: the operator's, somebody changed the store.
    #[error("the stored hash is damaged")]
    Damaged,
    /// The stored hash asks for more memory or time than is ever given: the operator's.
    #[error("the stored hash has costs above the cap")]
    TooCostly,
    /// The stored hash was made under another pepper: the operator's, the keyring is not the one of this store.
    #[error("the stored hash was made with another keyring")]
    OtherPepper,
    /// The system gave no memory or no random numbers, or the thread died: the operator's.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes and checks passwords.
pub struct Passwords {
    work: Arc<Work>,
    threads: HashThreads,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
    /// One for each hash that runs.
    cores: Arc<Semaphore>,
}

/// What a hash needs on its thread.
struct Work {
    pepper: Pepper,
    params: Params,
    /// Checked in place of the hash of a person whom nobody knows.
    decoy: String,
    done: AtomicU64,
}

impl Passwords {
    /// At most `concurrent` hashes (at least one) run at a time, of which each takes a core, and at most
    /// `queued` wait.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(pepper: Pepper, concurrent: usize, queued: usize) -> std::io::Result<Self> {
        let concurrent = concurrent.clamp(1, Semaphore::MAX_PERMITS / 2);
        let queued = queued.min(Semaphore::MAX_PERMITS / 2);
        let work = Work {
            params: params(&pepper),
            decoy: decoy(&pepper),
            pepper,
            done: AtomicU64::new(0),
        };
        Ok(Self {
            work: Arc::new(work),
            threads: HashThreads::start(concurrent)?,
            places: Arc::new(Semaphore::new(concurrent.saturating_add(queued))),
            cores: Arc::new(Semaphore::new(concurrent)),
        })
    }

    /// Hashes a new password, to a PHC string that names the pepper's id.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], [`PasswordError::Failed`].
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        self.run(move |work, memory| work.hash(&password, memory))
            .await
    }

    /// Whether `password` is the one that `stored` was made from. `None` stands for a person whom nobody knows: the same
    /// work is done, and the answer is no.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] whoever the person is; the others when the stored hash can't be used.
    pub async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, PasswordError> {
        self.run(move |work, memory| {
            let known = stored.is_some();
            let matches =
                work.verify(&password, stored.as_deref().unwrap_or(&work.decoy), memory)?;
            Ok(matches & known)
        })
        .await
    }

    /// As [`Self::verify`]; and where the password is right but its hash was made with other costs than a new one has, another
    /// hash of it.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub async fn verify_and_renew(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<(bool, Option<String>), PasswordError> {
        self.run(move |work, memory| {
            let known = stored.is_some();
            let stored = stored.as_deref().unwrap_or(&work.decoy);
            let right = work.verify(&password, stored, memory)? & known;
            let outdated = right
                && PasswordHash::new(stored)
                    .ok()
                    .and_then(|hash| Params::try_from(&hash).ok())
                    .is_some_and(|params| !work.has_costs_of_now(&params));
            // It was right either way: a hash that can't be made now is made at another login.
            let renewed = outdated
                .then(|| work.hash(&password, memory).ok())
                .flatten();
            Ok((right, renewed))
        })
        .await
    }

    /// How many hashes were made, the decoy's included.
    #[must_use]
    pub fn hashes_done(&self) -> u64 {
        self.work.done.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Work, &mut Memory) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Failed)?;
        let work = Arc::clone(&self.work);
        let (tell, told) = oneshot::channel();
        // Not one of the runtime's threads for blocking work: those do other things at another time, and would do them late.
        self.threads.run(move |memory| {
            let done = job(&work, memory);
            // Held by the hash itself: a caller that hangs up doesn't make room for another hash while this one runs.
            drop((place, core));
            // Nobody listens where the caller hung up.
            let _ = tell.send(done);
        })?;
        told.await.map_err(|_| PasswordError::Failed)?
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({:?})", self.work.pepper)
    }
}

impl Work {
    fn output(
        &self,
        password: &Secret,
        salt: &Salt,
        params: Params,
        memory: &mut Memory,
    ) -> Result<Output, PasswordError> {
        let failed = |_| PasswordError::Failed;
        let mut output = [0; Output::MAX_LENGTH];
        let output = output
            .get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))
            .ok_or(PasswordError::Failed)?;
        let memory = memory.blocks(params.block_count())?;
        let secret = self.pepper.expose();
        self.done.fetch_add(1, Ordering::Relaxed);
        Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
            .and_then(|argon2| {
                argon2.hash_password_into_with_memory(
                    password.expose().as_bytes(),
                    salt.as_ref(),
                    output,
                    memory,
                )
            })
            .map_err(failed)?;
        Output::new(output).map_err(|_| PasswordError::Failed)
    }

    fn has_costs_of_now(&self, params: &Params) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        costs(params) == costs(&self.params)
    }

    fn hash(&self, password: &Secret, memory: &mut Memory) -> Result<String, PasswordError> {
        let mut salt = [0_u8; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| PasswordError::Failed)?;
        let salt = Salt::new(&salt).map_err(|_| PasswordError::Failed)?;
        let output = self.output(password, &salt, self.params.clone(), memory)?;
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(VERSION),
            params: ParamsString::try_from(&self.params).map_err(|_| PasswordError::Failed)?,
            salt: Some(salt),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    fn verify(
        &self,
        password: &Secret,
        stored: &str,
        memory: &mut Memory,
    ) -> Result<bool, PasswordError> {
        let stored = self.acceptable(stored)?;
        let output = self.output(password, &stored.salt, stored.params, memory)?;
        // Compared in constant time.
        Ok(output == stored.output)
    }

    /// Reads a stored hash, and refuses it before any work when it is not one that this daemon would have made.
    fn acceptable(&self, stored: &str) -> Result<Stored, PasswordError> {
        if stored.len() > HASH_MAX_BYTES {
            return Err(PasswordError::Damaged);
        }
        let hash = PasswordHash::new(stored).map_err(|_| PasswordError::Damaged)?;
        let params = Params::try_from(&hash).map_err(|_| PasswordError::Damaged)?;
        let (ARGON2ID_IDENT, Some(VERSION), Some(salt), Some(output)) =
            (hash.algorithm, hash.version, hash.salt, hash.hash)
        else {
            return Err(PasswordError::Damaged);
        };
        if salt.len() < SALT_BYTES || output.len() < Params::DEFAULT_OUTPUT_LEN {
            return Err(PasswordError::Damaged);
        }
        if params.m_cost() > MEMORY_CAP_KIB
            || params.t_cost() > PASSES_CAP
            || params.p_cost() > LANES_CAP
        {
            return Err(PasswordError::TooCostly);
        }
        if params.keyid() != self.params.keyid() {
            return Err(PasswordError::OtherPepper);
        }
        Ok(Stored {
            params,
            salt,
            output,
        })
    }
}

/// A stored hash that this daemon would have made.
struct Stored {
    params: Params,
    salt: Salt,
    output: Output,
}

/// The costs of a new hash. The pepper's id goes with them: with another keyring every password would be wrong, and nobody
/// could tell why.
fn params(pepper: &Pepper) -> Params {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(LANES);
    if let Ok(id) = HashKeyId::new(pepper.id().as_str().as_bytes()) {
        builder.keyid(id);
    }
    // Constants within their bounds; the library's own default has the same costs.
    builder.build().unwrap_or(Params::DEFAULT)
}

/// A hash that no password has but for one in 2^256, with the costs of a real one.
fn decoy(pepper: &Pepper) -> String {
    let ident: Ident = ARGON2ID_IDENT;
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("${ident}$v={VERSION}${}${salt}${output}", params(pepper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keys::Key;
    use argon2::PasswordHasher as _;
    use zeroize::Zeroizing;

    fn pepper(byte: u8) -> Pepper {
        Pepper::new(&Key::new("pepper", Zeroizing::new([byte; 32])))
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[tokio::test]
    async fn only_the_password_itself_is_taken() {
        let passwords = Passwords::new(pepper(1), 2, 8).unwrap();
        let stored = passwords.hash(secret("正しい password")).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="),
            "{stored}"
        );
        for (given, expected) in [
            ("正しい password", true),
            ("正しい passworD", false),
            ("正しい password ", false),
        ] {
            assert_eq!(
                passwords.verify(secret(given), Some(stored.clone())).await,
                Ok(expected),
                "{given}"
            );
        }
        assert_ne!(
            stored,
            passwords.hash(secret("正しい password")).await.unwrap()
        );
    }

    #[tokio::test]
    async fn an_unknown_person_takes_the_same_work_and_is_refused() {
        let passwords = Passwords::new(pepper(1), 1, 8).unwrap();
        let stored = passwords.hash(secret("x")).await.unwrap();
        let before = passwords.hashes_done();
        assert_eq!(
            passwords.verify(secret("y"), Some(stored.clone())).await,
            Ok(false)
        );
        assert_eq!(passwords.hashes_done() - before, 1);
        assert_eq!(passwords.verify(secret("y"), None).await, Ok(false));
        assert_eq!(passwords.hashes_done() - before, 2);
        let costs = |hash: &str| Params::try_from(&PasswordHash::new(hash).unwrap()).unwrap();
        assert_eq!(costs(&passwords.work.decoy), costs(&stored));
    }

    #[tokio::test]
    async fn the_surplus_is_told_at_once_that_it_is_too_many() {
        let passwords = Passwords::new(pepper(1), 1, 1).unwrap();
        let (running, waiting, surplus) = tokio::join!(
            passwords.verify(secret("x"), None),
            passwords.verify(secret("x"), None),
            passwords.verify(secret("x"), None),
        );
        assert_eq!((running, waiting), (Ok(false), Ok(false)));
        assert_eq!(surplus, Err(PasswordError::Busy));
        assert_eq!(passwords.hashes_done(), 2);
        assert_eq!(passwords.verify(secret("x"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_makes_no_room_while_its_hash_runs() {
        let passwords = Passwords::new(pepper(1), 1, 0).unwrap();
        {
            let mut given_up = Box::pin(passwords.verify(secret("x"), None));
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            assert!(given_up.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(
            passwords.verify(secret("x"), None).await,
            Err(PasswordError::Busy)
        );
    }

    #[tokio::test]
    async fn a_stored_hash_above_the_cap_is_never_computed() {
        let passwords = Passwords::new(pepper(1), 1, 0).unwrap();
        let decoy = passwords.work.decoy.clone();
        for (from, to, expected) in [
            ("m=19456", "m=65537", PasswordError::TooCostly),
            ("m=19456", "m=4294967295", PasswordError::TooCostly),
            ("t=2", "t=7", PasswordError::TooCostly),
            ("p=1", "p=5", PasswordError::TooCostly),
            ("argon2id", "argon2i", PasswordError::Damaged),
            ("v=19", "v=16", PasswordError::Damaged),
            ("$v=19", "", PasswordError::Damaged),
            ("$argon2id", "", PasswordError::Damaged),
            (&"A".repeat(43), "AAAAAAAAAAAAAAAA", PasswordError::Damaged),
        ] {
            let stored = decoy.replacen(from, to, 1);
            assert_ne!(stored, decoy);
            assert_eq!(
                passwords.verify(secret("x"), Some(stored)).await,
                Err(expected),
                "{to}"
            );
        }
        assert_eq!(passwords.hashes_done(), 0);
    }

    #[tokio::test]
    async fn a_hash_made_with_another_keyring_says_so() {
        let stored = Passwords::new(pepper(1), 1, 0)
            .unwrap()
            .hash(secret("x"))
            .await
            .unwrap();
        let other = Passwords::new(pepper(2), 1, 0).unwrap();
        assert_eq!(
            other.verify(secret("x"), Some(stored.clone())).await,
            Err(PasswordError::OtherPepper)
        );
        // And the pepper is in the hash, not only its id beside it.
        let relabelled = stored.replace(&argon2_keyid(&pepper(1)), &argon2_keyid(&pepper(2)));
        assert_ne!(relabelled, stored);
        assert_eq!(other.verify(secret("x"), Some(relabelled)).await, Ok(false));
    }

    #[tokio::test]
    async fn a_right_password_under_older_costs_is_hashed_anew() {
        let passwords = Passwords::new(pepper(1), 1, 0).unwrap();
        let cheap = ParamsBuilder::new()
            .m_cost(8 * 1_024)
            .t_cost(1)
            .keyid(HashKeyId::new(pepper(1).id().as_str().as_bytes()).unwrap())
            .build()
            .unwrap();
        let bytes = pepper(1);
        let older =
            Argon2::new_with_secret(bytes.expose(), Algorithm::Argon2id, Version::V0x13, cheap)
                .unwrap()
                .hash_password_with_salt(b"right", &[7; SALT_BYTES])
                .unwrap()
                .to_string();
        let look = async |text: &str, stored: &str| {
            let stored = Some(stored.to_owned());
            let looked = passwords.verify_and_renew(secret(text), stored).await;
            looked.unwrap()
        };
        assert_eq!(look("wrong", &older).await, (false, None));
        let (right, renewed) = look("right", &older).await;
        let renewed = renewed.unwrap();
        assert!(right && renewed.contains("m=19456,t=2,p=1"), "{renewed}");
        assert_eq!(look("right", &renewed).await, (true, None));
        let nobody = passwords.verify_and_renew(secret("right"), None).await;
        assert_eq!(nobody, Ok((false, None)));
    }

    fn argon2_keyid(pepper: &Pepper) -> String {
        data_encoding::BASE64_NOPAD.encode(pepper.id().as_str().as_bytes())
    }

    #[test]
    fn passwords_print_no_pepper() {
        let passwords = Passwords::new(pepper(7), 1, 1).unwrap();
        assert_eq!(
            format!("{passwords:?}"),
            format!("Passwords(Pepper({}))", pepper(7).id())
        );
    }
}

//! The keys that may be replaced while a daemon serves. Of several that share a store, one begins to use new keys first; the
//! others read the keyring's file again when something names a key that they lack: whoever rotates copies the file to all.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::keyring::{KeyId, Keyring, KeyringError, SealingKey, TicketKeys};

/// How often the file is read again: who shows tickets of keys that never were must not keep the disk busy.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The keys for tickets and for seeds, as the keyring's file last had them.
pub struct CurrentKeys {
    tickets: ArcSwap<TicketKeys>,
    seeds: ArcSwap<SealingKey>,
    /// Of a file with another, nothing is taken: it belongs to another store.
    pseudonyms: KeyId,
    home: Option<PathBuf>,
    /// When the next look may be, in microseconds of the clock that nobody sets.
    next_look: AtomicU64,
}

impl CurrentKeys {
    /// Those of `keyring`.
    #[must_use]
    pub fn of(keyring: &Keyring) -> Self {
        Self {
            tickets: ArcSwap::from_pointee(keyring.tickets.clone()),
            seeds: ArcSwap::from_pointee(keyring.seeds.clone()),
            pseudonyms: keyring.pseudonyms.id(),
            home: keyring.home().map(PathBuf::from),
            next_look: AtomicU64::default(),
        }
    }

    /// Make and check tickets.
    #[must_use]
    pub fn tickets(&self) -> Guard<Arc<TicketKeys>> {
        self.tickets.load()
    }

    /// Seal the seeds of second factors.
    #[must_use]
    pub fn seeds(&self) -> Guard<Arc<SealingKey>> {
        self.seeds.load()
    }

    /// Whether the file may be read again at `steady` ([`crate::domain::time::Clock::steady`]): at most once a second, and by
    /// one who asks only.
    #[must_use]
    pub fn may_look(&self, steady: Duration) -> bool {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (now, next) = (micros(steady), micros(steady.saturating_add(READ_EVERY)));
        let look = |known: u64| (self.home.is_some() && known <= now).then_some(next);
        self.next_look
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, look)
            .is_ok()
    }

    /// Reads the keyring's file again, and takes its keys for tickets and for seeds. Waits for the disk. One that can't be used
    /// changes nothing: it may be half copied.
    ///
    /// # Errors
    /// As [`Keyring::open`]; [`KeyringError::AnotherStore`].
    pub fn read_again(&self) -> Result<(), KeyringError> {
        let Some(home) = &self.home else {
            return Ok(());
        };
        let keyring = Keyring::open(home)?;
        if keyring.pseudonyms.id() != self.pseudonyms {
            return Err(KeyringError::AnotherStore);
        }
        self.tickets.store(Arc::new(keyring.tickets));
        self.seeds.store(Arc::new(keyring.seeds));
        Ok(())
    }
}

impl fmt::Debug for CurrentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentKeys")
            .field("tickets", &**self.tickets())
            .field("seeds", &**self.seeds())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use crate::identity::ticket::tests::ticket;
    use std::fs;

    #[test]
    fn a_key_that_was_put_in_front_is_taken_up_and_those_of_another_store_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let keys = CurrentKeys::of(&Keyring::create(data).unwrap());
        let (old, seeds) = (keys.tickets().issue(&ticket()), keys.seeds().id());
        Keyring::rotate(data, "tickets").unwrap();
        Keyring::rotate(data, "seeds").unwrap();
        let new = Keyring::open(data).unwrap().tickets.issue(&ticket());
        assert!(keys.tickets().verify(&new).is_err());
        assert!(keys.tickets().lacks_the_key_of(&new) && !keys.tickets().lacks_the_key_of(&old));
        keys.read_again().unwrap();
        assert!(keys.tickets().verify(&new).is_ok() && keys.tickets().verify(&old).is_ok());
        assert_ne!(keys.seeds().id(), seeds);
        assert!(keys.seeds().has(seeds.as_str()));

        let kept = keys.seeds().id();
        files::write_private(&data.join("keyring"), b"half").unwrap();
        assert!(keys.read_again().is_err());
        fs::remove_file(data.join("keyring")).unwrap();
        Keyring::create(data).unwrap();
        let refused = keys.read_again().unwrap_err();
        assert!(matches!(refused, KeyringError::AnotherStore), "{refused}");
        assert_eq!(keys.seeds().id(), kept);
    }

    #[test]
    fn one_looks_at_a_time_and_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let keys = CurrentKeys::of(&Keyring::create(folder.path()).unwrap());
        let at = Duration::from_millis;
        let looks: Vec<bool> = [100, 100, 900, 1_099, 1_100, 1_200]
            .map(|millis| keys.may_look(at(millis)))
            .into();
        assert_eq!(looks, [true, false, false, false, true, false]);
        let nowhere = CurrentKeys::of(&Keyring::ephemeral().unwrap());
        assert!(!nowhere.may_look(at(100)));
        nowhere.read_again().unwrap();
    }
}

//! After a new key for seeds was put in front: what the store has sealed under those before is sealed under it, at start.

use crate::gate::Gate;
use crate::identity::keyring::SealError;
use crate::identity::totp::{Seed, SeedError};
use crate::store::{SealedSeed, SeedOwner, StoreError};

/// How many are read and put back at a time.
const PAGE: u32 = 256;
/// How many that can't be opened are told one by one: if the keyring is the wrong one, all are.
const TOLD_MAX: u64 = 20;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::gate) struct SealedAnew {
    /// Seeds that are under the current key now and were not before.
    pub(in crate::gate) anew: u64,
    /// Seeds that no key of the keyring opens: altered, another's, or sealed under a key that is gone. They stay as they are,
    /// and whoever tries them raises the alarm.
    pub(in crate::gate) unreadable: u64,
}

impl Gate {
    /// Seals every seed in the store that an older key sealed under the current one. What can't be opened is told and left, and
    /// stops nothing: the person that it belongs to is refused anyway.
    pub(in crate::gate) async fn seal_seeds_anew(&self) -> Result<SealedAnew, StoreError> {
        let mut done = SealedAnew::default();
        let mut after: Option<SeedOwner> = None;
        loop {
            let page = self.store.sealed_seeds(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.owner.clone());
            let mut anew = Vec::new();
            for seed in page {
                match self.sealed_anew(&seed) {
                    Ok(None) => {}
                    Ok(Some(sealed)) => anew.push((seed, sealed)),
                    Err(SeedError::Random | SeedError::Sealed(SealError::Random)) => {
                        tracing::warn!(
                            "the system gives no random numbers: a seed stays under an older key until the next start"
                        );
                    }
                    Err(error) => {
                        done.unreadable = done.unreadable.saturating_add(1);
                        if done.unreadable <= TOLD_MAX {
                            tracing::warn!(of = ?seed.owner, %error, "the seed of a second factor can't be opened");
                        }
                    }
                }
            }
            let put = self.store.seal_anew(&anew).await?;
            done.anew = done.anew.saturating_add(put);
        }
        if done.anew > 0 {
            tracing::info!(seeds = done.anew, key = %self.keys.seeds().id(), "seeds were sealed under the new key");
        }
        if done.unreadable > 0 {
            tracing::warn!(
                seeds = done.unreadable,
                "seeds of second factors can't be opened with this keyring: whoever has one can't log in"
            );
        }
        Ok(done)
    }

    fn sealed_anew(&self, seed: &SealedSeed) -> Result<Option<Vec<u8>>, SeedError> {
        let key = &**self.keys.seeds();
        match &seed.owner {
            SeedOwner::Factor { id, person } => Seed::seal_anew(key, person, *id, &seed.sealed),
            SeedOwner::Token { serial } => Seed::seal_token_anew(key, serial, &seed.sealed),
        }
    }
}

//! Keys that another daemon on the same store uses and this one lacks. What it can't open is told as that, and nobody is charged
//! for it: the operator has yet to copy the keyring.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::access::TicketText;
use crate::gate::running::upkeep::Task;
use crate::gate::{Gate, GateError};
use crate::identity::ticket::{Ticket, TicketError};
use crate::identity::totp;
use crate::store::{SeedOwner, StoreError};

/// How many seeds are looked at in one go.
const PAGE: u32 = 256;

impl Gate {
    /// Opens a ticket. One of a key that is not known is refused; where others share the store, the keyring is read again, for
    /// the next time.
    pub(in crate::gate) fn verify_ticket(&self, text: &TicketText) -> Result<Ticket, TicketError> {
        let keys = self.keys.tickets();
        let verified = keys.verify(text);
        if verified.is_err()
            && self.store.has_others()
            && keys.lacks_the_key_of(text)
            && self.keys.may_look(self.clock.steady())
        {
            let keys = Arc::clone(&self.keys);
            tokio::task::spawn_blocking(move || tell(keys.read_again()));
        }
        verified
    }

    /// Makes sure that the key is there which sealed a seed; where others share the store, the keyring is read again first.
    ///
    /// # Errors
    /// [`GateError::KeyMissing`]. What is no sealed seed at all is for whoever opens it.
    pub(in crate::gate) async fn has_key_of(&self, sealed: &[u8]) -> Result<(), GateError> {
        let Some(id) = totp::sealed_under(sealed) else {
            return Ok(());
        };
        if self.keys.seeds().has(id.as_str()) {
            return Ok(());
        }
        self.read_keys_again().await;
        if self.keys.seeds().has(id.as_str()) {
            self.look_for_missing_keys().await?;
            return Ok(());
        }
        let missing = BTreeSet::from([id.as_str().to_owned()]);
        self.tell_missing_keys(&missing);
        Err(GateError::KeyMissing(id.as_str().to_owned()))
    }

    async fn read_keys_again(&self) {
        if self.store.has_others() && self.keys.may_look(self.clock.steady()) {
            let keys = Arc::clone(&self.keys);
            let read = tokio::task::spawn_blocking(move || keys.read_again()).await;
            if let Ok(read) = read {
                tell(read);
            }
        }
    }

    /// Looks through all seeds for keys that are not there, and tells operators.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::gate) async fn look_for_missing_keys(&self) -> Result<(), StoreError> {
        let mut missing = BTreeSet::new();
        let mut after: Option<SeedOwner> = None;
        loop {
            let page = self.store.sealed_seeds(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.owner.clone());
            let ids = page
                .iter()
                .filter_map(|seed| totp::sealed_under(&seed.sealed));
            let keys = self.keys.seeds();
            missing.extend(
                ids.filter(|id| !keys.has(id.as_str()))
                    .map(|id| id.as_str().to_owned()),
            );
        }
        self.tell_missing_keys(&missing);
        Ok(())
    }

    /// Looks again where keys were missing: somebody may have copied the keyring, or reset who it is about.
    pub(in crate::gate) async fn look_again_for_missing_keys(&self) {
        if !self.upkeep.is_undone(Task::Keys) {
            return;
        }
        self.read_keys_again().await;
        if let Err(error) = self.look_for_missing_keys().await {
            tracing::warn!(%error, "whether keys are missing is not known");
        }
    }

    fn tell_missing_keys(&self, missing: &BTreeSet<String>) {
        let told = (!missing.is_empty()).then(|| {
            let ids: Vec<&str> = missing.iter().map(String::as_str).collect();
            format!(
                "the keyring lacks keys under which second factors are sealed ({}): whoever has one can't log in here; copy the keyring from where it was rotated",
                ids.join(", ")
            )
        });
        self.upkeep.tell(Task::Keys, told);
    }
}

fn tell(read: Result<(), crate::identity::keyring::KeyringError>) {
    match read {
        Ok(()) => tracing::info!("the keyring was read again: a key was named that was not known"),
        Err(error) => {
            tracing::warn!(%error, "a key was named that is not known, and the keyring could not be read again");
        }
    }
}

//! The keys that entries are sealed under, made ready before they are wanted: no call waits for a disk that is slow to give one.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::gate::ledger::Ledger;
use crate::vitals::{Metric, Vitals};

/// How long whoever has other things to do waits for it. It goes on all the same.
const PATIENCE: Duration = Duration::from_secs(10);

impl Gate {
    /// Makes ready the keys of this month, and of the next one shortly before it begins. One that can't be made ready is told
    /// to operators, and tried again when this is called again; while it is still under way nothing more is begun.
    pub(in crate::gate) async fn prepare_keys(&self) {
        let Ok(place) = Arc::clone(&self.preparing).try_lock_owned() else {
            tracing::error!("keys of the access log are still being prepared: the disk hangs");
            return;
        };
        let (ledger, rules, now) = (self.log.clone(), self.rules.load_full(), self.now());
        let prepared = tokio::task::spawn_blocking(move || {
            let _place = place;
            ledger.prepare(&rules, now)
        });
        match prepared.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "a key is not ready: what is to be sealed under it is refused");
            }
            Err(_) => tracing::error!("preparing keys of the access log ended early"),
        }
    }

    /// As [`Self::prepare_keys`], but waits no longer than some seconds for a disk that hangs.
    pub(in crate::gate) async fn try_to_prepare_keys(&self) {
        if tokio::time::timeout(PATIENCE, self.prepare_keys())
            .await
            .is_err()
        {
            tracing::error!("keys of the access log take long to be prepared: the disk is slow");
        }
    }
}

impl Vitals for Ledger {
    fn warnings(&self) -> Vec<String> {
        let unready = self.seals().unready().into_iter();
        unready
            .map(|(name, why)| {
                let why = why.replace(['\r', '\n'], " ");
                format!("what is to be sealed under the key {name} is refused: {why}")
            })
            .collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::gauge(
            "sekisho_log_keys_unready",
            "Keys of this month, or of one that begins within a day, that nothing can be sealed under; /readyz says why.",
            self.seals().unready().len() as u64,
        )]
    }
}

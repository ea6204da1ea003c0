//! Following what other daemons change in a store that several share: people, ended sessions, holds, dates and references are taken into
//! memory a few times a second. When that was not possible for longer than the operator allows, nothing is decided by what is
//! known: somebody may have been disabled, a session ended, use of somebody's data suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::gate::accounts::second_factor::THROTTLE;
use crate::gate::running::start::people_of;
use crate::gate::subjects::Register;
use crate::gate::{Gate, GateError};
use crate::store::{Store, StoreError};

/// How often others' changes are asked for.
const EVERY: Duration = Duration::from_millis(250);

/// How far a store that others change was followed.
#[derive(Debug)]
pub(in crate::gate) struct Followed {
    /// The number of the newest change that is in memory.
    seen: AtomicU64,
    /// When that was so, in microseconds since `base`.
    at: AtomicU64,
    base: Instant,
    /// `None` where nobody else changes the store.
    max_age: Option<Duration>,
}

impl Followed {
    /// What is read of the store after this is at least as new as `seen`.
    pub(in crate::gate) fn begin(seen: u64, max_age: Option<Duration>) -> Self {
        Self {
            seen: AtomicU64::new(seen),
            at: AtomicU64::default(),
            base: Instant::now(),
            max_age,
        }
    }

    /// Whether what is known is new enough to decide by. Takes no lock.
    pub(in crate::gate) fn is_fresh(&self) -> bool {
        let Some(max_age) = self.max_age else {
            return true;
        };
        let at = Duration::from_micros(self.at.load(Ordering::Acquire));
        self.base.elapsed().saturating_sub(at) <= max_age
    }

    fn reached(&self, seen: u64, at: Instant) {
        self.seen.store(seen, Ordering::Release);
        let at = at.saturating_duration_since(self.base).as_micros();
        self.at
            .store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Release);
    }
}

impl Gate {
    /// Whether nobody else has changed the store since it was followed.
    pub(in crate::gate) async fn knows_the_newest(&self) -> Result<bool, StoreError> {
        Ok(!self.store.has_others()
            || self.store.newest_change().await? == self.followed.seen.load(Ordering::Acquire))
    }

    /// Whether what is known of a store that others change is new enough to decide by.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.followed.is_fresh()
    }

    /// Follows what others change until a stop is asked for; returns at once where there are no others.
    pub async fn follow_others(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        if !self.store.has_others() {
            return;
        }
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was_well = true;
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                _ = tick.tick() => {}
            }
            match self.follow_once().await {
                Ok(()) if !was_well => {
                    was_well = true;
                    tracing::info!("the store is followed again");
                    // What it could not take meanwhile; others wait for it.
                    if let Err(error) = self.mark_applied().await {
                        tracing::warn!(%error, "the store can't be written");
                    }
                }
                Err(error) if was_well => {
                    was_well = false;
                    tracing::error!(%error, "the store can't be followed: before long nothing is allowed");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Takes what others changed into memory.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub(in crate::gate) async fn follow_once(&self) -> Result<(), GateError> {
        // Entries name them, so the store made them: one that made fewer is an older copy, in which used codes are not.
        let named = self.named_factor_writes.load(Ordering::Acquire);
        let made = self.store.factor_writes().await?;
        if made < named {
            let (seen, newest) = (named, made);
            return Err(StoreError::PutBack { seen, newest }.into());
        }
        loop {
            // What was so when it was asked for may be otherwise when the answer is here.
            let asked = Instant::now();
            let seen = self.followed.seen.load(Ordering::Acquire);
            if self.store.newest_change().await? == seen {
                self.followed.reached(seen, asked);
                return Ok(());
            }
            // A change of this daemon's own that is in memory and not in the store yet must not be undone by what is read.
            let mut changes = self.changes.lock().await;
            self.store_waiting(&mut changes).await?;
            if !self.take_in_news().await? {
                return Ok(());
            }
        }
    }

    /// Takes what others changed into memory where anybody else may have; for what is decided by it before it is looked at anew.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn hear_others(&self) -> Result<(), GateError> {
        if self.store.has_others() {
            self.follow_once().await?;
        }
        Ok(())
    }

    /// Takes some of what others changed into memory; tells whether there is more. The lock of changes is held, and no change of
    /// this daemon's own waits for the store.
    pub(in crate::gate) async fn take_in_news(&self) -> Result<bool, GateError> {
        let asked = Instant::now();
        let seen = self.followed.seen.load(Ordering::Acquire);
        let news = self.store.news_since(seen).await?;
        if news.all {
            self.read_all_anew().await?;
        }
        if news.people {
            self.read_people().await?;
        }
        if news.live {
            self.read_live().await?;
        }
        if news.lost {
            self.read_lost_imports().await?;
        }
        for (session, until) in news.sessions {
            self.end_now(session, until);
        }
        for (subject, state) in news.subjects {
            self.subjects.put(subject, &state);
        }
        for (id, references) in news.general {
            self.subjects.put_general(&id, references);
        }
        if news.more {
            self.followed.seen.store(news.seen, Ordering::Release);
        } else {
            self.followed.reached(news.seen, asked);
        }
        Ok(news.more)
    }

    async fn read_people(&self) -> Result<(), StoreError> {
        let people = people_of(self.store.people().await?);
        self.people.store(Arc::new(people));
        self.read_locked_out().await
    }

    /// Whose second factor is disabled, as the store has it; of one that is disabled meanwhile nothing is forgotten.
    pub(in crate::gate) async fn read_locked_out(&self) -> Result<(), StoreError> {
        loop {
            let before = self.locked_out.load_full();
            let locked = self.store.locked_people(&THROTTLE).await?;
            let locked = Arc::new(locked.into_iter().collect());
            let found = self.locked_out.compare_and_swap(&before, locked);
            if Arc::ptr_eq(&before, &found) {
                return Ok(());
            }
        }
    }

    async fn read_all_anew(&self) -> Result<(), StoreError> {
        self.read_people().await?;
        self.read_live().await?;
        self.read_lost_imports().await?;
        for (session, until) in self.store.revoked_sessions().await? {
            self.sessions.revoke(session, until, self.clock.steady());
        }
        let anew = Register::new();
        load(&self.store, &anew).await?;
        self.subjects.replace(&anew);
        Ok(())
    }
}

/// Reads all that is registered.
pub(in crate::gate) async fn load(store: &Store, subjects: &Register) -> Result<(), StoreError> {
    store
        .load_subjects(|subject, state| subjects.put(subject, &state))
        .await?;
    store
        .load_general(|id, references| subjects.put_general(&id, references))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_ages_until_it_was_looked_at_again() {
        assert!(Followed::begin(0, None).is_fresh());
        let hour = Duration::from_hours(1);
        let mut followed = Followed::begin(0, Some(hour));
        assert!(followed.is_fresh());
        followed.base = Instant::now().checked_sub(2 * hour).unwrap();
        assert!(!followed.is_fresh());
        followed.reached(1, Instant::now());
        assert!(followed.is_fresh());
    }
}

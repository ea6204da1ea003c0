//! What the log has to say of itself: that it is full or damaged, that it is written again, that the clock jumped. And what
//! the store keeps of it, so that neither can be replaced by an older copy unnoticed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::domain::time::Timestamp;
use crate::gate::running::start::{STORE_PATIENCE, own_entry};
use crate::gate::{Gate, entry};
use crate::log::{LogHealth, LogState};
use crate::proto::EntryKind;

/// How far the clock may go from the machine's steady one within [`DRIFTS`] before an entry says so. Time services move it in
/// smaller steps, or slowly: by 500 in a million at most.
pub(in crate::gate) const JUMP: Duration = Duration::from_secs(2);
/// Over so long many small steps count as one: nobody makes time stand still by setting the clock back a little every second.
const DRIFTS: Duration = Duration::from_hours(1);
/// How often a log that comes and goes says so: what is kept back for its words is small.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// How often the store is told of the newest checkpoint.
const KEPT_EVERY: Duration = Duration::from_secs(5);

/// The last time that something was done.
type Last = Option<Instant>;

impl Gate {
    /// Watches over the log until a stop is asked for.
    pub async fn mind_the_log(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut log = self.log.watch();
        let mut checkpoints = self.log.checkpoints();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was = LogState {
            durable: 0,
            health: LogHealth::Writing,
            warning: None,
        };
        let (mut said, mut kept): (Last, Last) = (None, None);
        let mut clocks = Clocks::read(self.now());
        // What it came to before anybody watched.
        let first = log.borrow_and_update().clone();
        self.tell_health(&was, &first, &mut said).await;
        was = first;
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => return,
                changed = log.changed() => {
                    if changed.is_err() { return }
                    let now = log.borrow_and_update().clone();
                    self.tell_health(&was, &now, &mut said).await;
                    was = now;
                }
                _ = second.tick() => {
                    if let Some((from, to)) = clocks.jump(self.now()) {
                        self.settled.begin_anew(self.clock.steady());
                        // It may be another month now. Not waited for: the log may have more to say.
                        let gate = Arc::clone(&self);
                        tokio::spawn(async move { gate.prepare_keys().await });
                        self.tell_jump(from, to).await;
                    }
                    if due(kept, KEPT_EVERY) && checkpoints.has_changed().unwrap_or(false) {
                        checkpoints.mark_unchanged();
                        kept = Some(Instant::now());
                        // A store that hangs must not keep the log from saying what it has to say.
                        if tokio::time::timeout(STORE_PATIENCE, self.keep_checkpoint()).await.is_err() {
                            tracing::warn!("the store was not told of the newest checkpoint in time");
                        }
                    }
                }
            }
        }
    }

    async fn tell_health(&self, was: &LogState, now: &LogState, said: &mut Last) {
        if now.warning != was.warning {
            match &now.warning {
                Some(warning) => {
                    tracing::warn!(%warning, "the access log will not be written for long")
                }
                None => tracing::info!("the access log needs no attention any more"),
            }
        }
        if now.health == was.health {
            return;
        }
        let (state, why) = match &now.health {
            LogHealth::Writing => {
                tracing::info!("the access log is written again");
                ("written again", "")
            }
            LogHealth::Refusing(why) => {
                tracing::error!(%why, "the access log can't be written: nothing is allowed");
                ("can't be written: nothing is allowed", why.as_str())
            }
            LogHealth::Damaged(why) => {
                tracing::error!(%why, "the access log is damaged: nothing is allowed");
                ("damaged: nothing is allowed", why.as_str())
            }
            LogHealth::Failed(_) | LogHealth::Stopped => return,
        };
        let again = now.health == LogHealth::Writing;
        if !again && !due(*said, SAID_EVERY) {
            return;
        }
        if !again {
            *said = Some(Instant::now());
        }
        self.say(&[("state", state), ("why", why)]).await;
    }

    async fn tell_jump(&self, from: Timestamp, to: Timestamp) {
        tracing::warn!(%from, %to, "the machine's clock jumped");
        let (from, to) = (from.to_string(), to.to_string());
        self.say(&[
            ("state", "the clock jumped"),
            ("expected", &from),
            ("found", &to),
        ])
        .await;
    }

    /// Writes down that a checkpoint kept elsewhere contradicts the log, as `what` says.
    pub async fn tell_alarm(&self, what: &str) {
        self.say(&[("state", "contradicted by a witness"), ("why", what)])
            .await;
    }

    /// Writes into the log that what the store has of a person's second factor is not what this daemon sealed for them.
    pub(in crate::gate) async fn tell_credential_alarm(&self, person: &str) {
        tracing::error!(
            person,
            "a sealed seed does not open: somebody changed the store, or the keyring is another one"
        );
        let why = "the sealed seed of a second factor does not open for its person";
        self.say(&[
            ("alarm", "the store was changed"),
            ("why", why),
            ("of", person),
        ])
        .await;
    }

    /// Writes an entry of the log's own, into what is kept back for it where there is no other room.
    async fn say(&self, details: &[(&'static str, &str)]) {
        let mut entry = own_entry(EntryKind::LogState, self.now());
        for (key, value) in details.iter().filter(|(_, value)| !value.is_empty()) {
            entry::detail(&mut entry, key, *value);
        }
        let written = match self.log.append_reserved(std::slice::from_ref(&entry)) {
            Ok(appending) => appending.await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(%error, "what the access log had to say of itself was not written");
        }
    }

    /// Tells the store of the newest checkpoint.
    pub(in crate::gate) async fn keep_checkpoint(&self) {
        let signed = Arc::clone(&self.log.checkpoints().borrow());
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        if let Err(error) = self.store.keep_checkpoint(size, &root).await {
            tracing::warn!(%error, "the store was not told of the newest checkpoint");
        }
    }
}

/// A dropped sender is a stop too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn due(last: Last, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// The clock that entries have their time from, beside one that nobody sets, as both were read an hour ago at most.
#[derive(Debug)]
struct Clocks {
    wall: Timestamp,
    steady: Instant,
}

impl Clocks {
    fn read(wall: Timestamp) -> Self {
        Self {
            wall,
            steady: Instant::now(),
        }
    }

    /// The time that was to be expected, and the time found, where they are apart.
    fn jump(&mut self, wall: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let passed = self.steady.elapsed();
        let expected = self.wall.plus(passed);
        let apart = expected.since(wall).max(wall.since(expected));
        let jumped = apart >= JUMP;
        if jumped || passed >= DRIFTS {
            *self = Self::read(wall);
        }
        jumped.then_some((expected, wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_a_jump_and_one_that_drifts_is_none() {
        let start = Timestamp::from_seconds(1_800_000_000);
        let mut clocks = Clocks::read(start);
        assert_eq!(clocks.jump(start.plus(Duration::from_millis(1_500))), None);
        // A little more in the same hour.
        let ahead = start.plus(Duration::from_secs(3));
        assert_eq!(clocks.jump(ahead).map(|(_, found)| found), Some(ahead));
        assert_eq!(clocks.jump(ahead), None);
        let now = clocks.wall;
        assert!(clocks.jump(now.plus(Duration::from_secs(3_600))).is_some());
        let now = clocks.wall;
        assert!(clocks.jump(now.minus(Duration::from_secs(3))).is_some());
        let now = clocks.wall;
        assert_eq!(clocks.jump(now), None);
    }
}

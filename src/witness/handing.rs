//! Hands the newest checkpoint to each witness, as long as the daemon serves, and the last one when it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::compare::Trouble;
use super::{Standing, Witness, Witnesses};
use crate::log::{AccessLog, Signed};

/// The longest that a witness in trouble is left alone.
const BACK_OFF_MAX: Duration = Duration::from_secs(300);
/// How long a stop may wait for the last checkpoint to be handed out.
const FINISH: Duration = Duration::from_secs(5);

/// Checkpoints being handed out.
#[derive(Debug)]
pub struct Handing {
    standing: Arc<Standing>,
    finish: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Witnesses {
    /// Starts handing checkpoints out: one task for each, the newest checkpoint only, and the same one to all, so that one
    /// checkpoint gathers all their signatures. The first contradiction of each is sent to `alarms`, in words.
    #[must_use]
    pub fn start(self, alarms: &mpsc::Sender<String>) -> Handing {
        let (finish, finishing) = watch::channel(false);
        let (rounds, _) = watch::channel(Arc::clone(&self.log.checkpoints().borrow()));
        let mut tasks = Vec::new();
        for (place, (witness, given)) in self.witnesses.into_iter().enumerate() {
            let task = Task {
                witness,
                place,
                given,
                log: self.log.clone(),
                every: self.every,
                standing: Arc::clone(&self.standing),
                alarms: alarms.clone(),
                finishing: finishing.clone(),
            };
            tasks.push(tokio::spawn(task.run(rounds.subscribe())));
        }
        if !tasks.is_empty() {
            tasks.push(tokio::spawn(pace(self.log, self.every, rounds, finishing)));
        }
        Handing {
            standing: self.standing,
            finish,
            tasks,
        }
    }
}

impl Handing {
    /// How each witness stands to the log.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Hands out the last checkpoint, to those who took the one before, and ends. Call it when the log was closed.
    pub async fn finish(mut self) {
        self.finish.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        let stop: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let ending = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(FINISH, ending).await.is_err() {
            tracing::warn!("a witness has not taken the last checkpoint within {FINISH:?}");
            stop.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Lets a checkpoint through from time to time. When it ends, so do the tasks.
async fn pace(
    log: AccessLog,
    every: Duration,
    rounds: watch::Sender<Arc<Signed>>,
    mut finishing: watch::Receiver<bool>,
) {
    let mut news = log.checkpoints();
    loop {
        tokio::select! {
            () = told(&mut finishing) => break,
            changed = news.changed() => if changed.is_err() { break },
        }
        let newest = Arc::clone(&news.borrow_and_update());
        rounds.send_replace(newest);
        tokio::select! {
            () = told(&mut finishing) => break,
            () = sleep(every) => {}
        }
    }
    // The last one is signed when the log is closed, which is before the finish.
    told(&mut finishing).await;
    let last = Arc::clone(&log.checkpoints().borrow());
    rounds.send_replace(last);
}

/// A dropped sender is the end too.
async fn told(finishing: &mut watch::Receiver<bool>) {
    let _ = finishing.wait_for(|finish| *finish).await;
}

struct Task {
    witness: Witness,
    place: usize,
    /// The size that it has.
    given: Option<u64>,
    log: AccessLog,
    every: Duration,
    standing: Arc<Standing>,
    alarms: mpsc::Sender<String>,
    finishing: watch::Receiver<bool>,
}

impl Task {
    async fn run(mut self, mut rounds: watch::Receiver<Arc<Signed>>) {
        let mut failures = 0_u32;
        let mut earliest = Instant::now();
        loop {
            let newest = Arc::clone(&rounds.borrow_and_update());
            let size = newest.checkpoint.size;
            if self.given.is_some_and(|given| given >= size) {
                if rounds.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.standing.begins(self.place);
            let finishing = tokio::select! {
                () = told(&mut self.finishing) => true,
                () = sleep_until(earliest) => false,
            };
            if finishing && failures > 0 {
                return;
            }
            // A newer one may have come meanwhile.
            let newest = Arc::clone(&rounds.borrow_and_update());
            match self.witness.hand(&self.log, &newest).await {
                Ok(()) => {
                    failures = 0;
                    self.given = Some(newest.checkpoint.size);
                    self.standing.took(self.place, newest.checkpoint.size);
                }
                Err(trouble) => {
                    failures = failures.saturating_add(1);
                    self.tell(trouble);
                }
            }
            earliest = Instant::now() + back_off(self.every, failures);
        }
    }

    fn tell(&self, trouble: Trouble) {
        match trouble {
            Trouble::Fault(what) => self.standing.failed(self.place, &what),
            Trouble::BeforeGap(what) => self.standing.is_before_gap(self.place, &what),
            Trouble::Contradiction(found) => {
                if self.standing.contradicts(self.place, &found) {
                    // There is room for one of each witness; what is told here is in the daemon's messages anyway.
                    let _ = self.alarms.try_send(found.to_string());
                }
            }
        }
    }
}

/// How long a witness is left alone after so many failures in a row.
fn back_off(every: Duration, failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    let longest = BACK_OFF_MAX.max(every);
    match failures {
        0 => every,
        _ => every.saturating_mul(factor).min(longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_in_trouble_is_left_alone_for_longer_each_time_but_not_for_ever() {
        let every = Duration::from_secs(10);
        assert_eq!(back_off(every, 0), every);
        assert_eq!(back_off(every, 1), every * 2);
        assert_eq!(back_off(every, 3), every * 8);
        assert_eq!(back_off(every, 40), BACK_OFF_MAX);
        assert_eq!(back_off(BACK_OFF_MAX * 2, 1), BACK_OFF_MAX * 2);
    }
}

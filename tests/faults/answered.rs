//! What was answered, and whether it is in the log.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sekisho::domain::ids::LogIndex;
use sekisho::log::LogReader;
use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::{Decision, StoredEntry};
use tonic::transport::Channel;

use crate::site::check;

/// A decision that left the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) decision: String,
    pub(crate) index: u64,
    asked: Instant,
}

/// Callers that ask one check after the other, until each met an error or the load is stopped.
pub(crate) struct Load {
    answered: Arc<Mutex<Vec<Answered>>>,
    refused: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// `goes_on`: whether a caller that was refused asks again.
    pub(crate) fn start(channel: &Channel, ticket: &str, callers: usize, goes_on: bool) -> Self {
        let mut load = Self {
            answered: Arc::default(),
            refused: Arc::default(),
            stop: Arc::default(),
            callers: Vec::new(),
        };
        for caller in 0..callers {
            let request = check(ticket, &format!("subject-{caller}"), 1);
            let mut access = AccessServiceClient::new(channel.clone());
            let (answered, refused) = (load.answered.clone(), load.refused.clone());
            let stop = load.stop.clone();
            load.callers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    match access.check(request.clone()).await {
                        Ok(answer) => {
                            let answer = answer.into_inner();
                            assert_eq!(answer.decision(), Decision::Allow, "{:?}", answer.reasons);
                            answered.lock().unwrap().push(Answered {
                                decision: answer.decision_id,
                                index: answer.log_index,
                                asked,
                            });
                        }
                        Err(_) if goes_on => {
                            refused.lock().unwrap().push((asked, asked.elapsed()));
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(_) => break,
                    }
                }
            }));
        }
        load
    }

    /// How many were answered so far.
    pub(crate) fn count(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// How long each refusal took that was asked for after `since`.
    pub(crate) fn refusals_since(&self, since: Instant) -> Vec<Duration> {
        let refused = self.refused.lock().unwrap();
        let later = refused.iter().filter(|(asked, _)| *asked >= since);
        later.map(|(_, took)| *took).collect()
    }

    /// How many were answered that were asked for after `since`.
    pub(crate) fn answered_since(&self, since: Instant) -> usize {
        let answered = self.answered.lock().unwrap();
        answered.iter().filter(|one| one.asked >= since).count()
    }

    /// Whether every caller has met an error.
    pub(crate) fn is_over(&self) -> bool {
        self.callers
            .iter()
            .all(tokio::task::JoinHandle::is_finished)
    }

    pub(crate) async fn end(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        std::mem::take(&mut self.answered.lock().unwrap())
    }
}

/// Every entry of a log, as another program reads it.
pub(crate) fn entries(log: &Path) -> Vec<StoredEntry> {
    LogReader::open_directory(log)
        .unwrap()
        .forward(LogIndex(0))
        .map(|kept| kept.unwrap().entry().unwrap())
        .collect()
}

/// Panics when an answered decision is not the entry at its index.
pub(crate) fn all_in_log(log: &Path, answered: &[Answered]) {
    let reader = LogReader::open_directory(log).unwrap();
    for one in answered {
        let kept = reader.get(LogIndex(one.index)).unwrap();
        let entry = kept.unwrap_or_else(|| panic!("{one:?} is not in the log"));
        let entry = entry.entry().unwrap();
        let id = one.decision.replace('-', "");
        let stored: String = entry
            .decision_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(stored, id, "another entry is at {}", one.index);
        assert_eq!(entry.decision, i32::from(Decision::Allow));
    }
}

/// The value of a detail, or nothing.
pub(crate) fn detail<'a>(entry: &'a StoredEntry, key: &str) -> &'a str {
    let found = entry.details.iter().find(|detail| detail.key == key);
    found.map_or("", |detail| detail.value.as_str())
}

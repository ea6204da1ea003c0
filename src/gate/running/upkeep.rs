//! What keeps the gate in order and could not be done yet: told to operators, while everything else goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::vitals::{Metric, Vitals};

/// Something that is looked at again every minute until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::gate) enum Task {
    /// Removing files and destroying keys that a durable entry disposed of.
    Disposal,
    /// Looking at what one person did alone.
    Review,
    /// Copying a keyring that another daemon on the same store has.
    Keys,
    /// Taking records of provision from the log into the store.
    Records,
    /// Importing again what the store lost.
    Imports,
    /// Signing campaigns of review.
    Campaigns,
    /// Opening those that the pack schedules.
    Schedules,
}

/// What is left undone.
#[derive(Debug, Default)]
pub struct Upkeep {
    undone: Mutex<BTreeMap<Task, String>>,
}

impl Upkeep {
    /// Whether a task is done (`None`), or why not.
    pub(in crate::gate) fn tell(&self, task: Task, why: Option<String>) {
        let mut undone = self.undone.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => undone.insert(task, why),
            None => undone.remove(&task),
        };
    }

    pub(in crate::gate) fn is_undone(&self, task: Task) -> bool {
        let undone = self.undone.lock().unwrap_or_else(PoisonError::into_inner);
        undone.contains_key(&task)
    }
}

impl Vitals for Upkeep {
    fn warnings(&self) -> Vec<String> {
        let undone = self.undone.lock().unwrap_or_else(PoisonError::into_inner);
        undone.values().map(|why| why.replace('\n', " ")).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let undone = self.undone.lock().unwrap_or_else(PoisonError::into_inner);
        vec![Metric::gauge(
            "sekisho_upkeep_undone",
            "Tasks of upkeep that are not done; /readyz says which and why.",
            undone.len() as u64,
        )]
    }
}

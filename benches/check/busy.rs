//! Threads that do nothing but keep every core busy, standing back as those do that hash: what a machine does to checks once
//! its cores are never idle, logins or not. A host that shares its cores stops a busy one more often, and doesn't always tell.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use sekisho::identity::stand_back;

use super::Outcome;

/// They end when this is dropped.
pub(super) struct Busy {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    pub(super) fn start(count: usize) -> Outcome<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let mut busy = Self {
            end: Arc::clone(&end),
            threads: Vec::new(),
        };
        for _ in 0..count {
            let end = Arc::clone(&end);
            busy.threads.push(thread::Builder::new().spawn(move || {
                stand_back();
                while !end.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            })?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has nothing to say, however it ended.
            let _ = thread.join();
        }
    }
}

//! The threads that hash: as many as there may be at a time, each with memory of its own that it keeps while it is in use, so
//! that a hash takes no new pages from the system. They stand back: whatever else wants the processor goes first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use argon2::Block;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use zeroize::Zeroize as _;

use super::password::PasswordError;

/// How long a thread that has nothing to do keeps its memory.
const KEPT: Duration = Duration::from_secs(10);

/// What a thread is given to do; it gets that thread's memory.
type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Threads that end when this is dropped.
pub(super) struct HashThreads {
    jobs: flume::Sender<Job>,
}

impl HashThreads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(count: usize) -> Result<Self, std::io::Error> {
        // A caller waits for a thread before it sends: what is in the channel is taken at once.
        let (jobs, waiting) = flume::unbounded();
        for _ in 0..count {
            let waiting = waiting.clone();
            thread::Builder::new()
                .name("password".to_owned())
                .spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Has a thread do `job`.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] when no thread is left.
    pub(super) fn run(
        &self,
        job: impl FnOnce(&mut Memory) + Send + 'static,
    ) -> Result<(), PasswordError> {
        self.jobs
            .send(Box::new(job))
            .map_err(|_| PasswordError::Failed)
    }
}

/// The memory of one thread.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// The first `blocks` of it, 1 KiB each; what is in them is of earlier hashes.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] when the system gives no more.
    pub(super) fn blocks(&mut self, blocks: usize) -> Result<&mut [Block], PasswordError> {
        let more = blocks.saturating_sub(self.0.len());
        self.0
            .try_reserve_exact(more)
            .map_err(|_| PasswordError::Failed)?;
        if more > 0 {
            self.0.resize(blocks, Block::new());
        }
        self.0.get_mut(..blocks).ok_or(PasswordError::Failed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn work(waiting: &flume::Receiver<Job>) {
    stand_back();
    let mut memory = Memory::default();
    loop {
        match waiting.recv_timeout(KEPT) {
            // One that panics is told as failed (its caller hears nothing), and the thread goes on.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(|| job(&mut memory)))),
            Err(flume::RecvTimeoutError::Timeout) => memory = Memory::default(),
            Err(flume::RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Linux's idle policy (sched(7)): whoever else wakes up takes the processor at once, where a mere `nice` may keep it for a time
/// slice. Where the system allows none, checks only wait longer.
pub fn stand_back() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
    {
        tracing::warn!(?error, "a thread can't stand back: checks may wait for it");
    }
}

//! What a process used, as the kernel counts it.

use std::collections::HashMap;
use std::fs;

use super::Outcome;

/// Of all threads of a process since they started.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_nanoseconds: u64,
    /// Both kinds: a thread that went to sleep, and one that was made to wait for another's turn.
    pub(super) switches: u64,
    /// By thread. `/proc/<pid>/stat` would do, but counts in steps of 10 ms.
    threads: HashMap<String, (u64, u64)>,
}

impl Usage {
    pub(super) fn of(process: u32) -> Outcome<Self> {
        let mut usage = Self::default();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?;
            let read = |file: &str| fs::read_to_string(thread.path().join(file));
            // A thread may end while it is looked at; those of the pool for blocking work do so when they are idle.
            let (Ok(schedule), Ok(status)) = (read("schedstat"), read("status")) else {
                continue;
            };
            let cpu: u64 = schedule
                .split_whitespace()
                .next()
                .ok_or("schedstat is empty")?
                .parse()?;
            let switches = status
                .lines()
                .filter_map(|line| line.split_once("voluntary_ctxt_switches:"))
                .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
                .sum();
            let name = thread.file_name().to_string_lossy().into_owned();
            usage.threads.insert(name, (cpu, switches));
        }
        Ok(usage)
    }

    /// What was used since `earlier`, by the threads that are still there.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (thread, (cpu, switches)) in &self.threads {
            let (cpu_before, switches_before) = earlier.threads.get(thread).unwrap_or(&(0, 0));
            self.cpu_nanoseconds += cpu.saturating_sub(*cpu_before);
            self.switches += switches.saturating_sub(*switches_before);
        }
        self
    }
}

/// What the processors' time went to since the machine started, in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stolen {
    to_others: u64,
    all: u64,
}

/// Reads proc_stat(5).
pub(super) fn stolen() -> Outcome<Stolen> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks = line.split_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(Stolen {
        to_others: ticks.get(7).copied().unwrap_or_default(),
        all: ticks.iter().sum(),
    })
}

impl Stolen {
    /// The share of it since then, in hundredths.
    pub(super) fn since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        self.to_others.saturating_sub(before.to_others) as f64 * 100.0 / all as f64
    }
}

//! What the disk alone takes: one entry's worth of bytes written and synced, over and over, with nothing around it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Outcome;
use super::load::quantile;

/// What the entry of one of these checks takes in the log.
pub(super) const ENTRY_BYTES: usize = 424;
const FILE_BYTES: usize = 4 << 20;

pub(super) struct Disk(File);

impl Disk {
    /// A file whose space was taken and written before, on the same file system as the log: the least that a durable write
    /// can cost there.
    pub(super) fn prepare(folder: &Path) -> Outcome<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(folder.join("bare"))?;
        file.write_all_at(&vec![0; FILE_BYTES], 0)?;
        file.sync_all()?;
        Ok(Self(file))
    }

    /// The median of a write and its `fdatasync`, µs.
    pub(super) fn round(&self, length: Duration) -> Outcome<f64> {
        let entry = [7; ENTRY_BYTES];
        let mut latencies = Vec::new();
        let started = Instant::now();
        for offset in (0..FILE_BYTES - ENTRY_BYTES).step_by(ENTRY_BYTES).cycle() {
            let asked = Instant::now();
            self.0.write_all_at(&entry, offset as u64)?;
            self.0.sync_data()?;
            latencies.push(asked.elapsed());
            if started.elapsed() > length {
                break;
            }
        }
        latencies.sort_unstable();
        quantile(&latencies, 50)
    }
}

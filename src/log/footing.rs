//! What the log stands on: whether the segment is still where it belongs, and how much space the volume has left. Looked at
//! four times a second by the writer, whether or not anybody appends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::durable::{Disk, DiskFile};

/// How often it is looked at, and how often a log that can't be written is tried again while nobody appends.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How much space is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceTiers {
    /// With less than this free, bytes, operators are warned.
    pub warn_below: u64,
    /// With less than this free, bytes, nothing is written but what the log has to say of itself. What is left keeps the
    /// store, and the log's own last entry, from being cut short.
    pub refuse_below: u64,
}

/// Whether there is firm ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ground {
    /// Entries can be written.
    Firm,
    /// Too little space: only the log's own words are written, into what was kept back for them.
    Low(String),
    /// The file is gone, replaced or read-only: nothing that is written would be found again.
    Gone(String),
}

/// The last look, and what it is taken with.
#[derive(Debug)]
pub(super) struct Footing {
    tiers: SpaceTiers,
    looked: Option<Instant>,
    ground: Ground,
    warning: Option<String>,
}

impl Footing {
    pub(super) fn new(tiers: SpaceTiers) -> Self {
        Self {
            tiers,
            looked: None,
            ground: Ground::Firm,
            warning: None,
        }
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// What operators should know although entries are written.
    pub(super) fn warning(&self) -> Option<&String> {
        self.warning.as_ref()
    }

    /// Looks, unless that was done a moment ago.
    pub(super) fn look(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        (path, file): (&PathBuf, &dyn DiskFile),
    ) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        self.warning = None;
        self.ground = match file.is_at(path) {
            Ok(true) => self.space(disk, directory),
            Ok(false) => Ground::Gone(format!("{} was replaced or made read-only", path.display())),
            Err(error) => Ground::Gone(format!("cannot find {}: {error}", path.display())),
        };
    }

    fn space(&mut self, disk: &dyn Disk, directory: &Path) -> Ground {
        let volume = match disk.volume(directory) {
            Ok(volume) => volume,
            Err(error) => {
                return Ground::Gone(format!("cannot find {}: {error}", directory.display()));
            }
        };
        if volume.read_only {
            return Ground::Gone(format!("{} is mounted read-only", directory.display()));
        }
        let told = |limit: u64| {
            format!(
                "{} MiB are free under {}, less than {} MiB",
                volume.free >> 20,
                directory.display(),
                limit >> 20
            )
        };
        if volume.free < self.tiers.refuse_below {
            return Ground::Low(told(self.tiers.refuse_below));
        }
        if volume.free < self.tiers.warn_below {
            self.warning = Some(told(self.tiers.warn_below));
        }
        Ground::Firm
    }
}

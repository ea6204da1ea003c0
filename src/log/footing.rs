//! What the log stands on: whether the segment is still where it belongs, and how much space the volume has left. Looked at
//! four times a second by the writer, whether or not anybody appends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// What was durable is not what was written: only the log's own words are written.
    Damaged(String),
    /// Nobody can know what the disk holds.
    Failed(String),
    /// The file is gone, replaced or read-only: nothing that is written would be found again.
    Gone(String),
}

/// What the keeper of the evidence found out, for the writer to act upon.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<Told>);

#[derive(Debug, Default, Clone)]
struct Told {
    found: Option<String>,
    failed: Option<String>,
    late: Option<String>,
}

impl Damage {
    /// Entries that were durable are not what was written.
    pub(super) fn found(&self, what: String) {
        tracing::error!(%what, "the access log is damaged");
        self.told().found.get_or_insert(what);
    }

    /// A sync failed.
    pub(super) fn failed(&self, what: String) {
        self.told().failed.get_or_insert(what);
    }

    /// Whether a sync failed: nothing is to be written any more.
    pub(super) fn has_failed(&self) -> bool {
        self.told().failed.is_some()
    }

    /// Something is late that will be tried again.
    pub(super) fn late(&self, what: String) {
        self.told().late = Some(what);
    }

    /// Nothing is late any more.
    pub(super) fn passed(&self) {
        self.told().late = None;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last look, and what it is taken with.
#[derive(Debug)]
pub(super) struct Footing {
    tiers: SpaceTiers,
    damage: Arc<Damage>,
    looked: Option<Instant>,
    ground: Ground,
    warning: Option<String>,
}

impl Footing {
    pub(super) fn new(tiers: SpaceTiers, damage: Arc<Damage>) -> Self {
        Self {
            tiers,
            damage,
            looked: None,
            ground: Ground::Firm,
            warning: None,
        }
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Tells the keeper that nothing is to be written any more.
    pub(super) fn failed(&self, why: &str) {
        self.damage.failed(why.to_owned());
    }

    /// Whether the log's own words would be found again if they were written now.
    pub(super) fn takes_own_words(&self) -> bool {
        matches!(
            self.ground,
            Ground::Firm | Ground::Low(_) | Ground::Damaged(_)
        )
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
        let Told {
            found,
            failed,
            late,
        } = self.damage.told().clone();
        self.warning = late;
        if let Some(why) = failed {
            self.ground = Ground::Failed(why);
            return;
        }
        self.ground = match file.is_at(path) {
            Ok(true) => self.space(disk, directory),
            Ok(false) => Ground::Gone(format!("{} was replaced or made read-only", path.display())),
            Err(error) => Ground::Gone(format!("cannot find {}: {error}", path.display())),
        };
        if let Some(why) = found
            && !matches!(self.ground, Ground::Gone(_))
        {
            self.ground = Ground::Damaged(why);
        }
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

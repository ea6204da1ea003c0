//! Who has which checkpoint, for operators: `/readyz`, `/metrics`, and the daemon's own messages.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::compare::Contradiction;
use crate::log::AccessLog;
use crate::vitals::{Metric, Vitals};

/// How each witness stands to the log.
#[derive(Debug)]
pub struct Standing {
    log: AccessLog,
    rows: Vec<Row>,
    /// How long it may last that nobody took a checkpoint.
    patience: Duration,
}

#[derive(Debug)]
struct Row {
    name: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The largest size that it took.
    taken: Option<u64>,
    /// Since when there has been a checkpoint that it should have and has not got.
    behind_since: Option<Instant>,
    errors: u64,
    /// Why it has not got it.
    trouble: Option<String>,
    /// That it holds a state from before a declared gap, and what is to be done.
    before_gap: Option<String>,
    /// Kept until the process ends: what was once contradicted is to be looked into.
    alarm: Option<Contradiction>,
}

impl Standing {
    pub(super) fn new(
        log: AccessLog,
        names: impl Iterator<Item = String>,
        patience: Duration,
    ) -> Self {
        let row = |name| Row {
            name,
            told: Mutex::default(),
        };
        Self {
            log,
            rows: names.map(row).collect(),
            patience,
        }
    }

    /// There is a checkpoint for it.
    pub(super) fn begins(&self, place: usize) {
        self.change(place, |_, told| {
            told.behind_since.get_or_insert_with(Instant::now);
        });
    }

    /// It has a checkpoint of this size.
    pub(super) fn took(&self, place: usize, size: u64) {
        self.change(place, |name, told| {
            let settled = told.before_gap.take().is_some();
            if told.trouble.take().is_some() || settled {
                tracing::info!(witness = name, "the witness takes checkpoints again");
            }
            told.taken = told.taken.max(Some(size));
            told.behind_since = None;
        });
    }

    /// It has not got one.
    pub(super) fn failed(&self, place: usize, what: &str) {
        self.change(place, |name, told| {
            told.errors = told.errors.saturating_add(1);
            if told.trouble.as_deref() != Some(what) {
                tracing::warn!(witness = name, %what, "a witness has not taken a checkpoint");
                told.trouble = Some(what.to_owned());
            }
        });
    }

    /// It has not got one, and takes none before its operator did what is said.
    pub(super) fn is_before_gap(&self, place: usize, what: &str) {
        self.change(place, |name, told| {
            told.trouble = None;
            if told.before_gap.as_deref() != Some(what) {
                tracing::warn!(witness = name, "the witness {what}");
                told.before_gap = Some(what.to_owned());
            }
        });
    }

    /// What it knows contradicts the log; whether it is the first time.
    pub(super) fn contradicts(&self, place: usize, found: &Contradiction) -> bool {
        let mut news = false;
        self.change(place, |name, told| {
            told.errors = told.errors.saturating_add(1);
            // The first is the one to look into, however often a witness changes its word.
            news = told.alarm.is_none();
            if news {
                tracing::error!(witness = name, %found, "what a witness knows contradicts the access log");
            }
            told.alarm.get_or_insert_with(|| found.clone());
        });
        news
    }

    /// The largest size that it took.
    pub(super) fn size_taken(&self, place: usize) -> Option<u64> {
        self.rows.get(place).and_then(|row| row.told().taken)
    }

    fn change(&self, place: usize, change: impl FnOnce(&str, &mut Told)) {
        if let Some(row) = self.rows.get(place) {
            change(&row.name, &mut row.told());
        }
    }

    /// How many entries of the newest checkpoint a witness has not seen.
    fn behind(&self, told: &Told) -> u64 {
        let newest = self.log.checkpoints().borrow().checkpoint.size;
        newest.saturating_sub(told.taken.unwrap_or(0))
    }

    fn is_late(&self, told: &Told) -> bool {
        told.behind_since
            .is_some_and(|since| since.elapsed() > self.patience)
    }
}

impl Row {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vitals for Standing {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut all_late = !self.rows.is_empty();
        for row in &self.rows {
            let (told, name) = (row.told(), &row.name);
            let behind = self.behind(&told);
            if let Some(alarm) = &told.alarm {
                warnings.push(format!("witness {name}: ALARM: {alarm}"));
            }
            if let Some(what) = &told.before_gap {
                warnings.push(format!("witness {name}: {what}"));
            }
            if let Some(trouble) = &told.trouble {
                warnings.push(format!(
                    "witness {name}: {behind} entries behind: {trouble}"
                ));
            } else if self.is_late(&told) && told.before_gap.is_none() {
                warnings.push(format!("witness {name}: {behind} entries behind"));
            }
            all_late &= self.is_late(&told);
        }
        if all_late {
            let seconds = self.patience.as_secs();
            warnings.push(format!(
                "no witness has taken a checkpoint for over {seconds} s: until one does, an older copy of the log could take its place unnoticed"
            ));
        }
        warnings
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for row in &self.rows {
            let told = row.told();
            let of_row = [
                Metric::gauge(
                    "sekisho_witness_behind_entries",
                    "Entries of the newest checkpoint that the witness has not seen.",
                    self.behind(&told),
                ),
                Metric::counter(
                    "sekisho_witness_errors_total",
                    "How often the witness could not be handed a checkpoint.",
                    told.errors,
                ),
                Metric::gauge(
                    "sekisho_witness_alarm",
                    "1 when what the witness knows contradicted the log since the start.",
                    u64::from(told.alarm.is_some()),
                ),
                Metric::gauge(
                    "sekisho_witness_before_gap",
                    "1 while the witness holds a state from before a declared gap, and takes nothing.",
                    u64::from(told.before_gap.is_some()),
                ),
            ];
            metrics.extend(of_row.map(|metric| metric.of("witness", &*row.name)));
        }
        metrics
    }
}

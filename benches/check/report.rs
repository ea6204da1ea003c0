//! What the rounds showed, in the middle and at the edges, and what was to be reached.

use std::fmt;

use super::Rounds;
use super::disk::ENTRY_BYTES;
use super::load::Round;

const CPU_RATIO_MAX: f64 = 1.5;
const THROUGHPUT_RATIO_MIN: f64 = 0.8;
const ADDED_LATENCY_MAX: f64 = 150.0;

/// All rounds: of the empty handler and of the check, pair by pair.
pub(super) struct Report {
    rounds: [Rounds; 2],
    /// With 64 in flight.
    pub(super) crowd: Vec<[Round; 2]>,
    /// With one in flight.
    pub(super) alone: Vec<[Round; 2]>,
    /// The median of the disk alone, µs.
    pub(super) disk: Vec<f64>,
}

impl Report {
    pub(super) const fn new(crowd: Rounds, alone: Rounds) -> Self {
        Self {
            rounds: [crowd, alone],
            crowd: Vec::new(),
            alone: Vec::new(),
            disk: Vec::new(),
        }
    }
}

/// Some values as "median (least–most)".
pub(super) struct Spread {
    pub(super) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |position: usize| values.get(position).copied().unwrap_or(f64::NAN);
        Self {
            median: at(values.len() / 2),
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }

    pub(super) fn show(&self, decimals: usize) -> String {
        format!(
            "{:.decimals$} ({:.decimals$}–{:.decimals$})",
            self.median, self.least, self.most
        )
    }
}

pub(super) const fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

type Column = (&'static str, fn(&Round) -> f64, usize);
const COLUMNS: [Column; 5] = [
    ("requests/s", |round| round.per_second, 0),
    ("server CPU µs/request", |round| round.cpu, 1),
    ("switches/request", |round| round.switches, 2),
    ("latency p50 µs", |round| round.median, 0),
    ("latency p99 µs", |round| round.worst_hundredth, 0),
];

fn table(f: &mut fmt::Formatter<'_>, pairs: &[[Round; 2]], with_goals: bool) -> fmt::Result {
    writeln!(
        f,
        "{:<22} {:>24} {:>24} {:>18}",
        "", "empty handler", "durable Check", "ratio"
    )?;
    for (position, (name, value, decimals)) in COLUMNS.into_iter().enumerate() {
        let empty = Spread::of(pairs.iter().map(|[empty, _]| value(empty)));
        let check = Spread::of(pairs.iter().map(|[_, check]| value(check)));
        let ratio = Spread::of(
            pairs
                .iter()
                .map(|[empty, check]| value(check) / value(empty)),
        );
        let goal = match (with_goals, position) {
            (true, 0) => format!(
                "  goal ≥ {THROUGHPUT_RATIO_MIN:.2}: {}",
                verdict(ratio.median >= THROUGHPUT_RATIO_MIN)
            ),
            (true, 1) => format!(
                "  goal ≤ {CPU_RATIO_MAX:.2}: {}",
                verdict(ratio.median <= CPU_RATIO_MAX)
            ),
            _ => String::new(),
        };
        writeln!(
            f,
            "{name:<22} {:>24} {:>24} {:>18}{goal}",
            empty.show(decimals),
            check.show(decimals),
            ratio.show(2)
        )?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [crowd, alone] = self.rounds;
        writeln!(
            f,
            "A durable, fully checked Check beside an empty handler, both over mTLS: medians (least–most), ratios pair by pair.\n"
        )?;
        writeln!(
            f,
            "64 in flight on 4 connections, {} rounds of {} ms each",
            crowd.count,
            crowd.length.as_millis()
        )?;
        table(f, &self.crowd, true)?;
        writeln!(
            f,
            "
1 in flight, {} rounds of {} ms each",
            alone.count,
            alone.length.as_millis()
        )?;
        table(f, &self.alone, false)?;
        let disk = Spread::of(self.disk.iter().copied());
        let added = Spread::of(
            self.alone
                .iter()
                .zip(&self.disk)
                .map(|([empty, check], disk)| check.median - empty.median - disk),
        );
        writeln!(
            f,
            "\nbare write of {ENTRY_BYTES} bytes and fdatasync, p50: {} µs",
            disk.show(0)
        )?;
        write!(
            f,
            "latency at 1 in flight above (bare fdatasync + empty handler), p50: {} µs  goal ≤ {ADDED_LATENCY_MAX:.0}: {}",
            added.show(0),
            verdict(added.median <= ADDED_LATENCY_MAX)
        )
    }
}

//! How far a long work is, told to standard error: a bar that moves on a terminal, a line for each tenth elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::login::say;

/// How often a terminal is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
const BAR_CELLS: u64 = 30;

/// A bar.
#[derive(Debug)]
pub(super) struct Bar {
    terminal: bool,
    told_at: Option<Instant>,
    told_tenths: u64,
}

impl Default for Bar {
    fn default() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            told_at: None,
            told_tenths: 0,
        }
    }
}

impl Bar {
    /// So much of all is done, in words.
    pub(super) fn tell(&mut self, done: u64, all: u64, line: impl Fn() -> String) {
        if self.terminal {
            let soon = |told: Instant| told.elapsed() < TELL_EVERY;
            if done < all && self.told_at.is_some_and(soon) {
                return;
            }
            // Nobody is helped by hearing that progress can't be told.
            let _ = write!(std::io::stderr(), "\r{} {}\x1b[K", bar(done, all), line());
            self.told_at = Some(Instant::now());
            return;
        }
        let tenths = of(done, all, 10);
        if tenths > self.told_tenths {
            say(&line());
            self.told_tenths = tenths;
        }
    }

    /// What comes next begins on a line of its own.
    pub(super) fn end(&mut self) {
        if self.told_at.take().is_some() {
            say("");
        }
        self.told_tenths = 0;
    }
}

/// How many of `parts` are done.
pub(super) fn of(done: u64, all: u64, parts: u64) -> u64 {
    let done = u128::from(done).saturating_mul(u128::from(parts));
    let all = u128::from(all.max(1));
    u64::try_from(done / all).unwrap_or(parts).min(parts)
}

fn bar(done: u64, all: u64) -> String {
    let filled = of(done, all, BAR_CELLS);
    let cell = |cell| if cell < filled { '#' } else { '.' };
    format!("[{}]", (0..BAR_CELLS).map(cell).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_goes_beyond_all() {
        assert_eq!(of(5, 0, 10), 10);
        assert_eq!(of(u64::MAX, u64::MAX, 100), 100);
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(15), ".".repeat(15)));
    }
}

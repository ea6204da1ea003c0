//! What the benchmarks share: how they fail and how they tell.

use std::error::Error;
use std::process::ExitCode;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[allow(clippy::print_stdout)] // a benchmark's result is what it prints
pub(crate) fn tell(line: &str) {
    println!("{line}");
}

/// What a benchmark ends with; tells why it failed.
pub(crate) fn ended(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

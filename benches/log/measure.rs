//! Medians, sizes and memory.

use std::path::Path;
use std::time::Duration;

use super::Outcome;

#[allow(clippy::cast_precision_loss)] // nothing here is that large
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// The value that so many of a hundred are not above, in microseconds.
pub(crate) fn quantile(latencies: &mut [Duration], hundredth: usize) -> Outcome<f64> {
    latencies.sort_unstable();
    let last = latencies.len().saturating_sub(1);
    let found = latencies.get(last * hundredth / 100);
    Ok(found.ok_or("nothing was measured")?.as_secs_f64() * 1e6)
}

/// What the process holds now and held at most: its own pages, without those of files.
pub(crate) fn memory() -> Outcome<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mib = |name: &str| -> Outcome<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        Ok(number
            .ok_or("no such line in /proc/self/status")?
            .parse::<u64>()?
            / 1024)
    };
    Ok(format!(
        "{} MiB resident, {} MiB at most",
        mib("VmRSS:")?,
        mib("VmHWM:")?
    ))
}

/// Of all files in a directory, as they were written: preallocated space behind the end counts too.
pub(crate) fn bytes_of(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for item in std::fs::read_dir(directory)? {
        bytes += item?.metadata()?.len();
    }
    Ok(bytes)
}

/// What this thread has used of a processor.
pub(crate) fn processor() -> Outcome<Duration> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let used = schedule.split_whitespace().next();
    Ok(Duration::from_nanos(
        used.ok_or("schedstat is empty")?.parse()?,
    ))
}

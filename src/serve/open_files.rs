//! How many files and sockets the process may have open: enough for every connection it takes, or it doesn't start. One that
//! runs out of them later could neither take calls nor roll the log.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::ServeError;

/// The log, its index and tree, the store, streams out, witnesses, the pages for operators: a few hundred at most.
const OWN: u64 = 512;

/// Raises the limit as far as it is needed and allowed.
///
/// # Errors
/// [`ServeError::OpenFiles`] when the system allows too few.
pub(super) fn allow(connections_max: usize) -> Result<(), ServeError> {
    let needed = u64::try_from(connections_max)
        .unwrap_or(u64::MAX)
        .saturating_add(OWN);
    let mut limit = getrlimit(Resource::Nofile);
    // `None` is without limit.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let allowed = limit.maximum;
    let too_few = || ServeError::OpenFiles {
        needed,
        allowed: allowed.unwrap_or(u64::MAX),
    };
    if allowed.is_some_and(|maximum| maximum < needed) {
        return Err(too_few());
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit).map_err(|_| too_few())
}

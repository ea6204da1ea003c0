//! How the gate begins and goes on without being asked: joining log and store at a start, restoring, following what other
//! daemons changed, and what is done every while. It never answers a caller.

pub(super) mod follow;
pub(super) mod forgetting;
pub(super) mod missing_keys;
pub mod restore;
pub(super) mod seal_anew;
pub(super) mod start;
pub(super) mod upkeep;

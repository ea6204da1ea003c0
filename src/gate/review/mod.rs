//! The periodic review: what stands out in the log, told to those who review. Everything here reads the log as it is, and every call has
//! its entry.

pub(super) mod findings;
pub(super) mod reading;

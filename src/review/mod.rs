//! Periodic review of the access log: what stands out in it, what a campaign looks at, and what follows from it. Pure: entries
//! and rules in, findings, samples and dates out.
//!
//! "Have regularly checked the system usage status using access logs": this room makes that a finite piece of work whose
//! completeness can be shown. It never reads a clock, a file or a socket, and decides nobody's access.
//!
//! | file | job |
//! |---|---|
//! | `finding` | what a detector found, and the case of a person and day |
//! | `sample` | a random sample that an auditor draws again |
//! | `assignment` | who looks at an item, and never at their own |
//! | `schedule` | which days a campaign by the pack's schedule is of |
//! | `campaign` | states of an item, and who may do what |

pub mod assignment;
pub mod campaign;
mod cases;
mod detectors;
pub mod finding;
mod past;
pub mod sample;
mod scan;
pub mod schedule;
mod seen;
mod sentence;
#[cfg(test)]
mod tests;
mod world;

pub use scan::{Days, DaysError, Scan};
pub use sentence::sentence;
pub mod incident;
pub mod measures;

//! Periodic review of the access log: what stands out in it, what a campaign looks at, and what follows from it. Pure: entries
//! and rules in, findings, samples and dates out.
//!
//! "Have regularly checked the system usage status using access logs": this room makes that a finite piece of work whose
//! completeness can be shown. It never reads a clock, a file or a socket, and decides nobody's access.

pub mod finding;
pub mod incident;
pub mod measures;

//! The decision.

pub mod rules;

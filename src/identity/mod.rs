//! The two steps.

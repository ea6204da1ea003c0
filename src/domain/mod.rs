//! The words of the field as types. Nothing here reads a clock, a file or a socket; a value that exists is within its
//! bounds.

pub mod access;
pub mod calendar;
pub mod detector;
pub mod ids;
pub mod network;
pub mod person;
pub mod reason;
pub mod record;
pub mod reference;
pub mod subject;
pub mod text;
pub mod time;

//! sekisho

pub mod api;
pub mod cli;
pub mod config;
pub mod decision;
pub mod domain;
pub mod files;
pub mod gate;
pub mod identity;
pub mod log;
pub mod policy;
pub mod serve;
pub mod store;

/// The API as generated from `proto/`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod proto {
    tonic::include_proto!("sekisho.v1");
    /// Descriptors, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/sekisho.v1.bin"));
}

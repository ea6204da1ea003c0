//! Compiles the protos without protoc and keeps their descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

const PROTOS: [&str; 15] = [
    "sekisho/v1/access.proto",
    "sekisho/v1/access_log.proto",
    "sekisho/v1/authentication.proto",
    "sekisho/v1/credentials.proto",
    "sekisho/v1/incident.proto",
    "sekisho/v1/measure.proto",
    "sekisho/v1/policy.proto",
    "sekisho/v1/provision_records.proto",
    "sekisho/v1/requests.proto",
    "sekisho/v1/reset.proto",
    "sekisho/v1/review.proto",
    "sekisho/v1/sessions.proto",
    "sekisho/v1/subjects.proto",
    "sekisho/v1/directory.proto",
    "sekisho/v1/entry.proto",
];

#[allow(clippy::disallowed_methods)] // what a build makes needs no durability
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("sekisho.v1.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
